//! Splitting an amount by weights without losing a cent.

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

use crate::{Money, MoneyError};

impl Money {
    /// Splits the amount in proportion to `weights`. The parts add up to the
    /// amount exactly: each gets its share rounded towards zero, and the cents
    /// left over go to the largest remainders, earlier parts first.
    ///
    /// # Errors
    /// [`MoneyError::NoWeights`] where no weight is positive or one is
    /// negative; [`MoneyError::TooLarge`] where a product can't be held.
    pub fn split(self, weights: &[Decimal]) -> Result<Vec<Self>, MoneyError> {
        let total: Decimal = weights.iter().copied().sum();
        if weights.iter().any(Decimal::is_sign_negative) || total.is_zero() {
            return Err(MoneyError::NoWeights);
        }
        let digits = self.currency.minor_digits();
        let mut parts = Vec::with_capacity(weights.len());
        let mut remainders = Vec::with_capacity(weights.len());
        let mut given = Decimal::new(0, digits);
        for (place, weight) in weights.iter().enumerate() {
            let exact = self
                .amount
                .checked_mul(*weight)
                .and_then(|product| product.checked_div(total))
                .ok_or(MoneyError::TooLarge)?;
            let part = exact.round_dp_with_strategy(digits, RoundingStrategy::ToZero);
            remainders.push(((exact - part).abs(), place));
            given += part;
            parts.push(part);
        }

        let cent = Decimal::new(if self.is_negative() { -1 } else { 1 }, digits);
        let cents_left = ((self.amount - given) / cent)
            .to_usize()
            .expect("rounding towards zero leaves fewer cents than parts");
        remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, place) in remainders.iter().cycle().take(cents_left) {
            parts[*place] += cent;
        }
        parts
            .into_iter()
            .map(|part| Self::new(part, self.currency))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Currency, Money, MoneyError};
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    fn cents(amount: i64) -> Money {
        Money::from_minor(amount, Currency::USD).unwrap()
    }

    #[test]
    fn ten_dollars_among_three_funds() {
        let parts = cents(1000).split(&[Decimal::ONE; 3]).unwrap();
        assert_eq!(parts, [cents(334), cents(333), cents(333)]);
    }

    #[test]
    fn nothing_can_be_split_by_nothing() {
        for weights in [
            vec![],
            vec![Decimal::ZERO],
            vec![Decimal::TWO, -Decimal::ONE],
        ] {
            assert_eq!(cents(100).split(&weights), Err(MoneyError::NoWeights));
        }
    }

    proptest! {
        #[test]
        fn a_split_never_loses_a_cent(
            amount in -1_000_000_000i64..1_000_000_000,
            weights in prop::collection::vec(0u32..10_000, 1..20),
        ) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let weights: Vec<Decimal> = weights.into_iter().map(Decimal::from).collect();
            let parts = cents(amount).split(&weights).unwrap();
            let sum = parts.iter().try_fold(cents(0), |sum, part| sum.plus(*part)).unwrap();
            prop_assert_eq!(sum, cents(amount));
            for (part, weight) in parts.iter().zip(&weights) {
                prop_assert!(!weight.is_zero() || part.is_zero());
            }
        }
    }
}
