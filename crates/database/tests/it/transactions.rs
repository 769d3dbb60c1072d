//! Deadlocks are broken by PostgreSQL and tried again by us.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use carrel_database::{Database, transact};
use tokio::sync::Barrier;

use crate::database;

/// Moves one from a shelf to another, locking the first shelf first.
async fn move_one(
    database: &Database,
    from: i32,
    to: i32,
    meet: &Barrier,
    attempts: &AtomicU32,
) -> Result<(), sqlx::Error> {
    transact!(database, "move_one", |connection| {
        let first_try = attempts.fetch_add(1, Ordering::SeqCst) < 2;
        sqlx::query("update shelf set books = books - 1 where id = $1")
            .bind(from)
            .execute(&mut *connection)
            .await?;
        if first_try {
            // Both hold their first shelf now: the second ones deadlock.
            meet.wait().await;
        }
        sqlx::query("update shelf set books = books + 1 where id = $1")
            .bind(to)
            .execute(&mut *connection)
            .await?;
        Ok(())
    })
}

#[tokio::test]
async fn two_technicians_who_deadlock_both_succeed() {
    let (_kept, database) = database().await;
    sqlx::raw_sql("create table shelf (id int primary key, books int); insert into shelf values (1, 10), (2, 10)")
        .execute(database.pool())
        .await
        .unwrap();
    let meet = Arc::new(Barrier::new(2));
    let attempts = Arc::new(AtomicU32::new(0));
    let (one, two) = tokio::join!(
        move_one(&database, 1, 2, &meet, &attempts),
        move_one(&database, 2, 1, &meet, &attempts),
    );
    one.unwrap();
    two.unwrap();
    assert_eq!(
        attempts.load(Ordering::SeqCst),
        3,
        "one of the two was tried again"
    );
    let books: Vec<i32> = sqlx::query_scalar("select books from shelf order by id")
        .fetch_all(database.pool())
        .await
        .unwrap();
    assert_eq!(books, [10, 10]);
}

#[tokio::test]
async fn an_error_rolls_everything_back() {
    let (_kept, database) = database().await;
    sqlx::raw_sql("create table shelf (id int primary key)")
        .execute(database.pool())
        .await
        .unwrap();
    let failed: Result<(), sqlx::Error> = transact!(database, "fails", |connection| {
        sqlx::query("insert into shelf values (1)")
            .execute(&mut *connection)
            .await?;
        sqlx::query("insert into shelf values (1)")
            .execute(&mut *connection)
            .await?;
        Ok(())
    });
    assert!(failed.is_err());
    let rows: i64 = sqlx::query_scalar("select count(*) from shelf")
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(rows, 0);
}
