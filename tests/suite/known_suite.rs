//! Clients of a suite whose addresses and token are known.

use std::collections::BTreeMap;
use std::time::Duration;

use carrel_proto::circulation::v1 as circulation;
use carrel_proto::circulation::v1::loan_service_client::LoanServiceClient;
use carrel_proto::circulation::v1::service_point_service_client::ServicePointServiceClient;
use carrel_proto::operations::v1::ListFeedConsumersRequest;
use carrel_proto::operations::v1::feed_consumer_service_client::FeedConsumerServiceClient;
use carrel_testkit::eventually;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Puts a token on each call.
#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

pub type Authorized = InterceptedService<Channel, Bearer>;

/// A suite's addresses, and a token for it.
pub struct KnownSuite {
    pub endpoints: BTreeMap<String, String>,
    bearer: Bearer,
}

impl KnownSuite {
    pub fn new(endpoints: BTreeMap<String, String>, token: &str) -> Self {
        let value = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
        Self {
            endpoints,
            bearer: Bearer(value),
        }
    }

    pub fn channel(&self, service: &str) -> Authorized {
        let url = format!("http://{}", self.endpoints[service]);
        let endpoint = Endpoint::from_shared(url).unwrap();
        InterceptedService::new(endpoint.connect_lazy(), self.bearer.clone())
    }

    /// The id of a service point.
    pub async fn service_point(&self, code: &str) -> String {
        let mut client = ServicePointServiceClient::new(self.channel("circulation"));
        let points = client
            .list_service_points(circulation::ListServicePointsRequest::default())
            .await
            .unwrap()
            .into_inner()
            .service_points;
        points
            .into_iter()
            .find(|point| point.code == code)
            .unwrap()
            .id
    }

    /// Lends at a desk.
    pub async fn lend(
        &self,
        service_point_id: &str,
        item: &str,
        patron: &str,
    ) -> Result<circulation::CheckOutResponse, Status> {
        let request = circulation::CheckOutRequest {
            item_barcode: item.into(),
            patron_barcode: patron.into(),
            service_point_id: service_point_id.into(),
            request_id: carrel_ids::new_id().to_string(),
            ..Default::default()
        };
        let mut client = LoanServiceClient::new(self.channel("circulation"));
        Ok(client.check_out(request).await?.into_inner())
    }

    /// Takes back at a desk.
    pub async fn take_back(
        &self,
        service_point_id: &str,
        item: &str,
    ) -> Result<circulation::CheckInResponse, Status> {
        let request = circulation::CheckInRequest {
            item_barcode: item.into(),
            service_point_id: service_point_id.into(),
            request_id: carrel_ids::new_id().to_string(),
            ..Default::default()
        };
        let mut client = LoanServiceClient::new(self.channel("circulation"));
        Ok(client.check_in(request).await?.into_inner())
    }

    /// Waits until a service has taken everything from the feeds it follows.
    pub async fn level(&self, service: &str) {
        let client = FeedConsumerServiceClient::new(self.channel(service));
        eventually(
            "the projections are level",
            Duration::from_secs(60),
            async || {
                let request = ListFeedConsumersRequest::default();
                let answer = client
                    .clone()
                    .list_feed_consumers(request)
                    .await
                    .ok()?
                    .into_inner();
                let level = answer.consumers.iter().all(|consumer| {
                    let reached = consumer.cursor.as_ref().map_or(0, |cursor| cursor.number);
                    consumer.state() == carrel_proto::operations::v1::FeedConsumerState::Following
                        && consumer.heard_at.is_some()
                        && reached >= consumer.head_number
                });
                level.then_some(())
            },
        )
        .await;
    }
}

/// The stable reason of a refused call.
pub fn reason(status: &Status) -> String {
    carrel_runtime::read::reason(status).unwrap_or_else(|| format!("no reason: {status:?}"))
}
