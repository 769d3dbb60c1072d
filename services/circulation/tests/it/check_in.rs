//! Taking back: what is owed, what is given back, and where the item goes.

use carrel_proto::catalog::v1::{Item, ItemStatus};
use carrel_proto::circulation::v1::*;
use carrel_testkit::eventually;
use std::time::Duration;

use crate::desk::*;

#[tokio::test]
async fn a_book_that_comes_back_in_time_costs_nothing() {
    let desk = Desk::open().await;
    let item = desk.book("30001").await;
    let student = desk.student("S1").await;
    let loan = desk.check_out("30001", "S1").await.unwrap().loan.unwrap();
    desk.wait_until("2026-09-15T23:59:50");

    let request = desk.returning("30001");
    let taken = desk
        .loans()
        .check_in(request.clone())
        .await
        .unwrap()
        .into_inner();
    let ended = taken.loan.clone().unwrap();
    assert_eq!(
        (ended.id.as_str(), ended.status()),
        (loan.id.as_str(), LoanStatus::Closed)
    );
    assert_eq!(ended.action(), LoanAction::CheckedIn);
    assert_eq!(ended.check_in_service_point_id, desk.point);
    assert_eq!(taken.item_id, item.id);
    assert_eq!(taken.next_step(), NextStep::Shelve);
    assert!(!taken.in_house_use && taken.overdue_fine.is_none());
    assert_eq!(desk.counters(&student).await, (0, 0, 0));
    assert!(desk.told::<OverdueFineIncurred>().await.is_empty());

    let again = desk.loans().check_in(request).await.unwrap().into_inner();
    assert_eq!(again, taken);
    assert_eq!(desk.told::<ItemAvailabilityChanged>().await.len(), 2);
    desk.check_out("30001", "S1").await.unwrap();
}

#[tokio::test]
async fn a_late_book_is_fined_once_for_each_day_begun() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    let student = desk.student("S1").await;
    let loan = desk.check_out("30001", "S1").await.unwrap().loan.unwrap();
    desk.wait_until("2026-09-18T09:00:00");

    let request = desk.returning("30001");
    let taken = desk
        .loans()
        .check_in(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(taken.overdue_fine, Some(usd(75)));
    let again = desk.loans().check_in(request).await.unwrap().into_inner();
    assert_eq!(again.overdue_fine, Some(usd(75)));

    let fines: Vec<OverdueFineIncurred> = desk.told().await;
    assert_eq!(fines.len(), 1);
    assert_eq!(fines[0].loan_id, loan.id);
    assert_eq!(fines[0].patron_id, student.patron_id);
    assert_eq!(fines[0].amount, Some(usd(75)));
    assert_eq!(
        (
            fines[0].library_code.as_str(),
            fines[0].institution_code.as_str()
        ),
        ("ALD-MAIN", "ALD")
    );
    assert_eq!(local(fines[0].due_at), "2026-09-15T23:59:59");
}

#[tokio::test]
async fn a_book_drop_emptied_late_counts_from_when_it_was_left() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    desk.student("S1").await;
    desk.check_out("30001", "S1").await.unwrap();
    desk.wait_until("2026-09-16T09:00:00");
    let left = |local| CheckInRequest {
        occurred_at: wire_time(local),
        ..desk.returning("30001")
    };
    let refused = desk.loans().check_in(left("2026-09-01T09:00:00")).await;
    assert_eq!(reason(refused), "OCCURRED_BEFORE_CHECK_OUT");
    let taken = desk
        .loans()
        .check_in(left("2026-09-15T22:00:00"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(taken.overdue_fine, None);
    assert_eq!(
        local(taken.loan.unwrap().checked_in_at),
        "2026-09-15T22:00:00"
    );
}

#[tokio::test]
async fn a_returned_lost_item_is_refunded_once() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    let student = desk.student("S1").await;
    let loan = desk.check_out("30001", "S1").await.unwrap().loan.unwrap();
    desk.wait_until("2026-10-14T09:00:00");
    eventually("the book is lost", Duration::from_secs(20), async || {
        (desk.counters(&student).await == (1, 0, 1)).then_some(())
    })
    .await;
    let lost: Vec<ItemAgedToLost> = desk.told().await;
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].lost_item_fee, Some(usd(4_250)));
    assert_eq!(lost[0].processing_fee, Some(usd(1_000)));

    desk.wait_until("2026-12-01T09:00:00");
    let request = desk.returning("30001");
    let taken = desk
        .loans()
        .check_in(request.clone())
        .await
        .unwrap()
        .into_inner();
    desk.loans().check_in(request).await.unwrap();
    assert_eq!(taken.loan.unwrap().status(), LoanStatus::Closed);
    assert_eq!(taken.overdue_fine, None, "the policy forgives it when lost");
    let returned: Vec<LostItemReturned> = desk.told().await;
    assert_eq!(returned.len(), 1);
    assert_eq!(
        (&returned[0].loss_id, &returned[0].loan_id),
        (&lost[0].loss_id, &loan.id)
    );
    assert_eq!(
        (
            returned[0].refund_lost_item_fee,
            returned[0].refund_processing_fee
        ),
        (true, false)
    );
    assert_eq!(desk.counters(&student).await, (0, 0, 0));
}

#[tokio::test]
async fn an_item_that_was_not_out_counts_as_used_in_house() {
    let desk = Desk::open().await;
    let item = desk.book("30001").await;
    let request = desk.returning("30001");
    for _ in 0..2 {
        let taken = desk
            .loans()
            .check_in(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert!(taken.in_house_use);
        assert_eq!(
            (taken.item_id.as_str(), taken.loan),
            (item.id.as_str(), None)
        );
    }
    let count: i64 = sqlx::query_scalar("select count(*) from check_in where in_house_use")
        .fetch_one(&desk.database.pool)
        .await
        .unwrap();
    assert_eq!(count, 1);
    assert!(desk.told::<ItemAvailabilityChanged>().await.is_empty());
}

#[tokio::test]
async fn the_desk_is_told_where_an_item_goes() {
    let desk = Desk::open().await;
    desk.item(Item {
        barcode: "N1".into(),
        ..book(&desk.north_stacks)
    })
    .await;
    let taken = desk.check_in("N1").await.unwrap();
    assert_eq!(taken.next_step(), NextStep::SendHome);
    assert_eq!(taken.destination_library_code, "ALD-NORTH");

    let withdrawn = Item {
        barcode: "W1".into(),
        status: ItemStatus::Withdrawn.into(),
        ..book(&desk.stacks)
    };
    desk.item(withdrawn).await;
    let taken = desk.check_in("W1").await.unwrap();
    assert_eq!(taken.next_step(), NextStep::AskCatalog);
    assert!(!taken.in_house_use);
}
