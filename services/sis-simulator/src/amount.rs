//! Amounts between exact decimals and JSON numbers.
//!
//! serde_json reads a number with a fraction as a double. Up to 15 significant digits a double gives back the decimal
//! it was read from, and the limits here stay within 12.

use rust_decimal::Decimal;
use serde_json::Number;

/// Beyond this no library charge is meant.
const LARGEST: i64 = 10_000_000_000;

/// The currencies that a student account takes (Ethos `student-charges`: USD or CAD).
pub(crate) const CURRENCIES: [&str; 2] = ["USD", "CAD"];

/// A JSON number as an amount in whole cents, or why it is none.
pub(crate) fn from_json(number: &Number) -> Result<Decimal, &'static str> {
    let text = number.to_string();
    let amount = text
        .parse::<Decimal>()
        .or_else(|_| Decimal::from_scientific(&text))
        .map_err(|_| "is not a decimal number")?;
    in_cents(amount)
}

/// The amount with two decimals, where that loses nothing.
pub(crate) fn in_cents(amount: Decimal) -> Result<Decimal, &'static str> {
    if amount.abs() >= Decimal::from(LARGEST) {
        return Err("is too large");
    }
    let mut cents = amount;
    cents.rescale(2);
    if cents == amount {
        Ok(cents)
    } else {
        Err("has more than two decimals")
    }
}

/// An amount as a JSON number.
pub(crate) fn to_json(amount: Decimal) -> Number {
    serde_json::from_str(&amount.to_string()).expect("a decimal's digits are a JSON number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, &'static str> {
        from_json(&serde_json::from_str(text).unwrap()).map(|amount| amount.to_string())
    }

    #[test]
    fn every_cent_up_to_a_thousand_dollars_survives_the_trip() {
        for cents in -100_000i64..=100_000 {
            let amount = Decimal::new(cents, 2);
            assert_eq!(from_json(&to_json(amount)), Ok(amount));
        }
    }

    #[test]
    fn amounts_are_read_in_cents_or_refused() {
        assert_eq!(read("17.35").as_deref(), Ok("17.35"));
        assert_eq!(read("20").as_deref(), Ok("20.00"));
        assert_eq!(read("-20.5").as_deref(), Ok("-20.50"));
        assert_eq!(read("2e1").as_deref(), Ok("20.00"));
        assert_eq!(read("9999999999.99").as_deref(), Ok("9999999999.99"));
        assert_eq!(read("10000000000"), Err("is too large"));
        assert_eq!(read("1e300"), Err("is not a decimal number"));
        assert_eq!(read("0.005"), Err("has more than two decimals"));
    }
}
