//! A test gets a database of its own, quickly.

#![allow(
    clippy::unwrap_used,
    reason = "the functions that the tests share are tests too"
)]

use std::process::Command;
use std::time::{Duration, Instant};

use carrel_testkit::{ChildProcess, TestDatabase, eventually, postgres};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Connection, PgConnection};

const LIMIT: Duration = Duration::from_secs(30);

/// Set for the copy of this program that [`a_killed_test_process_leaves_nothing_behind`] kills.
const ROLE_VARIABLE: &str = "CARREL_TESTKIT_ROLE";

fn shelf_migrator() -> Migrator {
    let sql = sqlx::SqlStr::from_static("create table book (title text not null)");
    let migration = Migration::new(1, "shelf".into(), MigrationType::Simple, sql, false);
    Migrator {
        migrations: vec![migration].into(),
        ..Migrator::DEFAULT
    }
}

async fn titles(database: &TestDatabase) -> Vec<String> {
    sqlx::query_scalar("select title from book")
        .fetch_all(&database.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn server_and_databases_come_quickly() {
    let began = Instant::now();
    postgres().await;
    let server = began.elapsed();
    assert!(
        titles(&TestDatabase::create(&shelf_migrator()).await)
            .await
            .is_empty()
    );
    let first = began.elapsed();
    assert!(
        titles(&TestDatabase::create(&shelf_migrator()).await)
            .await
            .is_empty()
    );
    let second = began.elapsed() - first;
    eprintln!(
        "server {server:?}, first database {:?}, second {second:?}",
        first - server
    );
    // Loose, for busy machines: it is to notice an `initdb` or a migration for each test.
    assert!(second < Duration::from_secs(5), "{second:?}");
}

#[tokio::test]
async fn two_tests_do_not_see_each_others_books() {
    let migrator = shelf_migrator();
    let (ours, theirs) = tokio::join!(
        TestDatabase::create(&migrator),
        TestDatabase::create(&migrator)
    );
    sqlx::query("insert into book values ('Walden')")
        .execute(&ours.pool)
        .await
        .unwrap();
    assert_eq!(titles(&ours).await, ["Walden"]);
    assert!(titles(&theirs).await.is_empty());
}

#[tokio::test]
async fn a_service_finds_the_database_at_its_url_and_is_no_superuser() {
    let database = TestDatabase::empty().await;
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let (name, superuser): (String, bool) = sqlx::query_as(
        "select current_database()::text, usesuper from pg_user where usename = current_user",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(name, database.name());
    assert!(!superuser || postgres().await.private().is_none());
}

#[tokio::test]
async fn a_dropped_database_is_gone() {
    let database = TestDatabase::empty().await;
    let url = database.url.clone();
    database.drop().await;
    let error = PgConnection::connect(&url).await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[tokio::test]
async fn a_pool_outlives_the_cutting_of_its_connections() {
    let database = TestDatabase::create(&shelf_migrator()).await;
    assert!(titles(&database).await.is_empty());
    database.cut_connections().await;
    eventually("a new connection", LIMIT, async || {
        sqlx::query("select 1").execute(&database.pool).await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_database_behind_a_proxy_is_lost_and_found() {
    let database = TestDatabase::create(&shelf_migrator()).await;
    let (proxy, url) = database.behind_proxy().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("insert into book values ('Walden')")
        .execute(&mut connection)
        .await
        .unwrap();
    proxy.cut();
    assert!(
        sqlx::query("select 1")
            .execute(&mut connection)
            .await
            .is_err()
    );
    assert!(PgConnection::connect(&url).await.is_err());
    proxy.restore();
    assert!(PgConnection::connect(&url).await.is_ok());
    assert_eq!(titles(&database).await, ["Walden"]);
}

#[tokio::test]
async fn a_killed_test_process_leaves_nothing_behind() {
    if postgres().await.private().is_none() {
        eprintln!("SKIPPED: the tests use an operator's server, which stays");
        return;
    }
    let program = std::env::current_exe().unwrap();
    let arguments = [
        "--exact",
        "holds_a_database_until_it_is_killed",
        "--ignored",
        "--nocapture",
    ];
    let mut process = ChildProcess::spawn(
        "test",
        Command::new(program)
            .args(arguments)
            .env(ROLE_VARIABLE, "hold"),
    );
    let line = process.line_with("folder=", LIMIT).await;
    let folder = std::path::PathBuf::from(line.split_once("folder=").unwrap().1);
    assert!(folder.join("data/postmaster.pid").exists());
    process.kill();
    eventually("the end of its server and folder", LIMIT, async || {
        (!folder.exists()).then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "run by another test, as a process of its own"]
async fn holds_a_database_until_it_is_killed() {
    if std::env::var_os(ROLE_VARIABLE).is_some() {
        let database = TestDatabase::create(&shelf_migrator()).await;
        assert!(titles(&database).await.is_empty());
        println!(
            "folder={}",
            postgres().await.private().unwrap().folder().display()
        );
        std::future::pending::<()>().await;
    }
}
