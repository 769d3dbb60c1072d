//! The journal: what was booked on budgets, for ever.

mod model;
mod store;

use carrel_database::Database;
use carrel_money::Money;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

pub use model::Move;

use crate::budget;
use crate::change::Change;
use crate::error::Error;

/// What is to be booked on a budget.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Booking<'a> {
    /// The transaction's id.
    pub(crate) id: Uuid,
    /// The budget.
    pub(crate) budget_id: Uuid,
    /// What is booked.
    pub(crate) what: Move,
    /// How much.
    pub(crate) amount: Money,
    /// Why.
    pub(crate) comment: &'a str,
}

/// A transaction that was booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its place in the journal.
    pub number: i64,
    /// Its id.
    pub id: Uuid,
    /// What it is.
    pub what: Move,
    /// How much; negative where an allocation was taken back.
    pub amount: Money,
    /// When it was booked.
    pub booked_at: Timestamp,
    /// Who booked it.
    pub actor: String,
    /// Why.
    pub comment: String,
}

/// What a comparison of the budgets with the journal found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// How many budgets were compared.
    pub budget_count: i64,
    /// Those that differ, at most 1,000.
    pub differing: Vec<Uuid>,
}

/// Books on a budget that this transaction has locked and whose totals it
/// changes by the same amount.
pub(crate) async fn book(
    connection: &mut PgConnection,
    booking: &Booking<'_>,
    change: &Change,
) -> Result<(), Error> {
    store::insert(connection, booking, change.actor(), change.now).await
}

/// A budget's transactions, newest first, before a place in the journal.
///
/// # Errors
/// [`Error::BudgetNotFound`].
pub async fn list(
    database: &Database,
    budget_id: Uuid,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Transaction>, Error> {
    let mut connection = database.pool().acquire().await?;
    let transactions = store::list(&mut connection, budget_id, before, limit).await?;
    if transactions.is_empty() {
        budget::store::get(&mut connection, budget_id).await?;
    }
    Ok(transactions)
}

/// Compares the totals on all budgets with the journal, and what is encumbered
/// with the encumbrances that are not released.
///
/// # Errors
/// The database's.
pub async fn verify(database: &Database) -> Result<Verification, Error> {
    store::verify(database.pool()).await
}
