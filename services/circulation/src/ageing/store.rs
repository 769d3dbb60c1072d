//! All SQL of ageing.

use carrel_money::Money;
use carrel_proto::circulation::v1::CirculationItemStatus;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{ACTOR, Aged};
use crate::error::Error;
use crate::loan::model::Loan;
use crate::loan::store::find_all;
use crate::policy::store::money;

/// Notes that a run begins.
pub(crate) async fn begin_run(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("insert into ageing_run (id) values ($1)", id)
        .execute(connection)
        .await
        .map(drop)
}

/// Whether a run is not over; holds it until the transaction ends, so that
/// repeated requests take turns. What nobody asked for always goes on.
pub(crate) async fn may_go_on(
    connection: &mut PgConnection,
    run_id: Option<Uuid>,
) -> Result<bool, sqlx::Error> {
    let Some(id) = run_id else { return Ok(true) };
    let going_on = sqlx::query_scalar!(
        r#"select finished_at is null as "going_on!" from ageing_run where id = $1 for update"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(going_on.unwrap_or_default())
}

/// Adds what a transaction aged to its run.
pub(crate) async fn count(
    connection: &mut PgConnection,
    run_id: Option<Uuid>,
    aged: Aged,
) -> Result<(), sqlx::Error> {
    let Some(id) = run_id else { return Ok(()) };
    sqlx::query!(
        "update ageing_run set
             overdue_count = overdue_count + $2,
             aged_to_lost_count = aged_to_lost_count + $3,
             lost_and_paid_count = lost_and_paid_count + $4,
             anonymised_count = anonymised_count + $5
         where id = $1",
        id,
        aged.overdue_count,
        aged.aged_to_lost_count,
        aged.lost_and_paid_count,
        aged.anonymised_count,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Ends a run, and gives what it aged in all.
pub(crate) async fn finish_run(
    pool: &PgPool,
    id: Uuid,
    now: Timestamp,
) -> Result<Aged, sqlx::Error> {
    sqlx::query_as!(
        Aged,
        "update ageing_run set finished_at = coalesce(finished_at, $2) where id = $1
         returning overdue_count, aged_to_lost_count, lost_and_paid_count, anonymised_count",
        id,
        now.to_sqlx() as _,
    )
    .fetch_one(pool)
    .await
}

/// Whether a loan is due to become overdue or lost, or is lost and paid for.
pub(crate) async fn is_anything_due(pool: &PgPool, now: Timestamp) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (
             select from loan where checked_in_at is null and overdue_since is null and loss_id is null and claimed_returned_at is null and due_at < $1
         ) or exists (
             select from loan
             where checked_in_at is null and loss_id is null and claimed_returned_at is null
               and lost_due_at is not null and lost_due_at <= $1
         ) or exists (select from loan_charge_projection where ends_loan) as "due!""#,
        now.to_sqlx() as _,
    )
    .fetch_one(pool)
    .await
}

/// Takes loans that have become overdue: locks their items, as whatever
/// changes a loan does, but waits for none.
pub(crate) async fn take_overdue(
    connection: &mut PgConnection,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Loan>, Error> {
    let ids = sqlx::query_scalar!(
        "select loan.id
         from loan join item_circulation item on item.item_id = loan.item_id and item.open_loan_id = loan.id
         where checked_in_at is null and overdue_since is null and loss_id is null and claimed_returned_at is null and due_at < $1
         order by due_at limit $2
         for update of item, loan skip locked",
        now.to_sqlx() as _,
        limit,
    )
    .fetch_all(&mut *connection)
    .await?;
    find_all(connection, &ids).await
}

/// A loan that has become lost.
#[derive(Debug)]
pub(crate) struct TakenLost {
    pub loan: Loan,
    /// The item's replacement price, where the catalog knows it.
    pub price: Option<Money>,
    /// The item's revision before the loss.
    pub item_revision: i64,
}

/// Takes loans whose items have become lost, as [`take_overdue`] does.
pub(crate) async fn take_lost(
    connection: &mut PgConnection,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<TakenLost>, Error> {
    let rows = sqlx::query!(
        r#"select loan.id, item.revision, projection.price as "price?", projection.price_currency as "price_currency?"
         from loan join item_circulation item on item.item_id = loan.item_id and item.open_loan_id = loan.id
         left join item_projection projection on projection.item_id = loan.item_id
         where checked_in_at is null and loss_id is null and claimed_returned_at is null
           and lost_due_at is not null and lost_due_at <= $1
         order by lost_due_at limit $2
         for update of item, loan skip locked"#,
        now.to_sqlx() as _,
        limit,
    )
    .fetch_all(&mut *connection)
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut loans = find_all(connection, &ids).await?;
    let mut taken = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(place) = loans.iter().position(|loan| loan.id == row.id) else {
            return Err(Error::LoanNotFound);
        };
        taken.push(TakenLost {
            loan: loans.swap_remove(place),
            price: money(row.price, row.price_currency.as_deref())?,
            item_revision: row.revision,
        });
    }
    Ok(taken)
}

/// Locks the patrons of loans in one order, so that two batches never wait for
/// each other.
pub(crate) async fn lock_patrons(
    connection: &mut PgConnection,
    loans: &[Loan],
) -> Result<(), sqlx::Error> {
    let patrons: Vec<Uuid> = loans.iter().filter_map(|loan| loan.patron_id).collect();
    sqlx::query!(
        "select patron_id from patron_circulation where patron_id = any($1) order by patron_id for update",
        &patrons,
    )
    .fetch_all(connection)
    .await
    .map(drop)
}

/// Writes that loans are overdue.
pub(crate) async fn write_overdue(
    connection: &mut PgConnection,
    loans: &[Loan],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = loans.iter().map(|loan| loan.id).collect();
    sqlx::query!(
        "with overdue as (
             update loan set overdue_since = $2, revision = revision + 1 where id = any($1)
             returning patron_id, recalled_at
         )
         update patron_circulation patron set
             overdue_loans = patron.overdue_loans + counted.overdue,
             overdue_recalls = patron.overdue_recalls + counted.recalls
         from (
             select patron_id, count(*)::integer as overdue, count(recalled_at)::integer as recalls
             from overdue group by patron_id
         ) counted
         where patron.patron_id = counted.patron_id",
        &ids,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes that items are lost: the loans, the items, the patrons' counters and
/// the loans' history.
pub(crate) async fn write_lost(
    connection: &mut PgConnection,
    before: &[TakenLost],
    loans: &[Loan],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = loans.iter().map(|loan| loan.id).collect();
    let losses: Vec<Uuid> = loans
        .iter()
        .filter_map(|loan| Some(loan.loss?.id))
        .collect();
    let were_overdue: Vec<bool> = before
        .iter()
        .map(|taken| taken.loan.counts().overdue > 0)
        .collect();
    let charges: Vec<i32> = loans.iter().map(|loan| loan.expected_charges).collect();
    let action: i32 = carrel_proto::circulation::v1::LoanAction::ItemAgedToLost.into();
    sqlx::query!(
        "with taken as (
             select * from unnest($1::uuid[], $2::uuid[], $3::boolean[], $7::integer[])
                 as taken (loan_id, loss_id, was_overdue, expected_charges)
         ), lost as (
             update loan set action = $4, overdue_since = coalesce(overdue_since, $5), aged_to_lost_at = $5,
                 loss_id = taken.loss_id, expected_charges = taken.expected_charges,
                 revision = revision + 1
             from taken where loan.id = taken.loan_id
             returning loan.id, item_id, patron_id, taken.was_overdue, recalled_at
         ), history as (
             insert into loan_action (id, loan_id, action, actor, occurred_at, recorded_at)
             select loss_id, loan_id, $4, $6, $5, $5 from taken
         ), items as (
             update item_circulation item set status = 3, revision = item.revision + 1
             from lost where item.item_id = lost.item_id
         )
         update patron_circulation patron set
             lost_loans = patron.lost_loans + counted.lost,
             overdue_loans = patron.overdue_loans - counted.overdue,
             overdue_recalls = patron.overdue_recalls - counted.recalls
         from (
             select patron_id, count(*)::integer as lost,
                    (count(*) filter (where was_overdue))::integer as overdue,
                    (count(recalled_at) filter (where was_overdue))::integer as recalls
             from lost group by patron_id
         ) counted
         where patron.patron_id = counted.patron_id",
        &ids,
        &losses,
        &were_overdue,
        i16::try_from(action).unwrap_or_default(),
        now.to_sqlx() as _,
        ACTOR,
        &charges,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The loan of a lost item fee that is paid, and its item, locked.
pub(crate) async fn take_lost_and_paid(
    connection: &mut PgConnection,
) -> Result<Option<Uuid>, sqlx::Error> {
    // The charge comes last here and is looked at again below: the item's lock
    // comes before everything else of a loan.
    sqlx::query_scalar!(
        "select loan.id from loan_charge_projection charge
         join loan on loan.id = charge.loan_id
         join item_circulation item on item.item_id = loan.item_id
         where charge.ends_loan
         order by charge.loan_id limit 1
         for update of item skip locked",
    )
    .fetch_optional(connection)
    .await
}

/// Whether it still is to be ended for what was paid; it is no more after this.
pub(crate) async fn settle_paid(
    connection: &mut PgConnection,
    loan_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let settled = sqlx::query!(
        "update loan_charge_projection set ends_loan = false where loan_id = $1 and ends_loan",
        loan_id,
    )
    .execute(connection)
    .await?;
    Ok(settled.rows_affected() > 0)
}

/// Forgets that loans which are not known here are to be ended.
pub(crate) async fn settle_strangers(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update loan_charge_projection charge set ends_loan = false
         where ends_loan and not exists (select from loan where id = charge.loan_id)",
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes where an item is that has no loan; gives its revision.
pub(crate) async fn put_item_status(
    connection: &mut PgConnection,
    item_id: Uuid,
    status: CirculationItemStatus,
) -> Result<i64, sqlx::Error> {
    let number: i32 = status.into();
    sqlx::query_scalar!(
        "update item_circulation set status = $2 where item_id = $1
         returning revision",
        item_id,
        i16::try_from(number).unwrap_or_default(),
    )
    .fetch_one(connection)
    .await
}

/// The loan that ended when its lost item was paid for, the item's last one.
pub(crate) async fn find_paid_loan(
    connection: &mut PgConnection,
    item_id: Uuid,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from loan where item_id = $1 and action = 12 and loss_id is not null
         order by id desc limit 1",
        item_id,
    )
    .fetch_optional(connection)
    .await
}
