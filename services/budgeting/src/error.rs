//! What budgeting refuses, and how the wire says so.

use carrel_database::{DatabaseFailure, RequestReused};
use carrel_money::{Currency, Money, MoneyError};
use carrel_runtime::Refusal;
use tonic::{Code, Status};

use crate::budget::BudgetStatus;
use crate::budget_code::{CodeFault, StructureFault};

/// A rule that was broken, or a database that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fiscal years have unique codes.
    #[error("there is a fiscal year with this code already")]
    FiscalYearCodeTaken,
    /// A day belongs to one fiscal year.
    #[error("the dates overlap another fiscal year")]
    FiscalYearOverlaps,
    /// A fiscal year ends after it begins.
    #[error("the last day is before the first")]
    FiscalYearDatesReversed,
    /// No such fiscal year.
    #[error("there is no such fiscal year")]
    FiscalYearNotFound,
    /// Ledgers have unique codes.
    #[error("there is a ledger with this code already")]
    LedgerCodeTaken,
    /// No such ledger.
    #[error("there is no such ledger")]
    LedgerNotFound,
    /// Funds have unique codes.
    #[error("there is a fund with this code already")]
    FundCodeTaken,
    /// No such fund.
    #[error("there is no such fund")]
    FundNotFound,
    /// A fund has one budget in a fiscal year.
    #[error("this fund has a budget in this fiscal year already")]
    BudgetExists,
    /// No such budget.
    #[error("there is no such budget")]
    BudgetNotFound,
    /// Only an active budget takes allocations and commitments.
    #[error("the budget is {0}; only an active budget can be used")]
    BudgetNotActive(BudgetStatus),
    /// An allocation moves money.
    #[error("must not be zero")]
    AmountZero,
    /// Only more than nothing can be set aside.
    #[error("must be more than zero")]
    AmountNotPositive,
    /// The budget's amounts would grow past what can be kept.
    #[error("the budget's amounts would pass 999,999,999,999.99")]
    AmountTooLarge,
    /// A budget has the currency of its fiscal year.
    #[error("the budget is kept in {kept_in}, not in {given}")]
    CurrencyMismatch {
        /// The budget's.
        kept_in: Currency,
        /// The amount's.
        given: Currency,
    },
    /// Money that is committed can't be taken back.
    #[error("{committed} is committed, and the allocation would leave room for {limit} only")]
    AllocationBelowCommitments {
        /// Encumbered, awaiting payment and expended.
        committed: Money,
        /// What could be committed after the allocation.
        limit: Money,
    },
    /// No fund goes over its limit.
    #[error("the fund has {available} available to encumber: {short} too little")]
    FundInsufficient {
        /// What can still be encumbered.
        available: Money,
        /// What is missing.
        short: Money,
    },
    /// No such encumbrance.
    #[error("there is no such encumbrance")]
    EncumbranceNotFound,
    /// A code is checked on every commitment.
    #[error("{0}")]
    BudgetCodeInvalid(CodeFault),
    /// A structure that no code could follow, or that contradicts itself.
    #[error("{}", .0.problem)]
    StructureInvalid(StructureFault),
    /// The district has not yet said what its codes look like.
    #[error("the structure of budget codes has not been set yet")]
    StructureNotSet,
    /// A request id stands for one request.
    #[error(transparent)]
    RequestReused(#[from] RequestReused),
    /// The database holds a value that this version does not know.
    #[error("the database holds a {0} that this version does not know")]
    StoredValue(&'static str),
    /// The database failed.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let constraint = error
            .as_database_error()
            .and_then(|database| database.constraint());
        match constraint {
            Some("fiscal_year_code_key") => Self::FiscalYearCodeTaken,
            Some("fiscal_years_do_not_overlap") => Self::FiscalYearOverlaps,
            Some("ledger_code_key") => Self::LedgerCodeTaken,
            Some("fund_code_key") => Self::FundCodeTaken,
            Some("fund_ledger_exists") => Self::LedgerNotFound,
            Some("budget_fund_year_key") => Self::BudgetExists,
            Some("budget_fund_exists") => Self::FundNotFound,
            _ => Self::Database(error),
        }
    }
}

impl DatabaseFailure for Error {
    fn database(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl From<MoneyError> for Error {
    /// For sums of a budget's amounts; an amount from the wire is read, and
    /// refused, before.
    fn from(error: MoneyError) -> Self {
        match error {
            MoneyError::CurrencyMismatch(kept_in, given) => {
                Self::CurrencyMismatch { kept_in, given }
            }
            MoneyError::TooLarge => Self::AmountTooLarge,
            MoneyError::UnknownCurrency => Self::StoredValue("currency"),
            MoneyError::TooFine | MoneyError::Malformed | MoneyError::NoWeights => {
                Self::StoredValue("amount")
            }
        }
    }
}

impl Error {
    fn refusal(self) -> Refusal {
        let message = self.to_string();
        let taken = |reason| Refusal::new(Code::AlreadyExists, reason, &message);
        let missing = |reason| Refusal::new(Code::NotFound, reason, &message);
        let precondition = |reason| Refusal::new(Code::FailedPrecondition, reason, &message);
        match self {
            Self::FiscalYearCodeTaken => taken("FISCAL_YEAR_CODE_TAKEN"),
            Self::FiscalYearOverlaps => precondition("FISCAL_YEAR_OVERLAPS"),
            Self::FiscalYearDatesReversed => Refusal::field(
                "fiscal_year.last_date",
                "FISCAL_YEAR_DATES_REVERSED",
                message,
            ),
            Self::FiscalYearNotFound => missing("FISCAL_YEAR_NOT_FOUND"),
            Self::LedgerCodeTaken => taken("LEDGER_CODE_TAKEN"),
            Self::LedgerNotFound => missing("LEDGER_NOT_FOUND"),
            Self::FundCodeTaken => taken("FUND_CODE_TAKEN"),
            Self::FundNotFound => missing("FUND_NOT_FOUND"),
            Self::BudgetExists => taken("BUDGET_EXISTS"),
            Self::BudgetNotFound => missing("BUDGET_NOT_FOUND"),
            Self::BudgetNotActive(status) => {
                precondition("BUDGET_NOT_ACTIVE").with_metadata("status", status.as_str())
            }
            Self::AmountZero => Refusal::field("amount", "AMOUNT_ZERO", message),
            Self::AmountNotPositive => Refusal::field("amount", "AMOUNT_NOT_POSITIVE", message),
            Self::AmountTooLarge => Refusal::field("amount", "AMOUNT_TOO_LARGE", message),
            Self::CurrencyMismatch { .. } => Refusal::field("amount", "CURRENCY_MISMATCH", message),
            Self::AllocationBelowCommitments { committed, limit } => {
                precondition("ALLOCATION_BELOW_COMMITMENTS")
                    .with_metadata("committed", committed.amount().to_string())
                    .with_metadata("limit", limit.amount().to_string())
            }
            Self::FundInsufficient { available, short } => precondition("FUND_INSUFFICIENT")
                .with_metadata("available", available.amount().to_string())
                .with_metadata("short", short.amount().to_string()),
            Self::EncumbranceNotFound => missing("ENCUMBRANCE_NOT_FOUND"),
            Self::BudgetCodeInvalid(fault) => {
                Refusal::field("budget_code", "BUDGET_CODE_INVALID", message)
                    .with_metadata("fault", fault.reason())
                    .with_metadata("segment", fault.segment())
            }
            Self::StructureInvalid(fault) => {
                Refusal::field(&fault.field, "BUDGET_CODE_STRUCTURE_INVALID", message)
            }
            Self::StructureNotSet => missing("BUDGET_CODE_STRUCTURE_NOT_SET"),
            Self::RequestReused(_) => precondition("REQUEST_ID_REUSED"),
            Self::StoredValue(_) => Refusal::internal(&self),
            Self::Database(error) => Refusal::database(&error),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.refusal().into()
    }
}
