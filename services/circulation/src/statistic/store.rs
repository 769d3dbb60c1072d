//! All SQL of statistics.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::{Count, Dimensions};

/// Counts by the dimensions asked for. An index finds what happened within a
/// day around the span; the service points' calendars then say what did on its
/// days. The key orders all texts by their bytes.
pub(crate) async fn count(
    connection: &mut PgConnection,
    (from, to): (Date, Date),
    by: Dimensions,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Count>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with span as (
             select $1::date as from_date, $2::date as to_date,
                    ($1::date - 1)::timestamp at time zone 'UTC' as starts,
                    ($2::date + 2)::timestamp at time zone 'UTC' as ends
         ), happened as (
             select 1 as kind, loan.institution_code, loan.library_code, loan.location_code,
                    loan.patron_group, loan.material_type, loan.call_number_class,
                    loan.category::integer as category, checked_out_at at time zone point.time_zone as local
             from span
             join loan on checked_out_at >= starts and checked_out_at < ends
             join service_point point on point.id = check_out_service_point_id
             union all
             select 2, loan.institution_code, loan.library_code, loan.location_code, loan.patron_group,
                    loan.material_type, loan.call_number_class, loan.category::integer,
                    action.occurred_at at time zone point.time_zone
             from span
             join loan_action action on action.action in (3, 4)
                 and action.occurred_at >= starts and action.occurred_at < ends
             join loan on loan.id = action.loan_id
             join service_point point
                 on point.id = coalesce(action.service_point_id, loan.check_out_service_point_id)
             union all
             select 3, used.institution_code, used.library_code, used.location_code, '', used.material_type,
                    used.call_number_class, 0, used.occurred_at at time zone point.time_zone
             from span
             join check_in used on used.in_house_use
                 and used.occurred_at >= starts and used.occurred_at < ends
             join service_point point on point.id = used.service_point_id
         ), kept as (
             select case when $3 then institution_code else '' end as institution_code,
                    case when $4 then library_code else '' end as library_code,
                    case when $5 then location_code else '' end as location_code,
                    case when $6 then patron_group else '' end as patron_group,
                    case when $7 then material_type else '' end as material_type,
                    case when $8 then call_number_class else '' end as call_number_class,
                    case when $9 then category end as category,
                    case when $10 then kind end as kind,
                    case when $11 then extract(hour from local)::integer end as hour,
                    case when $12 then date_trunc('month', local)::date end as month
             from happened, span
             where local >= from_date and local < to_date + 1
         ), counted as (
             select count(*) as count, institution_code, library_code, location_code, patron_group,
                    material_type, call_number_class, category, kind, hour, month,
                    concat_ws(chr(31), institution_code, library_code, location_code, patron_group,
                        material_type, call_number_class, coalesce(category, 0), coalesce(kind, 0),
                        to_char(coalesce(hour, 0), 'FM00'), coalesce(month, date '0001-01-01'))
                        collate "C" as key
             from kept
             group by institution_code, library_code, location_code, patron_group, material_type,
                 call_number_class, category, kind, hour, month
         )
         select key as "key!", count as "count!", institution_code as "institution_code!",
                library_code as "library_code!", location_code as "location_code!",
                patron_group as "patron_group!", material_type as "material_type!",
                call_number_class as "call_number_class!", category, kind, hour, month
         from counted where $13::text is null or key > $13 collate "C"
         order by key limit $14"#,
        from.to_sqlx() as _,
        to.to_sqlx() as _,
        by.institution,
        by.library,
        by.location,
        by.patron_group,
        by.material_type,
        by.call_number_class,
        by.category,
        by.kind,
        by.hour,
        by.month,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let counts = rows.into_iter().map(|row| Count {
        key: row.key,
        count: row.count,
        institution_code: row.institution_code,
        library_code: row.library_code,
        location_code: row.location_code,
        patron_group: row.patron_group,
        material_type: row.material_type,
        call_number_class: row.call_number_class,
        category: row.category,
        kind: row.kind,
        hour: row.hour,
        month: row.month.map(jiff_sqlx::Date::to_jiff),
    });
    Ok(counts.collect())
}
