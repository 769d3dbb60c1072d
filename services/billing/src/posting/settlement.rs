//! What was paid at the student account.
//!
//! Ethos payments name no charge, so what was paid to a destination counts for its oldest charges first, ours and
//! others' alike, and is labelled "estimated" (DOMAIN §4).

use std::collections::BTreeMap;

use carrel_database::transact;
use carrel_student_accounts::{AccountFilter, SisCharge, SisPayment};
use futures::StreamExt as _;
use futures::stream;
use jiff::civil::Date;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::model::Posting;
use super::{AT_ONCE, store};
use crate::account::{self, Note};
use crate::columns::money;
use crate::error::{Error, is_away, sis_error_kind};
use crate::{Actor, Billing, Sis, message};

/// How a settlement was matched.
pub const ESTIMATED: &str = "estimated";

/// A student, a period and a destination.
pub(super) type Tuple = (String, String, String);

/// Asks what was paid of everything that is unpaid there, and settles it here.
/// Returns how many charges were settled, in whole or in part. What the
/// student-information system refuses to tell, or tells badly, of one student
/// waits; the others go on.
///
/// # Errors
/// [`Error::SisNotConfigured`], the database's.
pub async fn ask_what_was_paid(billing: &Billing) -> Result<i64, Error> {
    let sis = billing.sis.as_deref().ok_or(Error::SisNotConfigured)?;
    let mut connection = billing.database.pool().acquire().await?;
    let unsettled = store::list_unsettled(&mut connection).await?;
    drop(connection);
    let mut settled = 0;
    let mut passed_over = 0;
    let mut answers = stream::iter(by_tuple(unsettled))
        .map(|(tuple, postings)| async move { (postings, ask(sis, &tuple).await) })
        .buffer_unordered(AT_ONCE as usize);
    while let Some((postings, answer)) = answers.next().await {
        let (charges, payments) = match answer {
            Ok(answer) => answer,
            Err(error) if is_away(&error) => {
                tracing::warn!(kind = sis_error_kind(&error), "could not ask what was paid");
                break;
            }
            Err(error) => {
                tracing::warn!(
                    kind = sis_error_kind(&error),
                    "could not ask what was paid of one destination"
                );
                passed_over += 1;
                continue;
            }
        };
        for (account_id, paid) in paid_by_account(&postings, &charges, &payments) {
            match settle_account(billing, account_id, paid).await {
                Ok(true) => settled += 1,
                Ok(false) => {}
                Err(error @ Error::Database(_)) => return Err(error),
                Err(error) => {
                    tracing::error!(account.id = %account_id, %error, "a charge could not be settled");
                    passed_over += 1;
                }
            }
        }
    }
    if passed_over > 0 {
        tracing::warn!(count = passed_over, "what was paid is not known of all");
    }
    Ok(settled)
}

pub(super) fn by_tuple(postings: Vec<Posting>) -> BTreeMap<Tuple, Vec<Posting>> {
    let mut tuples: BTreeMap<Tuple, Vec<Posting>> = BTreeMap::new();
    for posting in postings {
        tuples.entry(tuple_of(&posting)).or_default().push(posting);
    }
    tuples
}

pub(super) fn tuple_of(posting: &Posting) -> Tuple {
    (
        posting.student_id.clone(),
        posting.academic_period_id.clone(),
        posting.funding_destination_id.clone(),
    )
}

pub(super) fn filter_of((student_id, period_id, destination_id): &Tuple) -> AccountFilter {
    AccountFilter {
        student_id: Some(student_id.clone()),
        academic_period_id: Some(period_id.clone()),
        funding_destination_id: Some(destination_id.clone()),
    }
}

async fn ask(
    sis: &Sis,
    tuple: &Tuple,
) -> Result<(Vec<SisCharge>, Vec<SisPayment>), carrel_student_accounts::Error> {
    let filter = filter_of(tuple);
    // Payments first: a charge that is added between the two only lowers what
    // is counted as paid.
    let payments = sis.accounts.list_payments(&filter, None).await?;
    let charges = sis.accounts.list_charges(&filter).await?;
    Ok((charges, payments))
}

/// One charge in the order in which payments count for it.
struct Owed {
    on: Date,
    account_id: Option<Uuid>,
    amount: Decimal,
}

/// How much of each of our charges is paid, the oldest first. Others' charges
/// of the same day come before ours, since settling too much frees a patron
/// who still owes.
fn paid_by_account(
    ours: &[Posting],
    charges: &[SisCharge],
    payments: &[SisPayment],
) -> Vec<(Uuid, Decimal)> {
    let mut pool: Decimal = payments
        .iter()
        .filter_map(|payment| payment.amount)
        .map(|amount| amount.amount())
        .sum();
    let mut owed: Vec<Owed> = Vec::new();
    let is_ours = |charge: &SisCharge| {
        ours.iter()
            .any(|posting| posting.sis_charge_id.as_ref() == Some(&charge.sis_id))
    };
    for charge in charges.iter().filter(|charge| !is_ours(charge)) {
        let amount = charge
            .amount
            .map_or(Decimal::ZERO, |amount| amount.amount());
        if amount.is_sign_negative() {
            // A credit of somebody else's pays like a payment.
            pool -= amount;
        } else {
            owed.push(Owed {
                on: charge.chargeable_on.unwrap_or(Date::MIN),
                account_id: None,
                amount,
            });
        }
    }
    for posting in ours {
        let same = |owed: &&mut Owed| owed.account_id == Some(posting.account_id);
        match owed.iter_mut().find(same) {
            // Our credits lower their own charge.
            Some(owed) => owed.amount += posting.amount.amount(),
            None => owed.push(Owed {
                on: posting.chargeable_on.unwrap_or(Date::MAX),
                account_id: Some(posting.account_id),
                amount: posting.amount.amount(),
            }),
        }
    }
    owed.sort_by_key(|owed| (owed.on, owed.account_id.is_some()));
    let mut paid = Vec::new();
    for owed in owed {
        let part = owed.amount.clamp(Decimal::ZERO, pool.max(Decimal::ZERO));
        pool -= part;
        if let Some(account_id) = owed.account_id {
            paid.push((account_id, part));
        }
    }
    paid
}

/// Settles a charge up to what was paid in all; false where nothing is new.
async fn settle_account(billing: &Billing, account_id: Uuid, paid: Decimal) -> Result<bool, Error> {
    if paid.is_zero() {
        return Ok(false);
    }
    let now = billing.clock.now();
    let actor = Actor::billing();
    let settled = transact!(billing.database, "settle_account", |transaction| {
        let mut account = account::lock(transaction, account_id).await?;
        let paid = money(paid, account.amount.currency().code())?;
        let Some(step) = account.settle(paid)? else {
            return Ok::<_, Error>(false);
        };
        let note = Note {
            comment: format!("Paid at the student account ({ESTIMATED})"),
            tender: None,
        };
        let whole = account.at_sis.is_zero();
        let mut events = account::book(transaction, &mut account, step, &actor, &note, now).await?;
        for mut posting in store::list_at_sis(transaction, account_id).await? {
            if posting.amount.is_positive() {
                posting.settle(ESTIMATED, whole, now)?;
                store::update_posting(transaction, &posting).await?;
                events.push(message::posting_changed(&posting, now));
            }
        }
        carrel_outbox::append(transaction, &events).await?;
        Ok(true)
    })?;
    if settled {
        billing.committed();
    }
    Ok(settled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::posting::model::test_posting;
    use carrel_money::{Currency, Money};
    use jiff::civil::date;

    fn usd(cents: i64) -> Money {
        Money::from_minor(cents, Currency::USD).unwrap()
    }

    fn ours(account: u128, cents: i64, day: i8) -> Posting {
        let mut posting = test_posting(usd(cents));
        posting.id = carrel_ids::new_id();
        posting.account_id = Uuid::from_u128(account);
        posting.chargeable_on = Some(date(2026, 3, day));
        posting.sis_charge_id = Some(posting.id.to_string());
        posting
    }

    fn at_sis(cents: i64, day: i8) -> SisCharge {
        SisCharge {
            sis_id: carrel_ids::new_id().to_string(),
            student_id: None,
            academic_period_id: None,
            funding_destination_id: None,
            amount: Some(usd(cents)),
            chargeable_on: Some(date(2026, 3, day)),
            description: None,
            comments: vec![],
        }
    }

    fn payment(cents: i64) -> SisPayment {
        SisPayment {
            sis_id: carrel_ids::new_id().to_string(),
            student_id: None,
            academic_period_id: None,
            funding_destination_id: None,
            amount: Some(usd(cents)),
            paid_on: None,
            payment_type: None,
        }
    }

    #[test]
    fn payments_count_for_the_oldest_charges_first_whoever_made_them() {
        let mut postings = vec![ours(1, 1000, 2), ours(2, 500, 4)];
        // A credit of $4 lowers the first charge to $6.
        postings.push(ours(1, -400, 5));
        let charges = [at_sis(300, 3), at_sis(-100, 6)];
        let paid = paid_by_account(&postings, &charges, &[payment(700), payment(250)]);
        // $9.50 and the other's credit of $1: 6 for ours, 3 for the other's, 1.50 for our second.
        let cents = |amount: Decimal| (amount * Decimal::ONE_HUNDRED).normalize().to_string();
        let paid: Vec<_> = paid
            .iter()
            .map(|(id, paid)| (id.as_u128(), cents(*paid)))
            .collect();
        assert_eq!(paid, [(1, "600".to_owned()), (2, "150".to_owned())]);
        assert!(
            paid_by_account(&postings, &charges, &[])
                .iter()
                .all(|(_, paid)| *paid <= Decimal::ONE)
        );
    }
}
