//! A small owner of items to learn from: its state in memory, its events in a
//! real outbox and feed.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carrel_outbox::{NewEvent, append};
use carrel_proto::catalog::v1::item_service_server::{ItemService, ItemServiceServer};
use carrel_proto::catalog::v1::location_unit_service_server::{
    LocationUnitService, LocationUnitServiceServer,
};
use carrel_proto::catalog::v1::*;
use carrel_runtime::{Assembly, Definition, Peer, Running, bind, start};
use carrel_testkit::TestDatabase;
use jiff::Timestamp;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use tonic::{Request, Response, Status};

use crate::desk::Keys;

/// What the owner knows and how it behaves.
#[derive(Debug, Default)]
pub struct State {
    pub items: Mutex<Vec<Item>>,
    /// How long it takes to answer a look-up, in milliseconds.
    pub delay_ms: AtomicU64,
    /// How often it was asked for a barcode.
    pub asked: AtomicU32,
    /// A follower whose reading of the state begins anew while a look-up is
    /// answered.
    pub restored_for: Mutex<Option<PgPool>>,
}

pub struct Owner {
    pub state: Arc<State>,
    pub running: Running,
    database: TestDatabase,
}

impl Owner {
    pub async fn start(keys: &Keys) -> Self {
        let none: &'static Migrator = Box::leak(Box::new(Migrator::with_migrations(Vec::new())));
        let database = TestDatabase::create(&carrel_database::with_foundation(none)).await;
        let settings = keys.settings(&database.url, Vec::new());
        let state = Arc::<State>::default();
        let rpcs = Rpcs(Arc::clone(&state));
        let definition = Definition {
            name: "catalog",
            migrations: none,
            peer_permissions: &[],
            build: |_context: &_| {
                Ok(Assembly::new()
                    .serve(ItemServiceServer::new(rpcs.clone()))
                    .serve(LocationUnitServiceServer::new(rpcs)))
            },
        };
        let listener = bind(settings.listen).await.unwrap();
        let mut running = start(&settings, listener, definition).await.unwrap();
        running.ready(Duration::from_secs(20)).await.unwrap();
        Self {
            state,
            running,
            database,
        }
    }

    /// The peers of a desk that has this owner and no other.
    pub fn peers(&self) -> Vec<Peer> {
        let mut peers = crate::desk::stopped_peers();
        peers[0].url = format!("http://{}", self.running.address());
        peers
    }

    /// Has an item without telling anybody.
    pub fn has(&self, item: Item) {
        let mut items = self.state.items.lock().unwrap();
        items.retain(|other| other.id != item.id);
        items.push(item);
    }

    /// Changes items and tells the feed.
    pub async fn changes(&self, changed: &[Item]) {
        let mut events = Vec::new();
        for item in changed {
            self.has(item.clone());
            let message = ItemChanged {
                item: Some(item.clone()),
            };
            events.push(NewEvent::of(
                item.id.parse().unwrap(),
                &message,
                Timestamp::now(),
            ));
        }
        let mut connection = self.database.pool.acquire().await.unwrap();
        append(&mut connection, &events).await.unwrap();
    }
}

#[derive(Debug, Clone)]
struct Rpcs(Arc<State>);

fn not_here<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not at this owner"))
}

#[tonic::async_trait]
impl ItemService for Rpcs {
    async fn create_item(
        &self,
        _: Request<CreateItemRequest>,
    ) -> Result<Response<CreateItemResponse>, Status> {
        not_here()
    }

    async fn get_item(
        &self,
        _: Request<GetItemRequest>,
    ) -> Result<Response<GetItemResponse>, Status> {
        not_here()
    }

    async fn get_item_by_barcode(
        &self,
        request: Request<GetItemByBarcodeRequest>,
    ) -> Result<Response<GetItemByBarcodeResponse>, Status> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(
            self.0.delay_ms.load(Ordering::Relaxed),
        ))
        .await;
        let follower = self.0.restored_for.lock().unwrap().take();
        if let Some(follower) = follower {
            sqlx::query(
                "update feed_cursor set generation = generation + 1 where feed = 'catalog'",
            )
            .execute(&follower)
            .await
            .unwrap();
        }
        let barcode = &request.get_ref().barcode;
        let items = self.0.items.lock().unwrap();
        match items.iter().find(|item| item.barcode == *barcode) {
            Some(item) => Ok(Response::new(GetItemByBarcodeResponse {
                item: Some(item.clone()),
            })),
            None => Err(Status::not_found("no such item")),
        }
    }

    async fn list_items(
        &self,
        request: Request<ListItemsRequest>,
    ) -> Result<Response<ListItemsResponse>, Status> {
        // Two on a page, so that there are pages.
        let first: usize = request.get_ref().page_token.parse().unwrap_or(0);
        let items = self.0.items.lock().unwrap();
        let page: Vec<Item> = items.iter().skip(first).take(2).cloned().collect();
        let next = first + page.len();
        let next_page_token = if next < items.len() {
            next.to_string()
        } else {
            String::new()
        };
        Ok(Response::new(ListItemsResponse {
            items: page,
            next_page_token,
        }))
    }

    async fn update_item(
        &self,
        _: Request<UpdateItemRequest>,
    ) -> Result<Response<UpdateItemResponse>, Status> {
        not_here()
    }
}

#[tonic::async_trait]
impl LocationUnitService for Rpcs {
    async fn create_location_unit(
        &self,
        _: Request<CreateLocationUnitRequest>,
    ) -> Result<Response<CreateLocationUnitResponse>, Status> {
        not_here()
    }

    async fn get_location_unit(
        &self,
        _: Request<GetLocationUnitRequest>,
    ) -> Result<Response<GetLocationUnitResponse>, Status> {
        not_here()
    }

    async fn list_location_units(
        &self,
        _: Request<ListLocationUnitsRequest>,
    ) -> Result<Response<ListLocationUnitsResponse>, Status> {
        Ok(Response::new(ListLocationUnitsResponse::default()))
    }

    async fn update_location_unit(
        &self,
        _: Request<UpdateLocationUnitRequest>,
    ) -> Result<Response<UpdateLocationUnitResponse>, Status> {
        not_here()
    }
}
