//! What the sequencer must do however transactions overlap.

use carrel_outbox::{NewEvent, append, sequence};
use carrel_testkit::{TestDatabase, eventually};
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use crate::owner::{
    PATIENCE, ShelfRead, acquire, change, change_in_transaction, database, now, numbered,
    sequence_all,
};

async fn floor(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select floor from feed_head")
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn drawn(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select last_value from outbox_position")
        .fetch_one(pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_late_commit_is_never_skipped() {
    let TestDatabase { pool, .. } = &database().await;
    let late = Uuid::now_v7();
    let mut open = pool.begin().await.unwrap();
    append(
        &mut open,
        &[NewEvent::of(late, &ShelfRead::default(), now())],
    )
    .await
    .unwrap();

    let others = acquire(pool, 100).await;
    for other in &others {
        change_in_transaction(pool, *other).await.unwrap();
        sequence_all(pool).await;
    }
    assert_eq!(numbered(pool).await.len(), 200);
    assert_eq!(
        floor(pool).await,
        0,
        "the open transaction drew the first position"
    );

    open.commit().await.unwrap();
    sequence_all(pool).await;
    let feed = numbered(pool).await;
    assert_eq!(feed.last(), Some(&(201, late)), "the late event comes last");

    // The floor rises past it, and a later event is still found.
    eventually("the floor rises", PATIENCE, async || {
        sequence_all(pool).await;
        (floor(pool).await == drawn(pool).await).then_some(())
    })
    .await;
    change_in_transaction(pool, others[0]).await.unwrap();
    sequence_all(pool).await;
    assert_eq!(numbered(pool).await.last(), Some(&(202, others[0])));
}

#[tokio::test]
async fn an_event_between_its_position_and_its_row_is_waited_for() {
    let TestDatabase { pool, .. } = &database().await;
    // Stops an insert where its position is drawn and its row is not written.
    sqlx::raw_sql(
        "create function wait_at_the_gate() returns trigger language plpgsql as $$
         begin
             perform pg_advisory_xact_lock_shared(7);
             return new;
         end
         $$;
         create trigger gate before insert on outbox for each row
             when (new.type = 'carrel.test.v1.ShelfRead') execute function wait_at_the_gate();",
    )
    .execute(pool)
    .await
    .unwrap();
    // Drawn first, since a sequence gives the transaction an id by itself
    // whenever it writes to the log, on every thirty-second position.
    let others = acquire(pool, 5).await;
    let mut gate = pool.acquire().await.unwrap();
    sqlx::query("select pg_advisory_lock(7)")
        .execute(&mut *gate)
        .await
        .unwrap();
    let (late, slow) = (Uuid::now_v7(), pool.clone());
    let writing = tokio::spawn(async move {
        let mut connection = slow.acquire().await.unwrap();
        let event = NewEvent::of(late, &ShelfRead::default(), now());
        append(&mut connection, &[event]).await.unwrap();
    });
    eventually("it is at the gate", PATIENCE, async || {
        (drawn(pool).await == 6).then_some(())
    })
    .await;

    for _ in 0..5 {
        change_in_transaction(pool, others[0]).await.unwrap();
        sequence_all(pool).await;
    }
    sqlx::query("select pg_advisory_unlock(7)")
        .execute(&mut *gate)
        .await
        .unwrap();
    writing.await.unwrap();
    sequence_all(pool).await;
    assert_eq!(numbered(pool).await.last(), Some(&(11, late)));
}

#[tokio::test]
async fn a_position_whose_transaction_rolls_back_leaves_no_gap() {
    let TestDatabase { pool, .. } = &database().await;
    let items = acquire(pool, 1).await;
    for attempt in 0..10 {
        let mut transaction = pool.begin().await.unwrap();
        change(&mut transaction, items[0]).await.unwrap();
        if attempt % 2 == 0 {
            transaction.rollback().await.unwrap();
        } else {
            transaction.commit().await.unwrap();
        }
        sequence_all(pool).await;
    }
    let numbers: Vec<i64> = numbered(pool).await.iter().map(|(n, _)| *n).collect();
    assert_eq!(numbers, (1..=6).collect::<Vec<_>>());
}

#[tokio::test]
async fn two_changes_of_one_item_come_in_the_order_in_which_they_took_effect() {
    let TestDatabase { pool, .. } = &database().await;
    let item = acquire(pool, 1).await[0];

    // This one begins first, and even has its transaction id first …
    let mut began_first = pool.begin().await.unwrap();
    sqlx::query("select pg_current_xact_id()")
        .execute(&mut *began_first)
        .await
        .unwrap();
    // … the later one gets the item's lock, and has not appended yet …
    let mut began_later = pool.begin().await.unwrap();
    sqlx::query("select 1 from item where item_id = $1 for update")
        .bind(item)
        .execute(&mut *began_later)
        .await
        .unwrap();
    let waiting = tokio::spawn(async move {
        let revision = change(&mut began_first, item).await.unwrap();
        began_first.commit().await.unwrap();
        revision
    });
    eventually("the first waits for the lock", PATIENCE, async || {
        let blocked: bool = sqlx::query_scalar(
            "select exists (select from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock')",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        blocked.then_some(())
    })
    .await;
    // … and takes effect first.
    assert_eq!(change(&mut began_later, item).await.unwrap(), 2);
    sequence_all(pool).await;
    began_later.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap(), 3);
    sequence_all(pool).await;

    let revisions: Vec<Vec<u8>> = sqlx::query_scalar("select payload from outbox order by number")
        .fetch_all(pool)
        .await
        .unwrap();
    let revisions: Vec<i64> = revisions
        .iter()
        .map(|payload| {
            let message: crate::owner::ItemChanged = prost::Message::decode(&**payload).unwrap();
            message.revision
        })
        .collect();
    assert_eq!(revisions, [1, 2, 3]);
}

#[tokio::test]
async fn events_of_one_statement_keep_their_order() {
    let TestDatabase { pool, .. } = &database().await;
    let items = acquire(pool, 3_000).await;
    sequence_all(pool).await;
    let feed: Vec<Uuid> = numbered(pool).await.iter().map(|(_, id)| *id).collect();
    assert_eq!(feed, items);
}

/// A writing transaction that stays open: with an id, and with work done.
async fn long_writer(connection: &mut PgConnection) -> sqlx::PgTransaction<'_> {
    sqlx::raw_sql("create table if not exists bulk_load (line bigint)")
        .execute(&mut *connection)
        .await
        .unwrap();
    let mut transaction = connection.begin().await.unwrap();
    sqlx::query("insert into bulk_load select generate_series(1, 1000)")
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction
}

#[tokio::test]
async fn a_long_transaction_elsewhere_on_the_server_does_not_hold_the_feed_back() {
    let TestDatabase { pool, .. } = &database().await;
    let elsewhere = TestDatabase::empty().await;
    let mut there = elsewhere.pool.acquire().await.unwrap();
    let mut here = pool.acquire().await.unwrap();
    let there = long_writer(&mut there).await;
    let here = long_writer(&mut here).await;

    let item = acquire(pool, 1).await[0];
    for number in 2..=50 {
        change_in_transaction(pool, item).await.unwrap();
        sequence_all(pool).await;
        assert_eq!(numbered(pool).await.last(), Some(&(number, item)));
    }

    here.commit().await.unwrap();
    there.commit().await.unwrap();
    eventually("the floor rises afterwards", PATIENCE, async || {
        sequence_all(pool).await;
        (floor(pool).await == drawn(pool).await).then_some(())
    })
    .await;
}

#[tokio::test]
async fn more_events_than_a_run_takes_are_all_numbered() {
    let TestDatabase { pool, .. } = &database().await;
    for _ in 0..3 {
        acquire(pool, 8_000).await;
    }
    let first = sequence(pool).await.unwrap();
    assert!(first.again && first.numbered == 10_000, "{first:?}");
    sequence_all(pool).await;
    sequence_all(pool).await;
    let feed = numbered(pool).await;
    assert_eq!(feed.len(), 24_000);
    assert_eq!(feed.last().unwrap().0, 24_000);
    assert!(floor(pool).await <= drawn(pool).await);
}

#[tokio::test]
async fn an_event_never_changes() {
    let TestDatabase { pool, .. } = &database().await;
    acquire(pool, 1).await;
    let refused = |error: sqlx::Error| {
        let error = error.into_database_error().unwrap();
        assert_eq!(error.constraint(), Some("outbox_is_immutable"), "{error}");
    };
    refused(
        sqlx::query("update outbox set payload = ''")
            .execute(pool)
            .await
            .unwrap_err(),
    );
    sequence_all(pool).await;
    refused(
        sqlx::query("update outbox set number = number + 1")
            .execute(pool)
            .await
            .unwrap_err(),
    );
    let too_large = NewEvent {
        payload: vec![0; (1 << 20) + 1],
        ..NewEvent::of(Uuid::now_v7(), &ShelfRead::default(), now())
    };
    let mut connection = pool.acquire().await.unwrap();
    let error = append(&mut connection, &[too_large]).await.unwrap_err();
    let error = error.into_database_error().unwrap();
    assert_eq!(error.constraint(), Some("outbox_payload_is_small"));
}
