//! The batch way in: files of a drop folder, audited or posted, and answered by a list, as Banner's TSPLOAD does.
//!
//! A row is posted once whatever crashes: its charge's id derives from the file, and the file is noted last.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carrel_student_accounts::batch::{BatchHead, BatchRow, Layout, RowVerdict, fingerprint};
use uuid::Uuid;

use crate::Simulator;
use crate::books::{Books, Charge, Record};
use crate::error::Error;
use crate::faults::{Kind, Operation, Stage};

/// Between two looks into the drop folder.
const INTERVAL: Duration = Duration::from_millis(100);

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BatchMode {
    /// Its rows are checked and listed in `audit`; nothing is posted, and the file stays.
    Audit,
    /// Its rows are posted, and answered in `in`.
    Update,
}

/// A drop folder that the simulator works.
#[derive(Clone)]
pub struct BatchConfig {
    /// Holds `out`, where files come, and `in`, where answers go.
    pub folder: PathBuf,
    /// How files and answers look.
    pub layout: Layout,
    /// What becomes of a file.
    pub mode: BatchMode,
}

/// Works the drop folder until the simulator stops.
pub(crate) async fn work(simulator: Arc<Simulator>, config: BatchConfig) {
    while !simulator.stopping.is_cancelled() {
        if let Err(error) = work_once(&simulator, &config).await {
            tracing::error!(%error, "the drop folder could not be worked");
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = simulator.stopping.cancelled() => {}
        }
    }
}

async fn work_once(simulator: &Simulator, config: &BatchConfig) -> Result<(), Error> {
    let mut paths: Vec<PathBuf> = fs::read_dir(config.folder.join("out"))
        .map_err(failed)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.map(str::to_owned) {
            load(simulator, config, &path, &name).await?;
        }
    }
    Ok(())
}

async fn load(
    simulator: &Simulator,
    config: &BatchConfig,
    path: &Path,
    name: &str,
) -> Result<(), Error> {
    let bytes = fs::read(path).map_err(failed)?;
    let print = Uuid::new_v5(&Uuid::NAMESPACE_OID, &fingerprint(&bytes));
    let batch = match config.layout.read(name, &bytes) {
        Ok(batch) => batch,
        Err(error) => {
            tracing::warn!(file = name, %error, "a batch file is refused whole");
            return put_away(config, path, name, "out/refused");
        }
    };
    if config.mode == BatchMode::Audit {
        let audited = config.folder.join("audit");
        let verdicts = verdicts(simulator, print, &batch.rows, false).0;
        let head = head(simulator, print, batch.sequence);
        return answer(config, &audited, &head, name, &verdicts, false);
    }
    if simulator.books().has_batch(&print.to_string()) {
        tracing::warn!(
            file = name,
            "this batch file was loaded before; it is refused"
        );
        return put_away(config, path, name, "out/duplicate");
    }
    let (verdicts, charges) = verdicts(simulator, print, &batch.rows, true);
    simulator.journal.append(charges).await?;
    let lost = simulator
        .faults
        .strike(Operation::BatchAnswer, Stage::Before, None);
    let garbled = simulator
        .faults
        .strike(Operation::BatchAnswer, Stage::AfterCommit, None);
    if let Some(fault) = &lost {
        tokio::time::sleep(fault.fault.delay()).await;
    }
    if lost.is_none_or(|fault| fault.fault.kind == Kind::Delay) {
        let head = head(simulator, batch.id.unwrap_or(print), batch.sequence);
        let inbox = config.folder.join("in");
        answer(config, &inbox, &head, name, &verdicts, garbled.is_some())?;
    }
    let id = print.to_string();
    simulator.record(Record::Batch { id }).await?;
    put_away(config, path, name, "out/loaded")
}

fn head(simulator: &Simulator, id: Uuid, sequence: Option<u64>) -> BatchHead {
    BatchHead {
        id,
        sequence: sequence.unwrap_or_default(),
        at: simulator.clock.today().at(0, 0, 0, 0),
    }
}

/// What becomes of each row, and the charges that are new.
fn verdicts(
    simulator: &Simulator,
    print: Uuid,
    rows: &[BatchRow],
    strike: bool,
) -> (Vec<RowVerdict>, Vec<Record>) {
    let books = simulator.books();
    let mut charges = Vec::new();
    let mut verdicts = Vec::with_capacity(rows.len());
    for (row, number) in rows.iter().zip(1_u32..) {
        let id = Uuid::new_v5(&print, &number.to_be_bytes()).to_string();
        let outcome = if books.charge(&id).is_some() {
            Ok(())
        } else if strike
            && simulator
                .faults
                .strike(Operation::BatchRow, Stage::Before, None)
                .is_some()
        {
            Err("rejected on demand")
        } else {
            charge(simulator, &books, row, id.clone()).map(|charge| {
                charges.push(Record::Charge(charge));
            })
        };
        verdicts.push(RowVerdict {
            row: Some(number),
            reference: row.reference,
            accepted: outcome.is_ok(),
            reason: outcome.err().unwrap_or_default().to_owned(),
            sis_id: outcome.is_ok().then(|| format!("T{number}")),
            amount: row.amount,
        });
    }
    (verdicts, charges)
}

/// The charge that a row makes.
fn charge(
    simulator: &Simulator,
    books: &Books,
    row: &BatchRow,
    id: String,
) -> Result<Charge, &'static str> {
    let student = row.student_id.as_deref().ok_or("no student")?;
    let student = books
        .persons
        .values()
        .find(|person| person.id == student || person.number.as_deref() == Some(student))
        .ok_or("unknown student")?;
    let destination = row.funding_destination_id.as_deref().ok_or("no code")?;
    let destination = books
        .funding_destinations
        .values()
        .find(|code| code.id == destination || code.code == destination)
        .ok_or("unknown code")?;
    let period = row.academic_period_id.as_deref().ok_or("no term")?;
    let period = books
        .academic_periods
        .values()
        .find(|term| term.id == period || term.code == period)
        .ok_or("unknown term")?;
    if !period.open {
        return Err("the term is closed");
    }
    let amount = row
        .amount
        .filter(|amount| !amount.is_zero())
        .ok_or("no amount")?;
    let text = row
        .text
        .clone()
        .unwrap_or_else(|| destination.title.clone());
    Ok(Charge {
        id,
        entered_at: simulator.clock.now(),
        student_id: student.id.clone(),
        funding_source_id: None,
        funding_destination_id: destination.id.clone(),
        academic_period_id: period.id.clone(),
        chargeable_on: format!(
            "{}T00:00:00",
            row.chargeable_on.unwrap_or_else(|| simulator.clock.today())
        ),
        amount,
        currency: "USD".to_owned(),
        unit_cost: None,
        override_description: Some(match row.reference {
            Some(reference) => format!("{text}, ref {reference}"),
            None => text,
        }),
        comments: Vec::new(),
        reporting_detail: None,
    })
}

/// Writes every answer that the layout knows, each complete when it can be seen.
fn answer(
    config: &BatchConfig,
    folder: &Path,
    head: &BatchHead,
    file: &str,
    verdicts: &[RowVerdict],
    garbled: bool,
) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(failed)?;
    for layout in config.layout.answers() {
        let (name, mut bytes) = layout
            .write(head, file, verdicts)
            .map_err(|error| Error::NotWritten(error.to_string()))?;
        if garbled && let Some(digit) = bytes.iter_mut().rfind(|byte| byte.is_ascii_digit()) {
            *digit = if *digit == b'9' { b'8' } else { *digit + 1 };
        }
        let partial = folder.join(format!(".{name}.partial"));
        fs::write(&partial, bytes).map_err(failed)?;
        fs::rename(&partial, folder.join(name)).map_err(failed)?;
    }
    Ok(())
}

fn put_away(config: &BatchConfig, path: &Path, name: &str, folder: &str) -> Result<(), Error> {
    let folder = config.folder.join(folder);
    fs::create_dir_all(&folder)
        .and_then(|()| fs::rename(path, folder.join(name)))
        .map_err(failed)
}

fn failed(error: std::io::Error) -> Error {
    Error::NotWritten(error.to_string())
}
