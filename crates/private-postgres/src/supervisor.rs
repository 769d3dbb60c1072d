//! The small shell process between Carrel and its server: it stops the server when Carrel is gone.
//!
//! Its standard input is a pipe whose other end only Carrel holds. However Carrel ends, SIGKILL
//! included, the kernel closes that end, the supervisor reads the end of the file, stops the
//! server, and removes what was temporary.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::time::Duration;

use crate::account::Account;

/// Arguments: the signal that stops the server, the seconds until it is stopped at once, the log,
/// two folders to remove at the end (or nothing), the server's command.
///
/// The signals of a terminal and of service stoppers are ignored: services drain first, and only then
/// Carrel lets go of the pipe. The watcher alone holds the pipe; it counts in steps of a
/// second so that no long sleep outlives it.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
umask 077
signal=$1 seconds=$2 first=$4 second=$5
exec 3<&0 </dev/null >>"$3" 2>&1
shift 5
"$@" 3<&- &
server=$!
(
    read -r nothing <&3
    kill -s "$signal" "$server"
    while [ "$seconds" -gt 0 ]; do sleep 1; seconds=$((seconds - 1)); done
    kill -s QUIT "$server"
) &
watcher=$!
exec 3<&-
wait "$server"
status=$?
kill -s KILL "$watcher"
for attempt in 1 2 3 4 5; do
    rm -rf -- ${first:+"$first"} ${second:+"$second"} && break
    sleep 1
done
exit "$status"
"#;

/// How the server ends when the pipe closes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    /// Checkpoint first; at once after the seconds given.
    Orderly { grace_seconds: u64 },
    /// At once: the data goes too.
    Abrupt,
}

/// The running supervisor. Dropping it closes the pipe.
#[derive(Debug)]
pub(crate) struct Supervisor {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Supervisor {
    /// Starts `server` under a supervisor that removes the folders once it has ended.
    pub fn spawn(
        account: &Account,
        ending: Ending,
        log: &Path,
        removed: [&OsStr; 2],
        server: &[OsString],
    ) -> io::Result<Self> {
        let (signal, seconds) = match ending {
            Ending::Orderly { grace_seconds } => ("INT", grace_seconds),
            Ending::Abrupt => ("QUIT", 10),
        };
        let mut command = account.command("/bin/sh");
        command
            .args([
                "-c",
                SCRIPT,
                "carrel-postgres",
                signal,
                &seconds.to_string(),
            ])
            .arg(log);
        command.args(removed).args(server);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // A group of its own: Ctrl-C in the terminal is for Carrel, which drains first.
        command.process_group(0);
        let mut child = command.spawn()?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// How the server ended; `None` while it runs.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Tells the supervisor to stop the server.
    pub fn release(&mut self) {
        self.pipe = None;
    }

    /// Waits until server and supervisor are gone; false where the time was not enough.
    pub async fn wait(&mut self, limit: Duration) -> io::Result<bool> {
        let deadline = tokio::time::Instant::now() + limit;
        while self.ended()?.is_none() {
            if tokio::time::Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(true)
    }

    /// The same without an async runtime, for `Drop`.
    pub fn wait_blocking(&mut self, limit: Duration) -> io::Result<bool> {
        let deadline = std::time::Instant::now() + limit;
        while self.ended()?.is_none() {
            if std::time::Instant::now() >= deadline {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(true)
    }
}
