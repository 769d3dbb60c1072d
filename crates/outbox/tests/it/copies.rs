//! A small service that keeps copies of the owner's items.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use carrel_database::Database;
use carrel_outbox::{
    ApplyError, Consumer, Consumers, Page, Projection, StateProjection, decode, known,
};
use carrel_proto::events::v1::Event;
use carrel_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use carrel_testkit::eventually;
use sqlx::{PgConnection, PgPool};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::owner::{ITEM_CHANGED, ItemChanged, PATIENCE, change_in_transaction, sequence_all};

/// The statuses this consumer knows; it learns the second by an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownStatus(i32);

impl TryFrom<i32> for KnownStatus {
    type Error = ();

    fn try_from(value: i32) -> Result<Self, ()> {
        if value == 1 { Ok(Self(1)) } else { Err(()) }
    }
}

/// What the stories look at and switch.
#[derive(Debug, Clone, Default)]
pub struct Switches {
    /// The consumer was upgraded and knows status 2.
    pub knows_withdrawn: Arc<AtomicBool>,
    /// The page tokens asked for.
    pub pages: Arc<Mutex<Vec<String>>>,
    /// Types it asks for besides ItemChanged, which it can't apply.
    pub other_types: Vec<String>,
    /// Batches are applied by one statement.
    pub is_fast: bool,
    /// Items that change, and whose changes are numbered, while a page is on
    /// its way.
    pub busy: Vec<Uuid>,
    /// Editions after the first.
    pub upgrades: i64,
}

/// Copies of items, read anew from the owner's table page by page.
#[derive(Debug, Clone)]
pub struct ItemCopies {
    pub owner: PgPool,
    pub switches: Switches,
}

/// A row of the owner: item, revision, shelf, status.
pub type ItemRow = (Uuid, i64, i64, i32);

pub async fn put(
    connection: &mut PgConnection,
    generation: i64,
    (item, revision, shelf, status): ItemRow,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into item_copy (item_id, shelf, status, generation, revision) values ($1, $2, $3, $4, $5)
         on conflict (item_id) do update
             set shelf = excluded.shelf, status = excluded.status,
                 generation = excluded.generation, revision = excluded.revision
             where (item_copy.generation, item_copy.revision) < (excluded.generation, excluded.revision)",
    )
    .bind(item)
    .bind(shelf)
    .bind(status)
    .bind(generation)
    .bind(revision)
    .execute(connection)
    .await
    .map(drop)
}

/// The same for a batch: one row for each item, the last.
async fn put_all(
    connection: &mut PgConnection,
    generation: i64,
    events: &[Event],
) -> Result<(), ApplyError> {
    let mut last: HashMap<Uuid, ItemChanged> = HashMap::new();
    for event in events {
        last.insert(event.subject_id.parse().unwrap(), decode(event)?);
    }
    let (items, changes): (Vec<Uuid>, Vec<ItemChanged>) = last.into_iter().unzip();
    sqlx::query(
        "insert into item_copy (item_id, shelf, status, generation, revision)
         select item_id, shelf, status, $5, revision
         from unnest($1::uuid[], $2::bigint[], $3::integer[], $4::bigint[]) as changed (item_id, shelf, status, revision)
         on conflict (item_id) do update
             set shelf = excluded.shelf, status = excluded.status,
                 generation = excluded.generation, revision = excluded.revision
             where (item_copy.generation, item_copy.revision) < (excluded.generation, excluded.revision)",
    )
    .bind(items)
    .bind(changes.iter().map(|c| c.shelf).collect::<Vec<i64>>())
    .bind(changes.iter().map(|c| c.status).collect::<Vec<i32>>())
    .bind(changes.iter().map(|c| c.revision).collect::<Vec<i64>>())
    .bind(generation)
    .execute(connection)
    .await?;
    Ok(())
}

impl Projection for ItemCopies {
    fn types(&self) -> Vec<String> {
        let mut types = self.switches.other_types.clone();
        types.push(ITEM_CHANGED.to_owned());
        types
    }

    fn edition(&self) -> i64 {
        1 + self.switches.upgrades
    }

    async fn apply_all(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        events: &[Event],
    ) -> Result<(), ApplyError> {
        if self.switches.is_fast {
            return put_all(connection, generation, events).await;
        }
        for event in events {
            self.take(&mut *connection, generation, event).await?;
        }
        Ok(())
    }
}

impl ItemCopies {
    async fn take(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        event: &Event,
    ) -> Result<(), ApplyError> {
        let message: ItemChanged = decode(event)?;
        if !self.switches.knows_withdrawn.load(Ordering::SeqCst) {
            known::<KnownStatus>(message.status, "status")?;
        }
        let item: Uuid = event.subject_id.parse().unwrap();
        let row = (item, message.revision, message.shelf, message.status);
        put(&mut *connection, generation, row).await?;
        sqlx::query(
            "insert into taken (number, event_id, subject_id, revision) values ($1, $2, $3, $4)",
        )
        .bind(event.number)
        .bind(event.event_id.parse::<Uuid>().unwrap())
        .bind(item)
        .bind(message.revision)
        .execute(connection)
        .await?;
        Ok(())
    }
}

impl StateProjection for ItemCopies {
    type Rows = Vec<ItemRow>;

    async fn fetch_page(&self, page_token: &str) -> Result<Page<Vec<ItemRow>>, Status> {
        self.switches
            .pages
            .lock()
            .unwrap()
            .push(page_token.to_owned());
        let after = page_token.parse().unwrap_or(Uuid::nil());
        let rows: Vec<ItemRow> = sqlx::query_as(
            "select item_id, revision, shelf, status from item where item_id > $1 order by item_id limit 10",
        )
        .bind(after)
        .fetch_all(&self.owner)
        .await
        .map_err(|_| Status::unavailable("the owner's database"))?;
        for item in &self.switches.busy {
            change_in_transaction(&self.owner, *item)
                .await
                .map_err(|_| Status::unavailable("the owner's database"))?;
        }
        if !self.switches.busy.is_empty() {
            sequence_all(&self.owner).await;
        }
        let next_page_token = match rows.last() {
            Some(last) if rows.len() == 10 => last.0.to_string(),
            _ => String::new(),
        };
        Ok(Page {
            rows,
            next_page_token,
        })
    }

    async fn apply_page(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        rows: &Vec<ItemRow>,
    ) -> Result<(), ApplyError> {
        for row in rows {
            put(&mut *connection, generation, *row).await?;
        }
        Ok(())
    }

    async fn finish_rebuild(
        &self,
        connection: &mut PgConnection,
        generation: i64,
    ) -> Result<(), ApplyError> {
        sqlx::query("delete from item_copy where generation < $1")
            .bind(generation)
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// One process of the consuming service.
pub struct Follower {
    pub consumer: Consumer,
    pub consumers: Consumers,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Follower {
    pub fn of_state(
        pool: &PgPool,
        client: EventFeedServiceClient<Channel>,
        copies: ItemCopies,
    ) -> Self {
        let database = Database::from_pool(pool.clone());
        Self::start(Consumer::of_state("catalog", database, client, copies))
    }

    pub fn of_events(
        pool: &PgPool,
        client: EventFeedServiceClient<Channel>,
        copies: ItemCopies,
    ) -> Self {
        let database = Database::from_pool(pool.clone());
        Self::start(Consumer::of_events("catalog", database, client, copies))
    }

    fn start(consumer: Consumer) -> Self {
        let shutdown = CancellationToken::new();
        let consumers = Consumers::new(vec![consumer.clone()]);
        let running = tokio::spawn(consumers.clone().run(shutdown.clone()));
        Self {
            consumer,
            consumers,
            shutdown,
            running,
        }
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
    }
}

pub async fn copies(pool: &PgPool) -> Vec<ItemRow> {
    sqlx::query_as("select item_id, revision, shelf, status from item_copy order by item_id")
        .fetch_all(pool)
        .await
        .unwrap()
}

pub async fn items(pool: &PgPool) -> Vec<ItemRow> {
    sqlx::query_as("select item_id, revision, shelf, status from item order by item_id")
        .fetch_all(pool)
        .await
        .unwrap()
}

/// Waits until the copies are the owner's items.
pub async fn level(owner: &PgPool, copy: &PgPool) {
    eventually("the copies are the owner's items", PATIENCE, async || {
        (items(owner).await == copies(copy).await).then_some(())
    })
    .await;
}

/// The generation of the consumer's row, and its cursor's number, where it
/// follows.
pub async fn standing(pool: &PgPool) -> Option<(i64, i64)> {
    sqlx::query_as(
        "select generation, number from feed_cursor
         where feed = 'catalog' and epoch is not null and rebuild_epoch is null",
    )
    .fetch_optional(pool)
    .await
    .unwrap()
}

/// Waits until the consumer has taken everything up to a number.
pub async fn taken_up_to(pool: &PgPool, number: i64) {
    eventually("the cursor is there", PATIENCE, async || {
        standing(pool)
            .await
            .filter(|(_, reached)| *reached >= number)
    })
    .await;
}
