//! The ledger's accounts, and what a transaction is made of.

use carrel_money::Money;
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

/// The ledger's accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum LedgerAccount {
    /// What patrons owe at the library (an asset).
    PatronReceivable,
    /// What was handed to the student-information system (an asset).
    SisClearing,
    /// Takings at the desk (an asset).
    Cash,
    /// Fines and fees earned (revenue).
    Revenue,
    /// Waivers (contra revenue).
    Waivers,
    /// Credits for returned items (contra revenue).
    Credits,
    /// Paid at the student account (an asset of the district's).
    SisSettled,
    /// What the library owes back (a liability).
    RefundsPayable,
    /// Tax that charges and takings include (a liability).
    TaxPayable,
    /// Written off (contra revenue).
    WriteOffs,
    /// Deposited to budget revenue codes (an asset of the district's).
    Deposits,
    /// Counted less, or (negative) more, than expected (an expense).
    CashOverShort,
    /// Copy-centre income (revenue).
    CopyRevenue,
}

impl LedgerAccount {
    /// Every account, in the order of the trial balance.
    pub const ALL: [Self; 13] = [
        Self::PatronReceivable,
        Self::SisClearing,
        Self::Cash,
        Self::Deposits,
        Self::SisSettled,
        Self::RefundsPayable,
        Self::TaxPayable,
        Self::Revenue,
        Self::CopyRevenue,
        Self::Waivers,
        Self::Credits,
        Self::WriteOffs,
        Self::CashOverShort,
    ];

    /// Its name in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PatronReceivable => "patron_receivable",
            Self::SisClearing => "sis_clearing",
            Self::Cash => "cash",
            Self::Revenue => "revenue",
            Self::Waivers => "waivers",
            Self::Credits => "credits",
            Self::SisSettled => "sis_settled",
            Self::RefundsPayable => "refunds_payable",
            Self::TaxPayable => "tax_payable",
            Self::WriteOffs => "write_offs",
            Self::Deposits => "deposits",
            Self::CashOverShort => "cash_over_short",
            Self::CopyRevenue => "copy_revenue",
        }
    }
}

/// One line of a transaction: debits positive, credits negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The ledger account.
    pub ledger_account: LedgerAccount,
    /// The amount.
    pub amount: Money,
}

impl Line {
    /// A debit.
    #[must_use]
    pub fn debit(ledger_account: LedgerAccount, amount: Money) -> Self {
        Self {
            ledger_account,
            amount,
        }
    }

    /// A credit.
    #[must_use]
    pub fn credit(ledger_account: LedgerAccount, amount: Money) -> Self {
        Self::debit(ledger_account, amount.negated())
    }
}

/// A transaction: lines that sum to zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its id.
    pub id: Uuid,
    /// The charge it is about.
    pub account_id: Option<Uuid>,
    /// What it is about where that is no charge.
    pub subject_id: Option<Uuid>,
    /// Its lines.
    pub lines: Vec<Line>,
    /// When it was booked.
    pub booked_at: Timestamp,
    /// The transaction that it takes back.
    pub reverses: Option<Uuid>,
    /// The first day of the closed month that it adjusts; given when booked.
    pub adjusts_month: Option<Date>,
}
