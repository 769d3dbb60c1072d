//! `carrel up`, and what works against it.

use std::process::Command;

use carrel_proto::catalog::v1::SearchRecordsRequest;
use carrel_proto::catalog::v1::record_service_client::RecordServiceClient;
use serde_json::Value;

use crate::known_suite::reason;
use crate::program::{UpSuite, open_folder, printed};

const GATSBY: &str = "30417000064014";
const JUNIPER: &str = "20417000000010";

#[tokio::test]
async fn a_suite_keeps_its_data_and_ends_by_draining() {
    let folder = open_folder();
    let data = folder.path().join("data");
    let mut suite = UpSuite::start_in(&data).await;
    suite.seed();
    let known = suite.known();
    for service in [
        "catalog",
        "circulation",
        "patrons",
        "billing",
        "budgeting",
        "sis",
    ] {
        assert!(
            known.endpoints.contains_key(service),
            "no endpoint for {service}"
        );
    }
    let desk = known.service_point("ALDM-CIRC").await;
    known.level("circulation").await;
    known.lend(&desk, GATSBY, JUNIPER).await.unwrap();
    // Nothing acknowledged is lost, even where nobody had time to drain.
    suite.process.kill();

    let suite = UpSuite::start_in(&data).await;
    let known = suite.known();
    let refused = known.lend(&desk, GATSBY, JUNIPER).await.unwrap_err();
    assert_eq!(reason(&refused), "ITEM_ALREADY_ON_LOAN");

    // The data is in use: a second suite is refused, and says so.
    let second = crate::program::run(&["up", "--data", suite.data()]);
    assert!(!second.status.success());
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(told.contains("already"), "{told}");

    printed(&["migrate", "--data", suite.data()]);
    suite.stop().await;
    assert!(!data.join("endpoints.json").exists());
}

#[tokio::test]
async fn a_narrow_token_allows_what_it_says_and_no_more() {
    let suite = UpSuite::start().await;
    let token = printed(&[
        "token",
        "--data",
        suite.data(),
        "--permission",
        "catalog.records.read",
        "--minutes",
        "5",
    ]);
    let known = suite.known();
    let narrow = crate::known_suite::KnownSuite::new(known.endpoints.clone(), token.trim());
    let mut records = RecordServiceClient::new(narrow.channel("catalog"));
    let request = SearchRecordsRequest {
        query: "gatsby".into(),
        ..Default::default()
    };
    records.search_records(request).await.unwrap();
    let refused = narrow.take_back("", GATSBY).await.unwrap_err();
    assert_eq!(reason(&refused), "PERMISSION_DENIED");
    suite.stop().await;
}

/// An interpreter with the packages that the example needs.
fn python() -> Option<String> {
    let python = std::env::var("CARREL_PYTHON").unwrap_or_else(|_| "python3".into());
    let usable = Command::new(&python)
        .args(["-c", "import grpc_tools, grpc_status"])
        .output()
        .is_ok_and(|output| output.status.success());
    usable.then_some(python)
}

#[tokio::test]
async fn a_python_client_checks_out_and_reads_why_it_is_refused() {
    let Some(python) = python() else {
        eprintln!(
            "SKIPPED: no Python with grpcio-tools and grpcio-status (CARREL_PYTHON names one)"
        );
        return;
    };
    let suite = UpSuite::start().await;
    suite.seed();
    suite.known().level("circulation").await;
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/python/desk.py");
    let output = Command::new(python)
        .args([program, suite.data(), GATSBY, JUNIPER])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.contains("refused FAILED_PRECONDITION ITEM_ALREADY_ON_LOAN"),
        "{text}"
    );
    assert!(text.contains("m book + g undergraduate"), "{text}");
    suite.stop().await;
}

#[tokio::test]
async fn imports_print_one_object_for_each_file() {
    let suite = UpSuite::start().await;
    suite.seed();
    let folder = open_folder();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("empty.mrc"), b"").unwrap();
    std::fs::write(path("rubbish.mrc"), b"this is no MARC at all").unwrap();
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    let damaged = format!("{samples}/catalog-damaged.mrc");
    let found = suite.import_marc(&[&path("empty.mrc"), &path("rubbish.mrc"), &damaged]);

    let count = |value: &Value, field: &str| value[field].as_i64().unwrap();
    assert_eq!(
        (count(&found[0], "read"), count(&found[0], "quarantined")),
        (0, 0)
    );
    assert_eq!(
        (count(&found[1], "read"), count(&found[1], "quarantined")),
        (0, 1)
    );
    // The district was seeded with the same file: its good records are replaced.
    assert_eq!(
        (count(&found[2], "read"), count(&found[2], "updated")),
        (9, 9)
    );
    assert_eq!(count(&found[2], "quarantined"), 3);
    for outcome in &found {
        let parts = ["record_bytes", "quarantined_bytes", "separator_bytes"];
        let sum: i64 = parts.iter().map(|part| count(outcome, part)).sum();
        assert_eq!(sum, count(outcome, "bytes"), "{outcome}");
    }

    let roster = format!("{samples}/patrons-with-errors.csv");
    let arguments = [
        "import",
        "patrons",
        &roster,
        "--json",
        "--dry-run",
        "--data",
        suite.data(),
    ];
    let outcome: Value = serde_json::from_str(&printed(&arguments)).unwrap();
    assert_eq!(outcome["failed"], 12);
    assert_eq!(outcome["problems"].as_array().unwrap().len(), 12);
    suite.stop().await;
}

#[tokio::test]
async fn a_second_suite_on_the_same_ports_is_told_so() {
    let suite = UpSuite::start().await;
    let known = suite.known();
    let port = known.endpoints["catalog"]
        .rsplit_once(':')
        .unwrap()
        .1
        .to_owned();
    let folder = open_folder();
    let data = folder.path().join("data");
    let output = crate::program::run(&[
        "up",
        "--data",
        data.to_str().unwrap(),
        "--ports-from",
        &port,
    ]);
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("is taken by another program"), "{told}");
    suite.stop().await;
}
