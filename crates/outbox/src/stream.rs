//! One subscriber's stream.

use std::time::Duration;

use carrel_database::Database;
use carrel_proto::events::v1::SubscribeResponse;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use crate::feed::Feed;
use crate::place::{Ends, Place};
use crate::reader::{self, Batch};
use crate::refusal::database_failed;

/// How soon a subscriber hears that events of other types passed.
const PROGRESS: Duration = Duration::from_secs(1);

/// How often it hears that nothing happened.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// What a subscriber gets, and how far it has come.
pub(crate) struct Subscription {
    database: Database,
    ends: watch::Receiver<Option<Ends>>,
    types: Vec<String>,
    send: mpsc::Sender<Result<SubscribeResponse, Status>>,
    /// Up to here it was read.
    place: Place,
    /// Up to here the subscriber was told.
    told: Option<(Place, Instant)>,
}

impl Subscription {
    pub fn new(
        feed: &Feed,
        place: Place,
        types: Vec<String>,
        send: mpsc::Sender<Result<SubscribeResponse, Status>>,
    ) -> Self {
        Self {
            database: feed.database().clone(),
            ends: feed.watch(),
            types,
            send,
            place,
            told: None,
        }
    }

    /// Sends until the subscriber goes (`None`) or the feed can't be read on.
    pub async fn serve(mut self) -> Option<Status> {
        loop {
            // Seen before reading, so that a change while reading is not missed.
            self.ends.mark_unchanged();
            let batch = match reader::read(self.database.pool(), &self.place, &self.types).await {
                Ok(Ok(batch)) => batch,
                Ok(Err(gone)) => return Some(gone.into()),
                Err(error) => return Some(database_failed(&error)),
            };
            self.place = batch.reached;
            let more = batch.more;
            if (!batch.events.is_empty() || self.is_progress_due()) && !self.tell(batch).await {
                return None;
            }
            if !more && !self.wait().await {
                return None;
            }
        }
    }

    fn is_progress_due(&self) -> bool {
        self.told
            .is_none_or(|_| Instant::now() >= self.progress_due())
    }

    fn progress_due(&self) -> Instant {
        match self.told {
            None => Instant::now(),
            Some((told, at)) if told == self.place => at + HEARTBEAT,
            Some((_, at)) => at + PROGRESS,
        }
    }

    async fn tell(&mut self, batch: Batch) -> bool {
        let response = SubscribeResponse {
            events: batch.events,
            cursor: Some(batch.reached.into()),
            head_number: batch.head_number,
        };
        self.told = Some((batch.reached, Instant::now()));
        self.send.send(Ok(response)).await.is_ok()
    }

    /// Waits for news or for the time to say that there are none; false where
    /// the subscriber is gone.
    async fn wait(&mut self) -> bool {
        let due = self.progress_due();
        tokio::select! {
            () = self.send.closed() => false,
            changed = self.ends.changed() => {
                if changed.is_err() {
                    // The sequencer ends with the process only, and so does this stream.
                    self.send.closed().await;
                }
                changed.is_ok()
            }
            () = sleep_until(due) => true,
        }
    }
}
