//! Declared lost: charged once, whoever says it, and given back once.

use std::collections::BTreeMap;
use std::time::Duration;

use carrel_proto::circulation::v1::*;
use carrel_testkit::eventually;
use tokio::task::JoinSet;

use crate::desk::*;

#[tokio::test]
async fn what_is_declared_lost_is_charged_once_and_given_back_when_it_returns() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    let student = desk.student("S1").await;
    let loan = desk.check_out("30001", "S1").await.unwrap().loan.unwrap();
    desk.wait_until("2026-09-10T10:00:00");

    let request = desk.losing(&loan.id);
    let mut actions = desk.actions();
    let lost = actions
        .declare_lost(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(lost.lost_item_fee, Some(usd(4_250)));
    assert_eq!(lost.processing_fee, Some(usd(1_000)));
    assert_eq!(lost.overdue_fine, None);
    let declared = lost.loan.clone().unwrap();
    assert_eq!(declared.action(), LoanAction::DeclaredLost);
    assert!(declared.declared_lost_at.is_some() && declared.aged_to_lost_at.is_none());
    assert_eq!(desk.counters(&student).await, (1, 0, 1));
    // The price changes; the answer to the same request does not.
    let dearer = carrel_proto::catalog::v1::Item {
        id: loan.item_id.clone(),
        barcode: "30001".into(),
        replacement_price: Some(usd(9_900)),
        ..book(&desk.stacks)
    };
    desk.item(dearer).await;
    assert_eq!(
        actions.declare_lost(request).await.unwrap().into_inner(),
        lost
    );
    assert_eq!(reason(desk.declare_lost(&loan.id).await), "ALREADY_LOST");

    let told: Vec<ItemDeclaredLost> = desk.told().await;
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0].loan_id, &told[0].patron_id),
        (&loan.id, &student.patron_id)
    );
    assert_eq!(told[0].lost_item_fee, Some(usd(4_250)));
    let status: Vec<ItemAvailabilityChanged> = desk.told().await;
    assert_eq!(
        status[1].item.as_ref().unwrap().status(),
        CirculationItemStatus::DeclaredLost
    );

    // It does not age any more.
    desk.wait_until("2026-12-01T09:00:00");
    desk.age().await;
    assert!(desk.told::<ItemAgedToLost>().await.is_empty());
    let taken = desk.check_in("30001").await.unwrap();
    assert_eq!(taken.overdue_fine, None);
    let returned: Vec<LostItemReturned> = desk.told().await;
    assert_eq!(returned.len(), 1);
    assert_eq!(returned[0].loss_id, told[0].loss_id);
    assert!(returned[0].refund_lost_item_fee && !returned[0].refund_processing_fee);
    assert_eq!(desk.counters(&student).await, (0, 0, 0));
}

#[tokio::test]
async fn the_fine_runs_until_the_declaration_and_no_return_adds_to_it() {
    let desk = Desk::open().await;
    desk.fine_policy(OverdueFinePolicy {
        forgive_when_lost: false,
        ..daily()
    })
    .await;
    desk.student("S1").await;
    let mut loans = Vec::new();
    for barcode in ["30001", "30002"] {
        desk.book(barcode).await;
        loans.push(
            desk.check_out(barcode, "S1")
                .await
                .unwrap()
                .loan
                .unwrap()
                .id,
        );
    }
    desk.wait_until("2026-09-18T09:00:00");
    desk.claim(&loans[1]).await.unwrap();
    let lost = desk.declare_lost(&loans[0]).await.unwrap();
    assert_eq!(lost.overdue_fine, Some(usd(75)));
    desk.wait_until("2026-09-25T09:00:00");
    let lost = desk.declare_lost(&loans[1]).await.unwrap();
    assert_eq!(lost.overdue_fine, Some(usd(75)), "only until the claim");
    assert_eq!(lost.lost_item_fee, Some(usd(4_250)));
    for barcode in ["30001", "30002"] {
        assert_eq!(desk.check_in(barcode).await.unwrap().overdue_fine, None);
    }
    assert_eq!(desk.told::<OverdueFineIncurred>().await.len(), 2);
    assert_eq!(desk.told::<LostItemReturned>().await.len(), 2);
}

#[tokio::test]
async fn a_claim_that_is_not_believed_does_not_charge_the_same_loss_again() {
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
    desk.wait_until("2026-10-14T09:00:00");
    eventually("the book is lost", Duration::from_secs(20), async || {
        (desk.counters(&student).await == (1, 0, 1)).then_some(())
    })
    .await;
    assert_eq!(reason(desk.declare_lost(&loan_id).await), "ALREADY_LOST");
    desk.claim(&loan_id).await.unwrap();
    let lost = desk.declare_lost(&loan_id).await.unwrap();
    assert_eq!((lost.lost_item_fee, lost.processing_fee), (None, None));
    assert_eq!(desk.counters(&student).await, (1, 0, 1));
    assert!(desk.told::<ItemDeclaredLost>().await.is_empty());
    desk.check_in("30001").await.unwrap();
    let (aged, returned): (Vec<ItemAgedToLost>, Vec<LostItemReturned>) =
        (desk.told().await, desk.told().await);
    assert_eq!((aged.len(), returned.len()), (1, 1));
    assert_eq!(aged[0].loss_id, returned[0].loss_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn ageing_and_the_desk_at_once_lose_each_item_once() {
    let desk = Desk::open().await;
    let student = desk.student("S1").await;
    let mut loans = Vec::new();
    for number in 0..20 {
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
    let mut crowd = JoinSet::new();
    for loan_id in &loans {
        let (mut actions, request) = (desk.actions(), desk.losing(loan_id));
        crowd.spawn(async move {
            if let Err(refused) = actions.declare_lost(request).await {
                assert_eq!(
                    carrel_runtime::read::reason(&refused).unwrap(),
                    "ALREADY_LOST"
                );
            }
        });
    }
    for _ in 0..3 {
        let mut loans = desk.loans();
        crowd.spawn(async move {
            let request = RunAgeingRequest { request_id: id() };
            loans.run_ageing(request).await.unwrap();
        });
    }
    crowd.join_all().await;
    eventually("all are lost", Duration::from_secs(30), async || {
        (desk.counters(&student).await == (20, 0, 20)).then_some(())
    })
    .await;
    let mut losses: BTreeMap<String, i32> = BTreeMap::new();
    for told in desk.told::<ItemAgedToLost>().await {
        *losses.entry(told.loan_id).or_default() += 1;
    }
    for told in desk.told::<ItemDeclaredLost>().await {
        *losses.entry(told.loan_id).or_default() += 1;
    }
    assert_eq!(losses.len(), 20);
    assert!(losses.values().all(|count| *count == 1), "{losses:?}");
}
