//! All SQL on the versions of the rules, and on what they are asked about.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{RulesVersion, Version, parse};
use crate::error::Error;

/// Makes those who bring in rules take turns until their transactions end.
pub(crate) async fn take_turns(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("lock table circulation_rules in share row exclusive mode")
        .execute(connection)
        .await
        .map(drop)
}

/// The newest version, whether it holds yet or not; 0: there is none.
pub(crate) async fn newest_version(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(r#"select coalesce(max(version), 0) as "version!" from circulation_rules"#)
        .fetch_one(connection)
        .await
}

pub(crate) async fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    version: i32,
    text: &str,
    author: &str,
    now: Timestamp,
    effective_at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into circulation_rules (id, version, text, effective_at, author, created_at)
         values ($1, $2, $3, $4, $5, $6)",
        id,
        version,
        text,
        effective_at.to_sqlx() as _,
        author,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The id of the rules in force at an instant. Whoever chooses rules in a
/// statement of their own chooses by these very words.
pub(crate) async fn in_force(
    connection: &mut PgConnection,
    at: Timestamp,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from circulation_rules where effective_at <= $1
         order by effective_at desc, version desc limit 1",
        at.to_sqlx() as _,
    )
    .fetch_optional(connection)
    .await
}

/// The id of a version.
pub(crate) async fn find_version(
    connection: &mut PgConnection,
    version: i32,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from circulation_rules where version = $1",
        version
    )
    .fetch_optional(connection)
    .await
}

/// A version, read for choosing by it.
pub(crate) async fn read(connection: &mut PgConnection, id: Uuid) -> Result<RulesVersion, Error> {
    let row = sqlx::query!(
        "select version, text from circulation_rules where id = $1",
        id,
    )
    .fetch_one(connection)
    .await?;
    let version = row.version;
    let rules = parse::parse(&row.text)
        .map_err(|_| Error::Unreadable(format!("version {version} of the rules")))?;
    Ok(RulesVersion { version, rules })
}

/// A version as it is told; `in_force` is the id of the one that is.
pub(crate) async fn get(
    connection: &mut PgConnection,
    id: Uuid,
    in_force: Option<Uuid>,
) -> Result<Version, sqlx::Error> {
    let row = sqlx::query!(
        "select version, text, effective_at, author, created_at from circulation_rules where id = $1",
        id,
    )
    .fetch_one(connection)
    .await?;
    Ok(Version {
        id,
        version: row.version,
        text: row.text,
        effective_at: row.effective_at.to_jiff(),
        author: row.author,
        created_at: row.created_at.to_jiff(),
        in_force: in_force == Some(id),
    })
}

/// Versions before one, the newest first.
pub(crate) async fn list(
    connection: &mut PgConnection,
    with_texts: bool,
    now: Timestamp,
    before: Option<i32>,
    limit: i64,
) -> Result<Vec<Version>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id, version, case when $1 then text else '' end as "text!", effective_at, author, created_at,
                  id = (select id from circulation_rules where effective_at <= $2
                        order by effective_at desc, version desc limit 1) as in_force
         from circulation_rules where $3::integer is null or version < $3
         order by version desc limit $4"#,
        with_texts,
        now.to_sqlx() as _,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let version = rows.into_iter().map(|row| Version {
        id: row.id,
        version: row.version,
        text: row.text,
        effective_at: row.effective_at.to_jiff(),
        author: row.author,
        created_at: row.created_at.to_jiff(),
        in_force: row.in_force.unwrap_or_default(),
    });
    Ok(version.collect())
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
