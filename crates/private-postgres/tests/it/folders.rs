//! Folders that suit a server, and folders that do not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use carrel_private_postgres::{Error, Options, PrivatePostgres};
use sqlx::{Connection, PgConnection};

use crate::{is_root, kept, lend, loans, open_folder, refusal, start};

#[tokio::test]
async fn a_folder_with_a_long_name_and_odd_characters_serves() {
    let folder = open_folder();
    let long = folder
        .path()
        .join("Ex libris, 'café' 100%")
        .join("a".repeat(120));
    let options = Options {
        place: carrel_private_postgres::Place::Kept(long.clone()),
        ..kept(&folder)
    };
    let postgres = start(options.clone()).await;
    let socket = postgres.socket();
    assert!(
        !socket.starts_with(&long),
        "too long for a socket: {socket:?}"
    );
    lend(&postgres, "Walden").await;
    assert_eq!(loans(&postgres).await, ["Walden"]);
    postgres.stop().await.unwrap();
    assert!(
        !socket.parent().unwrap().exists(),
        "the socket's own folder is removed"
    );
    assert!(long.join("data").exists());
}

#[tokio::test]
async fn odd_characters_in_a_socket_s_path_are_no_hindrance() {
    let folder = open_folder();
    let odd = folder.path().join("a, \"b\" 'c' d%41\\e");
    let options = Options {
        place: carrel_private_postgres::Place::Kept(odd.clone()),
        ..kept(&folder)
    };
    let postgres = start(options).await;
    assert!(postgres.socket().starts_with(&odd));
    lend(&postgres, "Walden").await;
    assert_eq!(loans(&postgres).await, ["Walden"]);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn other_users_cannot_look_into_the_folder() {
    let folder = open_folder();
    let postgres = start(kept(&folder)).await;
    let mode = fs::metadata(postgres.folder())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_folder_with_something_else_in_it_is_left_alone() {
    let folder = open_folder();
    let place = folder.path().join("postgres");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("thesis.txt"), "chapter one").unwrap();
    let result = PrivatePostgres::start(kept(&folder)).await;
    assert!(
        matches!(result, Err(Error::ForeignFolder { .. })),
        "{}",
        refusal(result)
    );
    let entries = fs::read_dir(&place).unwrap().count();
    assert_eq!(entries, 1);
    fs::write(folder.path().join("file"), "").unwrap();
    let result = PrivatePostgres::start(Options::kept(folder.path().join("file"))).await;
    assert!(
        matches!(result, Err(Error::ForeignFolder { .. })),
        "{}",
        refusal(result)
    );
}

#[tokio::test]
async fn data_of_another_version_is_refused_with_both_versions() {
    let folder = open_folder();
    let postgres = start(kept(&folder)).await;
    let version_file = postgres.folder().join("data/PG_VERSION");
    postgres.stop().await.unwrap();
    fs::write(version_file, "9\n").unwrap();
    let message = refusal(PrivatePostgres::start(kept(&folder)).await);
    assert!(
        message.contains("written by PostgreSQL 9, but the server on this machine is version"),
        "{message}"
    );
}

#[tokio::test]
async fn an_interrupted_initdb_is_done_again() {
    let folder = open_folder();
    let postgres = start(kept(&folder)).await;
    let data = postgres.folder().join("data");
    postgres.stop().await.unwrap();
    fs::rename(&data, data.with_extension("new")).unwrap();
    fs::remove_file(data.with_extension("new").join("postgresql.conf")).unwrap();
    let postgres = start(kept(&folder)).await;
    assert!(postgres.create_database("desk").await.unwrap());
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_start_says_why() {
    let folder = open_folder();
    let postgres = start(kept(&folder)).await;
    let settings = postgres.folder().join("data/postgresql.conf");
    postgres.stop().await.unwrap();
    fs::write(settings, "work_mem = 'a lot'\n").unwrap();
    let message = refusal(PrivatePostgres::start(kept(&folder)).await);
    assert!(
        message.contains("server.log") && message.contains("work_mem"),
        "{message}"
    );
}

#[tokio::test]
async fn text_is_utf8_sorted_by_code_point_and_folded_beyond_ascii() {
    let postgres = start(Options::temporary()).await;
    let mut connection = PgConnection::connect(&postgres.url("postgres"))
        .await
        .unwrap();
    let (folded, sorted): (String, bool) = sqlx::query_as("select lower('ÉMILE'), 'Z' < 'a'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!((folded.as_str(), sorted), ("émile", true));
}

#[tokio::test]
async fn a_name_that_needs_quoting_is_no_database_name() {
    let postgres = start(Options::temporary()).await;
    for name in ["", "Desk", "1st", "a b", "x;drop", &"a".repeat(64)] {
        let result = postgres.create_database(name).await;
        assert!(
            matches!(result, Err(Error::DatabaseName { .. })),
            "{name:?}"
        );
    }
}

#[tokio::test]
async fn root_is_told_that_its_home_is_out_of_reach() {
    if !is_root() {
        eprintln!("SKIPPED: only root has to change to another account");
        return;
    }
    let home = open_folder();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let result = PrivatePostgres::start(Options::kept(home.path().join("carrel/postgres"))).await;
    let message = refusal(result);
    assert!(
        message.contains(&format!("cannot enter {:?}", home.path())),
        "{message}"
    );
    assert!(message.contains("--data /var/lib/carrel"), "{message}");
    assert_eq!(
        fs::read_dir(home.path()).unwrap().count(),
        0,
        "nothing was made"
    );
}
