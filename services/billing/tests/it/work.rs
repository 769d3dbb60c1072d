//! The queue that people work.

use std::time::Duration;

use carrel_billing::account::model::Account;
use carrel_billing::error::Error;
use carrel_billing::posting;
use carrel_billing::posting::model::{Posting, PostingState, posting_id};
use carrel_billing::posting::work::{self, Finding};
use carrel_testkit::eventually;
use serde_json::json;

use crate::office::{Office, desk, new_request, usd};
use crate::site::{STUDENT, Site};

async fn resolve(office: &Office, account: &Account, finding: Finding) -> Result<Posting, Error> {
    let id = posting_id(account.charge_key(), 0);
    let evidence = "looked at the statement of 11111111-1111-4111-8111-111111111111";
    work::resolve_unknown(
        &office.billing,
        &new_request(),
        &desk(),
        id,
        &finding,
        evidence,
    )
    .await
}

async fn give_back(office: &Office, account: &Account) -> Result<Posting, Error> {
    let id = posting_id(account.charge_key(), 0);
    work::return_to_library(&office.billing, &new_request(), &desk(), id, "a hardship").await
}

/// A fine whose answer got lost, at a site that cannot be asked for a while.
async fn lost(site: &Site, office: &Office, kind: &str) -> Account {
    let account = office.fined_student(1735).await;
    site.arm(json!({ "on": "create-charge", "kind": kind }))
        .await;
    site.arm(json!({ "on": "query-charges", "kind": "status", "status": 503, "times": 1000 }))
        .await;
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(
        office.posting(&account, 0).await.state,
        PostingState::Unknown
    );
    account
}

#[tokio::test]
async fn a_person_who_finds_the_charge_settles_what_nobody_knew() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = lost(&site, &office, "drop-after-commit").await;
    let waiting = work::list(&office.billing, None, 10).await.unwrap();
    assert_eq!(waiting.len(), 1);
    let statement = site
        .admin(reqwest::Method::GET, &format!("statements/{STUDENT}"), None)
        .await;
    let charge = statement["lines"][0]["id"].as_str().unwrap().to_owned();
    let found = resolve(&office, &account, Finding::Found(charge))
        .await
        .unwrap();
    assert_eq!(found.state, PostingState::Acknowledged);
    assert!(
        work::list(&office.billing, None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let again = resolve(&office, &account, Finding::NotFound).await;
    assert!(
        matches!(again, Err(Error::PostingNotUnknown)),
        "once is enough"
    );
    let (_, attempts) = posting::get(&office.billing, found.id).await.unwrap();
    let said = attempts
        .iter()
        .find(|attempt| attempt.kind == "person")
        .unwrap();
    assert_eq!(said.outcome, "found");
    assert_eq!(said.detail, "desk-1: looked at the statement of [student]");
    site.admin(reqwest::Method::DELETE, "faults", None).await;
    assert_eq!(office.assert_reconciled().await, usd(1735));
}

#[tokio::test]
async fn not_to_find_it_proves_nothing_while_it_may_still_be_taken() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = lost(&site, &office, "drop-before").await;
    let early = resolve(&office, &account, Finding::NotFound).await;
    assert!(matches!(early, Err(Error::PostingInFlight)), "{early:?}");
    let resolved = eventually(
        "it can no more be taken",
        Duration::from_secs(10),
        async || resolve(&office, &account, Finding::NotFound).await.ok(),
    )
    .await;
    assert_eq!(resolved.state, PostingState::Pending);
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(site.amounts(STUDENT).await, ["17.35"]);
}

#[tokio::test]
async fn one_charge_there_is_not_two_postings_here() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let first = office.fined_student(500).await;
    posting::work_queue(&office.billing).await.unwrap();
    let taken = office.posting(&first, 0).await.sis_charge_id.unwrap();
    let account = lost(&site, &office, "drop-before").await;
    let refused = resolve(&office, &account, Finding::Found(taken)).await;
    assert!(matches!(refused, Err(Error::SisChargeTaken)), "{refused:?}");
    assert_eq!(
        office.posting(&account, 0).await.state,
        PostingState::Unknown
    );
}

#[tokio::test]
async fn a_charge_that_is_returned_to_the_library_is_paid_there_until_somebody_lifts_it() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1000).await;
    site.arm(json!({ "on": "create-charge", "kind": "reject" }))
        .await;
    posting::work_queue(&office.billing).await.unwrap();
    let returned = give_back(&office, &account).await.unwrap();
    assert_eq!(returned.state, PostingState::Cancelled);
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(site.lines(STUDENT).await, [], "it is not posted by itself");
    office.pay(&account, 400).await.unwrap();
    work::lift_hold(&office.billing, &new_request(), account.id)
        .await
        .unwrap();
    let gone = work::lift_hold(&office.billing, &new_request(), account.id).await;
    assert!(matches!(gone, Err(Error::PostingHoldNotFound)));
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(site.amounts(STUDENT).await, ["6.00"]);
    let there = work::return_to_library(
        &office.billing,
        &new_request(),
        &desk(),
        posting_id(account.charge_key(), 1),
        "too late",
    )
    .await;
    assert!(matches!(there, Err(Error::PostingNotHere)), "{there:?}");
    office.assert_reconciled().await;
}

#[tokio::test]
async fn a_request_that_comes_twice_is_done_once() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1000).await;
    site.arm(json!({ "on": "create-charge", "kind": "reject" }))
        .await;
    posting::work_queue(&office.billing).await.unwrap();
    let (key, id) = (new_request(), posting_id(account.charge_key(), 0));
    for _ in 0..2 {
        let returned =
            work::return_to_library(&office.billing, &key, &desk(), id, "a hardship").await;
        assert_eq!(returned.unwrap().state, PostingState::Cancelled);
    }
}
