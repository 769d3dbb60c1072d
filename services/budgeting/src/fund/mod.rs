//! Funds: what money is for, and who keeps it.

mod store;

use carrel_database::{Database, transact};
use uuid::Uuid;

use crate::change::Change;
use crate::error::Error;

/// A fund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fund {
    /// Its id.
    pub id: Uuid,
    /// Its ledger.
    pub ledger_id: Uuid,
    /// Its code, unique.
    pub code: String,
    /// Its name for people.
    pub name: String,
    /// Its account in the district's finance system; may be empty.
    pub external_account_number: String,
}

/// Adds a fund.
///
/// # Errors
/// [`Error::FundCodeTaken`], [`Error::LedgerNotFound`].
pub async fn create(database: &Database, fund: &Fund, change: &Change) -> Result<Fund, Error> {
    transact!(database, "create_fund", |transaction| {
        if let Some(first) = change.claim(transaction, fund.id).await? {
            return store::get(transaction, first).await;
        }
        store::insert(transaction, fund, change.now).await?;
        Ok(fund.clone())
    })
}

/// Funds by code, after a code; of one ledger, or all.
///
/// # Errors
/// The database's.
pub async fn list(
    database: &Database,
    ledger_id: Option<Uuid>,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Fund>, Error> {
    store::list(database.pool(), ledger_id, after.unwrap_or(""), limit).await
}
