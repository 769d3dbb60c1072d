//! Service points, hours, policies and rules.

use carrel_proto::circulation::v1::*;
use tonic_types::StatusExt as _;

use crate::desk::*;

fn hours(day: DayOfWeek, opens: (i32, i32), closes: (i32, i32)) -> WeeklyHours {
    WeeklyHours {
        day: day.into(),
        opens: time(opens.0, opens.1),
        closes: time(closes.0, closes.1),
    }
}

#[tokio::test]
async fn hours_are_kept_as_they_were_given_and_move_due_dates() {
    let desk = Desk::open().await;
    let weekly = vec![
        hours(DayOfWeek::Monday, (8, 0), (24, 0)),
        hours(DayOfWeek::Saturday, (20, 0), (2, 0)),
    ];
    let thanksgiving = HoursException {
        first_date: date(2026, 11, 26),
        last_date: date(2026, 11, 29),
        reason: "Thanksgiving".into(),
        opens: None,
        closes: None,
    };
    let request = SetOpeningHoursRequest {
        service_point_id: desk.point.clone(),
        weekly_hours: weekly.clone(),
        exceptions: vec![thanksgiving.clone()],
        request_id: id(),
    };
    let set = desk
        .points()
        .set_opening_hours(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (&set.weekly_hours, &set.exceptions),
        (&weekly, &vec![thanksgiving])
    );
    assert_eq!(
        desk.points()
            .set_opening_hours(request.clone())
            .await
            .unwrap()
            .into_inner(),
        set
    );
    let read = GetOpeningHoursRequest {
        service_point_id: desk.point.clone(),
    };
    assert_eq!(
        desk.points()
            .get_opening_hours(read)
            .await
            .unwrap()
            .into_inner()
            .weekly_hours,
        weekly
    );

    desk.loan_policy(LoanPolicy {
        closed_library_due_date: ClosedLibraryDueDate::EndOfNextOpenDay.into(),
        ..two_weeks()
    })
    .await;
    desk.book("30001").await;
    desk.book("30002").await;
    desk.student("S1").await;
    let lent = desk.check_out("30001", "S1").await.unwrap().loan.unwrap();
    assert_eq!(
        local(lent.due_at),
        "2026-09-19T23:59:59",
        "Tuesday is closed, Saturday is open"
    );
    // New hours count for the next loan at once.
    let open = hours(DayOfWeek::Tuesday, (8, 0), (20, 0));
    let tuesdays = SetOpeningHoursRequest {
        weekly_hours: vec![open],
        request_id: id(),
        ..request
    };
    desk.points().set_opening_hours(tuesdays).await.unwrap();
    let lent = desk.check_out("30002", "S1").await.unwrap().loan.unwrap();
    assert_eq!(local(lent.due_at), "2026-09-15T23:59:59");
}

#[tokio::test]
async fn hours_that_do_not_hold_together_are_refused() {
    let desk = Desk::open().await;
    let exception = |first, last, opens| HoursException {
        first_date: first,
        last_date: last,
        reason: String::new(),
        opens,
        closes: None,
    };
    let (monday, sunday) = (DayOfWeek::Monday, DayOfWeek::Sunday);
    let table = [
        (
            vec![
                hours(monday, (8, 0), (12, 0)),
                hours(monday, (11, 0), (13, 0)),
            ],
            vec![],
            "HOURS_OVERLAP",
        ),
        (
            vec![
                hours(sunday, (20, 0), (9, 0)),
                hours(monday, (8, 0), (12, 0)),
            ],
            vec![],
            "HOURS_OVERLAP",
        ),
        (
            vec![hours(monday, (24, 0), (2, 0))],
            vec![],
            "HOURS_MALFORMED",
        ),
        (
            vec![hours(monday, (8, 60), (12, 0))],
            vec![],
            "HOURS_MALFORMED",
        ),
        (
            vec![WeeklyHours {
                opens: None,
                ..hours(monday, (8, 0), (9, 0))
            }],
            vec![],
            "HOURS_MALFORMED",
        ),
        (
            vec![hours(DayOfWeek::Unspecified, (8, 0), (9, 0))],
            vec![],
            "VALUE_UNKNOWN",
        ),
        (
            vec![],
            vec![exception(date(2026, 9, 2), date(2026, 9, 1), None)],
            "HOURS_MALFORMED",
        ),
        (
            vec![],
            vec![exception(date(2026, 9, 2), date(2027, 9, 4), None)],
            "HOURS_MALFORMED",
        ),
        (
            vec![],
            vec![exception(date(2026, 9, 2), date(2026, 9, 3), time(8, 0))],
            "HOURS_MALFORMED",
        ),
        (
            vec![],
            vec![exception(date(2026, 2, 30), date(2026, 9, 3), None)],
            "DATE_MALFORMED",
        ),
        (
            vec![],
            vec![
                exception(date(2026, 9, 2), date(2026, 9, 4), None),
                exception(date(2026, 9, 4), date(2026, 9, 5), None),
            ],
            "HOURS_OVERLAP",
        ),
    ];
    for (weekly_hours, exceptions, expected) in table {
        let service_point_id = desk.point.clone();
        let request = SetOpeningHoursRequest {
            service_point_id,
            weekly_hours,
            exceptions,
            request_id: id(),
        };
        assert_eq!(
            reason(desk.points().set_opening_hours(request.clone()).await),
            expected,
            "{request:?}"
        );
    }
    // Hours that touch are no overlap.
    let request = SetOpeningHoursRequest {
        service_point_id: desk.point.clone(),
        weekly_hours: vec![
            hours(monday, (8, 0), (12, 0)),
            hours(monday, (12, 0), (13, 0)),
        ],
        exceptions: vec![],
        request_id: id(),
    };
    desk.points().set_opening_hours(request).await.unwrap();
}

#[tokio::test]
async fn service_points_have_codes_of_their_own_and_real_time_zones() {
    let desk = Desk::open().await;
    let create = |point| CreateServicePointRequest {
        service_point: Some(point),
        request_id: id(),
    };
    let twin = create(service_point("ALD-DESK", "ALD-MAIN"));
    assert_eq!(
        reason(desk.points().create_service_point(twin).await),
        "SERVICE_POINT_CODE_TAKEN"
    );
    let nowhere = ServicePoint {
        time_zone: "Aldea/Nowhere".into(),
        ..service_point("B", "ALD-MAIN")
    };
    assert_eq!(
        reason(desk.points().create_service_point(create(nowhere)).await),
        "TIME_ZONE_UNKNOWN"
    );
    let spaced = service_point("a b", "ALD-MAIN");
    assert_eq!(
        reason(desk.points().create_service_point(create(spaced)).await),
        "CODE_MALFORMED"
    );
    let unknown = GetServicePointRequest { id: id() };
    assert_eq!(
        reason(desk.points().get_service_point(unknown).await),
        "SERVICE_POINT_NOT_FOUND"
    );

    desk.points()
        .create_service_point(create(service_point("B", "ALD-MAIN")))
        .await
        .unwrap();
    let page = ListServicePointsRequest {
        page_size: 1,
        page_token: String::new(),
    };
    let first = desk
        .points()
        .list_service_points(page)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first.service_points[0].code, "ALD-DESK");
    let page = ListServicePointsRequest {
        page_size: 1,
        page_token: first.next_page_token,
    };
    let second = desk
        .points()
        .list_service_points(page)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (
            second.service_points[0].code.as_str(),
            second.next_page_token.as_str()
        ),
        ("B", "")
    );
}

#[tokio::test]
async fn policies_are_versions_that_read_back() {
    let desk = Desk::open().await;
    let request_id = id();
    let semester = LoanPolicy {
        code: "semester".into(),
        profile: LoanProfile::Fixed.into(),
        period: None,
        fixed_due_dates: vec![FixedDueDate {
            first_date: date(2026, 8, 15),
            last_date: date(2026, 12, 13),
            due_date: date(2026, 12, 20),
        }],
        grace: Some(period(2, PeriodUnit::Days)),
        ..two_weeks()
    };
    let create = CreateLoanPolicyRequest {
        loan_policy: Some(semester.clone()),
        request_id,
    };
    let made = desk
        .policies()
        .create_loan_policy(create.clone())
        .await
        .unwrap()
        .into_inner()
        .loan_policy
        .unwrap();
    assert_eq!(
        LoanPolicy {
            id: String::new(),
            version: 0,
            ..made.clone()
        },
        semester
    );
    let again = desk
        .policies()
        .create_loan_policy(create)
        .await
        .unwrap()
        .into_inner()
        .loan_policy
        .unwrap();
    assert_eq!(again, made);
    let listed = desk
        .policies()
        .list_loan_policies(ListLoanPoliciesRequest::default())
        .await
        .unwrap();
    let listed = listed.into_inner().loan_policies;
    let codes: Vec<(&str, i32)> = listed
        .iter()
        .map(|policy| (policy.code.as_str(), policy.version))
        .collect();
    assert_eq!(
        codes,
        [
            ("no-loan", 1),
            ("semester", 1),
            ("three-books", 1),
            ("two-weeks", 1)
        ]
    );

    let fines = desk
        .policies()
        .list_overdue_fine_policies(ListOverdueFinePoliciesRequest::default())
        .await
        .unwrap();
    let fine = &fines.into_inner().overdue_fine_policies[0];
    assert_eq!(
        OverdueFinePolicy {
            id: String::new(),
            version: 0,
            ..fine.clone()
        },
        daily()
    );
    let lost = desk
        .policies()
        .list_lost_item_policies(ListLostItemPoliciesRequest::default())
        .await
        .unwrap();
    let lost = &lost.into_inner().lost_item_policies[0];
    assert_eq!(
        LostItemPolicy {
            id: String::new(),
            version: 0,
            ..lost.clone()
        },
        standard()
    );
    let kept = sqlx::query("update policy set name = 'x'")
        .execute(&desk.database.pool)
        .await;
    assert!(kept.unwrap_err().to_string().contains("never changes"));
}

#[tokio::test]
async fn policies_that_break_a_rule_are_refused() {
    let desk = Desk::open().await;
    let table = [
        (
            LoanPolicy {
                code: "Two Weeks".into(),
                ..two_weeks()
            },
            "CODE_MALFORMED",
        ),
        (
            LoanPolicy {
                name: String::new(),
                ..two_weeks()
            },
            "TEXT_LENGTH",
        ),
        (
            LoanPolicy {
                profile: 0,
                ..two_weeks()
            },
            "VALUE_UNKNOWN",
        ),
        (
            LoanPolicy {
                period: None,
                ..two_weeks()
            },
            "FIELD_MISSING",
        ),
        (
            LoanPolicy {
                period: Some(period(0, PeriodUnit::Days)),
                ..two_weeks()
            },
            "PERIOD_OUT_OF_RANGE",
        ),
        (
            LoanPolicy {
                profile: LoanProfile::Fixed.into(),
                ..two_weeks()
            },
            "POLICY_MALFORMED",
        ),
        (
            LoanPolicy {
                renewals_allowed: -1,
                ..two_weeks()
            },
            "POLICY_MALFORMED",
        ),
        (
            LoanPolicy {
                item_limit: -1,
                ..two_weeks()
            },
            "POLICY_MALFORMED",
        ),
        (
            LoanPolicy {
                closed_library_due_date: ClosedLibraryDueDate::EndOfCurrentHours.into(),
                ..two_weeks()
            },
            "POLICY_MALFORMED",
        ),
    ];
    for (policy, expected) in table {
        let request = CreateLoanPolicyRequest {
            loan_policy: Some(policy),
            request_id: id(),
        };
        assert_eq!(
            reason(desk.policies().create_loan_policy(request.clone()).await),
            expected,
            "{request:?}"
        );
    }
    for (amount, expected) in [(Some(usd(-1)), "POLICY_MALFORMED"), (None, "FIELD_MISSING")] {
        let policy = OverdueFinePolicy { amount, ..daily() };
        let request = CreateOverdueFinePolicyRequest {
            overdue_fine_policy: Some(policy),
            request_id: id(),
        };
        assert_eq!(
            reason(desk.policies().create_overdue_fine_policy(request).await),
            expected
        );
    }
    let limits = PatronLimits {
        patron_group: "student".into(),
        max_loans: -1,
        ..Default::default()
    };
    let request = SetPatronLimitsRequest {
        patron_limits: Some(limits),
        request_id: id(),
    };
    assert_eq!(
        reason(desk.policies().set_patron_limits(request).await),
        "LIMIT_NEGATIVE"
    );
}

#[tokio::test]
async fn rules_with_errors_are_refused_whole_and_all_errors_told() {
    let desk = Desk::open().await;
    let refused = desk
        .rules("priority: last-line\nfallback-policy: l two-weeks\nm\n")
        .await
        .unwrap_err();
    let told = refused.get_details_bad_request().unwrap().field_violations;
    assert_eq!(told.len(), 2);
    assert!(
        told[0]
            .description
            .starts_with("line 2, column 29: expected"),
        "{told:?}"
    );
    assert!(
        told[1]
            .description
            .starts_with("line 3, column 2: expected a code"),
        "{told:?}"
    );
    assert_eq!(reason::<()>(Err(refused)), "CIRCULATION_RULES_MALFORMED");

    let text = "priority: last-line\nfallback-policy: l two-weeks r all n b o daily i standard\n\
                m book: l forever r some n b o daily i free\n";
    let refused = desk.rules(text).await.unwrap_err();
    let told = refused.get_details_bad_request().unwrap().field_violations;
    assert!(
        told[0].description.contains("line 3, column 11")
            && told[0].description.contains("forever")
    );
    assert!(
        told[1].description.contains("line 3, column 40") && told[1].description.contains("free")
    );
    assert!(
        told[2].description.contains("line 3, column 21") && told[2].description.contains("some")
    );

    let current = desk
        .rule_book()
        .get_circulation_rules(GetCirculationRulesRequest::default())
        .await
        .unwrap();
    let current = current.into_inner().circulation_rules.unwrap();
    assert_eq!(
        (
            current.version,
            current.text.as_str(),
            current.author.as_str()
        ),
        (1, RULES, "desk-1")
    );
    assert_eq!(desk.rules(RULES).await.unwrap().version, 2);
}

#[tokio::test]
async fn a_rule_is_explained_with_what_lost_against_it() {
    let desk = Desk::open().await;
    let ask = |group: &str, location: &str| ExplainCirculationRuleRequest {
        patron_group: group.into(),
        material_type: "book".into(),
        loan_type: "standard".into(),
        location_id: location.into(),
    };
    let told = desk
        .rule_book()
        .explain_circulation_rule(ask("guest", &desk.stacks))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(told.applied_rule.unwrap().loan_policy, "three-books");
    let matches: Vec<(i32, &str)> = told
        .matches
        .iter()
        .map(|m| (m.line, m.reason.as_str()))
        .collect();
    assert_eq!(
        matches,
        [
            (4, "more criteria: 2 against 1"),
            (3, "lost: more criteria: 2 against 1"),
            (
                2,
                "lost: the fallback policy applies only where no line matches"
            ),
        ]
    );
    let refused = desk
        .rule_book()
        .explain_circulation_rule(ask("guest", &id()))
        .await;
    assert_eq!(reason(refused), "LOCATION_NOT_FOUND");
}
