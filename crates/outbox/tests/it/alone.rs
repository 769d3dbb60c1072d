//! What can only be measured on a server where nobody else writes.

use std::time::Duration;

use carrel_outbox::{NewEvent, append, sequence};
use carrel_private_postgres::{Options, PrivatePostgres};
use carrel_testkit::eventually;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use uuid::Uuid;

use crate::owner::{PATIENCE, Replica, ShelfRead, acquire, now, prepare, sequence_all};

/// The longest header of a page of the log.
const PAGE_HEADER_BYTES: i64 = 40;

/// The next transaction id and the end of the log: what writing moves.
async fn written(pool: &PgPool) -> (String, String) {
    sqlx::query_as(
        "select pg_snapshot_xmax(pg_current_snapshot())::text, pg_current_wal_insert_lsn()::text",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

async fn server_alone() -> PrivatePostgres {
    let server = PrivatePostgres::start(Options {
        cluster_cache: Some(carrel_private_postgres::default_cluster_cache()),
        ..Options::temporary()
    })
    .await
    .unwrap();
    server.create_database("quiet").await.unwrap();
    server
}

#[tokio::test]
async fn idle_polls_write_nothing() {
    let server = server_alone().await;
    let pool = PgPool::connect(&server.url("quiet")).await.unwrap();
    prepare(&pool).await.unwrap();
    acquire(&pool, 20).await;
    let replicas = [
        Replica::start(pool.clone()).await,
        Replica::start(pool.clone()).await,
    ];
    replicas[0].has_numbered(20).await;

    // Both replicas poll on while nothing is written for a second: five polls each.
    let quiet = async || {
        let before = written(&pool).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        (before == written(&pool).await).then_some(before)
    };
    let before = eventually("nothing is written", PATIENCE, quiet).await;

    // Nor is anything written while a transaction that appended stays open, after the one note
    // of where the floor may rise to. It has its own id, so ids are compared after it.
    let mut open = pool.begin().await.unwrap();
    append(
        &mut open,
        &[NewEvent::of(Uuid::now_v7(), &ShelfRead::default(), now())],
    )
    .await
    .unwrap();
    let during = eventually("nothing is written beside it", PATIENCE, quiet).await;
    assert_ne!(before, during, "the test sees what is written");
    open.rollback().await.unwrap();

    for replica in replicas {
        replica.stop().await;
    }
    // Without the running replicas: a thousand runs, not one transaction id.
    sequence_all(&pool).await;
    sequence_all(&pool).await;
    let (before, _) = written(&pool).await;
    for _ in 0..1_000 {
        assert_eq!(sequence(&pool).await.unwrap().numbered, 0);
    }
    assert_eq!(written(&pool).await.0, before);
    pool.close().await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_number_is_on_disk_before_it_is_read_whatever_the_session_says() {
    let server = server_alone().await;
    let lax: PgConnectOptions = server.url("quiet").parse().unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(lax.options([("synchronous_commit", "off")]))
        .await
        .unwrap();
    prepare(&pool).await.unwrap();
    for _ in 0..20 {
        acquire(&pool, 3).await;
        assert_eq!(sequence(&pool).await.unwrap().numbered, 3);
        let behind: i64 = sqlx::query_scalar(
            "select (pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn())::bigint",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        // At a page's end the insert position is already past the next page's
        // header; the commit's records alone take more than that.
        assert!(
            behind <= PAGE_HEADER_BYTES,
            "{behind} bytes are not on disk"
        );
    }
    let setting: String = sqlx::query_scalar("show synchronous_commit")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(setting, "off", "the session keeps its own setting");
    pool.close().await;
    server.stop().await.unwrap();
}
