//! Claimed returned: what stops meanwhile, and how it ends.

use std::time::Duration;

use carrel_proto::circulation::v1::*;
use carrel_runtime::{Grant, Scope};
use carrel_testkit::eventually;
use tokio::task::JoinSet;

use crate::desk::*;

fn missing(desk: &Desk, loan_id: &str) -> MarkMissingRequest {
    MarkMissingRequest {
        loan_id: loan_id.into(),
        service_point_id: desk.point.clone(),
        comment: "searched three times".into(),
        request_id: id(),
    }
}

async fn lost_book(desk: &Desk) -> (carrel_proto::patrons::v1::PatronStanding, String) {
    desk.book("30001").await;
    let student = desk.student("S1").await;
    let loan = desk.check_out("30001", "S1").await.unwrap().loan.unwrap();
    desk.wait_until("2026-10-14T09:00:00");
    desk.age().await;
    eventually("the book is lost", Duration::from_secs(20), async || {
        (desk.counters(&student).await == (1, 0, 1)).then_some(())
    })
    .await;
    (student, loan.id)
}

#[tokio::test]
async fn what_is_claimed_returned_neither_ages_nor_counts() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    let student = desk.student("S1").await;
    let loan = desk.check_out("30001", "S1").await.unwrap().loan.unwrap();
    desk.wait_until("2026-09-18T09:00:00");
    desk.age().await;
    eventually("the loan is overdue", Duration::from_secs(20), async || {
        (desk.counters(&student).await == (1, 1, 0)).then_some(())
    })
    .await;

    let request = ClaimReturnedRequest {
        loan_id: loan.id.clone(),
        service_point_id: desk.point.clone(),
        comment: String::new(),
        request_id: id(),
    };
    let mut actions = desk.actions();
    let claimed = actions.claim_returned(request.clone()).await.unwrap();
    let claimed = claimed.into_inner().loan.unwrap();
    assert_eq!(claimed.action(), LoanAction::ClaimedReturned);
    assert_eq!(claimed.status(), LoanStatus::Open);
    assert!(local(claimed.claimed_returned_at).starts_with("2026-09-18T09:00:0"));
    assert_eq!(desk.counters(&student).await, (1, 0, 0));
    let again = actions.claim_returned(request).await.unwrap().into_inner();
    assert_eq!(again.loan, Some(claimed));
    assert_eq!(
        reason(desk.claim(&loan.id).await),
        "ALREADY_CLAIMED_RETURNED"
    );

    desk.wait_until("2026-12-01T09:00:00");
    desk.age().await;
    assert_eq!(desk.counters(&student).await, (1, 0, 0));
    assert!(desk.told::<ItemAgedToLost>().await.is_empty());
    let blocks = blocks(desk.renew("30001").await);
    assert!(
        blocks.contains(&("ITEM_STATUS".into(), false)),
        "{blocks:?}"
    );
    let told: Vec<ItemAvailabilityChanged> = desk.told().await;
    let last = told.last().unwrap().item.clone().unwrap();
    assert_eq!(last.status(), CirculationItemStatus::ClaimedReturned);
    assert_eq!((told.len(), last.revision), (2, 2));
}

#[tokio::test]
async fn a_claim_that_was_true_costs_nothing_and_one_that_was_not_costs_as_usual() {
    let desk = Desk::open().await;
    desk.student("S1").await;
    for barcode in ["30001", "30002", "30003"] {
        desk.book(barcode).await;
        desk.check_out(barcode, "S1").await.unwrap();
    }
    desk.wait_until("2026-09-18T09:00:00");
    let lent = ListLoansRequest {
        item_id: String::new(),
        patron_id: desk.told::<LoanChanged>().await[0]
            .loan
            .as_ref()
            .unwrap()
            .patron_id
            .clone(),
        ..Default::default()
    };
    for loan in desk
        .loans()
        .list_loans(lent)
        .await
        .unwrap()
        .into_inner()
        .loans
    {
        desk.claim(&loan.id).await.unwrap();
    }
    use ClaimedReturnedResolution::{FoundByLibrary, ReturnedByPatron, Unspecified};
    for (barcode, resolution, fine) in [
        ("30001", FoundByLibrary, None),
        ("30002", ReturnedByPatron, Some(usd(75))),
        ("30003", Unspecified, Some(usd(75))),
    ] {
        let request = CheckInRequest {
            claimed_returned_resolution: resolution.into(),
            ..desk.returning(barcode)
        };
        let taken = desk.loans().check_in(request).await.unwrap().into_inner();
        assert_eq!(taken.overdue_fine, fine, "{resolution:?}");
        let loan = taken.loan.unwrap();
        assert_eq!(loan.action(), LoanAction::CheckedIn);
        assert_eq!(loan.claimed_returned_at, None);
    }
    let unknown = CheckInRequest {
        claimed_returned_resolution: 7,
        ..desk.returning("30001")
    };
    assert_eq!(
        reason(desk.loans().check_in(unknown).await),
        "VALUE_UNKNOWN"
    );
}

#[tokio::test]
async fn a_lost_item_that_the_library_had_gives_everything_back() {
    let desk = Desk::open().await;
    let (student, loan_id) = lost_book(&desk).await;
    desk.claim(&loan_id).await.unwrap();
    assert_eq!(desk.counters(&student).await, (1, 0, 0));
    let request = CheckInRequest {
        claimed_returned_resolution: ClaimedReturnedResolution::FoundByLibrary.into(),
        ..desk.returning("30001")
    };
    desk.loans().check_in(request).await.unwrap();
    let returned: Vec<LostItemReturned> = desk.told().await;
    assert_eq!(returned.len(), 1);
    assert!(returned[0].refund_lost_item_fee && returned[0].refund_processing_fee);
    assert_eq!(desk.counters(&student).await, (0, 0, 0));
}

#[tokio::test]
async fn a_claim_may_end_without_the_item_and_nothing_is_owed() {
    let desk = Desk::open().await;
    let (student, loan_id) = lost_book(&desk).await;
    let mut actions = desk.actions();
    let unclaimed = actions.mark_missing(missing(&desk, &loan_id)).await;
    assert_eq!(reason(unclaimed), "NOT_CLAIMED_RETURNED");
    desk.claim(&loan_id).await.unwrap();

    let mute = MarkMissingRequest {
        comment: String::new(),
        ..missing(&desk, &loan_id)
    };
    assert_eq!(reason(actions.mark_missing(mute).await), "TEXT_LENGTH");
    let request = missing(&desk, &loan_id);
    let ended = actions
        .mark_missing(request.clone())
        .await
        .unwrap()
        .into_inner();
    let again = actions.mark_missing(request).await.unwrap().into_inner();
    assert_eq!(again, ended);
    let ended = ended.loan.unwrap();
    assert_eq!(
        (ended.status(), ended.action()),
        (LoanStatus::Closed, LoanAction::MarkedMissing)
    );
    assert_eq!(desk.counters(&student).await, (0, 0, 0));
    let returned: Vec<LostItemReturned> = desk.told().await;
    assert_eq!(returned.len(), 1, "what was charged is given back once");
    assert!(returned[0].refund_lost_item_fee && returned[0].refund_processing_fee);
    assert!(desk.told::<OverdueFineIncurred>().await.is_empty());
    for refused in [
        reason(desk.claim(&loan_id).await),
        reason(desk.declare_lost(&loan_id).await),
        reason(actions.mark_missing(missing(&desk, &loan_id)).await),
    ] {
        assert_eq!(refused, "LOAN_CLOSED");
    }

    let statuses = async || -> Vec<(CirculationItemStatus, i64)> {
        let told: Vec<ItemAvailabilityChanged> = desk.told().await;
        let items = told.into_iter().map(|told| told.item.unwrap());
        items.map(|item| (item.status(), item.revision)).collect()
    };
    assert_eq!(
        statuses().await.last(),
        Some(&(CirculationItemStatus::Missing, 4))
    );
    // Behind a radiator, in spring.
    desk.wait_until("2027-03-01T10:00:00");
    let found = desk.check_in("30001").await.unwrap();
    assert_eq!((found.loan, found.in_house_use), (None, false));
    assert_eq!(
        statuses().await.last(),
        Some(&(CirculationItemStatus::In, 5))
    );
    assert!(desk.check_in("30001").await.unwrap().in_house_use);
    desk.check_out("30001", "S1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn desks_that_claim_declare_and_take_back_at_once_agree() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    let student = desk.student("S1").await;
    let loan_id = desk
        .check_out("30001", "S1")
        .await
        .unwrap()
        .loan
        .unwrap()
        .id;
    let mut crowd = JoinSet::new();
    for place in 0..24 {
        let (mut actions, mut loans) = (desk.actions(), desk.loans());
        let claim = ClaimReturnedRequest {
            loan_id: loan_id.clone(),
            service_point_id: desk.point.clone(),
            comment: String::new(),
            request_id: id(),
        };
        let (lose, missing) = (desk.losing(&loan_id), missing(&desk, &loan_id));
        let take_back = desk.returning("30001");
        crowd.spawn(async move {
            match place % 4 {
                0 => actions.claim_returned(claim).await.map(drop),
                1 => actions.declare_lost(lose).await.map(drop),
                2 => actions.mark_missing(missing).await.map(drop),
                _ => loans.check_in(take_back).await.map(drop),
            }
        });
    }
    for outcome in crowd.join_all().await {
        if let Err(refused) = outcome {
            let reason = carrel_runtime::read::reason(&refused).unwrap();
            let expected = [
                "ALREADY_CLAIMED_RETURNED",
                "ALREADY_LOST",
                "NOT_CLAIMED_RETURNED",
                "LOAN_CLOSED",
            ];
            assert!(expected.contains(&reason.as_str()), "{refused:?}");
        }
    }
    let loan = desk.loans().get_loan(GetLoanRequest { id: loan_id }).await;
    assert_eq!(
        loan.unwrap().into_inner().loan.unwrap().status(),
        LoanStatus::Closed
    );
    assert_eq!(desk.counters(&student).await, (0, 0, 0));
    let lost = desk.told::<ItemDeclaredLost>().await.len();
    assert!(lost <= 1, "one loss at most, not {lost}");
    assert_eq!(desk.told::<LostItemReturned>().await.len(), lost);
    let told: Vec<LoanChanged> = desk.told().await;
    let revisions = told.iter().map(|told| told.loan.as_ref().unwrap().revision);
    assert!(
        revisions.eq(1..=told.len() as i64),
        "each change is told once, in order"
    );
}

#[tokio::test]
async fn only_who_may_does_it_here_and_never_for_themselves() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    let student = desk.student("S1").await;
    let loan_id = desk
        .check_out("30001", "S1")
        .await
        .unwrap()
        .loan
        .unwrap()
        .id;
    let claim = |loan_id: &str, point: &str| ClaimReturnedRequest {
        loan_id: loan_id.into(),
        service_point_id: point.into(),
        comment: String::new(),
        request_id: id(),
    };
    type Actions = loan_action_service_client::LoanActionServiceClient<Caller>;
    let as_whom = |subject: &str, grant: Grant| Actions::new(desk.caller(subject, &[grant]));
    let own = format!("patron:{}", student.patron_id);
    let north = Scope::Library("ALD-NORTH".into());
    for (mut actions, expected) in [
        (as_whom(&own, Grant::everywhere("*")), "OWN_ACCOUNT"),
        (
            as_whom("clerk", Grant::everywhere("circulation.loans.check-in")),
            "PERMISSION_DENIED",
        ),
        (
            as_whom(
                "clerk",
                Grant::new("circulation.loans.claim-returned", north),
            ),
            "PERMISSION_DENIED",
        ),
    ] {
        let refused = actions.claim_returned(claim(&loan_id, &desk.point)).await;
        assert_eq!(reason(refused), expected);
    }
    let mut actions = desk.actions();
    for (request, expected) in [
        (claim(&id(), &desk.point), "LOAN_NOT_FOUND"),
        (claim(&loan_id, &id()), "SERVICE_POINT_NOT_FOUND"),
        (claim("7", &desk.point), "ID_MALFORMED"),
        (
            ClaimReturnedRequest {
                comment: "x".repeat(501),
                ..claim(&loan_id, &desk.point)
            },
            "TEXT_LENGTH",
        ),
        (
            ClaimReturnedRequest {
                request_id: String::new(),
                ..claim(&loan_id, &desk.point)
            },
            "REQUEST_ID_MISSING",
        ),
    ] {
        assert_eq!(reason(actions.claim_returned(request).await), expected);
    }
}
