//! Loading a file of MARC records over the catalog's stream. A stream that
//! breaks off is taken up again where the catalog says it is safe.

use std::fmt;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use carrel_proto::catalog::v1::import_records_request::Content;
use carrel_proto::catalog::v1::record_service_client::RecordServiceClient;
use carrel_proto::catalog::v1::{
    GetImportRequest, Import, ImportHeader, ImportProblem, ImportRecordsRequest,
};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::Progress;
use crate::connect::{Authorized, Suite, explain};

/// Bytes in one message.
const CHUNK: usize = 256 * 1024;
/// Messages on their way.
const IN_FLIGHT: usize = 8;
/// How often a broken stream is taken up again.
const RESUMES: u32 = 10;
/// Problems that are kept for the outcome.
const PROBLEMS: usize = 100;
/// A gzip file's first bytes (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A file to load.
#[derive(Debug, Clone)]
pub struct MarcFile {
    /// Its name, for people.
    pub name: String,
    /// Its content, decompressed.
    pub content: Arc<[u8]>,
    /// The load profile.
    pub profile: String,
}

impl MarcFile {
    /// Reads a file, decompressing it where it is a gzip file.
    pub fn read(path: &Path, profile: &str) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).context("it can't be read")?;
        let content = if bytes.starts_with(&GZIP_MAGIC) {
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(bytes.as_slice())
                .read_to_end(&mut plain)
                .context("it begins like a gzip file but can't be decompressed")?;
            plain
        } else {
            bytes
        };
        Ok(Self {
            name: path.display().to_string(),
            content: content.into(),
            profile: profile.to_owned(),
        })
    }
}

/// What became of a file.
#[derive(Debug, Clone, Serialize)]
pub struct MarcOutcome {
    file: String,
    /// Bytes of the file, decompressed.
    bytes: u64,
    /// Records read.
    pub read: i64,
    /// Records added.
    pub created: i64,
    /// Records that replaced one with the same control number.
    pub updated: i64,
    /// Pieces that could not be read, kept with their bytes.
    pub quarantined: i64,
    /// Items added or updated.
    pub items: i64,
    /// Item fields that could not be taken.
    item_problems: i64,
    record_bytes: i64,
    quarantined_bytes: i64,
    separator_bytes: i64,
    problems: Vec<Problem>,
}

#[derive(Debug, Clone, Serialize)]
struct Problem {
    record: i64,
    offset: i64,
    reason: String,
    description: String,
}

/// Loads a file.
pub async fn load_marc(
    suite: &Suite,
    file: &MarcFile,
    progress: &mut Progress,
) -> anyhow::Result<MarcOutcome> {
    let client = RecordServiceClient::new(suite.channel("catalog")?);
    let mut load = Load {
        client,
        import_id: carrel_ids::new_id().to_string(),
        file,
        problems: Vec::new(),
    };
    progress.begin(file.name.clone(), file.content.len() as u64);
    let outcome = load.run(progress).await;
    progress.end();
    outcome
}

struct Load<'a> {
    client: RecordServiceClient<Authorized>,
    import_id: String,
    file: &'a MarcFile,
    problems: Vec<ImportProblem>,
}

impl Load<'_> {
    async fn run(&mut self, progress: &mut Progress) -> anyhow::Result<MarcOutcome> {
        let mut offset = 0;
        for attempt in 0..=RESUMES {
            match self.stream(offset, progress).await {
                Ok(import) if import.finished => return Ok(self.outcome(&import)),
                Ok(import) => offset = import.committed_offset,
                Err(status) if is_worth_resuming(&status) && attempt < RESUMES => {
                    tokio::time::sleep(Duration::from_millis(200 << attempt.min(5))).await;
                    offset = self.committed_offset().await?;
                }
                Err(status) => return Err(explain(&status)),
            }
        }
        bail!("the catalog broke off {RESUMES} times; try again later")
    }

    /// Streams from `offset` to the file's end, and returns the last answer.
    async fn stream(&mut self, offset: i64, progress: &mut Progress) -> Result<Import, Status> {
        let header = ImportHeader {
            import_id: self.import_id.clone(),
            source: self.file.name.clone(),
            load_profile: self.file.profile.clone(),
            offset,
            byte_count: i64::try_from(self.file.content.len()).unwrap_or(i64::MAX),
            ..ImportHeader::default()
        };
        let (sender, receiver) = mpsc::channel(IN_FLIGHT);
        let bytes = self.file.content.clone();
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        tokio::spawn(async move {
            let first = message(Content::Header(header));
            let chunks = bytes[start..].chunks(CHUNK);
            let chunks = chunks.map(|chunk| message(Content::Chunk(chunk.to_vec())));
            for message in std::iter::once(first).chain(chunks) {
                // The catalog ended the stream; its answer says why.
                if sender.send(message).await.is_err() {
                    return;
                }
            }
        });
        let mut answers = self
            .client
            .import_records(ReceiverStream::new(receiver))
            .await?
            .into_inner();
        let mut last = None;
        while let Some(answer) = answers.message().await? {
            let room = PROBLEMS.saturating_sub(self.problems.len());
            self.problems.extend(answer.problems.into_iter().take(room));
            if let Some(import) = answer.import {
                progress.reached(import.committed_offset.unsigned_abs());
                last = Some(import);
            }
        }
        last.ok_or_else(|| Status::unavailable("the catalog ended the stream without an answer"))
    }

    async fn committed_offset(&mut self) -> anyhow::Result<i64> {
        let request = GetImportRequest {
            id: self.import_id.clone(),
        };
        match self.client.get_import(request).await {
            Ok(answer) => {
                let import = answer.into_inner().import;
                Ok(import
                    .ok_or_else(|| anyhow!("the catalog answered without an import"))?
                    .committed_offset)
            }
            // It broke off before anything was kept.
            Err(status) if status.code() == Code::NotFound => Ok(0),
            Err(status) => Err(explain(&status)),
        }
    }

    fn outcome(&self, import: &Import) -> MarcOutcome {
        MarcOutcome {
            file: self.file.name.clone(),
            bytes: self.file.content.len() as u64,
            read: import.read_count,
            created: import.created_count,
            updated: import.updated_count,
            quarantined: import.quarantined_count,
            items: import.item_count,
            item_problems: import.item_problem_count,
            record_bytes: import.record_bytes,
            quarantined_bytes: import.quarantined_bytes,
            separator_bytes: import.separator_bytes,
            problems: self
                .problems
                .iter()
                .map(|problem| Problem {
                    record: problem.record_number,
                    offset: problem.offset,
                    reason: problem.reason.clone(),
                    description: problem.description.clone(),
                })
                .collect(),
        }
    }
}

fn message(content: Content) -> ImportRecordsRequest {
    ImportRecordsRequest {
        content: Some(content),
    }
}

fn is_worth_resuming(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Cancelled
    ) || carrel_runtime::read::reason(status).as_deref() == Some("IMPORT_IN_PROGRESS")
}

impl fmt::Display for MarcOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} read ({} new, {} replaced), {} quarantined, {} items",
            self.file, self.read, self.created, self.updated, self.quarantined, self.items
        )?;
        for problem in &self.problems {
            writeln!(
                f,
                "  record {} at byte {}: {} ({})",
                problem.record, problem.offset, problem.description, problem.reason
            )?;
        }
        Ok(())
    }
}
