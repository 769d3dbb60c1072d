//! All SQL about funds.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Fund;
use crate::error::Error;

pub(super) async fn insert(
    connection: &mut PgConnection,
    fund: &Fund,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into fund (id, ledger_id, code, name, external_account_number, created_at)
         values ($1, $2, $3, $4, $5, $6)",
        fund.id,
        fund.ledger_id,
        fund.code,
        fund.name,
        fund.external_account_number,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn get(connection: &mut PgConnection, id: Uuid) -> Result<Fund, Error> {
    sqlx::query_as!(
        Fund,
        "select id, ledger_id, code, name, external_account_number from fund where id = $1",
        id,
    )
    .fetch_optional(connection)
    .await?
    .ok_or(Error::FundNotFound)
}

pub(super) async fn list(
    pool: &PgPool,
    ledger_id: Option<Uuid>,
    after: &str,
    limit: i64,
) -> Result<Vec<Fund>, Error> {
    let funds = sqlx::query_as!(
        Fund,
        "select id, ledger_id, code, name, external_account_number from fund
         where ($1::uuid is null or ledger_id = $1) and code > $2
         order by code limit $3",
        ledger_id,
        after,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(funds)
}
