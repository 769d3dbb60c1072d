//! Whatever is wrong, the answer says what, and nothing panics.

use std::collections::BTreeMap;

use carrel_proto::billing::v1::account_service_client::AccountServiceClient;
use carrel_proto::billing::v1::fee_fine_service_client::FeeFineServiceClient;
use carrel_proto::billing::v1::{
    CreateAccountRequest, ListFeeFineOwnersRequest, ListFeeFineTypesRequest,
};
use carrel_proto::budgeting::v1::budget_service_client::BudgetServiceClient;
use carrel_proto::budgeting::v1::encumbrance_service_client::EncumbranceServiceClient;
use carrel_proto::budgeting::v1::{CreateEncumbranceRequest, ListBudgetsRequest};
use carrel_proto::catalog::v1::item_service_client::ItemServiceClient;
use carrel_proto::catalog::v1::record_service_client::RecordServiceClient;
use carrel_proto::catalog::v1::{
    CreateItemRequest, GetItemRequest, Item, ListItemsRequest, SearchRecordsRequest,
};
use carrel_proto::patrons::v1::ListPatronsRequest;
use carrel_proto::patrons::v1::patron_service_client::PatronServiceClient;
use carrel_proto::r#type::v1::Money;

use crate::known_suite::{KnownSuite, reason};
use crate::program::{UpSuite, open_folder, run};

const GATSBY: &str = "30417000064014";
const JUNIPER: &str = "20417000000010";
const EXPIRED: &str = "20417000000036";

fn request_id() -> String {
    carrel_ids::new_id().to_string()
}

#[tokio::test]
async fn every_kind_of_bad_input_has_its_reason() {
    let suite = UpSuite::start().await;
    suite.seed();
    let known = suite.known();
    known.level("circulation").await;
    let desk = known.service_point("ALDM-CIRC").await;

    for (item, patron, service_point, expected) in [
        ("39999999999999", JUNIPER, desk.as_str(), "ITEM_NOT_FOUND"),
        (GATSBY, "29999999999999", desk.as_str(), "PATRON_NOT_FOUND"),
        (GATSBY, EXPIRED, desk.as_str(), "CHECK_OUT_BLOCKED"),
        ("", JUNIPER, desk.as_str(), "BARCODE_MALFORMED"),
        (GATSBY, JUNIPER, "not-a-uuid", "ID_MALFORMED"),
        (
            GATSBY,
            JUNIPER,
            "01932c07-6a3e-7c4e-9b1f-2f4c8f0f7a11",
            "SERVICE_POINT_NOT_FOUND",
        ),
    ] {
        let refused = known.lend(service_point, item, patron).await.unwrap_err();
        assert_eq!(
            reason(&refused),
            expected,
            "{item} {patron} {service_point}"
        );
    }
    money(&known).await;
    pages(&known).await;

    let stranger = KnownSuite::new(known.endpoints.clone(), "nonsense");
    let refused = stranger.lend(&desk, GATSBY, JUNIPER).await.unwrap_err();
    assert_eq!(reason(&refused), "TOKEN_INVALID");

    let mut items = ItemServiceClient::new(known.channel("catalog"));
    let oversized = CreateItemRequest {
        item: Some(Item {
            call_number: "x".repeat(5 * 1024 * 1024),
            ..Default::default()
        }),
        request_id: request_id(),
    };
    let refused = items.create_item(oversized).await.unwrap_err();
    assert_eq!(reason(&refused), "MESSAGE_TOO_LARGE");
    let refused = items
        .get_item(GetItemRequest { id: "7".into() })
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "ID_MALFORMED");
    assert!(
        !suite.process.log().contains("panicked"),
        "{}",
        suite.process.log()
    );
    suite.stop().await;
}

async fn money(known: &KnownSuite) {
    let usd = |units, nanos| {
        Some(Money {
            currency_code: "USD".into(),
            units,
            nanos,
        })
    };
    let mut fees = FeeFineServiceClient::new(known.channel("billing"));
    let owners = fees.list_fee_fine_owners(ListFeeFineOwnersRequest::default());
    let owner = owners.await.unwrap().into_inner().fee_fine_owners.remove(0);
    let types = fees.list_fee_fine_types(ListFeeFineTypesRequest::default());
    let types = types.await.unwrap().into_inner().fee_fine_types;
    let damaged = types
        .iter()
        .find(|kind| kind.code == "damaged-item")
        .unwrap();
    let mut accounts = AccountServiceClient::new(known.channel("billing"));
    let mut encumbrances = EncumbranceServiceClient::new(known.channel("budgeting"));
    let mut budgets = BudgetServiceClient::new(known.channel("budgeting"));
    let listed = budgets.list_budgets(ListBudgetsRequest::default());
    let budget = listed.await.unwrap().into_inner().budgets.remove(0);
    for (amount, expected) in [
        (usd(-5, 0), "AMOUNT_NOT_POSITIVE"),
        (usd(0, 0), "AMOUNT_NOT_POSITIVE"),
        (usd(0, 1), "AMOUNT_MALFORMED"),
        (usd(1, -1), "AMOUNT_MALFORMED"),
    ] {
        let charge = CreateAccountRequest {
            patron_id: request_id(),
            fee_fine_owner_id: owner.id.clone(),
            fee_fine_type_id: damaged.id.clone(),
            amount: amount.clone(),
            request_id: request_id(),
            ..Default::default()
        };
        let refused = accounts.create_account(charge).await.unwrap_err();
        assert_eq!(reason(&refused), expected, "billing {amount:?}");
        let order = CreateEncumbranceRequest {
            budget_id: budget.id.clone(),
            budget_code: "11-0-52030-613000-6300".into(),
            amount: amount.clone(),
            description: "an order".into(),
            request_id: request_id(),
        };
        let refused = encumbrances.create_encumbrance(order).await.unwrap_err();
        assert_eq!(reason(&refused), expected, "budgeting {amount:?}");
    }
}

async fn pages(known: &KnownSuite) {
    let mut items = ItemServiceClient::new(known.channel("catalog"));
    let first = items
        .list_items(ListItemsRequest {
            page_size: 1,
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner();
    let foreign = ListItemsRequest {
        include_withdrawn: true,
        page_size: 1,
        page_token: first.next_page_token,
        ..Default::default()
    };
    let refused = items.list_items(foreign).await.unwrap_err();
    assert_eq!(reason(&refused), "PAGE_TOKEN_FROM_ANOTHER_QUERY");

    let mut patrons = PatronServiceClient::new(known.channel("patrons"));
    let broken = ListPatronsRequest {
        page_token: "nonsense".into(),
        ..Default::default()
    };
    let refused = patrons.list_patrons(broken).await.unwrap_err();
    assert_eq!(reason(&refused), "PAGE_TOKEN_MALFORMED");

    let mut records = RecordServiceClient::new(known.channel("catalog"));
    let refused = records
        .search_records(SearchRecordsRequest::default())
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "SEARCH_EMPTY");
}

#[test]
fn a_command_without_a_suite_says_how_to_start_one() {
    let folder = open_folder();
    let data = folder.path().to_str().unwrap();
    for arguments in [
        &["seed", "--data", data][..],
        &["import", "marc", "x.mrc", "--data", data],
        &["migrate", "--data", data],
        &["token", "--data", data, "--permission", "*"],
    ] {
        let output = run(arguments);
        assert!(!output.status.success());
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("carrel up"), "{arguments:?}: {told}");
    }
}

#[test]
fn an_unreachable_server_of_the_operators_is_told_without_its_password() {
    let folder = open_folder();
    let data = folder.path().join("data");
    let output = crate::program::carrel()
        .args(["up", "--data", data.to_str().unwrap()])
        .env(
            "CARREL_DATABASE_URL",
            "postgres://carrel:hunter2@127.0.0.1:1/postgres",
        )
        .output()
        .unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("CARREL_DATABASE_URL"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn data_in_the_home_of_root_is_refused_with_the_fix() {
    let home = BTreeMap::from_iter(std::env::vars())
        .remove("HOME")
        .unwrap_or_default();
    if home != "/root" || std::fs::read_dir("/root").is_err() {
        eprintln!("SKIPPED: only root has this trouble");
        return;
    }
    let output = run(&["up", "--data", "/root/carrel-data-that-nobody-has"]);
    let _ = std::fs::remove_dir_all("/root/carrel-data-that-nobody-has");
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("--data") && told.contains("home"), "{told}");
}
