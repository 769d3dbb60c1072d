//! Ageing: what is due becomes overdue, what stays out becomes lost, what is
//! lost and paid for ends, and what has ended and is owed nothing for loses its
//! patron. It runs in batches that several replicas share: each takes rows that
//! no other one holds, and a batch that is cut off is as if it had never begun.

mod lost_and_paid;
pub(crate) mod store;

use std::time::Duration;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_outbox::{NewEvent, append};
use carrel_proto::circulation::v1::CirculationItemStatus;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::Error;
use crate::loan::fine::lost_fees;
use crate::loan::model::{Loss, LossCause};
use crate::loan::{event, unattended};
use crate::period::second_of;
use crate::{Circulation, first_id, privacy, request};

pub(crate) use lost_and_paid::refund;

/// Who ages, in a loan's history.
pub(crate) const ACTOR: &str = "service:circulation";
/// Loans aged in one transaction.
pub(crate) const BATCH: i64 = 200;
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
    /// Loans ended since their lost item was paid for.
    pub lost_and_paid_count: i64,
    /// Loans and requests whose patron was cut.
    pub anonymised_count: i64,
}

/// What one transaction of ageing did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Batch {
    /// Rows looked at and settled; none: nothing is left.
    pub taken: usize,
    /// What came of them.
    pub aged: Aged,
}

/// What ageing does, in this order.
#[derive(Debug, Clone, Copy)]
enum Step {
    Overdue,
    Lost,
    LostAndPaid,
    Anonymise,
    AnonymiseRequests,
}

const STEPS: [Step; 5] = [
    Step::Overdue,
    Step::Lost,
    Step::LostAndPaid,
    Step::Anonymise,
    Step::AnonymiseRequests,
];

/// Ages what is due by now, once for each request: its run counts within the
/// transactions that age, so a repeated request does what was left undone and
/// gives the same answer.
///
/// # Errors
/// The database's.
pub async fn run_once(circulation: &Circulation, key: &RequestKey) -> Result<Aged, Error> {
    let now = circulation.clock.now();
    let id = carrel_ids::new_id();
    let run_id = transact!(circulation.database, "claim_ageing", |transaction| {
        match claim(transaction, key, &[id], now).await?? {
            Claim::Done(ids) => first_id(&ids),
            Claim::New => {
                store::begin_run(transaction, id).await?;
                Ok(id)
            }
        }
    })?;
    go_through(circulation, Some(run_id)).await?;
    Ok(store::finish_run(circulation.database.pool(), run_id, now).await?)
}

/// Ages what is due by now.
///
/// # Errors
/// The database's.
pub async fn run(circulation: &Circulation) -> Result<Aged, Error> {
    go_through(circulation, None).await
}

async fn go_through(circulation: &Circulation, run_id: Option<Uuid>) -> Result<Aged, Error> {
    // What renews itself in time does not become overdue.
    unattended::run(circulation).await?;
    let mut aged = Aged::default();
    for step in STEPS {
        loop {
            let batch = match step {
                Step::Overdue => find_overdue(circulation, run_id).await?,
                Step::Lost => age_to_lost(circulation, run_id).await?,
                Step::LostAndPaid => lost_and_paid::end_one(circulation, run_id).await?,
                Step::Anonymise => privacy::anonymise(circulation, run_id).await?,
                Step::AnonymiseRequests => privacy::anonymise_requests(circulation, run_id).await?,
            };
            if batch.taken == 0 {
                break;
            }
            aged.overdue_count += batch.aged.overdue_count;
            aged.aged_to_lost_count += batch.aged.aged_to_lost_count;
            aged.lost_and_paid_count += batch.aged.lost_and_paid_count;
            aged.anonymised_count += batch.aged.anonymised_count;
        }
    }
    request::ageing::run(circulation).await?;
    privacy::forget_borrowers(circulation).await?;
    if aged != Aged::default() {
        let Aged {
            overdue_count,
            aged_to_lost_count,
            lost_and_paid_count,
            anonymised_count,
        } = aged;
        tracing::info!(
            overdue_count,
            aged_to_lost_count,
            lost_and_paid_count,
            anonymised_count,
            "aged"
        );
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
            let pool = circulation.database.pool();
            if unattended::is_anything_due(&circulation, now).await?
                || store::is_anything_due(pool, second_of(now)).await?
                || request::ageing::is_anything_due(pool, now).await?
                || privacy::is_anything_due(pool, now).await?
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

async fn find_overdue(circulation: &Circulation, run_id: Option<Uuid>) -> Result<Batch, Error> {
    let now = circulation.clock.now();
    let batch = transact!(circulation.database, "find_overdue", |transaction| {
        if !store::may_go_on(transaction, run_id).await? {
            return Ok::<_, Error>(Batch::default());
        }
        let mut loans = store::take_overdue(transaction, second_of(now), BATCH).await?;
        if loans.is_empty() {
            return Ok(Batch::default());
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
        let aged = Aged {
            overdue_count: loans.len() as i64,
            ..Aged::default()
        };
        store::count(transaction, run_id, aged).await?;
        append(transaction, &events).await?;
        Ok(Batch {
            taken: loans.len(),
            aged,
        })
    })?;
    circulation.wake.committed();
    Ok(batch)
}

async fn age_to_lost(circulation: &Circulation, run_id: Option<Uuid>) -> Result<Batch, Error> {
    let now = circulation.clock.now();
    let batch = transact!(circulation.database, "age_to_lost", |transaction| {
        if !store::may_go_on(transaction, run_id).await? {
            return Ok::<_, Error>(Batch::default());
        }
        let before = store::take_lost(transaction, now, BATCH).await?;
        if before.is_empty() {
            return Ok(Batch::default());
        }
        let (mut loans, mut events) = (Vec::with_capacity(before.len()), Vec::new());
        for taken in &before {
            let policies = circulation
                .known
                .loan_policies(transaction, taken.loan.policy_ids)
                .await?;
            let fees = lost_fees(&policies.lost_item.terms, taken.price);
            let loss = Loss {
                id: carrel_ids::new_id(),
                at: now,
                cause: LossCause::Aged,
            };
            let mut loan = taken.loan.clone();
            loan.age_to_lost(loss, fees);
            events.push(event::availability_changed(
                loan.item_id,
                CirculationItemStatus::AgedToLost,
                taken.item_revision + 1,
                now,
            ));
            events.push(event::loan_changed(&loan, now));
            events.extend(event::aged_to_lost(&loan, fees));
            loans.push(loan);
        }
        store::lock_patrons(transaction, &loans).await?;
        store::write_lost(transaction, &before, &loans, now).await?;
        let aged = Aged {
            aged_to_lost_count: loans.len() as i64,
            ..Aged::default()
        };
        store::count(transaction, run_id, aged).await?;
        append(transaction, &events).await?;
        Ok(Batch {
            taken: loans.len(),
            aged,
        })
    })?;
    circulation.wake.committed();
    Ok(batch)
}
