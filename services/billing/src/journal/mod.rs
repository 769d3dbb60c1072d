//! The double-entry journal: append-only, zero in sum, and the proof that the totals kept beside it are what it says.

pub mod model;
pub(crate) mod store;

use carrel_money::Money;
use rust_decimal::Decimal;
use uuid::Uuid;

pub use model::{LedgerAccount, Line, Transaction};

use crate::Billing;
use crate::columns::money;
use crate::error::Error;

/// The most disagreements that are listed.
const MOST_DISAGREEMENTS: i64 = 1_000;

/// A total on a row that is not what the journal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// The charge's reference; empty for a patron's balance.
    pub reference: String,
    /// The account, or the patron.
    pub row_id: Uuid,
    /// The currency.
    pub currency: String,
    /// Which total.
    pub part: String,
    /// What the row has.
    pub kept: Decimal,
    /// What the journal says.
    pub booked: Decimal,
}

/// What the ledger has handed to the student-information system for a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SisLedger {
    /// The charge.
    pub account_id: Uuid,
    /// SIS clearing and SIS settled together.
    pub amount: Decimal,
}

/// The trial balance: each ledger account, and the sum, which is zero.
///
/// # Errors
/// The database's.
pub async fn trial_balance(
    billing: &Billing,
) -> Result<(Vec<(LedgerAccount, Money)>, Money), Error> {
    let mut connection = billing.database.pool().acquire().await?;
    let balances = store::trial_balance(&mut connection, billing.currency.code()).await?;
    let mut sum = Money::zero(billing.currency);
    let mut lines = Vec::with_capacity(LedgerAccount::ALL.len());
    for ledger_account in LedgerAccount::ALL {
        let balance = balances
            .iter()
            .find(|(other, _)| *other == ledger_account)
            .map_or(Decimal::ZERO, |(_, balance)| *balance);
        let balance = money(balance, billing.currency.code())?;
        sum = sum.plus(balance)?;
        lines.push((ledger_account, balance));
    }
    Ok((lines, sum))
}

/// Where the totals on accounts and balances disagree with the journal:
/// nowhere, or something is broken.
///
/// # Errors
/// The database's.
pub async fn verify(billing: &Billing) -> Result<Vec<Disagreement>, Error> {
    let mut connection = billing.database.pool().acquire().await?;
    store::list_disagreements(&mut connection, MOST_DISAGREEMENTS).await
}
