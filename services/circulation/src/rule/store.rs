//! All SQL on the versions of the rules.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{RulesVersion, parse};
use crate::error::Error;

/// Makes those who bring in rules take turns until their transactions end.
pub(crate) async fn take_turns(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("lock table circulation_rules in share row exclusive mode")
        .execute(connection)
        .await
        .map(drop)
}

/// Adds a version; returns which it is.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    text: &str,
    author: &str,
    now: Timestamp,
) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into circulation_rules (id, version, text, effective_at, author)
         select $1, coalesce(max(version), 0) + 1, $2, $3, $4 from circulation_rules
         returning version",
        id,
        text,
        now.to_sqlx() as _,
        author,
    )
    .fetch_one(connection)
    .await
}

/// The id of the rules in force.
pub(crate) async fn newest(connection: &mut PgConnection) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!("select id from circulation_rules order by version desc limit 1")
        .fetch_optional(connection)
        .await
}

pub(crate) async fn get(connection: &mut PgConnection, id: Uuid) -> Result<RulesVersion, Error> {
    let row = sqlx::query!(
        "select version, text, effective_at, author from circulation_rules where id = $1",
        id,
    )
    .fetch_one(connection)
    .await?;
    let rules = parse::parse(&row.text)
        .map_err(|_| Error::Unreadable(format!("version {} of the rules", row.version)))?;
    Ok(RulesVersion {
        id,
        version: row.version,
        text: row.text,
        effective_at: row.effective_at.to_jiff(),
        author: row.author,
        rules,
    })
}

/// A location's code and those of all that it is in, as far as they are known.
#[derive(Debug, Default)]
pub(crate) struct LocationPath {
    pub location_code: Option<String>,
    pub library_code: Option<String>,
    pub campus_code: Option<String>,
    pub institution_code: Option<String>,
}

pub(crate) async fn find_location(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<LocationPath>, sqlx::Error> {
    sqlx::query_as!(
        LocationPath,
        "select location_code, library_code, campus_code, institution_code
         from location_path where location_id = $1",
        id,
    )
    .fetch_optional(connection)
    .await
}
