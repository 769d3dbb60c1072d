//! Limits hold while many ask at once.

use std::sync::{Arc, Mutex};

use carrel_proto::circulation::v1::*;
use carrel_runtime::read;
use tokio::task::JoinSet;

use crate::desk::*;

/// Sixty-four clients, each with a connection of its own, that take the next
/// of these requests until none is left.
async fn crowd(desk: &Desk, requests: Vec<CheckOutRequest>) -> Vec<String> {
    let requests = Arc::new(Mutex::new(requests));
    let mut crowd = JoinSet::new();
    for _ in 0..64 {
        let mut loans = desk.another_client();
        let requests = Arc::clone(&requests);
        crowd.spawn(async move {
            let mut outcomes = Vec::new();
            loop {
                let next = requests.lock().unwrap().pop();
                let Some(request) = next else { return outcomes };
                outcomes.push(match loans.check_out(request).await {
                    Ok(_) => "lent".to_owned(),
                    Err(status) => read::reason(&status).unwrap_or(status.to_string()),
                });
            }
        });
    }
    crowd.join_all().await.concat()
}

fn count(outcomes: &[String], outcome: &str) -> usize {
    outcomes.iter().filter(|told| *told == outcome).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_at_once_on_one_patron_and_a_hundred_items_get_exactly_fifteen_loans() {
    let desk = Desk::open().await;
    let student = desk.student("S1").await;
    desk.limits(PatronLimits {
        patron_group: "student".into(),
        max_loans: 15,
        ..Default::default()
    })
    .await;
    let mut requests = Vec::new();
    for number in 0..100 {
        let barcode = format!("3000{number}");
        desk.book(&barcode).await;
        requests.push(desk.lending(&barcode, "S1"));
    }
    let outcomes = crowd(&desk, requests).await;
    assert_eq!(
        (
            count(&outcomes, "lent"),
            count(&outcomes, "CHECK_OUT_BLOCKED")
        ),
        (15, 85)
    );
    assert_eq!(desk.counters(&student).await, (15, 0, 0));
    let loans: i64 = sqlx::query_scalar("select count(*) from loan")
        .fetch_one(&desk.database.pool)
        .await
        .unwrap();
    assert_eq!(loans, 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_item_limit_of_a_policy_holds_and_frees_itself() {
    let desk = Desk::open().await;
    let guest = desk.student("G1").await;
    let guest = desk
        .patron(carrel_proto::patrons::v1::PatronStanding {
            patron_group: "guest".into(),
            ..guest
        })
        .await;
    let mut requests = Vec::new();
    for number in 0..16 {
        let barcode = format!("3000{number}");
        desk.book(&barcode).await;
        requests.push(desk.lending(&barcode, "G1"));
    }
    let outcomes = crowd(&desk, requests).await;
    assert_eq!(count(&outcomes, "lent"), 3);
    let list = ListLoansRequest {
        patron_id: guest.patron_id.clone(),
        open_only: true,
        ..Default::default()
    };
    let loans = desk
        .loans()
        .list_loans(list)
        .await
        .unwrap()
        .into_inner()
        .loans;
    let barcode: String =
        sqlx::query_scalar("select barcode from item_projection where item_id = $1")
            .bind(loans[0].item_id.parse::<uuid::Uuid>().unwrap())
            .fetch_one(&desk.database.pool)
            .await
            .unwrap();
    desk.book("31000").await;
    assert_eq!(
        blocks(desk.check_out("31000", "G1").await),
        [("ITEM_LIMIT".into(), true)]
    );
    desk.check_in(&barcode).await.unwrap();
    desk.check_out("31000", "G1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_at_once_on_one_item_make_one_loan() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    let mut requests = Vec::new();
    for number in 0..64 {
        let barcode = format!("S{number}");
        desk.student(&barcode).await;
        requests.push(desk.lending("30001", &barcode));
    }
    let outcomes = crowd(&desk, requests).await;
    assert_eq!(
        (
            count(&outcomes, "lent"),
            count(&outcomes, "ITEM_ALREADY_ON_LOAN")
        ),
        (1, 63)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lending_and_returning_at_once_keeps_the_counters_right() {
    let desk = Desk::open().await;
    let student = desk.student("S1").await;
    let mut crowd = JoinSet::new();
    for number in 0..8 {
        let barcode = format!("3000{number}");
        desk.book(&barcode).await;
        let mut loans = desk.loans();
        let (lending, returning) = (desk.lending(&barcode, "S1"), desk.returning(&barcode));
        crowd.spawn(async move {
            for round in 0..5 {
                let lending = CheckOutRequest {
                    request_id: id(),
                    ..lending.clone()
                };
                loans.check_out(lending).await.unwrap();
                if round < 4 || number % 2 == 0 {
                    let returning = CheckInRequest {
                        request_id: id(),
                        ..returning.clone()
                    };
                    loans.check_in(returning).await.unwrap();
                }
            }
        });
    }
    crowd.join_all().await;
    assert_eq!(desk.counters(&student).await, (4, 0, 0));
    let by_kind: serde_json::Value =
        sqlx::query_scalar("select loans_by_kind from patron_circulation")
            .fetch_one(&desk.database.pool)
            .await
            .unwrap();
    let four = serde_json::json!({"l:two-weeks": 4, "m:book": 4, "t:standard": 4});
    assert_eq!(by_kind, four);
}
