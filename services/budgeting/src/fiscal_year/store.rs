//! All SQL about fiscal years.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::FiscalYear;
use crate::error::Error;

struct Row {
    id: Uuid,
    code: String,
    first_date: jiff_sqlx::Date,
    last_date: jiff_sqlx::Date,
    currency: String,
}

impl TryFrom<Row> for FiscalYear {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.id,
            code: row.code,
            first_date: row.first_date.to_jiff(),
            last_date: row.last_date.to_jiff(),
            currency: row.currency.parse()?,
        })
    }
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    year: &FiscalYear,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into fiscal_year (id, code, first_date, last_date, currency, created_at)
         values ($1, $2, $3, $4, $5, $6)",
        year.id,
        year.code,
        year.first_date.to_sqlx() as _,
        year.last_date.to_sqlx() as _,
        year.currency.code(),
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn get(connection: &mut PgConnection, id: Uuid) -> Result<FiscalYear, Error> {
    sqlx::query_as!(
        Row,
        "select id, code, first_date, last_date, currency from fiscal_year where id = $1",
        id,
    )
    .fetch_optional(connection)
    .await?
    .ok_or(Error::FiscalYearNotFound)?
    .try_into()
}

pub(super) async fn list(
    pool: &PgPool,
    before: Option<Date>,
    limit: i64,
) -> Result<Vec<FiscalYear>, Error> {
    sqlx::query_as!(
        Row,
        "select id, code, first_date, last_date, currency from fiscal_year
         where first_date < coalesce($1, 'infinity'::date)
         order by first_date desc limit $2",
        before.map(ToSqlx::to_sqlx) as _,
        limit,
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(FiscalYear::try_from)
    .collect()
}

/// Keeps others from adding a fiscal year until the transaction ends; reading
/// goes on.
pub(super) async fn lock(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("lock table fiscal_year in share row exclusive mode")
        .execute(connection)
        .await
        .map(drop)
}
