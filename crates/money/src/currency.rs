//! The currencies that Carrel keeps accounts in.

use std::fmt;
use std::str::FromStr;

use crate::MoneyError;

/// A currency (ISO 4217). The student-account systems Carrel posts to take
/// these two; a district keeps its books in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Currency {
    /// The United States dollar.
    USD,
    /// The Canadian dollar.
    CAD,
}

impl Currency {
    /// The ISO 4217 code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::USD => "USD",
            Self::CAD => "CAD",
        }
    }

    /// How many decimals the minor unit has.
    #[must_use]
    pub fn minor_digits(self) -> u32 {
        match self {
            Self::USD | Self::CAD => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        match code {
            "USD" => Ok(Self::USD),
            "CAD" => Ok(Self::CAD),
            _ => Err(MoneyError::UnknownCurrency),
        }
    }
}
