//! Claimed returned: the patron says that the item came back, and how that is
//! settled.

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_proto::circulation::v1::CirculationItemStatus;
use carrel_runtime::Call;

use super::action::{self, Action};
use super::fine::Refund;
use super::model::Loan;
use super::{action_store, event, ledger, tell};
use crate::Circulation;
use crate::error::Error;

/// What a claim settled in the patron's favour gives back.
pub(super) const EVERYTHING: Refund = Refund {
    lost_item_fee: true,
    processing_fee: true,
};

/// Notes that the patron says that the item was brought back.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn claim_returned(
    circulation: &Circulation,
    call: &Call,
    key: &RequestKey,
    request: &Action,
) -> Result<Loan, Error> {
    let action_id = carrel_ids::new_id();
    let loan = transact!(circulation.database, "claim_returned", |transaction| {
        let now = circulation.clock.now();
        if let Claim::Done(ids) = claim(transaction, key, &[action_id], now).await?? {
            return action::loan_of(transaction, &ids).await;
        }
        let before = action::open_loan(transaction, call, request).await?;
        if before.claimed_returned_at.is_some() {
            return Err(Error::AlreadyClaimedReturned);
        }
        let mut loan = before.clone();
        loan.claim_returned(now);
        let record = request.record(call, action_id, now);
        let revision = ledger::change(transaction, &before, &loan, &record).await?;
        let events = vec![
            event::availability_changed(loan.item_id, loan.item_status(), revision, now),
            event::loan_changed(&loan, now),
        ];
        tell(transaction, call, events).await?;
        tracing::info!(loan.id = %loan.id, item.id = %loan.item_id, "claimed returned");
        Ok(loan)
    })?;
    circulation.wake.committed();
    Ok(loan)
}

/// Ends a claim without the item: the loan is closed, the item missing, and
/// nothing is owed.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn mark_missing(
    circulation: &Circulation,
    call: &Call,
    key: &RequestKey,
    request: &Action,
) -> Result<Loan, Error> {
    let action_id = carrel_ids::new_id();
    let loan = transact!(circulation.database, "mark_missing", |transaction| {
        let now = circulation.clock.now();
        if let Claim::Done(ids) = claim(transaction, key, &[action_id], now).await?? {
            return action::loan_of(transaction, &ids).await;
        }
        let before = action::open_loan(transaction, call, request).await?;
        if before.claimed_returned_at.is_none() {
            return Err(Error::NotClaimedReturned);
        }
        let mut loan = before.clone();
        loan.mark_missing(now.max(before.checked_out_at), request.service_point_id);
        let record = request.record(call, action_id, now);
        let revision = ledger::change(transaction, &before, &loan, &record).await?;
        let status = CirculationItemStatus::Missing;
        action_store::put_status(transaction, loan.item_id, status).await?;
        let mut events = vec![
            event::availability_changed(loan.item_id, status, revision, now),
            event::loan_changed(&loan, now),
        ];
        let loss = before.loss;
        events.extend(loss.map(|loss| event::lost_item_returned(loss.id, &loan, EVERYTHING, now)));
        tell(transaction, call, events).await?;
        tracing::info!(loan.id = %loan.id, item.id = %loan.item_id, "marked missing");
        Ok(loan)
    })?;
    circulation.wake.committed();
    Ok(loan)
}
