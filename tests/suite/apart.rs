//! Every service as a process of its own, so that any can be killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use carrel_runtime::{BarcodeKey, Grant, TokenIssuer};
use carrel_sis_simulator as sis;
use carrel_testkit::{ChildProcess, TestDatabase, eventually, free_port};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::known_suite::KnownSuite;
use crate::program::{SAMPLE_DAY, carrel, open_folder, printed};

const READY: Duration = Duration::from_secs(60);

/// The services and whom each calls.
const SERVICES: [(&str, &[&str]); 5] = [
    ("catalog", &["circulation"]),
    ("patrons", &[]),
    ("circulation", &["catalog", "patrons", "billing"]),
    ("billing", &["circulation", "patrons"]),
    ("budgeting", &[]),
];

/// A suite of processes.
pub struct ApartSuite {
    processes: BTreeMap<&'static str, ChildProcess>,
    databases: BTreeMap<&'static str, TestDatabase>,
    pub known: KnownSuite,
    pub sis: sis::Running,
    sample_day: Timestamp,
    folder: TempDir,
}

impl ApartSuite {
    /// Starts every service, and sets the sample district up.
    pub async fn start() -> Self {
        let folder = open_folder();
        let issuer = TokenIssuer::create(&folder.path().join("key.pem")).unwrap();
        BarcodeKey::create(&folder.path().join("barcode.key")).unwrap();
        let jwks = serde_json::to_vec(&issuer.jwks()).unwrap();
        std::fs::write(folder.path().join("trusted.json"), jwks).unwrap();
        std::fs::write(folder.path().join("sis.key"), "secret").unwrap();
        let mut config = sis::Config::on_loopback(folder.path().join("sis"), "secret");
        config.movable_clock = true;
        let sis = sis::start(config).await.unwrap();
        let sample_day: Timestamp = SAMPLE_DAY.parse().unwrap();
        let moved = reqwest::Client::new().put(format!("{}/admin/clock", sis.url()));
        let moved = moved
            .json(&serde_json::json!({"now": sample_day}))
            .send()
            .await;
        moved.unwrap().error_for_status().unwrap();

        let mut endpoints = BTreeMap::from([("sis".to_owned(), sis.url())]);
        let mut databases = BTreeMap::new();
        for (service, _) in SERVICES {
            let address = format!("127.0.0.1:{}", free_port());
            endpoints.insert(service.to_owned(), address);
            databases.insert(service, TestDatabase::empty().await);
        }
        let token = issuer.issue(
            "tester",
            &[Grant::everywhere("*")],
            Timestamp::now(),
            SignedDuration::from_hours(1),
        );
        let listed = folder.path().join("endpoints.json");
        std::fs::write(&listed, serde_json::to_vec(&endpoints).unwrap()).unwrap();
        std::fs::write(folder.path().join("token"), &token).unwrap();

        let mut suite = Self {
            processes: BTreeMap::new(),
            databases,
            known: KnownSuite::new(endpoints, &token),
            sis,
            sample_day,
            folder,
        };
        for (service, _) in SERVICES {
            suite.run(service);
        }
        for (service, _) in SERVICES {
            suite.ready(service).await;
        }
        printed(&["seed", "--endpoints", listed.to_str().unwrap()]);
        suite
    }

    fn key(&self, name: &str) -> String {
        let path: &Path = self.folder.path();
        path.join(name).to_str().unwrap().to_owned()
    }

    /// Starts a service that does not run.
    pub fn run(&mut self, service: &'static str) {
        let (_, peers) = SERVICES.iter().find(|(name, _)| *name == service).unwrap();
        let mut command = carrel();
        command.args(["serve", service, "--listen", &self.known.endpoints[service]]);
        command.args(["--database-url", &self.databases[service].url]);
        command.args(["--trusted-keys", &self.key("trusted.json")]);
        command.args(["--service-key", &self.key("key.pem")]);
        command.args(["--barcode-key", &self.key("barcode.key")]);
        let offset = self.sample_day.duration_since(Timestamp::now()).as_secs();
        command.args(["--movable-clock", &format!("--clock-offset={offset}")]);
        for peer in *peers {
            command.args([
                "--peer",
                &format!("{peer}=http://{}", self.known.endpoints[*peer]),
            ]);
        }
        if service == "billing" {
            command.args(["--sis-url", &self.sis.url()]);
            command.args(["--sis-api-key-file", &self.key("sis.key")]);
            command.args(["--sis-deadline", "3"]);
        }
        self.processes
            .insert(service, ChildProcess::spawn(service, &mut command));
    }

    /// Waits until a service says that it is ready.
    pub async fn ready(&self, service: &str) {
        let health = HealthClient::new(self.known.channel(service));
        eventually("the service is ready", READY, async || {
            let answer = health
                .clone()
                .check(HealthCheckRequest::default())
                .await
                .ok()?;
            (answer.into_inner().status() == ServingStatus::Serving).then_some(())
        })
        .await;
    }

    /// Kills a service as a power cut does.
    pub fn kill(&mut self, service: &str) {
        self.processes.remove(service).unwrap().kill();
    }

    /// What a service printed.
    pub fn log(&self, service: &str) -> String {
        self.processes[service].log()
    }
}
