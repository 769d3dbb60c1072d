//! A site to test against: a simulator on a free port, with a student, terms and accounting codes.

use std::future::Future;
use std::time::{Duration, Instant};

use carrel_ids::Reference;
use carrel_money::{Currency, Money};
use carrel_sis_simulator::{Config, Running, start};
use carrel_student_accounts::{Description, Ethos, EthosSettings, Posting, StudentAccounts};
use jiff::civil::date;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

pub const API_KEY: &str = "a-key-for-tests";
pub const STUDENT: &str = "11111111-1111-4111-8111-111111111111";
pub const OTHER_STUDENT: &str = "11111111-1111-4111-8111-222222222222";
pub const OPEN_TERM: &str = "22222222-2222-4222-8222-111111111111";
pub const CLOSED_TERM: &str = "22222222-2222-4222-8222-222222222222";
pub const LIBRARY_CODE: &str = "33333333-3333-4333-8333-111111111111";
pub const OTHER_CODE: &str = "33333333-3333-4333-8333-222222222222";
/// Noon of 2 March 2026 in California.
pub const NOW: &str = "2026-03-02T20:00:00Z";
pub const MEDIA_TYPE: &str = "application/vnd.hedtech.integration.v16+json";

pub struct Site {
    pub running: Running,
    pub folder: TempDir,
    http: Client,
}

impl Site {
    pub async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    pub async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::on_loopback(folder.path().to_owned(), API_KEY);
        config.movable_clock = true;
        change(&mut config);
        let site = Self {
            running: start(config).await.unwrap(),
            folder,
            http: http_client(),
        };
        site.move_clock(NOW).await;
        set_up(&site.http, &site.running.url()).await;
        site
    }

    pub async fn move_clock(&self, now: &str) {
        self.admin(Method::PUT, "/admin/clock", Some(json!({ "now": now })))
            .await;
    }

    pub fn accounts(&self) -> StudentAccounts {
        self.accounts_with(|_| {})
    }

    pub fn accounts_with(&self, change: impl FnOnce(&mut EthosSettings)) -> StudentAccounts {
        accounts(&self.running.url(), change)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.running.url()))
    }

    /// Calls an admin endpoint that must succeed.
    pub async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        admin(
            &self.http,
            method,
            &format!("{}{path}", self.running.url()),
            body,
        )
        .await
    }

    /// Arms a fault and returns its id.
    pub async fn arm(&self, fault: Value) -> u64 {
        self.admin(Method::POST, "/admin/faults", Some(fault)).await["id"]
            .as_u64()
            .unwrap()
    }

    /// How often the oldest fault has struck.
    pub async fn fired(&self) -> u64 {
        self.admin(Method::GET, "/admin/faults", None).await[0]["fired"]
            .as_u64()
            .unwrap()
    }

    /// The lines on the student's statement.
    pub async fn lines(&self) -> Vec<Value> {
        let statement = self
            .admin(Method::GET, &format!("/admin/statements/{STUDENT}"), None)
            .await;
        statement["lines"].as_array().unwrap().clone()
    }

    /// The requests received so far, such as `POST /auth`.
    pub async fn requests(&self) -> Vec<Value> {
        let answer = self.admin(Method::GET, "/admin/requests", None).await;
        assert_eq!(answer["forgotten"], 0);
        answer["requests"].as_array().unwrap().clone()
    }

    pub async fn count_requests(&self, method: &str, target: &str) -> usize {
        let requests = self.requests().await;
        requests
            .iter()
            .filter(|request| request["method"] == method && request["target"] == target)
            .count()
    }

    /// A token as a client of one's own would get it.
    pub async fn token(&self) -> String {
        let answer = self
            .request(Method::POST, "/auth")
            .bearer_auth(API_KEY)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    }
}

pub fn http_client() -> Client {
    Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .unwrap()
}

pub fn accounts(url: &str, change: impl FnOnce(&mut EthosSettings)) -> StudentAccounts {
    let mut settings = EthosSettings::new(url, API_KEY);
    change(&mut settings);
    StudentAccounts::Ethos(Ethos::new(settings).unwrap())
}

pub async fn admin(http: &Client, method: Method, url: &str, body: Option<Value>) -> Value {
    let mut request = http.request(method, url);
    if let Some(body) = body {
        request = request.body(body.to_string());
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{url}: {status} {text}");
    if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap()
    }
}

/// Enters the students, terms and codes.
pub async fn set_up(http: &Client, url: &str) {
    let term = |id: &str, code: &str, start_on: &str, end_on: &str, open: bool| json!({ "id": id, "code": code, "startOn": start_on, "endOn": end_on, "open": open });
    for (path, entries) in [
        (
            "persons",
            json!([{ "id": STUDENT, "number": "0700001" }, { "id": OTHER_STUDENT }]),
        ),
        (
            "academic-periods",
            json!([
                term(OPEN_TERM, "2026SP", "2026-01-26", "2026-05-29", true),
                term(CLOSED_TERM, "2025FA", "2025-08-25", "2025-12-19", false),
            ]),
        ),
        (
            "funding-destinations",
            json!([
                { "id": LIBRARY_CODE, "code": "LIBR", "title": "Library charges" },
                { "id": OTHER_CODE, "code": "PARK", "title": "Parking" },
            ]),
        ),
    ] {
        admin(
            http,
            Method::PUT,
            &format!("{url}/admin/{path}"),
            Some(entries),
        )
        .await;
    }
}

/// A lost-item fee of $17.35 for the student.
pub fn lost_item_fee() -> Posting {
    let posting_id = carrel_ids::new_id();
    Posting {
        posting_id,
        reference: Reference::of(posting_id),
        student_id: STUDENT.to_owned(),
        academic_period_id: OPEN_TERM.to_owned(),
        funding_destination_id: LIBRARY_CODE.to_owned(),
        funding_source_id: None,
        amount: usd(1735),
        chargeable_on: date(2026, 3, 2),
        description: Description::new("Library lost-item fee").unwrap(),
        reversal_of: None,
    }
}

/// The same fee under an id of its own choosing.
pub fn fee_number(number: u128) -> Posting {
    let posting_id = Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + number);
    Posting {
        posting_id,
        reference: Reference::of(posting_id),
        ..lost_item_fee()
    }
}

pub fn usd(cents: i64) -> Money {
    Money::from_minor(cents, Currency::USD).unwrap()
}

/// Waits for a condition, for at most ten seconds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
