//! Events that were set aside. All SQL on them is here.

use std::collections::HashSet;

use carrel_proto::events::v1::Event;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use prost::Message;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// A parked event.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ParkedRow {
    pub place: i64,
    pub event_id: Uuid,
    pub r#type: String,
    pub subject_id: Uuid,
    pub number: i64,
    event: Vec<u8>,
    pub cause: String,
    parked_at: jiff_sqlx::Timestamp,
}

impl ParkedRow {
    pub fn event(&self) -> Option<Event> {
        Event::decode(&*self.event).ok()
    }

    pub fn parked_at(&self) -> Timestamp {
        self.parked_at.to_jiff()
    }
}

/// An event whose ids are not UUIDs; no feed of Carrel sends one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidEvent;

/// Sets an event aside; one that is there already stays as it is.
pub(crate) async fn park(
    connection: &mut PgConnection,
    feed: &str,
    event: &Event,
    cause: &str,
    now: Timestamp,
) -> Result<Result<(), InvalidEvent>, sqlx::Error> {
    let (Ok(event_id), Ok(subject_id)) = (
        carrel_ids::parse(&event.event_id),
        carrel_ids::parse(&event.subject_id),
    ) else {
        return Ok(Err(InvalidEvent));
    };
    sqlx::query(
        "insert into parked_event (feed, event_id, type, subject_id, number, event, cause, parked_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict on constraint parked_event_pkey do nothing",
    )
    .bind(feed)
    .bind(event_id)
    .bind(&event.r#type)
    .bind(subject_id)
    .bind(event.number)
    .bind(event.encode_to_vec())
    .bind(cause)
    .bind(now.to_sqlx())
    .execute(connection)
    .await?;
    Ok(Ok(()))
}

/// Which of these subjects have events aside.
pub(crate) async fn parked_subjects(
    connection: &mut PgConnection,
    feed: &str,
    subjects: &[Uuid],
) -> Result<HashSet<String>, sqlx::Error> {
    let found: Vec<Uuid> = sqlx::query_scalar(
        "select distinct subject_id from parked_event where feed = $1 and subject_id = any($2)",
    )
    .bind(feed)
    .bind(subjects)
    .fetch_all(connection)
    .await?;
    Ok(found.iter().map(Uuid::to_string).collect())
}

/// The events of one subject, oldest first.
pub(crate) async fn of_subject(
    connection: &mut PgConnection,
    feed: &str,
    subject_id: Uuid,
    limit: i64,
) -> Result<Vec<ParkedRow>, sqlx::Error> {
    sqlx::query_as(
        "select place, event_id, type, subject_id, number, event, cause, parked_at
         from parked_event where feed = $1 and subject_id = $2
         order by place limit $3",
    )
    .bind(feed)
    .bind(subject_id)
    .bind(limit)
    .fetch_all(connection)
    .await
}

/// A page of the feed's parked events, after a place.
pub(crate) async fn list(
    pool: &PgPool,
    feed: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<ParkedRow>, sqlx::Error> {
    sqlx::query_as(
        "select place, event_id, type, subject_id, number, event, cause, parked_at
         from parked_event where feed = $1 and place > $2
         order by place limit $3",
    )
    .bind(feed)
    .bind(after)
    .bind(limit)
    .fetch_all(pool)
    .await
}

pub(crate) async fn count(pool: &PgPool, feed: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(*) from parked_event where feed = $1")
        .bind(feed)
        .fetch_one(pool)
        .await
}

pub(crate) async fn remove(
    connection: &mut PgConnection,
    feed: &str,
    event_ids: &[Uuid],
) -> Result<(), sqlx::Error> {
    sqlx::query("delete from parked_event where feed = $1 and event_id = any($2)")
        .bind(feed)
        .bind(event_ids)
        .execute(connection)
        .await
        .map(drop)
}
