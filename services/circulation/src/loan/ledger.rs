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
use super::model::{Counts, Loan, LossCause};
use super::store::{Desk, ItemAtDesk};

/// What goes into a loan's history.
#[derive(Debug)]
pub(crate) struct ActionRecord<'a> {
    pub id: Uuid,
    pub actor: &'a str,
    pub occurred_at: Timestamp,
    pub recorded_at: Timestamp,
    /// `None`: nowhere, by itself.
    pub service_point_id: Option<Uuid>,
    pub comment: &'a str,
    pub overridden: &'a [OverriddenBlock],
    pub fine: Option<Money>,
}

/// Where an item goes that came over the desk.
#[derive(Debug)]
pub(crate) struct CheckInRecord<'a> {
    pub id: Uuid,
    pub item_id: Uuid,
    pub loan_id: Option<Uuid>,
    pub service_point_id: Uuid,
    pub occurred_at: Timestamp,
    pub next_step: i32,
    pub destination_library_code: &'a str,
    pub in_house_use: bool,
    /// The request that it goes to.
    pub request_id: Option<Uuid>,
    pub destination_service_point_id: Option<Uuid>,
    /// What statistics keep of a use in house.
    pub facts: InHouseFacts<'a>,
}

/// What statistics keep of a use in house: of the item, since nobody is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct InHouseFacts<'a> {
    pub institution_code: &'a str,
    pub campus_code: &'a str,
    pub library_code: &'a str,
    pub location_code: &'a str,
    pub material_type: &'a str,
    pub loan_type: &'a str,
    pub call_number_class: &'a str,
}

impl<'a> InHouseFacts<'a> {
    /// Of this item. Where the catalog has not told of its place, it was used
    /// in the desk's library.
    pub(crate) fn of(item: &'a ItemAtDesk, desk: &'a Desk) -> Self {
        let path = &item.path;
        Self {
            institution_code: path
                .institution_code
                .as_deref()
                .unwrap_or(&desk.institution_code),
            campus_code: path.campus_code.as_deref().unwrap_or_default(),
            library_code: path.library_code.as_deref().unwrap_or(&desk.library_code),
            location_code: path.location_code.as_deref().unwrap_or_default(),
            material_type: &item.material_type,
            loan_type: &item.loan_type,
            call_number_class: &item.call_number_class,
        }
    }
}

/// Writes that an item came over the desk.
pub(crate) async fn arrive(
    connection: &mut PgConnection,
    record: &CheckInRecord<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into check_in (
             id, item_id, loan_id, service_point_id, occurred_at, next_step, destination_library_code,
             in_house_use, institution_code, campus_code, library_code, location_code, material_type,
             loan_type, call_number_class, request_id, destination_service_point_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        record.id,
        record.item_id,
        record.loan_id,
        record.service_point_id,
        record.occurred_at.to_sqlx() as _,
        number(record.next_step),
        record.destination_library_code,
        record.in_house_use,
        record.facts.institution_code,
        record.facts.campus_code,
        record.facts.library_code,
        record.facts.location_code,
        record.facts.material_type,
        record.facts.loan_type,
        record.facts.call_number_class,
        record.request_id,
        record.destination_service_point_id,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes that a loan changed in whatever way: the loan, its item's status,
/// its patron's counters by the difference between `before` and `loan`, and
/// the history. Returns the item's revision. Where a loan ends, its item is in
/// until the caller says where it goes.
pub(crate) async fn change(
    connection: &mut PgConnection,
    before: &Loan,
    loan: &Loan,
    record: &ActionRecord<'_>,
) -> Result<i64, sqlx::Error> {
    let counts = Counts::change(before.counts(), loan.counts());
    let loss_at = |cause| {
        let loss = loan.loss.filter(|loss| loss.cause == cause);
        loss.map(|loss| loss.at.to_sqlx())
    };
    let status_changed = before.item_status() != loan.item_status();
    sqlx::query_scalar!(
        "with changed as (
             update loan set action = $2, due_at = $3, checked_in_at = $4, check_in_service_point_id = $5,
                 renewal_count = $6, overdue_since = $7, lost_due_at = $8, aged_to_lost_at = $9,
                 declared_lost_at = $10, loss_id = $11, claimed_returned_at = $12, recalled_at = $13,
                 fined = $14, fined_currency = $15, revision = $16, expected_charges = $35
             where id = $1
         ), history as (
             insert into loan_action (
                 id, loan_id, action, actor, occurred_at, recorded_at, service_point_id, comment, overridden,
                 fine, fine_currency)
             values ($17, $1, $2, $18, $19, $20, $21, $22, $23, $24, $25)
         ), patron as (
             update patron_circulation set
                 open_loans = open_loans + $26::integer,
                 overdue_loans = overdue_loans + $27::integer,
                 overdue_recalls = overdue_recalls + $28::integer,
                 lost_loans = lost_loans + $29::integer,
                 loans_by_kind = case when $26::integer = 0 then loans_by_kind
                     else count_loans(loans_by_kind, $30, $26::integer) end
             where patron_id = $31
               and ($26::integer, $27::integer, $28::integer, $29::integer) <> (0, 0, 0, 0)
         )
         update item_circulation set
             open_loan_id = case when $4::timestamptz is null then open_loan_id end,
             status = $32,
             revision = revision + $33::integer
         where item_id = $34
         returning revision",
        loan.id,
        number(loan.action.into()),
        loan.due_at.to_sqlx() as _,
        loan.checked_in_at.map(ToSqlx::to_sqlx) as _,
        loan.check_in_service_point_id,
        loan.renewal_count,
        loan.overdue_since.map(ToSqlx::to_sqlx) as _,
        loan.lost_due_at.map(ToSqlx::to_sqlx) as _,
        loss_at(LossCause::Aged) as _,
        loss_at(LossCause::Declared) as _,
        loan.loss.map(|loss| loss.id),
        loan.claimed_returned_at.map(ToSqlx::to_sqlx) as _,
        loan.recalled_at.map(ToSqlx::to_sqlx) as _,
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
        counts.open,
        counts.overdue,
        counts.overdue_recalls,
        counts.lost,
        &loan.kinds(),
        loan.patron_id,
        number(loan.item_status().into()),
        i32::from(status_changed),
        loan.item_id,
        loan.expected_charges,
    )
    .fetch_one(connection)
    .await
}

/// An enum's number as the database keeps it; the contract's enums are small.
fn number(value: i32) -> i16 {
    i16::try_from(value).unwrap_or(0)
}
