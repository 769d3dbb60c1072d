//! What a policy says, and the rules that it must keep to. Pure.

mod charge;
mod limits;
mod loan;
mod request;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

pub use charge::{FineTerms, LostTerms};
pub use limits::{BlockedActions, LimitBlocks, PatronLimits};
pub use loan::{
    Category, ClosedLibraryDueDate, FixedDueDate, ItemLimitScope, LoanProfile, LoanTerms,
    Overnight, RenewFrom,
};
pub use request::RequestTerms;

/// The kinds of policy whose terms circulation keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// `l`.
    Loan,
    /// `o`.
    OverdueFine,
    /// `i`.
    LostItem,
    /// `r`.
    Request,
}

impl PolicyKind {
    /// As the database keeps it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loan => "loan",
            Self::OverdueFine => "overdue_fine",
            Self::LostItem => "lost_item",
            Self::Request => "request",
        }
    }
}

/// One version of a policy. It never changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy<T> {
    /// This version's id.
    pub id: Uuid,
    /// The code by which rules name it.
    pub code: String,
    /// Which version of the code, from 1.
    pub version: i32,
    /// Its name for people.
    pub name: String,
    /// What it says.
    pub terms: T,
}

/// What some kind of policy says.
pub trait Terms: Clone + Send + Sync + Serialize + DeserializeOwned + 'static {
    /// The kind.
    const KIND: PolicyKind;

    /// The rules that the terms must keep to.
    ///
    /// # Errors
    /// [`TermsFault`] for the first one broken.
    fn check(&self) -> Result<(), TermsFault>;
}

/// A field of a policy that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermsFault {
    /// The field, by its name in the contract.
    pub field: &'static str,
    /// What it must be.
    pub expected: &'static str,
}

fn fault<T>(field: &'static str, expected: &'static str) -> Result<T, TermsFault> {
    Err(TermsFault { field, expected })
}
