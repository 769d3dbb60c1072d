//! The running server: start, databases, stop.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tokio::time::{Instant, sleep};

use crate::binaries::{Server, find_server};
use crate::command::server_command;
use crate::folder::{Folder, SOCKET_PORT};
use crate::log::{log_since, log_tail, put_aside_large_log};
use crate::supervisor::{Ending, Supervisor};
use crate::{ADMINISTRATOR, Durability, Error, Options, Place, SERVICE_ROLE, cluster};

/// A checkpoint of a busy server takes seconds on a slow disk; past this the next start recovers.
const STOP_GRACE_SECONDS: u64 = 60;

/// The supervisor's own work after the grace period.
const STOP_MARGIN_SECONDS: u64 = 10;

/// How long `Drop` blocks for the server to go.
const DROP_LIMIT: Duration = Duration::from_secs(5);

/// How long a server whose starter was killed may still be stopping when the next one starts.
const PREDECESSOR_LIMIT: Duration = Duration::from_secs(STOP_GRACE_SECONDS);

/// A private PostgreSQL server. It stops when this is dropped.
#[derive(Debug)]
pub struct PrivatePostgres {
    // Declared first, so dropped first: the folder's lock outlives the server.
    supervisor: Supervisor,
    folder: Folder,
    version: String,
}

impl PrivatePostgres {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// Where no server of version 15 or later is found, the folder is unsuitable or in use, or the
    /// server does not come up; see [`Error`].
    pub async fn start(options: Options) -> Result<Self, Error> {
        let (folder, found, options) = blocking(move || {
            let folder = Folder::take(&options.place)?;
            let found = find_server(folder.data_major().and_then(|major| major.parse().ok()));
            Ok((folder, found, options))
        })
        .await?;
        let server = or_fetched(found).await?;
        let (folder, server, options) = blocking(move || {
            let cache = options.cluster_cache.as_deref();
            let cache = cache.filter(|_| options.durability == Durability::Fast);
            cluster::ensure(&folder, &server, options.durability, cache)?;
            put_aside_large_log(&folder.log())?;
            Ok((folder, server, options))
        })
        .await?;
        let supervisor = bring_up(&folder, &server, &options).await?;
        let postgres = Self {
            supervisor,
            folder,
            version: server.version,
        };
        postgres.ensure_service_role().await?;
        tracing::info!(folder = ?postgres.folder.root, version = postgres.version, "private PostgreSQL is ready");
        Ok(postgres)
    }

    /// URL at which services reach a database, as the role [`SERVICE_ROLE`].
    pub fn url(&self, database: &str) -> String {
        url(&self.folder.socket_dir, SERVICE_ROLE, database)
    }

    /// URL at which the superuser reaches a database.
    pub fn admin_url(&self, database: &str) -> String {
        url(&self.folder.socket_dir, ADMINISTRATOR, database)
    }

    /// Makes a database owned by the role [`SERVICE_ROLE`]; false where it exists already.
    ///
    /// # Errors
    /// Where the name is unsuitable or the server refuses.
    pub async fn create_database(&self, name: &str) -> Result<bool, Error> {
        let name = checked_name(name)?;
        let mut connection = self.connect_as_administrator().await?;
        let statement = format!("create database {name} owner {SERVICE_ROLE}");
        let made = sqlx::query(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await;
        connection.close().await?;
        match made {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(error))
                if error.code().is_some_and(|code| code == "42P04") =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Drops a database, with whoever is connected to it; nothing where it does not exist.
    ///
    /// # Errors
    /// Where the name is unsuitable or the server refuses.
    pub async fn drop_database(&self, name: &str) -> Result<(), Error> {
        let name = checked_name(name)?;
        let mut connection = self.connect_as_administrator().await?;
        let statement = format!("drop database if exists {name} with (force)");
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await?;
        Ok(connection.close().await?)
    }

    /// The server's version, as `postgres --version` prints it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The folder of the server, with `data/` and `server.log` in it.
    pub fn folder(&self) -> &Path {
        &self.folder.root
    }

    /// The socket that the server listens on.
    pub fn socket(&self) -> PathBuf {
        self.folder
            .socket_dir
            .join(format!(".s.PGSQL.{SOCKET_PORT}"))
    }

    /// The id of the server's process; `None` once it has ended.
    pub fn process(&self) -> Option<u32> {
        self.folder.server_process()
    }

    /// How the server ended, where it did so on its own; `None` while it runs.
    ///
    /// # Errors
    /// Where the operating system does not tell.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.supervisor
            .ended()
            .map_err(Error::io("looking after the server's supervisor"))
    }

    /// Stops the server: connections are closed, a kept server writes a checkpoint, temporary folders
    /// are removed.
    ///
    /// # Errors
    /// Where it does not stop within a little more than a minute.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.supervisor.release();
        let seconds = STOP_GRACE_SECONDS + STOP_MARGIN_SECONDS;
        let waited = self.supervisor.wait(Duration::from_secs(seconds)).await;
        match waited.map_err(Error::io("waiting for the server's supervisor"))? {
            true => Ok(()),
            false => Err(Error::NotStopped {
                data_dir: self.folder.root.clone(),
                seconds,
            }),
        }
    }

    async fn connect_as_administrator(&self) -> Result<PgConnection, sqlx::Error> {
        administrator(&self.folder).connect().await
    }

    async fn ensure_service_role(&self) -> Result<(), Error> {
        let mut connection = self.connect_as_administrator().await?;
        let exists: bool =
            sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
                .bind(SERVICE_ROLE)
                .fetch_one(&mut connection)
                .await?;
        if !exists {
            let statement = format!("create role {SERVICE_ROLE} login");
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut connection)
                .await?;
        }
        Ok(connection.close().await?)
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        self.supervisor.release();
        if !matches!(self.supervisor.wait_blocking(DROP_LIMIT), Ok(true)) {
            tracing::warn!(folder = ?self.folder.root, "private PostgreSQL is still stopping");
        }
    }
}

/// The server that was found, or one from the internet where the machine has none that will do.
#[cfg(feature = "fetch")]
async fn or_fetched(found: Result<Server, Error>) -> Result<Server, Error> {
    match (found, crate::fetch::Archives::from_environment()) {
        (Err(Error::ServerNotFound { .. } | Error::ServerTooOld { .. }), Some(archives)) => {
            archives.fetch().await
        }
        (found, _) => found,
    }
}

#[cfg(not(feature = "fetch"))]
async fn or_fetched(found: Result<Server, Error>) -> Result<Server, Error> {
    found
}

/// Starts the server and waits until it answers. Where a predecessor is still stopping, tries again.
async fn bring_up(
    folder: &Folder,
    server: &Server,
    options: &Options,
) -> Result<Supervisor, Error> {
    let began = Instant::now();
    loop {
        let log_start = fs::metadata(folder.log()).map_or(0, |found| found.len());
        // The name tells this server from a predecessor that still answers on the same socket.
        let name = format!("carrel-{}-{}", std::process::id(), log_start);
        let mut supervisor = Supervisor::spawn(
            &folder.account,
            ending(options),
            &folder.log(),
            folder.removed_at_end(),
            &server_command(folder, server, options, &name),
        )
        .map_err(Error::io("starting the server's supervisor"))?;
        match wait_until_ready(&mut supervisor, folder, options, &name, log_start, began).await? {
            Ok(()) => return Ok(supervisor),
            Err(ended) if predecessor_lives(&ended) => {
                if began.elapsed() > PREDECESSOR_LIMIT.min(options.start_timeout) {
                    return Err(Error::AlreadyRunning {
                        data_dir: folder.root.clone(),
                        process: folder.server_process(),
                    });
                }
                sleep(Duration::from_millis(200)).await;
            }
            Err(_) => {
                return Err(Error::Start {
                    log: folder.log(),
                    log_tail: log_tail(&folder.log(), log_start),
                });
            }
        }
    }
}

/// What PostgreSQL says while the processes of the last server on the folder are not all gone.
fn predecessor_lives(log: &str) -> bool {
    log.contains("lock file \"postmaster.pid\" already exists")
        || log.contains("pre-existing shared memory block")
}

/// The inner error holds the log of a server that ended instead.
async fn wait_until_ready(
    supervisor: &mut Supervisor,
    folder: &Folder,
    options: &Options,
    name: &str,
    log_start: u64,
    began: Instant,
) -> Result<Result<(), String>, Error> {
    loop {
        let answer = answering_server(folder).await;
        if answer.as_ref().is_ok_and(|found| found == name) {
            return Ok(Ok(()));
        }
        if supervisor
            .ended()
            .map_err(Error::io("looking after the server's supervisor"))?
            .is_some()
        {
            return Ok(Err(log_since(&folder.log(), log_start)));
        }
        if began.elapsed() > options.start_timeout {
            return Err(Error::NotReady {
                seconds: options.start_timeout.as_secs(),
                cause: answer.map_or_else(
                    |error| error.to_string(),
                    |_| "another server answers".to_owned(),
                ),
                log: folder.log(),
                log_tail: log_tail(&folder.log(), log_start),
            });
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// The name of the server that answers on the folder's socket.
async fn answering_server(folder: &Folder) -> Result<String, sqlx::Error> {
    let mut connection = administrator(folder).connect().await?;
    let name = sqlx::query_scalar("select current_setting('cluster_name')")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(name)
}

fn administrator(folder: &Folder) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(&folder.socket_dir)
        .port(SOCKET_PORT)
        .ssl_mode(PgSslMode::Disable)
        .username(ADMINISTRATOR)
        .database(ADMINISTRATOR)
        .disable_statement_logging()
}

fn ending(options: &Options) -> Ending {
    match options.place {
        Place::Kept(_) => Ending::Orderly {
            grace_seconds: STOP_GRACE_SECONDS,
        },
        Place::Temporary => Ending::Abrupt,
    }
}

/// `postgres://role@%2Fsocket%2Ffolder:5432/database`, which libpq understands too.
fn url(socket_dir: &Path, role: &str, database: &str) -> String {
    let folder = percent_encoded(socket_dir.as_os_str().as_bytes());
    let database = percent_encoded(database.as_bytes());
    format!("postgres://{role}@{folder}:{SOCKET_PORT}/{database}?sslmode=disable")
}

fn percent_encoded(bytes: &[u8]) -> String {
    let mut encoded = String::new();
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                encoded.push(char::from(*byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Names go into statements unquoted.
fn checked_name(name: &str) -> Result<&str, Error> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let fits = !name.is_empty() && name.len() <= 63 && name.chars().all(plain);
    if fits && !name.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(name);
    }
    Err(Error::DatabaseName {
        name: name.to_owned(),
    })
}

/// Runs file and process work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failure) => Err(Error::io("preparing the server")(failure.into())),
    }
}
