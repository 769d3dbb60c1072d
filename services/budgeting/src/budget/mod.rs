//! Budgets: funds in fiscal years, their totals, and allocations to them.

mod model;
pub(crate) mod store;

use carrel_database::{Database, transact};
use carrel_money::Money;
use uuid::Uuid;

pub use model::{Budget, BudgetStatus, Percent, Totals};
pub use store::After;

use crate::change::Change;
use crate::error::Error;
use crate::journal::{self, Booking, Move};
use crate::{fiscal_year, message};

/// A budget to add.
#[derive(Debug, Clone)]
pub struct NewBudget {
    /// Its id.
    pub id: Uuid,
    /// The fund.
    pub fund_id: Uuid,
    /// The fiscal year.
    pub fiscal_year_id: Uuid,
    /// Whether it may be used.
    pub status: BudgetStatus,
    /// How much of the funding may be committed.
    pub allowable_encumbrance: Percent,
    /// How much of the funding may be spent.
    pub allowable_expenditure: Percent,
}

/// Adds a budget with nothing in it.
///
/// # Errors
/// [`Error::BudgetExists`], [`Error::FundNotFound`],
/// [`Error::FiscalYearNotFound`].
pub async fn create(
    database: &Database,
    new: &NewBudget,
    change: &Change,
) -> Result<Budget, Error> {
    transact!(database, "create_budget", |transaction| {
        if let Some(first) = change.claim(transaction, new.id).await? {
            return store::get(transaction, first).await;
        }
        let year = fiscal_year::store::get(transaction, new.fiscal_year_id).await?;
        let budget = Budget {
            id: new.id,
            fund_id: new.fund_id,
            fiscal_year_id: new.fiscal_year_id,
            status: new.status,
            allowable_encumbrance: new.allowable_encumbrance,
            allowable_expenditure: new.allowable_expenditure,
            totals: Totals::zero(year.currency),
            revision: 1,
        };
        store::insert(transaction, &budget, change.now).await?;
        let event = message::budget_changed(&budget, change)?;
        carrel_outbox::append(transaction, &[event]).await?;
        Ok(budget)
    })
}

/// Allocates money to a budget, or takes it back with a negative amount.
///
/// # Errors
/// [`Error::BudgetNotFound`], and those of [`Budget::allocate`].
pub async fn allocate(
    database: &Database,
    budget_id: Uuid,
    amount: Money,
    comment: &str,
    change: &Change,
) -> Result<Budget, Error> {
    transact!(database, "allocate", |transaction| {
        if let Some(first) = change.claim(transaction, budget_id).await? {
            return store::get(transaction, first).await;
        }
        let budget = store::lock(transaction, budget_id).await?;
        let totals = budget.allocate(amount)?;
        let budget = store::update_totals(transaction, budget_id, &totals).await?;
        let booking = Booking {
            id: carrel_ids::new_id(),
            budget_id,
            what: Move::Allocation,
            amount,
            comment,
        };
        journal::book(transaction, &booking, change).await?;
        let event = message::budget_changed(&budget, change)?;
        carrel_outbox::append(transaction, &[event]).await?;
        Ok(budget)
    })
}

/// Reads a budget.
///
/// # Errors
/// [`Error::BudgetNotFound`].
pub async fn read(database: &Database, id: Uuid) -> Result<Budget, Error> {
    let mut connection = database.pool().acquire().await?;
    store::get(&mut connection, id).await
}

/// Budgets by their funds' codes; of one fiscal year, or all. With each comes
/// its fund's code.
///
/// # Errors
/// The database's.
pub async fn list(
    database: &Database,
    fiscal_year_id: Option<Uuid>,
    after: Option<&After>,
    limit: i64,
) -> Result<Vec<(Budget, String)>, Error> {
    store::list(database.pool(), fiscal_year_id, after, limit).await
}
