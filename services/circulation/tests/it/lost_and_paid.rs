//! What is lost and paid for ends without a return, once, and is found should
//! it come back after all.

use std::time::Duration;

use carrel_proto::billing::v1::{FeeFineKind, PaymentStatus};
use carrel_proto::circulation::v1::*;
use carrel_proto::patrons::v1::PatronStanding;
use carrel_testkit::eventually;

use crate::desk::*;

/// A student who lost some books.
async fn lost(desk: &Desk, count: usize) -> (PatronStanding, Vec<String>) {
    let student = desk.student("S1").await;
    let mut loans = Vec::new();
    for number in 0..count {
        let barcode = format!("3000{number}");
        desk.book(&barcode).await;
        loans.push(
            desk.check_out(&barcode, "S1")
                .await
                .unwrap()
                .loan
                .unwrap()
                .id,
        );
    }
    desk.wait_until("2026-10-20T09:00:00");
    let count = i32::try_from(count).unwrap();
    eventually("they are lost", Duration::from_secs(20), async || {
        (desk.counters(&student).await == (count, 0, count)).then_some(())
    })
    .await;
    (student, loans)
}

async fn statuses(desk: &Desk) -> Vec<i16> {
    sqlx::query_scalar("select status from item_circulation order by item_id")
        .fetch_all(&desk.database.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_lost_book_that_is_paid_for_ends_its_loan_and_is_found_later() {
    let desk = Desk::open().await;
    let (student, loans) = lost(&desk, 1).await;
    let loan = &loans[0];
    // Neither its processing fee nor a waiver is a payment for the book.
    desk.charged(
        &id(),
        loan,
        FeeFineKind::LostItemProcessingFee,
        PaymentStatus::PaidFully,
    )
    .await;
    let account = id();
    desk.charged(
        &account,
        loan,
        FeeFineKind::LostItemFee,
        PaymentStatus::PaidPartially,
    )
    .await;
    desk.age().await;
    assert_eq!(desk.loan(loan).await.status(), LoanStatus::Open);

    desk.charged(
        &account,
        loan,
        FeeFineKind::LostItemFee,
        PaymentStatus::PaidFully,
    )
    .await;
    eventually("the loan ends", Duration::from_secs(20), async || {
        (desk.loan(loan).await.status() == LoanStatus::Closed).then_some(())
    })
    .await;
    let ended = desk.loan(loan).await;
    assert_eq!(ended.action(), LoanAction::ClosedLoan);
    assert_eq!(ended.check_in_service_point_id, "");
    assert_eq!(desk.counters(&student).await, (0, 0, 0));
    let by_kind: serde_json::Value =
        sqlx::query_scalar("select loans_by_kind from patron_circulation")
            .fetch_one(&desk.database.pool)
            .await
            .unwrap();
    assert_eq!(by_kind, serde_json::json!({}));
    assert_eq!(statuses(&desk).await, [10]);
    // Told once more, it ends nothing more.
    desk.charged(
        &account,
        loan,
        FeeFineKind::LostItemFee,
        PaymentStatus::PaidFully,
    )
    .await;
    assert_eq!(desk.age().await.lost_and_paid_count, 0);

    let found = desk.check_in("30000").await.unwrap();
    assert_eq!((found.loan, found.in_house_use), (None, false));
    assert_eq!(statuses(&desk).await, [1]);
    let returned: Vec<LostItemReturned> = desk.told().await;
    assert_eq!(returned.len(), 1);
    assert_eq!(
        (&returned[0].loan_id, returned[0].refund_lost_item_fee),
        (loan, true)
    );
    let told: Vec<ItemAvailabilityChanged> = desk.told().await;
    let told: Vec<(i32, i64)> = told
        .into_iter()
        .map(|told| told.item.unwrap())
        .map(|item| (item.status, item.revision))
        .collect();
    assert_eq!(told, [(2, 1), (3, 2), (10, 3), (1, 4)]);
    // Back on the shelf, it is lent again and used in house again.
    desk.check_out("30000", "S1").await.unwrap();
    desk.check_in("30000").await.unwrap();
    assert!(desk.check_in("30000").await.unwrap().in_house_use);
}

#[tokio::test]
async fn a_waived_fee_is_no_payment() {
    let desk = Desk::open().await;
    let (_, loans) = lost(&desk, 1).await;
    desk.charged(
        &id(),
        &loans[0],
        FeeFineKind::LostItemFee,
        PaymentStatus::WaivedFully,
    )
    .await;
    desk.age().await;
    assert_eq!(desk.loan(&loans[0]).await.status(), LoanStatus::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_and_a_payment_at_once_end_each_loan_once() {
    let desk = Desk::open().await;
    let (student, loans) = lost(&desk, 24).await;
    let returns = async {
        for number in 0..24 {
            desk.check_in(&format!("3000{number}")).await.unwrap();
        }
    };
    let payments = async {
        // From the other end, so that they meet.
        for loan in loans.iter().rev() {
            desk.charged(
                &id(),
                loan,
                FeeFineKind::LostItemFee,
                PaymentStatus::PaidFully,
            )
            .await;
            desk.age().await;
        }
    };
    tokio::join!(returns, payments);
    desk.age().await;

    assert_eq!(desk.counters(&student).await, (0, 0, 0));
    let changed: Vec<LoanChanged> = desk.told().await;
    let ends = |loan: &str| {
        let of = changed.iter().filter_map(|told| told.loan.as_ref());
        of.filter(|told| told.id == loan && told.status() == LoanStatus::Closed)
            .count()
    };
    for loan in &loans {
        assert_eq!(ends(loan), 1, "{:?}", desk.loan(loan).await);
    }
    let returned: Vec<LostItemReturned> = desk.told().await;
    assert_eq!(returned.len(), 24, "each refund is decided once");
    assert!(statuses(&desk).await.into_iter().all(|status| status == 1));
    let paid: i64 = sqlx::query_scalar("select count(*) from loan where action = 12")
        .fetch_one(&desk.database.pool)
        .await
        .unwrap();
    assert!(
        (1..24).contains(&paid),
        "{paid} were paid before they came back"
    );
}
