//! What a service is made of.

use std::convert::Infallible;
use std::pin::Pin;

use carrel_database::Database;
use carrel_outbox::{Consumer, Feed};
use sqlx::migrate::Migrator;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use tower::Service;

use crate::barcode::BarcodeKey;
use crate::clock::Clock;
use crate::peers::Peers;

/// A service: its name, its tables, what it may ask its peers, and how it is
/// put together.
pub struct Definition<B> {
    /// Its name, such as "circulation".
    pub name: &'static str,
    /// Its own migrations, versions 1000 and up.
    pub migrations: &'static Migrator,
    /// The permissions of the tokens with which it calls its peers.
    pub peer_permissions: &'static [&'static str],
    /// Puts its parts together.
    pub build: B,
}

/// What a service is put together from.
#[derive(Debug, Clone)]
pub struct Context {
    /// Its database.
    pub database: Database,
    /// Its clock.
    pub clock: Clock,
    /// Its event feed: woken after each commit that appended events.
    pub feed: Feed,
    /// The other services.
    pub peers: Peers,
    /// The district's key for patron barcodes.
    pub barcode_key: BarcodeKey,
    /// Cancelled when the service is to end; background tasks heed it.
    pub shutdown: CancellationToken,
}

pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A service's parts.
#[derive(Default)]
pub struct Assembly {
    pub(crate) routes: RoutesBuilder,
    pub(crate) names: Vec<&'static str>,
    pub(crate) tasks: Vec<(&'static str, Task)>,
    pub(crate) consumers: Vec<Consumer>,
}

impl Assembly {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a gRPC service.
    #[must_use]
    pub fn serve<S>(mut self, service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.routes.add_service(service);
        self.names.push(S::NAME);
        self
    }

    /// Adds background work. It begins once the database is ready, and ends by
    /// itself when the context's `shutdown` is cancelled; that it ends earlier
    /// ends the service.
    #[must_use]
    pub fn run(
        mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        self.tasks.push((name, Box::pin(task)));
        self
    }

    /// Follows another service's feed.
    #[must_use]
    pub fn follow(mut self, consumer: Consumer) -> Self {
        self.consumers.push(consumer);
        self
    }
}
