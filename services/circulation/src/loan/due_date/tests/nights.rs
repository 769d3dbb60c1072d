//! Other periods for requests and renewals, nights, and what a loan lasts at
//! least.

use super::*;

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
                crate::loan::due_date::due_at(&terms, made, requested, &calendar).unwrap(),
            )
        };
        assert_eq!(
            (due(false).as_str(), due(true).as_str()),
            (expected, when_requested)
        );
    }
    let outside = at(&calendar, "2026-12-30T10:00");
    assert_eq!(
        crate::loan::due_date::due_at(&fixed(1, Weeks), outside, true, &calendar),
        None
    );
    // Without another period it makes no difference.
    let made = at(&calendar, "2026-09-01T10:00");
    let terms = rolling(14, Days, Keep);
    assert_eq!(
        crate::loan::due_date::due_at(&terms, made, true, &calendar),
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

pub(super) fn laptop(closed: ClosedLibraryDueDate) -> LoanTerms {
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
