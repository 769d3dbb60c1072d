//! Fiscal years: the spans of days that budgets are made for.

pub(crate) mod store;

use carrel_database::{Database, transact};
use carrel_money::Currency;
use jiff::civil::Date;
use uuid::Uuid;

use crate::change::Change;
use crate::error::Error;

/// A fiscal year.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiscalYear {
    /// Its id.
    pub id: Uuid,
    /// Its code, unique.
    pub code: String,
    /// Its first day.
    pub first_date: Date,
    /// Its last day.
    pub last_date: Date,
    /// The currency of its books.
    pub currency: Currency,
}

/// Adds a fiscal year.
///
/// # Errors
/// [`Error::FiscalYearDatesReversed`], [`Error::FiscalYearCodeTaken`],
/// [`Error::FiscalYearOverlaps`].
pub async fn create(
    database: &Database,
    year: &FiscalYear,
    change: &Change,
) -> Result<FiscalYear, Error> {
    if year.last_date < year.first_date {
        return Err(Error::FiscalYearDatesReversed);
    }
    transact!(database, "create_fiscal_year", |transaction| {
        if let Some(first) = change.claim(transaction, year.id).await? {
            return store::get(transaction, first).await;
        }
        // One at a time: rows that exclude each other deadlock otherwise.
        store::lock(transaction).await?;
        store::insert(transaction, year, change.now).await?;
        Ok(year.clone())
    })
}

/// Fiscal years, newest first, that begin before `before`.
///
/// # Errors
/// The database's.
pub async fn list(
    database: &Database,
    before: Option<Date>,
    limit: i64,
) -> Result<Vec<FiscalYear>, Error> {
    store::list(database.pool(), before, limit).await
}
