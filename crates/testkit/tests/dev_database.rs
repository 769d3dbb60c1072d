//! The developers' server, on a workspace with one small service.

#![allow(
    clippy::unwrap_used,
    reason = "the functions that the tests share are tests too"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use carrel_testkit::{ChildProcess, eventually};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// A workspace that the server's account can reach.
fn workspace() -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let permissions = fs::Permissions::from_mode(0o755);
    let workspace = tempfile::Builder::new()
        .permissions(permissions)
        .tempdir()
        .unwrap();
    write(
        workspace.path(),
        "crates/database/migrations/0001_request.sql",
        "create table request (id int);",
    );
    write(
        workspace.path(),
        "services/copy-centre/migrations/1000_copy.sql",
        "create table copy (pages int);",
    );
    write(
        workspace.path(),
        "services/portal/Cargo.toml",
        "# no migrations: no database",
    );
    workspace
}

fn write(workspace: &Path, path: &str, content: &str) {
    let path = workspace.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn dev_database(workspace: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dev-database"));
    command
        .arg("--workspace")
        .arg(workspace.path())
        .args(arguments);
    command
}

/// The URL in `export NAME='URL'`.
fn url(line: &str) -> &str {
    line.split('\'').nth(1).unwrap()
}

#[tokio::test]
async fn a_developer_gets_a_migrated_database_and_a_server_for_tests() {
    let workspace = workspace();
    let configuration = "[common]\ndatabase-url-var = \"COPY_CENTRE_DATABASE_URL\"\n";
    write(
        workspace.path(),
        "services/copy-centre/sqlx.toml",
        configuration,
    );
    let mut run = ChildProcess::spawn("dev-database", &mut dev_database(&workspace, &["run"]));
    let line = run
        .line_with("export COPY_CENTRE_DATABASE_URL=", LIMIT)
        .await;
    let mut connection = PgConnection::connect(url(&line)).await.unwrap();
    let empty = sqlx::query("select * from copy, request")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert!(empty.is_empty());

    let line = run
        .line_with("export CARREL_TEST_DATABASE_URL=", LIMIT)
        .await;
    let mut connection = PgConnection::connect(url(&line)).await.unwrap();
    sqlx::query("create database carrel_test_ours")
        .execute(&mut connection)
        .await
        .unwrap();
    drop(connection);

    run.kill();
    let process = workspace
        .path()
        .join("target/dev-postgres/data/postmaster.pid");
    eventually("the end of the server", LIMIT, async || {
        (!process.exists()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_service_whose_macros_would_look_elsewhere_is_named() {
    let workspace = workspace();
    let mut run = ChildProcess::spawn("dev-database", &mut dev_database(&workspace, &["run"]));
    assert!(!run.end(LIMIT).await.success());
    run.line_with("services/copy-centre/sqlx.toml", LIMIT).await;
    run.line_with("database-url-var = \"COPY_CENTRE_DATABASE_URL\"", LIMIT)
        .await;
}

#[tokio::test]
async fn an_unknown_service_is_named() {
    let workspace = workspace();
    let mut run = ChildProcess::spawn(
        "dev-database",
        &mut dev_database(&workspace, &["prepare", "portal"]),
    );
    assert!(!run.end(LIMIT).await.success());
    run.line_with("no migrations in services/portal/migrations", LIMIT)
        .await;
}
