//! The server as different users start it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;

use carrel_private_postgres::{Error, PrivatePostgres};
use carrel_testkit::{ChildProcess, eventually};

use crate::{LIMIT, held_folder, holder, is_root, kept, lend, loans, open_folder, refusal, start};

/// User and group of `nobody`: an ordinary user that every machine has, and not the first choice of root.
fn ordinary_user() -> (u32, u32) {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd
        .lines()
        .find(|line| line.starts_with("nobody:"))
        .expect("there is a user nobody");
    let fields: Vec<&str> = line.split(':').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}

fn skip_unless_root() -> bool {
    if !is_root() {
        eprintln!("SKIPPED: only root can act as another user");
    }
    !is_root()
}

#[tokio::test]
async fn root_runs_the_server_as_an_account_that_owns_the_data() {
    if skip_unless_root() {
        return;
    }
    let folder = open_folder();
    let postgres = start(kept(&folder)).await;
    let owner = fs::metadata(postgres.folder()).unwrap().uid();
    assert_ne!(owner, 0);
    let process = format!("/proc/{}", postgres.process().unwrap());
    if let Ok(found) = fs::metadata(process) {
        assert_eq!(found.uid(), owner);
    }
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn an_ordinary_user_runs_a_server_and_root_goes_on_with_its_data() {
    if skip_unless_root() {
        return;
    }
    let (user_id, group_id) = ordinary_user();
    // A copy: the build folder may lie in root's home.
    let programs = open_folder();
    let program = programs.path().join("holder");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let folder = open_folder();
    chown(folder.path(), Some(user_id), Some(group_id)).unwrap();

    let mut command = holder(&program, Some(&folder));
    command.uid(user_id).gid(group_id).current_dir("/");
    let mut user = ChildProcess::spawn("ordinary user", &mut command);
    let data = held_folder(&mut user).await;
    user.line_with(&format!("uid={user_id}"), LIMIT).await;
    assert_eq!(fs::metadata(&data).unwrap().uid(), user_id);
    user.kill();

    let postgres = start(kept(&folder)).await;
    assert_eq!(loans(&postgres).await, ["Walden"]);
    lend(&postgres, "Emma").await;
    postgres.stop().await.unwrap();
    assert_eq!(
        fs::metadata(data.join("data/PG_VERSION")).unwrap().uid(),
        user_id
    );

    // And the user after root.
    let mut user = ChildProcess::spawn("ordinary user", &mut command);
    held_folder(&mut user).await;
    user.kill();
    let released = async || !data.join("data/postmaster.pid").exists();
    eventually("the end of the user's server", LIMIT, async || {
        released().await.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_user_is_refused_the_folder_of_another() {
    if is_root() {
        eprintln!("SKIPPED: root may use every folder");
        return;
    }
    let result = PrivatePostgres::start(carrel_private_postgres::Options::kept("/var")).await;
    assert!(
        matches!(result, Err(Error::OtherOwner { owner: 0, .. })),
        "{}",
        refusal(result)
    );
}
