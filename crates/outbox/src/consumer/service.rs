//! `carrel.operations.v1.FeedConsumerService`: what operators see of a
//! service's consumers, and how they get one past an event that can't be
//! applied.

use aws_lc_rs::digest::{SHA256, digest};
use carrel_database::RequestKey;
use carrel_proto::operations::v1::feed_consumer_service_server::FeedConsumerService as Contract;
use carrel_proto::operations::v1::{
    FeedConsumer, FeedConsumerState, ListFeedConsumersRequest, ListFeedConsumersResponse,
    ListParkedEventsRequest, ListParkedEventsResponse, ParkEventRequest, ParkEventResponse,
    ParkedEvent, ReplayParkedEventsRequest, ReplayParkedEventsResponse,
};
use jiff::Timestamp;
use prost::Message;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use super::repair::{self, RepairError};
use super::{Consumer, Running, cursor, parked};
use crate::refusal::{bad_field, database_failed, refusal};
use crate::time::timestamp;

/// Who calls: the token's subject. The layer that checks tokens puts it into
/// the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerName(pub String);

const DEFAULT_PAGE_SIZE: i32 = 100;
const MAX_PAGE_SIZE: i32 = 1_000;

/// The operators' service over a process's consumers.
#[derive(Debug, Clone)]
pub struct FeedConsumerService {
    consumers: Vec<Consumer>,
}

impl FeedConsumerService {
    pub(super) fn new(consumers: Vec<Consumer>) -> Self {
        Self { consumers }
    }

    fn consumer(&self, feed: &str) -> Result<&dyn Running, Status> {
        self.consumers
            .iter()
            .find(|consumer| consumer.feed() == feed)
            .map(|consumer| &*consumer.running)
            .ok_or_else(|| {
                refusal(
                    Code::NotFound,
                    "FEED_NOT_FOLLOWED",
                    "this service does not follow the feed",
                )
            })
    }
}

/// What makes a repeated request the same one.
fn key<M: Message>(
    request: &Request<M>,
    rpc: &'static str,
    request_id: &str,
) -> Result<RequestKey, Status> {
    let CallerName(caller) = request.extensions().get().cloned().ok_or_else(|| {
        refusal(
            Code::Unauthenticated,
            "CALLER_UNKNOWN",
            "repairing a feed needs to know who calls",
        )
    })?;
    let hash = digest(&SHA256, &request.get_ref().encode_to_vec());
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(hash.as_ref());
    Ok(RequestKey {
        caller,
        rpc,
        request_id: id("request_id", request_id)?,
        fingerprint,
    })
}

async fn describe(consumer: &dyn Running) -> Result<FeedConsumer, sqlx::Error> {
    let pool = consumer.database().pool();
    let observed = consumer.observed();
    let mut described = FeedConsumer {
        feed: consumer.feed().to_owned(),
        head_number: observed.head_number,
        heard_at: observed.heard_at.map(timestamp),
        cause: observed.trouble.unwrap_or_default(),
        parked_count: parked::count(pool, consumer.feed()).await?,
        ..FeedConsumer::default()
    };
    let mut state = FeedConsumerState::Rebuilding;
    if let Some(row) = cursor::find(pool, consumer.feed()).await? {
        described.cursor = row.place().map(Into::into);
        described.lost_count = row.lost_count;
        if row.place().is_some() && row.rebuild().is_none() {
            state = FeedConsumerState::Following;
        }
        if !observed.is_connected {
            state = FeedConsumerState::Disconnected;
        }
        if let Some(event) = row.poison() {
            state = FeedConsumerState::Poisoned;
            described.poison_event_id = event.event_id;
            described.cause = row.poison_cause.unwrap_or_default();
        }
    }
    described.set_state(state);
    Ok(described)
}

fn id(field: &str, text: &str) -> Result<Uuid, Status> {
    carrel_ids::parse(text).map_err(|error| bad_field(field, &error.to_string()))
}

impl From<RepairError> for Status {
    fn from(error: RepairError) -> Self {
        let text = error.to_string();
        match error {
            RepairError::NotPoison => refusal(Code::FailedPrecondition, "EVENT_NOT_POISON", text),
            RepairError::RequestReused => refusal(Code::InvalidArgument, "REQUEST_ID_REUSED", text),
            RepairError::DoneBefore(_) => refusal(Code::Internal, "INTERNAL", "internal error"),
            RepairError::Database(error) => database_failed(&error),
        }
    }
}

#[tonic::async_trait]
impl Contract for FeedConsumerService {
    async fn list_feed_consumers(
        &self,
        _: Request<ListFeedConsumersRequest>,
    ) -> Result<Response<ListFeedConsumersResponse>, Status> {
        let mut consumers = Vec::new();
        for consumer in &self.consumers {
            let described = describe(&*consumer.running).await;
            consumers.push(described.map_err(|error| database_failed(&error))?);
        }
        Ok(Response::new(ListFeedConsumersResponse { consumers }))
    }

    async fn list_parked_events(
        &self,
        request: Request<ListParkedEventsRequest>,
    ) -> Result<Response<ListParkedEventsResponse>, Status> {
        let request = request.get_ref();
        let consumer = self.consumer(&request.feed)?;
        let feed = consumer.feed();
        let limit = match request.page_size {
            size if size < 0 => return Err(bad_field("page_size", "0 or more")),
            0 => DEFAULT_PAGE_SIZE,
            size => size.min(MAX_PAGE_SIZE),
        };
        let after = page_after(feed, &request.page_token)?;
        let rows = parked::list(consumer.database().pool(), feed, after, i64::from(limit))
            .await
            .map_err(|error| database_failed(&error))?;
        let next_page_token = match rows.last() {
            Some(last) if rows.len() == limit as usize => format!("{feed}:{}", last.place),
            _ => String::new(),
        };
        Ok(Response::new(ListParkedEventsResponse {
            parked_events: rows.into_iter().map(parked_event).collect(),
            next_page_token,
        }))
    }

    async fn park_event(
        &self,
        request: Request<ParkEventRequest>,
    ) -> Result<Response<ParkEventResponse>, Status> {
        let rpc = "/carrel.operations.v1.FeedConsumerService/ParkEvent";
        let key = key(&request, rpc, &request.get_ref().request_id)?;
        let request = request.into_inner();
        let consumer = self.consumer(&request.feed)?;
        let event_id = id("event_id", &request.event_id)?;
        let (database, now) = (consumer.database(), Timestamp::now());
        repair::park(database, consumer.feed(), event_id, &key, now).await?;
        tracing::warn!(feed = consumer.feed(), event.id = %event_id, "a poison event was parked");
        consumer.resume();
        Ok(Response::new(ParkEventResponse {}))
    }

    async fn replay_parked_events(
        &self,
        request: Request<ReplayParkedEventsRequest>,
    ) -> Result<Response<ReplayParkedEventsResponse>, Status> {
        let rpc = "/carrel.operations.v1.FeedConsumerService/ReplayParkedEvents";
        let key = key(&request, rpc, &request.get_ref().request_id)?;
        let request = request.into_inner();
        let consumer = self.consumer(&request.feed)?;
        let subject_id = id("subject_id", &request.subject_id)?;
        let replayed = consumer.replay(subject_id, &key, Timestamp::now()).await?;
        let (failed_event_id, cause) = replayed
            .failed
            .map_or_else(Default::default, |(id, cause)| (id.to_string(), cause));
        Ok(Response::new(ReplayParkedEventsResponse {
            applied_count: replayed.applied_count as i64,
            failed_event_id,
            cause,
        }))
    }
}

/// The place after which a page begins. The token names its feed, so that one
/// of another feed is refused.
fn page_after(feed: &str, token: &str) -> Result<i64, Status> {
    if token.is_empty() {
        return Ok(0);
    }
    token
        .strip_prefix(feed)
        .and_then(|rest| rest.strip_prefix(':'))
        .and_then(|place| place.parse().ok())
        .ok_or_else(|| bad_field("page_token", "not a token of this listing"))
}

fn parked_event(row: parked::ParkedRow) -> ParkedEvent {
    ParkedEvent {
        parked_at: Some(timestamp(row.parked_at())),
        event_id: row.event_id.to_string(),
        r#type: row.r#type,
        subject_id: row.subject_id.to_string(),
        number: row.number,
        cause: row.cause,
    }
}
