//! The three-way match: what the ledger says is at the student account, what the postings say, what is there.

use std::collections::{BTreeMap, HashMap};

use carrel_ids::Reference;
use carrel_money::Money;
use carrel_student_accounts::SisCharge;
use sqlx::Acquire as _;
use uuid::Uuid;

use super::model::{Posting, PostingState};
use super::settlement::{by_tuple, filter_of};
use super::store;
use crate::columns::money;
use crate::error::Error;
use crate::journal;
use crate::{Billing, Sis};

/// The most differences that are named.
const MOST_DIFFERENCES: usize = 1_000;

/// What kind of difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// The student account bears another amount.
    Amount,
    /// Acknowledged, but not there.
    MissingAtSis,
    /// There more than once.
    DoubledAtSis,
    /// There with a reference of ours that does not count as being there.
    UnknownAtSis,
    /// Posting and ledger, or ledger and totals, disagree.
    Ledger,
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What kind.
    pub kind: DifferenceKind,
    /// The reference it is about.
    pub reference: String,
    /// The posting it is about.
    pub posting_id: Option<Uuid>,
    /// What we have.
    pub ours: Money,
    /// What the other side has.
    pub theirs: Money,
}

/// The match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciliation {
    /// What the ledger has handed over.
    pub ledger_total: Money,
    /// What the acknowledged and settled postings add up to.
    pub posting_total: Money,
    /// What the student-information system has of ours.
    pub sis_total: Money,
    /// The postings compared.
    pub posting_count: i64,
    /// Every difference.
    pub differences: Vec<Difference>,
}

/// The books as of one moment.
struct Books {
    postings: Vec<Posting>,
    ledger: HashMap<Uuid, Money>,
    disagreements: Vec<journal::Disagreement>,
}

/// Compares ledger, postings and student accounts. Postings that change
/// meanwhile are left for the next time.
///
/// # Errors
/// [`Error::SisNotConfigured`], [`Error::SisUnavailable`], the database's.
pub async fn reconcile(billing: &Billing) -> Result<Reconciliation, Error> {
    let sis = billing.sis.as_deref().ok_or(Error::SisNotConfigured)?;
    let books = read_books(billing).await?;
    let charges = list_charges(sis, &books.postings).await?;
    let mut connection = billing.database.pool().acquire().await?;
    let later = store::list_submitted(&mut connection).await?;
    drop(connection);

    let nothing = Money::zero(billing.currency);
    let mut result = Reconciliation {
        ledger_total: sum(nothing, books.ledger.values().copied())?,
        posting_total: sum(
            nothing,
            counted(&books.postings).map(|posting| posting.amount),
        )?,
        sis_total: nothing,
        posting_count: counted(&books.postings).count() as i64,
        differences: Vec::new(),
    };
    compare_with_sis(&mut result, &books.postings, &charges, nothing)?;
    let steady = steady_references(&books.postings, &later);
    result.differences.retain(|difference| {
        steady
            .get(difference.reference.as_str())
            .copied()
            .unwrap_or(true)
    });
    compare_with_ledger(&mut result, &books, nothing)?;
    result.differences.truncate(MOST_DIFFERENCES);
    Ok(result)
}

/// Postings and ledger, of one snapshot.
async fn read_books(billing: &Billing) -> Result<Books, Error> {
    let mut connection = billing.database.pool().acquire().await?;
    let mut snapshot = connection.begin().await?;
    sqlx::query!("set transaction isolation level repeatable read, read only")
        .execute(&mut *snapshot)
        .await?;
    let postings = store::list_submitted(&mut snapshot).await?;
    let mut ledger = HashMap::new();
    for row in journal::store::list_sis_ledger(&mut snapshot).await? {
        ledger.insert(row.account_id, money(row.amount, billing.currency.code())?);
    }
    let disagreements =
        journal::store::list_disagreements(&mut snapshot, MOST_DIFFERENCES as i64).await?;
    snapshot.commit().await?;
    Ok(Books {
        postings,
        ledger,
        disagreements,
    })
}

/// Every charge of the students, periods and destinations that we ever posted
/// to.
async fn list_charges(sis: &Sis, postings: &[Posting]) -> Result<Vec<SisCharge>, Error> {
    let mut charges = Vec::new();
    for tuple in by_tuple(postings.to_vec()).keys() {
        let listed = sis
            .accounts
            .list_charges(&filter_of(tuple))
            .await
            .map_err(Error::SisUnavailable)?;
        charges.extend(listed);
    }
    Ok(charges)
}

fn compare_with_sis(
    result: &mut Reconciliation,
    postings: &[Posting],
    charges: &[SisCharge],
    nothing: Money,
) -> Result<(), Error> {
    let by_sis_id: HashMap<&str, &Posting> = postings
        .iter()
        .filter_map(|posting| Some((posting.sis_charge_id.as_deref()?, posting)))
        .collect();
    let by_reference: HashMap<&str, &Posting> = postings
        .iter()
        .map(|posting| (posting.reference.as_str(), posting))
        .collect();
    let mut seen: HashMap<Uuid, &SisCharge> = HashMap::new();
    for charge in charges {
        let theirs = charge.amount.unwrap_or(nothing);
        if let Some(posting) = by_sis_id.get(charge.sis_id.as_str()) {
            seen.insert(posting.id, charge);
            result.sis_total = result.sis_total.plus(theirs)?;
            continue;
        }
        let Some(reference) = own_reference(charge) else {
            continue;
        };
        let posting = by_reference.get(reference.as_str()).copied();
        let kind = match posting.map(|posting| posting.state) {
            // Its answer is still to come.
            Some(PostingState::Submitted | PostingState::Unknown) => continue,
            Some(PostingState::Acknowledged | PostingState::Settled) => {
                DifferenceKind::DoubledAtSis
            }
            Some(_) | None => DifferenceKind::UnknownAtSis,
        };
        result.sis_total = result.sis_total.plus(theirs)?;
        result.differences.push(Difference {
            kind,
            reference: reference.to_string(),
            posting_id: posting.map(|posting| posting.id),
            ours: match kind {
                DifferenceKind::DoubledAtSis => posting.map_or(nothing, |posting| posting.amount),
                _ => nothing,
            },
            theirs,
        });
    }
    for posting in counted(postings) {
        let theirs = seen.get(&posting.id).copied();
        let kind = match theirs {
            None => DifferenceKind::MissingAtSis,
            Some(charge) if charge.amount != Some(posting.amount) => DifferenceKind::Amount,
            Some(_) => continue,
        };
        result.differences.push(Difference {
            kind,
            reference: posting.reference.clone(),
            posting_id: Some(posting.id),
            ours: posting.amount,
            theirs: theirs.and_then(|charge| charge.amount).unwrap_or(nothing),
        });
    }
    Ok(())
}

fn compare_with_ledger(
    result: &mut Reconciliation,
    books: &Books,
    nothing: Money,
) -> Result<(), Error> {
    let mut by_account: BTreeMap<Uuid, (Money, Option<&Posting>)> = books
        .ledger
        .keys()
        .map(|account_id| (*account_id, (nothing, None)))
        .collect();
    for posting in counted(&books.postings) {
        let (sum, first) = by_account
            .entry(posting.account_id)
            .or_insert((nothing, None));
        *sum = sum.plus(posting.amount)?;
        first.get_or_insert(posting);
    }
    for (account_id, (ours, posting)) in by_account {
        let theirs = books.ledger.get(&account_id).copied().unwrap_or(nothing);
        if ours != theirs {
            result.differences.push(Difference {
                kind: DifferenceKind::Ledger,
                reference: posting
                    .map(|posting| posting.reference.clone())
                    .unwrap_or_default(),
                posting_id: posting.map(|posting| posting.id),
                ours,
                theirs,
            });
        }
    }
    for wrong in &books.disagreements {
        tracing::error!(row.id = %wrong.row_id, part = wrong.part, "a total disagrees with the journal");
        result.differences.push(Difference {
            kind: DifferenceKind::Ledger,
            reference: wrong.reference.clone(),
            posting_id: None,
            ours: money(wrong.kept, &wrong.currency)?,
            theirs: money(wrong.booked, &wrong.currency)?,
        });
    }
    Ok(())
}

/// Postings that count as being at the student account.
fn counted(postings: &[Posting]) -> impl Iterator<Item = &Posting> {
    postings.iter().filter(|posting| {
        matches!(
            posting.state,
            PostingState::Acknowledged | PostingState::Settled
        )
    })
}

/// Which references stood still between two readings.
fn steady_references<'a>(before: &'a [Posting], after: &'a [Posting]) -> HashMap<&'a str, bool> {
    let before: HashMap<Uuid, &Posting> =
        before.iter().map(|posting| (posting.id, posting)).collect();
    after
        .iter()
        .map(|posting| {
            let steady = before.get(&posting.id).is_some_and(|earlier| {
                earlier.state == posting.state && earlier.amount == posting.amount
            });
            (posting.reference.as_str(), steady)
        })
        .collect()
}

/// The reference that a charge bears, in the form in which Carrel writes it:
/// "…, ref 7K3QX09B".
fn own_reference(charge: &SisCharge) -> Option<Reference> {
    charge
        .description
        .iter()
        .chain(&charge.comments)
        .find_map(|text| {
            let (_, after) = text.split_once(", ref ")?;
            after
                .split(|c: char| !c.is_ascii_alphanumeric())
                .next()?
                .parse()
                .ok()
        })
}

fn sum(nothing: Money, amounts: impl Iterator<Item = Money>) -> Result<Money, Error> {
    let mut sum = nothing;
    for amount in amounts {
        sum = sum.plus(amount)?;
    }
    Ok(sum)
}
