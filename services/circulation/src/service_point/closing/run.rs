//! Moving the due dates that a closing concerns, in batches. Several replicas
//! share them: each takes loans that no other one holds, and a batch that is
//! cut off is as if it had never begun.

use std::time::Duration;

use carrel_database::transact;
use carrel_outbox::{NewEvent, append};
use carrel_proto::circulation::v1::LoanAction;
use jiff::{SignedDuration, Timestamp};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::store::{self, Move, Unfinished};
use super::{Affected, ClosedPoint, affected, shelf};
use crate::Circulation;
use crate::error::Error;
use crate::loan::ledger::{self, ActionRecord};
use crate::loan::model::Loan;
use crate::loan::{self, due_date, event};
use crate::period::second_of;
use crate::service_point::calendar::Calendar;

/// Loans moved in one transaction.
const BATCH: i64 = 100;
/// Batches that the call which closes waits for: with more loans the rest goes
/// on after its answer.
const BATCHES_AT_ONCE: usize = 20;
/// Between two looks for closings that are not finished.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long after a closing a loan can still be made by the hours before it:
/// longer than any transaction takes.
const STRAGGLERS_FOR: SignedDuration = SignedDuration::from_secs(60);

/// Goes on with closings by itself until the service ends.
pub async fn run_until(circulation: Circulation, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        // Cut off, a batch rolls back; its loans are to be moved still.
        let Some(outcome) = shutdown.run_until_cancelled(run(&circulation)).await else {
            return;
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "could not move due dates; trying again");
        }
    }
}

/// Goes on with every closing that is not finished.
///
/// # Errors
/// The database's.
pub async fn run(circulation: &Circulation) -> Result<(), Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    let unfinished = store::list_unfinished(&mut connection).await?;
    drop(connection);
    for closing in unfinished {
        while move_batch(circulation, closing.id).await? > 0 {}
        while shelf::move_batch(circulation, closing.id).await? > 0 {}
        finish(circulation, &closing).await?;
    }
    Ok(())
}

/// Moves what a call waits for.
pub(super) async fn move_some(circulation: &Circulation, closing_id: Uuid) -> Result<(), Error> {
    for _ in 0..BATCHES_AT_ONCE {
        if move_batch(circulation, closing_id).await? == 0 {
            break;
        }
    }
    shelf::move_batch(circulation, closing_id).await.map(drop)
}

/// Notes loans that were being made while the closing was, and ends the work
/// where there can be no more of them.
async fn finish(circulation: &Circulation, closing: &Unfinished) -> Result<(), Error> {
    let now = circulation.clock.now();
    transact!(circulation.database, "finish_closing", |transaction| {
        if !store::lock_unfinished(transaction, closing.id).await? {
            return Ok(());
        }
        let points = closed_points(transaction, closing.id).await?;
        let stragglers: Vec<Affected> =
            affected(circulation, transaction, &points, Some(closing.id)).await?;
        store::insert_moves(transaction, closing.id, &stragglers).await?;
        let is_over = now >= closing.created_at + STRAGGLERS_FOR;
        if stragglers.is_empty() && is_over {
            store::finish(transaction, closing.id, now).await?;
        }
        Ok::<_, Error>(())
    })
}

pub(super) async fn closed_points(
    connection: &mut PgConnection,
    closing_id: Uuid,
) -> Result<Vec<ClosedPoint>, Error> {
    let mut points = Vec::new();
    for (point, closed) in store::list_closed_points(connection, closing_id).await? {
        let hours = super::super::store::opening_hours(connection, point.id).await?;
        points.push(ClosedPoint {
            id: point.id,
            closed,
            calendar: Calendar {
                zone: super::time_zone(&point.time_zone)?,
                hours,
            },
        });
    }
    Ok(points)
}

/// Moves some due dates; gives how many loans it was done with.
async fn move_batch(circulation: &Circulation, closing_id: Uuid) -> Result<usize, Error> {
    let now = circulation.clock.now();
    let count = transact!(circulation.database, "move_due_dates", |transaction| {
        let moves = store::take_moves(transaction, closing_id, BATCH).await?;
        if moves.is_empty() {
            return Ok::<_, Error>(0);
        }
        let ids: Vec<Uuid> = moves.iter().map(|one| one.loan_id).collect();
        let loans = loan::store::find_all(transaction, &ids).await?;
        store::lock_patrons(transaction, &loans).await?;
        let mut events: Vec<NewEvent> = Vec::new();
        let mut moved = Vec::new();
        for before in &loans {
            let Some(one) = moves.iter().find(|one| one.loan_id == before.id) else {
                continue;
            };
            if let Some(loan) = later(circulation, transaction, one, before, now).await? {
                let record = ActionRecord {
                    id: carrel_ids::new_id(),
                    actor: &one.closed_by,
                    occurred_at: now,
                    recorded_at: now,
                    service_point_id: None,
                    comment: &one.reason,
                    overridden: &[],
                    fine: None,
                };
                ledger::change(transaction, before, &loan, &record).await?;
                events.push(event::loan_changed(&loan, now));
                moved.push(loan.id);
            }
        }
        store::settle(transaction, closing_id, &ids, &moved).await?;
        append(transaction, &events).await?;
        Ok(ids.len())
    })?;
    if count > 0 {
        circulation.wake.committed();
    }
    Ok(count)
}

/// The loan with its new due date; `None` where the closing no longer concerns
/// it.
async fn later(
    circulation: &Circulation,
    connection: &mut PgConnection,
    one: &Move,
    before: &Loan,
    now: Timestamp,
) -> Result<Option<Loan>, Error> {
    let stands = before.is_open() && before.loss.is_none() && before.claimed_returned_at.is_none();
    if !stands || !one.closed.covers(before.due_at) {
        return Ok(None);
    }
    let policies = circulation
        .known
        .loan_policies(connection, before.policy_ids)
        .await?;
    let calendar = loan::calendar_of(circulation, connection, before).await?;
    let terms = &policies.loan.terms;
    let due_at = if before.due_at == one.due_at {
        // As the preview said.
        Some(one.new_due_at)
    } else {
        due_date::due_after_closing(terms, before.due_at, &one.closed, &calendar)
    };
    let Some(due_at) = due_at else {
        return Ok(None);
    };
    let lost_after = (policies.lost_item.terms).aged_after(before.recalled_at.is_some());
    let mut loan = before.clone();
    loan.action = LoanAction::DueDateChanged;
    loan.due_at = due_at;
    loan.lost_due_at = due_date::lost_at(lost_after, due_at, &calendar);
    if due_at >= second_of(now) {
        loan.overdue_since = None;
    }
    loan.revision += 1;
    Ok(Some(loan))
}
