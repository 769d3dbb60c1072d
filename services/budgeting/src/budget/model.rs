//! The rules of a budget: what is funded, what is committed, what is left.
//!
//! total funding = allocated + net transfers;
//! limit = total funding × allowable encumbrance %, rounded down to the cent;
//! available to encumber = limit − (encumbered + awaiting payment + expended).

use std::fmt;

use carrel_money::{Currency, Decimal, Money, MoneyError, RoundingStrategy};
use uuid::Uuid;

use crate::error::Error;

/// Whether a budget may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetStatus {
    /// In use.
    Active,
    /// Nothing new may be committed.
    Frozen,
    /// Not used this year.
    Inactive,
    /// For a year to come.
    Planned,
    /// The year is over.
    Closed,
}

impl BudgetStatus {
    /// Its name in the database and in texts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Frozen => "frozen",
            Self::Inactive => "inactive",
            Self::Planned => "planned",
            Self::Closed => "closed",
        }
    }

    /// The status with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [
            Self::Active,
            Self::Frozen,
            Self::Inactive,
            Self::Planned,
            Self::Closed,
        ]
        .into_iter()
        .find(|status| status.as_str() == name)
    }
}

impl fmt::Display for BudgetStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A whole percentage from 0 to 1,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(i32);

impl Percent {
    /// All of it.
    pub const HUNDRED: Self = Self(100);

    /// A percentage; `None` outside 0 to 1,000.
    #[must_use]
    pub fn new(percent: i32) -> Option<Self> {
        (0..=1000).contains(&percent).then_some(Self(percent))
    }

    /// Its number.
    #[must_use]
    pub fn get(self) -> i32 {
        self.0
    }

    /// This share of an amount, rounded down to the cent: a limit is never
    /// above what the percentage allows.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`].
    pub fn of(self, amount: Money) -> Result<Money, MoneyError> {
        let exact = amount.amount() * Decimal::new(self.0.into(), 2);
        Money::round(
            exact,
            amount.currency(),
            RoundingStrategy::ToNegativeInfinity,
        )
    }
}

/// What the journal says about a budget, in sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Allocated by the district.
    pub allocated: Money,
    /// Transferred in less transferred out.
    pub net_transfers: Money,
    /// Set aside for orders.
    pub encumbered: Money,
    /// Approved and not yet paid.
    pub awaiting_payment: Money,
    /// Paid.
    pub expended: Money,
    /// Credited by vendors.
    pub credited: Money,
}

impl Totals {
    /// Of a budget on which nothing was booked.
    #[must_use]
    pub fn zero(currency: Currency) -> Self {
        let nothing = Money::zero(currency);
        Self {
            allocated: nothing,
            net_transfers: nothing,
            encumbered: nothing,
            awaiting_payment: nothing,
            expended: nothing,
            credited: nothing,
        }
    }

    fn total_funding(&self) -> Result<Money, MoneyError> {
        self.allocated.plus(self.net_transfers)
    }

    fn committed(&self) -> Result<Money, MoneyError> {
        self.encumbered
            .plus(self.awaiting_payment)?
            .plus(self.expended)
    }
}

/// A fund in a fiscal year.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Its id.
    pub id: Uuid,
    /// The fund.
    pub fund_id: Uuid,
    /// The fiscal year.
    pub fiscal_year_id: Uuid,
    /// Whether it may be used.
    pub status: BudgetStatus,
    /// How much of the funding may be committed.
    pub allowable_encumbrance: Percent,
    /// How much of the funding may be spent.
    pub allowable_expenditure: Percent,
    /// Its totals.
    pub totals: Totals,
    /// Rises with each change.
    pub revision: i64,
}

impl Budget {
    /// What can still be set aside.
    ///
    /// # Errors
    /// [`Error::AmountTooLarge`]; never for a budget whose changes were made
    /// here.
    pub fn available_to_encumber(&self) -> Result<Money, Error> {
        let limit = self
            .allowable_encumbrance
            .of(self.totals.total_funding()?)?;
        Ok(limit.minus(self.totals.committed()?)?)
    }

    /// The totals after an allocation; a negative one takes money back.
    ///
    /// # Errors
    /// [`Error::BudgetNotActive`], [`Error::CurrencyMismatch`],
    /// [`Error::AmountZero`], [`Error::AmountTooLarge`], and
    /// [`Error::AllocationBelowCommitments`] where what is committed would no
    /// longer be covered.
    pub fn allocate(&self, amount: Money) -> Result<Totals, Error> {
        self.check_usable(amount)?;
        if amount.is_zero() {
            return Err(Error::AmountZero);
        }
        let totals = Totals {
            allocated: self.totals.allocated.plus(amount)?,
            ..self.totals
        };
        let funding = totals.total_funding()?;
        let limit = self.allowable_encumbrance.of(funding)?;
        let committed = totals.committed()?;
        // With 0 % the limit is zero however far the funding falls.
        if funding.is_negative() || limit.minus(committed)?.is_negative() {
            return Err(Error::AllocationBelowCommitments { committed, limit });
        }
        Ok(totals)
    }

    /// The totals after money is set aside.
    ///
    /// # Errors
    /// [`Error::BudgetNotActive`], [`Error::CurrencyMismatch`],
    /// [`Error::AmountNotPositive`], and [`Error::FundInsufficient`] where the
    /// amount is more than what is available, if only by a cent.
    pub fn encumber(&self, amount: Money) -> Result<Totals, Error> {
        self.check_usable(amount)?;
        if !amount.is_positive() {
            return Err(Error::AmountNotPositive);
        }
        let available = self.available_to_encumber()?;
        let short = amount.minus(available)?;
        if short.is_positive() {
            return Err(Error::FundInsufficient { available, short });
        }
        Ok(Totals {
            encumbered: self.totals.encumbered.plus(amount)?,
            ..self.totals
        })
    }

    /// The totals after what was set aside is given back. A frozen or closed
    /// budget takes it too: giving back commits nothing.
    ///
    /// # Errors
    /// Never for an amount that was encumbered here.
    pub fn release(&self, amount: Money) -> Result<Totals, Error> {
        Ok(Totals {
            encumbered: self.totals.encumbered.minus(amount)?,
            ..self.totals
        })
    }

    fn check_usable(&self, amount: Money) -> Result<(), Error> {
        if self.status != BudgetStatus::Active {
            return Err(Error::BudgetNotActive(self.status));
        }
        let kept_in = self.totals.allocated.currency();
        if amount.currency() != kept_in {
            return Err(Error::CurrencyMismatch {
                kept_in,
                given: amount.currency(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cents(amount: i64) -> Money {
        Money::from_minor(amount, Currency::USD).unwrap()
    }

    fn budget(percent: i32, totals: [i64; 6]) -> Budget {
        let [
            allocated,
            net_transfers,
            encumbered,
            awaiting_payment,
            expended,
            credited,
        ] = totals.map(cents);
        Budget {
            id: Uuid::nil(),
            fund_id: Uuid::nil(),
            fiscal_year_id: Uuid::nil(),
            status: BudgetStatus::Active,
            allowable_encumbrance: Percent::new(percent).unwrap(),
            allowable_expenditure: Percent::HUNDRED,
            totals: Totals {
                allocated,
                net_transfers,
                encumbered,
                awaiting_payment,
                expended,
                credited,
            },
            revision: 1,
        }
    }

    #[test]
    fn available_to_encumber_is_the_limit_less_what_is_committed() {
        // allocated, net transfers, encumbered, awaiting payment, expended, credited
        for (percent, totals, available) in [
            (100, [10_000, 0, 0, 0, 0, 0], 10_000),
            (100, [10_000, 0, 10_000, 0, 0, 0], 0),
            (100, [10_000, -2000, 3000, 1000, 500, 0], 3500),
            (100, [0, 5000, 4999, 0, 0, 0], 1),
            // Vendors' credits can be spent, but not committed anew.
            (100, [10_000, 0, 0, 0, 6000, 6000], 4000),
            (110, [10_000, 0, 10_000, 0, 0, 0], 1000),
            (0, [10_000, 0, 0, 0, 0, 0], 0),
            (1000, [1, 0, 0, 0, 0, 0], 10),
            // 33 % of 10.01 is 3.3033.
            (33, [1001, 0, 0, 0, 0, 0], 330),
            // 99 % of 0.01 is less than a cent.
            (99, [1, 0, 0, 0, 0, 0], 0),
        ] {
            let budget = budget(percent, totals);
            let found = budget.available_to_encumber().unwrap();
            assert_eq!(found, cents(available), "{percent} % of {totals:?}");
        }
    }

    #[test]
    fn an_order_is_refused_where_one_cent_is_missing() {
        let budget = budget(100, [10_000, 0, 6000, 0, 0, 0]);
        assert_eq!(
            budget.encumber(cents(4000)).unwrap().encumbered,
            cents(10_000)
        );
        match budget.encumber(cents(4001)) {
            Err(Error::FundInsufficient { available, short }) => {
                assert_eq!((available, short), (cents(4000), cents(1)));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_allocation_is_taken_back_only_as_far_as_nothing_is_committed() {
        let half_used = budget(100, [10_000, 0, 5000, 0, 0, 0]);
        assert_eq!(
            half_used.allocate(cents(-5000)).unwrap().allocated,
            cents(5000)
        );
        assert!(matches!(
            half_used.allocate(cents(-5001)),
            Err(Error::AllocationBelowCommitments { committed, limit })
                if committed == cents(5000) && limit == cents(4999)
        ));
        let committing_nothing = budget(0, [100, 0, 0, 0, 0, 0]);
        assert!(committing_nothing.allocate(cents(-100)).is_ok());
        assert!(matches!(
            committing_nothing.allocate(cents(-101)),
            Err(Error::AllocationBelowCommitments { .. })
        ));
    }

    #[test]
    fn only_an_active_budget_is_used_but_every_budget_takes_a_release() {
        use BudgetStatus::{Closed, Frozen, Inactive, Planned};
        for status in [Frozen, Inactive, Planned, Closed] {
            let budget = Budget {
                status,
                ..budget(100, [10_000, 0, 1000, 0, 0, 0])
            };
            for outcome in [budget.allocate(cents(1)), budget.encumber(cents(1))] {
                assert!(matches!(outcome, Err(Error::BudgetNotActive(found)) if found == status));
            }
            assert_eq!(budget.release(cents(1000)).unwrap().encumbered, cents(0));
            assert_eq!(BudgetStatus::named(status.as_str()), Some(status));
        }
    }

    #[test]
    fn amounts_that_make_no_sense_are_refused() {
        let budget = budget(1000, [10_000, 0, 0, 0, 0, 0]);
        assert!(matches!(budget.allocate(cents(0)), Err(Error::AmountZero)));
        for amount in [cents(0), cents(-1)] {
            assert!(matches!(
                budget.encumber(amount),
                Err(Error::AmountNotPositive)
            ));
        }
        let canadian = Money::from_minor(1, Currency::CAD).unwrap();
        for outcome in [budget.allocate(canadian), budget.encumber(canadian)] {
            assert!(matches!(
                outcome,
                Err(Error::CurrencyMismatch {
                    kept_in: Currency::USD,
                    given: Currency::CAD
                })
            ));
        }
        // What could not be shown as a limit is not taken in.
        assert!(matches!(
            budget.allocate(cents(99_999_999_999_999)),
            Err(Error::AmountTooLarge)
        ));
        assert!(Percent::new(-1).is_none() && Percent::new(1001).is_none());
    }

    proptest! {
        #[test]
        fn whatever_is_done_commitments_stay_within_the_limit(
            percent in 0..=1000i32,
            steps in prop::collection::vec((0..3u8, -50_000i64..50_000), 1..60),
        ) {
            let mut budget = budget(percent, [0; 6]);
            let mut open = Vec::new();
            for (kind, amount) in steps {
                let amount = cents(amount);
                let available = budget.available_to_encumber().unwrap();
                match kind {
                    0 => if let Ok(totals) = budget.allocate(amount) {
                        budget.totals = totals;
                    },
                    1 => {
                        let fits = amount.is_positive() && amount.amount() <= available.amount();
                        let outcome = budget.encumber(amount);
                        prop_assert_eq!(outcome.is_ok(), fits);
                        if let Ok(totals) = outcome {
                            budget.totals = totals;
                            open.push(amount);
                        }
                    }
                    _ => if let Some(amount) = open.pop() {
                        budget.totals = budget.release(amount).unwrap();
                        let after = budget.available_to_encumber().unwrap();
                        prop_assert_eq!(after, available.plus(amount).unwrap());
                    },
                }
                prop_assert!(!budget.available_to_encumber().unwrap().is_negative());
                prop_assert!(!budget.totals.total_funding().unwrap().is_negative());
            }
        }

        #[test]
        fn a_limit_is_exact_or_less_than_a_cent_below(amount in 0i64..10_000_000_000, percent in 0..=1000i32) {
            let limit = Percent::new(percent).unwrap().of(cents(amount)).unwrap();
            // In hundredths of a cent, in whole numbers.
            let exact = i128::from(amount) * i128::from(percent);
            let limit = limit.amount().mantissa() * 100;
            prop_assert!(limit <= exact && exact - limit < 100);
        }
    }
}
