//! A student-account system: a simulator on a free port, with two students, a term and an accounting code.

use carrel_sis_simulator::{Config, Running, start};
use carrel_student_accounts::{Ethos, EthosSettings, StudentAccounts};
use jiff::civil::Date;
use jiff::{ToSpan, Zoned};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const API_KEY: &str = "a-key-for-tests";
pub const STUDENT: &str = "11111111-1111-4111-8111-111111111111";
pub const OTHER_STUDENT: &str = "11111111-1111-4111-8111-222222222222";
pub const TERM: &str = "22222222-2222-4222-8222-111111111111";
pub const LIBRARY_CODE: &str = "33333333-3333-4333-8333-111111111111";

pub struct Site {
    pub running: Running,
    _folder: TempDir,
    http: Client,
}

impl Site {
    pub async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    /// A site that is set up in another way.
    pub async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::on_loopback(folder.path().to_owned(), API_KEY);
        change(&mut config);
        let site = Self {
            running: start(config).await.unwrap(),
            _folder: folder,
            http: Client::builder()
                .no_proxy()
                .tls_certs_only([])
                .build()
                .unwrap(),
        };
        let (first, last) = term_dates();
        let term = json!({ "id": TERM, "code": "TERM", "startOn": first.to_string(), "endOn": last.to_string(), "open": true });
        let persons = json!([{ "id": STUDENT, "number": "0700001" }, { "id": OTHER_STUDENT }]);
        let destination =
            json!([{ "id": LIBRARY_CODE, "code": "LIBR", "title": "Library charges" }]);
        site.admin(Method::PUT, "persons", Some(persons)).await;
        site.admin(Method::PUT, "academic-periods", Some(json!([term])))
            .await;
        site.admin(Method::PUT, "funding-destinations", Some(destination))
            .await;
        site
    }

    pub fn accounts(&self, change: impl FnOnce(&mut EthosSettings)) -> StudentAccounts {
        let mut settings = EthosSettings::new(self.running.url(), API_KEY);
        change(&mut settings);
        StudentAccounts::Ethos(Ethos::new(settings).unwrap())
    }

    /// Calls an admin endpoint that must succeed.
    pub async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}/admin/{path}", self.running.url());
        let mut request = self.http.request(method, &url);
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{url}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Pays a charge at the cashier; false where nothing of it is outstanding.
    pub async fn pay(&self, charge: &str) -> bool {
        let url = format!("{}/admin/charges/{charge}/settle", self.running.url());
        let answer = self.http.post(&url).send().await.unwrap();
        answer.status().is_success()
    }

    /// Arms a fault and returns its id.
    pub async fn arm(&self, fault: Value) -> u64 {
        let armed = self.admin(Method::POST, "faults", Some(fault)).await;
        armed["id"].as_u64().unwrap()
    }

    pub async fn release(&self, fault: u64) {
        self.admin(Method::POST, &format!("faults/{fault}/release"), None)
            .await;
    }

    /// Whether a fault has struck.
    pub async fn has_fired(&self, fault: u64) -> bool {
        let faults = self.admin(Method::GET, "faults", None).await;
        let faults = faults.as_array().unwrap();
        faults
            .iter()
            .any(|other| other["id"] == fault && other["fired"] != 0)
    }

    /// The lines on a student's statement: description and amount.
    pub async fn lines(&self, student: &str) -> Vec<(String, String)> {
        let statement = self
            .admin(Method::GET, &format!("statements/{student}"), None)
            .await;
        let lines = statement["lines"].as_array().unwrap();
        lines
            .iter()
            .map(|line| {
                let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
                (text("description"), text("amount"))
            })
            .collect()
    }

    pub async fn amounts(&self, student: &str) -> Vec<String> {
        self.lines(student)
            .await
            .into_iter()
            .map(|(_, amount)| amount)
            .collect()
    }
}

/// The term's days, around today.
pub fn term_dates() -> (Date, Date) {
    let today = Zoned::now().date();
    (today - 100.days(), today + 100.days())
}
