//! All SQL of confidentiality.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

pub(crate) async fn cut_after_days(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!("select cut_after_days from privacy_settings")
        .fetch_one(connection)
        .await
}

pub(crate) async fn set_cut_after_days(
    connection: &mut PgConnection,
    days: i32,
) -> Result<(), sqlx::Error> {
    sqlx::query!("update privacy_settings set cut_after_days = $1", days)
        .execute(connection)
        .await
        .map(drop)
}

/// Whether a loan that ended by an instant (equipment and kits: by another one)
/// is to be looked at, or a borrower to
/// be forgotten.
pub(crate) async fn is_anything_due(
    connection: &mut PgConnection,
    (ended_by, inspected_by): (Timestamp, Timestamp),
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (
             select from loan
             where checked_in_at is not null and patron_id is not null and kept_for = 0
               and checked_in_at <= $1
               and (checked_in_at <= $2 or (category <> 3 and not exists (
                   select from item_kit_part part where part.item_id = loan.item_id)))
         ) or exists (
             select from patron_request
             where closed_at is not null and patron_id is not null and not kept_as_history
               and closed_at <= $1
         ) or exists (
             select from item_circulation where reborrow_from is not null and reborrow_from <= $3
         ) as "due!""#,
        ended_by.to_sqlx() as _,
        inspected_by.to_sqlx() as _,
        now.to_sqlx() as _,
    )
    .fetch_one(connection)
    .await
}

/// Takes loans that ended by an instant, equipment and kits by another one, and
/// were not looked at: locks their
/// items, as whatever changes a loan does, but waits for none.
pub(crate) async fn take_ended(
    connection: &mut PgConnection,
    (ended_by, inspected_by): (Timestamp, Timestamp),
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select loan.id
         from loan join item_circulation item on item.item_id = loan.item_id
         where checked_in_at is not null and patron_id is not null and kept_for = 0
           and checked_in_at <= $1
           and (checked_in_at <= $2 or (category <> 3 and not exists (
               select from item_kit_part part where part.item_id = loan.item_id)))
         order by checked_in_at limit $3
         for update of item, loan skip locked",
        ended_by.to_sqlx() as _,
        inspected_by.to_sqlx() as _,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Cuts the patron from these loans, or notes what they keep theirs for. Gives
/// those that were cut with their revision. In the history, whoever acted for
/// themselves is "patron"; requests that patrons made for themselves are
/// forgotten, since they name the loan they led to.
pub(crate) async fn cut_or_keep(
    connection: &mut PgConnection,
    loans: &[Uuid],
) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with examined as materialized (
             select loan.id,
                    (case when charge.open > 0 or charge.told < loan.expected_charges then 1
                          when patron.keeps_history then 2
                          else 0 end)::smallint as kept_for
             from loan
             left join patron_projection patron on patron.patron_id = loan.patron_id
             cross join lateral (
                 select count(*) as told, count(*) filter (where open) as open
                 from loan_charge_projection charge where charge.loan_id = loan.id
             ) charge
             where loan.id = any($1)
         ), kept as (
             update loan set kept_for = examined.kept_for
             from examined where loan.id = examined.id and examined.kept_for > 0
         ), cut as (
             update loan set patron_id = null, proxy_patron_id = null, revision = revision + 1
             from examined where loan.id = examined.id and examined.kept_for = 0
             returning loan.id, revision
         ), requests as (
             delete from request using loan_action action, cut
             where action.loan_id = cut.id and action.actor like 'patron:%'
               and request.created_at = action.recorded_at and request.caller = action.actor
         ), history as (
             update loan_action action set actor = 'patron'
             from cut where action.loan_id = cut.id and action.actor like 'patron:%'
         )
         select id as "id!", revision as "revision!" from cut"#,
        loans,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.revision)).collect())
}

/// Takes requests that were closed by an instant and not looked at.
pub(crate) async fn take_closed_requests(
    connection: &mut PgConnection,
    closed_by: Timestamp,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from patron_request
         where closed_at is not null and patron_id is not null and not kept_as_history
           and closed_at <= $1
         order by closed_at limit $2
         for update skip locked",
        closed_by.to_sqlx() as _,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Cuts the patron from these requests with their comment, or notes that it is
/// kept. Gives those that were cut with their revision.
pub(crate) async fn cut_or_keep_requests(
    connection: &mut PgConnection,
    requests: &[Uuid],
) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with examined as materialized (
             select wanted.id, wanted.patron_id, coalesce(patron.keeps_history, false) as keeps
             from patron_request wanted
             left join patron_projection patron on patron.patron_id = wanted.patron_id
             where wanted.id = any($1)
         ), kept as (
             update patron_request wanted set kept_as_history = true
             from examined where wanted.id = examined.id and keeps
         ), calls as (
             delete from request using examined
             where not keeps and request.caller = 'patron:' || examined.patron_id
               and examined.id = any(request.outcome)
         )
         update patron_request wanted set patron_id = null, patron_comment = '', revision = revision + 1,
             placed_by = case when placed_by like 'patron:%' then 'patron' else placed_by end
         from examined where wanted.id = examined.id and not keeps
         returning wanted.id, revision"#,
        requests,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.revision)).collect())
}

/// Notes one charge more that billing makes for an ended loan. The caller holds
/// its item's lock.
pub(crate) async fn expect_charge(
    connection: &mut PgConnection,
    loan_id: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update loan set expected_charges = expected_charges + 1, kept_for = 0 where id = $1",
        loan_id,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Forgets who had items last, where they may take them again.
pub(crate) async fn forget_borrowers(
    connection: &mut PgConnection,
    now: Timestamp,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let forgotten = sqlx::query!(
        "update item_circulation set last_patron_id = null, last_returned_at = null, reborrow_from = null
         where item_id = any(array(
             select item_id from item_circulation
             where reborrow_from is not null and reborrow_from <= $1
             order by reborrow_from limit $2
             for update skip locked))",
        now.to_sqlx() as _,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(forgotten.rows_affected())
}
