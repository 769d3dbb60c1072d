//! Amounts and codes between rows and values.

use carrel_money::{Currency, Money};
use rust_decimal::Decimal;

use crate::error::Error;

/// An amount in the currency that its row names.
pub(crate) fn money(amount: Decimal, currency: &str) -> Result<Money, Error> {
    Ok(Money::new(amount, currency.parse::<Currency>()?)?)
}

/// A code that may be left out.
pub(crate) fn code(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
