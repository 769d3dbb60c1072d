//! Due dates by table: terms, closed hours, both changes of daylight saving,
//! the ends of months, years and terms.

use jiff::civil::{Date, Weekday, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::period::PeriodUnit::{self, Days, Hours, Minutes, Months, Weeks};
use crate::policy::model::{Category, ItemLimitScope, Overnight, Terms};
use crate::service_point::calendar::{
    Hours as OpenHours, HoursException, OpeningHours, WeeklyHours,
};

/// A library open Monday to Thursday 8:00 to 22:00, Friday to 17:00, Saturday
/// 20:00 to 2:00 (a night of study), closed on Sunday; closed for
/// Thanksgiving, open 10:00 to 14:00 on Christmas Eve.
fn college() -> Calendar {
    let weekly = [
        (Weekday::Monday, 8, 22),
        (Weekday::Tuesday, 8, 22),
        (Weekday::Wednesday, 8, 22),
        (Weekday::Thursday, 8, 22),
        (Weekday::Friday, 8, 17),
        (Weekday::Saturday, 20, 2),
    ];
    let weekly = weekly.map(|(day, opens, closes)| WeeklyHours {
        day,
        hours: open(opens, closes),
    });
    let exception = |first_date: Date, last_date: Date, hours| HoursException {
        first_date,
        last_date,
        reason: String::new(),
        hours,
    };
    let exceptions = vec![
        exception(date(2026, 11, 26), date(2026, 11, 29), None),
        exception(date(2026, 12, 24), date(2026, 12, 24), Some(open(10, 14))),
    ];
    Calendar {
        zone: TimeZone::get("America/Los_Angeles").unwrap(),
        hours: OpeningHours::new(weekly.to_vec(), exceptions).unwrap(),
    }
}

fn open(opens: u16, closes: u16) -> OpenHours {
    OpenHours {
        opens: opens * 60,
        closes: closes * 60,
    }
}

fn at(calendar: &Calendar, text: &str) -> Timestamp {
    let local: jiff::civil::DateTime = text.parse().unwrap();
    calendar.zone.to_timestamp(local).unwrap()
}

fn local(calendar: &Calendar, instant: Timestamp) -> String {
    calendar.zone.to_datetime(instant).to_string()
}

fn rolling(count: i32, unit: PeriodUnit, closed: ClosedLibraryDueDate) -> LoanTerms {
    LoanTerms {
        loanable: true,
        profile: Some(LoanProfile::Rolling(Period { count, unit })),
        fixed_due_dates: Vec::new(),
        closed_library_due_date: closed,
        grace: None,
        renewals_allowed: 1,
        renew_from: RenewFrom::DueDate,
        item_limit: 0,
        category: Category::General,
        item_limit_scope: ItemLimitScope::Policy,
        alternate_period_when_requested: None,
        renewal_period: None,
        renewal_fixed_due_dates: Vec::new(),
        overnight: None,
        building_use: false,
        reborrow_after: None,
        agreement: String::new(),
        minimum_period: None,
    }
}

/// When something is due that nobody else waits for.
fn due_at(terms: &LoanTerms, from: Timestamp, calendar: &Calendar) -> Option<Timestamp> {
    super::due_at(terms, from, false, calendar)
}

fn span(count: i32, unit: PeriodUnit) -> Option<Period> {
    Some(Period { count, unit })
}

use ClosedLibraryDueDate::{EndOfCurrentHours, EndOfNextOpenDay, EndOfPreviousOpenDay, Keep};

fn next_opening(minutes: i32) -> ClosedLibraryDueDate {
    ClosedLibraryDueDate::BeginningOfNextHours {
        offset: Period {
            count: minutes,
            unit: Minutes,
        },
    }
}

#[test]
fn rolling_loans_are_due_when_the_table_says() {
    let calendar = college();
    let table = [
        // Long loans end with the day.
        ("2026-09-01T10:00", 14, Days, Keep, "2026-09-15T23:59:59"),
        ("2026-09-01T23:59:59", 2, Weeks, Keep, "2026-09-15T23:59:59"),
        // Clocks go back on 1 November and forward on 14 March.
        ("2026-10-26T10:00", 1, Weeks, Keep, "2026-11-02T23:59:59"),
        ("2026-10-31T10:00", 1, Days, Keep, "2026-11-01T23:59:59"),
        ("2027-03-13T10:00", 1, Days, Keep, "2027-03-14T23:59:59"),
        // Year end, leap day, ends of months.
        ("2026-12-25T10:00", 1, Weeks, Keep, "2027-01-01T23:59:59"),
        ("2028-02-22T10:00", 1, Weeks, Keep, "2028-02-29T23:59:59"),
        ("2028-02-29T10:00", 12, Months, Keep, "2029-02-28T23:59:59"),
        ("2027-01-31T10:00", 1, Months, Keep, "2027-02-28T23:59:59"),
        // Closed: Sunday 20 September, Thanksgiving Thursday to Sunday.
        ("2026-09-06T10:00", 14, Days, Keep, "2026-09-20T23:59:59"),
        // The same by weeks and months, over the year's end and both changes.
        (
            "2026-09-06T10:00",
            2,
            Weeks,
            EndOfPreviousOpenDay,
            "2026-09-19T23:59:59",
        ),
        (
            "2026-09-06T10:00",
            2,
            Weeks,
            EndOfNextOpenDay,
            "2026-09-21T23:59:59",
        ),
        (
            "2026-08-20T10:00",
            1,
            Months,
            EndOfPreviousOpenDay,
            "2026-09-19T23:59:59",
        ),
        (
            "2026-08-20T10:00",
            1,
            Months,
            EndOfNextOpenDay,
            "2026-09-21T23:59:59",
        ),
        (
            "2026-10-25T10:00",
            1,
            Weeks,
            EndOfPreviousOpenDay,
            "2026-10-31T23:59:59",
        ),
        (
            "2026-10-25T10:00",
            7,
            Days,
            EndOfNextOpenDay,
            "2026-11-02T23:59:59",
        ),
        (
            "2027-02-28T10:00",
            2,
            Weeks,
            EndOfNextOpenDay,
            "2027-03-15T23:59:59",
        ),
        (
            "2027-03-07T10:00",
            7,
            Days,
            EndOfPreviousOpenDay,
            "2027-03-13T23:59:59",
        ),
        (
            "2026-12-03T10:00",
            1,
            Months,
            EndOfNextOpenDay,
            "2027-01-04T23:59:59",
        ),
        (
            "2026-12-03T10:00",
            1,
            Months,
            EndOfPreviousOpenDay,
            "2027-01-02T23:59:59",
        ),
        (
            "2026-12-27T10:00",
            1,
            Weeks,
            EndOfNextOpenDay,
            "2027-01-04T23:59:59",
        ),
        (
            "2028-01-31T10:00",
            1,
            Months,
            EndOfNextOpenDay,
            "2028-02-29T23:59:59",
        ),
        (
            "2028-02-28T10:00",
            1,
            Days,
            EndOfPreviousOpenDay,
            "2028-02-29T23:59:59",
        ),
        (
            "2026-09-06T10:00",
            14,
            Days,
            EndOfPreviousOpenDay,
            "2026-09-19T23:59:59",
        ),
        (
            "2026-09-06T10:00",
            14,
            Days,
            EndOfNextOpenDay,
            "2026-09-21T23:59:59",
        ),
        (
            "2026-11-13T10:00",
            14,
            Days,
            EndOfPreviousOpenDay,
            "2026-11-25T23:59:59",
        ),
        (
            "2026-11-13T10:00",
            14,
            Days,
            EndOfNextOpenDay,
            "2026-11-30T23:59:59",
        ),
        // Never before the day on which it was made: then on to the next open one.
        (
            "2026-11-27T10:00",
            1,
            Days,
            EndOfPreviousOpenDay,
            "2026-11-30T23:59:59",
        ),
        // Short loans run by the clock: two hours through the night of 25 hours,
        // and over the hour that March leaves out.
        ("2026-09-01T10:00", 2, Hours, Keep, "2026-09-01T12:00:00"),
        ("2026-11-01T00:30", 2, Hours, Keep, "2026-11-01T01:30:00"),
        ("2027-03-14T01:30", 2, Hours, Keep, "2027-03-14T04:30:00"),
        (
            "2026-09-01T10:00",
            90,
            Minutes,
            EndOfCurrentHours,
            "2026-09-01T11:30:00",
        ),
        // The hour that comes twice and the hour that is left out, in closed
        // hours of the night.
        (
            "2026-11-01T00:30",
            90,
            Minutes,
            EndOfCurrentHours,
            "2026-11-01T01:00:00",
        ),
        (
            "2026-11-01T00:30",
            4,
            Hours,
            EndOfCurrentHours,
            "2026-11-01T02:00:00",
        ),
        (
            "2026-11-01T00:30",
            4,
            Hours,
            next_opening(30),
            "2026-11-02T08:30:00",
        ),
        (
            "2027-03-14T01:30",
            40,
            Minutes,
            EndOfCurrentHours,
            "2027-03-14T03:00:00",
        ),
        (
            "2027-03-14T01:30",
            40,
            Minutes,
            next_opening(30),
            "2027-03-15T08:30:00",
        ),
        (
            "2027-03-13T23:30",
            90,
            Minutes,
            EndOfCurrentHours,
            "2027-03-14T01:00:00",
        ),
        // Lent by a machine at night, while nobody was there until it was due.
        (
            "2026-09-01T23:00",
            2,
            Hours,
            EndOfCurrentHours,
            "2026-09-02T08:00:00",
        ),
        (
            "2026-09-01T23:00",
            2,
            Hours,
            next_opening(30),
            "2026-09-02T08:30:00",
        ),
        ("2026-09-01T23:00", 90, Minutes, Keep, "2026-09-02T00:30:00"),
        // Over the year's end and the leap day.
        (
            "2026-12-31T21:30",
            60,
            Minutes,
            next_opening(15),
            "2027-01-01T08:15:00",
        ),
        (
            "2026-12-31T20:00",
            4,
            Hours,
            EndOfCurrentHours,
            "2026-12-31T22:00:00",
        ),
        (
            "2028-02-28T21:30",
            1,
            Hours,
            next_opening(0),
            "2028-02-29T08:00:00",
        ),
        (
            "2028-02-29T21:30",
            1,
            Hours,
            EndOfCurrentHours,
            "2028-02-29T22:00:00",
        ),
        // In the evening: back to closing time, or on to the next opening.
        (
            "2026-09-01T21:00",
            2,
            Hours,
            EndOfCurrentHours,
            "2026-09-01T22:00:00",
        ),
        (
            "2026-09-01T20:00",
            2,
            Hours,
            EndOfCurrentHours,
            "2026-09-01T22:00:00",
        ),
        (
            "2026-09-01T21:00",
            2,
            Hours,
            next_opening(30),
            "2026-09-02T08:30:00",
        ),
        (
            "2026-09-01T21:00",
            2,
            Hours,
            next_opening(0),
            "2026-09-02T08:00:00",
        ),
        // Friday evening: the next opening is Saturday's, which lasts past midnight.
        (
            "2026-09-04T16:00",
            2,
            Hours,
            next_opening(30),
            "2026-09-05T20:30:00",
        ),
        (
            "2026-09-05T23:00",
            2,
            Hours,
            EndOfCurrentHours,
            "2026-09-06T01:00:00",
        ),
        (
            "2026-09-06T01:00",
            2,
            Hours,
            EndOfCurrentHours,
            "2026-09-06T02:00:00",
        ),
        (
            "2026-09-06T01:00",
            2,
            Hours,
            next_opening(30),
            "2026-09-07T08:30:00",
        ),
        // Over Thanksgiving, and never past the end of the hours themselves.
        (
            "2026-11-25T21:00",
            2,
            Hours,
            next_opening(30),
            "2026-11-30T08:30:00",
        ),
        (
            "2026-12-23T21:00",
            2,
            Hours,
            next_opening(600),
            "2026-12-24T14:00:00",
        ),
    ];
    for (made, count, unit, closed, expected) in table {
        let terms = rolling(count, unit, closed);
        let due = due_at(&terms, at(&calendar, made), &calendar).unwrap();
        assert_eq!(
            local(&calendar, due),
            expected,
            "{made} + {count} {unit:?}, {closed:?}"
        );
    }
}

#[test]
fn short_loans_are_due_on_whole_seconds() {
    let calendar = college();
    let made = at(&calendar, "2026-09-01T10:00") + SignedDuration::from_millis(750);
    let due = due_at(&rolling(2, Hours, Keep), made, &calendar).unwrap();
    assert_eq!(local(&calendar, due), "2026-09-01T12:00:00");
}

#[test]
fn the_night_when_clocks_go_back_has_twenty_five_hours() {
    let calendar = college();
    let made = at(&calendar, "2026-10-31T12:00");
    let day = due_at(&rolling(24, Hours, Keep), made, &calendar).unwrap();
    assert_eq!(local(&calendar, day), "2026-11-01T11:00:00");
    assert_eq!(day.duration_since(made).as_hours(), 24);
}

fn term(closed: ClosedLibraryDueDate) -> LoanTerms {
    let in_term = |first, last, due| FixedDueDate {
        first_date: first,
        last_date: last,
        due_date: due,
    };
    LoanTerms {
        profile: Some(LoanProfile::Fixed),
        fixed_due_dates: vec![
            in_term(date(2026, 8, 15), date(2026, 12, 13), date(2026, 12, 20)),
            in_term(date(2027, 1, 10), date(2027, 5, 20), date(2027, 5, 28)),
        ],
        ..rolling(1, Days, closed)
    }
}

#[test]
fn fixed_loans_follow_the_terms_schedule() {
    let calendar = college();
    let table = [
        ("2026-08-15T00:00", Keep, Some("2026-12-20T23:59:59")),
        ("2026-12-13T23:59:59", Keep, Some("2026-12-20T23:59:59")),
        ("2026-12-14T00:00", Keep, None),
        ("2027-05-01T10:00", Keep, Some("2027-05-28T23:59:59")),
        // 20 December is a Sunday.
        (
            "2026-09-01T10:00",
            EndOfPreviousOpenDay,
            Some("2026-12-19T23:59:59"),
        ),
        (
            "2026-09-01T10:00",
            EndOfNextOpenDay,
            Some("2026-12-21T23:59:59"),
        ),
    ];
    for (made, closed, expected) in table {
        let due = due_at(&term(closed), at(&calendar, made), &calendar);
        assert_eq!(
            due.map(|due| local(&calendar, due)).as_deref(),
            expected,
            "{made}, {closed:?}"
        );
    }
}

#[test]
fn a_schedule_truncates_rolling_loans() {
    let calendar = college();
    let truncated = |count, unit, closed| LoanTerms {
        fixed_due_dates: term(Keep).fixed_due_dates,
        ..rolling(count, unit, closed)
    };
    let table = [
        ("2026-09-01T10:00", 14, Days, Keep, "2026-09-15T23:59:59"),
        ("2026-12-10T10:00", 14, Days, Keep, "2026-12-20T23:59:59"),
        // The limit is a closed Sunday: there is no moving on past it.
        (
            "2026-12-10T10:00",
            14,
            Days,
            EndOfNextOpenDay,
            "2026-12-19T23:59:59",
        ),
        ("2026-12-13T10:00", 400, Hours, Keep, "2026-12-20T23:59:59"),
        // Outside every span nothing truncates.
        ("2026-12-14T10:00", 14, Days, Keep, "2026-12-28T23:59:59"),
    ];
    for (made, count, unit, closed, expected) in table {
        let due = due_at(
            &truncated(count, unit, closed),
            at(&calendar, made),
            &calendar,
        )
        .unwrap();
        assert_eq!(
            local(&calendar, due),
            expected,
            "{made} + {count} {unit:?}, {closed:?}"
        );
    }
}

#[test]
fn a_renewal_counts_from_where_the_policy_says() {
    let calendar = college();
    let due = at(&calendar, "2026-09-15T23:59:59");
    let now = at(&calendar, "2026-09-10T10:00");
    for (renew_from, expected) in [
        (RenewFrom::DueDate, "2026-09-29T23:59:59"),
        (RenewFrom::Now, "2026-09-24T23:59:59"),
    ] {
        let terms = LoanTerms {
            renew_from,
            ..rolling(14, Days, Keep)
        };
        let renewed = renewed_due_at(&terms, due, now, false, &calendar).unwrap();
        assert_eq!(local(&calendar, renewed), expected);
    }
}

#[test]
fn a_service_point_without_hours_never_moves_a_due_date() {
    let calendar = Calendar {
        hours: OpeningHours::default(),
        ..college()
    };
    let made = at(&calendar, "2026-09-06T10:00");
    let due = due_at(&rolling(14, Days, EndOfNextOpenDay), made, &calendar).unwrap();
    assert_eq!(local(&calendar, due), "2026-09-20T23:59:59");
}

#[test]
fn a_library_that_never_opens_again_does_not_search_for_ever() {
    let closed = HoursException {
        first_date: date(2026, 1, 1),
        last_date: date(2026, 12, 31),
        reason: "fire".into(),
        hours: None,
    };
    let calendar = Calendar {
        hours: OpeningHours::new(Vec::new(), vec![closed]).unwrap(),
        ..college()
    };
    let made = at(&calendar, "2026-09-06T10:00");
    let due = due_at(&rolling(2, Hours, next_opening(30)), made, &calendar).unwrap();
    assert_eq!(local(&calendar, due), "2026-09-06T12:00:00");
}

#[test]
fn an_item_is_lost_so_long_after_its_due_date() {
    let calendar = college();
    let due = at(&calendar, "2026-10-25T23:59:59");
    let after = Some(Period {
        count: 10,
        unit: Days,
    });
    let lost = lost_at(after, due, &calendar).unwrap();
    assert_eq!(local(&calendar, lost), "2026-11-04T23:59:59");
    assert_eq!(lost_at(None, due, &calendar), None);
}

#[test]
fn others_waiting_shorten_a_loan() {
    let calendar = college();
    let rolling_term = |count, unit| LoanTerms {
        alternate_period_when_requested: span(count, unit),
        ..rolling(14, Days, EndOfNextOpenDay)
    };
    let fixed = |count, unit| LoanTerms {
        alternate_period_when_requested: span(count, unit),
        ..term(EndOfNextOpenDay)
    };
    let hourly = LoanTerms {
        alternate_period_when_requested: span(30, Minutes),
        ..rolling(2, Hours, EndOfCurrentHours)
    };
    let table = [
        (
            rolling_term(3, Days),
            "2026-09-01T10:00",
            "2026-09-15T23:59:59",
            "2026-09-04T23:59:59",
        ),
        // Also then to an open day: 6 September is a Sunday.
        (
            rolling_term(5, Days),
            "2026-09-01T10:00",
            "2026-09-15T23:59:59",
            "2026-09-07T23:59:59",
        ),
        (
            fixed(1, Weeks),
            "2026-09-01T10:00",
            "2026-12-21T23:59:59",
            "2026-09-08T23:59:59",
        ),
        // The schedule's date is the limit; it is a Sunday, so back from it.
        (
            fixed(3, Weeks),
            "2026-12-10T10:00",
            "2026-12-21T23:59:59",
            "2026-12-19T23:59:59",
        ),
        (
            hourly,
            "2026-09-01T10:00",
            "2026-09-01T12:00:00",
            "2026-09-01T10:30:00",
        ),
    ];
    for (terms, made, expected, when_requested) in table {
        let made = at(&calendar, made);
        let due = |requested| {
            local(
                &calendar,
                super::due_at(&terms, made, requested, &calendar).unwrap(),
            )
        };
        assert_eq!(
            (due(false).as_str(), due(true).as_str()),
            (expected, when_requested)
        );
    }
    let outside = at(&calendar, "2026-12-30T10:00");
    assert_eq!(
        super::due_at(&fixed(1, Weeks), outside, true, &calendar),
        None
    );
    // Without another period it makes no difference.
    let made = at(&calendar, "2026-09-01T10:00");
    let terms = rolling(14, Days, Keep);
    assert_eq!(
        super::due_at(&terms, made, true, &calendar),
        due_at(&terms, made, &calendar)
    );
}

#[test]
fn renewals_have_periods_and_schedules_of_their_own() {
    let calendar = college();
    let summer = FixedDueDate {
        first_date: date(2026, 8, 15),
        last_date: date(2026, 12, 20),
        due_date: date(2027, 1, 15),
    };
    let from_now = |terms: LoanTerms| LoanTerms {
        renew_from: RenewFrom::Now,
        ..terms
    };
    let one_week = |closed| LoanTerms {
        renewal_period: span(1, Weeks),
        ..rolling(14, Days, closed)
    };
    let table = [
        (
            one_week(Keep),
            "2026-09-15T23:59:59",
            "2026-09-10T10:00",
            false,
            "2026-09-22T23:59:59",
        ),
        (
            from_now(one_week(Keep)),
            "2026-09-15T23:59:59",
            "2026-09-10T10:00",
            false,
            "2026-09-17T23:59:59",
        ),
        (
            from_now(one_week(EndOfNextOpenDay)),
            "2026-09-15T23:59:59",
            "2026-09-13T10:00",
            false,
            "2026-09-21T23:59:59",
        ),
        (
            from_now(one_week(EndOfPreviousOpenDay)),
            "2026-09-15T23:59:59",
            "2026-09-13T10:00",
            false,
            "2026-09-19T23:59:59",
        ),
        // Over the night when clocks go back, and the one when they go forward.
        (
            one_week(Keep),
            "2026-10-28T23:59:59",
            "2026-10-28T10:00",
            false,
            "2026-11-04T23:59:59",
        ),
        (
            one_week(Keep),
            "2027-03-10T23:59:59",
            "2027-03-10T10:00",
            false,
            "2027-03-17T23:59:59",
        ),
        // Who renews while others wait gets the shorter time.
        (
            LoanTerms {
                alternate_period_when_requested: span(2, Days),
                ..one_week(Keep)
            },
            "2026-09-15T23:59:59",
            "2026-09-15T10:00",
            true,
            "2026-09-17T23:59:59",
        ),
        // A short loan from its due date, and back to closing time.
        (
            LoanTerms {
                renewal_period: span(90, Minutes),
                ..rolling(2, Hours, EndOfCurrentHours)
            },
            "2026-09-01T12:00:00",
            "2026-09-01T11:50",
            false,
            "2026-09-01T13:30:00",
        ),
        (
            from_now(rolling(2, Hours, EndOfCurrentHours)),
            "2026-09-01T21:00:00",
            "2026-09-01T20:30",
            false,
            "2026-09-01T22:00:00",
        ),
        (
            from_now(rolling(2, Hours, next_opening(30))),
            "2026-09-01T21:00:00",
            "2026-09-01T20:30",
            false,
            "2026-09-02T08:30:00",
        ),
        // A term loan goes on into the break by its renewals' own schedule.
        (
            LoanTerms {
                renewal_fixed_due_dates: vec![summer],
                ..term(Keep)
            },
            "2026-12-20T23:59:59",
            "2026-12-18T10:00",
            false,
            "2027-01-15T23:59:59",
        ),
        (
            LoanTerms {
                renewal_fixed_due_dates: vec![summer],
                ..rolling(60, Days, Keep)
            },
            "2026-12-20T23:59:59",
            "2026-12-18T10:00",
            false,
            "2027-01-15T23:59:59",
        ),
    ];
    for (terms, due, now, requested, expected) in table {
        let (due, now) = (at(&calendar, due), at(&calendar, now));
        let renewed = renewed_due_at(&terms, due, now, requested, &calendar).unwrap();
        assert_eq!(local(&calendar, renewed), expected, "{terms:?}");
        // Its own period and schedule say nothing of the first loan.
        let plain = LoanTerms {
            renewal_period: None,
            renewal_fixed_due_dates: Vec::new(),
            ..terms.clone()
        };
        assert_eq!(
            due_at(&terms, now, &calendar),
            due_at(&plain, now, &calendar)
        );
    }
    let after_term = at(&calendar, "2026-12-21T10:00");
    let due = at(&calendar, "2026-12-20T23:59:59");
    assert_eq!(
        renewed_due_at(&term(Keep), due, after_term, false, &calendar),
        None
    );
}

#[test]
fn a_term_loan_ends_with_the_summer() {
    let calendar = college();
    let terms = LoanTerms {
        fixed_due_dates: vec![
            FixedDueDate {
                first_date: date(2026, 8, 15),
                last_date: date(2027, 5, 20),
                due_date: date(2027, 5, 28),
            },
            FixedDueDate {
                first_date: date(2027, 5, 21),
                last_date: date(2027, 8, 14),
                due_date: date(2027, 8, 15),
            },
        ],
        ..term(EndOfPreviousOpenDay)
    };
    for (made, expected) in [
        ("2026-08-24T10:00", "2027-05-28T23:59:59"),
        ("2027-05-20T23:59:59", "2027-05-28T23:59:59"),
        // 15 August 2027 is a Sunday.
        ("2027-05-21T00:00", "2027-08-14T23:59:59"),
        ("2027-08-14T16:00", "2027-08-14T23:59:59"),
    ] {
        let due = due_at(&terms, at(&calendar, made), &calendar).unwrap();
        assert_eq!(local(&calendar, due), expected, "{made}");
    }
    terms.check().unwrap();
}

fn laptop(closed: ClosedLibraryDueDate) -> LoanTerms {
    LoanTerms {
        overnight: Some(Overnight {
            window: Period {
                count: 2,
                unit: Hours,
            },
            offset: Period {
                count: 45,
                unit: Minutes,
            },
        }),
        ..rolling(3, Hours, closed)
    }
}

#[test]
fn a_laptop_lent_before_closing_time_stays_out_overnight() {
    let calendar = college();
    let table = [
        // Tuesday, open until 22:00: before the window, at its edge, within it.
        ("2026-09-01T15:00", EndOfCurrentHours, "2026-09-01T18:00:00"),
        (
            "2026-09-01T19:59:59",
            EndOfCurrentHours,
            "2026-09-01T22:00:00",
        ),
        ("2026-09-01T20:00", EndOfCurrentHours, "2026-09-02T08:45:00"),
        ("2026-09-01T21:59", EndOfCurrentHours, "2026-09-02T08:45:00"),
        ("2026-09-01T21:00", Keep, "2026-09-02T08:45:00"),
        // The policy's own offset is for loans that merely run into the night.
        ("2026-09-01T19:30", next_opening(10), "2026-09-02T08:10:00"),
        ("2026-09-01T21:00", next_opening(10), "2026-09-02T08:45:00"),
        // Friday closes at 17:00; Saturday's hours go on past midnight.
        ("2026-09-04T15:30", EndOfCurrentHours, "2026-09-05T20:45:00"),
        ("2026-09-06T00:30", EndOfCurrentHours, "2026-09-07T08:45:00"),
        // Over Thanksgiving; Saturday night into the day with 25 hours.
        ("2026-11-25T21:00", EndOfCurrentHours, "2026-11-30T08:45:00"),
        ("2026-11-01T01:30", EndOfCurrentHours, "2026-11-02T08:45:00"),
        // Lent by a machine while it is closed: as if there were no window.
        ("2026-09-01T23:00", EndOfCurrentHours, "2026-09-02T08:45:00"),
        ("2026-09-02T06:00", EndOfCurrentHours, "2026-09-02T09:00:00"),
    ];
    for (made, closed, expected) in table {
        let due = due_at(&laptop(closed), at(&calendar, made), &calendar).unwrap();
        assert_eq!(local(&calendar, due), expected, "{made}, {closed:?}");
    }
    // The schedule's limit cuts a night short.
    let until_term_ends = LoanTerms {
        fixed_due_dates: vec![FixedDueDate {
            first_date: date(2026, 9, 1),
            last_date: date(2026, 9, 1),
            due_date: date(2026, 9, 1),
        }],
        ..laptop(EndOfCurrentHours)
    };
    let due = due_at(
        &until_term_ends,
        at(&calendar, "2026-09-01T21:00"),
        &calendar,
    )
    .unwrap();
    assert_eq!(local(&calendar, due), "2026-09-01T23:59:59");
    // Where it never closes there is no night.
    let always = Calendar {
        hours: OpeningHours::default(),
        ..college()
    };
    let due = due_at(&laptop(Keep), at(&always, "2026-09-01T21:00"), &always).unwrap();
    assert_eq!(local(&always, due), "2026-09-02T00:00:00");
}

#[test]
fn hours_that_follow_on_each_other_have_one_closing_time() {
    let weekly = [(8, 12), (12, 18), (18, 0)].map(|(opens, closes)| WeeklyHours {
        day: Weekday::Tuesday,
        hours: open(opens, closes),
    });
    let wednesday = WeeklyHours {
        day: Weekday::Wednesday,
        hours: open(0, 4),
    };
    let weekly = [weekly.to_vec(), vec![wednesday]].concat();
    let calendar = Calendar {
        hours: OpeningHours::new(weekly, Vec::new()).unwrap(),
        ..college()
    };
    let terms = laptop(EndOfCurrentHours);
    let due = |made| {
        local(
            &calendar,
            due_at(&terms, at(&calendar, made), &calendar).unwrap(),
        )
    };
    assert_eq!(due("2026-09-01T11:30"), "2026-09-01T14:30:00");
    assert_eq!(due("2026-09-01T23:30"), "2026-09-02T02:30:00");
    assert_eq!(due("2026-09-02T02:00"), "2026-09-08T08:45:00");
}

#[test]
fn a_loan_lasts_its_minimum() {
    let calendar = college();
    let least = |count, unit, terms: LoanTerms| LoanTerms {
        minimum_period: span(count, unit),
        ..terms
    };
    let table = [
        // Ten minutes before closing time, half an hour is the least.
        (
            least(30, Minutes, rolling(2, Hours, EndOfCurrentHours)),
            "2026-09-01T21:50",
            "2026-09-02T08:00:00",
        ),
        (
            least(30, Minutes, rolling(2, Hours, EndOfCurrentHours)),
            "2026-09-01T21:30",
            "2026-09-01T22:00:00",
        ),
        (
            least(30, Minutes, rolling(2, Hours, EndOfCurrentHours)),
            "2026-09-01T10:00",
            "2026-09-01T12:00:00",
        ),
        (
            least(3, Hours, rolling(2, Hours, Keep)),
            "2026-09-01T21:30",
            "2026-09-02T00:30:00",
        ),
        (
            least(3, Hours, rolling(2, Hours, next_opening(20))),
            "2026-09-01T21:30",
            "2026-09-02T08:20:00",
        ),
        // The last days of term; the 19th is a Saturday, the 20th closed.
        (
            least(1, Weeks, term(Keep)),
            "2026-12-13T10:00",
            "2026-12-20T23:59:59",
        ),
        (
            least(8, Days, term(EndOfPreviousOpenDay)),
            "2026-12-12T10:00",
            "2026-12-21T23:59:59",
        ),
        (
            least(2, Weeks, term(EndOfNextOpenDay)),
            "2026-12-13T10:00",
            "2026-12-28T23:59:59",
        ),
        (
            least(5, Days, rolling(3, Days, Keep)),
            "2026-09-01T10:00",
            "2026-09-06T23:59:59",
        ),
        (
            least(5, Days, rolling(3, Days, EndOfNextOpenDay)),
            "2026-09-01T10:00",
            "2026-09-07T23:59:59",
        ),
    ];
    for (terms, made, expected) in table {
        let due = due_at(&terms, at(&calendar, made), &calendar).unwrap();
        assert_eq!(local(&calendar, due), expected, "{made} {terms:?}");
    }
}

fn closed(calendar: &Calendar, from: &str, until: &str) -> Closed {
    Closed {
        closing_id: Uuid::nil(),
        from: at(calendar, from),
        until: at(calendar, until),
        reason: "smoke".into(),
    }
}

fn closing(calendar: &Calendar, closed: &Closed) -> Calendar {
    Calendar {
        zone: calendar.zone.clone(),
        hours: calendar.hours.clone().closed(closed.clone()).unwrap(),
    }
}

#[test]
fn what_falls_due_in_an_emergency_closing_is_due_later() {
    let college = college();
    // From Thursday noon until the end of Saturday, when it would have opened at
    // 20:00 until 2:00.
    let smoke = closed(&college, "2026-09-10T12:00", "2026-09-13T00:00");
    let calendar = closing(&college, &smoke);
    let (days, hours) = (
        |closed| rolling(14, Days, closed),
        |closed| rolling(2, Hours, closed),
    );
    let table = [
        // Before and after it nothing moves, and its first moment is in it.
        (days(EndOfNextOpenDay), "2026-09-09T23:59:59", None),
        (hours(EndOfCurrentHours), "2026-09-10T11:59:59", None),
        (
            hours(next_opening(30)),
            "2026-09-10T12:00:00",
            Some("2026-09-13T00:30:00"),
        ),
        (days(EndOfNextOpenDay), "2026-09-14T23:59:59", None),
        // Saturday's hours past midnight are left, and they are Saturday's no more:
        // the day on which somebody is there is Sunday.
        (
            days(EndOfNextOpenDay),
            "2026-09-10T23:59:59",
            Some("2026-09-13T23:59:59"),
        ),
        (
            days(EndOfPreviousOpenDay),
            "2026-09-12T23:59:59",
            Some("2026-09-13T23:59:59"),
        ),
        (
            term(EndOfPreviousOpenDay),
            "2026-09-11T23:59:59",
            Some("2026-09-13T23:59:59"),
        ),
        (
            hours(EndOfCurrentHours),
            "2026-09-11T10:00:00",
            Some("2026-09-13T02:00:00"),
        ),
        (
            hours(next_opening(600)),
            "2026-09-11T10:00:00",
            Some("2026-09-13T02:00:00"),
        ),
        // Due dates in closed hours are this policy's own wish.
        (days(Keep), "2026-09-11T23:59:59", None),
        (hours(Keep), "2026-09-11T10:00:00", None),
    ];
    for (terms, due, expected) in table {
        let moved = due_after_closing(&terms, at(&college, due), &smoke, &calendar);
        let moved = moved.map(|moved| local(&college, moved));
        assert_eq!(moved.as_deref(), expected, "{due} {terms:?}");
    }
    // Whoever renews or borrows meanwhile gets dates that know of it.
    let made = at(&college, "2026-09-10T11:00");
    let due = due_at(&hours(EndOfCurrentHours), made, &calendar).unwrap();
    assert_eq!(local(&college, due), "2026-09-10T12:00:00");
    let due = due_at(&rolling(1, Days, EndOfNextOpenDay), made, &calendar).unwrap();
    assert_eq!(local(&college, due), "2026-09-12T23:59:59");
}

#[test]
fn a_closing_over_the_night_when_clocks_change_ends_with_its_last_day() {
    let college = college();
    let storm = closed(&college, "2026-10-30T00:00", "2026-11-02T00:00");
    let calendar = closing(&college, &storm);
    let due = at(&college, "2026-10-31T23:59:59");
    let moved = due_after_closing(&rolling(1, Weeks, EndOfNextOpenDay), due, &storm, &calendar);
    assert_eq!(local(&college, moved.unwrap()), "2026-11-02T23:59:59");
    assert_eq!(storm.until.duration_since(storm.from).as_hours(), 73);
}

#[test]
fn where_it_is_always_open_it_opens_again_when_the_closing_ends() {
    let always = Calendar {
        hours: OpeningHours::default(),
        ..college()
    };
    let flood = closed(&always, "2026-09-10T12:00", "2026-09-12T00:00");
    let calendar = closing(&always, &flood);
    for (terms, due, expected) in [
        (
            rolling(2, Hours, next_opening(30)),
            "2026-09-10T15:00",
            "2026-09-12T00:30:00",
        ),
        (
            rolling(2, Hours, EndOfCurrentHours),
            "2026-09-10T15:00",
            "2026-09-13T00:00:00",
        ),
        (
            rolling(2, Days, EndOfNextOpenDay),
            "2026-09-11T23:59:59",
            "2026-09-12T23:59:59",
        ),
    ] {
        let moved = due_after_closing(&terms, at(&always, due), &flood, &calendar);
        assert_eq!(local(&always, moved.unwrap()), expected);
    }
    let made = at(&always, "2026-09-10T11:00");
    let due = due_at(&rolling(2, Hours, EndOfCurrentHours), made, &calendar).unwrap();
    assert_eq!(local(&always, due), "2026-09-10T12:00:00");
    // One that never ends in sight moves nothing.
    let for_good = closed(&always, "2026-09-10T12:00", "2029-01-01T00:00");
    let calendar = closing(&always, &for_good);
    let terms = rolling(2, Days, EndOfNextOpenDay);
    let none = Calendar {
        hours: OpeningHours::new(
            vec![WeeklyHours {
                day: Weekday::Monday,
                hours: open(8, 9),
            }],
            vec![HoursException {
                first_date: date(2028, 12, 31),
                last_date: date(2029, 12, 31),
                reason: String::new(),
                hours: None,
            }],
        )
        .unwrap()
        .closed(for_good.clone())
        .unwrap(),
        zone: calendar.zone.clone(),
    };
    let due = at(&always, "2026-09-11T23:59:59");
    assert!(due_after_closing(&terms, due, &for_good, &calendar).is_some());
    assert_eq!(
        due_after_closing(&terms, due, &for_good, &none),
        Some(at(&always, "2030-01-07T23:59:59"))
    );
}

fn any_closing() -> impl Strategy<Value = ClosedLibraryDueDate> {
    prop_oneof![
        Just(Keep),
        Just(EndOfCurrentHours),
        (0..120i32).prop_map(next_opening),
        Just(EndOfPreviousOpenDay),
        Just(EndOfNextOpenDay),
    ]
}

/// Terms that fit together, without a schedule.
fn any_terms() -> impl Strategy<Value = LoanTerms> {
    let units = prop_oneof![
        Just(Minutes),
        Just(Hours),
        Just(Days),
        Just(Weeks),
        Just(Months)
    ];
    let fits = "a closing choice that fits the period";
    (1..60i32, units, any_closing(), any::<bool>())
        .prop_map(|(count, unit, closed, overnight)| {
            let count = if unit == Months { count.min(6) } else { count };
            let terms = rolling(count, unit, closed);
            let night = laptop(closed)
                .overnight
                .filter(|_| overnight && terms.is_short());
            LoanTerms {
                overnight: night,
                ..terms
            }
        })
        .prop_filter(fits, |terms| terms.check().is_ok())
}

/// Instants of two years that hold everything: both changes of the clocks
/// twice, a leap day, year ends, closed days.
fn any_moment() -> impl Strategy<Value = Timestamp> {
    let first: Timestamp = "2026-08-01T07:00:00Z".parse().unwrap();
    (0..63_000_000i64).prop_map(move |seconds| first + SignedDuration::from_secs(seconds))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_loan_is_never_due_before_it_was_made(terms in any_terms(), made in any_moment()) {
        let calendar = college();
        let due = due_at(&terms, made, &calendar).unwrap();
        prop_assert!(due >= made, "{terms:?} {made} {due}");
    }

    #[test]
    fn a_loan_is_due_while_somebody_is_there(terms in any_terms(), made in any_moment()) {
        let calendar = college();
        let due = due_at(&terms, made, &calendar).unwrap();
        if terms.closed_library_due_date != Keep {
            let open = if terms.is_short() {
                calendar.is_open_at(due)
            } else {
                calendar.is_open_day(calendar.date_of(due))
            };
            prop_assert!(open, "{terms:?} {made} {due}");
        }
        if !terms.is_short() {
            prop_assert_eq!(due, calendar.end_of_day(calendar.date_of(due)));
        }
    }

    #[test]
    fn whoever_borrows_later_is_not_due_sooner(
        terms in any_terms(), made in any_moment(), later in 0..200_000i64,
    ) {
        // An offset after the opening puts earlier loans behind later ones that
        // end just after it, and a night ends before a long loan does.
        let closed = match terms.closed_library_due_date {
            ClosedLibraryDueDate::BeginningOfNextHours { .. } => next_opening(0),
            closed => closed,
        };
        let terms = LoanTerms { overnight: None, closed_library_due_date: closed, ..terms };
        let calendar = college();
        let due = due_at(&terms, made, &calendar).unwrap();
        let later_due = due_at(&terms, made + Span::new().seconds(later), &calendar).unwrap();
        prop_assert!(due <= later_due, "{terms:?} {made} {due} {later_due}");
    }

    #[test]
    fn a_requested_item_is_never_lent_for_longer(
        terms in any_terms(), made in any_moment(), shorter in 1..60i32,
    ) {
        let Some(LoanProfile::Rolling(period)) = terms.profile else { unreachable!() };
        let alternate = Period { count: shorter.min(period.count), ..period };
        let closed = match terms.closed_library_due_date {
            ClosedLibraryDueDate::BeginningOfNextHours { .. } => next_opening(0),
            closed => closed,
        };
        let terms = LoanTerms {
            alternate_period_when_requested: Some(alternate),
            closed_library_due_date: closed,
            overnight: None,
            ..terms
        };
        let calendar = college();
        let due = super::due_at(&terms, made, true, &calendar);
        prop_assert!(due <= due_at(&terms, made, &calendar), "{terms:?} {made}");
    }

    #[test]
    fn a_closing_only_ever_gives_time(
        terms in any_terms(), due in any_moment(), before in 0..1_000_000i64, after in 1..1_000_000i64,
    ) {
        let college = college();
        let closed = Closed {
            closing_id: Uuid::nil(),
            from: due - SignedDuration::from_secs(before),
            until: due + SignedDuration::from_secs(after),
            reason: String::new(),
        };
        let calendar = closing(&college, &closed);
        let moved = due_after_closing(&terms, due, &closed, &calendar);
        match moved {
            None => prop_assert_eq!(terms.closed_library_due_date, Keep),
            Some(moved) => {
                prop_assert!(moved > due && !closed.covers(moved), "{moved}");
                // Once is enough.
                prop_assert_eq!(due_after_closing(&terms, moved, &closed, &calendar), None);
            }
        }
    }
}
