//! The simulator as a process of its own, killed in the middle of its work.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use carrel_student_accounts::{AccountFilter, FindOutcome, PostOutcome, UnknownCause};
use reqwest::Method;
use serde_json::json;

use crate::site::{
    API_KEY, NOW, Site, accounts, admin, fee_number, http_client, lost_item_fee, set_up, until,
};

struct Process {
    child: Child,
    url: String,
}

fn command(store: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carrel-sis-simulator"));
    command.env_clear().args([
        "--listen",
        "127.0.0.1:0",
        "--movable-clock",
        "--api-key",
        API_KEY,
    ]);
    command
        .arg("--store")
        .arg(store)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Process {
    fn start(store: &Path) -> Self {
        let mut child = command(store).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .expect("an address")
            .to_owned();
        Self { child, url }
    }

    /// SIGKILL.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_killed_simulator_keeps_every_charge_that_it_acknowledged() {
    let store = tempfile::tempdir().unwrap();
    let mut process = Process::start(store.path());
    let http = http_client();
    admin(
        &http,
        Method::PUT,
        &format!("{}/admin/clock", process.url),
        Some(json!({ "now": NOW })),
    )
    .await;
    set_up(&http, &process.url).await;

    // Four windows post until the power goes.
    let sis = Arc::new(accounts(&process.url, |settings| {
        settings.deadline = Duration::from_secs(5)
    }));
    let window = |window: u128| {
        let sis = Arc::clone(&sis);
        tokio::spawn(async move {
            let mut outcomes = Vec::new();
            for number in 0.. {
                let fee = fee_number(window * 1_000_000 + number);
                let outcome = sis.post(&fee).await;
                let goes_on = matches!(outcome, PostOutcome::Accepted { .. });
                outcomes.push((fee, outcome));
                if !goes_on {
                    break;
                }
            }
            outcomes
        })
    };
    let windows = (0..4).map(window).collect::<Vec<_>>();
    let totals = format!("{}/admin/totals", process.url);
    until("a hundred charges", async || {
        admin(&http, Method::GET, &totals, None).await["charges"]["count"]
            .as_u64()
            .unwrap()
            >= 100
    })
    .await;
    process.kill();
    let mut outcomes = Vec::new();
    for window in windows {
        outcomes.extend(window.await.unwrap());
    }

    let restarted = Process::start(store.path());
    let sis = accounts(&restarted.url, |_| {});
    let mut kept = HashMap::<String, usize>::new();
    for charge in sis.list_charges(&AccountFilter::default()).await.unwrap() {
        *kept.entry(charge.sis_id).or_default() += 1;
    }
    let mut accepted = 0;
    for (fee, outcome) in &outcomes {
        match outcome {
            PostOutcome::Accepted { sis_id } => {
                accepted += 1;
                assert_eq!(kept.get(sis_id), Some(&1), "acknowledged and lost");
            }
            // Killed before or after the commit: whichever it was, the look-up tells.
            PostOutcome::Unknown { .. } => {
                let found = sis.find(&fee.into()).await.unwrap();
                assert!(!matches!(found, FindOutcome::Ambiguous(_)), "{found:?}");
            }
            PostOutcome::NotSent { .. } => {
                assert_eq!(sis.find(&fee.into()).await.unwrap(), FindOutcome::NotFound);
            }
            PostOutcome::Rejected { errors } => panic!("{errors:?}"),
        }
    }
    assert!(accepted >= 100);
    assert!(kept.len() <= outcomes.len());

    // The clock is where it was moved to, too.
    let clock = admin(
        &http,
        Method::GET,
        &format!("{}/admin/clock", restarted.url),
        None,
    )
    .await;
    assert_eq!(clock["today"], "2026-03-02");
}

#[tokio::test]
async fn a_simulator_killed_while_it_holds_an_answer_has_the_charge_when_it_is_back() {
    let store = tempfile::tempdir().unwrap();
    let mut process = Process::start(store.path());
    let http = http_client();
    admin(
        &http,
        Method::PUT,
        &format!("{}/admin/clock", process.url),
        Some(json!({ "now": NOW })),
    )
    .await;
    set_up(&http, &process.url).await;
    let faults = format!("{}/admin/faults", process.url);
    let hold = json!({ "on": "create-charge", "kind": "hold-after-commit" });
    admin(&http, Method::POST, &faults, Some(hold)).await;

    let fee = lost_item_fee();
    let billing = tokio::spawn({
        let (sis, fee) = (accounts(&process.url, |_| {}), fee.clone());
        async move { sis.post(&fee).await }
    });
    until("the commit", async || {
        admin(&http, Method::GET, &faults, None).await[0]["fired"] == 1
    })
    .await;
    process.kill();
    match billing.await.unwrap() {
        PostOutcome::Unknown {
            cause: UnknownCause::ConnectionLost(_),
        } => {}
        other => panic!("{other:?}"),
    }

    let restarted = Process::start(store.path());
    let found = accounts(&restarted.url, |_| {})
        .find(&(&fee).into())
        .await
        .unwrap();
    assert!(matches!(found, FindOutcome::Found(_)), "{found:?}");
}

#[tokio::test]
async fn a_second_process_on_the_same_store_says_so_and_ends() {
    let store = tempfile::tempdir().unwrap();
    let _first = Process::start(store.path());
    let mut second = command(store.path()).spawn().unwrap();
    assert!(!second.wait().unwrap().success());
    let mut said = String::new();
    second
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(said.contains("is in use by another simulator"), "{said}");
}

#[tokio::test]
async fn stopping_ends_what_is_held_and_keeps_what_was_late() {
    let site = Site::open().await;
    let store = site.folder.path().to_owned();
    let client = || site.accounts();
    site.arm(json!({ "on": "create-charge", "kind": "hold-after-commit" }))
        .await;
    let held = tokio::spawn({
        let sis = client();
        async move { sis.post(&fee_number(1)).await }
    });
    until("the held commit", async || site.fired().await == 1).await;
    site.admin(Method::DELETE, "/admin/faults", None).await;
    // Clearing a fault lets its answer go.
    assert!(matches!(held.await.unwrap(), PostOutcome::Accepted { .. }));

    site.arm(json!({ "on": "create-charge", "kind": "late-commit", "delay_ms": 600_000 }))
        .await;
    let late = tokio::spawn({
        let sis = client();
        async move { sis.post(&fee_number(2)).await }
    });
    until("the late one", async || site.fired().await == 1).await;
    site.running.stop().await.unwrap();
    assert!(matches!(late.await.unwrap(), PostOutcome::Unknown { .. }));

    let again = Process::start(&store);
    let charges = accounts(&again.url, |_| {})
        .list_charges(&AccountFilter::default())
        .await
        .unwrap();
    assert_eq!(charges.len(), 2);
}
