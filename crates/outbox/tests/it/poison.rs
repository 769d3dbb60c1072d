//! Events that can't be applied: the feed stops, an operator gets it past.

use std::sync::atomic::Ordering;

use carrel_proto::operations::v1::feed_consumer_service_client::FeedConsumerServiceClient;
use carrel_proto::operations::v1::feed_consumer_service_server::FeedConsumerServiceServer;
use carrel_proto::operations::v1::{
    FeedConsumer, FeedConsumerState, ListFeedConsumersRequest, ListParkedEventsRequest,
    ParkEventRequest, ReplayParkedEventsRequest, ReplayParkedEventsResponse,
};
use carrel_testkit::{TestDatabase, eventually};
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Server};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::copies::{Follower, ItemCopies, Switches, copies, level, standing, taken_up_to};
use crate::owner::{
    PATIENCE, Replica, SHELF_READ, ShelfRead, acquire, change_in_transaction, channel, database,
    now, serve, token_layer,
};

/// An owner, a library that follows it, and the operators' service.
struct Stage {
    owner: TestDatabase,
    library: TestDatabase,
    items: Vec<Uuid>,
    replica: Replica,
    follower: Follower,
    copies: ItemCopies,
    operators: FeedConsumerServiceClient<Channel>,
    _server: JoinSet<()>,
}

async fn stage(other_types: &[&str]) -> Stage {
    let (owner, library) = (database().await, database().await);
    let items = acquire(&owner.pool, 3).await;
    let replica = Replica::start(owner.pool.clone()).await;
    replica.has_numbered(3).await;
    let copies = ItemCopies {
        owner: owner.pool.clone(),
        switches: Switches {
            other_types: other_types.iter().map(|name| (*name).to_owned()).collect(),
            ..Switches::default()
        },
    };
    let follower = Follower::of_state(&library.pool, replica.client(), copies.clone());
    level(&owner.pool, &library.pool).await;
    let service = follower.consumers.service();
    let server = Server::builder().add_service(FeedConsumerServiceServer::with_interceptor(
        service,
        token_layer,
    ));
    let (address, server) = serve(server, CancellationToken::new()).await;
    Stage {
        owner,
        library,
        items,
        replica,
        follower,
        copies,
        operators: FeedConsumerServiceClient::new(channel(address)),
        _server: server,
    }
}

impl Stage {
    async fn change(&self, item: Uuid) {
        change_in_transaction(&self.owner.pool, item).await.unwrap();
        self.replica.wake.committed();
    }

    /// The owner begins to use a status that the library does not know.
    async fn withdraw(&self, item: Uuid) {
        sqlx::query("update item set status = 2 where item_id = $1")
            .bind(item)
            .execute(&self.owner.pool)
            .await
            .unwrap();
        self.change(item).await;
    }

    async fn listed(&self) -> FeedConsumer {
        let listed = self
            .operators
            .clone()
            .list_feed_consumers(ListFeedConsumersRequest {})
            .await
            .unwrap();
        listed.into_inner().consumers.remove(0)
    }

    async fn stopped(&self) -> FeedConsumer {
        eventually("the feed is stopped", PATIENCE, async || {
            let listed = self.listed().await;
            (listed.state() == FeedConsumerState::Poisoned).then_some(listed)
        })
        .await
    }

    async fn park(&self, event_id: &str, request_id: Uuid) -> Result<(), Status> {
        let request = ParkEventRequest {
            feed: "catalog".to_owned(),
            event_id: event_id.to_owned(),
            request_id: request_id.to_string(),
        };
        self.operators.clone().park_event(request).await.map(drop)
    }

    async fn replay(&self, subject: Uuid, request_id: Uuid) -> ReplayParkedEventsResponse {
        let request = ReplayParkedEventsRequest {
            feed: "catalog".to_owned(),
            subject_id: subject.to_string(),
            request_id: request_id.to_string(),
        };
        let response = self.operators.clone().replay_parked_events(request).await;
        response.unwrap().into_inner()
    }
}

async fn revision(pool: &PgPool, item: Uuid) -> i64 {
    let rows = copies(pool).await;
    rows.iter().find(|row| row.0 == item).unwrap().1
}

fn reason(status: &Status) -> (Code, String) {
    let reason = status.get_details_error_info().map(|info| info.reason);
    (status.code(), reason.unwrap_or_default())
}

#[tokio::test]
async fn poison_stops_the_feed_and_a_park_gets_it_past_in_order() {
    let stage = stage(&[]).await;
    let [first, second, third] = stage.items[..] else {
        panic!()
    };
    let library = &stage.library.pool;
    stage.change(second).await;
    stage.withdraw(first).await;
    for item in [second, first, third] {
        stage.change(item).await;
    }

    // Events before it took effect, those after it did not.
    let stopped = stage.stopped().await;
    assert_eq!(stopped.cause, "status has unknown value 2");
    assert_eq!(stopped.cursor.as_ref().unwrap().number, 4);
    assert_eq!(revision(library, second).await, 2);

    // Another replica of the library finds the same, and so does a restart.
    let other = Follower::of_state(library, stage.replica.client(), stage.copies.clone());
    let before = stage.listed().await;

    // Only the event at which it stands can be parked.
    let wrong = stage
        .park(&Uuid::now_v7().to_string(), Uuid::now_v7())
        .await;
    assert_eq!(
        reason(&wrong.unwrap_err()),
        (Code::FailedPrecondition, "EVENT_NOT_POISON".to_owned())
    );
    assert_eq!(stage.listed().await.poison_event_id, before.poison_event_id);

    let request_id = Uuid::now_v7();
    stage
        .park(&stopped.poison_event_id, request_id)
        .await
        .unwrap();
    stage
        .park(&stopped.poison_event_id, request_id)
        .await
        .unwrap();
    taken_up_to(library, 8).await;
    assert_eq!(revision(library, second).await, 3, "other items go on");
    assert_eq!(revision(library, third).await, 2);
    assert_eq!(
        revision(library, first).await,
        1,
        "the item's later event waits with it"
    );
    let listed = stage.listed().await;
    assert_eq!(
        (listed.state(), listed.parked_count),
        (FeedConsumerState::Following, 2)
    );
    assert!(
        listed.cause.is_empty() && listed.poison_event_id.is_empty(),
        "{listed:?}"
    );

    // The same request id for something else is refused.
    let reused = stage.park(&Uuid::now_v7().to_string(), request_id).await;
    assert_eq!(reason(&reused.unwrap_err()).1, "REQUEST_ID_REUSED");

    // Too early: nothing is applied, and nothing lost.
    let request_id = Uuid::now_v7();
    let early = stage.replay(first, request_id).await;
    assert_eq!(
        (early.applied_count, &early.failed_event_id),
        (0, &stopped.poison_event_id)
    );

    // The library is upgraded: both apply, in order, and once.
    stage
        .copies
        .switches
        .knows_withdrawn
        .store(true, Ordering::SeqCst);
    assert_eq!(stage.replay(first, request_id).await.applied_count, 2);
    assert_eq!(
        stage.replay(first, request_id).await.applied_count,
        2,
        "the first answer again"
    );
    assert_eq!(stage.replay(first, Uuid::now_v7()).await.applied_count, 0);
    level(&stage.owner.pool, library).await;
    let revisions: Vec<i64> =
        sqlx::query_scalar("select revision from taken where subject_id = $1 order by place")
            .bind(first)
            .fetch_all(library)
            .await
            .unwrap();
    assert_eq!(revisions, [2, 3]);

    // From here on the item's events apply as they come.
    stage.change(first).await;
    level(&stage.owner.pool, library).await;
    assert_eq!(stage.listed().await.parked_count, 0);
    other.stop().await;
    stage.follower.stop().await;
    stage.replica.stop().await;
}

#[tokio::test]
async fn a_replay_stops_at_the_first_that_fails_and_keeps_what_went_before() {
    let stage = stage(&[]).await;
    let item = stage.items[0];
    stage.withdraw(item).await;
    let stopped = stage.stopped().await;
    stage
        .park(&stopped.poison_event_id, Uuid::now_v7())
        .await
        .unwrap();
    // Two more, the second of which nobody can ever apply.
    stage.change(item).await;
    sqlx::query("update item set status = 0 where item_id = $1")
        .bind(item)
        .execute(&stage.owner.pool)
        .await
        .unwrap();
    stage.change(item).await;
    taken_up_to(&stage.library.pool, 6).await;
    stage
        .copies
        .switches
        .knows_withdrawn
        .store(true, Ordering::SeqCst);
    // A rule of the library's own, for the last one.
    sqlx::raw_sql(
        "alter table item_copy add constraint item_copy_status_is_set check (status > 0)",
    )
    .execute(&stage.library.pool)
    .await
    .unwrap();

    let pages = list_in_pages(&stage, 2).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(
        pages[0][0],
        (
            stopped.poison_event_id,
            "status has unknown value 2".to_owned()
        )
    );
    let replayed = stage.replay(item, Uuid::now_v7()).await;
    assert_eq!(replayed.applied_count, 2);
    assert_eq!(replayed.failed_event_id, pages[1][0].0);
    assert_eq!(
        replayed.cause,
        "the database refused it: item_copy_status_is_set (23514)"
    );
    assert_eq!(revision(&stage.library.pool, item).await, 3);
    assert_eq!(stage.listed().await.parked_count, 1);
    stage.follower.stop().await;
}

/// Pages of (event id, cause).
async fn list_in_pages(stage: &Stage, page_size: i32) -> Vec<Vec<(String, String)>> {
    let mut pages = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListParkedEventsRequest {
            feed: "catalog".to_owned(),
            page_size,
            page_token,
        };
        let page = stage.operators.clone().list_parked_events(request).await;
        let page = page.unwrap().into_inner();
        let parked = page.parked_events.into_iter();
        pages.push(parked.map(|event| (event.event_id, event.cause)).collect());
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return pages;
        }
    }
}

#[tokio::test]
async fn an_unknown_event_type_is_poison() {
    let stage = stage(&[SHELF_READ]).await;
    let mut connection = stage.owner.pool.acquire().await.unwrap();
    let event = carrel_outbox::NewEvent::of(stage.items[0], &ShelfRead::default(), now());
    carrel_outbox::append(&mut connection, &[event])
        .await
        .unwrap();
    drop(connection);
    stage.replica.wake.committed();
    let stopped = stage.stopped().await;
    assert_eq!(stopped.cause, format!("unknown event type {SHELF_READ}"));
    stage.follower.stop().await;
}

#[tokio::test]
async fn a_rebuild_takes_in_what_was_parked() {
    let stage = stage(&[]).await;
    let item = stage.items[0];
    stage.withdraw(item).await;
    let stopped = stage.stopped().await;
    stage
        .park(&stopped.poison_event_id, Uuid::now_v7())
        .await
        .unwrap();
    taken_up_to(&stage.library.pool, 4).await;
    assert_eq!(stage.listed().await.parked_count, 1);

    carrel_outbox::begin_epoch(&carrel_database::Database::from_pool(
        stage.owner.pool.clone(),
    ))
    .await
    .unwrap();
    eventually("it was rebuilt", PATIENCE, async || {
        standing(&stage.library.pool)
            .await
            .filter(|(generation, _)| *generation == 2)
    })
    .await;
    level(&stage.owner.pool, &stage.library.pool).await;
    assert_eq!(stage.listed().await.parked_count, 0);
    stage.follower.stop().await;
}

#[tokio::test]
async fn what_operators_ask_wrongly_is_refused_with_its_reason() {
    let stage = stage(&[]).await;
    let listing = |feed: &str, page_size, page_token: &str| ListParkedEventsRequest {
        feed: feed.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
    };
    for (request, code, expected) in [
        (
            listing("weather", 0, ""),
            Code::NotFound,
            "FEED_NOT_FOLLOWED",
        ),
        (
            listing("catalog", -1, ""),
            Code::InvalidArgument,
            "INVALID_FIELD",
        ),
        (
            listing("catalog", 0, "patrons:3"),
            Code::InvalidArgument,
            "INVALID_FIELD",
        ),
        (
            listing("catalog", 0, "catalog:x"),
            Code::InvalidArgument,
            "INVALID_FIELD",
        ),
    ] {
        let status = stage
            .operators
            .clone()
            .list_parked_events(request)
            .await
            .unwrap_err();
        assert_eq!(reason(&status), (code, expected.to_owned()));
    }
    let malformed = stage.park("third", Uuid::now_v7()).await.unwrap_err();
    assert_eq!(reason(&malformed).1, "INVALID_FIELD");
    stage.follower.stop().await;
}
