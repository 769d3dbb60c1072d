//! All SQL of what staff do to loans beside lending and taking back.

use std::collections::HashMap;

use carrel_database::RequestKey;
use carrel_money::Money;
use carrel_proto::circulation::v1::{CirculationItemStatus, LoanAction};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::action::ActionEntry;
use super::automatic_renewal::Horizons;
use super::block::OverriddenBlock;
use super::due_change::{ChangeDueDates, DueDateChange, Filter, Selection};
use super::fine::LostFees;
use super::ledger::ActionRecord;
use super::model::Loan;
use super::store::find_all;
use crate::error::Error;
use crate::period::Period;
use crate::policy::model::LoanTerms;
use crate::policy::store::money;

/// The most of those that were left that one answer names.
const MOST_LEFT: i64 = 1_000;
/// What becomes of a loan that is moved.
const MOVED: &str = "MOVED";

struct EntryRow {
    id: Uuid,
    action: i16,
    actor: String,
    occurred_at: jiff_sqlx::Timestamp,
    recorded_at: jiff_sqlx::Timestamp,
    service_point_id: Option<Uuid>,
    comment: String,
    overridden: Json<Vec<OverriddenBlock>>,
    fine: Option<carrel_money::Decimal>,
    fine_currency: Option<String>,
    lost_item_fee: Option<carrel_money::Decimal>,
    lost_item_fee_currency: Option<String>,
    processing_fee: Option<carrel_money::Decimal>,
    processing_fee_currency: Option<String>,
    actual_cost_to_be_set: bool,
}

impl EntryRow {
    fn read(self) -> Result<ActionEntry, Error> {
        Ok(ActionEntry {
            id: self.id,
            action: LoanAction::try_from(i32::from(self.action))
                .map_err(|_| Error::Unreadable(format!("loan action {}", self.id)))?,
            actor: self.actor,
            occurred_at: self.occurred_at.to_jiff(),
            recorded_at: self.recorded_at.to_jiff(),
            service_point_id: self.service_point_id,
            comment: self.comment,
            overridden: self.overridden.0,
            overdue_fine: money(self.fine, self.fine_currency.as_deref())?,
            fees: LostFees {
                lost_item_fee: money(self.lost_item_fee, self.lost_item_fee_currency.as_deref())?,
                processing_fee: money(
                    self.processing_fee,
                    self.processing_fee_currency.as_deref(),
                )?,
                actual_cost_to_be_set: self.actual_cost_to_be_set,
            },
        })
    }
}

/// A loan's history, after one entry.
pub(super) async fn list_actions(
    connection: &mut PgConnection,
    loan_id: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ActionEntry>, Error> {
    let rows = sqlx::query_as!(
        EntryRow,
        r#"select id, action, actor, occurred_at, recorded_at, service_point_id, comment,
                overridden as "overridden: Json<Vec<OverriddenBlock>>", fine, fine_currency,
                lost_item_fee, lost_item_fee_currency, processing_fee, processing_fee_currency,
                actual_cost_to_be_set
         from loan_action where loan_id = $1 and ($2::uuid is null or id > $2)
         order by id limit $3"#,
        loan_id,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(EntryRow::read).collect()
}

pub(super) async fn find_entry(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<ActionEntry>, Error> {
    sqlx::query_as!(
        EntryRow,
        r#"select id, action, actor, occurred_at, recorded_at, service_point_id, comment,
                overridden as "overridden: Json<Vec<OverriddenBlock>>", fine, fine_currency,
                lost_item_fee, lost_item_fee_currency, processing_fee, processing_fee_currency,
                actual_cost_to_be_set
         from loan_action where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?
    .map(EntryRow::read)
    .transpose()
}

/// Adds a note to a loan's history. The loan stays as it is.
pub(super) async fn insert_comment(
    connection: &mut PgConnection,
    loan_id: Uuid,
    record: &ActionRecord<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into loan_action (
             id, loan_id, action, actor, occurred_at, recorded_at, service_point_id, comment)
         values ($1, $2, 13, $3, $4, $5, $6, $7)",
        record.id,
        loan_id,
        record.actor,
        record.occurred_at.to_sqlx() as _,
        record.recorded_at.to_sqlx() as _,
        record.service_point_id,
        record.comment,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Keeps what a declared loss costs with its entry in the history.
pub(super) async fn put_fees(
    connection: &mut PgConnection,
    action_id: Uuid,
    fees: LostFees,
) -> Result<(), sqlx::Error> {
    let code = |fee: Option<Money>| fee.map(|fee| fee.currency().code());
    sqlx::query!(
        "update loan_action set lost_item_fee = $2, lost_item_fee_currency = $3,
             processing_fee = $4, processing_fee_currency = $5, actual_cost_to_be_set = $6
         where id = $1",
        action_id,
        fees.lost_item_fee.map(Money::amount),
        code(fees.lost_item_fee),
        fees.processing_fee.map(Money::amount),
        code(fees.processing_fee),
        fees.actual_cost_to_be_set,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The item's replacement price, where the catalog knows it.
pub(super) async fn price_of(
    connection: &mut PgConnection,
    item_id: Uuid,
) -> Result<Option<Money>, Error> {
    let row = sqlx::query!(
        "select price, price_currency from item_projection where item_id = $1",
        item_id,
    )
    .fetch_optional(connection)
    .await?;
    row.map_or(Ok(None), |row| {
        money(row.price, row.price_currency.as_deref())
    })
}

/// Says where an item is whose loan this transaction ended.
pub(super) async fn put_status(
    connection: &mut PgConnection,
    item_id: Uuid,
    status: CirculationItemStatus,
) -> Result<(), sqlx::Error> {
    let status = i16::try_from(i32::from(status)).unwrap_or_default();
    sqlx::query!(
        "update item_circulation set status = $2 where item_id = $1",
        item_id,
        status,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// When an item last came back, over a desk or otherwise.
pub(super) async fn last_returned_at(
    connection: &mut PgConnection,
    item_id: Uuid,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let at = sqlx::query_scalar!(
        r#"select greatest(
             (select max(occurred_at) from check_in where item_id = $1),
             (select max(checked_in_at) from loan where item_id = $1)) as "at: jiff_sqlx::Timestamp""#,
        item_id,
    )
    .fetch_one(connection)
    .await?;
    Ok(at.map(jiff_sqlx::Timestamp::to_jiff))
}

/// What a request made, where it was made before.
pub(super) async fn find_outcome(
    connection: &mut PgConnection,
    key: &RequestKey,
) -> Result<Option<Uuid>, sqlx::Error> {
    let outcome = sqlx::query_scalar!(
        "select outcome from request where caller = $1 and rpc = $2 and request_id = $3",
        key.caller,
        key.rpc,
        key.request_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(outcome.and_then(|ids| ids.first().copied()))
}

/// Locks the items of loans in their order and then their patrons, and reads
/// the loans.
pub(super) async fn lock_loans(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Loan>, Error> {
    sqlx::query!(
        "select item_id from item_circulation
         where item_id in (select item_id from loan where id = any($1))
         order by item_id for update",
        ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    let loans = find_all(connection, ids).await?;
    let patrons: Vec<Uuid> = loans.iter().filter_map(|loan| loan.patron_id).collect();
    sqlx::query!(
        "select patron_id from patron_circulation where patron_id = any($1)
         order by patron_id for update",
        &patrons,
    )
    .fetch_all(connection)
    .await?;
    Ok(loans.into_iter().map(|loan| (loan.id, loan)).collect())
}

/// A selection as a statement takes it.
struct Columns {
    ids: Option<Vec<Uuid>>,
    filter: Filter,
}

impl Columns {
    fn of(selection: &Selection) -> Self {
        match selection {
            Selection::Named(ids) => Self {
                ids: Some(ids.clone()),
                filter: Filter::default(),
            },
            Selection::Filter(filter) => Self {
                ids: None,
                filter: filter.clone(),
            },
        }
    }
}

/// How many loans a selection has now, and what tells it from any other.
pub(super) async fn summary(
    connection: &mut PgConnection,
    selection: &Selection,
) -> Result<(i64, String), sqlx::Error> {
    let Columns { ids, filter } = Columns::of(selection);
    let row = sqlx::query!(
        r#"select count(*) as "count!",
                encode(sha256(convert_to(coalesce(string_agg(
                    id::text || extract(epoch from due_at)::text, ',' order by id), ''), 'UTF8')), 'hex')
                    as "fingerprint!"
         from loan
         where checked_in_at is null and loss_id is null and claimed_returned_at is null
           and ($1::uuid[] is null or id = any($1))
           and ($2::uuid is null or check_out_service_point_id = $2)
           and ($3::timestamptz is null or due_at >= $3) and ($4::timestamptz is null or due_at < $4)
           and ($5::text is null or library_code = $5) and ($6::text is null or location_code = $6)"#,
        ids.as_deref(),
        filter.check_out_service_point_id,
        filter.due_from.map(ToSqlx::to_sqlx) as _,
        filter.due_before.map(ToSqlx::to_sqlx) as _,
        filter.library_code,
        filter.location_code,
    )
    .fetch_one(connection)
    .await?;
    Ok((row.count, row.fingerprint))
}

/// A page of a selection's loans, oldest first, after one.
pub(super) async fn select_loans(
    connection: &mut PgConnection,
    selection: &Selection,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Loan>, Error> {
    let Columns { ids, filter } = Columns::of(selection);
    let page = sqlx::query_scalar!(
        "select id from loan
         where checked_in_at is null and loss_id is null and claimed_returned_at is null
           and ($1::uuid[] is null or id = any($1))
           and ($2::uuid is null or check_out_service_point_id = $2)
           and ($3::timestamptz is null or due_at >= $3) and ($4::timestamptz is null or due_at < $4)
           and ($5::text is null or library_code = $5) and ($6::text is null or location_code = $6)
           and ($7::uuid is null or id > $7)
         order by id limit $8",
        ids.as_deref(),
        filter.check_out_service_point_id,
        filter.due_from.map(ToSqlx::to_sqlx) as _,
        filter.due_before.map(ToSqlx::to_sqlx) as _,
        filter.library_code,
        filter.location_code,
        after,
        limit,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut loans = find_all(connection, &page).await?;
    loans.sort_unstable_by_key(|loan| loan.id);
    Ok(loans)
}

/// Begins a change of many due dates.
pub(super) async fn insert_change(
    connection: &mut PgConnection,
    id: Uuid,
    request: &ChangeDueDates,
    actor: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into due_date_change (id, service_point_id, comment, actor, created_at)
         values ($1, $2, $3, $4, $5)",
        id,
        request.service_point_id,
        request.comment,
        actor,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes down the loans of a change, and tells how many of the selection
/// there are and its fingerprint, all as of one moment. Loans that are named
/// are written down whatever they are.
pub(super) async fn plan_loans(
    connection: &mut PgConnection,
    change_id: Uuid,
    selection: &Selection,
    due_at: Timestamp,
) -> Result<(i64, String), sqlx::Error> {
    let Columns { ids, filter } = Columns::of(selection);
    let row = sqlx::query!(
        r#"with selected as materialized (
             select id, due_at,
                 checked_in_at is null and loss_id is null and claimed_returned_at is null as is_movable
             from loan
             where ($1::uuid[] is null or id = any($1))
               and ($1::uuid[] is not null
                   or checked_in_at is null and loss_id is null and claimed_returned_at is null)
               and ($2::uuid is null or check_out_service_point_id = $2)
               and ($3::timestamptz is null or due_at >= $3)
               and ($4::timestamptz is null or due_at < $4)
               and ($5::text is null or library_code = $5) and ($6::text is null or location_code = $6)
         ), planned as (
             insert into due_date_change_loan (due_date_change_id, loan_id, due_at)
             select $7, id, $8 from selected
         )
         select count(*) as "count!",
                encode(sha256(convert_to(coalesce(string_agg(
                    id::text || extract(epoch from due_at)::text, ',' order by id)
                    filter (where is_movable), ''), 'UTF8')), 'hex') as "fingerprint!"
         from selected"#,
        ids.as_deref(),
        filter.check_out_service_point_id,
        filter.due_from.map(ToSqlx::to_sqlx) as _,
        filter.due_before.map(ToSqlx::to_sqlx) as _,
        filter.library_code,
        filter.location_code,
        change_id,
        due_at.to_sqlx() as _,
    )
    .fetch_one(connection)
    .await?;
    Ok((row.count, row.fingerprint))
}

/// Whether there is a loan for each id.
pub(super) async fn are_all_loans(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) = cardinality($1::uuid[]) as "all!" from loan where id = any($1)"#,
        ids,
    )
    .fetch_one(connection)
    .await
}

/// How far a change is.
pub(super) async fn find_change(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<DueDateChange>, sqlx::Error> {
    let counts = sqlx::query!(
        r#"select change.id,
                count(*) filter (where outcome = 'MOVED') as "moved!",
                count(*) filter (where outcome = '' and loan_id is not null) as "waiting!",
                count(*) filter (where outcome not in ('', 'MOVED')) as "left!"
         from due_date_change change
         left join due_date_change_loan loan on loan.due_date_change_id = change.id
         where change.id = $1 group by change.id"#,
        id,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(counts) = counts else {
        return Ok(None);
    };
    let left = sqlx::query!(
        "select loan_id, outcome from due_date_change_loan
         where due_date_change_id = $1 and outcome not in ('', 'MOVED')
         order by loan_id limit $2",
        id,
        MOST_LEFT,
    )
    .fetch_all(connection)
    .await?;
    Ok(Some(DueDateChange {
        id,
        moved_count: counts.moved,
        left_count: counts.left,
        waiting_count: counts.waiting,
        left: (left.into_iter())
            .map(|row| (row.loan_id, row.outcome))
            .collect(),
    }))
}

/// Whether a change has loans that wait.
pub(super) async fn is_any_change_waiting(
    connection: &mut PgConnection,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from due_date_change_loan where outcome = '') as "waiting!""#
    )
    .fetch_one(connection)
    .await
}

/// Loans of a change that wait.
pub(super) struct Waiting {
    pub change_id: Uuid,
    pub actor: String,
    pub service_point_id: Option<Uuid>,
    pub comment: String,
    pub moves: Vec<(Uuid, Timestamp)>,
}

/// Takes loans of a change that wait, or of any one change, and waits for none
/// that another replica has.
pub(super) async fn take_waiting(
    connection: &mut PgConnection,
    change_id: Option<Uuid>,
    limit: i64,
) -> Result<Option<Waiting>, sqlx::Error> {
    let rows = sqlx::query!(
        "select due_date_change_id, loan_id, due_at from due_date_change_loan
         where outcome = '' and ($1::uuid is null or due_date_change_id = $1)
         order by due_date_change_id, loan_id limit $2
         for update skip locked",
        change_id,
        limit,
    )
    .fetch_all(&mut *connection)
    .await?;
    let Some(change_id) = rows.first().map(|row| row.due_date_change_id) else {
        return Ok(None);
    };
    let change = sqlx::query!(
        "select actor, service_point_id, comment from due_date_change where id = $1",
        change_id,
    )
    .fetch_one(connection)
    .await?;
    let of_change = rows
        .into_iter()
        .filter(|row| row.due_date_change_id == change_id);
    Ok(Some(Waiting {
        change_id,
        actor: change.actor,
        service_point_id: change.service_point_id,
        comment: change.comment,
        moves: of_change
            .map(|row| (row.loan_id, row.due_at.to_jiff()))
            .collect(),
    }))
}

/// Writes what became of loans of a change.
pub(super) async fn put_outcomes(
    connection: &mut PgConnection,
    change_id: Uuid,
    moves: &[(Uuid, Timestamp)],
    outcomes: Vec<Result<Loan, Error>>,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = moves.iter().map(|(loan_id, _)| *loan_id).collect();
    let outcome = |outcome: Result<Loan, Error>| match outcome {
        Ok(_) => MOVED.to_owned(),
        Err(error) => error.refusal().reason().to_owned(),
    };
    let outcomes: Vec<String> = outcomes.into_iter().map(outcome).collect();
    sqlx::query!(
        "update due_date_change_loan planned set outcome = come.outcome
         from unnest($2::uuid[], $3::text[]) as come (loan_id, outcome)
         where planned.due_date_change_id = $1 and planned.loan_id = come.loan_id",
        change_id,
        &ids,
        &outcomes,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The policies whose loans renew themselves, and how long before they are due.
pub(super) async fn self_renewing_policies(
    connection: &mut PgConnection,
) -> Result<Vec<(Uuid, Option<Period>)>, Error> {
    let rows = sqlx::query!(
        r#"select id, terms as "terms: Json<LoanTerms>" from policy
         where kind = 'loan' and terms -> 'renew_automatically' = 'true'"#
    )
    .fetch_all(connection)
    .await?;
    let policies = rows.into_iter();
    Ok(policies
        .map(|row| (row.id, row.terms.0.renew_automatically_before))
        .collect())
}

/// Whether a loan is to renew itself.
pub(super) async fn is_any_self_renewing(
    connection: &mut PgConnection,
    horizons: &Horizons,
) -> Result<bool, sqlx::Error> {
    let due_by: Vec<_> = horizons.due_by.iter().map(|at| at.to_sqlx()).collect();
    sqlx::query_scalar!(
        r#"select exists (
             select from unnest($1::uuid[], $2::timestamptz[]) as horizon (policy_id, due_by)
             join loan on loan.loan_policy_id = horizon.policy_id and loan.due_at <= horizon.due_by
             where checked_in_at is null and overdue_since is null and loss_id is null
               and claimed_returned_at is null
               and automatic_renewal_tried_for is distinct from loan.due_at) as "due!""#,
        &horizons.policy_ids,
        &due_by as _,
    )
    .fetch_one(connection)
    .await
}

/// Takes the next loan that is to renew itself: locks its item, as whatever
/// changes a loan does, but waits for none.
pub(super) async fn take_self_renewing(
    connection: &mut PgConnection,
    horizons: &Horizons,
) -> Result<Option<Uuid>, sqlx::Error> {
    let due_by: Vec<_> = horizons.due_by.iter().map(|at| at.to_sqlx()).collect();
    sqlx::query_scalar!(
        "select loan.id
         from unnest($1::uuid[], $2::timestamptz[]) as horizon (policy_id, due_by)
         join loan on loan.loan_policy_id = horizon.policy_id and loan.due_at <= horizon.due_by
         join item_circulation item on item.item_id = loan.item_id and item.open_loan_id = loan.id
         where checked_in_at is null and overdue_since is null and loss_id is null
           and claimed_returned_at is null
           and automatic_renewal_tried_for is distinct from loan.due_at
         order by loan.due_at limit 1
         for update of item, loan skip locked",
        &horizons.policy_ids,
        &due_by as _,
    )
    .fetch_optional(connection)
    .await
}

/// Notes that renewing a loan by itself was tried for a due date.
pub(super) async fn note_tried(
    connection: &mut PgConnection,
    loan_id: Uuid,
    due_at: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update loan set automatic_renewal_tried_for = $2 where id = $1",
        loan_id,
        due_at.to_sqlx() as _,
    )
    .execute(connection)
    .await
    .map(drop)
}
