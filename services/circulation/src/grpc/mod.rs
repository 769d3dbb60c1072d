//! The contract's services: decode, call, encode, and nothing else.

mod equipment;
mod loan;
mod loan_action;
mod loan_batch;
mod patron_block;
mod policy;
mod policy_terms;
mod privacy;
mod request;
mod rule;
mod service_point;
mod statistic;

use carrel_money::Money;
use carrel_proto::circulation::v1 as wire;
use carrel_proto::r#type::v1::Money as WireMoney;
use carrel_runtime::Refusal;

use crate::period::{Period, PeriodUnit};

pub use equipment::EquipmentRpcs;
pub use loan::LoanRpcs;
pub use loan_action::LoanActionRpcs;
pub use loan_batch::LoanBatchRpcs;
pub use patron_block::PatronBlockRpcs;
pub use policy::PolicyRpcs;
pub use privacy::PrivacyRpcs;
pub use request::RequestRpcs;
pub use rule::CirculationRuleRpcs;
pub use service_point::ServicePointRpcs;
pub use statistic::StatisticRpcs;

/// The default and the largest size of a page.
const PAGE: i32 = 100;
const LARGEST_PAGE: i32 = 1_000;

fn unspecified(field: &str) -> Refusal {
    Refusal::field(
        field,
        "VALUE_UNKNOWN",
        "must be one of the contract's values, not unspecified",
    )
}

/// Reads an enum's value.
fn known<E: TryFrom<i32> + Default + PartialEq>(field: &str, value: i32) -> Result<E, Refusal> {
    match E::try_from(value) {
        Ok(value) if value != E::default() => Ok(value),
        _ => Err(unspecified(field)),
    }
}

fn optional_money(field: &str, value: Option<&WireMoney>) -> Result<Option<Money>, Refusal> {
    value
        .map(|value| carrel_runtime::wire::money(field, value))
        .transpose()
}

fn period(field: &str, period: &wire::Period, least: i32) -> Result<Period, Refusal> {
    let unit = match known(&format!("{field}.unit"), period.unit)? {
        wire::PeriodUnit::Minutes => PeriodUnit::Minutes,
        wire::PeriodUnit::Hours => PeriodUnit::Hours,
        wire::PeriodUnit::Days => PeriodUnit::Days,
        wire::PeriodUnit::Weeks => PeriodUnit::Weeks,
        wire::PeriodUnit::Months => PeriodUnit::Months,
        wire::PeriodUnit::Unspecified => return Err(unspecified(field)),
    };
    if !(least..=Period::LARGEST_COUNT).contains(&period.count) {
        return Err(Refusal::field(
            &format!("{field}.count"),
            "PERIOD_OUT_OF_RANGE",
            format!("must be {least} to 10,000"),
        ));
    }
    Ok(Period {
        count: period.count,
        unit,
    })
}

/// A period that may be left out; one of nothing is one left out.
fn optional_period(field: &str, value: Option<&wire::Period>) -> Result<Option<Period>, Refusal> {
    match value {
        Some(value) => Ok(Some(period(field, value, 0)?).filter(|period| period.count > 0)),
        None => Ok(None),
    }
}

fn to_period(period: Period) -> wire::Period {
    let unit = match period.unit {
        PeriodUnit::Minutes => wire::PeriodUnit::Minutes,
        PeriodUnit::Hours => wire::PeriodUnit::Hours,
        PeriodUnit::Days => wire::PeriodUnit::Days,
        PeriodUnit::Weeks => wire::PeriodUnit::Weeks,
        PeriodUnit::Months => wire::PeriodUnit::Months,
    };
    wire::Period {
        count: period.count,
        unit: unit.into(),
    }
}
