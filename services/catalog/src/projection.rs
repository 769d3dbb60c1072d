//! What circulation says of items: in, out, lost. From its feed, and from its
//! current state where the feed can't be followed.

use std::collections::HashMap;
use std::time::Duration;

use carrel_outbox::{ApplyError, Consumer, Page, Projection, StateProjection, decode, known};
use carrel_proto::circulation::v1::loan_service_client::LoanServiceClient;
use carrel_proto::circulation::v1::{
    CirculationItem, CirculationItemStatus, ItemAvailabilityChanged, ListItemAvailabilitiesRequest,
};
use carrel_proto::events::v1::Event;
use carrel_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use carrel_runtime::{Context, PeerChannel, StartError};
use sqlx::PgConnection;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::item::{Availability, AvailabilityNow, store};

/// Whose feed it is.
const CIRCULATION: &str = "circulation";
/// Rows of a page of circulation's state.
const PAGE_SIZE: i32 = 1000;
/// How long circulation may take for a page.
const DEADLINE: Duration = Duration::from_secs(10);

/// Availabilities of items, kept in `item_availability`.
pub(crate) struct Availabilities {
    circulation: LoanServiceClient<PeerChannel>,
}

/// Follows circulation's feed.
pub(crate) fn availabilities(context: &Context) -> Result<Consumer, StartError> {
    let channel = context.peers.channel(CIRCULATION)?;
    let projection = Availabilities {
        circulation: LoanServiceClient::new(channel.clone()),
    };
    let client = EventFeedServiceClient::new(channel);
    Ok(Consumer::of_state(
        CIRCULATION,
        context.database.clone(),
        client,
        projection,
    ))
}

fn read(item: &CirculationItem) -> Result<AvailabilityNow, ApplyError> {
    let item_id: Uuid = carrel_ids::parse(&item.item_id)
        .map_err(|_| ApplyError::Poison("item_id is not an identifier".into()))?;
    let availability = match known::<CirculationItemStatus>(item.status, "status")? {
        CirculationItemStatus::In => Availability::In,
        CirculationItemStatus::CheckedOut => Availability::CheckedOut,
        CirculationItemStatus::AgedToLost => Availability::AgedToLost,
        CirculationItemStatus::ClaimedReturned => Availability::ClaimedReturned,
        CirculationItemStatus::DeclaredLost => Availability::DeclaredLost,
        CirculationItemStatus::AwaitingPickup => Availability::AwaitingPickup,
        CirculationItemStatus::InTransit => Availability::InTransit,
        CirculationItemStatus::Paged => Availability::Paged,
        CirculationItemStatus::Missing => Availability::Missing,
        CirculationItemStatus::LostAndPaid => Availability::LostAndPaid,
        CirculationItemStatus::AwaitingDelivery => Availability::AwaitingDelivery,
        CirculationItemStatus::Unspecified => {
            return Err(ApplyError::Poison("status is unspecified".into()));
        }
    };
    Ok(AvailabilityNow {
        item_id,
        availability,
        revision: item.revision,
    })
}

/// The newest word on each item: a statement can write a row only once.
fn newest(items: impl Iterator<Item = AvailabilityNow>) -> Vec<AvailabilityNow> {
    let mut newest: HashMap<Uuid, AvailabilityNow> = HashMap::new();
    for item in items {
        let known = newest.entry(item.item_id).or_insert(item);
        if known.revision < item.revision {
            *known = item;
        }
    }
    let mut items: Vec<AvailabilityNow> = newest.into_values().collect();
    items.sort_by_key(|item| item.item_id);
    items
}

fn said_by(event: &Event) -> Result<AvailabilityNow, ApplyError> {
    let changed: ItemAvailabilityChanged = decode(event)?;
    let item = changed
        .item
        .ok_or_else(|| ApplyError::Poison("item is missing".into()))?;
    read(&item)
}

impl Projection for Availabilities {
    fn types(&self) -> Vec<String> {
        vec![<ItemAvailabilityChanged as prost::Name>::full_name()]
    }

    async fn apply_all(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        events: &[Event],
    ) -> Result<(), ApplyError> {
        let items: Result<Vec<AvailabilityNow>, ApplyError> = events.iter().map(said_by).collect();
        let items = newest(items?.into_iter());
        Ok(store::note_availabilities(connection, generation, &items).await?)
    }
}

impl StateProjection for Availabilities {
    type Rows = Vec<CirculationItem>;

    async fn fetch_page(&self, page_token: &str) -> Result<Page<Self::Rows>, Status> {
        let mut request = Request::new(ListItemAvailabilitiesRequest {
            page_size: PAGE_SIZE,
            page_token: page_token.to_owned(),
        });
        request.set_timeout(DEADLINE);
        let page = self
            .circulation
            .clone()
            .list_item_availabilities(request)
            .await?
            .into_inner();
        Ok(Page {
            rows: page.items,
            next_page_token: page.next_page_token,
        })
    }

    async fn apply_page(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        rows: &Self::Rows,
    ) -> Result<(), ApplyError> {
        let items: Result<Vec<AvailabilityNow>, ApplyError> = rows.iter().map(read).collect();
        let items = newest(items?.into_iter());
        Ok(store::note_availabilities(connection, generation, &items).await?)
    }

    async fn finish_rebuild(
        &self,
        connection: &mut PgConnection,
        generation: i64,
    ) -> Result<(), ApplyError> {
        Ok(store::forget_older_availabilities(connection, generation).await?)
    }
}
