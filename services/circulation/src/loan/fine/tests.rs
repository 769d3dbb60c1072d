//! Fines and fees by table.

use carrel_money::Currency;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::service_point::calendar::{Hours, OpeningHours, WeeklyHours};

/// Open Monday to Saturday 8:00 to 20:00.
fn library() -> Calendar {
    let days = [
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
        Weekday::Saturday,
    ];
    let hours = Hours {
        opens: 8 * 60,
        closes: 20 * 60,
    };
    let weekly = days.map(|day| WeeklyHours { day, hours }).to_vec();
    Calendar {
        zone: TimeZone::get("America/Los_Angeles").unwrap(),
        hours: OpeningHours::new(weekly, Vec::new()).unwrap(),
    }
}

fn at(text: &str) -> Timestamp {
    let local: jiff::civil::DateTime = text.parse().unwrap();
    library().zone.to_timestamp(local).unwrap()
}

fn usd(minor: i64) -> Money {
    Money::from_minor(minor, Currency::USD).unwrap()
}

fn terms(cents: i64, count: i32, unit: PeriodUnit, count_closed: bool) -> FineTerms {
    FineTerms {
        amount: usd(cents),
        interval: Period { count, unit },
        maximum: None,
        count_closed,
        forgive_when_lost: false,
    }
}

#[test]
fn each_interval_begun_costs() {
    use PeriodUnit::{Days, Hours, Minutes, Months, Weeks};
    // 15 September 2026 is a Tuesday, the 20th a Sunday.
    let table = [
        (
            terms(25, 1, Days, true),
            "2026-09-15T23:59:59",
            "2026-09-15T23:59:59",
            0,
        ),
        (
            terms(25, 1, Days, true),
            "2026-09-15T23:59:59",
            "2026-09-15T23:59:59.999",
            0,
        ),
        (
            terms(25, 1, Days, true),
            "2026-09-15T23:59:59",
            "2026-09-16T00:00:00",
            25,
        ),
        (
            terms(25, 1, Days, true),
            "2026-09-15T23:59:59",
            "2026-09-16T23:59:59",
            25,
        ),
        (
            terms(25, 1, Days, true),
            "2026-09-15T23:59:59",
            "2026-09-17T00:00:00",
            50,
        ),
        (
            terms(25, 1, Days, true),
            "2026-09-18T23:59:59",
            "2026-09-21T09:00:00",
            75,
        ),
        (
            terms(25, 1, Days, false),
            "2026-09-18T23:59:59",
            "2026-09-21T09:00:00",
            50,
        ),
        (
            terms(25, 1, Days, false),
            "2026-09-19T23:59:59",
            "2026-09-20T12:00:00",
            0,
        ),
        // A day with 25 hours is one day.
        (
            terms(25, 1, Days, true),
            "2026-10-31T23:59:59",
            "2026-11-01T23:59:59",
            25,
        ),
        (
            terms(25, 3, Days, true),
            "2026-09-15T23:59:59",
            "2026-09-19T09:00:00",
            50,
        ),
        (
            terms(100, 1, Weeks, true),
            "2026-09-15T23:59:59",
            "2026-09-23T09:00:00",
            200,
        ),
        // Six open days a week are not yet a second week.
        (
            terms(100, 1, Weeks, false),
            "2026-09-15T23:59:59",
            "2026-09-23T09:00:00",
            100,
        ),
        (
            terms(500, 1, Months, true),
            "2026-09-15T23:59:59",
            "2026-10-16T09:00:00",
            1000,
        ),
        (
            terms(100, 1, Hours, true),
            "2026-09-15T12:00:00",
            "2026-09-15T12:00:01",
            100,
        ),
        (
            terms(100, 1, Hours, true),
            "2026-09-15T12:00:00",
            "2026-09-15T13:00:00",
            100,
        ),
        (
            terms(100, 1, Hours, true),
            "2026-09-15T19:00:00",
            "2026-09-16T09:00:00",
            1400,
        ),
        (
            terms(100, 1, Hours, false),
            "2026-09-15T19:00:00",
            "2026-09-16T09:00:00",
            200,
        ),
        (
            terms(100, 1, Hours, false),
            "2026-09-19T19:30:00",
            "2026-09-20T12:00:00",
            100,
        ),
        (
            terms(10, 15, Minutes, false),
            "2026-09-15T12:00:00",
            "2026-09-15T12:31:00",
            30,
        ),
        (
            terms(0, 1, Days, true),
            "2026-09-15T23:59:59",
            "2026-09-30T00:00:00",
            0,
        ),
    ];
    for (terms, due, ended, cents) in table {
        let fine = overdue_fine(&terms, None, at(due), at(ended), None, &library()).unwrap();
        let expected = (cents > 0).then(|| usd(cents));
        assert_eq!(fine, expected, "{due} to {ended}: {terms:?}");
    }
}

#[test]
fn within_the_grace_nothing_is_owed_and_after_it_everything() {
    let terms = terms(25, 1, PeriodUnit::Days, true);
    let grace = Some(Period {
        count: 2,
        unit: PeriodUnit::Days,
    });
    let due = at("2026-09-15T23:59:59");
    let fine = |ended| overdue_fine(&terms, grace, due, at(ended), None, &library()).unwrap();
    assert_eq!(fine("2026-09-17T23:59:59"), None);
    assert_eq!(fine("2026-09-18T00:00:00"), Some(usd(75)));
}

#[test]
fn the_maximum_holds_for_the_loan_not_for_each_fine() {
    let terms = FineTerms {
        maximum: Some(usd(100)),
        ..terms(25, 1, PeriodUnit::Days, true)
    };
    let due = at("2026-09-01T23:59:59");
    let late = at("2026-09-30T12:00:00");
    let fine = |before| overdue_fine(&terms, None, due, late, before, &library()).unwrap();
    assert_eq!(fine(None), Some(usd(100)));
    assert_eq!(fine(Some(usd(60))), Some(usd(40)));
    assert_eq!(fine(Some(usd(100))), None);
}

#[test]
fn a_lost_item_costs_its_price_or_the_set_cost() {
    let terms = |set_cost, charge_set_cost, fee| LostTerms {
        aged_to_lost_after: None,
        set_cost,
        charge_set_cost,
        processing_fee: fee,
        refund_within: None,
        refund_processing_fee: false,
    };
    let fees = |lost_item_fee, processing_fee| LostFees {
        lost_item_fee,
        processing_fee,
    };
    let (price, cost, fee) = (Some(usd(4_250)), Some(usd(9_000)), Some(usd(1_000)));
    assert_eq!(lost_fees(&terms(cost, false, fee), price), fees(price, fee));
    assert_eq!(lost_fees(&terms(cost, false, fee), None), fees(cost, fee));
    assert_eq!(
        lost_fees(&terms(cost, true, Some(usd(0))), price),
        fees(cost, None)
    );
    assert_eq!(lost_fees(&terms(None, false, None), None), fees(None, None));
}

#[test]
fn a_returned_lost_item_is_refunded_within_the_period() {
    let terms = LostTerms {
        aged_to_lost_after: None,
        set_cost: None,
        charge_set_cost: false,
        processing_fee: None,
        refund_within: Some(Period {
            count: 6,
            unit: PeriodUnit::Months,
        }),
        refund_processing_fee: false,
    };
    let lost = at("2026-08-31T12:00:00");
    let refunded = |terms: &LostTerms, returned| {
        let refund = refund(terms, lost, at(returned), &library());
        (refund.lost_item_fee, refund.processing_fee)
    };
    assert_eq!(refunded(&terms, "2027-02-28T12:00:00"), (true, false));
    assert_eq!(refunded(&terms, "2027-02-28T12:00:01"), (false, false));
    let both = LostTerms {
        refund_processing_fee: true,
        ..terms.clone()
    };
    assert_eq!(refunded(&both, "2026-09-01T12:00:00"), (true, true));
    let never = LostTerms {
        refund_within: None,
        ..terms
    };
    assert_eq!(refunded(&never, "2026-09-01T12:00:00"), (false, false));
    // It was in the book drop before it was aged to lost.
    assert_eq!(refunded(&never, "2026-08-31T11:00:00"), (true, true));
}

proptest! {
    #[test]
    fn a_later_return_never_costs_less(
        unit in prop_oneof![
            Just(PeriodUnit::Minutes), Just(PeriodUnit::Hours), Just(PeriodUnit::Days), Just(PeriodUnit::Weeks)],
        count in 1..50i32, count_closed: bool, due in 0..40_000_000i64, late in 0..20_000_000i64, later in 0..5_000_000i64,
    ) {
        let terms = terms(25, count, unit, count_closed);
        let due = at("2026-01-01T00:00:00") + Span::new().seconds(due);
        let fine = |seconds| {
            let ended = due + Span::new().seconds(seconds);
            overdue_fine(&terms, None, due, ended, None, &library()).unwrap().unwrap_or(usd(0)).amount()
        };
        prop_assert!(fine(late) <= fine(late + later));
    }
}
