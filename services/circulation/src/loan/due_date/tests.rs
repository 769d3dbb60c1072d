//! Due dates by table: terms, closed hours, both changes of daylight saving,
//! the ends of months, years and terms.

use jiff::civil::{Date, Weekday, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span};
use uuid::Uuid;

use super::*;
use crate::period::PeriodUnit::{self, Days, Hours, Minutes, Months, Weeks};
use crate::policy::model::{Category, ItemLimitScope, Overnight, Terms};
use crate::service_point::calendar::{
    Hours as OpenHours, HoursException, OpeningHours, WeeklyHours,
};

mod closing;
mod nights;
mod properties;

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
        renew_automatically: false,
        renew_automatically_before: None,
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
