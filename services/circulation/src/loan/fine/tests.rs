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
        recall_amount: None,
        recall_interval: None,
        recall_maximum: None,
        no_grace_for_recalls: false,
        forgive_on_renewal: false,
    }
}

/// Nothing but what is said.
fn no_charges() -> LostTerms {
    LostTerms {
        aged_to_lost_after: None,
        set_cost: None,
        charge_set_cost: false,
        processing_fee: None,
        refund_within: None,
        refund_processing_fee: false,
        recalled_aged_to_lost_after: None,
        actual_cost: false,
        no_fees_when_declared: false,
        declared_processing_fee: None,
        no_fees_within: None,
        damage_fee: None,
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
        set_cost,
        charge_set_cost,
        processing_fee: fee,
        ..no_charges()
    };
    let fees = |lost_item_fee, processing_fee| LostFees {
        lost_item_fee,
        processing_fee,
        actual_cost_to_be_set: false,
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
        refund_within: Some(Period {
            count: 6,
            unit: PeriodUnit::Months,
        }),
        ..no_charges()
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

#[test]
fn the_actual_cost_is_charged_later_and_the_processing_fee_at_once() {
    let terms = LostTerms {
        actual_cost: true,
        processing_fee: Some(usd(1_000)),
        ..no_charges()
    };
    let expected = LostFees {
        lost_item_fee: None,
        processing_fee: Some(usd(1_000)),
        actual_cost_to_be_set: true,
    };
    assert_eq!(lost_fees(&terms, Some(usd(4_250))), expected);
    assert_eq!(declared_lost_fees(&terms, None), expected);
}

#[test]
fn a_declared_loss_may_cost_less_than_an_aged_one() {
    let terms = LostTerms {
        set_cost: Some(usd(9_000)),
        processing_fee: Some(usd(1_000)),
        ..no_charges()
    };
    let price = Some(usd(4_250));
    assert_eq!(declared_lost_fees(&terms, price), lost_fees(&terms, price));
    for (declared, expected) in [(500, Some(usd(500))), (0, None)] {
        let terms = LostTerms {
            declared_processing_fee: Some(usd(declared)),
            ..terms.clone()
        };
        let fees = declared_lost_fees(&terms, price);
        assert_eq!((fees.lost_item_fee, fees.processing_fee), (price, expected));
        assert_eq!(lost_fees(&terms, price).processing_fee, Some(usd(1_000)));
    }
    let free = LostTerms {
        no_fees_when_declared: true,
        actual_cost: true,
        ..no_charges()
    };
    assert_eq!(declared_lost_fees(&free, price), LostFees::default());
    assert!(lost_fees(&free, price).actual_cost_to_be_set);
}

#[test]
fn nothing_is_owed_for_a_loss_that_ends_soon() {
    let days = |count| {
        Some(Period {
            count,
            unit: PeriodUnit::Days,
        })
    };
    let terms = LostTerms {
        refund_within: days(30),
        no_fees_within: days(3),
        ..no_charges()
    };
    let lost = at("2026-10-30T12:00:00");
    let refunded = |returned| {
        let refund = refund(&terms, lost, at(returned), &library());
        (refund.lost_item_fee, refund.processing_fee)
    };
    // Three days by the calendar, over the night of 25 hours.
    assert_eq!(refunded("2026-11-02T12:00:00"), (true, true));
    assert_eq!(refunded("2026-11-02T12:00:01"), (true, false));
    assert_eq!(refunded("2026-11-29T12:00:00"), (true, false));
    assert_eq!(refunded("2026-11-29T12:00:01"), (false, false));
}

#[test]
fn recalled_items_are_lost_sooner() {
    let after = |count, unit| Some(Period { count, unit });
    let terms = LostTerms {
        aged_to_lost_after: after(28, PeriodUnit::Days),
        recalled_aged_to_lost_after: after(90, PeriodUnit::Minutes),
        ..no_charges()
    };
    assert_eq!(terms.aged_after(false), after(28, PeriodUnit::Days));
    assert_eq!(terms.aged_after(true), after(90, PeriodUnit::Minutes));
    let same = LostTerms {
        recalled_aged_to_lost_after: None,
        ..terms
    };
    assert_eq!(same.aged_after(true), after(28, PeriodUnit::Days));
}

#[test]
fn a_recall_has_its_own_rate_maximum_and_grace() {
    let terms = FineTerms {
        maximum: Some(usd(500)),
        recall_amount: Some(usd(200)),
        recall_maximum: Some(usd(5_000)),
        ..terms(25, 1, PeriodUnit::Days, true)
    };
    let hourly = FineTerms {
        recall_interval: Some(Period {
            count: 1,
            unit: PeriodUnit::Hours,
        }),
        recall_maximum: None,
        ..terms.clone()
    };
    let graceless = FineTerms {
        no_grace_for_recalls: true,
        ..terms.clone()
    };
    let grace = Some(Period {
        count: 2,
        unit: PeriodUnit::Days,
    });
    // (terms, returned, fine, fine where it was recalled)
    let table = [
        (&terms, "2026-09-02T10:00:00", None, None),
        (&terms, "2026-09-04T10:00:00", Some(75), Some(600)),
        (&graceless, "2026-09-02T10:00:00", None, Some(200)),
        (&terms, "2026-12-04T10:00:00", Some(500), Some(5_000)),
        // Ten hours and a second of 3 September passed the grace; all count.
        (&hourly, "2026-09-04T10:00:00", Some(75), Some(500)),
    ];
    for (terms, returned, plain, recalled) in table {
        let fine = |recalled_at| {
            let loan = loan(at("2026-09-01T23:59:59"), recalled_at);
            let fine = loan_fine(terms, grace, &loan, at(returned), &library());
            fine.unwrap()
        };
        assert_eq!(fine(None), plain.map(usd), "{returned}");
        assert_eq!(
            fine(Some(at("2026-08-25T10:00:00"))),
            recalled.map(usd),
            "{returned}"
        );
    }
}

fn loan(due_at: Timestamp, recalled_at: Option<Timestamp>) -> Loan {
    use carrel_proto::circulation::v1::{LoanAction, LoanCategory};
    let id = uuid::Uuid::nil();
    let code = String::new;
    Loan {
        id,
        item_id: id,
        patron_id: Some(id),
        action: LoanAction::CheckedOut,
        checked_out_at: at("2026-08-01T10:00:00"),
        due_at,
        checked_in_at: None,
        renewal_count: 0,
        check_out_service_point_id: id,
        check_in_service_point_id: None,
        applied_rule: crate::rule::AppliedRule {
            rules_version: 1,
            line: 1,
            text: code(),
            loan_policy: code(),
            request_policy: code(),
            notice_policy: code(),
            overdue_fine_policy: code(),
            lost_item_policy: code(),
            fallback: false,
        },
        policy_ids: [id; 3],
        facts: crate::loan::model::Facts {
            institution_code: code(),
            campus_code: code(),
            library_code: code(),
            location_code: code(),
            patron_group: code(),
            material_type: code(),
            loan_type: code(),
            call_number_class: code(),
            category: LoanCategory::General,
        },
        overdue_since: None,
        lost_due_at: None,
        loss: None,
        claimed_returned_at: None,
        recalled_at,
        fined: None,
        expected_charges: 0,
        proxy_patron_id: None,
        building_use: false,
        accepted_agreement: code(),
        revision: 1,
    }
}

#[test]
fn hours_of_an_emergency_closing_cost_nothing() {
    let closed = crate::service_point::calendar::Closed {
        closing_id: uuid::Uuid::nil(),
        from: at("2026-09-15T10:00:00"),
        until: at("2026-09-17T00:00:00"),
        reason: "smoke".into(),
    };
    let calendar = Calendar {
        hours: library().hours.closed(closed).unwrap(),
        ..library()
    };
    let due = at("2026-09-15T09:30:00");
    // Half an hour on Tuesday, and from 8:00 to 9:15 on Thursday.
    let fine = |unit, count| {
        let terms = terms(10, count, unit, false);
        overdue_fine(
            &terms,
            None,
            due,
            at("2026-09-17T09:15:00"),
            None,
            &calendar,
        )
        .unwrap()
    };
    assert_eq!(fine(PeriodUnit::Minutes, 1), Some(usd(1_050)));
    assert_eq!(fine(PeriodUnit::Hours, 1), Some(usd(20)));
    assert_eq!(
        fine(PeriodUnit::Days, 1),
        Some(usd(10)),
        "Wednesday is no open day"
    );
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
