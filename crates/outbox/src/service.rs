//! `carrel.events.v1.EventFeedService`: the feed for other services and for
//! other systems of the district.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use carrel_proto::events::v1::event_feed_service_server::EventFeedService;
use carrel_proto::events::v1::{
    GetHeadRequest, GetHeadResponse, SubscribeRequest, SubscribeResponse,
};
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Extensions, Request, Response, Status};

use crate::feed::Feed;
use crate::place::{self, Place};
use crate::reader::{self, Gone};
use crate::refusal::{CURSOR_BEHIND_RETENTION, FEED_DIVERGED, bad_field, database_failed, refusal};
use crate::stream::Subscription;

/// Types in one subscription.
const TYPES_LIMIT: usize = 50;

/// Streams of one process at once.
const STREAMS_LIMIT: usize = 200;

/// Batches that wait for a slow reader: little, since each is read when wanted.
const BATCHES_AHEAD: usize = 2;

/// How long a subscriber that does not read is waited for at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Who may read events of which type.
pub trait EventAccess: Send + Sync + 'static {
    /// Whether the caller whose token is in the request's extensions may read
    /// events of this type, given by its full name.
    ///
    /// # Errors
    /// The refusal, EVENT_TYPE_DENIED (PERMISSION_DENIED).
    fn may_read(&self, extensions: &Extensions, event_type: &str) -> Result<(), Status>;
}

/// When a call's stream must end, because its token does. The layer that
/// checks tokens puts it into the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamDeadline(Instant);

impl StreamDeadline {
    /// Tokens expire by the machine's clock.
    #[must_use]
    pub fn new(expires_at: Timestamp) -> Self {
        let left = expires_at.duration_since(Timestamp::now());
        Self(Instant::now() + left.try_into().unwrap_or(Duration::ZERO))
    }
}

/// The server of a feed.
#[derive(Clone)]
pub struct FeedService {
    feed: Feed,
    access: Arc<dyn EventAccess>,
    streams: Arc<Semaphore>,
}

impl fmt::Debug for FeedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedService").finish_non_exhaustive()
    }
}

impl FeedService {
    pub(crate) fn new(feed: Feed, access: Arc<dyn EventAccess>) -> Self {
        Self {
            feed,
            access,
            streams: Arc::new(Semaphore::new(STREAMS_LIMIT)),
        }
    }

    fn checked_types(
        &self,
        extensions: &Extensions,
        types: Vec<String>,
    ) -> Result<Vec<String>, Status> {
        if types.is_empty() || types.len() > TYPES_LIMIT {
            return Err(bad_field("types", "1 to 50 event types"));
        }
        for event_type in &types {
            self.access.may_read(extensions, event_type)?;
        }
        Ok(types)
    }

    async fn start(&self, request: &SubscribeRequest) -> Result<Place, Status> {
        let pool = self.feed.database().pool();
        let Some(cursor) = &request.cursor else {
            return place::ends(pool)
                .await
                .map(|ends| ends.tail())
                .map_err(|error| database_failed(&error));
        };
        let place = Place::read(cursor).map_err(|error| bad_field("cursor", &error.to_string()))?;
        match reader::check(pool, &place).await {
            Ok(Ok(())) => Ok(place),
            Ok(Err(gone)) => Err(gone.into()),
            Err(error) => Err(database_failed(&error)),
        }
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            refusal(
                Code::ResourceExhausted,
                "TOO_MANY_SUBSCRIBERS",
                "this replica serves as many subscribers as it can",
            )
        })
    }
}

impl From<Gone> for Status {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Diverged => refusal(
                Code::FailedPrecondition,
                FEED_DIVERGED,
                "the feed does not hold the cursor's event any more; rebuild from the owner's state",
            ),
            Gone::Forgotten => refusal(
                Code::OutOfRange,
                CURSOR_BEHIND_RETENTION,
                "events after the cursor are no longer kept; rebuild from the owner's state",
            ),
            Gone::Gap => {
                tracing::error!("numbered events are missing from the outbox");
                refusal(
                    Code::DataLoss,
                    "FEED_GAP",
                    "events after the cursor are missing; the owner's operator has to look",
                )
            }
        }
    }
}

fn token_expired() -> Status {
    refusal(
        Code::Unauthenticated,
        "TOKEN_EXPIRED",
        "the token has expired; subscribe again with a new one",
    )
}

fn shutting_down() -> Status {
    refusal(
        Code::Unavailable,
        "SHUTTING_DOWN",
        "this replica is shutting down; subscribe again",
    )
}

#[tonic::async_trait]
impl EventFeedService for FeedService {
    type SubscribeStream = ReceiverStream<Result<SubscribeResponse, Status>>;

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let deadline = request.extensions().get::<StreamDeadline>().copied();
        let (_, extensions, mut request) = request.into_parts();
        let types = self.checked_types(&extensions, std::mem::take(&mut request.types))?;
        let permit = self.permit()?;
        let place = self.start(&request).await?;

        let (send, receive) = mpsc::channel(BATCHES_AHEAD);
        let subscription = Subscription::new(&self.feed, place, types, send.clone());
        let shutdown = self.feed.shutdown().clone();
        tokio::spawn(async move {
            let _permit = permit;
            let last = tokio::select! {
                end = subscription.serve() => end,
                () = until(deadline) => Some(token_expired()),
                () = shutdown.cancelled() => Some(shutting_down()),
            };
            if let Some(status) = last {
                let _ = send.send_timeout(Err(status), FAREWELL).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receive)))
    }

    async fn get_head(
        &self,
        _: Request<GetHeadRequest>,
    ) -> Result<Response<GetHeadResponse>, Status> {
        let ends = place::ends(self.feed.database().pool())
            .await
            .map_err(|error| database_failed(&error))?;
        Ok(Response::new(GetHeadResponse {
            head: Some(ends.head().into()),
            tail: Some(ends.tail().into()),
        }))
    }
}

async fn until(deadline: Option<StreamDeadline>) {
    match deadline {
        Some(StreamDeadline(instant)) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
