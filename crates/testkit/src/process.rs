//! A program run as a process of its own, with what it prints kept, to be watched and killed.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::eventually;

/// A running program. Killed when dropped; what it printed is shown where the test fails.
#[derive(Debug)]
pub struct ChildProcess {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    readers: [JoinHandle<()>; 2],
}

impl ChildProcess {
    /// Starts the program. `name` stands before its lines where they are shown.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn spawn(name: impl Into<String>, command: &mut Command) -> Self {
        let name = name.into();
        let started = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child =
            started.unwrap_or_else(|error| panic!("{name} does not start: {command:?}: {error}"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let output = child.stdout.take().expect("the output is piped");
        let errors = child.stderr.take().expect("the errors are piped");
        let readers = [keep_lines(output, &lines), keep_lines(errors, &lines)];
        Self {
            name,
            child,
            lines,
            readers,
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything printed so far, on standard output and error.
    pub fn log(&self) -> String {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n")
    }

    /// The first line printed that contains `part`.
    ///
    /// # Panics
    /// Where it is not printed within `limit`, or the program ends without it.
    pub async fn line_with(&mut self, part: &str, limit: Duration) -> String {
        let awaited = format!("a line with {part:?} from {}", self.name);
        eventually(&awaited, limit, async || {
            // Looked at before the lines: once all was read, no more will come.
            let ended = self
                .ended()
                .filter(|_| self.readers.iter().all(JoinHandle::is_finished));
            let line = self.find_line(part);
            if let (None, Some(status)) = (&line, ended) {
                panic!(
                    "{} ended ({status}) without a line with {part:?}",
                    self.name
                );
            }
            line
        })
        .await
    }

    /// How the program ended; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child
            .try_wait()
            .unwrap_or_else(|error| panic!("{} cannot be watched: {error}", self.name))
    }

    /// Waits for the program to end on its own.
    ///
    /// # Panics
    /// Where it does not within `limit`.
    pub async fn end(&mut self, limit: Duration) -> ExitStatus {
        let awaited = format!("the end of {}", self.name);
        eventually(&awaited, limit, async || self.ended()).await
    }

    /// Kills the program as a power failure does (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        // Fails only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks the program to end (SIGTERM), as a service stopper does.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Stops the program's clock (SIGSTOP): it keeps its connections and answers nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen program go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let sent = kill_process(Pid::from_child(&self.child), signal);
        sent.unwrap_or_else(|error| panic!("{} takes no signal: {error}", self.name));
    }

    fn find_line(&self, part: &str) -> Option<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().find(|line| line.contains(part)).cloned()
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- what {} printed:\n{}\n---", self.name, self.log());
        }
    }
}

fn keep_lines(
    output: impl Read + Send + 'static,
    lines: &Arc<Mutex<Vec<String>>>,
) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        // Ends with the program; bytes that are no text are no reason to lose the line.
        while reader
            .read_until(b'\n', &mut line)
            .is_ok_and(|length| length > 0)
        {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(text);
            line.clear();
        }
    })
}

/// A port on loopback that was free a moment ago. Prefer to let a program choose (port 0) and say
/// which it took: another process may take this one first.
///
/// # Panics
/// Where no port is free.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap_or_else(no_port);
    listener.local_addr().unwrap_or_else(no_port).port()
}

fn no_port<T>(error: impl Display) -> T {
    panic!("no port is free on loopback: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> ChildProcess {
        ChildProcess::spawn("shell", Command::new("sh").args(["-c", script]))
    }

    #[tokio::test]
    async fn lines_of_both_outputs_are_awaited_and_kept() {
        let mut program = shell("echo ready on 1234; echo careful >&2; exit 3");
        assert_eq!(program.line_with("ready", LIMIT).await, "ready on 1234");
        assert_eq!(program.line_with("careful", LIMIT).await, "careful");
        assert_eq!(program.end(LIMIT).await.code(), Some(3));
    }

    #[tokio::test]
    #[should_panic(expected = "ended (exit status: 0) without a line")]
    async fn a_program_that_ends_too_early_is_not_awaited_further() {
        let mut program = shell("true");
        program.line_with("ready", LIMIT).await;
    }

    #[tokio::test]
    async fn a_dropped_program_is_gone() {
        let mut program = shell("echo up; exec sleep 1000");
        program.line_with("up", LIMIT).await;
        let process = Pid::from_child(&program.child);
        drop(program);
        assert!(rustix::process::test_kill_process(process).is_err());
    }

    #[tokio::test]
    async fn a_program_may_clean_up_when_it_is_asked_to_end() {
        let mut program =
            shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done");
        program.line_with("up", LIMIT).await;
        program.terminate();
        assert!(program.end(LIMIT).await.success());
        program.line_with("bye", LIMIT).await;
    }
}
