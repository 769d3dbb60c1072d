//! All SQL about ledgers.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Ledger;
use crate::error::Error;

pub(super) async fn insert(
    connection: &mut PgConnection,
    ledger: &Ledger,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into ledger (id, code, name, created_at) values ($1, $2, $3, $4)",
        ledger.id,
        ledger.code,
        ledger.name,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn get(connection: &mut PgConnection, id: Uuid) -> Result<Ledger, Error> {
    sqlx::query_as!(
        Ledger,
        "select id, code, name from ledger where id = $1",
        id
    )
    .fetch_optional(connection)
    .await?
    .ok_or(Error::LedgerNotFound)
}

pub(super) async fn list(pool: &PgPool, after: &str, limit: i64) -> Result<Vec<Ledger>, Error> {
    let ledgers = sqlx::query_as!(
        Ledger,
        "select id, code, name from ledger where code > $1 order by code limit $2",
        after,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(ledgers)
}
