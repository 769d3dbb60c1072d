//! All SQL about budgets.

use carrel_money::{Currency, Decimal, Money};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Budget, BudgetStatus, Percent, Totals};
use crate::error::Error;

struct Row {
    id: Uuid,
    fund_id: Uuid,
    fiscal_year_id: Uuid,
    status: String,
    currency: String,
    allowable_encumbrance_percent: i32,
    allowable_expenditure_percent: i32,
    allocated: Decimal,
    net_transfers: Decimal,
    encumbered: Decimal,
    awaiting_payment: Decimal,
    expended: Decimal,
    credited: Decimal,
    revision: i64,
}

impl TryFrom<Row> for Budget {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let currency: Currency = row.currency.parse()?;
        let percent = |percent| Percent::new(percent).ok_or(Error::StoredValue("percentage"));
        Ok(Self {
            id: row.id,
            fund_id: row.fund_id,
            fiscal_year_id: row.fiscal_year_id,
            status: BudgetStatus::named(&row.status).ok_or(Error::StoredValue("budget status"))?,
            allowable_encumbrance: percent(row.allowable_encumbrance_percent)?,
            allowable_expenditure: percent(row.allowable_expenditure_percent)?,
            totals: Totals {
                allocated: Money::new(row.allocated, currency)?,
                net_transfers: Money::new(row.net_transfers, currency)?,
                encumbered: Money::new(row.encumbered, currency)?,
                awaiting_payment: Money::new(row.awaiting_payment, currency)?,
                expended: Money::new(row.expended, currency)?,
                credited: Money::new(row.credited, currency)?,
            },
            revision: row.revision,
        })
    }
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    budget: &Budget,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into budget (id, fund_id, fiscal_year_id, status, currency,
             allowable_encumbrance_percent, allowable_expenditure_percent, revision, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        budget.id,
        budget.fund_id,
        budget.fiscal_year_id,
        budget.status.as_str(),
        budget.totals.allocated.currency().code(),
        budget.allowable_encumbrance.get(),
        budget.allowable_expenditure.get(),
        budget.revision,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn get(connection: &mut PgConnection, id: Uuid) -> Result<Budget, Error> {
    sqlx::query_as!(
        Row,
        "select id, fund_id, fiscal_year_id, status, currency,
             allowable_encumbrance_percent, allowable_expenditure_percent,
             allocated, net_transfers, encumbered, awaiting_payment, expended, credited, revision
         from budget where id = $1",
        id,
    )
    .fetch_optional(connection)
    .await?
    .ok_or(Error::BudgetNotFound)?
    .try_into()
}

/// Reads a budget, and lets nobody else change it until the transaction ends.
pub(crate) async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Budget, Error> {
    sqlx::query_as!(
        Row,
        "select id, fund_id, fiscal_year_id, status, currency,
             allowable_encumbrance_percent, allowable_expenditure_percent,
             allocated, net_transfers, encumbered, awaiting_payment, expended, credited, revision
         from budget where id = $1 for update",
        id,
    )
    .fetch_optional(connection)
    .await?
    .ok_or(Error::BudgetNotFound)?
    .try_into()
}

/// Writes the totals of a budget that this transaction has locked.
pub(crate) async fn update_totals(
    connection: &mut PgConnection,
    id: Uuid,
    totals: &Totals,
) -> Result<Budget, Error> {
    sqlx::query_as!(
        Row,
        "update budget
         set allocated = $2, net_transfers = $3, encumbered = $4, awaiting_payment = $5,
             expended = $6, credited = $7, revision = revision + 1
         where id = $1
         returning id, fund_id, fiscal_year_id, status, currency,
             allowable_encumbrance_percent, allowable_expenditure_percent,
             allocated, net_transfers, encumbered, awaiting_payment, expended, credited, revision",
        id,
        totals.allocated.amount(),
        totals.net_transfers.amount(),
        totals.encumbered.amount(),
        totals.awaiting_payment.amount(),
        totals.expended.amount(),
        totals.credited.amount(),
    )
    .fetch_optional(connection)
    .await?
    .ok_or(Error::BudgetNotFound)?
    .try_into()
}

/// Where a page of budgets begins: after this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// Its fund's code.
    pub fund_code: String,
    /// Its id.
    pub id: Uuid,
}

pub(super) async fn list(
    pool: &PgPool,
    fiscal_year_id: Option<Uuid>,
    after: Option<&After>,
    limit: i64,
) -> Result<Vec<(Budget, String)>, Error> {
    let rows = sqlx::query!(
        "select b.id, b.fund_id, b.fiscal_year_id, b.status, b.currency,
             b.allowable_encumbrance_percent, b.allowable_expenditure_percent,
             b.allocated, b.net_transfers, b.encumbered, b.awaiting_payment, b.expended,
             b.credited, b.revision, f.code as fund_code
         from budget b
         join fund f on f.id = b.fund_id
         where ($1::uuid is null or b.fiscal_year_id = $1)
           and ($2::text is null or (f.code, b.id) > ($2, $3))
         order by f.code, b.id limit $4",
        fiscal_year_id,
        after.map(|after| after.fund_code.as_str()),
        after.map(|after| after.id),
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let budget = Row {
                id: row.id,
                fund_id: row.fund_id,
                fiscal_year_id: row.fiscal_year_id,
                status: row.status,
                currency: row.currency,
                allowable_encumbrance_percent: row.allowable_encumbrance_percent,
                allowable_expenditure_percent: row.allowable_expenditure_percent,
                allocated: row.allocated,
                net_transfers: row.net_transfers,
                encumbered: row.encumbered,
                awaiting_payment: row.awaiting_payment,
                expended: row.expended,
                credited: row.credited,
                revision: row.revision,
            };
            Ok((budget.try_into()?, row.fund_code))
        })
        .collect()
}
