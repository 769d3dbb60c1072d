//! What goes wrong between billing and the student-information system, and what must not come of it.

use std::sync::Arc;
use std::time::Duration;

use carrel_billing::Sis;
use carrel_billing::posting::model::{PostingState, posting_id};
use carrel_billing::posting::{self, Run};
use carrel_student_accounts::{Description, EthosSettings, StudentAccounts};
use jiff::Zoned;
use serde_json::json;

use crate::office::{Office, desk, impatient, new_request, usd};
use crate::site::{API_KEY, LIBRARY_CODE, STUDENT, Site, TERM};

#[tokio::test]
async fn an_answer_lost_after_the_commit_is_found_and_not_posted_again() {
    for fault in [
        "drop-after-commit",
        "status-after-commit",
        "garble-after-commit",
    ] {
        let site = Site::open().await;
        let office = Office::at(&site).await;
        let account = office.fined_student(1735).await;
        site.arm(json!({ "on": "create-charge", "kind": fault }))
            .await;
        let run = posting::work_queue(&office.billing).await.unwrap();
        assert_eq!(
            run,
            Run {
                created: 1,
                unknown: 1,
                ..Run::default()
            },
            "{fault}"
        );
        office
            .work_until(&account, 0, PostingState::Acknowledged)
            .await;
        assert_eq!(site.amounts(STUDENT).await, ["17.35"], "{fault}");
        let (posting, attempts) =
            posting::get(&office.billing, posting_id(account.charge_key(), 0))
                .await
                .unwrap();
        let outcomes: Vec<(&str, &str)> = attempts
            .iter()
            .map(|attempt| (attempt.kind.as_str(), attempt.outcome.as_str()))
            .collect();
        assert_eq!(
            outcomes,
            [("submit", "unknown"), ("look-up", "found")],
            "{fault}"
        );
        assert_eq!(posting.attempt_count, 1);
        office.assert_reconciled().await;
    }
}

#[tokio::test]
async fn what_the_sis_never_took_is_sent_again_only_after_it_would_be_there() {
    for fault in [
        json!({ "on": "create-charge", "kind": "status", "status": 503 }),
        json!({ "on": "create-charge", "kind": "drop-before" }),
        json!({ "on": "create-charge", "kind": "delay", "delay_ms": 5_000 }),
    ] {
        let site = Site::open().await;
        let office = Office::at(&site).await;
        let account = office.fined_student(1000).await;
        site.arm(fault.clone()).await;
        posting::work_queue(&office.billing).await.unwrap();
        let unknown = office.posting(&account, 0).await;
        assert_eq!(unknown.state, PostingState::Unknown, "{fault}");
        office
            .work_until(&account, 0, PostingState::Acknowledged)
            .await;
        let (posting, attempts) = posting::get(&office.billing, unknown.id).await.unwrap();
        assert_eq!(posting.attempt_count, 2);
        let again = attempts
            .iter()
            .filter(|attempt| attempt.kind == "submit")
            .nth(1)
            .unwrap();
        assert!(again.started_at >= unknown.absent_from.unwrap(), "{fault}");
        assert_eq!(site.amounts(STUDENT).await, ["10.00"], "{fault}");
        office.assert_reconciled().await;
    }
}

#[tokio::test]
async fn a_commit_after_the_client_gave_up_is_not_doubled() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1000).await;
    // After the deadline of one second, within the two more that it may take.
    site.arm(json!({ "on": "create-charge", "kind": "late-commit", "delay_ms": 2_000 }))
        .await;
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(
        office.posting(&account, 0).await.state,
        PostingState::Unknown
    );
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(
        site.amounts(STUDENT).await,
        Vec::<String>::new(),
        "not there yet"
    );
    office
        .work_until(&account, 0, PostingState::Acknowledged)
        .await;
    assert_eq!(office.posting(&account, 0).await.attempt_count, 1);
    assert_eq!(site.amounts(STUDENT).await, ["10.00"]);
    office.assert_reconciled().await;
}

#[tokio::test]
async fn a_refused_posting_waits_for_a_person_who_gives_it_another_try() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1000).await;
    site.arm(json!({ "on": "create-charge", "kind": "reject" }))
        .await;
    let run = posting::work_queue(&office.billing).await.unwrap();
    assert_eq!((run.created, run.rejected), (1, 1));
    assert_eq!(
        posting::work_queue(&office.billing).await.unwrap(),
        Run::default()
    );
    let rejected = office.posting(&account, 0).await;
    assert!(
        !rejected.problem.is_empty() && !rejected.problem.contains(STUDENT),
        "{}",
        rejected.problem
    );
    office.pay(&account, 400).await.unwrap();
    let request = new_request();
    for _ in 0..2 {
        posting::retry(&office.billing, &request, &desk(), rejected.id)
            .await
            .unwrap();
    }
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(site.amounts(STUDENT).await, ["6.00"]);
    office.assert_reconciled().await;
}

#[tokio::test]
async fn charges_and_payments_go_on_while_the_sis_is_not_there() {
    let site = Site::open().await;
    let mut office = Office::at(&site).await;
    let nobody = EthosSettings::new("http://127.0.0.1:9", API_KEY);
    let nobody = StudentAccounts::Ethos(carrel_student_accounts::Ethos::new(nobody).unwrap());
    office.billing.sis = impatient(nobody);
    let account = office.fined_student(1000).await;
    let run = posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(
        run,
        Run {
            created: 1,
            not_sent: 1,
            ..Run::default()
        }
    );
    let waiting = office.posting(&account, 0).await;
    assert_eq!(waiting.state, PostingState::Pending);
    assert!(
        waiting.problem.contains("not reached"),
        "{}",
        waiting.problem
    );
    office.pay(&account, 100).await.unwrap();
    office.billing.sis = impatient(site.accounts(|_| {}));
    office
        .work_until(&account, 0, PostingState::Acknowledged)
        .await;
    assert_eq!(site.amounts(STUDENT).await, ["9.00"]);
    office.assert_reconciled().await;
}

#[tokio::test]
async fn a_charge_credited_while_its_answer_is_out_is_credited_there_once_it_is_known() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let patron_id = office.student().await;
    let loss = office.loss(patron_id, 4500, 0);
    office.apply(&loss).await;
    site.arm(json!({ "on": "create-charge", "kind": "drop-after-commit" }))
        .await;
    posting::work_queue(&office.billing).await.unwrap();
    let account = office.only_account(patron_id).await;
    assert_eq!(
        office.posting(&account, 0).await.state,
        PostingState::Unknown
    );
    office.apply(&office.returned(&loss)).await;
    assert_eq!(office.posting_count().await, 1, "the credit waits");
    office
        .work_until(&account, 0, PostingState::Acknowledged)
        .await;
    office
        .work_until(&account, 1, PostingState::Acknowledged)
        .await;
    assert_eq!(site.amounts(STUDENT).await, ["45.00", "-45.00"]);
    assert_eq!(office.assert_reconciled().await, usd(0));
}

#[tokio::test]
async fn the_credits_answer_may_be_lost_too() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1000).await;
    posting::work_queue(&office.billing).await.unwrap();
    office.waive(&account, 1000).await.unwrap();
    site.arm(json!({ "on": "create-charge", "kind": "drop-after-commit" }))
        .await;
    posting::work_queue(&office.billing).await.unwrap();
    office
        .work_until(&account, 1, PostingState::Acknowledged)
        .await;
    assert_eq!(site.amounts(STUDENT).await, ["10.00", "-10.00"]);
    assert_eq!(office.assert_reconciled().await, usd(0));
}

#[tokio::test]
async fn what_may_be_either_of_two_charges_is_left_to_a_person() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1000).await;
    site.arm(json!({ "on": "create-charge", "kind": "drop-after-commit" }))
        .await;
    posting::work_queue(&office.billing).await.unwrap();
    let ours = office.posting(&account, 0).await;
    // Somebody has entered it by hand as well, with our mark.
    let twin = carrel_student_accounts::Posting {
        posting_id: ours.id,
        reference: ours.reference.parse().unwrap(),
        student_id: STUDENT.into(),
        academic_period_id: TERM.into(),
        funding_destination_id: LIBRARY_CODE.into(),
        funding_source_id: None,
        amount: ours.amount,
        chargeable_on: Zoned::now().date().tomorrow().unwrap(),
        description: Description::new("Library overdue fine").unwrap(),
        reversal_of: None,
    };
    site.accounts(|_| {}).post(&twin).await;
    let looked_up =
        carrel_testkit::eventually("it is looked up", Duration::from_secs(10), async || {
            posting::work_queue(&office.billing).await.unwrap();
            let posting = office.posting(&account, 0).await;
            posting
                .problem
                .contains("a person has to look")
                .then_some(posting)
        })
        .await;
    assert_eq!(looked_up.state, PostingState::Unknown);
    assert_eq!(looked_up.attempt_count, 1);
}

#[tokio::test]
async fn a_failing_look_up_proves_nothing() {
    let site = Site::open().await;
    let mut office = Office::at(&site).await;
    let account = office.fined_student(1000).await;
    // No time in flight at all: only the failing look-ups stand between it and
    // a second line.
    office.billing.sis = Some(Arc::new(Sis {
        accounts: site.accounts(|_| {}),
        patience: posting::model::Patience {
            deadline: jiff::SignedDuration::from_secs(1),
            max_in_flight: jiff::SignedDuration::ZERO,
        },
    }));
    site.arm(json!({ "on": "create-charge", "kind": "drop-after-commit" }))
        .await;
    site.arm(json!({ "on": "query-charges", "kind": "status", "status": 503, "times": 3 }))
        .await;
    posting::work_queue(&office.billing).await.unwrap();
    office
        .work_until(&account, 0, PostingState::Acknowledged)
        .await;
    let (posting, attempts) = posting::get(&office.billing, posting_id(account.charge_key(), 0))
        .await
        .unwrap();
    assert_eq!(posting.attempt_count, 1);
    assert_eq!(
        attempts
            .iter()
            .filter(|attempt| attempt.outcome == "failed")
            .count(),
        3
    );
    assert_eq!(site.amounts(STUDENT).await, ["10.00"]);
}
