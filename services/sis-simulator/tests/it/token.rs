//! The token: one for many postings, renewed in time, and once more when it is refused.

use std::time::Duration;

use carrel_student_accounts::{Error, NotSentCause, PostOutcome};
use serde_json::json;

use crate::site::{Site, accounts, lost_item_fee};

const CHARGES: &str = "/api/student-charges";

#[tokio::test]
async fn many_postings_at_once_share_one_token() {
    let site = Site::open().await;
    let accounts = std::sync::Arc::new(site.accounts());
    let posting = || {
        let accounts = std::sync::Arc::clone(&accounts);
        tokio::spawn(async move { accounts.post(&lost_item_fee()).await })
    };
    let outcomes = (0..20).map(|_| posting()).collect::<Vec<_>>();
    for outcome in outcomes {
        assert!(matches!(
            outcome.await.unwrap(),
            PostOutcome::Accepted { .. }
        ));
    }
    assert_eq!(site.count_requests("POST", "/auth").await, 1);
    assert_eq!(site.lines().await.len(), 20);
}

#[tokio::test]
async fn a_token_at_the_end_of_its_life_is_renewed_before_it_is_used() {
    let site = Site::open().await;
    let accounts = site.accounts_with(|settings| settings.token_lifetime = Duration::ZERO);
    for _ in 0..2 {
        assert!(matches!(
            accounts.post(&lost_item_fee()).await,
            PostOutcome::Accepted { .. }
        ));
    }
    assert_eq!(site.count_requests("POST", "/auth").await, 2);
    assert_eq!(site.count_requests("POST", CHARGES).await, 2);
}

#[tokio::test]
async fn an_expired_token_is_renewed_and_the_posting_sent_again_once() {
    let site = Site::open().await;
    let accounts = site.accounts();
    assert!(matches!(
        accounts.post(&lost_item_fee()).await,
        PostOutcome::Accepted { .. }
    ));

    site.move_clock("2026-03-02T20:05:01Z").await;
    assert!(matches!(
        accounts.post(&lost_item_fee()).await,
        PostOutcome::Accepted { .. }
    ));

    assert_eq!(site.count_requests("POST", "/auth").await, 2);
    assert_eq!(site.count_requests("POST", CHARGES).await, 3);
    assert_eq!(site.lines().await.len(), 2);
}

#[tokio::test]
async fn a_token_that_is_refused_again_leaves_the_posting_not_sent() {
    let site = Site::open().await;
    site.arm(json!({ "on": "create-charge", "kind": "status", "status": 401, "times": 5 }))
        .await;
    let outcome = site.accounts().post(&lost_item_fee()).await;
    assert_eq!(
        outcome,
        PostOutcome::NotSent {
            cause: NotSentCause::NotAuthorised { status: 401 }
        }
    );
    assert_eq!(site.count_requests("POST", CHARGES).await, 2);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let site = Site::open().await;
    let wrong_key = accounts(&site.running.url(), |settings| {
        settings.api_key = "another".to_owned()
    });
    let refused = NotSentCause::NotAuthorised { status: 401 };
    assert_eq!(
        wrong_key.post(&lost_item_fee()).await,
        PostOutcome::NotSent { cause: refused }
    );
    let asked = wrong_key.find(&(&lost_item_fee()).into()).await;
    assert!(
        matches!(asked, Err(Error::NotAuthorised { status: 401 })),
        "{asked:?}"
    );

    for fault in [
        json!({ "on": "auth", "kind": "status", "status": 503 }),
        json!({ "on": "auth", "kind": "drop-before" }),
        json!({ "on": "auth", "kind": "delay", "delay_ms": 600_000 }),
    ] {
        site.arm(fault.clone()).await;
        let hasty = site.accounts_with(|settings| settings.deadline = Duration::from_millis(200));
        match hasty.post(&lost_item_fee()).await {
            PostOutcome::NotSent {
                cause: NotSentCause::NoToken(_),
            } => {}
            other => panic!("{fault}: {other:?}"),
        }
    }
    assert_eq!(site.count_requests("POST", CHARGES).await, 0);
}
