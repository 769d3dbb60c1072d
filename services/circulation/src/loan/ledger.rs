//! The SQL that writes loans: one statement for each thing that happens, so
//! that a desk waits for few round trips. Each of them writes the loan, the
//! item's and the patron's rows and the loan's history together; the caller
//! holds the item's lock, and appends the events afterwards.

use carrel_money::Money;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::block::OverriddenBlock;
use super::model::Loan;

/// What goes into a loan's history.
#[derive(Debug)]
pub(crate) struct ActionRecord<'a> {
    pub id: Uuid,
    pub actor: &'a str,
    pub occurred_at: Timestamp,
    pub recorded_at: Timestamp,
    pub service_point_id: Uuid,
    pub comment: &'a str,
    pub overridden: &'a [OverriddenBlock],
    pub fine: Option<Money>,
}

/// Writes a new loan; returns the item's revision.
pub(crate) async fn check_out(
    connection: &mut PgConnection,
    loan: &Loan,
    record: &ActionRecord<'_>,
) -> Result<i64, sqlx::Error> {
    let [loan_policy, overdue_fine_policy, lost_item_policy] = loan.policy_ids;
    sqlx::query_scalar!(
        "with lent as (
             insert into loan (
                 id, item_id, patron_id, action, checked_out_at, due_at, check_out_service_point_id,
                 applied_rule, loan_policy_id, overdue_fine_policy_id, lost_item_policy_id,
                 library_code, institution_code, lost_due_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ), history as (
             insert into loan_action (
                 id, loan_id, action, actor, occurred_at, recorded_at, service_point_id, comment, overridden)
             values ($15, $1, $4, $16, $5, $17, $7, $18, $19)
         ), patron as (
             update patron_circulation set
                 open_loans = open_loans + 1,
                 loans_by_policy = jsonb_set(loans_by_policy, array[$20],
                     to_jsonb(coalesce((loans_by_policy ->> $20)::integer, 0) + 1))
             where patron_id = $3
         )
         update item_circulation set open_loan_id = $1, status = 2, revision = revision + 1
         where item_id = $2
         returning revision",
        loan.id,
        loan.item_id,
        loan.patron_id,
        number(loan.action.into()),
        loan.checked_out_at.to_sqlx() as _,
        loan.due_at.to_sqlx() as _,
        loan.check_out_service_point_id,
        Json(&loan.applied_rule) as _,
        loan_policy,
        overdue_fine_policy,
        lost_item_policy,
        loan.library_code,
        loan.institution_code,
        loan.lost_due_at.map(ToSqlx::to_sqlx) as _,
        record.id,
        record.actor,
        record.recorded_at.to_sqlx() as _,
        record.comment,
        Json(record.overridden) as _,
        loan.applied_rule.loan_policy,
    )
    .fetch_one(connection)
    .await
}

/// Where an item goes that came over the desk.
#[derive(Debug)]
pub(crate) struct CheckInRecord<'a> {
    pub id: Uuid,
    pub item_id: Uuid,
    pub service_point_id: Uuid,
    pub occurred_at: Timestamp,
    pub next_step: i32,
    pub destination_library_code: &'a str,
    pub in_house_use: bool,
}

/// Writes that an item without a loan came over the desk.
pub(crate) async fn check_in_without_loan(
    connection: &mut PgConnection,
    record: &CheckInRecord<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into check_in (
             id, item_id, service_point_id, occurred_at, next_step, destination_library_code, in_house_use)
         values ($1, $2, $3, $4, $5, $6, $7)",
        record.id,
        record.item_id,
        record.service_point_id,
        record.occurred_at.to_sqlx() as _,
        number(record.next_step),
        record.destination_library_code,
        record.in_house_use,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes the end of a loan; `before` is the loan as it was. Returns the
/// item's revision.
pub(crate) async fn check_in(
    connection: &mut PgConnection,
    before: &Loan,
    loan: &Loan,
    check_in: &CheckInRecord<'_>,
    record: &ActionRecord<'_>,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "with returned as (
             update loan set action = $2, checked_in_at = $3, check_in_service_point_id = $4,
                 fined = $5, fined_currency = $6, revision = $7
             where id = $1
         ), arrival as (
             insert into check_in (
                 id, item_id, loan_id, service_point_id, occurred_at, next_step, destination_library_code,
                 in_house_use)
             values ($8, $9, $1, $4, $3, $10, $11, false)
         ), history as (
             insert into loan_action (
                 id, loan_id, action, actor, occurred_at, recorded_at, service_point_id, fine, fine_currency)
             values ($8, $1, $2, $12, $3, $13, $4, $14, $15)
         ), patron as (
             update patron_circulation set
                 open_loans = open_loans - 1,
                 overdue_loans = overdue_loans - $16::integer,
                 lost_loans = lost_loans - $17::integer,
                 loans_by_policy = case
                     when (loans_by_policy ->> $18)::integer > 1 then
                         jsonb_set(loans_by_policy, array[$18], to_jsonb((loans_by_policy ->> $18)::integer - 1))
                     else loans_by_policy - $18
                 end
             where patron_id = $19
         )
         update item_circulation set open_loan_id = null, status = 1, revision = revision + 1
         where item_id = $9
         returning revision",
        loan.id,
        number(loan.action.into()),
        check_in.occurred_at.to_sqlx() as _,
        check_in.service_point_id,
        loan.fined.map(Money::amount),
        loan.fined.map(|fined| fined.currency().code()),
        loan.revision,
        check_in.id,
        check_in.item_id,
        number(check_in.next_step),
        check_in.destination_library_code,
        record.actor,
        record.recorded_at.to_sqlx() as _,
        record.fine.map(Money::amount),
        record.fine.map(|fine| fine.currency().code()),
        i32::from(before.counts_as_overdue()),
        i32::from(before.counts_as_lost()),
        loan.applied_rule.loan_policy,
        loan.patron_id,
    )
    .fetch_one(connection)
    .await
}

/// Writes a renewal; `before` is the loan as it was.
pub(crate) async fn renew(
    connection: &mut PgConnection,
    before: &Loan,
    loan: &Loan,
    record: &ActionRecord<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with history as (
             insert into loan_action (
                 id, loan_id, action, actor, occurred_at, recorded_at, service_point_id, comment, overridden,
                 fine, fine_currency)
             values ($9, $1, $2, $10, $11, $12, $13, $14, $15, $16, $17)
         ), patron as (
             update patron_circulation set overdue_loans = overdue_loans - $18::integer
             where patron_id = $19 and $18::integer > 0
         )
         update loan set action = $2, due_at = $3, lost_due_at = $4, overdue_since = null,
             renewal_count = $5, fined = $6, fined_currency = $7, revision = $8
         where id = $1",
        loan.id,
        number(loan.action.into()),
        loan.due_at.to_sqlx() as _,
        loan.lost_due_at.map(ToSqlx::to_sqlx) as _,
        loan.renewal_count,
        loan.fined.map(Money::amount),
        loan.fined.map(|fined| fined.currency().code()),
        loan.revision,
        record.id,
        record.actor,
        record.occurred_at.to_sqlx() as _,
        record.recorded_at.to_sqlx() as _,
        record.service_point_id,
        record.comment,
        Json(record.overridden) as _,
        record.fine.map(Money::amount),
        record.fine.map(|fine| fine.currency().code()),
        i32::from(before.counts_as_overdue()),
        loan.patron_id,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// An enum's number as the database keeps it; the contract's enums are small.
fn number(value: i32) -> i16 {
    i16::try_from(value).unwrap_or(0)
}
