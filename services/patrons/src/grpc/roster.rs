//! `carrel.patrons.v1.RosterService`.

use std::time::Duration;

use carrel_proto::patrons::v1 as wire;
use carrel_proto::patrons::v1::load_roster_request::Content;
use carrel_proto::patrons::v1::roster_service_server::RosterService;
use carrel_runtime::Call;
use futures::Stream;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument as _;

use crate::patron::Fault;
use crate::roster::{self, Counts, Load, Problem};
use crate::{Error, Patrons};

/// The largest piece of a file in one message, in bytes.
const LARGEST_CHUNK: usize = 1 << 20;
/// How long a sender may be silent.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// Refused rows in one answer.
const PROBLEMS_PER_ANSWER: usize = 500;

type Answers = mpsc::Sender<Result<wire::LoadRosterResponse, Status>>;

pub(super) struct RosterRpcs(pub(super) Patrons);

#[tonic::async_trait]
impl RosterService for RosterRpcs {
    type LoadRosterStream = ReceiverStream<Result<wire::LoadRosterResponse, Status>>;

    async fn load_roster(
        &self,
        request: Request<Streaming<wire::LoadRosterRequest>>,
    ) -> Result<Response<Self::LoadRosterStream>, Status> {
        let call = Call::of(&request)?;
        let incoming = request.into_inner();
        let (answers, stream) = mpsc::channel(4);
        let patrons = self.0.clone();
        // A task of its own: a load that is all here is brought to its end,
        // also where the caller has gone and will ask again.
        let load = async move {
            if let Err(status) = run(&patrons, &call, incoming, &answers).await {
                let _ = answers.send(Err(status)).await;
            }
        };
        tokio::spawn(load.in_current_span());
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

async fn run(
    patrons: &Patrons,
    call: &Call,
    mut incoming: Streaming<wire::LoadRosterRequest>,
    answers: &Answers,
) -> Result<(), Status> {
    let header = match next(&mut incoming).await? {
        Some(Content::Header(header)) => header,
        _ => return Err(Error::RosterStream("the first one must be the header").into()),
    };
    let key = call.request_key(&header.request_id, &header)?;
    if header.max_deactivations < 0 {
        return Err(Error::field("max_deactivations", Fault::Negative).into());
    }
    let load = Load {
        dry_run: header.dry_run,
        max_deactivations: header.max_deactivations.into(),
    };
    let (progress, watched) = watch::channel(Counts::default());
    let loading = async {
        // Dropped at the end, which ends the telling too.
        let progress = progress;
        roster::load(patrons, call, key, load, chunks(incoming), &progress).await
    };
    let (outcome, ()) = tokio::join!(loading, tell_progress(watched, answers));
    let (counts, problems) = outcome?;
    tracing::info!(
        roster.dry_run = load.dry_run,
        roster.read = counts.read,
        roster.created = counts.created,
        roster.updated = counts.updated,
        roster.failed = counts.failed,
        "a roster was loaded"
    );
    tell_outcome(answers, counts, problems).await;
    Ok(())
}

/// The next message's content; `None` at the end.
async fn next(incoming: &mut Streaming<wire::LoadRosterRequest>) -> Result<Option<Content>, Error> {
    let message = tokio::time::timeout(LONGEST_SILENCE, incoming.message())
        .await
        .map_err(|_| Error::RosterInterrupted)?
        .map_err(|_| Error::RosterInterrupted)?;
    match message {
        None => Ok(None),
        Some(wire::LoadRosterRequest {
            content: Some(content),
        }) => Ok(Some(content)),
        Some(_) => Err(Error::RosterStream("one has neither a header nor a chunk")),
    }
}

/// The file's bytes.
fn chunks(
    incoming: Streaming<wire::LoadRosterRequest>,
) -> impl Stream<Item = Result<Vec<u8>, Error>> {
    futures::stream::try_unfold(incoming, |mut incoming| async {
        match next(&mut incoming).await? {
            None => Ok(None),
            Some(Content::Chunk(chunk)) if chunk.len() <= LARGEST_CHUNK => {
                Ok(Some((chunk, incoming)))
            }
            Some(Content::Chunk(_)) => Err(Error::RosterStream(
                "a chunk has more than 1 MiB; send smaller ones",
            )),
            Some(Content::Header(_)) => Err(Error::RosterStream("there is a second header")),
        }
    })
}

/// Tells how far the load has come, as fast as the caller listens.
async fn tell_progress(mut watched: watch::Receiver<Counts>, answers: &Answers) {
    while watched.changed().await.is_ok() {
        let counts = *watched.borrow_and_update();
        // Nobody listens any more: the load goes on.
        let _ = answers.send(Ok(encode(counts, &[], false))).await;
    }
}

async fn tell_outcome(answers: &Answers, counts: Counts, problems: Vec<Problem>) {
    let mut told = problems.chunks(PROBLEMS_PER_ANSWER).peekable();
    let mut finished = false;
    while !finished {
        let problems = told.next().unwrap_or_default();
        finished = told.peek().is_none();
        if answers
            .send(Ok(encode(counts, problems, finished)))
            .await
            .is_err()
        {
            return;
        }
    }
}

fn encode(counts: Counts, problems: &[Problem], finished: bool) -> wire::LoadRosterResponse {
    wire::LoadRosterResponse {
        read_count: counts.read,
        created_count: counts.created,
        updated_count: counts.updated,
        unchanged_count: counts.unchanged,
        failed_count: counts.failed,
        deactivated_count: counts.deactivated,
        problems: problems
            .iter()
            .map(|problem| wire::RosterProblem {
                line: problem.line,
                column: problem.column.clone().into_owned(),
                reason: problem.reason.clone().into_owned(),
                description: problem.description.clone().into_owned(),
            })
            .collect(),
        finished,
    }
}
