//! The accounts of the budgeting journal, and which pair each kind of
//! transaction moves.
//!
//! The pairs are those of governmental budgetary accounting: an appropriation
//! stands against what was allocated from it, and a reserve for encumbrances
//! against what is encumbered. A debit is positive, a credit negative, so that
//! the sum of an account is its balance and the sum of a transaction is zero.

use carrel_money::Money;
use uuid::Uuid;

/// An account of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// What the budget was given.
    Allocated,
    /// Where that came from: the district's appropriation.
    Appropriation,
    /// What is set aside for orders.
    Encumbered,
    /// The part of the funding that is reserved for it.
    ReserveForEncumbrances,
}

impl Account {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Allocated => "allocated",
            Self::Appropriation => "appropriation",
            Self::Encumbered => "encumbered",
            Self::ReserveForEncumbrances => "reserve_for_encumbrances",
        }
    }
}

/// What a transaction is, and what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Money given to a budget; negative where it was taken back.
    Allocation,
    /// Money set aside.
    Encumbrance(Uuid),
    /// Money given back from what was set aside.
    EncumbranceRelease(Uuid),
}

impl Move {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Allocation => "allocation",
            Self::Encumbrance(_) => "encumbrance",
            Self::EncumbranceRelease(_) => "encumbrance_release",
        }
    }

    /// The move of a stored transaction.
    pub(crate) fn of(kind: &str, encumbrance_id: Option<Uuid>) -> Option<Self> {
        match (kind, encumbrance_id) {
            ("allocation", None) => Some(Self::Allocation),
            ("encumbrance", Some(id)) => Some(Self::Encumbrance(id)),
            ("encumbrance_release", Some(id)) => Some(Self::EncumbranceRelease(id)),
            _ => None,
        }
    }

    /// The encumbrance it is about.
    #[must_use]
    pub fn encumbrance_id(self) -> Option<Uuid> {
        match self {
            Self::Allocation => None,
            Self::Encumbrance(id) | Self::EncumbranceRelease(id) => Some(id),
        }
    }

    /// Its entries. The first one's amount is the transaction's.
    pub(crate) fn entries(self, amount: Money) -> [(Account, Money); 2] {
        let (debit, credit) = match self {
            Self::Allocation => (Account::Allocated, Account::Appropriation),
            Self::Encumbrance(_) => (Account::Encumbered, Account::ReserveForEncumbrances),
            Self::EncumbranceRelease(_) => (Account::ReserveForEncumbrances, Account::Encumbered),
        };
        [(debit, amount), (credit, amount.negated())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carrel_money::Currency;

    #[test]
    fn a_release_is_the_encumbrance_the_other_way_round_and_each_sums_to_zero() {
        let amount = Money::from_minor(1234, Currency::USD).unwrap();
        let id = Uuid::from_u128(7);
        let encumbrance = Move::Encumbrance(id).entries(amount);
        let release = Move::EncumbranceRelease(id).entries(amount);
        for (account, booked) in encumbrance {
            let back = release.iter().find(|(other, _)| *other == account).unwrap();
            assert_eq!(back.1, booked.negated());
        }
        for what in [
            Move::Allocation,
            Move::Encumbrance(id),
            Move::EncumbranceRelease(id),
        ] {
            let [first, second] = what.entries(amount);
            assert!(first.1.plus(second.1).unwrap().is_zero());
            assert_eq!(Move::of(what.as_str(), what.encumbrance_id()), Some(what));
        }
        assert_eq!(Move::of("allocation", Some(id)), None);
        assert_eq!(Move::of("encumbrance", None), None);
    }
}
