//! The double-entry journal: append-only, zero in sum, and the proof that the totals kept beside it are what it says.

pub mod close;
pub mod model;
pub mod statement;
pub(crate) mod store;

use carrel_money::Money;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
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

/// Days of the district: the first and the last, or without a bound.
#[derive(Debug, Clone, Copy, Default)]
pub struct Days {
    /// The first day.
    pub first: Option<Date>,
    /// The last day.
    pub last: Option<Date>,
}

impl Days {
    /// The instants from which and before which these days are.
    ///
    /// # Errors
    /// [`Error::PeriodOfDaysEmpty`].
    pub fn instants(
        self,
        zone: &TimeZone,
    ) -> Result<(Option<Timestamp>, Option<Timestamp>), Error> {
        if let (Some(first), Some(last)) = (self.first, self.last)
            && last < first
        {
            return Err(Error::PeriodOfDaysEmpty);
        }
        let start = |date: Date| {
            date.to_zoned(zone.clone())
                .map(|midnight| midnight.timestamp())
                .map_err(|_| Error::PeriodOfDaysEmpty)
        };
        let until = self
            .last
            .map(|last| last.tomorrow().map_err(|_| Error::PeriodOfDaysEmpty))
            .transpose()?;
        Ok((
            self.first.map(start).transpose()?,
            until.map(start).transpose()?,
        ))
    }
}

/// How a ledger account stands after some days, and what moved it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerBalance {
    /// The ledger account.
    pub ledger_account: LedgerAccount,
    /// Before the first day.
    pub opening: Money,
    /// Its debits.
    pub debits: Money,
    /// Its credits, as a positive amount.
    pub credits: Money,
    /// After the last day.
    pub closing: Money,
}

/// The trial balance as of now: each ledger account, and the sum, which is
/// zero.
///
/// # Errors
/// The database's.
pub async fn trial_balance(
    billing: &Billing,
) -> Result<(Vec<(LedgerAccount, Money)>, Money), Error> {
    let (lines, sum) = trial_balance_of(billing, Days::default()).await?;
    let lines = lines
        .iter()
        .map(|line| (line.ledger_account, line.closing))
        .collect();
    Ok((lines, sum))
}

/// The trial balance of some days, and the sum of the closing balances.
///
/// # Errors
/// [`Error::PeriodOfDaysEmpty`], the database's.
pub async fn trial_balance_of(
    billing: &Billing,
    days: Days,
) -> Result<(Vec<LedgerBalance>, Money), Error> {
    let (from, until) = days.instants(&billing.zone)?;
    let mut connection = billing.database.pool().acquire().await?;
    let currency = billing.currency.code();
    let rows = store::trial_balance(&mut connection, currency, from, until).await?;
    let mut sum = Money::zero(billing.currency);
    let mut lines = Vec::with_capacity(LedgerAccount::ALL.len());
    for ledger_account in LedgerAccount::ALL {
        let row = rows
            .iter()
            .find(|row| row.ledger_account == ledger_account)
            .map_or([Decimal::ZERO; 3], |row| {
                [row.opening, row.debits, row.credits]
            });
        let [opening, debits, credits] = row;
        let line = LedgerBalance {
            ledger_account,
            opening: money(opening, currency)?,
            debits: money(debits, currency)?,
            credits: money(credits, currency)?,
            closing: money(opening + debits - credits, currency)?,
        };
        sum = sum.plus(line.closing)?;
        lines.push(line);
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
