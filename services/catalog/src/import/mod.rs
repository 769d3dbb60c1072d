//! Loads of records: begun once, fed by one stream at a time, committed batch
//! by batch, and resumed from the last batch when a stream breaks off.

mod commit;
mod copies;
mod model;
mod profile;
mod reader;
mod store;

use carrel_database::transact;
use carrel_money::Currency;
use jiff::SignedDuration;
use tokio::sync::mpsc;
use uuid::Uuid;

pub(crate) use copies::STANDARD_LOAN_TYPE;
pub(crate) use model::{Header, Import, Problem};
pub(crate) use profile::LoadProfile;

use crate::Catalog;
use crate::error::Error;
use model::ResumePoint;
pub(crate) use reader::Batch;
use reader::FileReader;

/// How long a stream that brings nothing keeps its load: another one may go on
/// with it then.
const HOLD: SignedDuration = SignedDuration::from_secs(60);

/// A stream that feeds a load.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub holder: Uuid,
    pub trace_parent: Option<String>,
    pub currency: Currency,
}

/// A load that this stream holds.
#[derive(Debug)]
pub(crate) struct Loading {
    catalog: Catalog,
    stream: Stream,
    profile: LoadProfile,
    import: Import,
    format: Option<carrel_marc::Format>,
    resume: ResumePoint,
}

/// Begins a load, or goes on with one.
pub(crate) async fn begin(
    catalog: &Catalog,
    trace_parent: Option<String>,
    header: &Header,
) -> Result<Loading, Error> {
    let now = catalog.clock.now();
    let holder = carrel_ids::new_id();
    let locked = transact!(catalog.database, "begin_import", |transaction| {
        store::insert(transaction, header, now).await?;
        let locked = store::lock(transaction, header.import_id).await?;
        if locked.import.finished {
            return Err(Error::ImportFinished);
        }
        if locked.held_until.is_some_and(|until| until > now) {
            return Err(Error::ImportInProgress);
        }
        if locked.import.source != header.source
            || locked.load_profile != header.profile.name()
            || locked.asked_format != header.format
        {
            return Err(Error::ImportHeaderChanged);
        }
        let due = locked.import.committed_offset;
        if header.offset != due {
            return Err(Error::ImportOffsetMismatch {
                due,
                sent: header.offset,
            });
        }
        store::hold(transaction, header.import_id, holder, now + HOLD).await?;
        Ok(locked)
    })?;
    tracing::info!(import.id = %header.import_id, offset = locked.import.committed_offset, "import stream begins");
    Ok(Loading {
        catalog: catalog.clone(),
        stream: Stream {
            holder,
            trace_parent,
            currency: catalog.currency,
        },
        profile: header.profile,
        format: locked.format.or(header.format),
        resume: locked.resume,
        import: locked.import,
    })
}

impl Loading {
    /// A reader of the bytes that are due.
    pub(crate) fn reader(&self) -> FileReader {
        FileReader::new(
            self.profile,
            self.format,
            self.import.committed_offset,
            self.resume,
        )
    }

    /// Where the load stands.
    pub(crate) fn import(&self) -> &Import {
        &self.import
    }

    /// Commits the next batch.
    pub(crate) async fn commit(&mut self, batch: &Batch) -> Result<Vec<Problem>, Error> {
        let now = self.catalog.clock.now();
        let (import, problems) = transact!(
            self.catalog.database,
            "commit_import_batch",
            |transaction| {
                commit::commit(
                    transaction,
                    &self.stream,
                    &self.import,
                    batch,
                    now + HOLD,
                    now,
                )
                .await
            }
        )?;
        self.catalog.wake.committed();
        self.import = import;
        Ok(problems)
    }

    /// Lets the load go, so that another stream can go on with it at once.
    pub(crate) async fn release(&self) {
        let pool = self.catalog.database.pool();
        if let Err(error) = store::release(pool, self.import.id, self.stream.holder).await {
            // It lets itself go when its time is over.
            tracing::warn!(import.id = %self.import.id, %error, "an import could not be let go");
        }
    }
}

/// The next bytes of a file, or its end.
#[derive(Debug)]
pub(crate) enum Input {
    Chunk(Vec<u8>),
    End,
}

/// Reads a file's bytes into batches, off the threads that serve calls. Ends
/// with the file, or without its last batch where the bytes break off. Whoever
/// takes the batches sets the pace.
pub(crate) async fn read_batches(
    mut reader: FileReader,
    mut inputs: mpsc::Receiver<Input>,
    batches: mpsc::Sender<Batch>,
) -> Result<(), Error> {
    while let Some(input) = inputs.recv().await {
        let is_end = matches!(input, Input::End);
        let mut input = Some(input);
        loop {
            let next = input.take();
            let (back, batch) = tokio::task::spawn_blocking(move || {
                match next {
                    Some(Input::Chunk(bytes)) => reader.push(&bytes)?,
                    Some(Input::End) => reader.finish()?,
                    None => {}
                }
                let batch = reader.next_batch();
                Ok::<_, Error>((reader, batch))
            })
            .await??;
            reader = back;
            let Some(batch) = batch else { break };
            if batches.send(batch).await.is_err() {
                return Ok(());
            }
        }
        if is_end {
            break;
        }
    }
    Ok(())
}

/// Reads where a load stands.
pub(crate) async fn get(catalog: &Catalog, id: Uuid) -> Result<Import, Error> {
    store::find(catalog.database.pool(), id)
        .await?
        .ok_or(Error::ImportNotFound)
}
