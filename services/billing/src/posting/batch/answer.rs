//! Acknowledgement and reject files: proved and matched whole before a row of them is taken.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use carrel_database::transact;
use carrel_ids::new_id;
use carrel_student_accounts::batch::{Answer, RowVerdict, Unlisted, fingerprint};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::store::{self, Line};
use super::{Batch, BatchSite, BatchState, io_error};
use crate::account::{self, Note};
use crate::error::Error;
use crate::posting::Run;
use crate::posting::model::{PostingState, without_student};
use crate::posting::store as postings;
use crate::{Actor, Billing, message};

/// Rows that are taken in one transaction.
const AT_ONCE: usize = 200;

/// What is said of one posting.
struct Said {
    line: Line,
    accepted: bool,
    reason: String,
    sis_id: Option<String>,
}

/// Takes the answers that lie in the inbox, by name.
pub(super) async fn take_answers(
    billing: &Billing,
    site: &BatchSite,
    run: &mut Run,
) -> Result<(), Error> {
    for path in answers(site)? {
        let Some(file_name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        take_answer(billing, site, &path, file_name, run).await?;
    }
    Ok(())
}

/// Files of the site's answers that are no longer being written.
fn answers(site: &BatchSite) -> Result<Vec<PathBuf>, Error> {
    let inbox = site.inbox();
    let failed = |error: std::io::Error| io_error(&inbox, &error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(&inbox).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let metadata = entry.metadata().map_err(failed)?;
        let age = metadata
            .modified()
            .ok()
            .and_then(|changed| SystemTime::now().duration_since(changed).ok())
            .unwrap_or_default();
        let name = entry.file_name();
        let is_answer = name
            .to_str()
            .is_some_and(|name| site.layout.answer(name).is_some());
        if metadata.is_file() && age >= site.quiet && is_answer {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

async fn take_answer(
    billing: &Billing,
    site: &BatchSite,
    path: &Path,
    file_name: &str,
    run: &mut Run,
) -> Result<(), Error> {
    let destination = &site.layout.name;
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        // Another replica has taken it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error(path, &error)),
    };
    // Under another name the same bytes can be about another batch.
    let print = fingerprint(&[file_name.as_bytes(), b"\0", &bytes].concat());
    let mut connection = billing.database.pool().acquire().await?;
    if store::is_taken(&mut connection, destination, &print).await? {
        tracing::warn!(
            file = file_name,
            "this answer was taken before; it changes nothing"
        );
        return put_away(site, path, file_name, "taken");
    }
    let proved = prove(&mut connection, site, file_name, &bytes).await?;
    drop(connection);
    let now = billing.moment().machine;
    match proved {
        Proved::NotYet => Ok(()),
        Proved::Refused(batch_id, problem) => {
            // A problem names fields and rows, never what stands in them.
            tracing::error!(file = file_name, %problem, "an answer is refused whole; nothing changes");
            let mut connection = billing.database.pool().acquire().await?;
            store::insert_answer(
                &mut connection,
                destination,
                file_name,
                &print,
                batch_id,
                &problem,
                now,
            )
            .await?;
            put_away(site, path, file_name, "refused")
        }
        Proved::Sound(batch, said) => {
            for chunk in said.chunks(AT_ONCE) {
                take_rows(billing, site, &batch, chunk, run).await?;
            }
            transact!(
                billing.database,
                "finish_posting_batch_answer",
                |transaction| {
                    store::finish_batch(transaction, batch.id, now).await?;
                    store::insert_answer(
                        transaction,
                        destination,
                        file_name,
                        &print,
                        Some(batch.id),
                        "",
                        now,
                    )
                    .await?;
                    Ok::<_, Error>(())
                }
            )?;
            tracing::info!(batch.id = %batch.id, rows = said.len(), "took an answer");
            put_away(site, path, file_name, "taken")
        }
    }
}

enum Proved {
    /// Its batch is not delivered yet, by our books.
    NotYet,
    Refused(Option<Uuid>, String),
    Sound(Box<Batch>, Vec<Said>),
}

/// Reads an answer and matches it with its batch.
async fn prove(
    connection: &mut sqlx::PgConnection,
    site: &BatchSite,
    file_name: &str,
    bytes: &[u8],
) -> Result<Proved, Error> {
    let refused = |batch_id, problem: &str| Ok(Proved::Refused(batch_id, problem.to_owned()));
    let Some(layout) = site.layout.answer(file_name) else {
        return Ok(Proved::NotYet);
    };
    let answer = match layout.read(file_name, bytes) {
        Ok(answer) => answer,
        Err(error) => return refused(None, &error.to_string()),
    };
    let sequence = answer
        .sequence
        .and_then(|number| i64::try_from(number).ok());
    let batch = store::find_named(
        connection,
        &site.layout.name,
        answer.batch_id,
        sequence,
        answer.file_name.as_deref(),
    )
    .await?;
    let Some(batch) = batch else {
        return refused(None, "it is about a batch that is not ours");
    };
    if batch.state == BatchState::Built {
        return Ok(Proved::NotYet);
    }
    let lines = store::list_lines(connection, batch.id).await?;
    match matched(lines, &answer) {
        Ok(said) => Ok(Proved::Sound(Box::new(batch), said)),
        Err(problem) => refused(Some(batch.id), problem),
    }
}

/// Which posting each row is about; every row has to be one of the batch, with its amount.
fn matched(lines: Vec<Line>, answer: &Answer) -> Result<Vec<Said>, &'static str> {
    let mut sums: HashMap<i32, Decimal> = HashMap::new();
    let mut row_of: HashMap<String, i32> = HashMap::new();
    for line in &lines {
        *sums.entry(line.row_number).or_default() += line.amount;
        row_of.insert(line.reference.clone(), line.row_number);
    }
    let mut by_row: HashMap<i32, &RowVerdict> = HashMap::new();
    for verdict in &answer.verdicts {
        let by_number = verdict.row.and_then(|row| i32::try_from(row).ok());
        let by_reference = verdict
            .reference
            .map(|reference| row_of.get(reference.as_str()).copied());
        let row = match (by_number, by_reference) {
            (Some(row), None) => row,
            (None, Some(Some(row))) => row,
            (Some(row), Some(Some(other))) if row == other => row,
            (_, Some(None)) => return Err("it names a reference that is not in its batch"),
            (Some(_), Some(Some(_))) => return Err("a row's number and reference do not agree"),
            (None, None) => return Err("a row has neither number nor reference"),
        };
        let Some(sum) = sums.get(&row) else {
            return Err("it names a row that is not in its batch");
        };
        if verdict.amount.is_some_and(|amount| amount != *sum) {
            return Err("a row bears another amount than in its batch");
        }
        if let Some(other) = by_row.insert(row, verdict)
            && other.accepted != verdict.accepted
        {
            return Err("it accepts and rejects the same row");
        }
    }
    let mut said = Vec::with_capacity(lines.len());
    for line in lines {
        let (accepted, reason, sis_id) = match (by_row.get(&line.row_number), answer.unlisted) {
            (Some(verdict), _) => (
                verdict.accepted,
                verdict.reason.clone(),
                verdict.sis_id.clone(),
            ),
            (None, Unlisted::Unanswered) => continue,
            (None, Unlisted::Accepted) => (true, String::new(), None),
            (None, Unlisted::Rejected) => (false, "the batch was refused".to_owned(), None),
        };
        said.push(Said {
            line,
            accepted,
            reason,
            sis_id,
        });
    }
    // Accounts are locked in one order everywhere.
    said.sort_by_key(|said| said.line.account_id);
    Ok(said)
}

async fn take_rows(
    billing: &Billing,
    site: &BatchSite,
    batch: &Batch,
    chunk: &[Said],
    run: &mut Run,
) -> Result<(), Error> {
    let at = billing.moment();
    let states = transact!(
        billing.database,
        "take_posting_batch_answer",
        |transaction| {
            let mut events = Vec::new();
            let mut states = Vec::new();
            for said in chunk {
                let (state, made) = take_row(transaction, site, batch, said, at).await?;
                states.extend(state);
                events.extend(made);
            }
            carrel_outbox::append(transaction, &events).await?;
            Ok::<_, Error>(states)
        }
    )?;
    billing.committed();
    for state in states {
        run.count(state);
    }
    Ok(())
}

/// Records what is said of one posting, once.
async fn take_row(
    connection: &mut sqlx::PgConnection,
    site: &BatchSite,
    batch: &Batch,
    said: &Said,
    at: crate::posting::model::Moment,
) -> Result<(Option<PostingState>, Vec<carrel_outbox::NewEvent>), Error> {
    let line = &said.line;
    let mut account = account::lock(connection, line.account_id).await?;
    let mut posting = postings::find_posting(connection, line.posting_id)
        .await?
        .ok_or(Error::PostingNotFound)?;
    let reason = without_student(&said.reason, &posting.student_id);
    let verdict = if said.accepted {
        "accepted"
    } else {
        "rejected"
    };
    if !store::answer_line(connection, batch.id, posting.id, verdict, &reason).await? {
        return Ok((None, Vec::new()));
    }
    if posting.open_attempt_id != Some(line.attempt_id) {
        tracing::error!(posting.id = %posting.id, verdict, "an answer came too late; reconcile this posting");
        return Ok((None, Vec::new()));
    }
    let mut events = Vec::new();
    if said.accepted {
        postings::end_attempt(connection, line.attempt_id, "acknowledged", "", at.machine).await?;
        posting.acknowledge(charge_id(site, batch, said), at)?;
        let step = account.transfer(posting.amount)?;
        let actor = Actor::billing();
        let note = Note::default();
        events.extend(account::book(connection, &mut account, step, &actor, &note, at.now).await?);
    } else {
        postings::end_attempt(connection, line.attempt_id, "rejected", &reason, at.machine).await?;
        posting.reject(&reason, at)?;
    }
    // It may have been paid or credited while it was away.
    posting.follow(account.owed_here()?, at.now)?;
    postings::update_posting(connection, &posting).await?;
    events.push(message::posting_changed(&posting, at.now));
    Ok((Some(posting.state), events))
}

/// What the charge is called there. Many systems number by person, or not at all, so ours stands before it.
fn charge_id(site: &BatchSite, batch: &Batch, said: &Said) -> String {
    let ours = format!(
        "{}/{}/{}",
        site.layout.name, batch.sequence, said.line.reference
    );
    match &said.sis_id {
        Some(theirs) => format!("{ours} {theirs}"),
        None => ours,
    }
}

fn put_away(site: &BatchSite, path: &Path, file_name: &str, folder: &str) -> Result<(), Error> {
    // An answer that comes again under its name does not hide the first one.
    let target = site.inbox().join(folder);
    let target = match target.join(file_name) {
        free if !free.exists() => free,
        _ => target.join(format!("{file_name}.{}", new_id())),
    };
    match fs::rename(path, &target) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error(path, &error)),
    }
}
