//! Recalls: which loan is shortened, and until when.

use carrel_outbox::NewEvent;
use jiff::Timestamp;
use sqlx::PgConnection;

use super::create::policy_of;
use super::fulfilment::Book;
use super::model::recall_due_at;
use super::title::TitleItem;
use crate::Circulation;
use crate::error::Error;
use crate::loan::ledger::{self, ActionRecord};
use crate::loan::model::Loan;
use crate::loan::{calendar_of, due_date, event};
use crate::period::second_of;
use crate::policy::model::RequestTerms;

/// A loan that a recall is for.
#[derive(Debug)]
pub(crate) struct Recallable {
    pub loan: Loan,
}

/// The loan that a recall is for: the one with the next due date that nobody
/// recalled yet, or else the one with the next due date. Where a policy
/// forbids to recall an item, its loan is taken only if there is no other.
/// What is lost or claimed returned can't be called back.
pub(crate) fn choose(
    candidates: &[&TitleItem],
    loans: &[Loan],
    book: &Book,
    patron_group: &str,
) -> Result<Option<Recallable>, Error> {
    let mut found: Option<((bool, bool, Timestamp), &Loan)> = None;
    for item in candidates {
        let loan = loans.iter().find(|loan| Some(loan.id) == item.open_loan_id);
        let stands = |loan: &&Loan| {
            loan.is_open() && loan.loss.is_none() && loan.claimed_returned_at.is_none()
        };
        let Some(loan) = loan.filter(stands) else {
            continue;
        };
        let forbidden = !policy_of(book, item, patron_group)?.terms.recall;
        let rank = (forbidden, loan.recalled_at.is_some(), loan.due_at);
        if found.is_none_or(|(best, _)| rank < best) {
            found = Some((rank, loan));
        }
    }
    Ok(found.map(|(_, loan)| Recallable { loan: loan.clone() }))
}

/// Recalls a loan: it is due sooner, never later. The caller holds the locks
/// of its item and its patron.
pub(crate) async fn shorten(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    found: &Recallable,
    terms: &RequestTerms,
    actor: &str,
    now: Timestamp,
) -> Result<Vec<NewEvent>, Error> {
    let before = &found.loan;
    let calendar = calendar_of(circulation, transaction, before).await?;
    let known = &circulation.known;
    let policies = known.loan_policies(transaction, before.policy_ids).await?;
    let wanted = recall_due_at(terms, before.checked_out_at, now, &calendar);
    let due_at = wanted.map_or(before.due_at, |wanted| {
        let loan_terms = &policies.loan.terms;
        due_date::moved_due_at(loan_terms, second_of(wanted), now, &calendar)
            .max(second_of(now))
            .min(before.due_at)
    });
    let mut loan = before.clone();
    // In the second of its check-out a loan would end before it began.
    if due_at < before.due_at && due_at > before.checked_out_at {
        loan.due_at = due_at;
    }
    let lost_after = policies.lost_item.terms.aged_after(true);
    loan.lost_due_at = due_date::lost_at(lost_after, loan.due_at, &calendar);
    loan.recall(now);
    let record = ActionRecord {
        id: carrel_ids::new_id(),
        actor,
        occurred_at: now,
        recorded_at: now,
        service_point_id: None,
        comment: "",
        overridden: &[],
        fine: None,
    };
    ledger::change(transaction, before, &loan, &record).await?;
    Ok(vec![event::loan_changed(&loan, now)])
}
