//! What time does to requests: they expire, in the queue and on the hold
//! shelf. In batches that several replicas share: each takes patrons that no
//! other one holds, and a batch that is cut off is as if it had never begun.

use carrel_database::transact;
use carrel_outbox::NewEvent;
use carrel_proto::circulation::v1::RequestStatus;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::event::request_changed;
use super::{fulfilment, store};
use crate::Circulation;
use crate::error::Error;

/// Requests or items dealt with in one transaction.
const BATCH: i64 = 100;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AgedRequests {
    /// Requests that nobody filled in time.
    pub unfilled_count: i64,
    /// Requests that nobody picked up in time.
    pub pickup_expired_count: i64,
}

/// Whether there is anything to do.
pub(crate) async fn is_anything_due(pool: &PgPool, now: Timestamp) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from patron_request where status = 1 and expires_at <= $1)
             or exists (select from patron_request where status = 2 and hold_shelf_expires_at <= $1)
             or exists (
                 select from item_circulation item join patron_request request on request.id = item.held_request_id
                 join item_projection on item_projection.item_id = item.item_id
                 where item.status = 8 and request.closed_at is not null
             ) as "due!""#,
        now.to_sqlx() as _,
    )
    .fetch_one(pool)
    .await
}

/// Closes what is past its time, and passes on what was to be fetched for
/// requests that are closed.
///
/// # Errors
/// The database's.
pub async fn run(circulation: &Circulation) -> Result<AgedRequests, Error> {
    let mut aged = AgedRequests::default();
    loop {
        let batch = expire(circulation).await?;
        aged.unfilled_count += batch.unfilled_count;
        aged.pickup_expired_count += batch.pickup_expired_count;
        if batch == AgedRequests::default() {
            break;
        }
    }
    while pass_on(circulation).await? > 0 {}
    Ok(aged)
}

async fn expire(circulation: &Circulation) -> Result<AgedRequests, Error> {
    let aged = transact!(circulation.database, "expire_requests", |transaction| {
        let now = circulation.clock.now();
        let ids = take_expired(transaction, now).await?;
        let mut aged = AgedRequests::default();
        if ids.is_empty() {
            return Ok::<_, Error>(aged);
        }
        let mut titles: Vec<Uuid> = store::find_all(transaction, &ids)
            .await?
            .iter()
            .map(|request| request.record_id)
            .collect();
        titles.sort_unstable();
        titles.dedup();
        store::lock_queues(transaction, &titles).await?;
        let mut events: Vec<NewEvent> = Vec::new();
        // Read under the locks: some may have gone on meanwhile.
        for mut request in store::find_all(transaction, &ids).await? {
            let past = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
            match request.status {
                RequestStatus::OpenNotYetFilled if past(request.expires_at) => {
                    request.close(RequestStatus::ClosedUnfilled, now);
                    aged.unfilled_count += 1;
                }
                RequestStatus::OpenAwaitingPickup if past(request.hold_shelf_expires_at) => {
                    request.close(RequestStatus::ClosedPickupExpired, now);
                    aged.pickup_expired_count += 1;
                }
                _ => continue,
            }
            store::update(transaction, &request, true).await?;
            events.push(request_changed(&request, now));
        }
        super::tell(transaction, None, events).await?;
        Ok(aged)
    })?;
    circulation.wake.committed();
    Ok(aged)
}

/// Takes requests that are past their time: locks their patrons, but waits for
/// none.
async fn take_expired(
    connection: &mut PgConnection,
    now: Timestamp,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select request.id
         from patron_request request join patron_circulation patron on patron.patron_id = request.patron_id
         where (request.status = 1 and request.expires_at <= $1)
            or (request.status = 2 and request.hold_shelf_expires_at <= $1)
         limit $2
         for update of patron skip locked",
        now.to_sqlx() as _,
        BATCH,
    )
    .fetch_all(connection)
    .await
}

/// Passes on paged items whose requests are closed; gives how many.
async fn pass_on(circulation: &Circulation) -> Result<usize, Error> {
    let count = transact!(circulation.database, "pass_on_items", |transaction| {
        let now = circulation.clock.now();
        let item_ids = take_paged(transaction).await?;
        let titles = titles_of(transaction, &item_ids).await?;
        store::lock_queues(transaction, &titles).await?;
        let mut events: Vec<NewEvent> = Vec::new();
        for item_id in &item_ids {
            events.extend(fulfilment::pass_on(circulation, transaction, *item_id, now).await?);
        }
        super::tell(transaction, None, events).await?;
        Ok::<_, Error>(item_ids.len())
    })?;
    circulation.wake.committed();
    Ok(count)
}

async fn take_paged(connection: &mut PgConnection) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select item.item_id
         from item_circulation item join patron_request request on request.id = item.held_request_id
         join item_projection on item_projection.item_id = item.item_id
         where item.status = 8 and request.closed_at is not null
         order by item.item_id limit $1
         for update of item skip locked",
        BATCH,
    )
    .fetch_all(connection)
    .await
}

async fn titles_of(
    connection: &mut PgConnection,
    item_ids: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select distinct record_id as "record_id!" from item_projection
         where item_id = any($1) and record_id is not null"#,
        item_ids,
    )
    .fetch_all(connection)
    .await
}
