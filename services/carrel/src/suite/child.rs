//! Billing in a process of its own, so that it can be killed at any instant.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::SignedDuration;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::start::clock_offset;

/// How long the process may take until it listens.
const LISTEN_DEADLINE: Duration = Duration::from_secs(30);

/// The billing service as a process.
#[derive(Debug)]
pub struct BillingProcess {
    arguments: Vec<OsString>,
    address: SocketAddr,
    log: PathBuf,
    child: Option<Child>,
}

impl BillingProcess {
    /// Prepares it; `arguments` begin with "serve".
    pub fn new(arguments: Vec<OsString>, address: SocketAddr, data: &Path) -> Self {
        Self {
            arguments,
            address,
            log: data.join("billing.log"),
            child: None,
        }
    }

    /// Starts it, its clock this far ahead of the machine's.
    pub async fn start(&mut self, offset: SignedDuration) -> anyhow::Result<()> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("{} can't be written", self.log.display()))?;
        let program = std::env::current_exe().context("this program can't find itself")?;
        let child = Command::new(program)
            .args(&self.arguments)
            .arg("--listen")
            .arg(self.address.to_string())
            .arg(clock_offset(offset))
            // It ends when this process does, whatever ends that.
            .arg("--end-with-input")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("billing can't be started")?;
        self.child = Some(child);
        self.listening().await
    }

    async fn listening(&mut self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + LISTEN_DEADLINE;
        while TcpStream::connect(self.address).await.is_err() {
            let ended = match &mut self.child {
                Some(child) => child.try_wait()?,
                None => None,
            };
            if ended.is_some() || tokio::time::Instant::now() > deadline {
                bail!("billing did not start; see {}", self.log.display());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Kills it as `kill -9` does.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.context("billing can't be killed")?;
        }
        Ok(())
    }

    /// Asks it to end, and waits.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        // It ends, and drains, when its input does.
        drop(child.stdin.take());
        if tokio::time::timeout(Duration::from_secs(15), child.wait())
            .await
            .is_err()
        {
            child.kill().await.context("billing can't be killed")?;
        }
        Ok(())
    }
}
