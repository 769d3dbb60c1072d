//! Exact money: an amount in a currency, to the minor unit and no finer.
//!
//! Nothing here rounds by itself; a rule that must round says so and how
//! ([`Money::round`]). Splitting never loses a cent ([`Money::split`]).

mod currency;
mod split;
mod wire;

use std::fmt;

pub use currency::Currency;
pub use rust_decimal::{Decimal, RoundingStrategy};

/// The largest amount, on either side of zero: 999,999,999,999.99, which is
/// what `numeric(14, 2)` holds.
const LARGEST: Decimal = Decimal::from_parts(0x107A_3FFF, 0x5AF3, 0, false, 2);

/// An amount of money. Negative amounts are credits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    amount: Decimal,
    currency: Currency,
}

/// The rules of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The currency is not one that Carrel keeps accounts in.
    #[error("unknown currency; expected an ISO 4217 code such as USD")]
    UnknownCurrency,
    /// The amount has more decimals than the currency has minor units.
    #[error("the amount is finer than the currency's minor unit")]
    TooFine,
    /// The amount is too large to be kept.
    #[error("the amount is too large")]
    TooLarge,
    /// Units and nanos have different signs, or nanos has more than 9 digits.
    #[error("units and nanos must have the same sign, and nanos at most nine digits")]
    Malformed,
    /// Two currencies in one sum.
    #[error("amounts of {0} and {1} cannot be added")]
    CurrencyMismatch(Currency, Currency),
    /// A split by weights that are empty, all zero or negative.
    #[error("an amount can only be split by weights of which none is negative and one is not zero")]
    NoWeights,
}

impl Money {
    /// An exact amount.
    ///
    /// # Errors
    /// [`MoneyError::TooFine`] for a fraction of the minor unit,
    /// [`MoneyError::TooLarge`] beyond what the database keeps.
    pub fn new(amount: Decimal, currency: Currency) -> Result<Self, MoneyError> {
        if amount.normalize().scale() > currency.minor_digits() {
            return Err(MoneyError::TooFine);
        }
        if amount.abs() > LARGEST {
            return Err(MoneyError::TooLarge);
        }
        let mut amount = amount;
        amount.rescale(currency.minor_digits());
        // Negative zero would print as "-0.00".
        let amount = if amount.is_zero() {
            amount.abs()
        } else {
            amount
        };
        Ok(Self { amount, currency })
    }

    /// No money.
    #[must_use]
    pub fn zero(currency: Currency) -> Self {
        Self {
            amount: Decimal::new(0, currency.minor_digits()),
            currency,
        }
    }

    /// An amount in minor units: `from_minor(175, USD)` is $1.75.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`] beyond what the database keeps.
    pub fn from_minor(minor_units: i64, currency: Currency) -> Result<Self, MoneyError> {
        Self::new(Decimal::new(minor_units, currency.minor_digits()), currency)
    }

    /// The nearest amount to an unrounded one, by the strategy a rule names.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`] beyond what the database keeps.
    pub fn round(
        amount: Decimal,
        currency: Currency,
        strategy: RoundingStrategy,
    ) -> Result<Self, MoneyError> {
        Self::new(
            amount.round_dp_with_strategy(currency.minor_digits(), strategy),
            currency,
        )
    }

    /// The amount in the currency's main unit, with all minor digits.
    #[must_use]
    pub fn amount(self) -> Decimal {
        self.amount
    }

    /// The currency.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.amount.is_zero()
    }

    /// Whether it is less than nothing.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.amount.is_sign_negative() && !self.amount.is_zero()
    }

    /// Whether it is more than nothing.
    #[must_use]
    pub fn is_positive(self) -> bool {
        self.amount.is_sign_positive() && !self.amount.is_zero()
    }

    /// The same amount on the other side of zero.
    #[must_use]
    pub fn negated(self) -> Self {
        Self {
            amount: if self.is_zero() {
                self.amount
            } else {
                -self.amount
            },
            currency: self.currency,
        }
    }

    /// The sum.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMismatch`], [`MoneyError::TooLarge`].
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch(self.currency, other.currency));
        }
        Self::new(self.amount + other.amount, self.currency)
    }

    /// The difference.
    ///
    /// # Errors
    /// As [`Money::plus`].
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.plus(other.negated())
    }
}

/// "12.50 USD".
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usd(text: &str) -> Result<Money, MoneyError> {
        Money::new(text.parse().unwrap(), Currency::USD)
    }

    #[test]
    fn a_fraction_of_a_cent_is_refused_not_rounded() {
        assert_eq!(usd("0.005"), Err(MoneyError::TooFine));
        assert_eq!(usd("0.500").unwrap().to_string(), "0.50 USD");
        assert_eq!(usd("-0").unwrap().to_string(), "0.00 USD");
        assert!(usd("999999999999.99").is_ok());
        assert_eq!(usd("1000000000000"), Err(MoneyError::TooLarge));
    }

    #[test]
    fn a_rule_that_rounds_says_how() {
        let tax: Decimal = "0.125".parse().unwrap();
        let half_up = Money::round(tax, Currency::USD, RoundingStrategy::MidpointAwayFromZero);
        let half_even = Money::round(tax, Currency::USD, RoundingStrategy::MidpointNearestEven);
        assert_eq!(half_up, usd("0.13"));
        assert_eq!(half_even, usd("0.12"));
    }

    proptest! {
        #[test]
        fn what_is_added_can_be_taken_away(a in -1_000_000_000i64..1_000_000_000, b in -1_000_000_000i64..1_000_000_000) {
            let a = Money::from_minor(a, Currency::USD).unwrap();
            let b = Money::from_minor(b, Currency::USD).unwrap();
            prop_assert_eq!(a.plus(b).unwrap().minus(b).unwrap(), a);
        }
    }
}
