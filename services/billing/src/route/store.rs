//! All SQL that touches routes and periods.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Period, Route};
use crate::account::model::FeeFineKind;
use crate::error::Error;

struct PeriodRow {
    id: String,
    code: String,
    first_date: jiff_sqlx::Date,
    last_date: jiff_sqlx::Date,
}

impl From<PeriodRow> for Period {
    fn from(row: PeriodRow) -> Self {
        Self {
            id: row.id,
            code: row.code,
            first_date: row.first_date.to_jiff(),
            last_date: row.last_date.to_jiff(),
        }
    }
}

/// Adds a route.
pub(crate) async fn insert_route(
    connection: &mut PgConnection,
    route: &Route,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into posting_route (id, institution_code, kind, funding_destination_id) values ($1, $2, $3, $4)",
        route.id,
        route.institution_code,
        route.kind as FeeFineKind,
        route.funding_destination_id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Routes by id.
pub(crate) async fn list_routes(
    connection: &mut PgConnection,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Route>, Error> {
    Ok(sqlx::query_as!(
        Route,
        r#"select id, institution_code, kind as "kind: FeeFineKind", funding_destination_id from posting_route
           where ($1::uuid is null or id > $1) order by id limit $2"#,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?)
}

/// Every route: a district has some dozens.
pub(crate) async fn list_all_routes(connection: &mut PgConnection) -> Result<Vec<Route>, Error> {
    list_routes(connection, None, i64::MAX).await
}

/// Adds a period.
pub(crate) async fn insert_period(
    connection: &mut PgConnection,
    row_id: Uuid,
    period: &Period,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into academic_period (id, row_id, code, first_date, last_date) values ($1, $2, $3, $4, $5)",
        period.id,
        row_id,
        period.code,
        period.first_date.to_sqlx() as jiff_sqlx::Date,
        period.last_date.to_sqlx() as jiff_sqlx::Date,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Periods by their first day.
pub(crate) async fn list_periods(
    connection: &mut PgConnection,
    after: Option<Date>,
    limit: i64,
) -> Result<Vec<Period>, Error> {
    let rows = sqlx::query_as!(
        PeriodRow,
        "select id, code, first_date, last_date from academic_period
         where ($1::date is null or first_date > $1) order by first_date limit $2",
        after.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Date>,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Period::from).collect())
}

/// Every period: a district has some dozens.
pub(crate) async fn list_all_periods(connection: &mut PgConnection) -> Result<Vec<Period>, Error> {
    list_periods(connection, None, i64::MAX).await
}
