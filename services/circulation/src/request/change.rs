//! Cancelling and changing requests, and putting queues into another order.

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_outbox::NewEvent;
use carrel_proto::circulation::v1::RequestStatus;
use carrel_runtime::Call;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::event::request_changed;
use super::model::Request;
use super::{
    Queue, denied, fulfilment, is_patron, only_for_themselves, permit, pickup_at, store, title,
};
use crate::Circulation;
use crate::error::Error;

/// What is cancelled, why and where.
#[derive(Debug)]
pub struct Cancel {
    /// The request.
    pub id: Uuid,
    /// Why, by a code.
    pub reason: String,
    /// The desk where it is cancelled.
    pub service_point_id: Option<Uuid>,
}

/// Cancels a request.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn cancel(
    circulation: &Circulation,
    call: &Call,
    key: &RequestKey,
    asked: &Cancel,
) -> Result<Request, Error> {
    let cancelled = transact!(circulation.database, "cancel_request", |transaction| {
        let now = circulation.clock.now();
        if let Claim::Done(_) = claim(transaction, key, &[asked.id], now).await?? {
            return super::get_in(transaction, asked.id).await;
        }
        permit(transaction, call, asked.service_point_id, None).await?;
        let (mut request, patron_id) = lock(transaction, call, asked.id).await?;
        request.cancel(&asked.reason, is_patron(call, patron_id), now);
        store::update(transaction, &request, true).await?;
        let mut events = vec![request_changed(&request, now)];
        if let Some(item_id) = request.held_item_id {
            events.extend(fulfilment::pass_on(circulation, transaction, item_id, now).await?);
        }
        super::tell(transaction, Some(call), events).await?;
        tracing::info!(request.id = %request.id, "request cancelled");
        Ok(request)
    })?;
    circulation.wake.committed();
    Ok(cancelled)
}

/// Locks an open request with all that hangs on it: its copy, its patron, its
/// queue, in the order that everybody keeps to.
async fn lock(
    transaction: &mut PgConnection,
    call: &Call,
    id: Uuid,
) -> Result<(Request, Uuid), Error> {
    let seen = super::get_in(transaction, id).await?;
    let patron_id = open_patron(&seen)?;
    only_for_themselves(call, patron_id)?;
    if let Some(item_id) = seen.held_item_id {
        title::lock_item(transaction, item_id).await?;
    }
    store::lock_patrons(transaction, &[patron_id]).await?;
    store::lock_queue(transaction, seen.record_id).await?;
    // A copy may have come for it while we waited. Then that copy is not
    // locked, and what becomes of it is left to whoever deals with it next.
    let request = super::get_in(transaction, id).await?;
    open_patron(&request)?;
    Ok((request, patron_id))
}

fn open_patron(request: &Request) -> Result<Uuid, Error> {
    let patron_id = request.patron_id.filter(|_| request.is_open());
    patron_id.ok_or(Error::RequestClosed)
}

/// What of a request changes.
#[derive(Debug)]
pub struct Change {
    /// The request.
    pub id: Uuid,
    /// The revision that was looked at; `None`: whatever it is.
    pub revision: Option<i64>,
    /// What changes.
    pub changes: Changes,
    /// The desk where it is changed.
    pub service_point_id: Option<Uuid>,
}

/// The fields that change; the outer `None` leaves one as it is.
#[derive(Debug, Default)]
pub struct Changes {
    /// Where it is picked up.
    pub pickup_service_point_id: Option<Uuid>,
    /// Until when it holds.
    pub expires_at: Option<Option<Timestamp>>,
    /// From when it is suspended.
    pub suspended_from: Option<Option<Timestamp>>,
    /// Until when.
    pub suspended_until: Option<Option<Timestamp>>,
}

/// Changes a request.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn change(
    circulation: &Circulation,
    call: &Call,
    key: &RequestKey,
    asked: &Change,
) -> Result<Request, Error> {
    let changed = transact!(circulation.database, "change_request", |transaction| {
        let now = circulation.clock.now();
        if let Claim::Done(_) = claim(transaction, key, &[asked.id], now).await?? {
            return super::get_in(transaction, asked.id).await;
        }
        permit(transaction, call, asked.service_point_id, None).await?;
        let (mut request, _) = lock(transaction, call, asked.id).await?;
        if asked.revision.is_some_and(|seen| seen != request.revision) {
            return Err(Error::RequestChanged);
        }
        apply(circulation, transaction, &mut request, &asked.changes, now).await?;
        request.revision += 1;
        store::update(transaction, &request, false).await?;
        let events = vec![request_changed(&request, now)];
        super::tell(transaction, Some(call), events).await?;
        Ok(request)
    })?;
    circulation.wake.committed();
    Ok(changed)
}

async fn apply(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    request: &mut Request,
    changes: &Changes,
    now: Timestamp,
) -> Result<(), Error> {
    if let Some(id) = changes.pickup_service_point_id {
        let waits_there = matches!(
            request.status,
            RequestStatus::OpenAwaitingPickup | RequestStatus::OpenAwaitingDelivery
        );
        if waits_there || request.pickup.is_none() {
            return Err(Error::RequestInFulfilment);
        }
        let pickup = pickup_at(transaction, id).await?;
        let known = &circulation.known;
        let policy = known.request_policy(transaction, request.policy_id).await?;
        let library = &request.facts.library_code;
        if !policy.terms.allows_pickup(Some(&pickup), library) {
            return Err(Error::PickupNotAllowed);
        }
        request.pickup = Some(pickup);
    }
    if let Some(expires_at) = changes.expires_at {
        if expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(Error::ExpiresInPast);
        }
        request.expires_at = expires_at;
    }
    if changes.suspended_from.is_none() && changes.suspended_until.is_none() {
        return Ok(());
    }
    let from = changes.suspended_from.unwrap_or(request.suspended_from);
    let until = changes.suspended_until.unwrap_or(request.suspended_until);
    if until.is_some_and(|until| from.is_none_or(|from| until <= from)) {
        return Err(Error::SuspensionMalformed);
    }
    // Taking a suspension away is always possible.
    if from.is_some() && request.held_item_id.is_some() {
        return Err(Error::RequestInFulfilment);
    }
    request.suspended_from = from;
    request.suspended_until = until;
    Ok(())
}

/// The order that a queue shall have.
#[derive(Debug)]
pub struct Reorder {
    /// The title.
    pub record_id: Uuid,
    /// The revision of the queue that was looked at.
    pub revision: i64,
    /// Each open request once, first to last.
    pub request_ids: Vec<Uuid>,
    /// The desk where it is done.
    pub service_point_id: Option<Uuid>,
}

/// Puts a title's whole queue into another order.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn reorder(
    circulation: &Circulation,
    call: &Call,
    key: &RequestKey,
    asked: &Reorder,
) -> Result<Queue, Error> {
    let reordered = transact!(circulation.database, "reorder_queue", |transaction| {
        let now = circulation.clock.now();
        let claimed = claim(transaction, key, &[asked.record_id], now).await??;
        if let Claim::New = claimed {
            permit(transaction, call, asked.service_point_id, None).await?;
            if call.caller.subject().starts_with("patron:") {
                return Err(denied());
            }
            let events = put_in_order(transaction, asked, now).await?;
            let queue = read_queue(transaction, asked.record_id).await?;
            super::tell(transaction, Some(call), events).await?;
            return Ok(queue);
        }
        read_queue(transaction, asked.record_id).await
    })?;
    circulation.wake.committed();
    Ok(reordered)
}

async fn read_queue(connection: &mut PgConnection, record_id: Uuid) -> Result<Queue, Error> {
    let revision = store::queue_revision(connection, record_id).await?;
    Ok(Queue {
        revision: revision.ok_or(Error::RecordNotFound)?,
        requests: store::queue(connection, record_id).await?,
    })
}

async fn put_in_order(
    transaction: &mut PgConnection,
    asked: &Reorder,
    now: Timestamp,
) -> Result<Vec<NewEvent>, Error> {
    let record_id = asked.record_id;
    let revision = store::lock_queue(transaction, record_id).await?;
    if revision == 0 {
        return Err(Error::RecordNotFound);
    }
    if revision != asked.revision {
        return Err(Error::QueueChanged);
    }
    let queue = store::queue(transaction, record_id).await?;
    let mut open: Vec<Uuid> = queue.iter().map(|request| request.id).collect();
    let mut named = asked.request_ids.clone();
    open.sort_unstable();
    named.sort_unstable();
    if open != named {
        return Err(Error::QueueOrderMalformed);
    }
    let count = i64::try_from(named.len()).unwrap_or(i64::MAX);
    let last = store::draw_places(transaction, record_id, count).await?;
    let places: Vec<i64> = (last - count + 1..=last).collect();
    store::move_to(transaction, &asked.request_ids, &places).await?;
    let moved = store::queue(transaction, record_id).await?;
    Ok(moved
        .iter()
        .map(|request| request_changed(request, now))
        .collect())
}
