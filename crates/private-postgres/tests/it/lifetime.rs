//! A server runs as long as its starter, and no longer.

use carrel_private_postgres::{Error, Options, PrivatePostgres};
use carrel_testkit::{ChildProcess, eventually};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, PgConnection};

use crate::{LIMIT, held_folder, holder, kept, lend, loans, open_folder, refusal, start};

#[tokio::test]
async fn a_temporary_server_leaves_nothing_behind() {
    let postgres = start(Options::temporary()).await;
    lend(&postgres, "Walden").await;
    let folder = postgres.folder().to_owned();
    assert!(folder.join("server.log").exists());
    postgres.stop().await.unwrap();
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_dropped_server_is_gone() {
    let postgres = start(Options::temporary()).await;
    let (folder, url) = (postgres.folder().to_owned(), postgres.url("postgres"));
    drop(postgres);
    assert!(!folder.exists());
    assert!(PgConnection::connect(&url).await.is_err());
}

#[tokio::test]
async fn data_is_kept_from_run_to_run() {
    let folder = open_folder();
    let postgres = start(kept(&folder)).await;
    // Still open when the server stops: an idle client must not hold it up.
    let _open = lend(&postgres, "Walden").await;
    postgres.stop().await.unwrap();

    let postgres = start(kept(&folder)).await;
    assert!(
        !postgres.create_database("desk").await.unwrap(),
        "the database is there already"
    );
    assert_eq!(loans(&postgres).await, ["Walden"]);
    postgres.drop_database("desk").await.unwrap();
    assert!(postgres.create_database("desk").await.unwrap());
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_durable_server_survives_its_own_sudden_end() {
    let folder = open_folder();
    let options = Options::kept(folder.path().join("postgres"));
    let mut postgres = start(options.clone()).await;
    lend(&postgres, "Walden").await;
    assert!(postgres.exited().unwrap().is_none());
    let process = Pid::from_raw(postgres.process().unwrap().try_into().unwrap()).unwrap();
    kill_process(process, Signal::KILL).unwrap();
    let status = eventually("notice of the end", LIMIT, async || {
        postgres.exited().unwrap()
    })
    .await;
    assert!(!status.success());
    drop(postgres);

    let postgres = start(options).await;
    assert_eq!(loans(&postgres).await, ["Walden"]);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_stops_when_its_starter_is_killed_and_the_next_one_goes_on() {
    let folder = open_folder();
    let program = std::env::current_exe().unwrap();
    let mut starter = ChildProcess::spawn("starter", &mut holder(&program, Some(&folder)));
    let data = held_folder(&mut starter).await;
    starter.kill();
    // At once, while the old server is still stopping.
    let postgres = start(kept(&folder)).await;
    assert_eq!(postgres.folder(), data);
    assert_eq!(loans(&postgres).await, ["Walden"]);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_temporary_server_goes_with_its_killed_starter() {
    let program = std::env::current_exe().unwrap();
    let mut starter = ChildProcess::spawn("starter", &mut holder(&program, None));
    let data = held_folder(&mut starter).await;
    assert!(data.join("data/postmaster.pid").exists());
    starter.kill();
    eventually("the end of server and folder", LIMIT, async || {
        (!data.exists()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn two_servers_run_side_by_side() {
    let (one, other) = tokio::join!(start(Options::temporary()), start(Options::temporary()));
    lend(&one, "Walden").await;
    lend(&other, "Emma").await;
    assert_eq!(loans(&one).await, ["Walden"]);
    assert_eq!(loans(&other).await, ["Emma"]);
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused_by_name() {
    let folder = open_folder();
    let first = start(kept(&folder)).await;
    let result = PrivatePostgres::start(kept(&folder)).await;
    assert!(
        matches!(result, Err(Error::AlreadyRunning { process, .. }) if process == first.process())
    );
    let message = refusal(result);
    assert!(
        message.contains(&first.folder().display().to_string()),
        "{message}"
    );
    first.stop().await.unwrap();
}
