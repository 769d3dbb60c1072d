//! A patron's statement: every change of what is owed, derived from the journal alone.

use carrel_money::Money;
use jiff::Timestamp;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::{Days, store};
use crate::Billing;
use crate::account::model::ActionKind;
use crate::columns::money;
use crate::error::Error;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementLine {
    /// When.
    pub occurred_at: Timestamp,
    /// The charge.
    pub account_id: Uuid,
    /// Its reference.
    pub reference: String,
    /// The neutral name of the charge.
    pub statement_text: String,
    /// What was done.
    pub kind: ActionKind,
    /// What is owed more, or (negative) less.
    pub change: Decimal,
    /// What was owed after it.
    pub owed: Decimal,
    /// The transaction in the journal.
    pub journal_transaction_id: Uuid,
}

/// A page of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What was owed before the first day.
    pub opening: Money,
    /// What changed, oldest first.
    pub lines: Vec<StatementLine>,
    /// What was owed after the last day.
    pub closing: Money,
}

/// The statement of a patron for some days, from after a line on.
///
/// # Errors
/// [`Error::PeriodOfDaysEmpty`], the database's.
pub async fn patron_statement(
    billing: &Billing,
    patron_id: Uuid,
    days: Days,
    after: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Statement, Error> {
    let instants = days.instants(&billing.zone)?;
    let mut snapshot = billing.database.pool().begin().await?;
    store::freeze(&mut snapshot).await?;
    let (opening, closing) = store::owed_around(&mut snapshot, patron_id, instants).await?;
    let lines = store::list_changes(&mut snapshot, patron_id, instants, after, limit).await?;
    snapshot.rollback().await?;
    let currency = billing.currency.code();
    Ok(Statement {
        opening: money(opening, currency)?,
        lines,
        closing: money(closing, currency)?,
    })
}
