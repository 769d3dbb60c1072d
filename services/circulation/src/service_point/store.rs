//! All SQL on service points and their hours.

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::ServicePoint;
use super::calendar::{Hours, HoursException, OpeningHours, WeeklyHours};
use super::closing::closed_spans;
use crate::error::Error;
use crate::period::Period;

pub(crate) async fn insert(
    connection: &mut PgConnection,
    point: &ServicePoint,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into service_point (id, code, name, library_code, institution_code, time_zone, created_at,
             pickup_location, hold_shelf_period)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        point.id,
        point.code,
        point.name,
        point.library_code,
        point.institution_code,
        point.time_zone,
        now.to_sqlx() as _,
        point.pickup_location,
        point.hold_shelf_period.map(Json) as _,
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn find(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<ServicePoint>, sqlx::Error> {
    let row = sqlx::query_as!(
        PointRow,
        r#"select id, code, name, library_code, institution_code, time_zone,
                pickup_location, hold_shelf_period as "hold_shelf_period: Json<Period>"
         from service_point where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(PointRow::read))
}

/// Says whether requests are picked up there, and how long they wait.
pub(crate) async fn set_pickup(
    connection: &mut PgConnection,
    id: Uuid,
    pickup_location: bool,
    hold_shelf_period: Option<Period>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update service_point set pickup_location = $2, hold_shelf_period = $3 where id = $1",
        id,
        pickup_location,
        hold_shelf_period.map(Json) as _,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A service point's row.
struct PointRow {
    id: Uuid,
    code: String,
    name: String,
    library_code: String,
    institution_code: String,
    time_zone: String,
    pickup_location: bool,
    hold_shelf_period: Option<Json<Period>>,
}

impl PointRow {
    fn read(self) -> ServicePoint {
        ServicePoint {
            id: self.id,
            code: self.code,
            name: self.name,
            library_code: self.library_code,
            institution_code: self.institution_code,
            time_zone: self.time_zone,
            pickup_location: self.pickup_location,
            hold_shelf_period: self.hold_shelf_period.map(|period| period.0),
        }
    }
}

pub(crate) async fn list(
    connection: &mut PgConnection,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<ServicePoint>, sqlx::Error> {
    let rows = sqlx::query_as!(
        PointRow,
        r#"select id, code, name, library_code, institution_code, time_zone,
                pickup_location, hold_shelf_period as "hold_shelf_period: Json<Period>"
         from service_point where $1::text is null or code > $1
         order by code limit $2"#,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(PointRow::read).collect())
}

/// Locks the service point for a change of its hours; false where there is
/// none.
pub(crate) async fn begin_hours(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query!(
        "update service_point set hours_revision = hours_revision + 1 where id = $1",
        id,
    )
    .execute(connection)
    .await?;
    Ok(changed.rows_affected() == 1)
}

pub(crate) async fn replace_weekly_hours(
    connection: &mut PgConnection,
    id: Uuid,
    weekly: &[WeeklyHours],
) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from weekly_hours where service_point_id = $1", id)
        .execute(&mut *connection)
        .await?;
    let days: Vec<i16> = weekly
        .iter()
        .map(|hours| hours.day.to_monday_one_offset().into())
        .collect();
    let opens: Vec<i16> = weekly
        .iter()
        .map(|weekly| minutes(weekly.hours.opens))
        .collect();
    let closes: Vec<i16> = weekly
        .iter()
        .map(|weekly| minutes(weekly.hours.closes))
        .collect();
    sqlx::query!(
        "insert into weekly_hours (service_point_id, place, day, opens, closes)
         select $1, place, day, opens, closes
         from unnest($2::smallint[], $3::smallint[], $4::smallint[])
              with ordinality as hours (day, opens, closes, place)",
        id,
        &days,
        &opens,
        &closes,
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn replace_exceptions(
    connection: &mut PgConnection,
    id: Uuid,
    exceptions: &[HoursException],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from hours_exception where service_point_id = $1",
        id
    )
    .execute(&mut *connection)
    .await?;
    let column = |of: fn(Hours) -> u16| -> Vec<Option<i16>> {
        let hours = |exception: &HoursException| exception.hours.map(|hours| minutes(of(hours)));
        exceptions.iter().map(hours).collect()
    };
    let first: Vec<jiff_sqlx::Date> = exceptions.iter().map(|e| e.first_date.to_sqlx()).collect();
    let last: Vec<jiff_sqlx::Date> = exceptions.iter().map(|e| e.last_date.to_sqlx()).collect();
    let reasons: Vec<String> = exceptions.iter().map(|e| e.reason.clone()).collect();
    sqlx::query!(
        "insert into hours_exception (service_point_id, place, first_date, last_date, reason, opens, closes)
         select $1, place, first_date, last_date, reason, opens, closes
         from unnest($2::date[], $3::date[], $4::text[], $5::smallint[], $6::smallint[])
              with ordinality as exception (first_date, last_date, reason, opens, closes, place)",
        id,
        &first as _,
        &last as _,
        &reasons,
        &column(|hours| hours.opens) as _,
        &column(|hours| hours.closes) as _,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The hours as they are kept; none where there is no such service point.
pub(crate) async fn opening_hours(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<OpeningHours, Error> {
    let weekly = sqlx::query!(
        "select day, opens, closes from weekly_hours where service_point_id = $1 order by place",
        id,
    )
    .fetch_all(&mut *connection)
    .await?;
    let exceptions = sqlx::query!(
        "select first_date, last_date, reason, opens, closes
         from hours_exception where service_point_id = $1 order by place",
        id,
    )
    .fetch_all(&mut *connection)
    .await?;
    let closings = closed_spans(connection, id).await?;
    let weekly = weekly.into_iter().map(|row| {
        Ok(WeeklyHours {
            day: weekday(row.day)?,
            hours: hours(row.opens, row.closes)?,
        })
    });
    let exceptions = exceptions.into_iter().map(|row| {
        Ok(HoursException {
            first_date: row.first_date.to_jiff(),
            last_date: row.last_date.to_jiff(),
            reason: row.reason,
            hours: match (row.opens, row.closes) {
                (Some(opens), Some(closes)) => Some(hours(opens, closes)?),
                _ => None,
            },
        })
    });
    let weekly = weekly.collect::<Result<_, Error>>()?;
    let exceptions = exceptions.collect::<Result<_, Error>>()?;
    let hours = OpeningHours::new(weekly, exceptions).map_err(|_| unreadable())?;
    closings
        .into_iter()
        .try_fold(hours, OpeningHours::closed)
        .ok_or_else(unreadable)
}

fn minutes(minutes: u16) -> i16 {
    i16::try_from(minutes).unwrap_or(i16::MAX)
}

fn hours(opens: i16, closes: i16) -> Result<Hours, Error> {
    Ok(Hours {
        opens: u16::try_from(opens).map_err(|_| unreadable())?,
        closes: u16::try_from(closes).map_err(|_| unreadable())?,
    })
}

fn weekday(day: i16) -> Result<Weekday, Error> {
    i8::try_from(day)
        .ok()
        .and_then(|day| Weekday::from_monday_one_offset(day).ok())
        .ok_or_else(unreadable)
}

fn unreadable() -> Error {
    Error::Unreadable("opening hours".into())
}
