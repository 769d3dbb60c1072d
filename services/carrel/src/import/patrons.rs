//! Loading a roster over the patrons service's stream.

use std::fmt;

use anyhow::bail;
use carrel_proto::patrons::v1::load_roster_request::Content;
use carrel_proto::patrons::v1::roster_service_client::RosterServiceClient;
use carrel_proto::patrons::v1::{LoadRosterRequest, LoadRosterResponse, RosterHeader};
use serde::Serialize;

use super::Progress;
use crate::connect::{Suite, explain};

/// Bytes in one message.
const CHUNK: usize = 256 * 1024;
/// Problems that are kept for the outcome.
const PROBLEMS: usize = 1000;

/// What became of a roster.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RosterOutcome {
    file: String,
    dry_run: bool,
    /// Rows read.
    pub read: i64,
    /// Patrons added.
    pub created: i64,
    /// Patrons changed.
    pub updated: i64,
    unchanged: i64,
    /// Rows refused.
    pub failed: i64,
    deactivated: i64,
    problems: Vec<Problem>,
}

#[derive(Debug, Clone, Serialize)]
struct Problem {
    line: i64,
    column: String,
    reason: String,
    description: String,
}

/// A roster to load.
#[derive(Debug, Clone)]
pub struct RosterFile {
    /// Its name, for people.
    pub name: String,
    /// Its content: CSV with a header line.
    pub content: Vec<u8>,
    /// Only say what would happen.
    pub dry_run: bool,
    /// The most accounts that this load may deactivate.
    pub max_deactivations: i32,
}

/// Loads a roster.
pub async fn load_roster(
    suite: &Suite,
    file: &RosterFile,
    progress: &mut Progress,
) -> anyhow::Result<RosterOutcome> {
    progress.begin(file.name.clone(), file.content.len() as u64);
    let header = Content::Header(RosterHeader {
        request_id: carrel_ids::new_id().to_string(),
        dry_run: file.dry_run,
        max_deactivations: file.max_deactivations,
    });
    let chunks = file
        .content
        .chunks(CHUNK)
        .map(|chunk| Content::Chunk(chunk.to_vec()));
    let messages: Vec<_> = std::iter::once(header)
        .chain(chunks)
        .map(|content| LoadRosterRequest {
            content: Some(content),
        })
        .collect();
    let mut client = RosterServiceClient::new(suite.channel("patrons")?);
    let mut answers = client
        .load_roster(tokio_stream::iter(messages))
        .await
        .map_err(|status| explain(&status))?
        .into_inner();
    let mut outcome = RosterOutcome {
        file: file.name.clone(),
        dry_run: file.dry_run,
        ..RosterOutcome::default()
    };
    let mut finished = false;
    while let Some(answer) = answers.message().await.map_err(|status| explain(&status))? {
        finished = answer.finished;
        outcome.take(answer);
    }
    progress.end();
    if !finished {
        bail!(
            "the patrons service ended the load without an answer: load the file again, rows are matched"
        );
    }
    Ok(outcome)
}

impl RosterOutcome {
    fn take(&mut self, answer: LoadRosterResponse) {
        self.read = answer.read_count;
        self.created = answer.created_count;
        self.updated = answer.updated_count;
        self.unchanged = answer.unchanged_count;
        self.failed = answer.failed_count;
        self.deactivated = answer.deactivated_count;
        let room = PROBLEMS.saturating_sub(self.problems.len());
        self.problems.extend(
            answer
                .problems
                .into_iter()
                .take(room)
                .map(|problem| Problem {
                    line: problem.line,
                    column: problem.column,
                    reason: problem.reason,
                    description: problem.description,
                }),
        );
    }
}

impl fmt::Display for RosterOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}{}: {} rows read, {} new, {} changed, {} as they were, {} refused, {} deactivated",
            self.file,
            if self.dry_run {
                " (dry run, nothing kept)"
            } else {
                ""
            },
            self.read,
            self.created,
            self.updated,
            self.unchanged,
            self.failed,
            self.deactivated
        )?;
        for problem in &self.problems {
            let column = if problem.column.is_empty() {
                String::new()
            } else {
                format!(", column {}", problem.column)
            };
            writeln!(
                f,
                "  line {}{column}: {} ({})",
                problem.line, problem.description, problem.reason
            )?;
        }
        Ok(())
    }
}
