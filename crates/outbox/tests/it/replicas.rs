//! Two replicas on one feed, under load, through kills and a pooler.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use carrel_outbox::sequence;
use carrel_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use carrel_proto::events::v1::{Cursor, Event, SubscribeRequest};
use carrel_testkit::{TestDatabase, eventually, postgres};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::owner::{
    ITEM_CHANGED, ItemChanged, PATIENCE, Replica, acquire, change, database, pooled_by_transaction,
};

/// A cheap sequence of choices, the same in every run of the test.
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Changes items until told to stop; one in eight changes is rolled back, some
/// stay open for a moment, and a killed connection is replaced.
async fn desk(pool: PgPool, items: Arc<Vec<Uuid>>, seed: u64, done: Arc<AtomicBool>) {
    let mut choices = Choices(seed);
    while !done.load(Ordering::Relaxed) {
        let item = items[choices.below(items.len() as u64) as usize];
        let outcome = async {
            let mut transaction = pool.begin().await?;
            change(&mut transaction, item).await?;
            if choices.below(10) == 0 {
                tokio::time::sleep(Duration::from_millis(choices.below(40))).await;
            }
            if choices.below(8) == 0 {
                transaction.rollback().await
            } else {
                transaction.commit().await
            }
        };
        // A kill, or a commit whose answer was lost: the tables tell what became of it.
        let _: Result<(), sqlx::Error> = outcome.await;
    }
}

/// Ends one connection to the database every few milliseconds.
pub async fn killer(name: String, done: Arc<AtomicBool>) -> usize {
    let mut administrator = postgres().await.administrator().await;
    let mut killed = 0;
    while !done.load(Ordering::Relaxed) {
        let victims: Vec<bool> = sqlx::query_scalar(
            "select pg_terminate_backend(pid) from (
                 select pid from pg_stat_activity where datname = $1 order by random() limit 1
             ) victim",
        )
        .bind(&name)
        .fetch_all(&mut administrator)
        .await
        .unwrap();
        killed += victims.len();
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    killed
}

/// Follows the feed to a number, from one break to the next.
fn follow(
    client: EventFeedServiceClient<Channel>,
    last: Arc<AtomicBool>,
    pool: PgPool,
) -> JoinHandle<Vec<Event>> {
    tokio::spawn(async move {
        let mut seen = Vec::new();
        let mut cursor: Option<Cursor> = None;
        loop {
            let request = SubscribeRequest {
                cursor: cursor.clone(),
                types: vec![ITEM_CHANGED.to_owned()],
            };
            if let Ok(stream) = client.clone().subscribe(request).await {
                let mut stream = stream.into_inner();
                while let Ok(Some(message)) = stream.message().await {
                    seen.extend(message.events);
                    cursor = message.cursor;
                    if last.load(Ordering::Relaxed) {
                        let count: i64 = sqlx::query_scalar("select count(*) from outbox")
                            .fetch_one(&pool)
                            .await
                            .unwrap_or(i64::MAX);
                        if cursor.as_ref().is_some_and(|cursor| cursor.number == count) {
                            return seen;
                        }
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_replicas_number_one_feed_without_gap_or_double_through_kills_and_a_pooler() {
    let database = database().await;
    let TestDatabase { pool, .. } = &database;
    let items = Arc::new(acquire(pool, 12).await);
    let replicas = [
        Replica::start(pooled_by_transaction(&database).await).await,
        Replica::start(pooled_by_transaction(&database).await).await,
    ];

    let done = Arc::new(AtomicBool::new(false));
    let (quiet, behind_pooler) = (
        Arc::new(AtomicBool::new(false)),
        pooled_by_transaction(&database).await,
    );
    let followers: Vec<_> = replicas
        .iter()
        .map(|replica| follow(replica.client(), Arc::clone(&quiet), behind_pooler.clone()))
        .collect();
    let mut running: Vec<JoinHandle<()>> = Vec::new();
    for seed in 1..=8 {
        running.push(tokio::spawn(desk(
            behind_pooler.clone(),
            Arc::clone(&items),
            seed,
            Arc::clone(&done),
        )));
    }
    // A third replica that is cancelled in the middle of its runs.
    let (wild, stop) = (pooled_by_transaction(&database).await, Arc::clone(&done));
    running.push(tokio::spawn(async move {
        let mut choices = Choices(99);
        while !stop.load(Ordering::Relaxed) {
            let patience = Duration::from_micros(choices.below(4_000));
            let _ = tokio::time::timeout(patience, sequence(&wild)).await;
        }
    }));
    let killer = tokio::spawn(killer(database.name().to_owned(), Arc::clone(&done)));

    eventually("enough was done", PATIENCE, async || {
        let count: Result<i64, _> = sqlx::query_scalar("select count(*) from outbox")
            .fetch_one(pool)
            .await;
        count.ok().filter(|count| *count > 1_000)
    })
    .await;
    done.store(true, Ordering::Relaxed);
    let killed = killer.await.unwrap();
    for task in running {
        task.await.unwrap();
    }
    quiet.store(true, Ordering::Relaxed);

    let (events, numbers, last): (i64, i64, i64) =
        eventually("everything has its number", PATIENCE, async || {
            sqlx::query_as("select count(*), count(distinct number), max(number) from outbox")
                .fetch_one(pool)
                .await
                .ok()
                .filter(|(events, numbers, _)| events == numbers)
        })
        .await;
    assert_eq!(
        (numbers, last),
        (events, events),
        "numbers run from 1 without a gap"
    );
    println!("{events} events, {killed} connections killed");
    assert!(killed > 20, "only {killed} kills");

    // What is true in the tables is what the feed told: every revision, once, in order.
    let revisions: HashMap<Uuid, i64> =
        sqlx::query_as::<_, (Uuid, i64)>("select item_id, revision from item")
            .fetch_all(pool)
            .await
            .unwrap()
            .into_iter()
            .collect();
    for follower in followers {
        let seen = tokio::time::timeout(PATIENCE, follower)
            .await
            .unwrap()
            .unwrap();
        let numbers: Vec<i64> = seen.iter().map(|event| event.number).collect();
        assert_eq!(
            numbers,
            (1..=events).collect::<Vec<_>>(),
            "each event once, in order"
        );
        let mut last: HashMap<Uuid, i64> = HashMap::new();
        for event in &seen {
            let message: ItemChanged = prost::Message::decode(&*event.payload).unwrap();
            let item = event.subject_id.parse().unwrap();
            let before = last.insert(item, message.revision).unwrap_or(0);
            assert_eq!(message.revision, before + 1, "revisions of {item} in order");
        }
        assert_eq!(last, revisions);
    }
    for replica in replicas {
        replica.stop().await;
    }
}
