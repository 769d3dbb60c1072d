//! Every way in which a posting can go, and what the adapter says of it. See the table in its `verdict` module.

use std::time::Duration;

use carrel_student_accounts::{
    FindOutcome, NotSentCause, PostOutcome, PostingLookup, Reversal, SisError, StudentAccounts,
    UnknownCause,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::site::{
    CLOSED_TERM, LIBRARY_CODE, MEDIA_TYPE, OPEN_TERM, STUDENT, Site, accounts, lost_item_fee,
    until, usd,
};

/// The SIS's id of a posting that must be there exactly once.
async fn found(accounts: &StudentAccounts, lookup: &PostingLookup) -> String {
    match accounts.find(lookup).await.unwrap() {
        FindOutcome::Found(charge) => charge.sis_id,
        other => panic!("not found: {other:?}"),
    }
}

fn codes(errors: &[SisError]) -> Vec<&str> {
    errors.iter().map(|error| error.code.as_str()).collect()
}

#[tokio::test]
async fn a_lost_item_fee_reaches_the_students_statement() {
    let site = Site::open().await;
    let accounts = site.accounts();
    let fee = lost_item_fee();

    let PostOutcome::Accepted { sis_id } = accounts.post(&fee).await else {
        panic!("not accepted")
    };

    let lines = site.lines().await;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["id"], *sis_id);
    assert_eq!(lines[0]["amount"], "17.35");
    assert_eq!(
        lines[0]["description"],
        format!("Library lost-item fee, ref {}", fee.reference)
    );
    assert_eq!(found(&accounts, &(&fee).into()).await, sis_id);
    let charge = accounts.find_charge(&sis_id).await.unwrap().unwrap();
    assert_eq!(
        (charge.amount, charge.chargeable_on),
        (Some(fee.amount), Some(fee.chargeable_on))
    );
    assert_eq!(
        accounts
            .find_charge("11111111-1111-4111-8111-999999999999")
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn an_answer_lost_after_the_commit_is_unknown_and_then_found_once() {
    for kind in [
        "drop-after-commit",
        "status-after-commit",
        "garble-after-commit",
    ] {
        let site = Site::open().await;
        let accounts = site.accounts();
        let fee = lost_item_fee();
        site.arm(json!({ "on": "create-charge", "kind": kind }))
            .await;

        let outcome = accounts.post(&fee).await;
        let PostOutcome::Unknown { cause } = outcome else {
            panic!("{kind}: {outcome:?}")
        };
        let lost = match kind {
            "drop-after-commit" => matches!(cause, UnknownCause::ConnectionLost(_)),
            "status-after-commit" => cause == UnknownCause::Status(503),
            _ => matches!(cause, UnknownCause::Unreadable(_)),
        };
        assert!(lost, "{kind}: {cause}");
        assert_eq!(site.fired().await, 1);
        let lines = site.lines().await;
        assert_eq!(lines.len(), 1, "{kind}");
        assert_eq!(
            found(&accounts, &(&fee).into()).await,
            lines[0]["id"].as_str().unwrap()
        );
    }
}

#[tokio::test]
async fn a_dropped_answer_is_not_a_single_byte() {
    for kind in ["drop-before", "drop-after-commit"] {
        let site = Site::open().await;
        let token = site.token().await;
        site.arm(json!({ "on": "create-payment", "kind": kind }))
            .await;
        let body = json!({
            "id": "00000000-0000-0000-0000-000000000000",
            "student": { "id": STUDENT },
            "fundingDestination": { "id": LIBRARY_CODE },
            "academicPeriod": { "id": OPEN_TERM },
            "paymentType": "cash",
            "paidOn": "2026-03-02T09:30:00",
            "amount": { "value": 5, "currency": "USD" },
        })
        .to_string();
        let head = format!(
            "POST /api/student-payments HTTP/1.1\r\nHost: sis\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: {MEDIA_TYPE}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut line = TcpStream::connect(site.running.address).await.unwrap();
        line.write_all((head + &body).as_bytes()).await.unwrap();

        let mut answer = Vec::new();
        let read =
            tokio::time::timeout(Duration::from_secs(10), line.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "{kind}: the connection stayed open");
        assert!(answer.is_empty(), "{kind}: {answer:?}");
        let committed = usize::from(kind == "drop-after-commit");
        assert_eq!(site.lines().await.len(), committed, "{kind}");
    }
}

#[tokio::test]
async fn what_may_or_may_not_have_been_taken_is_unknown_and_is_not_sent_again() {
    for (fault, expected) in [
        (json!({ "kind": "drop-before" }), None),
        (json!({ "kind": "status", "status": 500 }), Some(500)),
        (
            json!({ "kind": "status", "status": 503, "retry_after_seconds": 1 }),
            Some(503),
        ),
        (json!({ "kind": "status", "status": 408 }), Some(408)),
        (json!({ "kind": "status", "status": 307 }), Some(307)),
    ] {
        let site = Site::open().await;
        let accounts = site.accounts();
        let fee = lost_item_fee();
        let mut armed = fault.clone();
        armed["on"] = "create-charge".into();
        site.arm(armed).await;

        match (accounts.post(&fee).await, expected) {
            (
                PostOutcome::Unknown {
                    cause: UnknownCause::ConnectionLost(_),
                },
                None,
            ) => {}
            (
                PostOutcome::Unknown {
                    cause: UnknownCause::Status(status),
                },
                Some(expected),
            ) if status == expected => {}
            (other, _) => panic!("{fault}: {other:?}"),
        }

        assert_eq!(
            site.count_requests("POST", "/api/student-charges").await,
            1,
            "{fault}"
        );
        assert_eq!(
            accounts.find(&(&fee).into()).await.unwrap(),
            FindOutcome::NotFound,
            "{fault}"
        );
    }
}

#[tokio::test]
async fn a_commit_after_the_client_gave_up_is_unknown_then_absent_then_found() {
    let site = Site::open().await;
    let hasty = site.accounts_with(|settings| settings.deadline = Duration::from_millis(200));
    let fee = lost_item_fee();
    let fault = site
        .arm(json!({ "on": "create-charge", "kind": "late-commit", "delay_ms": 600_000 }))
        .await;

    assert_eq!(
        hasty.post(&fee).await,
        PostOutcome::Unknown {
            cause: UnknownCause::Timeout
        }
    );
    // Here lies the trap: an empty look-up does not prove that the charge will not come.
    assert_eq!(
        site.accounts().find(&(&fee).into()).await.unwrap(),
        FindOutcome::NotFound
    );

    site.admin(
        Method::POST,
        &format!("/admin/faults/{fault}/release"),
        None,
    )
    .await;
    until("the late commit", async || site.lines().await.len() == 1).await;
    found(&site.accounts(), &(&fee).into()).await;
    let faults = site.admin(Method::GET, "/admin/faults", None).await;
    assert_eq!(faults[0]["last_id"], site.lines().await[0]["id"]);
}

#[tokio::test]
async fn a_slow_sis_is_waited_for_until_the_deadline_and_not_longer() {
    let site = Site::open().await;
    site.arm(json!({ "on": "create-charge", "kind": "delay", "delay_ms": 50 }))
        .await;
    assert!(matches!(
        site.accounts().post(&lost_item_fee()).await,
        PostOutcome::Accepted { .. }
    ));

    site.arm(json!({ "on": "create-charge", "kind": "delay", "delay_ms": 600_000 }))
        .await;
    let hasty = site.accounts_with(|settings| settings.deadline = Duration::from_millis(200));
    let outcome = hasty.post(&lost_item_fee()).await;
    assert_eq!(
        outcome,
        PostOutcome::Unknown {
            cause: UnknownCause::Timeout
        }
    );
}

#[tokio::test]
async fn billing_killed_between_the_commit_and_the_answer_leaves_one_charge_to_find() {
    let site = Site::open().await;
    let fee = lost_item_fee();
    site.arm(json!({ "on": "create-charge", "kind": "hold-after-commit" }))
        .await;

    let billing = tokio::spawn({
        let (accounts, fee) = (site.accounts(), fee.clone());
        async move { accounts.post(&fee).await }
    });
    until("the commit", async || site.fired().await == 1).await;
    billing.abort();
    assert!(billing.await.unwrap_err().is_cancelled());

    assert_eq!(site.lines().await.len(), 1);
    found(&site.accounts(), &(&fee).into()).await;
}

#[tokio::test]
async fn an_answer_held_back_and_released_in_time_is_an_acceptance() {
    let site = Site::open().await;
    let fault = site
        .arm(json!({ "on": "create-charge", "kind": "hold-after-commit" }))
        .await;
    let billing = tokio::spawn({
        let accounts = site.accounts();
        async move { accounts.post(&lost_item_fee()).await }
    });
    until("the commit", async || site.fired().await == 1).await;
    assert!(!billing.is_finished());
    site.admin(
        Method::POST,
        &format!("/admin/faults/{fault}/release"),
        None,
    )
    .await;
    assert!(matches!(
        billing.await.unwrap(),
        PostOutcome::Accepted { .. }
    ));
}

#[tokio::test]
async fn a_refused_posting_comes_back_with_every_reason() {
    let site = Site::open().await;
    let accounts = site.accounts();
    let mut fee = lost_item_fee();
    fee.student_id = "11111111-1111-4111-8111-999999999999".to_owned();
    fee.academic_period_id = CLOSED_TERM.to_owned();
    fee.chargeable_on = jiff::civil::date(2026, 3, 1);

    let PostOutcome::Rejected { errors } = accounts.post(&fee).await else {
        panic!("not rejected")
    };

    let texts = errors
        .iter()
        .map(|error| error.description.as_str())
        .collect::<Vec<_>>();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts[0].contains("is not a student"));
    assert!(texts[1].contains("academicPeriod 2025FA is closed"));
    assert!(texts[2].contains("earlier than today"));

    site.arm(json!({ "on": "create-charge", "kind": "reject" }))
        .await;
    let PostOutcome::Rejected { errors } = accounts.post(&lost_item_fee()).await else {
        panic!("not rejected")
    };
    assert_eq!(
        codes(&errors),
        ["Validation.Exception", "Validation.Exception"]
    );
    assert!(site.lines().await.is_empty());
}

#[tokio::test]
async fn a_sis_that_cannot_be_reached_has_got_nothing() {
    let site = Site::open().await;
    let url = site.running.url();
    site.running.stop().await.unwrap();
    let nobody_listens = accounts(&url, |_| {});
    let no_such_name = accounts("http://sis.invalid", |settings| {
        settings.allow_plain_http = true
    });
    for accounts in [nobody_listens, no_such_name] {
        match accounts.post(&lost_item_fee()).await {
            PostOutcome::NotSent {
                cause: NotSentCause::Unreachable(_),
            } => {}
            other => panic!("{other:?}"),
        }
        assert!(accounts.find(&(&lost_item_fee()).into()).await.is_err());
    }
}

#[tokio::test]
async fn a_refusal_before_the_posting_was_looked_at_is_not_sent() {
    let retry_after = Some(Duration::from_secs(7));
    for (answer, expected) in [
        (
            json!({ "status": 403 }),
            NotSentCause::NotAuthorised { status: 403 },
        ),
        (
            json!({ "status": 404 }),
            NotSentCause::Misdirected { status: 404 },
        ),
        (
            json!({ "status": 415 }),
            NotSentCause::Misdirected { status: 415 },
        ),
        (
            json!({ "status": 429 }),
            NotSentCause::Throttled { retry_after: None },
        ),
        (
            json!({ "status": 429, "retry_after_seconds": 7 }),
            NotSentCause::Throttled { retry_after },
        ),
    ] {
        let site = Site::open().await;
        let mut fault: Value = answer;
        fault["on"] = "create-charge".into();
        fault["kind"] = "status".into();
        site.arm(fault).await;
        assert_eq!(
            site.accounts().post(&lost_item_fee()).await,
            PostOutcome::NotSent { cause: expected }
        );
        assert!(site.lines().await.is_empty());
    }
}

#[tokio::test]
async fn a_reversal_is_a_line_of_its_own_and_not_taken_for_its_original() {
    let site = Site::open().await;
    let accounts = site.accounts();
    let fee = lost_item_fee();
    let mut credit = lost_item_fee();
    credit.amount = fee.amount.negated();
    credit.reversal_of = Some(Reversal {
        posting_id: fee.posting_id,
        reference: fee.reference,
    });

    assert!(matches!(
        accounts.post(&fee).await,
        PostOutcome::Accepted { .. }
    ));
    assert_eq!(
        accounts.find(&(&credit).into()).await.unwrap(),
        FindOutcome::NotFound
    );
    assert!(matches!(
        accounts.post(&credit).await,
        PostOutcome::Accepted { .. }
    ));

    let lines = site.lines().await;
    assert_eq!(
        found(&accounts, &(&fee).into()).await,
        lines[0]["id"].as_str().unwrap()
    );
    assert_eq!(
        found(&accounts, &(&credit).into()).await,
        lines[1]["id"].as_str().unwrap()
    );
    assert_eq!(
        (&lines[1]["kind"], &lines[1]["amount"]),
        (&json!("credit"), &json!("-17.35"))
    );
    assert_eq!(lines[1]["balance"], "0.00");
    let text = lines[1]["description"].as_str().unwrap();
    assert!(
        text.ends_with(&format!("reverses {}", fee.reference)),
        "{text}"
    );
}

#[tokio::test]
async fn what_the_site_does_not_take_is_refused_before_it_is_sent() {
    let site = Site::open_with(|config| config.negative_amounts = false).await;
    let informed = site.accounts_with(|settings| settings.negative_amounts = false);
    let mut credit = lost_item_fee();
    credit.amount = usd(-1735);
    let PostOutcome::Rejected { errors } = informed.post(&credit).await else {
        panic!("not rejected")
    };
    assert_eq!(codes(&errors), ["carrel.NegativeAmount"]);

    let mut wrong = lost_item_fee();
    wrong.reversal_of = Some(Reversal {
        posting_id: wrong.posting_id,
        reference: wrong.reference,
    });
    let PostOutcome::Rejected { errors } = informed.post(&wrong).await else {
        panic!("not rejected")
    };
    assert_eq!(codes(&errors), ["carrel.ReversalNotNegative"]);
    assert!(site.requests().await.is_empty());

    // A site that is set up as if it took them is told by the SIS itself.
    assert!(matches!(
        site.accounts().post(&credit).await,
        PostOutcome::Rejected { .. }
    ));
}
