//! A small service that owns items and publishes their changes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use carrel_database::Database;
use carrel_outbox::{
    CallerName, EventAccess, Feed, NewEvent, StreamDeadline, Wake, append, sequence,
};
use carrel_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use carrel_proto::events::v1::event_feed_service_server::EventFeedServiceServer;
use carrel_proto::events::v1::{Cursor, GetHeadRequest, GetHeadResponse};
use carrel_testkit::{TestDatabase, eventually};
use jiff::Timestamp;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgConnection, PgPool};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Extensions, Request, Status};
use uuid::Uuid;

/// Long enough for a slow machine, short enough for a test that hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// An item changed; the test's own message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ItemChanged {
    #[prost(int64, tag = "1")]
    pub revision: i64,
    #[prost(int64, tag = "2")]
    pub shelf: i64,
    /// 1 = available, 2 = withdrawn.
    #[prost(int32, tag = "3")]
    pub status: i32,
}

impl prost::Name for ItemChanged {
    const NAME: &'static str = "ItemChanged";
    const PACKAGE: &'static str = "carrel.test.v1";
}

/// Something else that happens at the same owner.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ShelfRead {
    #[prost(bytes = "vec", tag = "1")]
    pub report: Vec<u8>,
}

impl prost::Name for ShelfRead {
    const NAME: &'static str = "ShelfRead";
    const PACKAGE: &'static str = "carrel.test.v1";
}

pub const ITEM_CHANGED: &str = "carrel.test.v1.ItemChanged";
pub const SHELF_READ: &str = "carrel.test.v1.ShelfRead";
pub const SECRET: &str = "carrel.test.v1.Secret";

/// The tables of the foundation, an owner's and a consumer's in one.
pub async fn database() -> TestDatabase {
    TestDatabase::prepared("carrel-outbox", async |pool: &PgPool| prepare(pool).await).await
}

pub async fn prepare(pool: &PgPool) -> Result<(), sqlx::Error> {
    carrel_database::migrate(&Database::from_pool(pool.clone()), &Migrator::DEFAULT)
        .await
        .expect("the foundation's tables can be made");
    sqlx::raw_sql(
        "create table item (
             item_id uuid primary key, revision bigint not null, shelf bigint not null, status integer not null
         );
         create table item_copy (
             item_id uuid primary key, shelf bigint not null, status integer not null,
             generation bigint not null, revision bigint not null
         );
         create function refuse_older() returns trigger language plpgsql as $$
         begin
             raise exception 'a copy went back';
         end
         $$;
         create trigger item_copy_never_goes_back before update on item_copy for each row
             when ((new.generation, new.revision) < (old.generation, old.revision))
             execute function refuse_older();
         create table taken (
             place bigint generated always as identity, number bigint not null,
             event_id uuid not null, subject_id uuid not null, revision bigint not null
         );",
    )
    .execute(pool)
    .await
    .map(drop)
}

pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Changes an item as a use case does: lock and change, then append.
pub async fn change(connection: &mut PgConnection, item: Uuid) -> Result<i64, sqlx::Error> {
    let (revision, shelf, status): (i64, i64, i32) = sqlx::query_as(
        "update item set revision = revision + 1, shelf = shelf + 7 where item_id = $1
         returning revision, shelf, status",
    )
    .bind(item)
    .fetch_one(&mut *connection)
    .await?;
    let message = ItemChanged {
        revision,
        shelf,
        status,
    };
    append(connection, &[NewEvent::of(item, &message, now())]).await?;
    Ok(revision)
}

pub async fn change_in_transaction(pool: &PgPool, item: Uuid) -> Result<i64, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let revision = change(&mut transaction, item).await?;
    transaction.commit().await?;
    Ok(revision)
}

/// Acquires items, with an event each.
pub async fn acquire(pool: &PgPool, count: usize) -> Vec<Uuid> {
    let items: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query("insert into item select unnest($1::uuid[]), 1, 1, 1")
        .bind(&items)
        .execute(&mut *transaction)
        .await
        .unwrap();
    let message = ItemChanged {
        revision: 1,
        shelf: 1,
        status: 1,
    };
    let events: Vec<NewEvent> = items
        .iter()
        .map(|item| NewEvent::of(*item, &message, now()))
        .collect();
    append(&mut transaction, &events).await.unwrap();
    transaction.commit().await.unwrap();
    items
}

/// Sequences until nothing is left to number.
pub async fn sequence_all(pool: &PgPool) {
    while sequence(pool).await.unwrap().again {}
}

/// Number and subject of all that is numbered, in the feed's order.
pub async fn numbered(pool: &PgPool) -> Vec<(i64, Uuid)> {
    sqlx::query_as("select number, subject_id from outbox where number is not null order by number")
        .fetch_all(pool)
        .await
        .unwrap()
}

/// A pool as behind a pooler that gives each transaction another connection
/// and wipes what the last one left: no prepared statement, no setting and no
/// session lock survives.
pub async fn pooled_by_transaction(database: &TestDatabase) -> PgPool {
    let server = carrel_testkit::postgres().await;
    PgPoolOptions::new()
        .max_connections(6)
        .after_release(|connection, _| {
            Box::pin(async move {
                sqlx::query("discard all").execute(connection).await?;
                Ok(true)
            })
        })
        .connect_lazy_with(server.options(database.name()).statement_cache_capacity(0))
}

/// Everybody may read everything but secrets.
#[derive(Debug)]
struct Access;

impl EventAccess for Access {
    fn may_read(&self, _: &Extensions, event_type: &str) -> Result<(), Status> {
        match event_type {
            SECRET => Err(Status::new(Code::PermissionDenied, "EVENT_TYPE_DENIED")),
            _ => Ok(()),
        }
    }
}

/// One process of the owner: its sequencer and its server.
pub struct Replica {
    pub feed: Feed,
    pub wake: Wake,
    pub address: SocketAddr,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

/// What the token layer does: here the caller says when the token expires.
fn with_token(mut request: Request<()>) -> Result<Request<()>, Status> {
    if let Some(milliseconds) = request.metadata().get("token-milliseconds") {
        let milliseconds: i64 = milliseconds.to_str().unwrap().parse().unwrap();
        let expires_at = now() + jiff::SignedDuration::from_millis(milliseconds);
        request
            .extensions_mut()
            .insert(StreamDeadline::new(expires_at));
    }
    request
        .extensions_mut()
        .insert(CallerName("operator".to_owned()));
    Ok(request)
}

impl Replica {
    pub async fn start(pool: PgPool) -> Self {
        let shutdown = CancellationToken::new();
        let feed = Feed::new(Database::from_pool(pool), shutdown.clone());
        feed.prepare().await.unwrap();
        let service = feed.service(Arc::new(Access));
        let server = Server::builder().add_service(EventFeedServiceServer::with_interceptor(
            service, with_token,
        ));
        let (address, mut tasks) = serve(server, shutdown.clone()).await;
        tasks.spawn(feed.clone().run());
        Self {
            wake: feed.wake(),
            feed,
            address,
            shutdown,
            tasks,
        }
    }

    pub fn client(&self) -> EventFeedServiceClient<Channel> {
        EventFeedServiceClient::new(channel(self.address))
    }

    pub async fn ends(&self) -> GetHeadResponse {
        let response = self.client().get_head(GetHeadRequest {}).await;
        response.unwrap().into_inner()
    }

    pub async fn head(&self) -> Cursor {
        self.ends().await.head.unwrap()
    }

    pub async fn has_numbered(&self, number: i64) {
        eventually("the events are numbered", PATIENCE, async || {
            (self.head().await.number >= number).then_some(())
        })
        .await;
    }

    /// As a shutdown does: streams end, the server drains.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

pub fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
}

pub async fn serve(
    server: tonic::transport::server::Router,
    shutdown: CancellationToken,
) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        server
            .serve_with_incoming_shutdown(
                TcpListenerStream::new(listener),
                shutdown.cancelled_owned(),
            )
            .await
            .unwrap();
    });
    (address, tasks)
}

/// For the operators' service, which needs to know who calls.
pub fn token_layer(request: Request<()>) -> Result<Request<()>, Status> {
    with_token(request)
}
