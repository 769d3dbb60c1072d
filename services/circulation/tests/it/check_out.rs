//! Lending, with every other service stopped.

use carrel_proto::catalog::v1::{Item, ItemStatus};
use carrel_proto::circulation::v1::*;
use carrel_proto::patrons::v1::PatronStanding;
use carrel_runtime::{Grant, read};
use tonic::Code;

use crate::desk::*;

#[tokio::test]
async fn a_book_is_lent_while_every_other_service_is_stopped() {
    let desk = Desk::open().await;
    let item = desk.book("30001").await;
    let student = desk.student("S1").await;

    let lent = desk.check_out("30001", "S1").await.unwrap();
    let loan = lent.loan.unwrap();
    assert_eq!(loan.item_id, item.id);
    assert_eq!(loan.patron_id, student.patron_id);
    assert_eq!(loan.status(), LoanStatus::Open);
    assert_eq!(loan.action(), LoanAction::CheckedOut);
    assert_eq!(local(loan.due_at), "2026-09-15T23:59:59");
    let rule = loan.applied_rule.clone().unwrap();
    assert_eq!(
        (rule.rules_version, rule.line, rule.loan_policy.as_str()),
        (1, 3, "two-weeks")
    );
    assert!(rule.text.starts_with("m book: l two-weeks"));
    assert!(!rule.fallback);
    let sources: Vec<&str> = lent
        .projection_ages
        .iter()
        .map(|age| age.source.as_str())
        .collect();
    assert_eq!(sources, ["catalog", "patrons", "billing"]);

    let told: Vec<ItemAvailabilityChanged> = desk.told().await;
    let told = told[0].item.clone().unwrap();
    assert_eq!(
        (told.status(), told.revision),
        (CirculationItemStatus::CheckedOut, 1)
    );
    let told: Vec<LoanChanged> = desk.told().await;
    assert_eq!(
        told,
        [LoanChanged {
            loan: Some(loan.clone())
        }]
    );

    let read = desk
        .loans()
        .get_loan(GetLoanRequest {
            id: loan.id.clone(),
        })
        .await
        .unwrap();
    assert_eq!(read.into_inner().loan, Some(loan));
    assert_eq!(
        reason(desk.check_out("30001", "S1").await),
        "ITEM_ALREADY_ON_LOAN"
    );
    assert_eq!(desk.counters(&student).await, (1, 0, 0));
}

#[tokio::test]
async fn a_check_out_asked_twice_is_one_loan() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    desk.student("S1").await;
    let request = desk.lending("30001", "S1");

    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (mut loans, request) = (desk.loans(), request.clone());
        crowd.spawn(async move { loans.check_out(request).await.unwrap().into_inner().loan });
    }
    let answers = crowd.join_all().await;
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(desk.told::<LoanChanged>().await.len(), 1);

    let other = CheckOutRequest {
        item_barcode: "30002".into(),
        ..request
    };
    assert_eq!(
        reason(desk.loans().check_out(other).await),
        "REQUEST_ID_REUSED"
    );
}

#[tokio::test]
async fn a_refusal_lists_every_reason_and_staff_override_what_they_may() {
    let desk = Desk::open().await;
    desk.item(Item {
        barcode: "30001".into(),
        status: ItemStatus::Restricted.into(),
        ..book(&desk.stacks)
    })
    .await;
    let student = desk.student("S1").await;
    let student = PatronStanding {
        expiration_date: date(2026, 8, 31),
        ..student
    };
    let student = desk.patron(student).await;
    desk.block(&student, None, false).await;
    desk.owes(&student, 2_501).await;
    desk.limits(PatronLimits {
        patron_group: "student".into(),
        max_balance: Some(usd(2_500)),
        ..Default::default()
    })
    .await;

    let refused = desk.check_out("30001", "S1").await;
    assert_eq!(
        read::reason(refused.as_ref().unwrap_err()).unwrap(),
        "CHECK_OUT_BLOCKED"
    );
    let all = [
        "PATRON_EXPIRED",
        "MANUAL_BLOCK",
        "MAX_BALANCE",
        "ITEM_STATUS",
    ];
    assert_eq!(blocks(refused), all.map(|reason| (reason.to_owned(), true)));

    let mut request = desk.lending("30001", "S1");
    request.r#override = overriding(&["PATRON_EXPIRED", "MANUAL_BLOCK"]);
    let refused = desk.loans().check_out(request.clone()).await;
    assert_eq!(
        blocks(refused),
        [("MAX_BALANCE".into(), true), ("ITEM_STATUS".into(), true)]
    );

    request.r#override = overriding(&all);
    let lent = desk
        .loans()
        .check_out(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        lent.loan.as_ref().unwrap().action(),
        LoanAction::CheckedOutThroughOverride
    );
    assert_eq!(lent.overridden_blocks.len(), 4);
    let again = desk.loans().check_out(request).await.unwrap().into_inner();
    assert_eq!(again.overridden_blocks, lent.overridden_blocks);

    let kept: (String, String) = sqlx::query_as("select actor, comment from loan_action")
        .fetch_one(&desk.database.pool)
        .await
        .unwrap();
    assert_eq!(kept, ("desk-1".into(), "the dean called".into()));
}

#[tokio::test]
async fn what_staff_may_not_override_still_blocks() {
    let desk = Desk::open().await;
    desk.item(Item {
        barcode: "30001".into(),
        status: ItemStatus::Withdrawn.into(),
        ..book(&desk.stacks)
    })
    .await;
    let student = desk.student("S1").await;
    desk.patron(PatronStanding {
        active: false,
        ..student
    })
    .await;
    let mut request = desk.lending("30001", "S1");
    request.r#override = overriding(&["PATRON_INACTIVE", "ITEM_STATUS"]);
    let refused = desk.loans().check_out(request).await;
    assert_eq!(
        blocks(refused),
        [
            ("PATRON_INACTIVE".into(), false),
            ("ITEM_STATUS".into(), false)
        ]
    );
}

#[tokio::test]
async fn blocks_end_with_their_day_and_when_lifted() {
    let desk = Desk::open().await;
    for barcode in ["30001", "30002", "30003"] {
        desk.book(barcode).await;
    }
    let student = desk.student("S1").await;
    desk.block(&student, date(2026, 9, 1), false).await;
    assert_eq!(
        blocks(desk.check_out("30001", "S1").await)[0].0,
        "MANUAL_BLOCK"
    );
    desk.block(&student, date(2026, 8, 31), false).await;
    desk.check_out("30001", "S1").await.unwrap();
    desk.block(&student, None, false).await;
    assert_eq!(
        blocks(desk.check_out("30002", "S1").await)[0].0,
        "MANUAL_BLOCK"
    );
    desk.block(&student, None, true).await;
    desk.check_out("30002", "S1").await.unwrap();

    // Owing exactly the limit is allowed.
    desk.owes(&student, 2_500).await;
    let limits = PatronLimits {
        patron_group: "student".into(),
        max_balance: Some(usd(2_500)),
        ..Default::default()
    };
    desk.limits(limits).await;
    desk.check_out("30003", "S1").await.unwrap();
}

#[tokio::test]
async fn what_is_not_lent_is_lent_by_override_only() {
    let desk = Desk::open().await;
    desk.item(Item {
        barcode: "M1".into(),
        material_type: "map".into(),
        ..book(&desk.stacks)
    })
    .await;
    desk.student("S1").await;
    let refused = desk.check_out("M1", "S1").await;
    assert_eq!(blocks(refused), [("ITEM_NOT_LOANABLE".into(), true)]);
    let mut request = desk.lending("M1", "S1");
    request.r#override = overriding(&["ITEM_NOT_LOANABLE"]);
    let lent = desk
        .loans()
        .check_out(request)
        .await
        .unwrap()
        .into_inner()
        .loan
        .unwrap();
    let rule = lent.applied_rule.unwrap();
    assert!(rule.fallback);
    assert_eq!((rule.line, rule.loan_policy.as_str()), (2, "no-loan"));
}

#[tokio::test]
async fn a_loan_noted_offline_counts_from_then() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    desk.student("S1").await;
    let noted = |local| CheckOutRequest {
        occurred_at: wire_time(local),
        ..desk.lending("30001", "S1")
    };
    let refused = desk.loans().check_out(noted("2026-09-01T10:30:00")).await;
    assert_eq!(reason(refused), "OCCURRED_IN_FUTURE");
    let refused = desk.loans().check_out(noted("2026-08-02T09:00:00")).await;
    assert_eq!(reason(refused), "OCCURRED_TOO_LONG_AGO");
    let lent = desk
        .loans()
        .check_out(noted("2026-08-28T15:00:00"))
        .await
        .unwrap();
    let loan = lent.into_inner().loan.unwrap();
    assert_eq!(local(loan.checked_out_at), "2026-08-28T15:00:00");
    assert_eq!(local(loan.due_at), "2026-09-11T23:59:59");
}

#[tokio::test]
async fn a_clerk_does_what_the_grant_says_where_it_says() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    let student = desk.student("S1").await;
    let north = CreateServicePointRequest {
        service_point: Some(service_point("NORTH", "ALD-NORTH")),
        request_id: id(),
    };
    let north = desk
        .points()
        .create_service_point(north)
        .await
        .unwrap()
        .into_inner()
        .service_point
        .unwrap()
        .id;
    let mut clerk = desk.clerk(&["circulation.loans.check-out"]);

    let elsewhere = CheckOutRequest {
        service_point_id: north,
        ..desk.lending("30001", "S1")
    };
    assert_eq!(
        reason(clerk.check_out(elsewhere).await),
        "PERMISSION_DENIED"
    );
    let overridden = CheckOutRequest {
        r#override: overriding(&["MAX_LOANS"]),
        ..desk.lending("30001", "S1")
    };
    assert_eq!(reason(clerk.check_out(overridden).await), "OVERRIDE_DENIED");
    let noted = CheckOutRequest {
        occurred_at: wire_time("2026-08-28T15:00:00"),
        ..desk.lending("30001", "S1")
    };
    assert_eq!(reason(clerk.check_out(noted).await), "BACKDATING_DENIED");
    assert_eq!(
        reason(clerk.check_in(desk.returning("30001")).await),
        "PERMISSION_DENIED"
    );

    let subject = format!("patron:{}", student.patron_id);
    let own = desk.caller(&subject, &[Grant::everywhere("*")]);
    let mut own = loan_service_client::LoanServiceClient::new(own);
    let refused = own.check_out(desk.lending("30001", "S1")).await;
    assert_eq!(refused.as_ref().unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(reason(refused), "OWN_ACCOUNT");

    clerk.check_out(desk.lending("30001", "S1")).await.unwrap();
}
