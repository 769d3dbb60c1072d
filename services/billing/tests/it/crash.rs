//! Workers that die, and workers that compete.

use std::time::Duration;

use carrel_billing::posting::model::{PostingState, posting_id};
use carrel_billing::posting::worker::{Pace, work};
use carrel_billing::posting::{self};
use carrel_testkit::eventually;
use serde_json::json;

use crate::office::{Office, usd};
use crate::site::{OTHER_STUDENT, STUDENT, Site};

#[tokio::test]
async fn a_worker_that_dies_between_commit_and_answer_leaves_one_line() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1735).await;
    let fault = site
        .arm(json!({ "on": "create-charge", "kind": "hold-after-commit" }))
        .await;
    let doomed = tokio::spawn({
        let billing = office.replica(&site);
        async move { posting::work_queue(&billing).await }
    });
    eventually(
        "the SIS has committed",
        Duration::from_secs(10),
        async || site.has_fired(fault).await.then_some(()),
    )
    .await;
    doomed.abort();
    let _ = doomed.await;
    assert_eq!(
        office.posting(&account, 0).await.state,
        PostingState::Submitted
    );

    office
        .work_until(&account, 0, PostingState::Acknowledged)
        .await;
    assert_eq!(site.amounts(STUDENT).await, ["17.35"]);
    let (posting, attempts) = posting::get(&office.billing, posting_id(account.charge_key(), 0))
        .await
        .unwrap();
    assert_eq!(posting.attempt_count, 1);
    assert_eq!(attempts[0].outcome, "unknown");
    assert_eq!(attempts.last().unwrap().outcome, "found");
    office.assert_reconciled().await;
}

#[tokio::test]
async fn a_worker_that_dies_before_it_sends_anything_loses_no_charge() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1735).await;
    // Held where the token is fetched: nothing has been sent.
    let fault = site
        .arm(json!({ "on": "auth", "kind": "delay", "delay_ms": 60_000 }))
        .await;
    let doomed = tokio::spawn({
        let billing = office.replica(&site);
        async move { posting::work_queue(&billing).await }
    });
    eventually("it is handed over", Duration::from_secs(10), async || {
        let submitted: i64 =
            sqlx::query_scalar("select count(*) from posting where state = 'submitted'")
                .fetch_one(&office.pool)
                .await
                .unwrap();
        (submitted == 1).then_some(())
    })
    .await;
    doomed.abort();
    let _ = doomed.await;
    site.release(fault).await;
    office
        .work_until(&account, 0, PostingState::Acknowledged)
        .await;
    assert_eq!(office.posting(&account, 0).await.attempt_count, 2);
    assert_eq!(site.amounts(STUDENT).await, ["17.35"]);
    office.assert_reconciled().await;
}

#[tokio::test]
async fn workers_that_share_a_queue_post_nothing_twice() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let mut total = 0;
    for number in 0..40 {
        let student = if number % 2 == 0 {
            STUDENT
        } else {
            OTHER_STUDENT
        };
        let patron_id = office.student_who_is(student).await;
        office.apply(&office.fine(patron_id, 100 + number)).await;
        total += 100 + number;
    }
    // Some answers get lost on the way.
    site.arm(json!({ "on": "create-charge", "kind": "drop-after-commit", "probability": 0.2, "seed": 7 })).await;
    let pace = Pace {
        interval: Duration::from_millis(10),
        settlement_interval: Duration::from_secs(600),
    };
    let replicas: Vec<_> = (0..4).map(|_| office.replica(&site)).collect();
    let workers: Vec<_> = replicas
        .iter()
        .map(|billing| tokio::spawn(work(billing.clone(), pace)))
        .collect();
    eventually(
        "everything is acknowledged",
        Duration::from_secs(30),
        async || {
            let acknowledged: i64 =
                sqlx::query_scalar("select count(*) from posting where state = 'acknowledged'")
                    .fetch_one(&office.pool)
                    .await
                    .unwrap();
            (acknowledged == 40).then_some(())
        },
    )
    .await;
    for billing in &replicas {
        billing.shutdown.cancel();
    }
    for worker in workers {
        worker.await.unwrap();
    }
    let lines = site.lines(STUDENT).await.len() + site.lines(OTHER_STUDENT).await.len();
    assert_eq!(lines, 40);
    assert_eq!(office.assert_reconciled().await, usd(total));
}
