//! A student-account system to try and test Carrel against: the Ethos subset that a library needs, with faults on demand.
//!
//! - `books`: students, periods, accounting codes, charges and payments in memory; `journal`: the same on the disk.
//! - `validation`: the strict reading of what is posted; `form`: how a body is read; `amount`: cents in JSON.
//! - `statement`: an account as the cashier sees it.
//! - `batch`: files in a drop folder, in place of calls.
//! - `faults`: what goes wrong on request; `line`: connections that can be cut without an answer.
//! - `received`: what other systems have sent; `clock`: today, which tests may move.
//! - `http`: `/auth` and `/api` as Ethos has them, `/admin` for tests and demonstrations (see README.md).

mod amount;
mod batch;
mod books;
mod clock;
mod error;
mod faults;
mod form;
mod http;
mod journal;
mod line;
mod received;
mod settings;
mod statement;
mod validation;

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::books::{Books, Record};
use crate::clock::Clock;
use crate::faults::Faults;
use crate::http::token::Tokens;
use crate::journal::{Journal, Opened};
use crate::line::{Exchange, Grip};
use crate::received::Received;

pub use crate::batch::{BatchConfig, BatchMode};
pub use crate::error::Error;
pub use crate::settings::{Config, Filters, Settings};

/// How long a stop waits for requests under way.
const DRAIN: Duration = Duration::from_secs(10);

/// What every request handler has at hand.
struct Simulator {
    config: Config,
    books: Arc<RwLock<Books>>,
    journal: Journal,
    clock: Clock,
    faults: Faults,
    received: Received,
    tokens: Tokens,
    /// Taken while the cashier reads a balance and then changes it.
    till: tokio::sync::Mutex<()>,
    stopping: CancellationToken,
    /// Commits whose client may be gone already.
    commits: TaskTracker,
}

impl Simulator {
    fn books(&self) -> RwLockReadGuard<'_, Books> {
        self.books.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn record(&self, record: Record) -> Result<(), Error> {
        self.journal.append(vec![record]).await
    }
}

/// A simulator that accepts requests. Dropping it stops it without waiting.
pub struct Running {
    /// Where it listens; with the port that the system chose where port 0 was asked for.
    pub address: SocketAddr,
    simulator: Arc<Simulator>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    writer: JoinHandle<()>,
    _stop_on_drop: DropGuard,
}

impl Running {
    /// The base URL for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes no more connections, finishes requests under way, lets go those that a fault holds, and closes the store.
    pub async fn stop(self) -> Result<(), Error> {
        self.simulator.stopping.cancel();
        let abort = self.server.abort_handle();
        if tokio::time::timeout(DRAIN, self.server).await.is_err() {
            tracing::warn!("some requests did not end in time");
            abort.abort();
        }
        self.simulator.commits.close();
        self.simulator.commits.wait().await;
        self.simulator.journal.close();
        let writer = self.writer;
        tokio::task::spawn_blocking(move || writer.join())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| Error::NotWritten("the store's writer failed".to_owned()))
    }
}

/// Opens the store and listens.
pub async fn start(config: Config) -> Result<Running, Error> {
    if config.api_key.is_empty() {
        return Err(Error::ApiKeyMissing);
    }
    if config.admin_key.is_none() && !config.listen.ip().is_loopback() {
        return Err(Error::AdminKeyMissing(config.listen));
    }
    let zone = TimeZone::get(&config.time_zone)
        .map_err(|_| Error::UnknownTimeZone(config.time_zone.clone()))?;

    let cannot_listen = |source| Error::CannotListen {
        address: config.listen,
        source,
    };
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;

    let folder = config.store.clone();
    let Opened {
        journal,
        books,
        writer,
    } = tokio::task::spawn_blocking(move || Journal::open(&folder))
        .await
        .map_err(|error| Error::NotWritten(error.to_string()))??;
    let moved = books
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clock_offset_ms;
    let clock = Clock::new(zone, if config.movable_clock { moved } else { 0 });

    let stopping = CancellationToken::new();
    let simulator = Arc::new(Simulator {
        tokens: Tokens::new(config.token_minutes),
        config,
        books,
        journal,
        clock,
        faults: Faults::default(),
        received: Received::default(),
        till: tokio::sync::Mutex::default(),
        stopping: stopping.clone(),
        commits: TaskTracker::new(),
    });
    if let Some(batches) = simulator.config.batches.clone() {
        // Counted with the commits: a stop waits until the file at hand is done.
        simulator
            .commits
            .spawn(batch::work(Arc::clone(&simulator), batches));
    }
    let service =
        http::router(Arc::clone(&simulator)).into_make_service_with_connect_info::<Grip>();
    let stopped = stopping.clone().cancelled_owned();
    let server = tokio::spawn(async move {
        axum::serve(Exchange(listener), service)
            .with_graceful_shutdown(stopped)
            .await
    });
    tracing::info!(%address, "the SIS simulator listens");
    Ok(Running {
        address,
        simulator,
        server,
        writer,
        _stop_on_drop: stopping.drop_guard(),
    })
}
