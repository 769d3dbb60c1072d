//! Ageing: what is due becomes overdue, and what stays out becomes lost. It
//! runs in batches that several replicas share: each takes rows that no other
//! one holds, and a batch that is cut off is as if it had never begun.

mod store;

use std::time::Duration;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_outbox::{NewEvent, append};
use carrel_proto::circulation::v1::{CirculationItemStatus, LoanAction};
use tokio_util::sync::CancellationToken;

use crate::Circulation;
use crate::error::Error;
use crate::loan::fine::lost_fees;
use crate::loan::model::{Loss, LossCause};
use crate::loan::{event, unattended};
use crate::period::second_of;

/// Who ages, in a loan's history.
const ACTOR: &str = "service:circulation";
/// Loans aged in one transaction.
const BATCH: i64 = 200;
/// Between two looks at what is due. The look is one indexed statement; this
/// often because a clock that was moved is to be felt at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What was aged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Aged {
    /// Loans found overdue.
    pub overdue_count: i64,
    /// Loans aged to lost.
    pub aged_to_lost_count: i64,
}

/// Ages what is due by now, once for each request.
///
/// # Errors
/// The database's.
pub async fn run_once(circulation: &Circulation, key: &RequestKey) -> Result<Aged, Error> {
    let now = circulation.clock.now();
    let claimed = transact!(circulation.database, "claim_ageing", |transaction| {
        Ok::<_, Error>(claim(transaction, key, &[], now).await??)
    })?;
    match claimed {
        // What a call that was cut off left undone, the next run does.
        Claim::Done(_) => Ok(Aged::default()),
        Claim::New => run(circulation).await,
    }
}

/// Ages what is due by now.
///
/// # Errors
/// The database's.
pub async fn run(circulation: &Circulation) -> Result<Aged, Error> {
    // What renews itself in time does not become overdue.
    unattended::run(circulation).await?;
    let mut aged = Aged::default();
    loop {
        let count = find_overdue(circulation).await?;
        aged.overdue_count += count;
        if count == 0 {
            break;
        }
    }
    loop {
        let count = age_to_lost(circulation).await?;
        aged.aged_to_lost_count += count;
        if count == 0 {
            break;
        }
    }
    if aged != Aged::default() {
        let Aged {
            overdue_count,
            aged_to_lost_count,
        } = aged;
        tracing::info!(overdue_count, aged_to_lost_count, "aged");
    }
    Ok(aged)
}

/// Ages by itself until the service ends.
pub async fn run_until(circulation: Circulation, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let now = circulation.clock.now();
        let outcome = async {
            if unattended::is_anything_due(&circulation, now).await?
                || store::is_anything_due(circulation.database.pool(), second_of(now)).await?
            {
                run(&circulation).await?;
            }
            Ok::<_, Error>(())
        };
        // Cut off, a batch rolls back; its loans are due still.
        let Some(outcome) = shutdown.run_until_cancelled(outcome).await else {
            return;
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "could not age; trying again");
        }
    }
}

async fn find_overdue(circulation: &Circulation) -> Result<i64, Error> {
    let now = circulation.clock.now();
    let count = transact!(circulation.database, "find_overdue", |transaction| {
        let mut loans = store::take_overdue(transaction, second_of(now), BATCH).await?;
        if loans.is_empty() {
            return Ok::<_, Error>(0);
        }
        for loan in &mut loans {
            loan.overdue_since = Some(now);
            loan.revision += 1;
        }
        store::lock_patrons(transaction, &loans).await?;
        store::write_overdue(transaction, &loans, now).await?;
        let events: Vec<NewEvent> = loans
            .iter()
            .map(|loan| event::loan_changed(loan, now))
            .collect();
        append(transaction, &events).await?;
        Ok(loans.len() as i64)
    })?;
    circulation.wake.committed();
    Ok(count)
}

async fn age_to_lost(circulation: &Circulation) -> Result<i64, Error> {
    let now = circulation.clock.now();
    let count = transact!(circulation.database, "age_to_lost", |transaction| {
        let before = store::take_lost(transaction, now, BATCH).await?;
        if before.is_empty() {
            return Ok::<_, Error>(0);
        }
        let mut loans = Vec::with_capacity(before.len());
        for taken in &before {
            let mut loan = taken.loan.clone();
            loan.action = LoanAction::ItemAgedToLost;
            loan.overdue_since = loan.overdue_since.or(Some(now));
            loan.loss = Some(Loss {
                id: carrel_ids::new_id(),
                at: now,
                cause: LossCause::Aged,
            });
            loan.revision += 1;
            loans.push(loan);
        }
        store::lock_patrons(transaction, &loans).await?;
        store::write_lost(transaction, &before, &loans, now).await?;
        let mut events = Vec::with_capacity(loans.len() * 3);
        for (taken, loan) in before.iter().zip(&loans) {
            let policies = circulation
                .known
                .loan_policies(transaction, loan.policy_ids)
                .await?;
            let fees = lost_fees(&policies.lost_item.terms, taken.price);
            let status = CirculationItemStatus::AgedToLost;
            let revision = taken.item_revision + 1;
            events.push(event::availability_changed(
                loan.item_id,
                status,
                revision,
                now,
            ));
            events.push(event::loan_changed(loan, now));
            events.extend(event::aged_to_lost(loan, fees));
        }
        append(transaction, &events).await?;
        Ok(loans.len() as i64)
    })?;
    circulation.wake.committed();
    Ok(count)
}
