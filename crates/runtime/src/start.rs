//! Starting a service, and ending it without losing a call.
//!
//! A service listens at once and says by its health that it is not ready;
//! it becomes ready when its database can be reached and has this version's
//! tables. Where that is hindered it says why, in the log and to whoever waits
//! for it, and tries again: an operator mends the database, not the service.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use carrel_database::{Database, DatabaseOptions, MigrateError};
use carrel_outbox::Feed;
use carrel_proto::DESCRIPTORS;
use carrel_proto::events::v1::event_feed_service_server::EventFeedServiceServer;
use carrel_proto::operations::v1::clock_service_server::ClockServiceServer;
use carrel_proto::operations::v1::feed_consumer_service_server::FeedConsumerServiceServer;
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::clock::Clock;
use crate::key_file::KeyFileError;
use crate::layer::AccessLayer;
use crate::operations::ClockRpcs;
use crate::peers::{PeerError, Peers, ServiceToken};
use crate::service::{Assembly, Context, Definition, Task};
use crate::settings::Settings;
use crate::token::{TokenIssuer, TokenVerifier};
use crate::{BarcodeKey, access};

/// How long running calls may take to end when the service does.
const DRAIN: Duration = Duration::from_secs(10);
/// Between two tries to get the database ready.
const READY_RETRY: Duration = Duration::from_secs(1);
/// Between two looks at the database of a running service.
const WATCH_EVERY: Duration = Duration::from_secs(2);
/// How long the answer to a request id is kept.
const REQUESTS_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long events are kept.
const EVENTS_KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Between two rounds of forgetting.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// Why a service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another program listens there.
    #[error(
        "{0} is taken by another program; choose another address with --listen, or stop that program"
    )]
    PortTaken(SocketAddr),
    /// The address can't be listened on.
    #[error("can't listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// A key file is missing or wrong.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// A peer is missing or wrong.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The database URL can't be read. Its text may hold a password.
    #[error("the database URL can't be read; expected postgres://user:password@host/database")]
    DatabaseUrl,
    /// The database did not become ready in time.
    #[error("the {service} service is not ready: {cause}")]
    NotReady {
        /// The service.
        service: &'static str,
        /// What hinders it.
        cause: String,
    },
    /// Something a service needs of its own is missing or wrong.
    #[error("{0}")]
    Configuration(String),
}

/// Takes the port, so that peers can be told the address before the service
/// starts.
///
/// # Errors
/// [`StartError::PortTaken`], [`StartError::Listen`].
pub async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| {
        if error.kind() == io::ErrorKind::AddrInUse {
            StartError::PortTaken(address)
        } else {
            StartError::Listen(address, error)
        }
    })
}

/// A service that runs.
#[derive(Debug)]
pub struct Running {
    name: &'static str,
    address: SocketAddr,
    context: Context,
    readiness: watch::Receiver<Readiness>,
    ended: JoinHandle<()>,
}

/// Whether the database is ready, else why not.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Readiness {
    Ready,
    NotReady(String),
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.context.clock
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// [`StartError::NotReady`] with what hinders it.
    pub async fn ready(&mut self, deadline: Duration) -> Result<(), StartError> {
        let ready = self.readiness.wait_for(|state| *state == Readiness::Ready);
        if tokio::time::timeout(deadline, ready)
            .await
            .is_ok_and(|waited| waited.is_ok())
        {
            return Ok(());
        }
        let cause = match &*self.readiness.borrow() {
            Readiness::NotReady(cause) => cause.clone(),
            Readiness::Ready => return Ok(()),
        };
        Err(StartError::NotReady {
            service: self.name,
            cause,
        })
    }

    /// Waits until it has ended by itself, which it does only where a part of
    /// it fails, or by `shutdown` of its context.
    pub async fn ended(&mut self) {
        // A handle that has told its outcome must not be asked again.
        if !self.ended.is_finished() {
            let _ = (&mut self.ended).await;
        }
    }

    /// Asks it to end, as [`Running::stop`] does, without waiting.
    pub fn end_soon(&self) {
        self.context.shutdown.cancel();
    }

    /// Takes no new calls, lets the running ones end, and stops.
    pub async fn stop(mut self) {
        self.context.shutdown.cancel();
        self.ended().await;
    }
}

/// Starts a service on a port that was taken with [`bind`].
///
/// # Errors
/// [`StartError`] where its configuration is wrong. A database that is not
/// ready is no such error: see [`Running::ready`].
pub async fn start<B>(
    settings: &Settings,
    listener: TcpListener,
    definition: Definition<B>,
) -> Result<Running, StartError>
where
    B: FnOnce(&Context) -> Result<Assembly, StartError>,
{
    let name = definition.name;
    let address = listener
        .local_addr()
        .map_err(|error| StartError::Listen(settings.listen, error))?;
    let verifier = TokenVerifier::read(&settings.trusted_keys)?;
    let issuer = TokenIssuer::read(&settings.service_key)?;
    let token = ServiceToken::new(issuer, name, definition.peer_permissions);
    let options = DatabaseOptions {
        max_connections: settings.database_connections,
        ..DatabaseOptions::default()
    };
    let application = format!("carrel-{name}");
    let database = Database::open(&settings.database_url, &application, &options)
        .map_err(|_| StartError::DatabaseUrl)?;
    let shutdown = CancellationToken::new();
    let context = Context {
        feed: Feed::new(database.clone(), shutdown.clone()),
        database,
        clock: settings.clock(),
        peers: Peers::new(&settings.peer_urls(), token)?,
        barcode_key: BarcodeKey::read(&settings.barcode_key)?,
        shutdown,
    };
    let assembly = (definition.build)(&context)?;

    let (ready_sender, ready) = watch::channel(false);
    let (readiness_sender, readiness) =
        watch::channel(Readiness::NotReady("it is still starting".into()));
    let Assembled {
        server,
        reporter,
        services,
        tasks,
    } = assemble(assembly, &context, verifier, ready).await;
    let supervisor = Supervisor {
        name,
        context: context.clone(),
        migrations: definition.migrations,
        reporter,
        services,
        ready: ready_sender,
        readiness: readiness_sender,
    };
    // A health reporter begins with SERVING: who asks first must not read that.
    supervisor.report(ServingStatus::NotServing).await;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let stop = context.shutdown.clone();
    let serving = tokio::spawn(async move {
        server
            .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
            .await
    });
    tracing::info!(service = name, %address, "listening");
    Ok(Running {
        name,
        address,
        context,
        readiness,
        ended: tokio::spawn(supervisor.run(serving, tasks)),
    })
}

/// A service's parts behind the access layer.
struct Assembled {
    server: GatedRouter,
    reporter: HealthReporter,
    services: Vec<&'static str>,
    tasks: Vec<(&'static str, Task)>,
}

type GatedRouter = tonic::transport::server::Router<
    tower::layer::util::Stack<AccessLayer, tower::layer::util::Identity>,
>;

/// Puts the service's own parts and those that every service has behind the
/// access layer.
async fn assemble(
    mut assembly: Assembly,
    context: &Context,
    verifier: TokenVerifier,
    ready: watch::Receiver<bool>,
) -> Assembled {
    let consumers = carrel_outbox::Consumers::new(std::mem::take(&mut assembly.consumers));
    let feed = context.feed.service(Arc::new(access::EventGate));
    let assembly = assembly
        .serve(EventFeedServiceServer::new(feed))
        .serve(FeedConsumerServiceServer::new(consumers.service()))
        .serve(ClockServiceServer::new(ClockRpcs::new(
            context.clock.clone(),
        )))
        .run("feed", context.feed.clone().run())
        .run("consumers", consumers.run(context.shutdown.clone()))
        .run("forgetting", forget(context.clone()));

    let reporter = HealthReporter::new();
    let mut reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS);
    let mut reflection_alpha = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS);
    for name in &assembly.names {
        reflection = reflection.with_service_name(*name);
        reflection_alpha = reflection_alpha.with_service_name(*name);
    }
    let sound = "the committed descriptors are sound";
    let mut routes = assembly.routes;
    routes
        .add_service(tonic_health::pb::health_server::HealthServer::new(
            tonic_health::server::HealthService::from_health_reporter(reporter.clone()),
        ))
        .add_service(reflection.build_v1().expect(sound))
        .add_service(reflection_alpha.build_v1alpha().expect(sound));
    let server = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .layer(AccessLayer::new(
            verifier,
            context.barcode_key.clone(),
            ready,
        ))
        .add_routes(routes.routes());
    Assembled {
        server,
        reporter,
        services: assembly.names,
        tasks: assembly.tasks,
    }
}

/// Watches over a service from its start to its end.
struct Supervisor {
    name: &'static str,
    context: Context,
    migrations: &'static sqlx::migrate::Migrator,
    reporter: HealthReporter,
    services: Vec<&'static str>,
    ready: watch::Sender<bool>,
    readiness: watch::Sender<Readiness>,
}

impl Supervisor {
    async fn run(
        self,
        mut serving: JoinHandle<Result<(), tonic::transport::Error>>,
        tasks: Vec<(&'static str, Task)>,
    ) {
        let shutdown = self.context.shutdown.clone();
        let mut running = JoinSet::new();
        if self.become_ready().await {
            for (name, task) in tasks {
                running.spawn(async move {
                    task.await;
                    name
                });
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                Some(ended) = running.join_next() => {
                    if !shutdown.is_cancelled() {
                        tracing::error!(service = self.name, task = ended.unwrap_or("panicked"), "background work ended; stopping");
                    }
                }
                _ = &mut serving => tracing::error!(service = self.name, "the server ended; stopping"),
                () = self.watch_database() => {}
            }
        }
        self.report(ServingStatus::NotServing).await;
        shutdown.cancel();
        let drained = tokio::time::timeout(DRAIN, async {
            if !serving.is_finished() {
                let _ = (&mut serving).await;
            }
            while running.join_next().await.is_some() {}
        })
        .await;
        if drained.is_err() {
            tracing::warn!(
                service = self.name,
                "calls or background work did not end in time"
            );
            serving.abort();
            running.abort_all();
        }
        // A database that answers nothing must not hold the process.
        let _ = tokio::time::timeout(DRAIN, self.context.database.pool().close()).await;
        tracing::info!(service = self.name, "stopped");
    }

    /// Tells the state by `grpc.health.v1`, for the process and each service.
    async fn report(&self, status: ServingStatus) {
        for name in ["", self.name].iter().chain(&self.services) {
            self.reporter.set_service_status(*name, status).await;
        }
    }

    /// Tries until the database is ready; false where the service is to end
    /// before that.
    async fn become_ready(&self) -> bool {
        loop {
            let prepared = tokio::select! {
                () = self.context.shutdown.cancelled() => return false,
                prepared = self.prepare() => prepared,
            };
            let Err(cause) = prepared else {
                // Whoever reads SERVING may call at once.
                self.ready.send_replace(true);
                self.report(ServingStatus::Serving).await;
                self.readiness.send_replace(Readiness::Ready);
                tracing::info!(service = self.name, "ready");
                return true;
            };
            let news = Readiness::NotReady(cause.clone());
            if *self.readiness.borrow() != news {
                tracing::error!(
                    service = self.name,
                    cause,
                    "not ready; trying again every second"
                );
                self.readiness.send_replace(news);
            }
            tokio::select! {
                () = self.context.shutdown.cancelled() => return false,
                () = tokio::time::sleep(READY_RETRY) => {}
            }
        }
    }

    /// Tells load balancers, while the service runs, whether its database can
    /// be reached.
    async fn watch_database(&self) {
        loop {
            tokio::time::sleep(WATCH_EVERY).await;
            let lost = match self.context.database.ping().await {
                // A busy pool is load, not loss.
                Ok(()) | Err(sqlx::Error::PoolTimedOut) => None,
                Err(error) => Some(format!("its database can't be reached: {error}")),
            };
            let is_ready = *self.ready.borrow();
            match lost {
                None if !is_ready => {
                    self.ready.send_replace(true);
                    self.report(ServingStatus::Serving).await;
                    self.readiness.send_replace(Readiness::Ready);
                    tracing::info!(service = self.name, "ready again");
                }
                Some(cause) if is_ready => {
                    self.report(ServingStatus::NotServing).await;
                    self.ready.send_replace(false);
                    tracing::error!(service = self.name, cause, "not ready any more");
                    self.readiness.send_replace(Readiness::NotReady(cause));
                }
                None | Some(_) => {}
            }
        }
    }

    async fn prepare(&self) -> Result<(), String> {
        let database = &self.context.database;
        database
            .ping()
            .await
            .map_err(|error| format!("its database can't be reached: {error}"))?;
        carrel_database::migrate(database, self.migrations)
            .await
            .map_err(|error: MigrateError| error.to_string())?;
        self.context
            .feed
            .prepare()
            .await
            .map_err(|error| format!("its feed can't be prepared: {error}"))
    }
}

/// Forgets answered requests and old events.
async fn forget(context: Context) {
    loop {
        tokio::select! {
            () = context.shutdown.cancelled() => return,
            () = tokio::time::sleep(FORGET_EVERY) => {}
        }
        let now = context.clock.now();
        let forgotten = async {
            let mut connection = context.database.pool().acquire().await?;
            let mut requests = 0;
            loop {
                let batch =
                    carrel_database::forget_before(&mut connection, now - REQUESTS_KEPT).await?;
                if batch == 0 {
                    break;
                }
                requests += batch;
            }
            let events = context.feed.forget_before(now - EVENTS_KEPT).await?;
            Ok::<_, sqlx::Error>((requests, events))
        };
        match forgotten.await {
            Ok((requests, events)) => tracing::debug!(requests, events, "forgot"),
            Err(error) => tracing::warn!(%error, "could not forget; trying again later"),
        }
    }
}
