//! What holds of every due date.

use proptest::prelude::*;

use super::*;

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
            let night = nights::laptop(closed)
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
        let due = crate::loan::due_date::due_at(&terms, made, true, &calendar);
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
        let calendar = closing::closing(&college, &closed);
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
