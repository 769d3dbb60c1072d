//! Money on the wire: `carrel.type.v1.Money`.

use carrel_proto::r#type::v1 as wire;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::{Currency, Money, MoneyError};

/// Decimals in `nanos`.
const NANO_DIGITS: u32 = 9;
const NANOS_PER_UNIT: i32 = 1_000_000_000;

impl TryFrom<&wire::Money> for Money {
    type Error = MoneyError;

    fn try_from(money: &wire::Money) -> Result<Self, Self::Error> {
        let currency: Currency = money.currency_code.parse()?;
        let signs_differ =
            (money.units > 0 && money.nanos < 0) || (money.units < 0 && money.nanos > 0);
        if signs_differ || money.nanos <= -NANOS_PER_UNIT || money.nanos >= NANOS_PER_UNIT {
            return Err(MoneyError::Malformed);
        }
        let amount = Decimal::from(money.units) + Decimal::new(money.nanos.into(), NANO_DIGITS);
        Self::new(amount, currency)
    }
}

impl From<Money> for wire::Money {
    fn from(money: Money) -> Self {
        let units = money.amount.trunc();
        let nanos = (money.amount - units) * Decimal::from(NANOS_PER_UNIT);
        Self {
            currency_code: money.currency.code().to_owned(),
            units: units.to_i64().expect("amounts are far below 2^63"),
            nanos: nanos.to_i32().expect("a fraction has at most nine digits"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wire(units: i64, nanos: i32) -> wire::Money {
        wire::Money {
            currency_code: "USD".into(),
            units,
            nanos,
        }
    }

    #[test]
    fn malformed_amounts_are_refused() {
        for (money, error) in [
            (wire(1, -500_000_000), MoneyError::Malformed),
            (wire(0, 1_000_000_000), MoneyError::Malformed),
            (wire(0, 1), MoneyError::TooFine),
            (wire(i64::MAX, 0), MoneyError::TooLarge),
            (wire(i64::MIN, i32::MIN), MoneyError::Malformed),
            (wire::Money::default(), MoneyError::UnknownCurrency),
        ] {
            assert_eq!(Money::try_from(&money), Err(error), "{money:?}");
        }
    }

    proptest! {
        #[test]
        fn an_amount_survives_the_wire(cents in -99_999_999_999i64..99_999_999_999) {
            let money = Money::from_minor(cents, Currency::USD).unwrap();
            prop_assert_eq!(Money::try_from(&wire::Money::from(money)), Ok(money));
        }

        #[test]
        fn nothing_on_the_wire_panics(units: i64, nanos: i32) {
            let _ = Money::try_from(&wire(units, nanos));
        }
    }
}
