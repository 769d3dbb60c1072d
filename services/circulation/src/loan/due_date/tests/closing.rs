//! What falls due in an emergency closing is due later.

use super::*;

fn closed(calendar: &Calendar, from: &str, until: &str) -> Closed {
    Closed {
        closing_id: Uuid::nil(),
        from: at(calendar, from),
        until: at(calendar, until),
        reason: "smoke".into(),
    }
}

pub(super) fn closing(calendar: &Calendar, closed: &Closed) -> Calendar {
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
