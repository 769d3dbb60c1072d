//! Changing when loans are due: one at the desk, or many that a selection
//! names, in batches that any replica goes on with.

use std::time::{Duration, Instant};

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_outbox::{NewEvent, append};
use carrel_runtime::Call;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::action::{self, Action};
use super::action_store::{self, Waiting};
use super::ledger::{self, ActionRecord};
use super::model::Loan;
use super::{calendar_of, due_date, event, permit, store, tell};
use crate::error::Error;
use crate::{Circulation, first_id};

/// Loans of one change.
pub const MOST_LOANS: i64 = 100_000;
/// Loans moved in one transaction.
const BATCH: i64 = 200;
/// How long a call goes on before it answers with the rest still waiting.
const LONGEST_CALL: Duration = Duration::from_secs(5);

/// Open loans, neither lost nor claimed returned, that all of these select.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Lent here.
    pub check_out_service_point_id: Option<Uuid>,
    /// Due then or later.
    pub due_from: Option<Timestamp>,
    /// Due before.
    pub due_before: Option<Timestamp>,
    /// Of items of this library, by its code.
    pub library_code: Option<String>,
    /// Of items of this location, by its code.
    pub location_code: Option<String>,
}

/// Which loans.
#[derive(Debug, Clone)]
pub enum Selection {
    /// These.
    Named(Vec<Uuid>),
    /// All that the filter selects.
    Filter(Filter),
}

/// What a change would change.
#[derive(Debug)]
pub struct Preview {
    /// How many loans.
    pub count: i64,
    /// Tells this selection with its due dates from any other.
    pub fingerprint: String,
    /// A page of them.
    pub loans: Vec<Loan>,
}

/// A change of many due dates.
#[derive(Debug)]
pub struct ChangeDueDates {
    /// Which loans.
    pub selection: Selection,
    /// Where it is asked for.
    pub service_point_id: Uuid,
    /// When they are due.
    pub due_at: Timestamp,
    /// The preview's.
    pub fingerprint: Option<String>,
    /// Why.
    pub comment: String,
}

/// How far a change of many due dates is.
#[derive(Debug)]
pub struct DueDateChange {
    /// Its id.
    pub id: Uuid,
    /// Moved.
    pub moved_count: i64,
    /// Left as they were.
    pub left_count: i64,
    /// Not come to yet.
    pub waiting_count: i64,
    /// Some of those that were left, and why.
    pub left: Vec<(Uuid, String)>,
}

/// Who moves due dates, where and why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reason<'a> {
    pub actor: &'a str,
    /// `None`: nowhere, by itself.
    pub service_point_id: Option<Uuid>,
    pub comment: &'a str,
}

/// Moves the due dates of loans, each to an instant of its own: (loan, new due
/// date). It locks their items and then their patrons, so the transaction may
/// hold no patron's lock yet. Returns what became of each, in the order given,
/// and the events, which the caller appends as its last statement.
///
/// # Errors
/// The database's; what keeps a single loan from being moved is its outcome.
pub(crate) async fn move_due_dates(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    moves: &[(Uuid, Timestamp)],
    reason: Reason<'_>,
    now: Timestamp,
) -> Result<(Vec<Result<Loan, Error>>, Vec<NewEvent>), Error> {
    let ids: Vec<Uuid> = moves.iter().map(|(loan_id, _)| *loan_id).collect();
    let mut loans = action_store::lock_loans(transaction, &ids).await?;
    let (mut outcomes, mut events) = (Vec::with_capacity(moves.len()), Vec::new());
    for (loan_id, due_at) in moves {
        let id = carrel_ids::new_id();
        let moved = match loans.remove(loan_id) {
            Some(loan) => {
                move_due_date(circulation, transaction, &loan, *due_at, id, reason, now).await
            }
            None => Err(Error::LoanNotFound),
        };
        match moved {
            Err(Error::Database(error)) => return Err(Error::Database(error)),
            Ok(loan) => {
                events.push(event::loan_changed(&loan, now));
                outcomes.push(Ok(loan));
            }
            Err(rule) => outcomes.push(Err(rule)),
        }
    }
    Ok((outcomes, events))
}

/// Moves one due date, whose item and patron are locked.
async fn move_due_date(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    before: &Loan,
    due_at: Timestamp,
    action_id: Uuid,
    reason: Reason<'_>,
    now: Timestamp,
) -> Result<Loan, Error> {
    let Some(patron_id) = before.patron_id.filter(|_| before.is_open()) else {
        return Err(Error::LoanClosed);
    };
    if reason.actor == format!("patron:{patron_id}") {
        return Err(Error::OwnAccount);
    }
    if before.claimed_returned_at.is_some() {
        return Err(Error::LoanClaimedReturned);
    }
    if before.loss.is_some() {
        return Err(Error::LoanLost);
    }
    if due_at <= now || due_at <= before.checked_out_at {
        return Err(Error::DueDateNotInFuture);
    }
    let policies = circulation
        .known
        .loan_policies(transaction, before.policy_ids)
        .await?;
    let calendar = calendar_of(circulation, transaction, before).await?;
    let lost_after = policies
        .lost_item
        .terms
        .aged_after(before.recalled_at.is_some());
    let mut loan = before.clone();
    loan.change_due_date(due_at, due_date::lost_at(lost_after, due_at, &calendar));
    let record = ActionRecord {
        id: action_id,
        actor: reason.actor,
        occurred_at: now,
        recorded_at: now,
        service_point_id: reason.service_point_id,
        comment: reason.comment,
        overridden: &[],
        fine: None,
    };
    ledger::change(transaction, before, &loan, &record).await?;
    Ok(loan)
}

/// Changes when a loan is due.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn change_due_date(
    circulation: &Circulation,
    call: &Call,
    key: &RequestKey,
    request: &Action,
    due_at: Timestamp,
) -> Result<Loan, Error> {
    let id = carrel_ids::new_id();
    let loan = transact!(circulation.database, "change_due_date", |transaction| {
        let now = circulation.clock.now();
        if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
            return action::loan_of(transaction, &ids).await;
        }
        let before = action::open_loan(transaction, call, request).await?;
        let reason = Reason {
            actor: call.caller.subject(),
            service_point_id: Some(request.service_point_id),
            comment: &request.comment,
        };
        let loan =
            move_due_date(circulation, transaction, &before, due_at, id, reason, now).await?;
        tell(transaction, call, vec![event::loan_changed(&loan, now)]).await?;
        tracing::info!(loan.id = %loan.id, "due date changed");
        Ok(loan)
    })?;
    circulation.wake.committed();
    Ok(loan)
}

async fn permit_here(
    connection: &mut PgConnection,
    call: &Call,
    service_point_id: Uuid,
) -> Result<(), Error> {
    let desk = store::find_desk(connection, service_point_id).await?;
    permit(call, &desk.ok_or(Error::ServicePointNotFound)?, None, None)
}

/// Shows what a change of many due dates would change, after one loan.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn preview_due_date_change(
    circulation: &Circulation,
    call: &Call,
    selection: &Selection,
    service_point_id: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Preview, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    permit_here(&mut connection, call, service_point_id).await?;
    let (count, fingerprint) = action_store::summary(&mut connection, selection).await?;
    if count > MOST_LOANS {
        return Err(Error::TooManyLoans);
    }
    let loans = action_store::select_loans(&mut connection, selection, after, limit).await?;
    Ok(Preview {
        count,
        fingerprint,
        loans,
    })
}

/// Changes many due dates: first all of it is written down, then it is done in
/// batches, here for some time and otherwise by itself.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn change_due_dates(
    circulation: &Circulation,
    call: &Call,
    key: &RequestKey,
    request: &ChangeDueDates,
) -> Result<DueDateChange, Error> {
    let new_id = carrel_ids::new_id();
    let id = transact!(circulation.database, "plan_due_dates", |transaction| {
        let now = circulation.clock.now();
        if let Claim::Done(ids) = claim(transaction, key, &[new_id], now).await?? {
            return first_id(&ids);
        }
        permit_here(transaction, call, request.service_point_id).await?;
        if request.due_at <= now {
            return Err(Error::DueDateNotInFuture);
        }
        let actor = call.caller.subject();
        action_store::insert_change(transaction, new_id, request, actor, now).await?;
        let (count, fingerprint) =
            action_store::plan_loans(transaction, new_id, &request.selection, request.due_at)
                .await?;
        if count > MOST_LOANS {
            return Err(Error::TooManyLoans);
        }
        if request
            .fingerprint
            .as_ref()
            .is_some_and(|seen| *seen != fingerprint)
        {
            return Err(Error::LoansChanged);
        }
        if let Selection::Named(ids) = &request.selection
            && !action_store::are_all_loans(transaction, ids).await?
        {
            return Err(Error::LoanNotFound);
        }
        Ok(new_id)
    })?;
    let began = Instant::now();
    while began.elapsed() < LONGEST_CALL && move_batch(circulation, Some(id)).await? > 0 {}
    get_due_date_change(circulation, id).await
}

/// Tells how far a change of many due dates is.
///
/// # Errors
/// [`Error::DueDateChangeNotFound`].
pub async fn get_due_date_change(
    circulation: &Circulation,
    id: Uuid,
) -> Result<DueDateChange, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    action_store::find_change(&mut connection, id)
        .await?
        .ok_or(Error::DueDateChangeNotFound)
}

/// Moves all that is written down and waits.
pub(super) async fn move_waiting(circulation: &Circulation) -> Result<(), Error> {
    while move_batch(circulation, None).await? > 0 {}
    Ok(())
}

/// Moves the next loans of a change, or of any; returns how many it came to.
async fn move_batch(circulation: &Circulation, change_id: Option<Uuid>) -> Result<usize, Error> {
    let count = transact!(circulation.database, "move_due_dates", |transaction| {
        let now = circulation.clock.now();
        let Some(Waiting {
            change_id,
            actor,
            service_point_id,
            comment,
            moves,
        }) = action_store::take_waiting(transaction, change_id, BATCH).await?
        else {
            return Ok::<_, Error>(0);
        };
        let reason = Reason {
            actor: &actor,
            service_point_id,
            comment: &comment,
        };
        let (outcomes, events) =
            move_due_dates(circulation, transaction, &moves, reason, now).await?;
        action_store::put_outcomes(transaction, change_id, &moves, outcomes).await?;
        append(transaction, &events).await?;
        Ok(moves.len())
    })?;
    if count > 0 {
        circulation.wake.committed();
    }
    Ok(count)
}
