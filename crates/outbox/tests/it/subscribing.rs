//! What a subscriber is told, and what it is refused.

use std::time::Duration;

use carrel_outbox::{NewEvent, append};
use carrel_proto::events::v1::{Cursor, SubscribeRequest, SubscribeResponse};
use carrel_testkit::TestDatabase;
use sqlx::PgPool;
use tokio::time::{Instant, timeout};
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::owner::{
    ITEM_CHANGED, PATIENCE, Replica, SECRET, SHELF_READ, ShelfRead, acquire, change_in_transaction,
    database, now,
};

async fn owner_with(count: usize) -> (TestDatabase, Replica, Vec<Uuid>) {
    let database = database().await;
    let items = acquire(&database.pool, count).await;
    let replica = Replica::start(database.pool.clone()).await;
    replica.has_numbered(count as i64).await;
    (database, replica, items)
}

fn request(cursor: Option<Cursor>, types: &[&str]) -> SubscribeRequest {
    SubscribeRequest {
        cursor,
        types: types.iter().map(|name| (*name).to_owned()).collect(),
    }
}

async fn next(stream: &mut Streaming<SubscribeResponse>) -> SubscribeResponse {
    timeout(PATIENCE, stream.message())
        .await
        .expect("the feed speaks")
        .unwrap()
        .unwrap()
}

async fn read_shelf(pool: &PgPool, bytes: usize) {
    let message = ShelfRead {
        report: vec![7; bytes],
    };
    let mut connection = pool.acquire().await.unwrap();
    let event = NewEvent::of(Uuid::now_v7(), &message, now()).caused_by(Some(
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
    ));
    append(&mut connection, &[event]).await.unwrap();
}

fn reason(status: &Status) -> String {
    status
        .get_details_error_info()
        .map_or_else(|| status.message().to_owned(), |info| info.reason)
}

#[tokio::test]
async fn a_subscriber_gets_what_there_is_and_then_what_comes() {
    let (database, replica, items) = owner_with(1_234).await;
    let mut stream = replica
        .client()
        .subscribe(request(None, &[ITEM_CHANGED]))
        .await
        .unwrap()
        .into_inner();
    let mut seen = Vec::new();
    while seen.len() < 1_234 {
        let message = next(&mut stream).await;
        assert!(message.events.len() <= 500);
        assert_eq!(message.head_number, 1_234);
        let cursor = message.cursor.unwrap();
        assert_eq!(cursor.number, message.events.last().unwrap().number);
        assert_eq!(cursor.event_id, message.events.last().unwrap().event_id);
        seen.extend(message.events);
    }
    let subjects: Vec<Uuid> = seen.iter().map(|e| e.subject_id.parse().unwrap()).collect();
    assert_eq!(subjects, items);

    let committed = Instant::now();
    change_in_transaction(&database.pool, items[3])
        .await
        .unwrap();
    replica.wake.committed();
    let message = loop {
        let message = next(&mut stream).await;
        if !message.events.is_empty() {
            break message;
        }
    };
    println!(
        "from before the commit to the subscriber: {:?}",
        committed.elapsed()
    );
    assert_eq!(message.events[0].number, 1_235);
    assert_eq!(message.events[0].subject_id, items[3].to_string());
    drop(stream);
    replica.stop().await;
}

#[tokio::test]
async fn a_subscriber_resumes_after_its_cursor() {
    let (_database, replica, items) = owner_with(700).await;
    let mut first = replica
        .client()
        .subscribe(request(None, &[ITEM_CHANGED]))
        .await
        .unwrap()
        .into_inner();
    let cursor = next(&mut first).await.cursor;
    drop(first);
    let mut second = replica
        .client()
        .subscribe(request(cursor, &[ITEM_CHANGED]))
        .await
        .unwrap()
        .into_inner();
    let message = next(&mut second).await;
    assert_eq!(message.events.len(), 200);
    assert_eq!(message.events[0].subject_id, items[500].to_string());
}

#[tokio::test]
async fn events_of_other_types_are_passed_over_but_move_the_cursor() {
    let (database, replica, _) = owner_with(3).await;
    let mut stream = replica
        .client()
        .subscribe(request(None, &[SHELF_READ]))
        .await
        .unwrap()
        .into_inner();
    let message = next(&mut stream).await;
    assert!(message.events.is_empty());
    assert_eq!(message.cursor, Some(replica.head().await));

    read_shelf(&database.pool, 5).await;
    replica.wake.committed();
    let message = next(&mut stream).await;
    assert_eq!(message.events.len(), 1);
    let event = &message.events[0];
    assert_eq!((event.number, &*event.r#type), (4, SHELF_READ));
    assert!(event.trace_parent.starts_with("00-0af7"));
    let occurred_at = event.occurred_at.unwrap();
    assert!((now().as_second() - occurred_at.seconds).abs() < 60);

    // Other types again: the cursor comes after a while, without an event.
    acquire(&database.pool, 600).await;
    replica.wake.committed();
    let message = next(&mut stream).await;
    assert!(message.events.is_empty());
    assert_eq!(message.cursor.unwrap().number, 604);
}

#[tokio::test]
async fn a_silent_feed_still_says_where_it_is() {
    let (_database, replica, _) = owner_with(1).await;
    let mut stream = replica
        .client()
        .subscribe(request(None, &[ITEM_CHANGED]))
        .await
        .unwrap()
        .into_inner();
    let first = next(&mut stream).await;
    let heartbeat = timeout(Duration::from_secs(7), stream.message()).await;
    let heartbeat = heartbeat.expect("a heartbeat").unwrap().unwrap();
    assert!(heartbeat.events.is_empty());
    assert_eq!(heartbeat.cursor, first.cursor);
}

#[tokio::test]
async fn large_events_come_in_batches_that_fit_a_message() {
    let (database, replica, _) = owner_with(1).await;
    for _ in 0..12 {
        read_shelf(&database.pool, 700_000).await;
    }
    replica.wake.committed();
    let mut stream = replica
        .client()
        .subscribe(request(None, &[SHELF_READ]))
        .await
        .unwrap()
        .into_inner();
    let mut seen = 0;
    while seen < 12 {
        let message = next(&mut stream).await;
        assert!(message.events.len() <= 3, "{} events", message.events.len());
        seen += message.events.len();
    }
}

#[tokio::test]
async fn what_a_subscriber_may_not_have_is_refused_with_its_reason() {
    let (_database, replica, _) = owner_with(5).await;
    let head = replica.head().await;
    let at = |change: &dyn Fn(&mut Cursor)| {
        let mut cursor = head.clone();
        change(&mut cursor);
        request(Some(cursor), &[ITEM_CHANGED])
    };
    let other = Uuid::now_v7().to_string();
    let fifty_one = vec![ITEM_CHANGED; 51];
    let cases = [
        (request(None, &[]), Code::InvalidArgument, "INVALID_FIELD"),
        (
            request(None, &fifty_one),
            Code::InvalidArgument,
            "INVALID_FIELD",
        ),
        (
            request(None, &[ITEM_CHANGED, SECRET]),
            Code::PermissionDenied,
            "EVENT_TYPE_DENIED",
        ),
        (
            at(&|c| c.epoch = "first".to_owned()),
            Code::InvalidArgument,
            "INVALID_FIELD",
        ),
        (
            at(&|c| c.number = -1),
            Code::InvalidArgument,
            "INVALID_FIELD",
        ),
        (
            at(&|c| c.epoch = other.clone()),
            Code::FailedPrecondition,
            "FEED_DIVERGED",
        ),
        (
            at(&|c| c.event_id = other.clone()),
            Code::FailedPrecondition,
            "FEED_DIVERGED",
        ),
        (
            at(&|c| c.number = 4),
            Code::FailedPrecondition,
            "FEED_DIVERGED",
        ),
        (
            at(&|c| c.number = 6),
            Code::FailedPrecondition,
            "FEED_DIVERGED",
        ),
    ];
    for (request, code, expected) in cases {
        let status = replica
            .client()
            .subscribe(request.clone())
            .await
            .expect_err("refused");
        assert_eq!(
            (status.code(), &*reason(&status)),
            (code, expected),
            "{request:?}"
        );
    }
    // And what a feed gave out is taken.
    for request in [at(&|_| ()), at(&|c| c.event_id = String::new())] {
        replica.client().subscribe(request).await.unwrap();
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_token_does() {
    let (_database, replica, _) = owner_with(1).await;
    let mut request = Request::new(request(None, &[ITEM_CHANGED]));
    request
        .metadata_mut()
        .insert("token-milliseconds", "400".parse().unwrap());
    let began = Instant::now();
    let mut stream = replica
        .client()
        .subscribe(request)
        .await
        .unwrap()
        .into_inner();
    next(&mut stream).await;
    let end = timeout(PATIENCE, stream.message()).await.unwrap();
    let status = end.expect_err("the stream ends with the token");
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::Unauthenticated, "TOKEN_EXPIRED")
    );
    assert!(
        began.elapsed() >= Duration::from_millis(390),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_shutdown_ends_streams_also_of_a_subscriber_that_does_not_read() {
    let (_database, replica, _) = owner_with(5_000).await;
    let asleep = replica
        .client()
        .subscribe(request(None, &[ITEM_CHANGED]))
        .await
        .unwrap()
        .into_inner();
    let mut awake = replica
        .client()
        .subscribe(request(Some(replica.head().await), &[ITEM_CHANGED]))
        .await
        .unwrap()
        .into_inner();
    next(&mut awake).await;
    let reading = tokio::spawn(async move { awake.message().await });
    timeout(PATIENCE, async {
        let dropping = tokio::spawn(async move {
            // The server drains once the sleeper's connection goes too.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            drop(asleep);
        });
        replica.stop().await;
        dropping.await.unwrap();
    })
    .await
    .expect("the replica stops");
    let status = reading.await.unwrap().expect_err("told why");
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::Unavailable, "SHUTTING_DOWN")
    );
}
