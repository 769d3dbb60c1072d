//! Owners and types, and the rule of what may leave as a statement's text.

use carrel_money::Money;
use carrel_student_accounts::Description;
use uuid::Uuid;

use crate::account::model::FeeFineKind;
use crate::error::Error;

/// The owner of charges whose library has none.
pub const UNASSIGNED: &str = "UNASSIGNED";

/// A library or desk that is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its id.
    pub id: Uuid,
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// The college that is owed by charges made by hand.
    pub institution_code: Option<String>,
    /// The libraries whose charges it owns.
    pub library_codes: Vec<String>,
}

/// What a charge is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeeFineType {
    /// Its id.
    pub id: Uuid,
    /// Its code.
    pub code: String,
    /// Its kind.
    pub kind: FeeFineKind,
    /// The neutral name that may leave.
    pub statement_text: String,
    /// What is charged where no amount is given.
    pub default_amount: Option<Money>,
}

impl FeeFineType {
    /// Checks a type before it is added.
    ///
    /// # Errors
    /// [`Error::StatementTextNotNeutral`], [`Error::AmountNotPositive`].
    pub fn check(&self) -> Result<(), Error> {
        Description::new(&self.statement_text).map_err(Error::StatementTextNotNeutral)?;
        match self.default_amount {
            Some(amount) if !amount.is_positive() => Err(Error::AmountNotPositive),
            Some(_) | None => Ok(()),
        }
    }
}

/// The code and text of the type that is added where none was set up for an
/// automatic kind.
#[must_use]
pub fn default_type(kind: FeeFineKind) -> (&'static str, &'static str) {
    match kind {
        FeeFineKind::OverdueFine => ("OVERDUE-FINE", "Library overdue fine"),
        FeeFineKind::LostItemFee => ("LOST-ITEM-FEE", "Library lost-item fee"),
        FeeFineKind::LostItemProcessingFee => (
            "LOST-ITEM-PROCESSING-FEE",
            "Library lost-item processing fee",
        ),
        FeeFineKind::DamagedItemFee => ("DAMAGED-ITEM-FEE", "Library damaged-item fee"),
        FeeFineKind::Manual => ("MANUAL", "Library charge"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_that_are_added_by_need_may_leave_for_the_student_account() {
        for kind in [
            FeeFineKind::OverdueFine,
            FeeFineKind::LostItemFee,
            FeeFineKind::LostItemProcessingFee,
            FeeFineKind::DamagedItemFee,
            FeeFineKind::Manual,
        ] {
            let (_, text) = default_type(kind);
            assert!(Description::new(text).is_ok(), "{text}");
        }
    }
}
