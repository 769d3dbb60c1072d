//! Forgetting old events.

use carrel_database::Database;
use carrel_outbox::{Feed, NewEvent, append};
use carrel_proto::events::v1::{Cursor, SubscribeRequest};
use carrel_testkit::TestDatabase;
use jiff::{SignedDuration, Timestamp};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use uuid::Uuid;

use crate::owner::{Replica, SHELF_READ, ShelfRead, database, now, sequence_all};

async fn happened(pool: &PgPool, at: Timestamp) {
    let mut connection = pool.acquire().await.unwrap();
    let event = NewEvent::of(Uuid::now_v7(), &ShelfRead::default(), at);
    append(&mut connection, &[event]).await.unwrap();
}

async fn kept(pool: &PgPool) -> Vec<i64> {
    sqlx::query_scalar("select number from outbox order by number")
        .fetch_all(pool)
        .await
        .unwrap()
}

fn feed(pool: &PgPool) -> Feed {
    Feed::new(Database::from_pool(pool.clone()), CancellationToken::new())
}

#[tokio::test]
async fn old_events_are_forgotten_up_to_the_first_that_is_younger() {
    let TestDatabase { pool, .. } = &database().await;
    let days_ago = |days: i64| now() - SignedDuration::from_hours(24 * days);
    for days in [40, 39, 10, 38, 1] {
        happened(pool, days_ago(days)).await;
    }
    sequence_all(pool).await;
    // Not numbered yet: it stays, however old.
    happened(pool, days_ago(50)).await;

    let feed = feed(pool);
    assert_eq!(feed.forget_before(days_ago(30)).await.unwrap(), 2);
    assert_eq!(feed.forget_before(days_ago(30)).await.unwrap(), 0);
    sequence_all(pool).await;
    assert_eq!(kept(pool).await, [3, 4, 5, 6]);
}

#[tokio::test]
async fn a_cursor_is_refused_exactly_where_events_after_it_are_gone() {
    let TestDatabase { pool, .. } = &database().await;
    let long_ago = now() - SignedDuration::from_hours(1_000);
    for _ in 0..5 {
        happened(pool, long_ago).await;
    }
    for _ in 0..3 {
        happened(pool, now()).await;
    }
    sequence_all(pool).await;
    let ids: Vec<Uuid> = sqlx::query_scalar("select event_id from outbox order by number")
        .fetch_all(pool)
        .await
        .unwrap();
    let replica = Replica::start(pool.clone()).await;
    assert_eq!(
        replica
            .feed
            .forget_before(now() - SignedDuration::from_hours(1))
            .await
            .unwrap(),
        5
    );

    let ends = replica.ends().await;
    let tail = ends.tail.unwrap();
    assert_eq!((tail.number, &tail.event_id), (5, &ids[4].to_string()));
    let subscribe = async |cursor: Option<Cursor>| {
        let types = vec![SHELF_READ.to_owned()];
        let stream = replica
            .client()
            .subscribe(SubscribeRequest { cursor, types })
            .await?;
        let message = stream.into_inner().message().await?.unwrap();
        Ok::<_, tonic::Status>(message.events.iter().map(|e| e.number).collect::<Vec<_>>())
    };
    let at = |number: usize, event_id: Uuid| {
        Some(Cursor {
            epoch: tail.epoch.clone(),
            number: number as i64,
            event_id: event_id.to_string(),
        })
    };
    assert_eq!(subscribe(None).await.unwrap(), [6, 7, 8]);
    assert_eq!(subscribe(at(5, ids[4])).await.unwrap(), [6, 7, 8]);
    assert_eq!(subscribe(at(6, ids[5])).await.unwrap(), [7, 8]);
    let behind = subscribe(at(4, ids[3])).await.unwrap_err();
    assert_eq!(behind.code(), Code::OutOfRange, "{behind}");
    let elsewhere = subscribe(at(5, ids[0])).await.unwrap_err();
    assert_eq!(elsewhere.code(), Code::FailedPrecondition, "{elsewhere}");

    // All of it forgotten: the head can still be checked.
    let head = ends.head.unwrap();
    replica
        .feed
        .forget_before(now() + SignedDuration::from_hours(1))
        .await
        .unwrap();
    assert!(kept(pool).await.is_empty());
    assert_eq!(subscribe(Some(head)).await.unwrap(), [] as [i64; 0]);
    assert_eq!(
        subscribe(at(8, ids[6])).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    happened(pool, now()).await;
    sequence_all(pool).await;
    assert_eq!(kept(pool).await, [9], "numbers go on");
    replica.stop().await;
}

#[tokio::test]
async fn a_stream_whose_events_are_forgotten_before_it_reads_them_is_told() {
    let TestDatabase { pool, .. } = &database().await;
    let feed = feed(pool);
    let event = |_| {
        NewEvent::of(
            Uuid::now_v7(),
            &ShelfRead {
                report: vec![1; 20_000],
            },
            now(),
        )
    };
    let many: Vec<NewEvent> = (0..4_500).map(event).collect();
    let mut connection = pool.acquire().await.unwrap();
    append(&mut connection, &many).await.unwrap();
    drop(connection);
    let replica = Replica::start(pool.clone()).await;
    replica.has_numbered(4_500).await;
    let types = vec![SHELF_READ.to_owned()];
    let request = SubscribeRequest {
        cursor: None,
        types,
    };
    let mut stream = replica
        .client()
        .subscribe(request)
        .await
        .unwrap()
        .into_inner();
    let first = stream.message().await.unwrap().unwrap();
    // In several batches of deletion.
    let forgotten = feed
        .forget_before(now() + SignedDuration::from_hours(1))
        .await
        .unwrap();
    assert_eq!(forgotten, 4_500);

    // What was on its way still comes, in order; then the gap is told, not passed over.
    let mut last = first.cursor.unwrap().number;
    let status = loop {
        match stream.message().await {
            Ok(Some(message)) => {
                assert_eq!(message.events[0].number, last + 1);
                last = message.cursor.unwrap().number;
            }
            Ok(None) => panic!("the stream ends without a reason"),
            Err(status) => break status,
        }
    };
    assert!(last < 4_500);
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    replica.stop().await;
}

#[tokio::test]
async fn events_that_somebody_deleted_are_not_passed_over() {
    let TestDatabase { pool, .. } = &database().await;
    for _ in 0..6 {
        happened(pool, now()).await;
    }
    let replica = Replica::start(pool.clone()).await;
    replica.has_numbered(6).await;
    for missing in [6, 3, 1] {
        sqlx::query("delete from outbox where number = $1")
            .bind(missing)
            .execute(pool)
            .await
            .unwrap();
        let types = vec![SHELF_READ.to_owned()];
        let request = SubscribeRequest {
            cursor: None,
            types,
        };
        let stream = replica.client().subscribe(request).await.unwrap();
        let status = stream.into_inner().message().await.unwrap_err();
        assert_eq!(status.code(), Code::DataLoss, "{status}");
    }
    replica.stop().await;
}
