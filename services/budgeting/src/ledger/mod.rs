//! Ledgers: funds that are kept together.

mod store;

use carrel_database::{Database, transact};
use uuid::Uuid;

use crate::change::Change;
use crate::error::Error;

/// A ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Its id.
    pub id: Uuid,
    /// Its code, unique.
    pub code: String,
    /// Its name for people.
    pub name: String,
}

/// Adds a ledger.
///
/// # Errors
/// [`Error::LedgerCodeTaken`].
pub async fn create(
    database: &Database,
    ledger: &Ledger,
    change: &Change,
) -> Result<Ledger, Error> {
    transact!(database, "create_ledger", |transaction| {
        if let Some(first) = change.claim(transaction, ledger.id).await? {
            return store::get(transaction, first).await;
        }
        store::insert(transaction, ledger, change.now).await?;
        Ok(ledger.clone())
    })
}

/// Ledgers by code, after a code.
///
/// # Errors
/// The database's.
pub async fn list(
    database: &Database,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Ledger>, Error> {
    store::list(database.pool(), after.unwrap_or(""), limit).await
}
