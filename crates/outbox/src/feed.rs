//! A service's own feed as it runs in one process: the task that numbers what
//! was committed, and the head it publishes.

use std::sync::Arc;
use std::time::Duration;

use carrel_database::Database;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::back_off::BackOff;
use crate::epoch;
use crate::place::Ends;
use crate::retention;
use crate::sequencer::{self, Run};
use crate::service::{EventAccess, FeedService};

/// How often a replica looks for what another one committed.
const POLL: Duration = Duration::from_millis(200);

/// The shortest time between the starts of two runs. Commits meanwhile share
/// the next run.
const PACE: Duration = Duration::from_millis(20);

/// How often a run that another replica was in the way of is tried again
/// before the next poll.
const BUSY_LIMIT: u32 = 10;

/// Positions above the floor from which a run takes tens of milliseconds.
const HELD_FLOOR: i64 = 100_000;

/// How often the log says that the floor is held.
const HELD_FLOOR_ALERT: Duration = Duration::from_secs(60);

/// Tells the sequencer that a transaction with events has been committed.
/// Without it events reach the feed at the next poll, 200 ms later at most.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// Call this after the commit. It costs nothing, and calls while a run is
    /// going on are answered by one more run.
    pub fn committed(&self) {
        self.0.notify_one();
    }
}

/// A service's own feed.
#[derive(Debug, Clone)]
pub struct Feed {
    database: Database,
    wake: Wake,
    publish: watch::Sender<Option<Ends>>,
    shutdown: CancellationToken,
}

impl Feed {
    /// The feed of this database. It stands still until it is [`run`](Feed::run).
    #[must_use]
    pub fn new(database: Database, shutdown: CancellationToken) -> Self {
        Self {
            database,
            wake: Wake::default(),
            publish: watch::Sender::new(None),
            shutdown,
        }
    }

    /// Begins a new epoch where the database was restored, copied or promoted
    /// since a service last ran on it. Needs the tables.
    ///
    /// # Errors
    /// The database's.
    pub async fn prepare(&self) -> Result<(), sqlx::Error> {
        epoch::claim(&self.database).await.map(drop)
    }

    /// Numbers what is committed, until the shutdown. It waits for a database
    /// that can't be reached.
    pub async fn run(self) {
        let shutdown = self.shutdown.clone();
        let sequencing = Sequencing {
            feed: self,
            is_prepared: false,
            held_floor_alert: None,
        };
        // A run that is cut off rolls back.
        shutdown.run_until_cancelled(sequencing.go_on()).await;
    }

    /// The handle by which use cases wake the sequencer after their commits.
    #[must_use = "say committed() after the commit"]
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// The server of this feed, for those who may read it.
    #[must_use]
    pub fn service(&self, access: Arc<dyn EventAccess>) -> FeedService {
        FeedService::new(self.clone(), access)
    }

    /// Deletes numbered events that became true before `horizon`, oldest
    /// first, up to the first that is younger; returns how many. A consumer
    /// that has not come that far is refused CURSOR_BEHIND_RETENTION from then
    /// on.
    ///
    /// # Errors
    /// The database's. Batches deleted before it stay deleted.
    pub async fn forget_before(&self, horizon: Timestamp) -> Result<u64, sqlx::Error> {
        retention::forget_before(&self.database, horizon).await
    }

    /// The feed's ends as this process last saw them; `None` until it has
    /// reached its database.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Ends>> {
        self.publish.subscribe()
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }
}

struct Sequencing {
    feed: Feed,
    is_prepared: bool,
    held_floor_alert: Option<Instant>,
}

impl Sequencing {
    async fn go_on(mut self) {
        let mut back_off = BackOff::default();
        let mut busy = 0;
        loop {
            let started = Instant::now();
            match self.run().await {
                Ok(run) => {
                    back_off.reset();
                    self.publish(&run);
                    busy = if run.again && run.numbered == 0 {
                        busy + 1
                    } else {
                        0
                    };
                    if !run.again || busy > BUSY_LIMIT {
                        self.wait_for_work().await;
                    }
                    sleep_until(started + PACE).await;
                }
                Err(error) => {
                    // What stands behind a broken connection may be another database.
                    self.is_prepared = false;
                    tracing::warn!(%error, "the feed waits for its database");
                    sleep(back_off.next()).await;
                }
            }
        }
    }

    async fn run(&mut self) -> Result<Run, sqlx::Error> {
        if !self.is_prepared {
            self.feed.prepare().await?;
            self.is_prepared = true;
        }
        sequencer::run(self.feed.database.pool()).await
    }

    fn publish(&mut self, run: &Run) {
        self.feed.publish.send_if_modified(|published| {
            let changed = *published != Some(run.ends);
            *published = Some(run.ends);
            changed
        });
        let due = |last: Instant| last.elapsed() > HELD_FLOOR_ALERT;
        if run.above_floor > HELD_FLOOR && self.held_floor_alert.is_none_or(due) {
            self.held_floor_alert = Some(Instant::now());
            tracing::warn!(
                positions = run.above_floor,
                "a long writing transaction on the server makes sequencing slower"
            );
        }
    }

    async fn wait_for_work(&self) {
        tokio::select! {
            () = self.feed.wake.0.notified() => {}
            () = sleep(POLL) => {}
        }
    }
}
