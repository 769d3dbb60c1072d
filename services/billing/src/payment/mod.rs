//! Payments at the desk: one tender, one receipt, any number of charges; refunds to the same tender; cheques returned.

pub mod receipt;
pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_ids::{Reference, new_id};
use carrel_money::Money;
use carrel_outbox::NewEvent;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::account::card_number::looks_like_a_card_number;
use crate::account::model::{Account, ActionKind, Tender};
use crate::account::{self, Belongs, ManualCharge, Note, refuse_own_account};
use crate::error::Error;
use crate::{Actor, Billing, posting};

/// The most charges that one payment pays.
pub const MOST_PARTS: usize = 100;

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Its id.
    pub id: Uuid,
    /// Whose charges it pays.
    pub patron_id: Uuid,
    /// How it was paid.
    pub tender: Tender,
    /// The processor's or the cheque's reference.
    pub tender_reference: String,
    /// What it pays in all.
    pub amount: Money,
    /// What was handed over.
    pub tendered: Money,
    /// Who took it.
    pub taken_by: String,
    /// When.
    pub taken_at: Timestamp,
    /// The drawer session it was taken in.
    pub drawer_session_id: Option<Uuid>,
    /// When the bank returned its cheque.
    pub returned_at: Option<Timestamp>,
    /// Which charges it pays.
    pub parts: Vec<Part>,
}

/// What a payment pays of one charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The charge.
    pub account_id: Uuid,
    /// Its reference.
    pub reference: String,
    /// How much.
    pub amount: Money,
    /// What was given back of it.
    pub given_back: Money,
    /// The neutral name of the charge.
    pub statement_text: String,
}

impl Payment {
    /// The number on the receipt, which people read to each other.
    #[must_use]
    pub fn receipt_number(&self) -> String {
        Reference::of(self.id).to_string()
    }
}

/// How a payment is made.
#[derive(Debug, Clone)]
pub struct NewPayment {
    /// How.
    pub tender: Tender,
    /// The processor's or the cheque's reference.
    pub tender_reference: String,
    /// What was handed over; `None`: the exact amount.
    pub tendered: Option<Money>,
    /// For staff.
    pub comment: String,
    /// The drawer session it goes into.
    pub drawer_session_id: Option<Uuid>,
}

/// What is to be paid.
#[derive(Debug, Clone)]
pub enum Paying {
    /// These charges, and how much of each (`None`: all that remains); and the
    /// sum that the desk expects, where it said so.
    Parts(Vec<(Uuid, Option<Money>)>, Option<Money>),
    /// The patron's charges that can be paid here, oldest first.
    OldestFirst(Uuid, Money),
}

/// Takes one payment for several charges of a patron, all or nothing.
///
/// # Errors
/// [`Error::AccountNotFound`], [`Error::AccountsOfSeveralPatrons`], [`Error::AccountTwice`], [`Error::PartsDisagree`],
/// [`Error::PaymentExceedsRemaining`], [`Error::OwnAccount`], [`Error::CardNumberRefused`],
/// [`Error::TenderedTooLittle`], [`Error::ChangeOnlyForCash`], and those of [`Account::pay`].
pub async fn take(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    paying: &Paying,
    new: &NewPayment,
) -> Result<(Payment, Vec<Account>), Error> {
    let now = billing.clock.now();
    let id = new_id();
    let taken = transact!(billing.database, "take_payment", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
            let id = ids.first().copied().ok_or(Error::PaymentNotFound)?;
            return with_accounts(transaction, id).await;
        }
        let mut parts = match paying {
            Paying::Parts(wanted, sum) => wanted_parts(transaction, wanted, *sum).await?,
            Paying::OldestFirst(patron_id, amount) => {
                oldest_first(transaction, *patron_id, *amount).await?
            }
        };
        for (account, _) in &parts {
            refuse_own_account(actor, account.patron_id)?;
        }
        let events = take_parts(transaction, id, actor, &mut parts, new, now).await?;
        carrel_outbox::append(transaction, &events).await?;
        with_accounts(transaction, id).await
    })?;
    billing.committed();
    Ok(taken)
}

async fn wanted_parts(
    connection: &mut PgConnection,
    wanted: &[(Uuid, Option<Money>)],
    expected: Option<Money>,
) -> Result<Vec<(Account, Money)>, Error> {
    let ids: Vec<Uuid> = wanted.iter().map(|(id, _)| *id).collect();
    if (1..ids.len()).any(|place| ids[..place].contains(&ids[place])) {
        return Err(Error::AccountTwice);
    }
    let mut parts = Vec::with_capacity(wanted.len());
    let mut sum: Option<Money> = None;
    for (account, (_, amount)) in account::lock_all(connection, &ids)
        .await?
        .into_iter()
        .zip(wanted)
    {
        let amount = amount.unwrap_or(account.remaining);
        sum = Some(match sum {
            Some(sum) => sum.plus(amount)?,
            None => amount,
        });
        parts.push((account, amount));
    }
    if expected.is_some() && expected != sum {
        return Err(Error::PartsDisagree);
    }
    Ok(parts)
}

/// Shares an amount among the charges that can be paid here, oldest first.
async fn oldest_first(
    connection: &mut PgConnection,
    patron_id: Uuid,
    amount: Money,
) -> Result<Vec<(Account, Money)>, Error> {
    if !amount.is_positive() {
        return Err(Error::AmountNotPositive);
    }
    let ids = account::store::list_open_ids(connection, patron_id, MOST_PARTS as i64).await?;
    let mut left = amount;
    let mut parts = Vec::new();
    for account in account::lock_all(connection, &ids).await? {
        if account.at_sis.is_positive()
            || account.is_closed()
            || posting::store::is_under_way(connection, account.id).await?
        {
            continue;
        }
        if account.remaining.currency() != left.currency() {
            return Err(Error::CurrencyNotKept);
        }
        let part = if left.amount() < account.remaining.amount() {
            left
        } else {
            account.remaining
        };
        if part.is_positive() {
            left = left.minus(part)?;
            parts.push((account, part));
        }
    }
    if left.is_positive() {
        return Err(Error::PaymentExceedsRemaining);
    }
    Ok(parts)
}

/// Takes a payment of locked accounts within a transaction, for the caller to
/// append its events.
pub(crate) async fn take_parts(
    connection: &mut PgConnection,
    id: Uuid,
    actor: &Actor,
    parts: &mut [(Account, Money)],
    new: &NewPayment,
    now: Timestamp,
) -> Result<Vec<NewEvent>, Error> {
    refuse_card_numbers(&new.tender_reference, &new.comment)?;
    refuse_closed_drawer(new.drawer_session_id)?;
    let (first, _) = parts.first().ok_or(Error::AmountMissing)?;
    let patron_id = first.patron_id;
    if parts
        .iter()
        .any(|(account, _)| account.patron_id != patron_id)
    {
        return Err(Error::AccountsOfSeveralPatrons);
    }
    // Every part is judged before anything is written.
    let mut amount = Money::zero(first.amount.currency());
    let mut steps = Vec::with_capacity(parts.len());
    for (account, part) in parts.iter_mut() {
        let under_way = posting::store::is_under_way(connection, account.id).await?;
        steps.push(account.pay(*part, under_way)?);
        amount = amount.plus(*part)?;
    }
    let payment = Payment {
        id,
        patron_id,
        tender: new.tender,
        tender_reference: new.tender_reference.clone(),
        amount,
        tendered: tendered(amount, new)?,
        taken_by: actor.subject.clone(),
        taken_at: now,
        drawer_session_id: new.drawer_session_id,
        returned_at: None,
        parts: Vec::new(),
    };
    store::insert_payment(connection, &payment).await?;
    let note = Note {
        comment: new.comment.clone(),
        tender: Some((new.tender, new.tender_reference.clone())),
    };
    let belongs = Belongs {
        payment_id: Some(id),
        ..Belongs::default()
    };
    let mut events = Vec::new();
    for ((account, _), step) in parts.iter_mut().zip(steps) {
        events
            .extend(account::book_as(connection, account, step, belongs, actor, &note, now).await?);
    }
    Ok(events)
}

/// What was handed over: enough, and more than enough only in cash.
fn tendered(amount: Money, new: &NewPayment) -> Result<Money, Error> {
    let tendered = new.tendered.unwrap_or(amount);
    if tendered.currency() != amount.currency() {
        return Err(Error::CurrencyNotKept);
    }
    if tendered.amount() < amount.amount() {
        return Err(Error::TenderedTooLittle);
    }
    if new.tender != Tender::Cash && tendered != amount {
        return Err(Error::ChangeOnlyForCash);
    }
    Ok(tendered)
}

/// A refund.
#[derive(Debug, Clone)]
pub struct Refund {
    /// The payment.
    pub payment_id: Uuid,
    /// Which of its charges.
    pub account_id: Uuid,
    /// How much.
    pub amount: Money,
    /// The processor's reference of the refund.
    pub tender_reference: String,
    /// Why.
    pub comment: String,
    /// The drawer session it comes out of.
    pub drawer_session_id: Option<Uuid>,
}

/// Gives money back to the tender it came by.
///
/// # Errors
/// [`Error::AccountNotFound`], [`Error::PaymentNotFound`], [`Error::PaymentReturned`], [`Error::OwnAccount`],
/// [`Error::CardNumberRefused`], and those of [`Account::refund`].
pub async fn refund(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    refund: &Refund,
) -> Result<(Payment, Account), Error> {
    refuse_card_numbers(&refund.tender_reference, &refund.comment)?;
    refuse_closed_drawer(refund.drawer_session_id)?;
    let now = billing.clock.now();
    let refunded = transact!(billing.database, "refund_payment", |transaction| {
        let outcome = [refund.payment_id, refund.account_id];
        if let Claim::Done(_) = claim(transaction, key, &outcome, now).await?? {
            let account = account::find_first(transaction, &[refund.account_id]).await?;
            return Ok((get_within(transaction, refund.payment_id).await?, account));
        }
        let mut account = account::lock(transaction, refund.account_id).await?;
        refuse_own_account(actor, account.patron_id)?;
        let payment = get_within(transaction, refund.payment_id).await?;
        if payment.returned_at.is_some() {
            return Err(Error::PaymentReturned);
        }
        let step = account.refund(refund.amount)?;
        store::give_back(transaction, payment.id, account.id, refund.amount).await?;
        store::insert_refund(transaction, refund, payment.tender, now).await?;
        let note = Note {
            comment: refund.comment.clone(),
            tender: Some((payment.tender, refund.tender_reference.clone())),
        };
        let belongs = Belongs {
            payment_id: Some(payment.id),
            ..Belongs::default()
        };
        let events =
            account::book_as(transaction, &mut account, step, belongs, actor, &note, now).await?;
        carrel_outbox::append(transaction, &events).await?;
        Ok((get_within(transaction, refund.payment_id).await?, account))
    })?;
    billing.committed();
    Ok(refunded)
}

/// The fee for a returned cheque.
#[derive(Debug, Clone)]
pub struct ChequeFee {
    /// Its manual type.
    pub fee_fine_type_id: Uuid,
    /// Who is owed.
    pub fee_fine_owner_id: Uuid,
    /// How much; `None`: the type's default.
    pub amount: Option<Money>,
}

/// The bank returned a cheque: every charge that it had paid is owed again,
/// once. Gives the charges, the fee last.
///
/// # Errors
/// [`Error::PaymentNotFound`], [`Error::NotACheque`], [`Error::PaymentReturned`], [`Error::PaymentSpent`],
/// [`Error::OwnAccount`], and those of a charge by hand.
pub async fn return_cheque(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    id: Uuid,
    comment: &str,
    fee: Option<&ChequeFee>,
) -> Result<(Payment, Vec<Account>), Error> {
    let now = billing.clock.now();
    let fee_id = new_id();
    let returned = transact!(billing.database, "return_cheque", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[id, fee_id], now).await?? {
            let (payment, mut accounts) = with_accounts(transaction, id).await?;
            if let Some(fee_id) = ids.get(1) {
                accounts.extend(account::store::find_account(transaction, *fee_id).await?);
            }
            return Ok((payment, accounts));
        }
        let payment = get_within(transaction, id).await?;
        refuse_own_account(actor, payment.patron_id)?;
        if payment.tender != Tender::Cheque {
            return Err(Error::NotACheque);
        }
        let ids: Vec<Uuid> = payment.parts.iter().map(|part| part.account_id).collect();
        let locked = account::lock_all(transaction, &ids).await?;
        if !store::mark_returned(transaction, id, now).await? {
            return Err(Error::PaymentReturned);
        }
        let note = Note {
            comment: comment.to_owned(),
            tender: Some((Tender::Cheque, payment.tender_reference.clone())),
        };
        let belongs = Belongs {
            payment_id: Some(id),
            ..Belongs::default()
        };
        let mut events = Vec::new();
        for (mut account, part) in locked.into_iter().zip(&payment.parts) {
            store::give_whole_back(transaction, id, account.id).await?;
            let step = account.unpay(ActionKind::ReturnCheque, part.amount)?;
            events.extend(
                account::book_as(transaction, &mut account, step, belongs, actor, &note, now)
                    .await?,
            );
        }
        let (payment, mut accounts) = with_accounts(transaction, id).await?;
        if let Some(fee) = fee {
            let manual = ManualCharge {
                patron_id: payment.patron_id,
                fee_fine_owner_id: fee.fee_fine_owner_id,
                fee_fine_type_id: fee.fee_fine_type_id,
                amount: fee.amount,
                comment: comment.to_owned(),
            };
            let (account, made) =
                account::charge_manually(transaction, billing, fee_id, actor, &manual, now).await?;
            accounts.push(account);
            events.extend(made);
        }
        carrel_outbox::append(transaction, &events).await?;
        Ok((payment, accounts))
    })?;
    billing.committed();
    Ok(returned)
}

/// A payment.
///
/// # Errors
/// [`Error::PaymentNotFound`].
pub async fn get(billing: &Billing, id: Uuid) -> Result<Payment, Error> {
    let mut connection = billing.database.pool().acquire().await?;
    get_within(&mut connection, id).await
}

async fn get_within(connection: &mut PgConnection, id: Uuid) -> Result<Payment, Error> {
    store::list_by_ids(connection, &[id])
        .await?
        .pop()
        .ok_or(Error::PaymentNotFound)
}

async fn with_accounts(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<(Payment, Vec<Account>), Error> {
    let payment = get_within(connection, id).await?;
    let mut accounts = Vec::with_capacity(payment.parts.len());
    for part in &payment.parts {
        accounts.extend(account::store::find_account(connection, part.account_id).await?);
    }
    Ok((payment, accounts))
}

/// Drawers are not kept yet, so no session of one is open.
fn refuse_closed_drawer(drawer_session_id: Option<Uuid>) -> Result<(), Error> {
    match drawer_session_id {
        Some(_) => Err(Error::DrawerSessionNotOpen),
        None => Ok(()),
    }
}

fn refuse_card_numbers(tender_reference: &str, comment: &str) -> Result<(), Error> {
    if [tender_reference, comment]
        .into_iter()
        .any(looks_like_a_card_number)
    {
        Err(Error::CardNumberRefused)
    } else {
        Ok(())
    }
}
