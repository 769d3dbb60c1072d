//! Rosters: loads of patrons from the student-information system.
//!
//! A load has two parts. While the file arrives its rows are read, checked for
//! their form and put aside. When it is all here one transaction applies them,
//! in the order of the file, batch by batch; a dry run does the same and rolls
//! back. So a slow sender holds no locks, a load is kept whole or not at all,
//! and memory holds a batch and the list of refused rows.

mod apply;
mod layout;
mod lines;
mod model;
mod reader;
pub(crate) mod store;

use aws_lc_rs::digest::{Context as Digest, SHA256};
use carrel_database::RequestKey;
use carrel_runtime::Call;
use futures::{Stream, StreamExt as _};
use jiff::SignedDuration;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

pub use layout::{CARREL, Form, Layout, Target};
pub use model::{Counts, Decision, Known, Problem, Row, RowRefused};

use crate::{Error, Patrons};
use lines::Arrival;
use reader::Batch;

/// Rows that a dead process put aside are forgotten after this.
const LEFTOVERS_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// What is loaded and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Only say what would happen.
    pub dry_run: bool,
    /// The most accounts that it may deactivate.
    pub max_deactivations: i64,
}

/// Loads a roster whose bytes come as `chunks`. How far it has come is told
/// through `progress`. `key` is the request's; the file's content is added to
/// its fingerprint, so that the same id with another file is refused.
///
/// # Errors
/// What refuses the whole load: nothing of it is kept then.
pub async fn load(
    patrons: &Patrons,
    call: &Call,
    key: RequestKey,
    load: Load,
    chunks: impl Stream<Item = Result<Vec<u8>, Error>> + Send,
    progress: &watch::Sender<Counts>,
) -> Result<(Counts, Vec<Problem>), Error> {
    let load_id = carrel_ids::new_id();
    let outcome = async {
        let received = receive(patrons, load_id, &key, chunks, progress).await?;
        apply::apply(patrons, call, load_id, load, &received, progress).await
    }
    .await;
    // Also where the load failed: what was put aside holds names.
    let leftovers = patrons.clock.now() - LEFTOVERS_KEPT;
    store::discard(patrons.database.pool(), load_id, leftovers).await?;
    outcome
}

/// A file that is all here, its rows put aside.
#[derive(Debug)]
struct Received {
    key: RequestKey,
    counts: Counts,
    problems: Vec<Problem>,
    staged_count: i64,
}

async fn receive(
    patrons: &Patrons,
    load_id: Uuid,
    key: &RequestKey,
    chunks: impl Stream<Item = Result<Vec<u8>, Error>> + Send,
    progress: &watch::Sender<Counts>,
) -> Result<Received, Error> {
    let (arrivals_in, arrivals) = mpsc::channel(4);
    let (batches_in, batches) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || reader::read(arrivals, &batches_in));
    let (fingerprint, mut received) = tokio::try_join!(
        forward(chunks, arrivals_in, &key.fingerprint),
        put_aside(patrons, load_id, key, batches, progress),
    )?;
    received.key.fingerprint = fingerprint;
    Ok(received)
}

/// Gives the file's bytes to the reader; returns the hash of `seed` and them.
async fn forward(
    chunks: impl Stream<Item = Result<Vec<u8>, Error>> + Send,
    arrivals: mpsc::Sender<Arrival>,
    seed: &[u8; 32],
) -> Result<[u8; 32], Error> {
    let mut digest = Digest::new(&SHA256);
    digest.update(seed);
    let mut chunks = std::pin::pin!(chunks);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        digest.update(&chunk);
        if arrivals.send(Arrival::Bytes(chunk)).await.is_err() {
            break; // The reader has ended, and its error is on the way.
        }
    }
    let _ = arrivals.send(Arrival::End).await;
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.finish().as_ref());
    Ok(hash)
}

async fn put_aside(
    patrons: &Patrons,
    load_id: Uuid,
    key: &RequestKey,
    mut batches: mpsc::Receiver<Result<Batch, Error>>,
    progress: &watch::Sender<Counts>,
) -> Result<Received, Error> {
    let mut received = Received {
        key: key.clone(),
        counts: Counts::default(),
        problems: Vec::new(),
        staged_count: 0,
    };
    while let Some(batch) = batches.recv().await {
        let Batch {
            read_count,
            rows,
            problems,
        } = batch?;
        received.problems.extend(problems);
        let first = received.counts.read;
        let now = patrons.clock.now();
        let mut taken = store::stage(patrons.database.pool(), load_id, first, &rows, now).await?;
        taken.sort_unstable();
        received.staged_count += i64::try_from(taken.len()).unwrap_or(i64::MAX);
        for (number, row) in (first..).zip(&rows) {
            if taken.binary_search(&number).is_err() {
                received
                    .problems
                    .push(Problem::new(row.line, "", RowRefused::Repeated));
            }
        }
        received.counts.read += read_count;
        received.counts.failed = i64::try_from(received.problems.len()).unwrap_or(i64::MAX);
        progress.send_replace(received.counts);
    }
    Ok(received)
}
