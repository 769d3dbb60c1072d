//! The built program, as a person runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use carrel_testkit::ChildProcess;
use serde_json::Value;
use tempfile::TempDir;

use crate::known_suite::KnownSuite;

/// How long the suite may take until it is up, on a busy machine.
pub const UP: Duration = Duration::from_secs(120);

/// A day in the fall term of the sample district.
pub const SAMPLE_DAY: &str = "2026-10-07T17:20:00Z";

/// The program, free of what the machine's environment says about suites.
pub fn carrel() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carrel"));
    for variable in ["CARREL_DATABASE_URL", "CARREL_DATA", "CARREL_LISTEN"] {
        command.env_remove(variable);
    }
    command
}

/// Runs a command to its end.
pub fn run(arguments: &[&str]) -> Output {
    carrel().args(arguments).output().unwrap()
}

/// What a command printed, which must have succeeded.
pub fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "carrel {arguments:?} failed: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// A folder that the server's account can enter too.
pub fn open_folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("carrel-suite-test-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .unwrap()
}

/// A suite started with `carrel up`.
pub struct UpSuite {
    pub process: ChildProcess,
    pub data: PathBuf,
    _folder: Option<TempDir>,
}

impl UpSuite {
    /// Starts one on a new folder.
    pub async fn start() -> Self {
        let folder = open_folder();
        let mut suite = Self::start_in(&folder.path().join("data")).await;
        suite._folder = Some(folder);
        suite
    }

    /// Starts one on a folder of somebody else's.
    pub async fn start_in(data: &Path) -> Self {
        let mut command = carrel();
        command.args(["up", "--data", data.to_str().unwrap()]);
        // The sample district has its terms and patrons in this year.
        command.args(["--clock-begins", SAMPLE_DAY]);
        let mut process = ChildProcess::spawn("up", &mut command);
        process.line_with("Stop with Ctrl-C", UP).await;
        Self {
            process,
            data: data.to_owned(),
            _folder: None,
        }
    }

    pub fn data(&self) -> &str {
        self.data.to_str().unwrap()
    }

    /// Clients of it.
    pub fn known(&self) -> KnownSuite {
        let endpoints = std::fs::read(self.data.join("endpoints.json")).unwrap();
        let token = std::fs::read_to_string(self.data.join("token")).unwrap();
        KnownSuite::new(serde_json::from_slice(&endpoints).unwrap(), token.trim())
    }

    /// Loads files, and returns the object printed for each.
    pub fn import_marc(&self, files: &[&str]) -> Vec<Value> {
        let mut arguments = vec!["import", "marc", "--json", "--data", self.data()];
        arguments.extend(files);
        printed(&arguments)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Sets the sample district up.
    pub fn seed(&self) {
        printed(&["seed", "--data", self.data()]);
    }

    /// Ends it as an operator does.
    pub async fn stop(mut self) {
        self.process.terminate();
        let status = self.process.end(Duration::from_secs(60)).await;
        assert!(status.success(), "{}", self.process.log());
    }
}
