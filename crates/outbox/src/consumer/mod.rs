//! Following another service's feed.
//!
//! Every replica runs every consumer. There is no leader: the cursor's row is
//! locked, the batch applied and the cursor moved in one transaction, and what
//! another replica has taken meanwhile is passed over.

mod cursor;
mod owner;
mod parked;
mod projection;
mod recovery;
mod repair;
mod service;
mod take;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use carrel_database::{Database, RequestKey};
use carrel_proto::events::v1::SubscribeResponse;
use carrel_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tonic::{Status, Streaming};
use uuid::Uuid;

use crate::back_off::BackOff;
use crate::place::Place;
use crate::refusal::{CURSOR_BEHIND_RETENTION, FEED_DIVERGED, reason};
use owner::Owner;
use recovery::{FromEvents, FromState, Recovery};
use repair::{RepairError, Replayed};
use take::Taken;

pub use cursor::{generation, hold_generation};
pub use projection::{ApplyError, Page, Projection, StateProjection, decode, known};
pub use service::{CallerName, FeedConsumerService};

/// A stream that says nothing for so long is broken: the owner speaks every
/// five seconds.
const SILENCE: Duration = Duration::from_secs(20);

/// The shortest time between two beginnings of a stream.
const PACE: Duration = Duration::from_millis(100);

/// A consumer of one feed. It stands still until its [`Consumers`] run.
#[derive(Clone)]
pub struct Consumer {
    running: Arc<dyn Running>,
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("feed", &self.feed())
            .finish_non_exhaustive()
    }
}

impl Consumer {
    /// A consumer that keeps a copy of the owner's state. It reads that state
    /// first; and again whenever the feed took another course or its events
    /// are gone, while events go on.
    ///
    /// `feed` is the owner's name, such as "catalog". Each call of `client`
    /// has to carry a token that is valid then.
    pub fn of_state<P, C>(
        feed: &'static str,
        database: Database,
        client: EventFeedServiceClient<C>,
        projection: P,
    ) -> Self
    where
        P: StateProjection,
        C: GrpcService<Body> + Clone + Send + Sync + 'static,
        C::Error: Into<StdError>,
        C::Future: Send,
        C::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
        <C::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
    {
        Self::new(feed, database, Box::new(client), projection, FromState)
    }

    /// A consumer of what happened, which no state of the owner's tells
    /// again, such as each fine that was assessed. It begins with the oldest
    /// event kept; and begins there again where the feed took another course,
    /// so that its effects must be keyed by what they are about, and a second
    /// time find themselves done. Events that were forgotten before it could
    /// take them are counted as lost, with an alert.
    ///
    /// For `feed` and `client` see [`Consumer::of_state`].
    pub fn of_events<P, C>(
        feed: &'static str,
        database: Database,
        client: EventFeedServiceClient<C>,
        projection: P,
    ) -> Self
    where
        P: Projection,
        C: GrpcService<Body> + Clone + Send + Sync + 'static,
        C::Error: Into<StdError>,
        C::Future: Send,
        C::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
        <C::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
    {
        Self::new(feed, database, Box::new(client), projection, FromEvents)
    }

    fn new<P: Projection, R: Recovery<P>>(
        feed: &'static str,
        database: Database,
        owner: Box<dyn Owner>,
        projection: P,
        recovery: R,
    ) -> Self {
        let core = Core {
            feed,
            database,
            owner,
            projection,
            observed: Mutex::default(),
            resume: Notify::new(),
        };
        Self {
            running: Arc::new(Following { core, recovery }),
        }
    }

    /// The owner's name.
    #[must_use]
    pub fn feed(&self) -> &'static str {
        self.running.feed()
    }

    /// How long ago the projection was last known to be level with the owner's
    /// feed; `None` where it has not been since this process started.
    #[must_use]
    pub fn staleness(&self) -> Option<Duration> {
        self.running.observed().level_at.map(|at| at.elapsed())
    }
}

/// The consumers of a service.
#[derive(Debug, Clone)]
pub struct Consumers(Vec<Consumer>);

impl Consumers {
    /// One for each feed that the service follows.
    #[must_use]
    pub fn new(consumers: Vec<Consumer>) -> Self {
        Self(consumers)
    }

    /// The operators' service over them.
    #[must_use]
    pub fn service(&self) -> FeedConsumerService {
        FeedConsumerService::new(self.0.clone())
    }

    /// Follows the feeds until the shutdown. Needs the tables.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut following = JoinSet::new();
        for consumer in self.0 {
            following.spawn(async move { consumer.running.go_on().await });
        }
        // A consumer only ends by a panic: then so does this, and the service
        // notices. At the shutdown a batch that is cut off rolls back.
        tokio::select! {
            () = shutdown.cancelled() => {}
            Some(_) = following.join_next() => {}
        }
        following.shutdown().await;
    }
}

/// What this process has seen of the owner.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    pub is_connected: bool,
    pub head_number: i64,
    pub heard_at: Option<Timestamp>,
    pub level_at: Option<Instant>,
    /// What hinders the consumer, free of personal data.
    pub trouble: Option<String>,
}

/// What hinders a consumer for a while.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("the owner refused or could not be reached: {0}")]
    Owner(#[from] Status),
    #[error("the owner sent what is not a feed: {0}")]
    NotAFeed(&'static str),
    #[error("the owner was silent for {} s", SILENCE.as_secs())]
    Silence,
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    #[error("a page of the owner's state could not be applied: {0}")]
    Page(ApplyError),
    #[error("a newer version of this service follows the feed")]
    NewerEdition,
}

impl Trouble {
    /// For operators' eyes: no texts of others.
    fn cause(&self) -> String {
        match self {
            Self::Owner(status) => match reason(status) {
                Some(reason) => format!("the owner answers {reason}"),
                None => format!("the owner can't be reached: {:?}", status.code()),
            },
            Self::Database(_) => "this service's database failed".to_owned(),
            Self::Page(error) => format!("a page of the owner's state: {}", error.cause()),
            Self::NotAFeed(_) | Self::Silence | Self::NewerEdition => self.to_string(),
        }
    }
}

/// A consumer, whatever its projection.
pub(crate) trait Running: Send + Sync {
    fn feed(&self) -> &'static str;
    fn database(&self) -> &Database;
    fn observed(&self) -> Observed;
    fn go_on(&self) -> BoxFuture<'_, ()>;
    /// The feed was got past its poison event: go on at once.
    fn resume(&self);
    fn replay<'a>(
        &'a self,
        subject_id: Uuid,
        key: &'a RequestKey,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Replayed, RepairError>>;
}

struct Following<P, R> {
    core: Core<P>,
    recovery: R,
}

impl<P: Projection, R: Recovery<P>> Running for Following<P, R> {
    fn feed(&self) -> &'static str {
        self.core.feed
    }

    fn database(&self) -> &Database {
        &self.core.database
    }

    fn observed(&self) -> Observed {
        self.core.observed().clone()
    }

    fn go_on(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.core.go_on(&self.recovery))
    }

    fn resume(&self) {
        self.core.resume.notify_one();
    }

    fn replay<'a>(
        &'a self,
        subject_id: Uuid,
        key: &'a RequestKey,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Replayed, RepairError>> {
        Box::pin(self.core.replay(subject_id, key, now))
    }
}

/// One consumer's insides.
pub(crate) struct Core<P> {
    feed: &'static str,
    database: Database,
    owner: Box<dyn Owner>,
    projection: P,
    observed: Mutex<Observed>,
    /// An operator has done something about the event at which the feed stopped.
    resume: Notify,
}

impl<P: Projection> Core<P> {
    async fn go_on(&self, recovery: &impl Recovery<P>) {
        let mut back_off = BackOff::default();
        loop {
            let started = Instant::now();
            match self.turn(recovery).await {
                Ok(()) => back_off.reset(),
                Err(trouble) => {
                    let wait = back_off.next();
                    tracing::warn!(feed = self.feed, error = %trouble, ?wait, "the feed is not followed");
                    self.note_trouble(&trouble);
                    sleep(wait).await;
                }
            }
            sleep_until(started + PACE).await;
        }
    }

    /// From the cursor's row to whatever makes it necessary to look there again.
    async fn turn(&self, recovery: &impl Recovery<P>) -> Result<(), Trouble> {
        let row = cursor::find_or_create(self.database.pool(), self.feed).await?;
        let edition = self.projection.edition();
        if row.edition > edition {
            return Err(Trouble::NewerEdition);
        }
        if row.edition < edition {
            return recovery.recover(self, &row).await;
        }
        if let Some(event) = row.poison() {
            return self.stand_at(&event).await;
        }
        let place = match row.place() {
            Some(place) if row.rebuild().is_none() => place,
            _ => return recovery.recover(self, &row).await,
        };
        match self.owner.subscribe(place, self.projection.types()).await {
            Ok(stream) => self.follow(stream, place, row.generation).await,
            Err(status) if is_gone(&status) => {
                tracing::warn!(feed = self.feed, reason = ?reason(&status), "the feed can't be read on");
                recovery.recover(self, &row).await
            }
            Err(status) => Err(status.into()),
        }
    }

    async fn follow(
        &self,
        mut stream: Streaming<SubscribeResponse>,
        mut place: Place,
        generation: i64,
    ) -> Result<(), Trouble> {
        self.observed().is_connected = true;
        let mut heard = false;
        loop {
            let message = match timeout(SILENCE, stream.message()).await {
                Err(_) => return Err(Trouble::Silence),
                // Such as an expired token: the next stream has a new one.
                Ok(Err(_) | Ok(None)) if heard => return Ok(()),
                Ok(Err(status)) => return Err(status.into()),
                Ok(Ok(None)) => return Err(Trouble::NotAFeed("it ends at once")),
                Ok(Ok(Some(message))) => message,
            };
            heard = true;
            let heard_at = Instant::now();
            let head_number = message.head_number;
            self.note_heard(head_number);
            match self.take(&place, message, generation).await? {
                Taken::UpTo(reached) => place = reached,
                Taken::Overtaken | Taken::Stopped => return Ok(()),
            }
            let mut observed = self.observed();
            observed.trouble = None;
            if place.number >= head_number {
                observed.level_at = Some(heard_at);
            }
        }
    }

    fn observed(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_heard(&self, head_number: i64) {
        let mut observed = self.observed();
        observed.head_number = head_number;
        observed.heard_at = Some(Timestamp::now());
    }

    fn note_trouble(&self, trouble: &Trouble) {
        let mut observed = self.observed();
        if matches!(
            trouble,
            Trouble::Owner(_) | Trouble::NotAFeed(_) | Trouble::Silence
        ) {
            observed.is_connected = false;
        }
        observed.trouble = Some(trouble.cause());
    }
}

fn is_gone(status: &Status) -> bool {
    reason(status)
        .is_some_and(|reason| reason == FEED_DIVERGED || reason == CURSOR_BEHIND_RETENTION)
}
