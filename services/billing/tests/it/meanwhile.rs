//! What changes while a posting waits, is under way or unknown.

use std::time::Duration;

use carrel_billing::posting::model::PostingState;
use carrel_billing::posting::reconciliation::{DifferenceKind, reconcile};
use carrel_billing::posting::{self, Run, settlement};
use carrel_proto::billing::v1 as pb;
use carrel_student_accounts::{EthosSettings, StudentAccounts};
use carrel_testkit::eventually;
use prost::{Message, Name};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::office::{Office, desk, impatient, new_request, usd};
use crate::site::{API_KEY, OTHER_STUDENT, STUDENT, Site};

fn nobody() -> StudentAccounts {
    let nobody = EthosSettings::new("http://127.0.0.1:9", API_KEY);
    StudentAccounts::Ethos(carrel_student_accounts::Ethos::new(nobody).unwrap())
}

async fn link(office: &Office, patron_id: Uuid, student: Option<&str>) {
    sqlx::query("update student_link set student_id = $2 where patron_id = $1")
        .bind(patron_id)
        .bind(student)
        .execute(&office.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_lost_fee_the_sis_never_took_is_cancelled_once_the_book_is_back() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let patron_id = office.student().await;
    let loss = office.loss(patron_id, 4500, 0);
    office.apply(&loss).await;
    site.arm(json!({ "on": "create-charge", "kind": "drop-before" }))
        .await;
    posting::work_queue(&office.billing).await.unwrap();
    let account = office.only_account(patron_id).await;
    let unknown = office.posting(&account, 0).await;
    assert_eq!(unknown.state, PostingState::Unknown);
    office.apply(&office.returned(&loss)).await;
    office
        .work_until(&account, 0, PostingState::Cancelled)
        .await;
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(site.lines(STUDENT).await, []);
    assert_eq!(office.posting_count().await, 1);
    assert_eq!(office.assert_reconciled().await, usd(0));
}

#[tokio::test]
async fn a_refused_posting_asks_for_what_remains_by_then() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1000).await;
    site.arm(json!({ "on": "auth", "kind": "delay", "delay_ms": 60_000 }))
        .await;
    let held = site
        .arm(json!({ "on": "create-charge", "kind": "reject" }))
        .await;
    let faults = site.admin(Method::GET, "faults", None).await;
    let auth = faults[0]["id"].as_u64().unwrap();
    assert_ne!(auth, held);
    let working = tokio::spawn({
        let billing = office.replica(&site);
        async move { posting::work_queue(&billing).await }
    });
    eventually("it is handed over", Duration::from_secs(10), async || {
        (office.posting_count().await == 1
            && office.posting(&account, 0).await.state == PostingState::Submitted)
            .then_some(())
    })
    .await;
    office.waive(&account, 600).await.unwrap();
    site.release(auth).await;
    working.await.unwrap().unwrap();
    let rejected = office.posting(&account, 0).await;
    assert_eq!(rejected.state, PostingState::Rejected);
    assert_eq!(rejected.amount, usd(400));
    posting::retry(&office.billing, &new_request(), &desk(), rejected.id)
        .await
        .unwrap();
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(site.amounts(STUDENT).await, ["4.00"]);
}

#[tokio::test]
async fn a_waiting_posting_goes_to_the_student_that_its_patron_is_by_then() {
    let site = Site::open().await;
    let mut office = Office::at(&site).await;
    office.billing.sis = impatient(nobody());
    let account = office.fined_student(1000).await;
    let unlinked = office.fined_student(500).await;
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(
        office.posting(&account, 0).await.state,
        PostingState::Pending
    );
    link(&office, account.patron_id, Some(OTHER_STUDENT)).await;
    link(&office, unlinked.patron_id, None).await;
    office.billing.sis = impatient(site.accounts(|_| {}));
    office
        .work_until(&account, 0, PostingState::Acknowledged)
        .await;
    office
        .work_until(&unlinked, 0, PostingState::Cancelled)
        .await;
    assert_eq!(site.lines(STUDENT).await, []);
    assert_eq!(site.amounts(OTHER_STUDENT).await, ["10.00"]);
    // The community patron becomes a student again: posted after all, once.
    link(&office, unlinked.patron_id, Some(STUDENT)).await;
    office
        .work_until(&unlinked, 1, PostingState::Acknowledged)
        .await;
    assert_eq!(site.amounts(STUDENT).await, ["5.00"]);
    office.assert_reconciled().await;
}

#[tokio::test]
async fn another_try_of_a_charge_without_a_student_cancels_it() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1000).await;
    site.arm(json!({ "on": "create-charge", "kind": "reject" }))
        .await;
    posting::work_queue(&office.billing).await.unwrap();
    link(&office, account.patron_id, None).await;
    let rejected = office.posting(&account, 0).await;
    let retried = posting::retry(&office.billing, &new_request(), &desk(), rejected.id)
        .await
        .unwrap();
    assert_eq!(retried.state, PostingState::Cancelled);
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(site.lines(STUDENT).await, []);
}

#[tokio::test]
async fn one_refused_question_leaves_the_others_settlement_alone() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let mut accounts = Vec::new();
    for student in [STUDENT, OTHER_STUDENT] {
        let patron_id = office.student_who_is(student).await;
        office.apply(&office.fine(patron_id, 1000)).await;
        accounts.push(office.only_account(patron_id).await);
    }
    posting::work_queue(&office.billing).await.unwrap();
    for account in &accounts {
        let charge = office.posting(account, 0).await.sis_charge_id.unwrap();
        site.admin(Method::POST, &format!("charges/{charge}/settle"), None)
            .await;
    }
    site.arm(json!({ "on": "query-payments", "kind": "status", "status": 400 }))
        .await;
    let settled = settlement::ask_what_was_paid(&office.billing)
        .await
        .unwrap();
    assert_eq!(settled, 1, "the first student's query was refused");
    assert_eq!(
        settlement::ask_what_was_paid(&office.billing)
            .await
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn the_loan_is_forgotten_in_the_answer_and_in_the_event_too() {
    let office = Office::open().await;
    let account = office.fined_student(1000).await;
    assert!(account.loan_id.is_some());
    let partly = office.pay(&account, 400).await.unwrap();
    assert_eq!(partly.loan_id, account.loan_id);
    let closed = office.pay(&account, 600).await.unwrap();
    assert_eq!(closed.loan_id, None);
    assert_eq!(office.now(&account).await.loan_id, None);
    let payload: Vec<u8> = sqlx::query_scalar(
        "select payload from outbox where type = $1 order by position desc limit 1",
    )
    .bind(pb::AccountChanged::full_name())
    .fetch_one(&office.pool)
    .await
    .unwrap();
    let changed = pb::AccountChanged::decode(&payload[..]).unwrap();
    assert_eq!(changed.account.unwrap().loan_id, "");
}

#[tokio::test]
async fn a_charge_that_moves_during_the_match_is_left_out_of_every_total() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1000).await;
    let patron_id = office.student_who_is(OTHER_STUDENT).await;
    office.apply(&office.fine(patron_id, 700)).await;
    posting::work_queue(&office.billing).await.unwrap();
    let fault = site
        .arm(json!({ "on": "query-charges", "kind": "delay", "delay_ms": 60_000 }))
        .await;
    let matching = tokio::spawn({
        let billing = office.replica(&site);
        async move { reconcile(&billing).await }
    });
    eventually(
        "the snapshot is taken",
        Duration::from_secs(10),
        async || site.has_fired(fault).await.then_some(()),
    )
    .await;
    office.waive(&account, 250).await.unwrap();
    posting::work_queue(&office.billing).await.unwrap();
    site.release(fault).await;
    let result = matching.await.unwrap().unwrap();
    assert_eq!(result.differences, []);
    let totals = (result.ledger_total, result.posting_total, result.sis_total);
    assert_eq!(totals, (usd(700), usd(700), usd(700)));
    assert_eq!(office.assert_reconciled().await, usd(1450));
}

#[tokio::test]
async fn a_student_account_that_is_not_listed_is_named_and_the_others_compared() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    for (student, cents) in [(STUDENT, 1000), (OTHER_STUDENT, 700)] {
        let patron_id = office.student_who_is(student).await;
        office.apply(&office.fine(patron_id, cents)).await;
    }
    posting::work_queue(&office.billing).await.unwrap();
    site.arm(json!({ "on": "query-charges", "kind": "status", "status": 400 }))
        .await;
    let result = reconcile(&office.billing).await.unwrap();
    let found: Vec<_> = result
        .differences
        .iter()
        .map(|difference| (difference.kind, difference.ours))
        .collect();
    // Both are asked at once; the one that was refused is left out of every total.
    let [(DifferenceKind::NotListed, unlisted)] = found[..] else {
        panic!("{found:?}");
    };
    let rest = usd(1700).minus(unlisted).unwrap();
    let totals = (result.ledger_total, result.posting_total, result.sis_total);
    assert_eq!(totals, (rest, rest, rest));
    assert_eq!(office.assert_reconciled().await, usd(1700));
}

#[tokio::test]
async fn a_batch_without_any_answer_ends_the_round() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let patron_id = office.student().await;
    for cents in 1..=20 {
        office.apply(&office.fine(patron_id, cents)).await;
    }
    site.arm(json!({ "on": "create-charge", "kind": "status", "status": 503, "times": 100 }))
        .await;
    let run = posting::work_queue(&office.billing).await.unwrap();
    // Each of a worker's two lanes has tried its eight.
    assert_eq!((run.created, run.unknown), (20, 16), "the rest waits");
}

#[tokio::test]
async fn a_run_that_failed_may_be_asked_for_again() {
    let site = Site::open().await;
    let mut office = Office::at(&site).await;
    let sis = office.billing.sis.take();
    office.fined_student(1000).await;
    let request = new_request();
    assert!(posting::run_for(&office.billing, &request).await.is_err());
    office.billing.sis = sis;
    let run = posting::run_for(&office.billing, &request).await.unwrap();
    assert_eq!((run.created, run.acknowledged), (1, 1));
    let again = posting::run_for(&office.billing, &request).await.unwrap();
    assert_eq!(again, Run::default());
}
