//! Hourly loans and equipment at the desk: nights, the building, agreements,
//! taking turns.

use carrel_proto::catalog::v1::Item;
use carrel_proto::circulation::v1::*;

use crate::desk::*;
use crate::request::{asking_for, place};

const HOURLY_RULES: &str = "\
priority: number-of-criteria, criterium (t, s, c, b, a, m, g), last-line
fallback-policy: l no-loan r none n none o daily i standard
m book: l two-weeks r all n standard o daily i standard
m laptop: l laptops r all n standard o daily i standard
m calculator: l calculators r all n standard o daily i standard
m book + t reserve: l in-the-building r all n standard o daily i standard
";

fn laptops() -> LoanPolicy {
    LoanPolicy {
        code: "laptops".into(),
        period: Some(period(4, PeriodUnit::Hours)),
        closed_library_due_date: ClosedLibraryDueDate::EndOfCurrentHours.into(),
        overnight_window: Some(period(2, PeriodUnit::Hours)),
        overnight_offset: Some(period(30, PeriodUnit::Minutes)),
        agreement: "laptop-2026.1".into(),
        category: LoanCategory::Equipment.into(),
        ..two_weeks()
    }
}

fn calculators() -> LoanPolicy {
    LoanPolicy {
        code: "calculators".into(),
        period: Some(period(2, PeriodUnit::Hours)),
        closed_library_due_date: ClosedLibraryDueDate::EndOfCurrentHours.into(),
        alternate_period_when_requested: Some(period(1, PeriodUnit::Hours)),
        renewal_period: Some(period(30, PeriodUnit::Minutes)),
        reborrow_after: Some(period(30, PeriodUnit::Minutes)),
        ..two_weeks()
    }
}

fn in_the_building() -> LoanPolicy {
    LoanPolicy {
        code: "in-the-building".into(),
        period: Some(period(2, PeriodUnit::Hours)),
        closed_library_due_date: ClosedLibraryDueDate::EndOfCurrentHours.into(),
        building_use: true,
        category: LoanCategory::Reserve.into(),
        ..two_weeks()
    }
}

/// A desk with equipment, open every day from 8:00 to 20:00.
async fn equipped() -> Desk {
    let desk = Desk::open().await;
    for policy in [laptops(), calculators(), in_the_building()] {
        desk.loan_policy(policy).await;
    }
    desk.rules(HOURLY_RULES).await.unwrap();
    let day = |day: i32| WeeklyHours {
        day,
        opens: time(8, 0),
        closes: time(20, 0),
    };
    let hours = SetOpeningHoursRequest {
        service_point_id: desk.point.clone(),
        weekly_hours: (1..=7).map(day).collect(),
        exceptions: vec![],
        request_id: id(),
    };
    desk.points().set_opening_hours(hours).await.unwrap();
    for (barcode, material_type, loan_type) in [
        ("40001", "laptop", "standard"),
        ("40002", "laptop", "standard"),
        ("50001", "calculator", "standard"),
        ("50002", "calculator", "standard"),
        ("60001", "book", "reserve"),
        ("60002", "book", "reserve"),
        ("30001", "book", "standard"),
    ] {
        let item = Item {
            barcode: barcode.into(),
            material_type: material_type.into(),
            loan_type: loan_type.into(),
            ..book(&desk.stacks)
        };
        desk.item(item).await;
    }
    desk.student("S1").await;
    desk.student("S2").await;
    desk
}

/// How long a loan lasts from its first moment on; due times are whole seconds.
fn minutes(loan: &Loan) -> i64 {
    let (due_at, from) = (loan.due_at.unwrap(), loan.checked_out_at.unwrap());
    assert_eq!((due_at.nanos, (due_at.seconds - from.seconds) % 60), (0, 0));
    (due_at.seconds - from.seconds) / 60
}

#[tokio::test]
async fn a_laptop_needs_the_agreement_that_the_policy_names() {
    let desk = equipped().await;
    let accepting = |agreement: &str| CheckOutRequest {
        accepted_agreement: agreement.into(),
        ..desk.lending("40001", "S1")
    };
    let needed = [("AGREEMENT_NEEDED".to_owned(), false)];
    for agreement in ["", "laptop-2025.1"] {
        let refused = desk.loans().check_out(accepting(agreement)).await;
        assert_eq!(blocks(refused), needed);
    }
    // Nobody signs for the patron.
    let overridden = CheckOutRequest {
        r#override: overriding(&["AGREEMENT_NEEDED"]),
        ..accepting("")
    };
    assert_eq!(blocks(desk.loans().check_out(overridden).await), needed);
    let too_long = accepting(&"x".repeat(81));
    assert_eq!(
        reason(desk.loans().check_out(too_long).await),
        "TEXT_LENGTH"
    );

    let lent = desk.loans().check_out(accepting("laptop-2026.1")).await;
    let loan = lent.unwrap().into_inner().loan.unwrap();
    assert_eq!(loan.accepted_agreement, "laptop-2026.1");
    assert_eq!(minutes(&loan), 4 * 60);
    let kept = GetLoanRequest {
        id: loan.id.clone(),
    };
    let kept = desk.loans().get_loan(kept).await.unwrap().into_inner();
    assert_eq!(kept.loan.unwrap().accepted_agreement, "laptop-2026.1");
    let told: Vec<LoanChanged> = desk.told().await;
    assert_eq!(
        told[0].loan.as_ref().unwrap().accepted_agreement,
        "laptop-2026.1"
    );
    // Where none is needed none is kept.
    let book = CheckOutRequest {
        accepted_agreement: "laptop-2026.1".into(),
        ..desk.lending("30001", "S1")
    };
    let lent = desk.loans().check_out(book).await.unwrap().into_inner();
    assert_eq!(lent.loan.unwrap().accepted_agreement, "");
}

#[tokio::test]
async fn a_laptop_lent_in_the_evening_is_due_in_the_morning() {
    let desk = equipped().await;
    desk.wait_until("2026-09-01T18:30:00");
    let lending = CheckOutRequest {
        accepted_agreement: "laptop-2026.1".into(),
        ..desk.lending("40001", "S1")
    };
    let lent = desk.loans().check_out(lending).await.unwrap().into_inner();
    assert_eq!(local(lent.loan.unwrap().due_at), "2026-09-02T08:30:00");
}

#[tokio::test]
async fn a_reserve_book_stays_in_the_building() {
    let desk = equipped().await;
    let lent = desk.check_out("60001", "S1").await.unwrap().loan.unwrap();
    assert!(lent.building_use);
    assert_eq!(minutes(&lent), 2 * 60);
    desk.wait_until("2026-09-01T19:15:00");
    let lent = desk.check_out("60002", "S1").await.unwrap().loan.unwrap();
    assert_eq!(local(lent.due_at), "2026-09-01T20:00:00");
    let told: Vec<LoanChanged> = desk.told().await;
    assert!(
        told.iter()
            .all(|told| told.loan.as_ref().unwrap().building_use)
    );
    assert!(
        !desk
            .check_out("30001", "S1")
            .await
            .unwrap()
            .loan
            .unwrap()
            .building_use
    );
}

#[tokio::test]
async fn nobody_takes_a_calculator_again_at_once() {
    let desk = equipped().await;
    desk.check_out("50001", "S1").await.unwrap();
    desk.wait_until("2026-09-01T11:00:00");
    desk.check_in("50001").await.unwrap();
    desk.wait_until("2026-09-01T11:29:00");
    let refused = desk.check_out("50001", "S1").await;
    assert_eq!(blocks(refused), [("BORROWED_JUST_NOW".to_owned(), true)]);
    // Another one they may have, and another patron may have this one.
    desk.check_out("50002", "S1").await.unwrap();
    desk.check_out("50001", "S2").await.unwrap();
    desk.check_in("50001").await.unwrap();
    desk.wait_until("2026-09-01T11:58:00");
    let overridden = CheckOutRequest {
        r#override: overriding(&["BORROWED_JUST_NOW"]),
        ..desk.lending("50001", "S2")
    };
    desk.loans().check_out(overridden).await.unwrap();
    desk.check_in("50001").await.unwrap();
    desk.wait_until("2026-09-01T12:30:00");
    desk.check_out("50001", "S2").await.unwrap();
    // Nothing is kept of who had a book without such a rule.
    desk.check_out("30001", "S1").await.unwrap();
    desk.check_in("30001").await.unwrap();
    let known: i64 = sqlx::query_scalar(
        "select count(*) from item_circulation where last_patron_id is not null",
    )
    .fetch_one(&desk.database.pool)
    .await
    .unwrap();
    assert_eq!(known, 0);
}

#[tokio::test]
async fn whoever_others_wait_for_gets_a_shorter_loan() {
    let desk = equipped().await;
    let (ann, ben) = (desk.student("S3").await, desk.student("S4").await);
    let lent = desk.check_out("50001", "S2").await.unwrap();
    assert_eq!(minutes(&lent.loan.unwrap()), 2 * 60);
    for patron in [&ann, &ben] {
        place(&desk, asking_for(&desk, patron, "50001"))
            .await
            .unwrap();
    }
    // The first one gets it while the second one waits; then nobody does.
    for (patron, expected) in [("S3", 60), ("S4", 2 * 60)] {
        desk.check_in("50001").await.unwrap();
        let lent = desk.check_out("50001", patron).await.unwrap();
        assert_eq!(minutes(&lent.loan.unwrap()), expected);
    }
    let lent = desk.check_out("50002", "S1").await.unwrap().loan.unwrap();
    assert_eq!(minutes(&lent), 2 * 60);
    // A renewal has half an hour, from the due date.
    let renewed = desk.renew("50002").await.unwrap().loan.unwrap();
    assert_eq!(minutes(&renewed), 2 * 60 + 30);
}

#[tokio::test]
async fn limits_count_by_policy_material_type_or_loan_type() {
    let desk = equipped().await;
    let limited = |scope: ItemLimitScope| LoanPolicy {
        item_limit: 2,
        item_limit_scope: scope.into(),
        ..two_weeks()
    };
    for number in 0..4 {
        desk.book(&format!("3100{number}")).await;
    }
    // Reserve books are books, too, and lent under another policy.
    desk.check_out("60001", "S1").await.unwrap();
    desk.check_out("31000", "S1").await.unwrap();
    desk.loan_policy(limited(ItemLimitScope::MaterialType))
        .await;
    let limit = [("ITEM_LIMIT".to_owned(), true)];
    assert_eq!(blocks(desk.check_out("31001", "S1").await), limit);
    desk.loan_policy(limited(ItemLimitScope::LoanType)).await;
    desk.check_out("31001", "S1").await.unwrap();
    assert_eq!(blocks(desk.check_out("31002", "S1").await), limit);
    desk.loan_policy(LoanPolicy {
        item_limit: 3,
        ..limited(ItemLimitScope::Policy)
    })
    .await;
    desk.check_out("31002", "S1").await.unwrap();
    assert_eq!(blocks(desk.check_out("31003", "S1").await), limit);
    // What is returned counts no more; another patron has counters of their own.
    desk.check_in("31000").await.unwrap();
    desk.check_out("31003", "S1").await.unwrap();
    desk.check_out("31000", "S2").await.unwrap();
}

#[tokio::test]
async fn an_hourly_fine_counts_the_minutes_when_the_desk_is_open() {
    let desk = equipped().await;
    desk.fine_policy(OverdueFinePolicy {
        amount: Some(usd(5)),
        interval: Some(period(1, PeriodUnit::Minutes)),
        count_closed: false,
        maximum: Some(usd(2_000)),
        ..daily()
    })
    .await;
    desk.wait_until("2026-09-01T17:00:00");
    desk.check_out("50001", "S1").await.unwrap();
    desk.check_out("50002", "S1").await.unwrap();
    // Due at 19:00: an hour until closing time, and a quarter in the morning.
    desk.wait_until("2026-09-02T08:15:00");
    assert_eq!(
        desk.check_in("50001").await.unwrap().overdue_fine,
        Some(usd(75 * 5))
    );
    desk.wait_until("2026-09-03T08:15:00");
    assert_eq!(
        desk.check_in("50002").await.unwrap().overdue_fine,
        Some(usd(2_000))
    );
}
