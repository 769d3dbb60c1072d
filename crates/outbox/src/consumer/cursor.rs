//! The consumer's row: how far it has come in a feed. All SQL on it is here.

use carrel_proto::events::v1::Event;
use prost::Message;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::place::Place;

/// A consumer's row.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct CursorRow {
    pub generation: i64,
    pub edition: i64,
    epoch: Option<Uuid>,
    number: i64,
    event_id: Option<Uuid>,
    rebuild_epoch: Option<Uuid>,
    rebuild_number: Option<i64>,
    rebuild_event_id: Option<Uuid>,
    rebuild_page_token: Option<String>,
    poison_event: Option<Vec<u8>>,
    pub poison_cause: Option<String>,
    pub lost_count: i64,
}

/// A reading of the owner's state that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rebuild {
    /// Where to follow from afterwards.
    pub noted: Place,
    /// The page that comes next.
    pub page_token: String,
}

impl CursorRow {
    /// The last event taken; `None` before the first reading of the owner.
    pub fn place(&self) -> Option<Place> {
        Some(Place {
            epoch: self.epoch?,
            number: self.number,
            event_id: self.event_id,
        })
    }

    pub fn rebuild(&self) -> Option<Rebuild> {
        Some(Rebuild {
            noted: Place {
                epoch: self.rebuild_epoch?,
                number: self.rebuild_number?,
                event_id: self.rebuild_event_id,
            },
            page_token: self.rebuild_page_token.clone()?,
        })
    }

    /// The event at which the feed is stopped.
    pub fn poison(&self) -> Option<Event> {
        Event::decode(self.poison_event.as_deref()?).ok()
    }
}

const SELECT: &str = "select generation, edition, epoch, number, event_id,
        rebuild_epoch, rebuild_number, rebuild_event_id, rebuild_page_token,
        poison_event, poison_cause, lost_count
    from feed_cursor where feed = $1";

pub(crate) async fn find(pool: &PgPool, feed: &str) -> Result<Option<CursorRow>, sqlx::Error> {
    sqlx::query_as(SELECT).bind(feed).fetch_optional(pool).await
}

/// Reads the row, and makes it where there is none.
pub(crate) async fn find_or_create(pool: &PgPool, feed: &str) -> Result<CursorRow, sqlx::Error> {
    if let Some(row) = find(pool, feed).await? {
        return Ok(row);
    }
    sqlx::query("insert into feed_cursor (feed) values ($1) on conflict do nothing")
        .bind(feed)
        .execute(pool)
        .await?;
    find(pool, feed).await?.ok_or(sqlx::Error::RowNotFound)
}

/// Locks the row for taking events. Look-ups, which hold it for key share,
/// go on meanwhile.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    feed: &str,
) -> Result<CursorRow, sqlx::Error> {
    sqlx::query_as(
        "select generation, edition, epoch, number, event_id,
             rebuild_epoch, rebuild_number, rebuild_event_id, rebuild_page_token,
             poison_event, poison_cause, lost_count
         from feed_cursor where feed = $1 for no key update",
    )
    .bind(feed)
    .fetch_one(connection)
    .await
}

/// Locks the row for a new generation: waits for look-ups that hold the old
/// one, and holds off new ones.
pub(crate) async fn lock_generation(
    connection: &mut PgConnection,
    feed: &str,
) -> Result<CursorRow, sqlx::Error> {
    sqlx::query_as(
        "select generation, edition, epoch, number, event_id,
             rebuild_epoch, rebuild_number, rebuild_event_id, rebuild_page_token,
             poison_event, poison_cause, lost_count
         from feed_cursor where feed = $1 for update",
    )
    .bind(feed)
    .fetch_one(connection)
    .await
}

/// Moves the cursor. Whatever stopped the feed is behind it then.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    feed: &str,
    to: &Place,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update feed_cursor
         set epoch = $2, number = $3, event_id = $4, poison_event = null, poison_cause = null
         where feed = $1",
    )
    .bind(feed)
    .bind(to.epoch)
    .bind(to.number)
    .bind(to.event_id)
    .execute(connection)
    .await
    .map(drop)
}

/// Notes the event at which the feed stops, where it still stands before it.
pub(crate) async fn stop_at(
    connection: &mut PgConnection,
    feed: &str,
    generation: i64,
    event: &Event,
    cause: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update feed_cursor set poison_event = $4, poison_cause = $5
         where feed = $1 and generation = $2 and number < $3",
    )
    .bind(feed)
    .bind(generation)
    .bind(event.number)
    .bind(event.encode_to_vec())
    .bind(cause)
    .execute(connection)
    .await
    .map(drop)
}

/// Begins a new generation, whose state is read from the owner's first page;
/// afterwards the feed is followed from `noted`.
pub(crate) async fn begin_rebuild(
    connection: &mut PgConnection,
    feed: &str,
    edition: i64,
    noted: &Place,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update feed_cursor
         set generation = generation + 1, edition = $5,
             rebuild_epoch = $2, rebuild_number = $3, rebuild_event_id = $4, rebuild_page_token = '',
             poison_event = null, poison_cause = null
         where feed = $1",
    )
    .bind(feed)
    .bind(noted.epoch)
    .bind(noted.number)
    .bind(noted.event_id)
    .bind(edition)
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn turn_page(
    connection: &mut PgConnection,
    feed: &str,
    page_token: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("update feed_cursor set rebuild_page_token = $2 where feed = $1")
        .bind(feed)
        .bind(page_token)
        .execute(connection)
        .await
        .map(drop)
}

/// After the last page: the noted head becomes the cursor. What was parked is
/// part of the state that was read.
pub(crate) async fn end_rebuild(
    connection: &mut PgConnection,
    feed: &str,
) -> Result<u64, sqlx::Error> {
    sqlx::query(
        "update feed_cursor
         set epoch = rebuild_epoch, number = rebuild_number, event_id = rebuild_event_id,
             rebuild_epoch = null, rebuild_number = null, rebuild_event_id = null, rebuild_page_token = null
         where feed = $1",
    )
    .bind(feed)
    .execute(&mut *connection)
    .await?;
    let dropped = sqlx::query("delete from parked_event where feed = $1")
        .bind(feed)
        .execute(connection)
        .await?;
    Ok(dropped.rows_affected())
}

/// Begins a new generation at the oldest event that the owner keeps.
pub(crate) async fn begin_again(
    connection: &mut PgConnection,
    feed: &str,
    edition: i64,
    tail: &Place,
    lost_count: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update feed_cursor
         set generation = generation + 1, edition = $6, epoch = $2, number = $3, event_id = $4,
             lost_count = lost_count + $5, poison_event = null, poison_cause = null,
             rebuild_epoch = null, rebuild_number = null, rebuild_event_id = null, rebuild_page_token = null
         where feed = $1",
    )
    .bind(feed)
    .bind(tail.epoch)
    .bind(tail.number)
    .bind(tail.event_id)
    .bind(lost_count)
    .bind(edition)
    .execute(connection)
    .await
    .map(drop)
}

/// The generation in which a look-up begins; `None` before the feed was first
/// heard of. Read it **before** asking the owner.
///
/// # Errors
/// The database's.
pub async fn generation(pool: &PgPool, feed: &str) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("select generation from feed_cursor where feed = $1")
        .bind(feed)
        .fetch_optional(pool)
        .await
}

/// Whether the generation in which a look-up began is still the feed's, and
/// keeps it so until the transaction ends. Write what was looked up in the
/// same transaction, by a later statement, and only where this says true: what
/// an owner said before it was restored must not outlive the rebuild.
///
/// # Errors
/// The database's.
pub async fn hold_generation(
    connection: &mut PgConnection,
    feed: &str,
    generation: i64,
) -> Result<bool, sqlx::Error> {
    let held: Option<i32> = sqlx::query_scalar(
        "select 1 from feed_cursor where feed = $1 and generation = $2 for key share",
    )
    .bind(feed)
    .bind(generation)
    .fetch_optional(connection)
    .await?;
    Ok(held.is_some())
}
