//! What emergency closings leave of the hours.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

/// Open every day from 8:00 to 12:00 and from 13:00 to 2:00.
fn library() -> Calendar {
    let days = (1..=7).map(|day| Weekday::from_monday_one_offset(day).unwrap());
    let weekly = days.flat_map(|day| {
        [(8, 12), (13, 2)].map(|(opens, closes)| WeeklyHours {
            day,
            hours: Hours {
                opens: opens * 60,
                closes: closes * 60,
            },
        })
    });
    Calendar {
        zone: TimeZone::get("America/Los_Angeles").unwrap(),
        hours: OpeningHours::new(weekly.collect(), Vec::new()).unwrap(),
    }
}

fn at(text: &str) -> Timestamp {
    let local: jiff::civil::DateTime = text.parse().unwrap();
    library().zone.to_timestamp(local).unwrap()
}

fn closed(from: &str, until: &str) -> Closed {
    Closed {
        closing_id: Uuid::nil(),
        from: at(from),
        until: at(until),
        reason: "smoke".into(),
    }
}

fn with(closed: Closed) -> Calendar {
    let library = library();
    Calendar {
        hours: library.hours.closed(closed).unwrap(),
        zone: library.zone,
    }
}

#[test]
fn a_closing_cuts_the_hours_that_it_meets() {
    // Tuesday from 10:00 to 15:00: both hours are cut, none is left between.
    let calendar = with(closed("2026-09-01T10:00", "2026-09-01T15:00"));
    for (instant, open) in [
        ("2026-09-01T09:59:59", true),
        ("2026-09-01T10:00", true),
        ("2026-09-01T10:00:01", false),
        ("2026-09-01T13:30", false),
        ("2026-09-01T15:00", true),
        ("2026-09-02T01:00", true),
        ("2026-09-02T03:00", false),
    ] {
        assert_eq!(calendar.is_open_at(at(instant)), open, "{instant}");
    }
    let next = calendar.next_hours(at("2026-09-01T09:00")).unwrap();
    assert_eq!(next.opens_at, at("2026-09-01T15:00"));
    assert_eq!(next.closes_at, at("2026-09-02T02:00"));
    let last = calendar.last_closing(at("2026-09-01T08:30"), at("2026-09-01T14:00"));
    assert_eq!(last, Some(at("2026-09-01T10:00")));
    // Two hours in the morning, eleven from 15:00 on.
    let seconds = calendar.open_seconds(at("2026-09-01T07:00"), at("2026-09-02T07:00"));
    assert_eq!(seconds, 13 * 3_600);
}

#[test]
fn a_day_is_open_where_anything_is_left_of_its_hours() {
    let calendar = with(closed("2026-09-01T10:00", "2026-09-04T00:00"));
    let tuesday = jiff::civil::date(2026, 9, 1);
    assert!(calendar.is_open_day(tuesday));
    assert!(!calendar.is_open_day(jiff::civil::date(2026, 9, 2)));
    // Thursday's hours past midnight are left, and belong to Thursday.
    assert!(calendar.is_open_day(jiff::civil::date(2026, 9, 3)));
    let whole = with(closed("2026-09-01T00:00", "2026-09-04T02:00"));
    assert_eq!(
        whole.open_day_from(tuesday),
        Some(jiff::civil::date(2026, 9, 4))
    );
}

#[test]
fn closings_follow_on_each_other_but_never_overlap() {
    let hours = library().hours;
    let first = closed("2026-09-02T00:00", "2026-09-03T00:00");
    let hours = hours.closed(first.clone()).unwrap();
    assert_eq!(hours.clone().closed(first), None);
    let within = closed("2026-09-02T10:00", "2026-09-02T11:00");
    assert_eq!(hours.clone().closed(within), None);
    let before = closed("2026-09-01T00:00", "2026-09-02T00:00");
    let hours = hours.closed(before.clone()).unwrap();
    assert_eq!(hours.closings()[0], before, "oldest first");
}

proptest! {
    #[test]
    fn a_closing_closes_what_is_within_it_and_nothing_else(
        from in 0..40_000_000i64, seconds in 1..2_000_000i64, instant in 0..40_000_000i64,
    ) {
        let moment = |seconds| at("2026-01-01T00:00") + SignedDuration::from_secs(seconds);
        let closed = Closed {
            closing_id: Uuid::nil(),
            from: moment(from),
            until: moment(from + seconds),
            reason: String::new(),
        };
        let calendar = with(closed.clone());
        let instant = moment(instant);
        if closed.from < instant && instant < closed.until {
            prop_assert!(!calendar.is_open_at(instant));
        } else if instant < closed.from || closed.until < instant {
            prop_assert_eq!(calendar.is_open_at(instant), library().is_open_at(instant));
        }
        // What it takes from a span is what was open within it.
        let (first, last) = (closed.from - SignedDuration::from_hours(9), closed.until + SignedDuration::from_hours(9));
        let lost = library().open_seconds(closed.from, closed.until);
        prop_assert_eq!(
            calendar.open_seconds(first, last),
            library().open_seconds(first, last) - lost
        );
    }
}
