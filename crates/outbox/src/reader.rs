//! Reading the feed: the check of a cursor, and batches after a place.

use carrel_proto::events::v1::Event;
use sqlx::PgPool;
use uuid::Uuid;

use crate::place::{Ends, Place};
use crate::time::timestamp;

/// Events read at a time.
pub(crate) const BATCH_LIMIT: usize = 500;

/// Bytes of payload sent at a time, well below gRPC's default limit of 4 MiB
/// a message; a single event has at most one.
const BATCH_BYTES: usize = 2 << 20;

/// Why a feed can't be read on from a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// The feed took another course.
    Diverged,
    /// Events after the place were deleted for their age.
    Forgotten,
    /// Events are missing that were not forgotten: somebody deleted them.
    Gap,
}

/// A batch of the feed.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The events of the wanted types.
    pub events: Vec<Event>,
    /// Where the batch ends, other types included.
    pub reached: Place,
    /// Whether more was there than the batch could hold.
    pub more: bool,
    /// The feed's newest number.
    pub head_number: i64,
}

/// Whether the feed can be read on from `place`.
///
/// # Errors
/// The outer error is the database's.
pub(crate) async fn check(pool: &PgPool, place: &Place) -> Result<Result<(), Gone>, sqlx::Error> {
    #[derive(sqlx::FromRow)]
    struct Found {
        #[sqlx(flatten)]
        ends: Ends,
        at_place: Option<Uuid>,
    }
    let Found { ends, at_place } = sqlx::query_as(
        "select epoch, number, event_id, forgotten_number, forgotten_event_id,
             (select outbox.event_id from outbox where outbox.number = $1) as at_place
         from feed_head",
    )
    .bind(place.number)
    .fetch_one(pool)
    .await?;
    if place.epoch != ends.epoch || place.number > ends.number {
        return Ok(Err(Gone::Diverged));
    }
    if place.number < ends.forgotten_number {
        return Ok(Err(Gone::Forgotten));
    }
    let found = if place.number == ends.forgotten_number {
        ends.forgotten_event_id
    } else {
        at_place
    };
    if place.event_id.is_some() && place.event_id != found {
        return Ok(Err(Gone::Diverged));
    }
    Ok(Ok(()))
}

/// The next events after `place`. One statement, so that the ends and the
/// events are of one moment.
///
/// # Errors
/// The outer error is the database's.
pub(crate) async fn read(
    pool: &PgPool,
    place: &Place,
    types: &[String],
) -> Result<Result<Batch, Gone>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "select head.epoch, head.number as head_number, head.forgotten_number,
             next.number, next.event_id, next.type, next.subject_id, next.payload,
             next.occurred_at, next.trace_parent
         from feed_head head
         left join lateral (
             select number, event_id, type, subject_id, occurred_at, trace_parent,
                 case when type = any($2) then payload end as payload
             from outbox
             where number > $1
             order by number
             limit $3
         ) next on true
         order by next.number",
    )
    .bind(place.number)
    .bind(types)
    .bind(BATCH_LIMIT as i64)
    .fetch_all(pool)
    .await?;
    let head = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    if head.epoch != place.epoch || head.head_number < place.number {
        return Ok(Err(Gone::Diverged));
    }
    if head.forgotten_number > place.number {
        return Ok(Err(Gone::Forgotten));
    }
    Ok(batch(rows, place).ok_or(Gone::Gap))
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    epoch: Uuid,
    head_number: i64,
    forgotten_number: i64,
    #[sqlx(flatten)]
    next: Next,
}

/// All null where the feed holds nothing after the place.
#[derive(Debug, sqlx::FromRow)]
struct Next {
    number: Option<i64>,
    event_id: Option<Uuid>,
    r#type: Option<String>,
    subject_id: Option<Uuid>,
    payload: Option<Vec<u8>>,
    occurred_at: Option<jiff_sqlx::Timestamp>,
    trace_parent: Option<String>,
}

/// `None` where the numbers have a gap.
fn batch(rows: Vec<Row>, place: &Place) -> Option<Batch> {
    let head_number = rows[0].head_number;
    let full = rows.len() == BATCH_LIMIT;
    let mut batch = Batch {
        events: Vec::new(),
        reached: *place,
        more: full,
        head_number,
    };
    let mut bytes = 0;
    for row in rows {
        let Some(number) = row.next.number else {
            break;
        };
        if number != batch.reached.number + 1 {
            return None;
        }
        let size = row.next.payload.as_ref().map_or(0, Vec::len);
        if bytes > 0 && bytes + size > BATCH_BYTES {
            batch.more = true;
            break;
        }
        bytes += size;
        batch.reached.number = number;
        batch.reached.event_id = row.next.event_id;
        batch.events.extend(event(number, row.next));
    }
    let is_whole = batch.more || batch.reached.number == head_number;
    is_whole.then_some(batch)
}

/// `None` for an event of a type that is not wanted: it comes without payload.
fn event(number: i64, row: Next) -> Option<Event> {
    Some(Event {
        number,
        event_id: row.event_id?.to_string(),
        r#type: row.r#type?,
        subject_id: row.subject_id?.to_string(),
        payload: row.payload?.into(),
        occurred_at: Some(timestamp(row.occurred_at?.to_jiff())),
        trace_parent: row.trace_parent.unwrap_or_default(),
    })
}
