//! Lost and paid: once billing has told that the lost item fee is paid, the
//! loan ends without its item. Should the item come back after all, it is found.

use carrel_database::transact;
use carrel_outbox::{NewEvent, append};
use carrel_proto::circulation::v1::CirculationItemStatus;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{ACTOR, Aged, Batch, store};
use crate::Circulation;
use crate::error::Error;
use crate::loan::ledger::{self, ActionRecord};
use crate::loan::{self, calendar_of, event, fine};

/// Ends one loan whose lost item fee is paid. A return that came first has
/// ended it already: both hold the item's lock.
pub(crate) async fn end_one(
    circulation: &Circulation,
    run_id: Option<Uuid>,
) -> Result<Batch, Error> {
    let batch = transact!(circulation.database, "end_lost_and_paid", |transaction| {
        let now = circulation.clock.now();
        if !store::may_go_on(transaction, run_id).await? {
            return Ok::<_, Error>(Batch::default());
        }
        let Some(loan_id) = store::take_lost_and_paid(transaction).await? else {
            store::settle_strangers(transaction).await?;
            return Ok(Batch::default());
        };
        let mut batch = Batch {
            taken: 1,
            aged: Aged::default(),
        };
        if store::settle_paid(transaction, loan_id).await?
            && let Some(events) = end(transaction, loan_id, now).await?
        {
            batch.aged.lost_and_paid_count = 1;
            store::count(transaction, run_id, batch.aged).await?;
            append(transaction, &events).await?;
        }
        Ok(batch)
    })?;
    circulation.wake.committed();
    Ok(batch)
}

/// Ends a loan, where it goes on and is lost. The caller holds the item's lock.
async fn end(
    transaction: &mut PgConnection,
    loan_id: Uuid,
    now: Timestamp,
) -> Result<Option<Vec<NewEvent>>, Error> {
    let before = loan::store::find(transaction, loan_id).await?;
    let Some(before) = before.filter(|loan| loan.is_open() && loan.loss.is_some()) else {
        return Ok(None);
    };
    let mut loan = before.clone();
    loan.close_paid(now);
    let record = ActionRecord {
        id: carrel_ids::new_id(),
        actor: ACTOR,
        occurred_at: now,
        recorded_at: now,
        service_point_id: None,
        comment: "",
        overridden: &[],
        fine: None,
    };
    ledger::change(transaction, &before, &loan, &record).await?;
    let status = CirculationItemStatus::LostAndPaid;
    // The change counted the item's revision up.
    let revision = store::put_item_status(transaction, loan.item_id, status).await?;
    Ok(Some(vec![
        event::availability_changed(loan.item_id, status, revision, now),
        event::loan_changed(&loan, now),
    ]))
}

/// What billing is told of an item that was lost and paid for and came back:
/// what the policy gives back. No patron is needed for that, the loss names the
/// charge. The caller holds the item's lock, and tells the event.
pub(crate) async fn refund(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    item_id: Uuid,
    at: Timestamp,
) -> Result<Option<NewEvent>, Error> {
    let Some(loan_id) = store::find_paid_loan(transaction, item_id).await? else {
        return Ok(None);
    };
    let loan = loan::store::find(transaction, loan_id).await?;
    let Some((loan, loss)) = loan.and_then(|loan| loan.loss.map(|loss| (loan, loss))) else {
        return Ok(None);
    };
    let policies = circulation
        .known
        .loan_policies(transaction, loan.policy_ids)
        .await?;
    let calendar = calendar_of(circulation, transaction, &loan).await?;
    let refund = fine::refund(&policies.lost_item.terms, loss.at, at, &calendar);
    Ok(Some(event::lost_item_returned(loss.id, &loan, refund, at)))
}
