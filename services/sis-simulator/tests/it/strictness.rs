//! What the simulator refuses, as a client of one's own sees it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{CLOSED_TERM, LIBRARY_CODE, MEDIA_TYPE, OPEN_TERM, STUDENT, Site};

const NIL: &str = "00000000-0000-0000-0000-000000000000";

fn charge() -> Value {
    json!({
        "id": NIL,
        "student": { "id": STUDENT },
        "fundingDestination": { "id": LIBRARY_CODE },
        "academicPeriod": { "id": OPEN_TERM },
        "chargeableOn": "2026-03-02T00:00:00",
        "chargedAmount": { "amount": { "value": 17.35, "currency": "USD" } },
    })
}

fn payment() -> Value {
    json!({
        "id": NIL,
        "student": { "id": STUDENT },
        "fundingDestination": { "id": LIBRARY_CODE },
        "academicPeriod": { "id": OPEN_TERM },
        "paymentType": "cash",
        "paidOn": "2026-03-02T09:30:00-08:00",
        "amount": { "value": 17.35, "currency": "USD" },
    })
}

struct Client<'a> {
    site: &'a Site,
    token: String,
}

impl<'a> Client<'a> {
    async fn of(site: &'a Site) -> Self {
        Self {
            site,
            token: site.token().await,
        }
    }

    async fn post(&self, resource: &str, body: String) -> (u16, Value) {
        let request = self.site.request(Method::POST, &format!("/api/{resource}"));
        let request = request
            .bearer_auth(&self.token)
            .header("content-type", MEDIA_TYPE);
        let answer = request.body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        (
            status,
            serde_json::from_str(&answer.text().await.unwrap()).unwrap(),
        )
    }

    /// Posts a body that must be refused, and returns the reasons.
    async fn refused(&self, resource: &str, body: &Value) -> Vec<String> {
        let (status, answer) = self.post(resource, body.to_string()).await;
        assert_eq!(status, 400, "{body}");
        let errors = answer["errors"].as_array().unwrap().clone();
        errors
            .iter()
            .map(|error| error["description"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// The charge or payment with one member changed; `Null` takes it away.
fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => parent.remove(name),
        value => parent.insert(name.to_owned(), value),
    };
    body
}

#[tokio::test]
async fn every_rule_of_a_charge_is_kept() {
    let site = Site::open().await;
    let client = Client::of(&site).await;
    let unknown = "99999999-9999-4999-8999-999999999999";
    for (pointer, value, reason) in [
        ("/id", Value::Null, "id is required"),
        (
            "/id",
            json!(STUDENT),
            "id must be 00000000-0000-0000-0000-000000000000 in a create",
        ),
        ("/student", Value::Null, "student is required"),
        ("/student/id", Value::Null, "student.id is required"),
        (
            "/student/id",
            json!("0700001"),
            "student.id is not a lower-case GUID",
        ),
        (
            "/student/id",
            json!(STUDENT.replace('1', "A")),
            "student.id is not a lower-case GUID",
        ),
        ("/student/id", json!(unknown), "is not a student"),
        (
            "/student/name",
            json!("x"),
            "student.name is not a member of this resource",
        ),
        (
            "/fundingDestination/id",
            json!(unknown),
            "is not an accounting code",
        ),
        (
            "/fundingSource",
            json!({ "id": 7 }),
            "fundingSource.id must be a string",
        ),
        (
            "/academicPeriod/id",
            json!(unknown),
            "is not an academic period",
        ),
        (
            "/academicPeriod/id",
            json!(CLOSED_TERM),
            "academicPeriod 2025FA is closed",
        ),
        (
            "/chargeableOn",
            json!("2026-03-01T00:00:00"),
            "chargeableOn 2026-03-01 is earlier than today",
        ),
        // Midnight UTC is still the day before in California.
        (
            "/chargeableOn",
            json!("2026-03-02T00:00:00Z"),
            "chargeableOn 2026-03-01 is earlier than today",
        ),
        (
            "/chargeableOn",
            json!("2026-03-02"),
            "chargeableOn is not a date and time",
        ),
        (
            "/chargeableOn",
            json!("soon"),
            "chargeableOn is not a date and time",
        ),
        (
            "/chargedAmount",
            json!({}),
            "exactly one of amount and unitCost",
        ),
        (
            "/chargedAmount/unitCost",
            json!({}),
            "exactly one of amount and unitCost",
        ),
        ("/chargedAmount/amount/value", json!(0), "must not be zero"),
        (
            "/chargedAmount/amount/value",
            json!("17.35"),
            "chargedAmount.amount.value must be a number",
        ),
        (
            "/chargedAmount/amount/value",
            json!(17.355),
            "chargedAmount.amount.value has more than two decimals",
        ),
        (
            "/chargedAmount/amount/currency",
            json!("EUR"),
            "currency must be USD or CAD",
        ),
        (
            "/comments",
            json!("text"),
            "comments must be an array of strings",
        ),
        (
            "/overrideDescription",
            json!(7),
            "overrideDescription must be a string",
        ),
        (
            "/reportingDetail",
            json!({ "usage": "other" }),
            "reportingDetail.usage must be taxReportingOnly",
        ),
        (
            "/reportingDetail",
            json!({ "usage": "taxReportingOnly", "originatedOn": "2026-03-02T00:00:00", "activityDates": { "startOn": "x" } }),
            "activityDates must have the dates startOn and endOn",
        ),
        (
            "/barcode",
            json!("x"),
            "barcode is not a member of this resource",
        ),
    ] {
        let reasons = client
            .refused("student-charges", &with(charge(), pointer, value))
            .await;
        assert!(
            reasons.iter().any(|text| text.contains(reason)),
            "{pointer}: {reasons:?}"
        );
    }
    for text in ["", "[]", "{", "nonsense"] {
        assert_eq!(
            client.post("student-charges", text.to_owned()).await.0,
            400,
            "{text}"
        );
    }
    assert!(site.lines().await.is_empty());
}

#[tokio::test]
async fn several_faults_come_in_one_answer() {
    let site = Site::open().await;
    let body = with(
        with(charge(), "/student", Value::Null),
        "/chargeableOn",
        json!("soon"),
    );
    let reasons = Client::of(&site)
        .await
        .refused("student-charges", &with(body, "/extra", json!(1)))
        .await;
    assert_eq!(reasons.len(), 3, "{reasons:?}");
}

#[tokio::test]
async fn a_good_charge_comes_back_as_it_was_posted_under_an_id_of_its_own() {
    let site = Site::open().await;
    let client = Client::of(&site).await;
    for change in [
        json!({}),
        json!({ "chargedAmount": { "unitCost": { "quantity": 3.0, "cost": { "value": 0.15, "currency": "CAD" } } } }),
        json!({ "fundingSource": { "id": LIBRARY_CODE }, "comments": ["a", "b"], "overrideDescription": "text" }),
    ] {
        let mut body = charge();
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let (status, mut answer) = client.post("student-charges", body.to_string()).await;
        assert_eq!(status, 200, "{answer}");

        let id = answer["id"].as_str().unwrap().to_owned();
        let again = site
            .request(Method::GET, &format!("/api/student-charges/{id}"))
            .bearer_auth(&client.token);
        let again = again.header("accept", MEDIA_TYPE).send().await.unwrap();
        let media_type = "application/vnd.hedtech.integration.v16.0.0+json";
        assert_eq!(again.headers()["content-type"], media_type);
        assert_eq!(again.headers()["x-media-type"], media_type);
        assert_eq!(again.json::<Value>().await.unwrap(), answer);

        answer.as_object_mut().unwrap().remove("metadata").unwrap();
        assert_eq!(with(answer, "/id", json!(NIL)), body);
    }
}

#[tokio::test]
async fn a_payment_has_the_same_references_and_rules_of_its_own() {
    let site = Site::open().await;
    let client = Client::of(&site).await;
    for (pointer, value, reason) in [
        (
            "/student/id",
            json!("x"),
            "student.id is not a lower-case GUID",
        ),
        (
            "/academicPeriod/id",
            json!(CLOSED_TERM),
            "academicPeriod 2025FA is closed",
        ),
        (
            "/paymentType",
            json!("shells"),
            "paymentType \"shells\" is not one of",
        ),
        ("/paidOn", Value::Null, "paidOn is required"),
        (
            "/amount/value",
            json!(-1),
            "amount.value must be greater than zero",
        ),
        ("/amount", Value::Null, "amount is required"),
        (
            "/chargeableOn",
            json!("x"),
            "chargeableOn is not a member of this resource",
        ),
    ] {
        let reasons = client
            .refused("student-payments", &with(payment(), pointer, value))
            .await;
        assert!(
            reasons.iter().any(|text| text.contains(reason)),
            "{pointer}: {reasons:?}"
        );
    }
    let (status, answer) = client.post("student-payments", payment().to_string()).await;
    assert_eq!(status, 200, "{answer}");
    let page = site
        .request(Method::GET, "/api/student-payments")
        .bearer_auth(&client.token)
        .send()
        .await
        .unwrap();
    assert_eq!(page.json::<Value>().await.unwrap(), json!([answer]));
    assert_eq!(site.lines().await[0]["balance"], "-17.35");
}

#[tokio::test]
async fn only_this_version_with_a_token_is_served() {
    let site = Site::open().await;
    let token = site.token().await;
    let post = || {
        site.request(Method::POST, "/api/student-charges")
            .body(charge().to_string())
    };
    let status =
        async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();

    assert_eq!(status(post().header("content-type", MEDIA_TYPE)).await, 401);
    assert_eq!(
        status(
            post()
                .header("content-type", MEDIA_TYPE)
                .bearer_auth("x.y.z")
        )
        .await,
        401
    );
    assert_eq!(status(post().bearer_auth(&token)).await, 415);
    assert_eq!(
        status(
            post()
                .bearer_auth(&token)
                .header("content-type", "application/json")
        )
        .await,
        415
    );
    let get = || {
        site.request(Method::GET, "/api/student-charges")
            .bearer_auth(&token)
    };
    assert_eq!(
        status(get().header("accept", "application/vnd.hedtech.integration.v11+json")).await,
        406
    );
    assert_eq!(status(get()).await, 200);
    assert_eq!(
        status(
            site.request(Method::GET, "/api/persons")
                .bearer_auth(&token)
        )
        .await,
        404
    );
    assert_eq!(
        status(
            site.request(Method::POST, "/auth")
                .bearer_auth("another-key")
        )
        .await,
        401
    );
    assert!(site.lines().await.is_empty());
}

#[tokio::test]
async fn queries_are_paged_and_counted() {
    let site = Site::open().await;
    let client = Client::of(&site).await;
    for value in 1..=7 {
        let body = with(charge(), "/chargedAmount/amount/value", json!(value));
        assert_eq!(
            client.post("student-charges", body.to_string()).await.0,
            200
        );
    }
    let get = async |query: &str| {
        let path = format!("/api/student-charges{query}");
        let answer = site
            .request(Method::GET, &path)
            .bearer_auth(&client.token)
            .send()
            .await
            .unwrap();
        let total = answer
            .headers()
            .get("x-total-count")
            .map(|total| total.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let rows: Value = answer.json().await.unwrap();
        let amounts = |rows: &Vec<Value>| {
            rows.iter()
                .map(|row| row["chargedAmount"]["amount"]["value"].as_f64().unwrap() as i64)
                .collect()
        };
        let amounts: Vec<i64> = rows.as_array().map(amounts).unwrap_or_default();
        (status, total.unwrap_or_default(), amounts)
    };
    assert_eq!(get("").await, (200, "7".to_owned(), (1..=7).collect()));
    assert_eq!(
        get("?offset=2&limit=3").await,
        (200, "7".to_owned(), vec![3, 4, 5])
    );
    assert_eq!(get("?offset=7").await, (200, "7".to_owned(), vec![]));
    let nobody = r#"?criteria={"student":{"id":"99999999-9999-4999-8999-999999999999"}}"#;
    assert_eq!(get(nobody).await, (200, "0".to_owned(), vec![]));
    let both = format!(
        r#"?limit=1&criteria={{"student":{{"id":"{STUDENT}"}},"academicPeriod":{{"id":"{OPEN_TERM}"}}}}"#
    );
    assert_eq!(get(&both).await, (200, "7".to_owned(), vec![1]));
    for wrong in [
        "?criteria=x",
        "?criteria={\"name\":{\"id\":\"x\"}}",
        "?criteria={\"student\":{}}",
        "?offset=-1",
        "?page=1",
    ] {
        assert_eq!(get(wrong).await.0, 400, "{wrong}");
    }
}
