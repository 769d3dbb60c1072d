//! The catalog's RPCs: decode, call, encode.

mod items;
mod location_units;
mod quarantine;
mod records;

pub(crate) use items::Items;
pub(crate) use location_units::LocationUnits;
pub(crate) use quarantine::Quarantine;
pub(crate) use records::Records;

/// Rows of a page by default and at the most, where the contract says no other.
const DEFAULT_PAGE: i32 = 100;
const LARGEST_PAGE: i32 = 1000;
