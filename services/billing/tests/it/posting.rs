//! A charge on its way to the student account, when everything works.

use carrel_billing::account::model::{ActionKind, FeeFineKind, PaymentStatus};
use carrel_billing::error::Error;
use carrel_billing::posting::model::PostingState;
use carrel_billing::posting::reconciliation::{DifferenceKind, reconcile};
use carrel_billing::posting::{self, Run, settlement};
use carrel_billing::{account, posting::model::posting_id};
use carrel_ids::new_id;
use carrel_student_accounts::{Description, Posting};
use jiff::{SignedDuration, Zoned};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::office::{Office, desk, new_request, usd};
use crate::site::{LIBRARY_CODE, STUDENT, Site, TERM};

#[tokio::test]
async fn a_charge_reaches_the_student_account_once_and_is_still_owed_there() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1735).await;
    let run = posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(
        run,
        Run {
            created: 1,
            acknowledged: 1,
            ..Run::default()
        }
    );
    assert_eq!(
        posting::work_queue(&office.billing).await.unwrap(),
        Run::default()
    );

    let text = format!("Library overdue fine, ref {}", account.reference);
    assert_eq!(site.lines(STUDENT).await, [(text, "17.35".to_owned())]);
    let now = office.now(&account).await;
    assert_eq!(now.payment_status, PaymentStatus::TransferredFully);
    assert_eq!(office.owed(account.patron_id).await, usd(1735));
    assert!(matches!(
        office.pay(&account, 100).await,
        Err(Error::AtStudentAccount)
    ));
    assert_eq!(office.assert_reconciled().await, usd(1735));
}

#[tokio::test]
async fn a_charge_made_again_from_its_event_has_the_same_reference_and_posting() {
    let (before, after) = (Office::open().await, Office::open().await);
    let patron_id = new_id();
    let fine = before.fine(patron_id, 1735);
    before.apply(&fine).await;
    // The database was restored from before the fine, which comes again.
    after.apply(&fine).await;
    let (first, again) = (
        before.only_account(patron_id).await,
        after.only_account(patron_id).await,
    );
    assert_ne!(first.id, again.id);
    assert_eq!(first.reference, again.reference);
    assert_eq!(
        posting_id(first.charge_key(), 0),
        posting_id(again.charge_key(), 0)
    );
}

#[tokio::test]
async fn who_has_no_student_account_is_never_posted() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let community = new_id();
    office.apply(&office.fine(community, 100)).await;
    assert_eq!(
        posting::work_queue(&office.billing).await.unwrap(),
        Run::default()
    );
    assert_eq!(office.posting_count().await, 0);
}

#[tokio::test]
async fn the_remaining_amount_is_posted_not_the_original_one() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1000).await;
    office.pay(&account, 350).await.unwrap();
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(site.amounts(STUDENT).await, ["6.50"]);
    office.assert_reconciled().await;
}

#[tokio::test]
async fn a_charge_that_is_paid_while_its_posting_waits_is_never_posted() {
    let site = Site::open().await;
    let mut office = Office::open().await;
    office.billing.sis = crate::office::impatient(site.accounts(|_| {}));
    office.add_route(FeeFineKind::OverdueFine).await;
    let account = office.fined_student(1000).await;
    let run = posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(
        (run.created, run.unrouted),
        (1, 1),
        "there is no period yet"
    );
    office.pay(&account, 400).await.unwrap();
    assert_eq!(office.posting(&account, 0).await.amount, usd(600));
    office.pay(&account, 600).await.unwrap();
    assert_eq!(
        office.posting(&account, 0).await.state,
        PostingState::Cancelled
    );
    office.add_term().await;
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(site.lines(STUDENT).await, []);
    office.assert_reconciled().await;
}

#[tokio::test]
async fn a_charge_without_a_route_waits_for_a_person() {
    let site = Site::open().await;
    let mut office = Office::open().await;
    office.billing.sis = crate::office::impatient(site.accounts(|_| {}));
    office.add_term().await;
    let account = office.fined_student(1000).await;
    posting::work_queue(&office.billing).await.unwrap();
    let waiting = office.posting(&account, 0).await;
    assert_eq!(waiting.state, PostingState::Unrouted);
    assert!(waiting.problem.contains("route"), "{}", waiting.problem);
    let retry =
        || async { posting::retry(&office.billing, &new_request(), &desk(), waiting.id).await };
    assert_eq!(retry().await.unwrap().state, PostingState::Unrouted);
    office.add_route(FeeFineKind::OverdueFine).await;
    assert_eq!(retry().await.unwrap().state, PostingState::Pending);
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(site.amounts(STUDENT).await, ["10.00"]);
    assert!(matches!(retry().await, Err(Error::PostingNotWaiting)));
}

#[tokio::test]
async fn nothing_is_posted_before_its_age() {
    let site = Site::open().await;
    let mut office = Office::at(&site).await;
    office.billing.posting_after = SignedDuration::from_hours(7 * 24);
    let account = office.fined_student(1000).await;
    assert_eq!(
        posting::work_queue(&office.billing).await.unwrap(),
        Run::default()
    );
    let week = office.billing.clock.now() + SignedDuration::from_hours(7 * 24);
    office.billing.clock.set(week).unwrap();
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(
        office.posting(&account, 0).await.state,
        PostingState::Acknowledged
    );
}

#[tokio::test]
async fn a_returned_lost_item_is_credited_once_on_both_sides() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let patron_id = office.student().await;
    let loss = office.loss(patron_id, 4500, 1000);
    office.apply(&loss).await;
    posting::work_queue(&office.billing).await.unwrap();
    for _ in 0..2 {
        office.apply(&office.returned(&loss)).await;
        posting::work_queue(&office.billing).await.unwrap();
    }
    let mut amounts = site.amounts(STUDENT).await;
    amounts.sort();
    assert_eq!(amounts, ["-45.00", "10.00", "45.00"]);
    let fee = &office.accounts(patron_id).await[0];
    let credit = office.posting(fee, 1).await;
    assert_eq!(
        credit.reverses_posting_id,
        Some(posting_id(fee.charge_key(), 0))
    );
    let texts: Vec<String> = site
        .lines(STUDENT)
        .await
        .into_iter()
        .map(|(text, _)| text)
        .collect();
    let reverses = format!("ref {}, reverses {}", credit.reference, fee.reference);
    assert!(
        texts.iter().any(|text| text.ends_with(&reverses)),
        "{texts:?}"
    );
    // The desk finds the charge by the credit's reference too.
    let reference = credit.reference.parse().unwrap();
    assert_eq!(
        account::get_by_reference(&office.billing, reference)
            .await
            .unwrap()
            .0
            .id,
        fee.id
    );
    assert_eq!(office.owed(patron_id).await, usd(1000));
    assert_eq!(office.assert_reconciled().await, usd(1000));
}

#[tokio::test]
async fn a_waiver_of_what_is_at_the_student_account_is_credited_there() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1000).await;
    posting::work_queue(&office.billing).await.unwrap();
    office.waive(&account, 250).await.unwrap();
    office.waive(&account, 50).await.unwrap();
    assert_eq!(office.owed(account.patron_id).await, usd(700), "at once");
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(site.amounts(STUDENT).await, ["10.00", "-3.00"]);
    office.waive(&account, 700).await.unwrap();
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(site.amounts(STUDENT).await, ["10.00", "-3.00", "-7.00"]);
    assert_eq!(office.assert_reconciled().await, usd(0));
}

#[tokio::test]
async fn what_is_paid_at_the_cashier_is_settled_oldest_first() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let patron_id = office.student().await;
    let loss = office.loss(patron_id, 4500, 0);
    office.apply(&loss).await;
    posting::work_queue(&office.billing).await.unwrap();
    let account = office.only_account(patron_id).await;
    let charge = office.posting(&account, 0).await.sis_charge_id.unwrap();
    let settle = format!("charges/{charge}/settle");
    site.admin(Method::POST, &settle, Some(json!({ "amount": "20.00" })))
        .await;
    assert_eq!(
        settlement::ask_what_was_paid(&office.billing)
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        settlement::ask_what_was_paid(&office.billing)
            .await
            .unwrap(),
        0
    );
    assert_eq!(office.owed(patron_id).await, usd(2500));
    assert_eq!(
        office.posting(&account, 0).await.state,
        PostingState::Acknowledged
    );
    site.admin(Method::POST, &settle, None).await;
    settlement::ask_what_was_paid(&office.billing)
        .await
        .unwrap();
    let settled = office.posting(&account, 0).await;
    assert_eq!(settled.state, PostingState::Settled);
    assert_eq!(settled.settlement_basis, "estimated");
    assert_eq!(office.owed(patron_id).await, usd(0));
    office.assert_reconciled().await;

    // The book comes back after all: one credit there; the bursar decides who
    // gets the money.
    office.apply(&office.returned(&loss)).await;
    posting::work_queue(&office.billing).await.unwrap();
    settlement::ask_what_was_paid(&office.billing)
        .await
        .unwrap();
    let amounts = site.amounts(STUDENT).await;
    assert!(amounts.contains(&"-45.00".to_owned()), "{amounts:?}");
    let (_, actions) = account::get(&office.billing, account.id).await.unwrap();
    let kinds: Vec<ActionKind> = actions.iter().map(|action| action.kind).collect();
    use ActionKind::{Charge, Credit, Settle, Transfer};
    assert_eq!(kinds, [Charge, Transfer, Settle, Settle, Credit, Transfer]);
    assert_eq!(office.owed(patron_id).await, usd(0));
    office.assert_reconciled().await;
}

#[tokio::test]
async fn reconciliation_names_every_difference() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1735).await;
    posting::work_queue(&office.billing).await.unwrap();
    office.assert_reconciled().await;
    let posting = office.posting(&account, 0).await;
    let sis_id = posting.sis_charge_id.clone().unwrap();
    site.admin(
        Method::POST,
        &format!("charges/{sis_id}/adjust"),
        Some(json!({ "amount": "17.36" })),
    )
    .await;
    // A twin of our posting, and a charge with a reference that nobody gave.
    let accounts = site.accounts(|_| {});
    let mut stranger = Posting {
        posting_id: posting.id,
        reference: posting.reference.parse().unwrap(),
        student_id: STUDENT.into(),
        academic_period_id: TERM.into(),
        funding_destination_id: LIBRARY_CODE.into(),
        funding_source_id: None,
        amount: usd(1735),
        chargeable_on: Zoned::now().date().tomorrow().unwrap(),
        description: Description::new("Library overdue fine").unwrap(),
        reversal_of: None,
    };
    accounts.post(&stranger).await;
    stranger.posting_id = Uuid::from_u128(7);
    stranger.reference = "ZZZZZZZZ".parse().unwrap();
    accounts.post(&stranger).await;

    let result = reconcile(&office.billing).await.unwrap();
    let mut found: Vec<_> = result
        .differences
        .iter()
        .map(|difference| {
            (
                format!("{:?}", difference.kind),
                difference.ours,
                difference.theirs,
            )
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        found,
        [
            (
                format!("{:?}", DifferenceKind::Amount),
                usd(1735),
                usd(1736)
            ),
            (
                format!("{:?}", DifferenceKind::DoubledAtSis),
                usd(1735),
                usd(1735)
            ),
            (
                format!("{:?}", DifferenceKind::UnknownAtSis),
                usd(0),
                usd(1735)
            ),
        ]
    );
    assert_eq!(result.ledger_total, usd(1735));
    assert_eq!(result.sis_total, usd(1736 + 1735 + 1735));
}

#[tokio::test]
async fn only_what_may_leave_reaches_the_student_information_system() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let patron_id = office.student().await;
    let loss = office.loss(patron_id, 4500, 1000);
    office.apply(&loss).await;
    let account = office.accounts(patron_id).await.remove(0);
    office.waive(&account, 100).await.unwrap();
    posting::work_queue(&office.billing).await.unwrap();
    office.apply(&office.returned(&loss)).await;
    posting::work_queue(&office.billing).await.unwrap();
    office.assert_reconciled().await;

    let requests = site.admin(Method::GET, "requests", None).await;
    assert_eq!(requests["forgotten"], 0);
    let bytes = requests.to_string();
    let secrets = [
        patron_id.to_string(),
        loss.loan_id.clone(),
        loss.item_id.clone(),
        loss.loss_id.clone(),
        account.id.to_string(),
        account.fee_fine_owner_id.to_string(),
        "ALD-MAIN".into(),
        "shelved by us".into(),
        "desk-1".into(),
    ];
    for secret in secrets {
        assert!(!bytes.contains(&secret), "{secret} left");
    }
    let creates: Vec<_> = requests["requests"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|request| {
            request["method"] == "POST" && request["target"] == "/api/student-charges"
        })
        .collect();
    assert_eq!(creates.len(), 3);
    for create in creates {
        let body: serde_json::Value = match &create["body"] {
            serde_json::Value::String(text) => serde_json::from_str(text).unwrap(),
            other => other.clone(),
        };
        let mut members: Vec<&str> = body
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        members.sort_unstable();
        assert_eq!(
            members,
            [
                "academicPeriod",
                "chargeableOn",
                "chargedAmount",
                "comments",
                "fundingDestination",
                "id",
                "overrideDescription",
                "student"
            ]
        );
    }
}

/// Whatever the desk, circulation and the cashier do in whatever order, and
/// whatever answers get lost: the books stay sound, and both sides agree.
#[tokio::test]
async fn a_day_of_random_doings_ends_with_both_sides_agreeing_to_the_cent() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let patron_id = office.student().await;
    let fault = |kind: &str, probability: f64| json!({ "on": "create-charge", "kind": kind, "probability": probability, "seed": 11 });
    site.arm(fault("drop-after-commit", 0.2)).await;
    site.arm(fault("reject", 0.1)).await;
    let mut losses = Vec::new();
    let mut random = 20_260_302_u64;
    let mut draw = |below: u64| {
        // Knuth's MMIX generator: the same day every time.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for _ in 0..80 {
        let accounts = office.accounts(patron_id).await;
        let account =
            (!accounts.is_empty()).then(|| &accounts[draw(accounts.len() as u64) as usize]);
        let cents = 1 + draw(1_500) as i64;
        match (draw(7), account) {
            (0, _) => office.apply(&office.fine(patron_id, cents)).await,
            (1, _) => {
                let loss = office.loss(patron_id, cents, 500);
                office.apply(&loss).await;
                losses.push(loss);
            }
            // Refused where it is too much, closed or at the student account.
            (2, Some(account)) => drop(office.pay(account, cents).await),
            (3, Some(account)) => drop(office.waive(account, cents).await),
            (4, _) if !losses.is_empty() => {
                let loss = &losses[draw(losses.len() as u64) as usize];
                office.apply(&office.returned(loss)).await;
            }
            (5, Some(account)) => {
                let (posted, _) = match posting::get(
                    &office.billing,
                    posting_id(account.charge_key(), 0),
                )
                .await
                {
                    Ok(posting) => posting,
                    Err(_) => continue,
                };
                if posted.state == PostingState::Rejected {
                    posting::retry(&office.billing, &new_request(), &desk(), posted.id)
                        .await
                        .unwrap();
                } else if let Some(charge) = posted.sis_charge_id
                    && account.at_sis.is_positive()
                {
                    // Counted for an older charge, it may be outstanding here
                    // and paid there.
                    site.pay(&charge).await;
                    settlement::ask_what_was_paid(&office.billing)
                        .await
                        .unwrap();
                }
            }
            _ => drop(posting::work_queue(&office.billing).await.unwrap()),
        }
        office.assert_sound().await;
    }
    site.admin(Method::DELETE, "faults", None).await;
    carrel_testkit::eventually(
        "all is posted",
        std::time::Duration::from_secs(30),
        async || {
            let rejected: Vec<Uuid> =
                sqlx::query_scalar("select id from posting where state = 'rejected'")
                    .fetch_all(&office.pool)
                    .await
                    .unwrap();
            for id in rejected {
                posting::retry(&office.billing, &new_request(), &desk(), id)
                    .await
                    .unwrap();
            }
            posting::work_queue(&office.billing).await.unwrap();
            let apart: i64 =
                sqlx::query_scalar("select count(*) from account where remaining <> at_sis")
                    .fetch_one(&office.pool)
                    .await
                    .unwrap();
            (apart == 0).then_some(())
        },
    )
    .await;
    office.assert_reconciled().await;
}
