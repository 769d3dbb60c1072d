//! Only what ARCHITECTURE §5.6 allows leaves for the SIS: every byte that arrived is looked at.

use std::collections::BTreeSet;

use carrel_student_accounts::AccountFilter;
use serde_json::{Value, json};

use crate::site::{LIBRARY_CODE, OPEN_TERM, STUDENT, Site, lost_item_fee};

/// The paths of all values in a document.
fn leaves(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            members
                .iter()
                .for_each(|(name, value)| leaves(&format!("{path}/{name}"), value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| leaves(path, value, found)),
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[tokio::test]
async fn nothing_but_the_allowed_leaves_for_the_sis() {
    let site = Site::open().await;
    let accounts = site.accounts();
    let fee = lost_item_fee();
    accounts.post(&fee).await;
    accounts.find(&(&fee).into()).await.unwrap();
    accounts
        .list_payments(&AccountFilter::default(), None)
        .await
        .unwrap();

    let requests = site.requests().await;
    let targets = requests
        .iter()
        .map(|request| request["target"].as_str().unwrap())
        .collect::<Vec<_>>();
    assert_eq!(targets[..2], ["/auth", "/api/student-charges"]);
    assert_eq!(targets[3], "/api/student-payments?offset=0&limit=100");

    // The create: exactly these members, and exactly these values in them.
    let body: Value = serde_json::from_str(requests[1]["body"].as_str().unwrap()).unwrap();
    let text = format!("Library lost-item fee, ref {}", fee.reference);
    let expected = json!({
        "id": "00000000-0000-0000-0000-000000000000",
        "student": { "id": STUDENT },
        "academicPeriod": { "id": OPEN_TERM },
        "fundingDestination": { "id": LIBRARY_CODE },
        "chargeableOn": "2026-03-02T12:00:00Z",
        "chargedAmount": { "amount": { "value": 17.35, "currency": "USD" } },
        "overrideDescription": text,
        "comments": [text, format!("carrel:{}", fee.posting_id)],
    });
    assert_eq!(body, expected);

    // The look-up: the ids that it filters by.
    let query = targets[2].split_once("criteria=").unwrap().1;
    let address = format!("http://sis/?{}", targets[2].split_once('?').unwrap().1);
    let address = reqwest::Url::parse(&address).unwrap();
    let criteria = address
        .query_pairs()
        .find(|(name, _)| name == "criteria")
        .unwrap()
        .1
        .into_owned();
    let mut found = BTreeSet::new();
    leaves("", &serde_json::from_str(&criteria).unwrap(), &mut found);
    let allowed = [
        "/academicPeriod/id",
        "/fundingDestination/id",
        "/student/id",
    ];
    assert_eq!(found, allowed.map(str::to_owned).into(), "{query}");

    // No other body, and no header that says who or what.
    let headers = [
        "accept",
        "authorization",
        "content-length",
        "content-type",
        "host",
    ];
    for (index, request) in requests.iter().enumerate() {
        assert!(index == 1 || request["body_bytes"] == 0, "{request}");
        for header in request["headers"].as_array().unwrap() {
            let name = header[0].as_str().unwrap();
            assert!(headers.contains(&name), "{name}");
        }
    }
}
