//! What a run touches, by PostgreSQL's own count of pages.

use std::time::{Duration, Instant};

use carrel_database::Database;
use carrel_testkit::{TestDatabase, eventually};
use sqlx::migrate::Migrator;

use super::*;
use crate::{NewEvent, append};

async fn database() -> TestDatabase {
    TestDatabase::prepared("carrel-outbox-alone", async |pool: &PgPool| {
        let database = Database::from_pool(pool.clone());
        carrel_database::migrate(&database, &Migrator::DEFAULT).await
    })
    .await
}

async fn append_many(pool: &PgPool, count: usize) {
    let now = jiff::Timestamp::now();
    let date = carrel_proto::r#type::v1::Date::default();
    let events: Vec<NewEvent> = (0..count)
        .map(|_| NewEvent::of(Uuid::now_v7(), &date, now))
        .collect();
    let mut connection = pool.acquire().await.unwrap();
    append(&mut connection, &events).await.unwrap();
}

async fn run_until_quiet(pool: &PgPool) {
    while run(pool).await.unwrap().again {}
}

/// Runs until the floor has risen to a position; a transaction of another test
/// on the same server may keep it for a while.
async fn risen(pool: &PgPool, position: i64) -> i64 {
    eventually("the floor rises", Duration::from_secs(30), async || {
        run_until_quiet(pool).await;
        let floor = standing(&mut pool.acquire().await.unwrap())
            .await
            .unwrap()
            .floor;
        (floor >= position).then_some(floor)
    })
    .await
}

/// Pages that the numbering statement reads from a floor, and the events it
/// numbers; rolled back.
async fn pages(pool: &PgPool, floor: i64) -> (i64, i64) {
    let mut transaction = pool.begin().await.unwrap();
    let _: (bool, String, String, String) = sqlx::query_as(TAKE_LOCK)
        .bind(LOCK)
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    let explain = format!("explain (analyze, buffers, format json) {NUMBER}");
    let plan: serde_json::Value = sqlx::query_scalar(sqlx::AssertSqlSafe(explain))
        .bind(standing(&mut transaction).await.unwrap().ends.number)
        .bind(floor)
        .bind(RUN_LIMIT)
        .bind("3")
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    assert!(plan[0].get("JIT").is_none(), "compiling takes 100 ms");
    let top = &plan[0]["Plan"];
    let count = |name: &str| top[name].as_i64().unwrap();
    let update = top["Plans"]
        .as_array()
        .unwrap()
        .iter()
        .find(|node| node["Subplan Name"] == "CTE numbered")
        .unwrap();
    (
        count("Shared Hit Blocks") + count("Shared Read Blocks"),
        update["Actual Rows"].as_f64().unwrap() as i64,
    )
}

#[tokio::test]
async fn a_snapshot_held_over_100_000_events_leaves_a_run_as_small_as_it_was() {
    let TestDatabase { pool, .. } = &database().await;
    append_many(pool, 1_000).await;
    run_until_quiet(pool).await;
    run_until_quiet(pool).await;

    // As a dump does: nothing that is dead from now on can be cleared away.
    let mut dump = pool
        .begin_with("begin isolation level repeatable read")
        .await
        .unwrap();
    let seen: i64 = sqlx::query_scalar("select count(*) from outbox")
        .fetch_one(&mut *dump)
        .await
        .unwrap();
    assert_eq!(seen, 1_000);
    let mut longest = Duration::ZERO;
    for _ in 0..100 {
        append_many(pool, 1_000).await;
        let began = Instant::now();
        run_until_quiet(pool).await;
        longest = longest.max(began.elapsed());
    }
    println!("the longest run that numbered 1,000 events took {longest:?}");
    let floor = risen(pool, 101_000).await;

    append_many(pool, 1).await;
    let (few, numbered) = pages(pool, floor).await;
    assert_eq!(numbered, 1);
    let (many, _) = pages(pool, 0).await;
    println!("pages read: {few} from the floor, {many} from the beginning");
    assert!(few < 60, "a run reads {few} pages");
    assert!(
        many > 10 * few,
        "without a floor it would read {many}: else this test shows nothing"
    );

    let began = Instant::now();
    assert_eq!(run(pool).await.unwrap().numbered, 1);
    println!(
        "numbering one event beside the snapshot took {:?}",
        began.elapsed()
    );
    let seen: i64 = sqlx::query_scalar("select count(*) from outbox")
        .fetch_one(&mut *dump)
        .await
        .unwrap();
    assert_eq!(seen, 1_000, "the snapshot was held all the time");
}

#[tokio::test]
async fn a_plan_made_on_an_empty_outbox_does_not_read_all_of_it() {
    let TestDatabase { pool, .. } = &database().await;
    // One connection, so that the prepared statements and their plans stay.
    let one = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .connect_with((*pool.connect_options()).clone())
        .await
        .unwrap();
    for _ in 0..20 {
        append_many(&one, 1).await;
        run_until_quiet(&one).await;
    }
    append_many(&one, 30_000).await;
    let floor = risen(&one, 30_020).await;
    append_many(&one, 1).await;
    let (few, numbered) = pages(&one, floor).await;
    assert_eq!(numbered, 1);
    assert!(few < 60, "a run reads {few} pages");
}
