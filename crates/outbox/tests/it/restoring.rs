//! A restored owner, a consumer that was away too long, a rebuild that is cut
//! off: all while events go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use carrel_database::Database;
use carrel_outbox::Feed;
use carrel_testkit::{eventually, postgres};
use jiff::SignedDuration;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::copies::{Follower, ItemCopies, Switches, copies, level, standing, taken_up_to};
use crate::owner::{
    PATIENCE, Replica, acquire, change_in_transaction, database, now, sequence_all,
};

/// Reads the owner's state while each page's items change under its hands.
fn reading_busy(owner: &PgPool, busy: &[Uuid]) -> ItemCopies {
    ItemCopies {
        owner: owner.clone(),
        switches: Switches {
            busy: busy.to_vec(),
            ..Switches::default()
        },
    }
}

fn reading(owner: &PgPool) -> ItemCopies {
    ItemCopies {
        owner: owner.clone(),
        switches: Switches::default(),
    }
}

/// Changes go on until it is stopped, whatever happens to the database.
struct Desk {
    changed: Arc<AtomicUsize>,
    running: JoinHandle<()>,
}

impl Desk {
    fn open(pool: PgPool, replica: &Replica, items: Vec<Uuid>) -> Self {
        let changed = Arc::new(AtomicUsize::new(0));
        let (count, wake) = (Arc::clone(&changed), replica.wake.clone());
        let running = tokio::spawn(async move {
            loop {
                let item = items[count.load(Ordering::Relaxed) % items.len()];
                if change_in_transaction(&pool, item).await.is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                    wake.committed();
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        Self { changed, running }
    }

    /// Closes after some more changes.
    async fn close(self) {
        let goal = self.changed.load(Ordering::Relaxed) + 20;
        eventually("changes go on", PATIENCE, async || {
            (self.changed.load(Ordering::Relaxed) >= goal).then_some(())
        })
        .await;
        self.running.abort();
        assert!(self.running.await.unwrap_err().is_cancelled());
    }
}

async fn administer(statement: String) {
    let mut administrator = postgres().await.administrator().await;
    sqlx::query(AssertSqlSafe(statement))
        .execute(&mut administrator)
        .await
        .unwrap();
}

async fn cut(name: &str) {
    let mut administrator = postgres().await.administrator().await;
    sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
        .bind(name)
        .execute(&mut administrator)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_consumer_of_a_restored_owner_rebuilds_itself_while_events_go_on() {
    let (owner, library) = (database().await, database().await);
    let name = owner.name();
    let items = acquire(&owner.pool, 45).await;
    for item in &items {
        change_in_transaction(&owner.pool, *item).await.unwrap();
    }
    let first = Feed::new(
        Database::from_pool(owner.pool.clone()),
        CancellationToken::new(),
    );
    first.prepare().await.unwrap();
    sequence_all(&owner.pool).await;
    // The backup, with everybody out.
    cut(name).await;
    administer(format!("create database {name}_backup template {name}")).await;

    let replica = Replica::start(owner.pool.clone()).await;
    // One item of the first page, one of the last.
    let busy = reading_busy(&owner.pool, &[items[0], items[44]]);
    let follower = Follower::of_state(&library.pool, replica.client(), busy);
    level(&owner.pool, &library.pool).await;
    let lost = acquire(&owner.pool, 12).await;
    for item in &items[..20] {
        change_in_transaction(&owner.pool, *item).await.unwrap();
    }
    replica.wake.committed();
    level(&owner.pool, &library.pool).await;
    let (generation, _) = standing(&library.pool).await.unwrap();

    // The restore, under running services and a busy desk.
    let desk = Desk::open(owner.pool.clone(), &replica, items[1..44].to_vec());
    administer(format!(
        "alter database {name} with allow_connections false"
    ))
    .await;
    cut(name).await;
    administer(format!("alter database {name} rename to {name}_lost")).await;
    administer(format!("alter database {name}_backup rename to {name}")).await;
    eventually("the library has a new generation", PATIENCE, async || {
        standing(&library.pool)
            .await
            .filter(|(now, _)| *now > generation)
    })
    .await;
    desk.close().await;
    level(&owner.pool, &library.pool).await;
    let kept = copies(&library.pool).await;
    assert!(
        lost.iter()
            .all(|lost| kept.iter().all(|row| row.0 != *lost)),
        "what the restore lost is gone"
    );
    assert_eq!(kept.len(), 45);

    // And it follows: the next change comes as an event.
    change_in_transaction(&owner.pool, items[40]).await.unwrap();
    replica.wake.committed();
    level(&owner.pool, &library.pool).await;
    follower.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn a_dump_put_back_into_the_same_database_begins_a_new_epoch() {
    let Some(bin) = postgres_programs() else {
        println!("SKIPPED: pg_dump and pg_restore are not installed");
        return;
    };
    let owner = database().await;
    let items = acquire(&owner.pool, 10).await;
    let feed = Feed::new(
        Database::from_pool(owner.pool.clone()),
        CancellationToken::new(),
    );
    feed.prepare().await.unwrap();
    sequence_all(&owner.pool).await;
    // Drawn and not committed when the dump is taken.
    let mut open = owner.pool.begin().await.unwrap();
    crate::owner::change(&mut open, items[0]).await.unwrap();
    let dump = std::env::temp_dir().join(format!("{}.dump", owner.name()));
    let dump = dump.to_str().unwrap();
    run(
        &bin,
        "pg_dump",
        &["--format=custom", "--file", dump, &owner.url],
    )
    .await;
    open.commit().await.unwrap();
    for item in &items {
        change_in_transaction(&owner.pool, *item).await.unwrap();
    }
    sequence_all(&owner.pool).await;
    let epoch = epoch_of(&owner.pool).await;
    assert!(
        !prepared_anew(&feed, &owner.pool, &epoch).await,
        "a restart begins no epoch"
    );

    run(
        &bin,
        "pg_restore",
        &["--clean", "--if-exists", "--dbname", &owner.url, dump],
    )
    .await;
    std::fs::remove_file(dump).unwrap();
    assert!(
        prepared_anew(&feed, &owner.pool, &epoch).await,
        "a restored dump does"
    );
    let epoch = epoch_of(&owner.pool).await;

    // Events appended from now on are numbered after those of the dump.
    for item in &items {
        change_in_transaction(&owner.pool, *item).await.unwrap();
    }
    sequence_all(&owner.pool).await;
    sequence_all(&owner.pool).await;
    let (events, last): (i64, i64) =
        sqlx::query_as("select count(number), max(number) from outbox")
            .fetch_one(&owner.pool)
            .await
            .unwrap();
    assert_eq!((events, last), (20, 20));
    assert!(!prepared_anew(&feed, &owner.pool, &epoch).await);
}

#[tokio::test]
async fn a_dump_without_its_sequence_draws_no_position_twice() {
    let owner = database().await;
    let items = acquire(&owner.pool, 10).await;
    sequence_all(&owner.pool).await;
    sequence_all(&owner.pool).await;
    sqlx::query("select setval('outbox_position', 1, false)")
        .execute(&owner.pool)
        .await
        .unwrap();
    carrel_outbox::begin_epoch(&Database::from_pool(owner.pool.clone()))
        .await
        .unwrap();
    change_in_transaction(&owner.pool, items[0]).await.unwrap();
    sequence_all(&owner.pool).await;
    assert_eq!(
        crate::owner::numbered(&owner.pool).await.last(),
        Some(&(11, items[0]))
    );
}

#[tokio::test]
async fn a_server_that_keeps_its_identity_to_itself_still_shows_a_copy() {
    let owner = database().await;
    let name = owner.name();
    let mut administrator = postgres_in(name).await;
    sqlx::raw_sql("revoke execute on function pg_control_system() from public")
        .execute(&mut administrator)
        .await
        .unwrap();
    administrator.close().await.unwrap();
    let feed =
        |pool: &PgPool| Feed::new(Database::from_pool(pool.clone()), CancellationToken::new());
    feed(&owner.pool).prepare().await.unwrap();
    let epoch = epoch_of(&owner.pool).await;
    assert!(!prepared_anew(&feed(&owner.pool), &owner.pool, &epoch).await);

    cut(name).await;
    administer(format!(
        "create database {name}_copy template {name} owner carrel"
    ))
    .await;
    let server = postgres().await;
    let copy = PgPool::connect_with(server.options(&format!("{name}_copy")))
        .await
        .unwrap();
    assert!(prepared_anew(&feed(&copy), &copy, &epoch).await);
    assert!(!prepared_anew(&feed(&owner.pool), &owner.pool, &epoch).await);
}

/// A connection as administrator, to a database of the tests.
async fn postgres_in(name: &str) -> PgConnection {
    let server = postgres().await;
    let administrator = server.administrator().await;
    let role: String = {
        let mut administrator = administrator;
        sqlx::query_scalar("select current_user")
            .fetch_one(&mut administrator)
            .await
            .unwrap()
    };
    PgConnection::connect_with(&server.options(name).username(&role))
        .await
        .unwrap()
}

async fn epoch_of(pool: &PgPool) -> Uuid {
    sqlx::query_scalar("select epoch from feed_head")
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn prepared_anew(feed: &Feed, pool: &PgPool, epoch: &Uuid) -> bool {
    feed.prepare().await.unwrap();
    epoch_of(pool).await != *epoch
}

/// The folder of the server's programs, which hold the client's too.
fn postgres_programs() -> Option<std::path::PathBuf> {
    let version = ["18", "17", "16", "15"];
    let folders = version.map(|v| format!("/usr/lib/postgresql/{v}/bin").into());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = folders.into_iter().chain(std::env::split_paths(&path));
    folders.find(|folder| folder.join("pg_dump").exists() && folder.join("pg_restore").exists())
}

async fn run(folder: &std::path::Path, program: &str, arguments: &[&str]) {
    let output = tokio::process::Command::new(folder.join(program))
        .args(arguments)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_consumer_behind_retention_rebuilds_itself_while_events_go_on() {
    let (owner, library) = (database().await, database().await);
    let items = acquire(&owner.pool, 25).await;
    let replica = Replica::start(owner.pool.clone()).await;
    let follower = Follower::of_state(&library.pool, replica.client(), reading(&owner.pool));
    level(&owner.pool, &library.pool).await;
    follower.stop().await;

    for item in &items {
        change_in_transaction(&owner.pool, *item).await.unwrap();
    }
    sequence_all(&owner.pool).await;
    let forgotten = replica
        .feed
        .forget_before(now() + SignedDuration::from_hours(1))
        .await
        .unwrap();
    assert_eq!(forgotten, 50);

    let desk = Desk::open(owner.pool.clone(), &replica, items[1..24].to_vec());
    let busy = reading_busy(&owner.pool, &[items[0], items[24]]);
    let follower = Follower::of_state(&library.pool, replica.client(), busy);
    eventually("it was rebuilt", PATIENCE, async || {
        standing(&library.pool)
            .await
            .filter(|(generation, _)| *generation == 2)
    })
    .await;
    desk.close().await;
    level(&owner.pool, &library.pool).await;
    follower.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn a_rebuild_that_is_cut_off_goes_on_at_its_page() {
    let (owner, library) = (database().await, database().await);
    acquire(&owner.pool, 95).await;
    let replica = Replica::start(owner.pool.clone()).await;
    // The library's disk is full after a few pages, so to speak.
    sqlx::raw_sql(
        "create function refuse_more() returns trigger language plpgsql as $$
         begin
             if (select count(*) from item_copy) >= 40 then
                 raise exception 'no room' using errcode = 'disk_full';
             end if;
             return new;
         end
         $$;
         create trigger item_copy_has_room before insert on item_copy
             for each row execute function refuse_more();",
    )
    .execute(&library.pool)
    .await
    .unwrap();
    let follower = Follower::of_state(&library.pool, replica.client(), reading(&owner.pool));
    eventually("the first pages are there", PATIENCE, async || {
        (copies(&library.pool).await.len() == 40).then_some(())
    })
    .await;
    follower.stop().await;
    sqlx::raw_sql("drop trigger item_copy_has_room on item_copy")
        .execute(&library.pool)
        .await
        .unwrap();

    let again = reading(&owner.pool);
    let follower = Follower::of_state(&library.pool, replica.client(), again.clone());
    level(&owner.pool, &library.pool).await;
    eventually("it follows", PATIENCE, async || {
        standing(&library.pool).await
    })
    .await;
    let pages = again.switches.pages.lock().unwrap().clone();
    let fifth = copies(&library.pool).await[39].0.to_string();
    assert_eq!(
        pages.first(),
        Some(&fifth),
        "it goes on after the fortieth item"
    );
    assert_eq!(pages.len(), 6);
    assert_eq!(
        standing(&library.pool).await.unwrap().0,
        1,
        "the same generation"
    );
    follower.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn a_rebuild_begun_before_a_restore_begins_anew_after_it() {
    let (owner, library) = (database().await, database().await);
    acquire(&owner.pool, 30).await;
    let replica = Replica::start(owner.pool.clone()).await;
    // As a process leaves it that dies after the second page.
    let head = replica.head().await;
    let second_page = crate::copies::items(&owner.pool).await[19].0;
    sqlx::query(
        "insert into feed_cursor (feed, generation, rebuild_epoch, rebuild_number, rebuild_event_id, rebuild_page_token)
         values ('catalog', 1, $1::uuid, $2, $3::uuid, $4)",
    )
    .bind(&head.epoch)
    .bind(head.number)
    .bind(Some(&head.event_id).filter(|id| !id.is_empty()))
    .bind(second_page.to_string())
    .execute(&library.pool)
    .await
    .unwrap();
    carrel_outbox::begin_epoch(&Database::from_pool(owner.pool.clone()))
        .await
        .unwrap();

    let follower = Follower::of_state(&library.pool, replica.client(), reading(&owner.pool));
    level(&owner.pool, &library.pool).await;
    let (generation, _) = eventually("it follows", PATIENCE, async || {
        standing(&library.pool).await
    })
    .await;
    assert_eq!(generation, 2);
    follower.stop().await;
    replica.stop().await;
}

#[tokio::test]
async fn a_consumer_of_what_happened_takes_the_feed_from_its_beginning_and_counts_what_it_lost() {
    let (owner, library) = (database().await, database().await);
    let items = acquire(&owner.pool, 10).await;
    let replica = Replica::start(owner.pool.clone()).await;
    sequence_all(&owner.pool).await;
    let follower = Follower::of_events(&library.pool, replica.client(), reading(&owner.pool));
    taken_up_to(&library.pool, 10).await;
    let numbers = async || -> Vec<i64> {
        sqlx::query_scalar("select number from taken order by place")
            .fetch_all(&library.pool)
            .await
            .unwrap()
    };
    assert_eq!(numbers().await, (1..=10).collect::<Vec<_>>());
    follower.stop().await;

    // Three events, forgotten while it is away, and two more.
    let lost_count = async || -> i64 {
        sqlx::query_scalar("select lost_count from feed_cursor")
            .fetch_one(&library.pool)
            .await
            .unwrap()
    };
    for item in &items[..3] {
        change_in_transaction(&owner.pool, *item).await.unwrap();
    }
    sequence_all(&owner.pool).await;
    replica
        .feed
        .forget_before(now() + SignedDuration::from_hours(1))
        .await
        .unwrap();
    for item in &items[3..5] {
        change_in_transaction(&owner.pool, *item).await.unwrap();
    }
    sequence_all(&owner.pool).await;
    let follower = Follower::of_events(&library.pool, replica.client(), reading(&owner.pool));
    taken_up_to(&library.pool, 15).await;
    assert_eq!(numbers().await[10..], [14, 15]);
    assert_eq!(lost_count().await, 3);

    // Another course: all that is kept comes again, and nothing was lost.
    carrel_outbox::begin_epoch(&Database::from_pool(owner.pool.clone()))
        .await
        .unwrap();
    eventually("the feed is taken again", PATIENCE, async || {
        (numbers().await[12..] == [14, 15]).then_some(())
    })
    .await;
    assert_eq!(lost_count().await, 3);
    follower.stop().await;
    replica.stop().await;
}
