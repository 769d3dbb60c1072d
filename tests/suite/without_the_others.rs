//! What goes on when others don't.

use std::time::Duration;

use carrel_proto::billing::v1 as billing;
use carrel_proto::billing::v1::account_service_client::AccountServiceClient;
use carrel_proto::billing::v1::fee_fine_service_client::FeeFineServiceClient;
use carrel_proto::billing::v1::posting_service_client::PostingServiceClient;
use carrel_proto::patrons::v1::GetPatronByBarcodeRequest;
use carrel_proto::patrons::v1::patron_service_client::PatronServiceClient;
use carrel_testkit::eventually;
use serde_json::{Value, json};

use crate::apart::ApartSuite;

const JUNIPER: &str = "20417000000010";
/// The same student in the student-information system.
const JUNIPER_AT_SIS: &str = "fd0e99d4-dc15-5be9-b17e-2eb50ccbdc3d";
const GATSBY: &str = "30417000064014";
const PRIDE: &str = "30417000147017";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_out_works_with_patrons_catalog_and_billing_stopped() {
    let mut suite = ApartSuite::start().await;
    let desk = suite.known.service_point("ALDM-CIRC").await;
    suite.known.level("circulation").await;
    for service in ["patrons", "catalog", "billing", "budgeting"] {
        suite.kill(service);
    }

    let lent = suite.known.lend(&desk, GATSBY, JUNIPER).await.unwrap();
    let ages: Vec<_> = lent
        .projection_ages
        .iter()
        .map(|age| age.source.as_str())
        .collect();
    for source in ["catalog", "patrons", "billing"] {
        assert!(
            ages.contains(&source),
            "the answer does not say how old {source} is: {ages:?}"
        );
    }
    suite.known.lend(&desk, PRIDE, JUNIPER).await.unwrap();
    let returned = suite.known.take_back(&desk, GATSBY).await.unwrap();
    assert!(returned.loan.is_some());
}

async fn posted_lines(suite: &ApartSuite, reference: &str) -> usize {
    let url = format!("{}/admin/statements/{JUNIPER_AT_SIS}", suite.sis.url());
    let statement: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    let lines = statement["lines"].as_array().unwrap();
    lines
        .iter()
        .filter(|line| line.to_string().contains(reference))
        .count()
}

async fn charge_juniper(suite: &ApartSuite) -> billing::Account {
    let mut patrons = PatronServiceClient::new(suite.known.channel("patrons"));
    let request = GetPatronByBarcodeRequest {
        barcode: JUNIPER.into(),
    };
    let patron = patrons
        .get_patron_by_barcode(request)
        .await
        .unwrap()
        .into_inner();
    let mut fees = FeeFineServiceClient::new(suite.known.channel("billing"));
    let owners = fees.list_fee_fine_owners(billing::ListFeeFineOwnersRequest::default());
    let owners = owners.await.unwrap().into_inner().fee_fine_owners;
    let types = fees.list_fee_fine_types(billing::ListFeeFineTypesRequest::default());
    let types = types.await.unwrap().into_inner().fee_fine_types;
    let damaged = types
        .iter()
        .find(|fee_type| fee_type.code == "damaged-item")
        .unwrap();
    let mut accounts = AccountServiceClient::new(suite.known.channel("billing"));
    let request = billing::CreateAccountRequest {
        patron_id: patron.patron.unwrap().id,
        fee_fine_owner_id: owners[0].id.clone(),
        fee_fine_type_id: damaged.id.clone(),
        request_id: carrel_ids::new_id().to_string(),
        ..Default::default()
    };
    accounts
        .create_account(request)
        .await
        .unwrap()
        .into_inner()
        .account
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn billing_killed_between_the_commit_and_the_answer_posts_the_charge_once() {
    let mut suite = ApartSuite::start().await;
    suite.known.level("billing").await;
    let faults = format!("{}/admin/faults", suite.sis.url());
    let http = reqwest::Client::new();
    let fault = json!({"on": "create-charge", "kind": "hold-after-commit"});
    http.post(&faults)
        .json(&fault)
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();

    let account = charge_juniper(&suite).await;
    eventually(
        "the student-account system has committed",
        Duration::from_secs(30),
        async || {
            let armed: Value = http.get(&faults).send().await.ok()?.json().await.ok()?;
            armed.to_string().contains("\"fired\":1").then_some(())
        },
    )
    .await;
    suite.kill("billing");
    http.delete(&faults).send().await.unwrap();
    suite.run("billing");
    suite.ready("billing").await;

    let postings = PostingServiceClient::new(suite.known.channel("billing"));
    let posting = eventually(
        "the lost answer is found",
        Duration::from_secs(120),
        async || {
            let request = billing::ListPostingsRequest {
                account_id: account.id.clone(),
                ..Default::default()
            };
            let answer = postings
                .clone()
                .list_postings(request)
                .await
                .ok()?
                .into_inner();
            let mut postings = answer.postings.into_iter();
            postings.find(|posting| posting.state() == billing::PostingState::Acknowledged)
        },
    )
    .await;
    assert_eq!(posting.attempt_count, 1, "{}", suite.log("billing"));
    assert_eq!(posted_lines(&suite, &account.reference).await, 1);
}
