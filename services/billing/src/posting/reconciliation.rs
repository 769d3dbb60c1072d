//! The three-way match: what the ledger says is at the student account, what the postings say, what is there.

use std::collections::{BTreeMap, HashMap, HashSet};

use carrel_ids::Reference;
use carrel_money::Money;
use carrel_student_accounts::SisCharge;
use futures::StreamExt as _;
use futures::stream;
use sqlx::Acquire as _;
use uuid::Uuid;

use super::model::{Posting, PostingState};
use super::settlement::{Tuple, by_tuple, filter_of, tuple_of};
use super::{AT_ONCE, store};
use crate::columns::money;
use crate::error::{Error, is_away, sis_error_kind};
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
    /// The student-information system does not list the student account: not
    /// compared, and in none of the totals.
    NotListed,
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

/// Compares ledger, postings and student accounts. Charges whose postings
/// change meanwhile are left for the next time, in the totals too; so are those
/// of student accounts that the student-information system refuses to list,
/// which are named.
///
/// # Errors
/// [`Error::SisNotConfigured`], [`Error::SisUnavailable`], the database's.
pub async fn reconcile(billing: &Billing) -> Result<Reconciliation, Error> {
    let sis = billing.sis.as_deref().ok_or(Error::SisNotConfigured)?;
    let mut books = read_books(billing).await?;
    let mut listed = list_charges(sis, &books.postings).await?;
    let mut connection = billing.database.pool().acquire().await?;
    let later = store::list_submitted(&mut connection).await?;
    drop(connection);

    let moved = moved_accounts(&books.postings, &later);
    leave_out(&moved, &mut books, &mut listed.charges, &later);
    let not_listed: Vec<Posting> = counted(&books.postings)
        .filter(|posting| listed.refused.contains(&tuple_of(posting)))
        .cloned()
        .collect();
    let unseen = not_listed
        .iter()
        .map(|posting| posting.account_id)
        .collect();
    leave_out(&unseen, &mut books, &mut listed.charges, &later);
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
    compare_with_sis(&mut result, &books.postings, &listed.charges, nothing)?;
    compare_with_ledger(&mut result, &books, nothing)?;
    for posting in not_listed {
        result.differences.push(Difference {
            kind: DifferenceKind::NotListed,
            reference: posting.reference,
            posting_id: Some(posting.id),
            ours: posting.amount,
            theirs: nothing,
        });
    }
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

/// What the student-information system says.
struct Listed {
    charges: Vec<SisCharge>,
    /// Of these it does not say anything that can be read.
    refused: HashSet<Tuple>,
}

/// Every charge of the students, periods and destinations that we ever posted
/// to.
async fn list_charges(sis: &Sis, postings: &[Posting]) -> Result<Listed, Error> {
    let mut listed = Listed {
        charges: Vec::new(),
        refused: HashSet::new(),
    };
    let tuples = by_tuple(postings.to_vec()).into_keys();
    let mut answers = stream::iter(tuples)
        .map(|tuple| async {
            let charges = sis.accounts.list_charges(&filter_of(&tuple)).await;
            (tuple, charges)
        })
        .buffer_unordered(AT_ONCE as usize);
    while let Some((tuple, charges)) = answers.next().await {
        match charges {
            Ok(charges) => listed.charges.extend(charges),
            Err(error) if is_away(&error) => return Err(Error::SisUnavailable(error)),
            Err(error) => {
                tracing::warn!(
                    kind = sis_error_kind(&error),
                    "a student account could not be compared"
                );
                listed.refused.insert(tuple);
            }
        }
    }
    Ok(listed)
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

/// The charges whose postings changed between two readings: nobody can tell
/// which of the two the student account showed.
fn moved_accounts(before: &[Posting], later: &[Posting]) -> HashSet<Uuid> {
    let before: HashMap<Uuid, &Posting> =
        before.iter().map(|posting| (posting.id, posting)).collect();
    later
        .iter()
        .filter(|posting| {
            before.get(&posting.id).is_none_or(|earlier| {
                earlier.state != posting.state || earlier.amount != posting.amount
            })
        })
        .map(|posting| posting.account_id)
        .collect()
}

/// Leaves charges out of the match, here and there.
fn leave_out(
    accounts: &HashSet<Uuid>,
    books: &mut Books,
    charges: &mut Vec<SisCharge>,
    later: &[Posting],
) {
    let left_out = || {
        let postings = books.postings.iter().chain(later);
        postings.filter(|posting| accounts.contains(&posting.account_id))
    };
    let sis_ids: HashSet<&str> = left_out()
        .filter_map(|posting| posting.sis_charge_id.as_deref())
        .collect();
    let references: HashSet<&str> = left_out()
        .map(|posting| posting.reference.as_str())
        .collect();
    charges.retain(|charge| {
        let is_left_out = sis_ids.contains(charge.sis_id.as_str())
            || own_reference(charge)
                .is_some_and(|reference| references.contains(reference.as_str()));
        !is_left_out
    });
    books
        .postings
        .retain(|posting| !accounts.contains(&posting.account_id));
    books
        .ledger
        .retain(|account_id, _| !accounts.contains(account_id));
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
