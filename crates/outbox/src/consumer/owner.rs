//! The owner of a feed, as its consumer reaches it.

use std::time::Duration;

use carrel_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use carrel_proto::events::v1::{GetHeadRequest, SubscribeRequest, SubscribeResponse};
use futures::future::BoxFuture;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tonic::{Status, Streaming};

use crate::place::Place;

/// How long the owner may take to answer. A stream's messages have their own limit.
const DEADLINE: Duration = Duration::from_secs(10);

/// Both ends of the owner's feed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnerEnds {
    pub head: Place,
    pub tail: Place,
}

/// The owner's feed, whatever layers its client has.
pub(crate) trait Owner: Send + Sync {
    fn subscribe(
        &self,
        place: Place,
        types: Vec<String>,
    ) -> BoxFuture<'_, Result<Streaming<SubscribeResponse>, Status>>;

    fn ends(&self) -> BoxFuture<'_, Result<OwnerEnds, Status>>;
}

impl<C> Owner for EventFeedServiceClient<C>
where
    C: GrpcService<Body> + Clone + Send + Sync + 'static,
    C::Error: Into<StdError>,
    C::Future: Send,
    C::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <C::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    fn subscribe(
        &self,
        place: Place,
        types: Vec<String>,
    ) -> BoxFuture<'_, Result<Streaming<SubscribeResponse>, Status>> {
        let mut client = self.clone();
        let request = SubscribeRequest {
            cursor: Some(place.into()),
            types,
        };
        Box::pin(within_deadline(async move {
            Ok(EventFeedServiceClient::subscribe(&mut client, request)
                .await?
                .into_inner())
        }))
    }

    fn ends(&self) -> BoxFuture<'_, Result<OwnerEnds, Status>> {
        let mut client = self.clone();
        Box::pin(within_deadline(async move {
            let response = client.get_head(GetHeadRequest {}).await?.into_inner();
            let read = |cursor: Option<_>| {
                cursor
                    .as_ref()
                    .and_then(|cursor| Place::read(cursor).ok())
                    .ok_or_else(|| Status::internal("the owner's feed has no ends"))
            };
            Ok(OwnerEnds {
                head: read(response.head)?,
                tail: read(response.tail)?,
            })
        }))
    }
}

async fn within_deadline<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    tokio::time::timeout(DEADLINE, call)
        .await
        .unwrap_or_else(|_| {
            Err(Status::deadline_exceeded(
                "the owner did not answer in time",
            ))
        })
}
