//! What becomes overdue and lost, each once, whoever finds it.

use std::collections::BTreeSet;
use std::time::Duration;

use carrel_circulation::Circulation;
use carrel_circulation::ageing::{Aged, run, run_once};
use carrel_circulation::projection::lookup::Lookup;
use carrel_database::{Database, RequestKey};
use carrel_proto::circulation::v1::*;
use carrel_runtime::Clock;
use carrel_testkit::eventually;
use tokio::task::JoinSet;

use crate::desk::*;

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_and_many_calls_find_each_loan_overdue_and_lost_once() {
    let desk = Desk::open().await;
    let (replica, _channel) = serve(&desk.keys, &desk.database.url, stopped_peers()).await;
    let student = desk.student("S1").await;
    let other = desk.student("S2").await;
    for number in 0..60 {
        let barcode = format!("3000{number}");
        desk.book(&barcode).await;
        desk.check_out(&barcode, if number % 2 == 0 { "S1" } else { "S2" })
            .await
            .unwrap();
    }

    for (clock, wanted) in [
        ("2026-09-16T09:00:00", (30, 30, 0)),
        ("2026-10-20T09:00:00", (30, 0, 30)),
    ] {
        desk.wait_until(clock);
        replica.clock().set(at(clock)).unwrap();
        let mut crowd = JoinSet::new();
        for _ in 0..6 {
            let mut loans = desk.loans();
            crowd.spawn(async move {
                loans
                    .run_ageing(RunAgeingRequest { request_id: id() })
                    .await
                    .unwrap();
            });
        }
        crowd.join_all().await;
        eventually("all are aged", Duration::from_secs(30), async || {
            let both = (desk.counters(&student).await, desk.counters(&other).await);
            (both == (wanted, wanted)).then_some(())
        })
        .await;
    }

    let changed: Vec<LoanChanged> = desk.told().await;
    let revisions: BTreeSet<(String, i64)> = changed
        .iter()
        .map(|told| told.loan.as_ref().unwrap())
        .map(|loan| (loan.id.clone(), loan.revision))
        .collect();
    assert_eq!(
        (changed.len(), revisions.len()),
        (180, 180),
        "lent, overdue, lost: each once"
    );
    let lost: Vec<ItemAgedToLost> = desk.told().await;
    let losses: BTreeSet<&str> = lost.iter().map(|told| told.loan_id.as_str()).collect();
    assert_eq!((lost.len(), losses.len()), (60, 60));
    replica.stop().await;
}

#[tokio::test]
async fn ageing_asked_twice_with_one_id_ages_once() {
    let desk = Desk::open().await;
    let student = desk.student("S1").await;
    desk.book("30001").await;
    desk.book("30002").await;
    desk.check_out("30001", "S1").await.unwrap();
    desk.wait_until("2026-09-03T10:00:00");
    desk.check_out("30002", "S1").await.unwrap();
    let nameless = RunAgeingRequest {
        request_id: String::new(),
    };
    assert_eq!(
        reason(desk.loans().run_ageing(nameless).await),
        "REQUEST_ID_MISSING"
    );

    // By hand, so that nothing ages by itself meanwhile.
    let Desk {
        running,
        database,
        keys,
        ..
    } = desk;
    running.stop().await;
    let opened = Database::from_pool(database.pool.clone());
    let clock = Clock::movable(at("2026-09-16T09:00:00").duration_since(jiff::Timestamp::now()));
    let lookup = Lookup::new(opened.clone(), None, None);
    let wake = carrel_outbox::Wake::default();
    let circulation = Circulation::new(
        opened,
        clock.clone(),
        wake,
        keys.barcodes.clone(),
        lookup,
        Vec::new(),
    );
    let key = RequestKey {
        caller: "desk-1".into(),
        rpc: "/carrel.circulation.v1.LoanService/RunAgeing",
        request_id: uuid::Uuid::now_v7(),
        fingerprint: [0; 32],
    };
    assert_eq!(run_once(&circulation, &key).await.unwrap().overdue_count, 1);
    clock.set(at("2026-09-18T09:00:00")).unwrap();
    // The same request gets the first answer, and finds nothing new.
    let once = Aged {
        overdue_count: 1,
        ..Aged::default()
    };
    assert_eq!(run_once(&circulation, &key).await.unwrap(), once);
    assert_eq!(run(&circulation).await.unwrap().overdue_count, 1);
    let overdue: i32 =
        sqlx::query_scalar("select overdue_loans from patron_circulation where patron_id = $1")
            .bind(student.patron_id.parse::<uuid::Uuid>().unwrap())
            .fetch_one(&database.pool)
            .await
            .unwrap();
    assert_eq!(overdue, 2);
}

#[tokio::test]
async fn a_loan_ages_though_the_catalog_does_not_know_its_item_any_more() {
    let desk = Desk::open().await;
    let student = desk.student("S1").await;
    desk.book("30001").await;
    desk.check_out("30001", "S1").await.unwrap();
    sqlx::query("delete from item_projection")
        .execute(&desk.database.pool)
        .await
        .unwrap();
    desk.wait_until("2026-10-20T09:00:00");
    eventually("it is lost", Duration::from_secs(20), async || {
        (desk.counters(&student).await == (1, 0, 1)).then_some(())
    })
    .await;
    // The price is not known any more; the policy's amount counts.
    let lost: Vec<ItemAgedToLost> = desk.told().await;
    assert_eq!(lost[0].lost_item_fee, Some(usd(9_000)));
}

#[tokio::test]
async fn too_many_overdue_or_lost_block_the_next_loan() {
    let desk = Desk::open().await;
    for barcode in ["30001", "30002", "30003"] {
        desk.book(barcode).await;
    }
    let student = desk.student("S1").await;
    desk.limits(PatronLimits {
        patron_group: "student".into(),
        max_overdue: 1,
        max_lost: 1,
        ..Default::default()
    })
    .await;
    for barcode in ["30001", "30002"] {
        desk.check_out(barcode, "S1").await.unwrap();
    }
    for (clock, counters, block) in [
        ("2026-09-16T09:00:00", (2, 2, 0), "MAX_OVERDUE"),
        ("2026-10-20T09:00:00", (2, 0, 2), "MAX_LOST"),
    ] {
        desk.wait_until(clock);
        eventually("they are aged", Duration::from_secs(20), async || {
            (desk.counters(&student).await == counters).then_some(())
        })
        .await;
        assert_eq!(
            blocks(desk.check_out("30003", "S1").await),
            [(block.into(), true)]
        );
    }
    let listed = ListItemAvailabilitiesRequest {
        page_size: 1,
        page_token: String::new(),
    };
    let first = desk
        .loans()
        .list_item_availabilities(listed)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first.items[0].status(), CirculationItemStatus::AgedToLost);
    assert_eq!(first.items[0].revision, 2);
    let next = ListItemAvailabilitiesRequest {
        page_size: 1,
        page_token: first.next_page_token,
    };
    let next = desk
        .loans()
        .list_item_availabilities(next)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((next.items.len(), next.next_page_token.as_str()), (1, ""));
}
