//! A database put back from a backup, which has forgotten what was posted since.

use std::time::Duration;

use carrel_billing::account::model::Account;
use carrel_billing::posting::model::{PostingState, posting_id};
use carrel_billing::{MIGRATIONS, posting};
use carrel_database::{Database, with_foundation};
use carrel_ids::new_id;
use carrel_outbox::Feed;
use carrel_testkit::{TestDatabase, eventually};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::office::{Office, desk, new_request, usd};
use crate::site::{STUDENT, Site};

/// A backup of an office; each opening is another copy of its database.
struct Backup(String);

impl Backup {
    /// Made after what happened in the office; its books have posted before.
    async fn made_after(site: &Site, happened: impl AsyncFnOnce(&Office)) -> Self {
        let name = format!("billing backup {}", new_id());
        TestDatabase::prepared(&name, async |pool: &PgPool| {
            with_foundation(&MIGRATIONS).run(pool).await?;
            start_feed(pool).await;
            let office = Office::on(pool.clone()).posting_to(site);
            office.set_up().await;
            posting::work_queue(&office.billing).await.unwrap();
            happened(&office).await;
            Ok::<_, sqlx::migrate::MigrateError>(())
        })
        .await;
        Self(name)
    }

    async fn open(&self, site: &Site) -> Office {
        let copy = TestDatabase::prepared(&self.0, async |_: &PgPool| {
            Err::<(), _>("the backup was made before")
        })
        .await;
        Office::on(copy.pool).posting_to(site)
    }

    /// The database that lives on after the backup was made: no start notices
    /// that it is a copy.
    async fn live_on(&self, site: &Site) -> Office {
        self.open(site).await
    }

    /// The database that is put back, and started.
    async fn put_back(&self, site: &Site) -> Office {
        let office = self.open(site).await;
        start_feed(&office.pool).await;
        office
    }
}

/// What a service does with its feed as it starts.
async fn start_feed(pool: &PgPool) {
    let database = Database::from_pool(pool.clone());
    let feed = Feed::new(database, CancellationToken::new());
    feed.prepare().await.unwrap();
}

async fn only_account(office: &Office) -> Account {
    let patron_id = sqlx::query_scalar("select patron_id from account")
        .fetch_one(&office.pool)
        .await
        .unwrap();
    office.only_account(patron_id).await
}

async fn kinds_of_attempts(office: &Office, account: &Account) -> Vec<(String, String)> {
    let id = posting_id(account.charge_key(), 0);
    let (_, attempts) = posting::get(&office.billing, id).await.unwrap();
    attempts
        .into_iter()
        .map(|attempt| (attempt.kind, attempt.outcome))
        .collect()
}

#[tokio::test]
async fn what_was_posted_after_the_backup_is_found_and_not_posted_again() {
    let site = Site::open().await;
    let backup = Backup::made_after(&site, async |office| {
        office.fined_student(1735).await;
    })
    .await;
    let lost = backup.live_on(&site).await;
    posting::work_queue(&lost.billing).await.unwrap();
    assert_eq!(site.amounts(STUDENT).await, ["17.35"]);

    let office = backup.put_back(&site).await;
    let account = only_account(&office).await;
    assert_eq!(office.posting_count().await, 0, "forgotten");
    office
        .work_until(&account, 0, PostingState::Acknowledged)
        .await;
    assert_eq!(site.amounts(STUDENT).await, ["17.35"]);
    let found = [("look-up".to_owned(), "found".to_owned())];
    assert_eq!(kinds_of_attempts(&office, &account).await, found);
    assert_eq!(office.assert_reconciled().await, usd(1735));

    // What is charged from now on needs no look-up.
    let new = office.fined_student(500).await;
    office.work_until(&new, 0, PostingState::Acknowledged).await;
    assert_eq!(kinds_of_attempts(&office, &new).await[0].0, "submit");
}

#[tokio::test]
async fn what_was_not_posted_before_the_restore_is_once_that_is_certain() {
    let site = Site::open().await;
    let backup = Backup::made_after(&site, async |office| {
        office.fined_student(1735).await;
    })
    .await;
    let office = backup.put_back(&site).await;
    let account = only_account(&office).await;
    office
        .work_until(&account, 0, PostingState::Acknowledged)
        .await;
    let kinds = kinds_of_attempts(&office, &account).await;
    let (last, look_ups) = kinds.split_last().unwrap();
    assert_eq!(last.0, "submit");
    assert!(look_ups.len() > 1, "the first came too early: {kinds:?}");
    assert!(look_ups.iter().all(|(kind, _)| kind == "look-up"));
    assert_eq!(site.amounts(STUDENT).await, ["17.35"]);
    assert_eq!(office.assert_reconciled().await, usd(1735));
}

#[tokio::test]
async fn what_waited_in_the_backup_is_looked_up_too() {
    let site = Site::open().await;
    let backup = Backup::made_after(&site, async |office| {
        let account = office.fined_student(1000).await;
        let fault = serde_json::json!({ "on": "create-charge", "kind": "reject" });
        site.arm(fault).await;
        posting::work_queue(&office.billing).await.unwrap();
        let rejected = office.posting(&account, 0).await;
        posting::retry(&office.billing, &new_request(), &desk(), rejected.id)
            .await
            .unwrap();
    })
    .await;
    let lost = backup.live_on(&site).await;
    posting::work_queue(&lost.billing).await.unwrap();
    assert_eq!(site.amounts(STUDENT).await, ["10.00"]);

    let office = backup.put_back(&site).await;
    let account = only_account(&office).await;
    let waiting = office.posting(&account, 0).await;
    assert_eq!(waiting.state, PostingState::Pending);
    let states = eventually("it is found", Duration::from_secs(15), async || {
        posting::work_queue(&office.billing).await.unwrap();
        let posting = office.posting(&account, 0).await;
        (posting.state == PostingState::Acknowledged).then_some(posting)
    })
    .await;
    assert_eq!(states.attempt_count, 1, "the one before the backup");
    assert_eq!(site.amounts(STUDENT).await, ["10.00"]);
    assert_eq!(office.assert_reconciled().await, usd(1000));
}
