//! Deleting events that every consumer had time to take.

use carrel_database::{Database, transact};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

/// Events deleted in one transaction at the most: the sequencer waits
/// meanwhile.
const BATCH: i64 = 2_000;

/// Deletes numbered events that became true before `horizon`, oldest first,
/// up to the first that is younger; returns how many. A consumer that has not
/// come that far is refused CURSOR_BEHIND_RETENTION from then on.
///
/// # Errors
/// The database's. Batches deleted before it stay deleted.
pub(crate) async fn forget_before(
    database: &Database,
    horizon: Timestamp,
) -> Result<u64, sqlx::Error> {
    let mut forgotten = 0;
    loop {
        let batch = forget_batch(database, horizon).await?;
        forgotten += batch;
        if batch < BATCH as u64 {
            return Ok(forgotten);
        }
    }
}

async fn forget_batch(database: &Database, horizon: Timestamp) -> Result<u64, sqlx::Error> {
    transact!(database, "forget_events", |connection| {
        // The row lock first, as a statement of its own: so each run goes on
        // where the last one ended, also where replicas forget at once.
        let (tail,): (i64,) =
            sqlx::query_as("select forgotten_number from feed_head for no key update")
                .fetch_one(&mut *connection)
                .await?;
        let deleted: i64 = sqlx::query_scalar(
            "with oldest as (
                 select number, occurred_at from outbox
                 where number > $1 order by number limit $2
             ), forgotten as (
                 delete from outbox
                 where number > $1
                   and number <= (select max(number) from oldest)
                   and number < coalesce(
                       (select min(number) from oldest where occurred_at >= $3),
                       9223372036854775807)
                 returning number, event_id
             ), noted as (
                 update feed_head set
                     forgotten_number = last.number, forgotten_event_id = last.event_id
                 from (select number, event_id from forgotten order by number desc limit 1) last
             )
             select count(*) from forgotten",
        )
        .bind(tail)
        .bind(BATCH)
        .bind(horizon.to_sqlx())
        .fetch_one(&mut *connection)
        .await?;
        Ok(deleted as u64)
    })
}
