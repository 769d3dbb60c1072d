//! The stream of a load: its header, then bytes in, progress out.

use carrel_marc::Format;
use carrel_proto::catalog::v1::import_records_request::Content;
use carrel_proto::catalog::v1::{
    Import as WireImport, ImportProblem, ImportRecordsRequest, ImportRecordsResponse,
    RecordEncoding,
};
use carrel_runtime::{Refusal, wire};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::error::Error;
use crate::import::{self, Header, Import, Input, LoadProfile, Loading, Problem};

/// The largest chunk, in bytes.
const LARGEST_CHUNK: usize = 1 << 20;
/// Chunks, batches and answers that wait: what a load holds in memory is this
/// many of each and the piece of the file that is being read.
const WAITING_CHUNKS: usize = 2;
const WAITING_BATCHES: usize = 1;
const WAITING_ANSWERS: usize = 4;

type Answer = Result<ImportRecordsResponse, Status>;

/// Reads the first message: the header, and the file's size where it is known.
pub(super) fn header(
    message: Option<ImportRecordsRequest>,
) -> Result<(Header, Option<i64>), Refusal> {
    let Some(ImportRecordsRequest {
        content: Some(Content::Header(header)),
    }) = message
    else {
        return Err(Refusal::field(
            "header",
            "FIELD_MISSING",
            "must come as the first message",
        ));
    };
    let format = match RecordEncoding::try_from(header.encoding) {
        Ok(RecordEncoding::Unspecified) => None,
        Ok(RecordEncoding::Iso2709) => Some(Format::Iso2709),
        Ok(RecordEncoding::Marcxml) => Some(Format::MarcXml),
        Err(_) => {
            return Err(Refusal::field(
                "header.encoding",
                "FORMAT_UNKNOWN",
                "is not an encoding of records",
            ));
        }
    };
    let profile = if header.load_profile.is_empty() {
        LoadProfile::Auto
    } else {
        LoadProfile::from_name(&header.load_profile).ok_or_else(|| {
            Refusal::field(
                "header.load_profile",
                "LOAD_PROFILE_UNKNOWN",
                "must be auto, koha-952, marc-852, marc-876 or none",
            )
        })?
    };
    for (field, value) in [
        ("header.offset", header.offset),
        ("header.byte_count", header.byte_count),
    ] {
        if value < 0 {
            return Err(Refusal::field(
                field,
                "NUMBER_NEGATIVE",
                "must not be negative",
            ));
        }
    }
    let byte_count = (header.byte_count > 0).then_some(header.byte_count);
    let header = Header {
        import_id: wire::id("header.import_id", &header.import_id)?,
        source: wire::text("header.source", &header.source, 1, 500)?.to_owned(),
        format,
        profile,
        offset: header.offset,
    };
    Ok((header, byte_count))
}

/// Feeds a load until the stream ends; the answers come meanwhile.
pub(super) fn feed(
    loading: Loading,
    incoming: Streaming<ImportRecordsRequest>,
    byte_count: Option<i64>,
    shutdown: CancellationToken,
) -> ReceiverStream<Answer> {
    let (answers, receiver) = mpsc::channel(WAITING_ANSWERS);
    tokio::spawn(run(loading, incoming, byte_count, answers, shutdown));
    ReceiverStream::new(receiver)
}

async fn run(
    mut loading: Loading,
    incoming: Streaming<ImportRecordsRequest>,
    byte_count: Option<i64>,
    answers: mpsc::Sender<Answer>,
    shutdown: CancellationToken,
) {
    let (inputs_in, inputs) = mpsc::channel(WAITING_CHUNKS);
    let (batches_in, batches) = mpsc::channel(WAITING_BATCHES);
    let receiving = receive(
        incoming,
        loading.import().committed_offset,
        byte_count,
        inputs_in,
    );
    let reader = loading.reader();
    let reading = async {
        import::read_batches(reader, inputs, batches_in)
            .await
            .map_err(Status::from)
    };
    let committing = commit(&mut loading, batches, &answers);
    // While one batch is committed the next is read. The first that fails ends
    // all three: what was not committed yet is sent again.
    let outcome = tokio::select! {
        () = shutdown.cancelled() => Err(Error::Stopping.into()),
        outcome = async { tokio::try_join!(receiving, reading, committing) } => outcome.map(drop),
    };
    let import = loading.import();
    tracing::info!(
        import.id = %import.id,
        offset = import.committed_offset,
        finished = import.finished,
        "import stream ends"
    );
    if !import.finished {
        loading.release().await;
    }
    if let Err(status) = outcome {
        // Nobody may be left to hear it.
        let _ = answers.send(Err(status)).await;
    }
}

/// Takes the file's bytes from the stream.
async fn receive(
    mut incoming: Streaming<ImportRecordsRequest>,
    start: i64,
    byte_count: Option<i64>,
    inputs: mpsc::Sender<Input>,
) -> Result<(), Status> {
    let mut sent = start;
    while let Some(message) = incoming.message().await? {
        let Some(Content::Chunk(chunk)) = message.content else {
            return Err(
                Refusal::field("chunk", "FIELD_MISSING", "is all that follows the header").into(),
            );
        };
        if chunk.len() > LARGEST_CHUNK {
            return Err(
                Refusal::field("chunk", "CHUNK_TOO_LARGE", "must have at most 1 MiB").into(),
            );
        }
        sent += chunk.len() as i64;
        if let Some(stated) = byte_count.filter(|stated| sent > *stated) {
            return Err(Error::ImportSizeMismatch { stated, sent }.into());
        }
        if inputs.send(Input::Chunk(chunk)).await.is_err() {
            return Ok(());
        }
    }
    if let Some(stated) = byte_count.filter(|stated| sent != *stated) {
        return Err(Error::ImportSizeMismatch { stated, sent }.into());
    }
    // The reader may have failed; it says so itself.
    let _ = inputs.send(Input::End).await;
    Ok(())
}

async fn commit(
    loading: &mut Loading,
    mut batches: mpsc::Receiver<import::Batch>,
    answers: &mpsc::Sender<Answer>,
) -> Result<(), Status> {
    while let Some(batch) = batches.recv().await {
        let problems = loading.commit(&batch).await?;
        let answer = ImportRecordsResponse {
            import: Some(to_wire(loading.import())),
            problems: problems.into_iter().map(problem_to_wire).collect(),
        };
        if answers.send(Ok(answer)).await.is_err() {
            return Err(Status::cancelled("nobody takes the answers"));
        }
    }
    Ok(())
}

fn problem_to_wire(problem: Problem) -> ImportProblem {
    ImportProblem {
        offset: problem.offset,
        record_number: problem.record_number,
        reason: problem.reason.to_owned(),
        description: problem.description,
    }
}

pub(super) fn to_wire(import: &Import) -> WireImport {
    WireImport {
        id: import.id.to_string(),
        source: import.source.clone(),
        committed_offset: import.committed_offset,
        read_count: import.read_count,
        created_count: import.created_count,
        updated_count: import.updated_count,
        quarantined_count: import.quarantined_count,
        item_count: import.item_count,
        item_problem_count: import.item_problem_count,
        record_bytes: import.record_bytes,
        quarantined_bytes: import.quarantined_bytes,
        separator_bytes: import.separator_bytes,
        finished: import.finished,
    }
}
