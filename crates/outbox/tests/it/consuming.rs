//! Following a feed: each event takes effect once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use carrel_database::transact;
use carrel_outbox::{generation, hold_generation};
use carrel_proto::operations::v1::ListFeedConsumersRequest;
use carrel_proto::operations::v1::feed_consumer_service_server::FeedConsumerService as _;
use carrel_testkit::{TestDatabase, eventually};
use sqlx::PgPool;
use tonic::Request;
use uuid::Uuid;

use crate::copies::{
    Follower, ItemCopies, ItemRow, Switches, copies, items, level, put, standing, taken_up_to,
};
use crate::owner::{
    PATIENCE, Replica, acquire, change, change_in_transaction, database, pooled_by_transaction,
    sequence_all,
};
use crate::replicas::killer;

fn reading(owner: &TestDatabase) -> ItemCopies {
    ItemCopies {
        owner: owner.pool.clone(),
        switches: Switches::default(),
    }
}

/// What was taken, in the order in which it took effect: number, item, revision.
async fn taken(pool: &PgPool) -> Vec<(i64, Uuid, i64)> {
    sqlx::query_as("select number, subject_id, revision from taken order by place")
        .fetch_all(pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_new_consumer_reads_the_owners_state_and_then_follows() {
    let (owner, library) = (database().await, database().await);
    let known = acquire(&owner.pool, 37).await;
    let replica = Replica::start(owner.pool.clone()).await;
    replica.has_numbered(37).await;
    let follower = Follower::of_state(&library.pool, replica.client(), reading(&owner));
    level(&owner.pool, &library.pool).await;
    assert!(
        taken(&library.pool).await.is_empty(),
        "what the state shows is not taken again"
    );

    change_in_transaction(&owner.pool, known[5]).await.unwrap();
    replica.wake.committed();
    level(&owner.pool, &library.pool).await;
    taken_up_to(&library.pool, 38).await;
    assert_eq!(taken(&library.pool).await, [(38, known[5], 2)]);
    let age = eventually("it knows that it is level", PATIENCE, async || {
        follower.consumer.staleness()
    })
    .await;
    assert!(age < Duration::from_secs(10), "{age:?}");
    follower.stop().await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_event_takes_effect_once_with_two_replicas_kills_and_restarts() {
    let (owner, library) = (database().await, database().await);
    let replica = Replica::start(owner.pool.clone()).await;
    let items = Arc::new(acquire(&owner.pool, 20).await);
    replica.has_numbered(20).await;
    let steady = Follower::of_state(
        &pooled_by_transaction(&library).await,
        replica.client(),
        reading(&owner),
    );
    level(&owner.pool, &library.pool).await;
    let (_, start) = eventually("it follows", PATIENCE, async || {
        standing(&library.pool).await
    })
    .await;

    let done = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for offset in 0..4 {
        let (pool, items, wake) = (owner.pool.clone(), Arc::clone(&items), replica.wake.clone());
        writers.push(tokio::spawn(async move {
            for turn in 0..1_000 {
                let item = items[(turn * 7 + offset) % items.len()];
                change_in_transaction(&pool, item).await.unwrap();
                wake.committed();
            }
        }));
    }
    let killer = tokio::spawn(killer(library.name().to_owned(), Arc::clone(&done)));
    // The second replica comes and goes.
    let mut restarts = 0;
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        let pool = pooled_by_transaction(&library).await;
        let second = Follower::of_state(&pool, replica.client(), reading(&owner));
        tokio::time::sleep(Duration::from_millis(150)).await;
        second.stop().await;
        restarts += 1;
    }
    done.store(true, Ordering::Relaxed);
    let killed = killer.await.unwrap();
    sequence_all(&owner.pool).await;
    let head = replica.head().await.number;
    taken_up_to(&library.pool, head).await;

    let taken = taken(&library.pool).await;
    println!(
        "{} events, {killed} kills, {restarts} restarts",
        taken.len()
    );
    assert!(
        killed > 5 && restarts > 1,
        "{killed} kills, {restarts} restarts"
    );
    let numbers: Vec<i64> = taken.iter().map(|(number, _, _)| *number).collect();
    assert_eq!(
        numbers,
        (start + 1..=head).collect::<Vec<_>>(),
        "each once, in the feed's order"
    );
    let mut last: HashMap<Uuid, i64> = HashMap::new();
    for (_, item, revision) in taken {
        assert_eq!(
            last.insert(item, revision).unwrap_or(revision - 1),
            revision - 1
        );
    }
    level(&owner.pool, &library.pool).await;
    steady.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn of_a_batch_that_another_replica_took_in_part_only_the_rest_is_taken() {
    let (owner, library) = (database().await, database().await);
    let known = acquire(&owner.pool, 10).await;
    let replica = Replica::start(owner.pool.clone()).await;
    replica.has_numbered(10).await;
    let follower = Follower::of_state(&library.pool, replica.client(), reading(&owner));
    level(&owner.pool, &library.pool).await;
    taken_up_to(&library.pool, 10).await;

    // The other replica has the cursor's row, and this one waits for it with ten events in hand …
    let mut other = library.pool.begin().await.unwrap();
    sqlx::query("select 1 from feed_cursor for no key update")
        .execute(&mut *other)
        .await
        .unwrap();
    let mut transaction = owner.pool.begin().await.unwrap();
    for item in &known {
        change(&mut transaction, *item).await.unwrap();
    }
    transaction.commit().await.unwrap();
    replica.wake.committed();
    replica.has_numbered(20).await;
    eventually("it waits for the row", PATIENCE, async || {
        sqlx::query_scalar::<_, bool>(
            "select true from pg_stat_activity where datname = current_database()
             and wait_event_type = 'Lock' and query like '%feed_cursor%'",
        )
        .fetch_optional(&library.pool)
        .await
        .unwrap()
    })
    .await;
    // … of which the other one has taken four.
    sqlx::query("update feed_cursor set number = 14")
        .execute(&mut *other)
        .await
        .unwrap();
    other.commit().await.unwrap();

    taken_up_to(&library.pool, 20).await;
    let numbers: Vec<i64> = taken(&library.pool)
        .await
        .iter()
        .map(|(n, _, _)| *n)
        .collect();
    assert_eq!(numbers, (15..=20).collect::<Vec<_>>());
    follower.stop().await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_look_up_that_races_the_feed_never_leaves_a_copy_older() {
    let (owner, library) = (database().await, database().await);
    let replica = Replica::start(owner.pool.clone()).await;
    let known = Arc::new(acquire(&owner.pool, 3).await);
    let follower = Follower::of_state(&library.pool, replica.client(), reading(&owner));
    level(&owner.pool, &library.pool).await;

    let done = Arc::new(AtomicBool::new(false));
    let mut lookers = Vec::new();
    for _ in 0..3 {
        let (owner, library) = (owner.pool.clone(), library.pool.clone());
        let (known, done) = (Arc::clone(&known), Arc::clone(&done));
        lookers.push(tokio::spawn(async move {
            let mut looked = 0;
            while !done.load(Ordering::Relaxed) {
                look_up(&owner, &library, known[looked % 3], looked % 5).await;
                looked += 1;
            }
            looked
        }));
    }
    for turn in 0..600 {
        change_in_transaction(&owner.pool, known[turn % 3])
            .await
            .unwrap();
        replica.wake.committed();
    }
    done.store(true, Ordering::Relaxed);
    let mut looked = 0;
    for looker in lookers {
        looked += looker.await.unwrap();
    }
    assert!(looked > 100, "{looked} look-ups");
    // The table itself refuses to go back (a trigger), so nobody ever did; and
    // the last word is the owner's.
    level(&owner.pool, &library.pool).await;
    assert!(follower.consumer.staleness().is_some());
    follower.stop().await;
    replica.stop().await;
}

/// A read-through: generation, then the owner, then a while, then the copy.
async fn look_up(owner: &PgPool, library: &PgPool, item: Uuid, delay_milliseconds: usize) {
    let began = generation(library, "catalog").await.unwrap().unwrap();
    let row: ItemRow =
        sqlx::query_as("select item_id, revision, shelf, status from item where item_id = $1")
            .bind(item)
            .fetch_one(owner)
            .await
            .unwrap();
    tokio::time::sleep(Duration::from_millis(delay_milliseconds as u64)).await;
    let database = carrel_database::Database::from_pool(library.clone());
    transact!(database, "look_up", |connection| {
        if hold_generation(connection, "catalog", began).await? {
            put(connection, began, row).await?;
        }
        Ok::<_, sqlx::Error>(())
    })
    .unwrap();
}

#[tokio::test]
async fn a_look_up_in_hand_holds_up_a_rebuild_but_not_the_events() {
    let (owner, library) = (database().await, database().await);
    let replica = Replica::start(owner.pool.clone()).await;
    let known = acquire(&owner.pool, 3).await;
    let follower = Follower::of_state(&library.pool, replica.client(), reading(&owner));
    level(&owner.pool, &library.pool).await;
    eventually("it follows", PATIENCE, async || {
        standing(&library.pool).await
    })
    .await;

    let mut looking = library.pool.begin().await.unwrap();
    assert!(hold_generation(&mut looking, "catalog", 1).await.unwrap());
    change_in_transaction(&owner.pool, known[0]).await.unwrap();
    replica.wake.committed();
    level(&owner.pool, &library.pool).await;

    // The owner loses its past: a rebuild is due, and waits.
    carrel_outbox::begin_epoch(&carrel_database::Database::from_pool(owner.pool.clone()))
        .await
        .unwrap();
    eventually("the rebuild waits for the look-up", PATIENCE, async || {
        sqlx::query_scalar::<_, bool>(
            "select true from pg_stat_activity where datname = current_database()
             and wait_event_type = 'Lock' and query like '%feed_cursor%for update%'",
        )
        .fetch_optional(&library.pool)
        .await
        .unwrap()
    })
    .await;
    let stray: ItemRow = (Uuid::now_v7(), 1, 1, 1);
    put(&mut looking, 1, stray).await.unwrap();
    looking.commit().await.unwrap();
    eventually("the rebuild is done", PATIENCE, async || {
        standing(&library.pool)
            .await
            .filter(|(generation, _)| *generation == 2)
    })
    .await;
    assert_eq!(
        copies(&library.pool).await,
        items(&owner.pool).await,
        "the stray row was swept"
    );

    // A look-up that began before is not written any more.
    let mut late = library.pool.begin().await.unwrap();
    assert!(!hold_generation(&mut late, "catalog", 1).await.unwrap());
    drop(late);
    follower.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn a_consumer_outlives_its_owner_and_its_database() {
    let (owner, library) = (database().await, database().await);
    let known = acquire(&owner.pool, 5).await;
    let replica = Replica::start(owner.pool.clone()).await;
    let follower = Follower::of_state(&library.pool, replica.client(), reading(&owner));
    level(&owner.pool, &library.pool).await;

    // The database's connections break in the middle of things.
    for _ in 0..5 {
        change_in_transaction(&owner.pool, known[0]).await.unwrap();
        replica.wake.committed();
        library.cut_connections().await;
        owner.cut_connections().await;
    }
    level(&owner.pool, &library.pool).await;
    let staleness = follower.consumer.staleness();
    assert!(staleness.is_some());

    // The owner goes for good: the copy stays, and its age is told.
    replica.stop().await;
    let before = follower.consumer.staleness().unwrap();
    eventually("the copy grows older", PATIENCE, async || {
        follower
            .consumer
            .staleness()
            .filter(|age| *age > before + Duration::from_millis(300))
    })
    .await;
    assert_eq!(copies(&library.pool).await.len(), 5);
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_thousand_events_are_caught_up_with() {
    let (owner, library) = (database().await, database().await);
    let known = acquire(&owner.pool, 400).await;
    let replica = Replica::start(owner.pool.clone()).await;
    replica.has_numbered(400).await;
    let mut head = 400;
    for is_fast in [false, true] {
        let copies = ItemCopies {
            switches: Switches {
                is_fast,
                ..Switches::default()
            },
            ..reading(&owner)
        };
        let follower = Follower::of_state(&library.pool, replica.client(), copies.clone());
        level(&owner.pool, &library.pool).await;
        taken_up_to(&library.pool, head).await;
        follower.stop().await;

        let mut connection = owner.pool.begin().await.unwrap();
        for turn in 0..20_000 {
            let item = known[turn % known.len()];
            change(&mut connection, item).await.unwrap();
        }
        connection.commit().await.unwrap();
        head += 20_000;
        replica.has_numbered(head).await;
        let began = Instant::now();
        let follower = Follower::of_state(&library.pool, replica.client(), copies);
        taken_up_to(&library.pool, head).await;
        let took = began.elapsed();
        let how = if is_fast { "by batch" } else { "one by one" };
        let rate = 20_000.0 / took.as_secs_f64();
        println!("20,000 events {how} in {took:?}: {rate:.0} a second");
        level(&owner.pool, &library.pool).await;
        follower.stop().await;
    }
    replica.stop().await;
}

#[tokio::test]
async fn a_new_edition_begins_anew_and_an_old_replica_stands_by() {
    let (owner, library) = (database().await, database().await);
    let known = acquire(&owner.pool, 3).await;
    let replica = Replica::start(owner.pool.clone()).await;
    let old = Follower::of_state(&library.pool, replica.client(), reading(&owner));
    level(&owner.pool, &library.pool).await;

    let upgraded = ItemCopies {
        switches: Switches {
            upgrades: 1,
            ..Switches::default()
        },
        ..reading(&owner)
    };
    let new = Follower::of_state(&library.pool, replica.client(), upgraded.clone());
    eventually("the new edition follows", PATIENCE, async || {
        let standing = standing(&library.pool).await;
        standing.filter(|(generation, _)| *generation == 2)
    })
    .await;
    assert_eq!(upgraded.switches.pages.lock().unwrap().len(), 1);
    new.stop().await;

    // Only the old one is left: it does not move the cursor.
    let (_, before) = standing(&library.pool).await.unwrap();
    change_in_transaction(&owner.pool, known[0]).await.unwrap();
    replica.wake.committed();
    replica.has_numbered(4).await;
    let listed = eventually("it says why it stands by", PATIENCE, async || {
        let service = old.consumers.service();
        let request = Request::new(ListFeedConsumersRequest {});
        let mut listed = service
            .list_feed_consumers(request)
            .await
            .unwrap()
            .into_inner();
        let consumer = listed.consumers.remove(0);
        (!consumer.cause.is_empty()).then_some(consumer)
    })
    .await;
    assert_eq!(
        listed.cause,
        "a newer version of this service follows the feed"
    );
    assert_eq!(standing(&library.pool).await, Some((2, before)));
    old.stop().await;
    replica.stop().await;
}
