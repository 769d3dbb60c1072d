//! The private server as its users meet it: started, killed, restarted, refused.

#![allow(
    clippy::unwrap_used,
    reason = "the functions that the tests share are tests too"
)]

mod folders;
mod lifetime;
mod other_users;

use std::process::Command;
use std::time::Duration;

use carrel_private_postgres::{Durability, Error, Options, PrivatePostgres};
use carrel_testkit::ChildProcess;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// The folder on which the copy of this program that a test kills runs its server; empty for a
/// temporary one.
const HOLD_VARIABLE: &str = "CARREL_TEST_HOLD";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A folder that every account may enter.
fn open_folder() -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::Permissions::from_mode(0o755);
    tempfile::Builder::new()
        .permissions(permissions)
        .tempdir()
        .unwrap()
}

/// A kept server that starts quickly: what is tested here does not need the disk.
fn kept(folder: &TempDir) -> Options {
    Options {
        durability: Durability::Fast,
        shared_buffers_mb: 16,
        ..Options::kept(folder.path().join("postgres"))
    }
}

async fn start(options: Options) -> PrivatePostgres {
    PrivatePostgres::start(options).await.unwrap()
}

/// Lends a book in a new database, and returns the connection over which it was done.
async fn lend(postgres: &PrivatePostgres, title: &str) -> PgConnection {
    postgres.create_database("desk").await.unwrap();
    let mut connection = PgConnection::connect(&postgres.url("desk")).await.unwrap();
    sqlx::query("create table if not exists loan (title text)")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query("insert into loan values ($1)")
        .bind(title)
        .execute(&mut connection)
        .await
        .unwrap();
    connection
}

async fn loans(postgres: &PrivatePostgres) -> Vec<String> {
    let mut connection = PgConnection::connect(&postgres.url("desk")).await.unwrap();
    sqlx::query_scalar("select title from loan")
        .fetch_all(&mut connection)
        .await
        .unwrap()
}

fn refusal(result: Result<PrivatePostgres, Error>) -> String {
    result.expect_err("the start is refused").to_string()
}

/// This program once more, as a process that runs a server until it is killed.
fn holder(program: &std::path::Path, folder: Option<&TempDir>) -> Command {
    let mut command = Command::new(program);
    command.args([
        "--exact",
        "holds_a_server_until_it_is_killed",
        "--ignored",
        "--nocapture",
    ]);
    command.env(
        HOLD_VARIABLE,
        folder.map_or("".as_ref(), |folder| folder.path().as_os_str()),
    );
    command
}

/// Where the holder's server keeps its data.
async fn held_folder(holder: &mut ChildProcess) -> std::path::PathBuf {
    let line = holder.line_with("folder=", LIMIT).await;
    line.split_once("folder=").unwrap().1.into()
}

#[tokio::test]
#[ignore = "run by other tests, as a process of its own"]
async fn holds_a_server_until_it_is_killed() {
    let Some(folder) = std::env::var_os(HOLD_VARIABLE) else {
        return;
    };
    let options = if folder.is_empty() {
        Options::temporary()
    } else {
        let place = std::path::Path::new(&folder).join("postgres");
        Options {
            durability: Durability::Fast,
            ..Options::kept(place)
        }
    };
    let postgres = start(options).await;
    let _open = lend(&postgres, "Walden").await;
    println!("uid={}", rustix::process::geteuid().as_raw());
    println!("folder={}", postgres.folder().display());
    std::future::pending::<()>().await;
}
