//! A database of its own for each test.

use std::collections::HashSet;
use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::sync::Mutex;

use crate::postgres::{TestServer, postgres};
use crate::proxy::TcpProxy;

/// Enough for a test with two replicas and a crowd at the desk.
const POOL_MAX_CONNECTIONS: u32 = 20;

/// Held by whoever makes a template on a server that several test processes share.
const TEMPLATE_LOCK: i64 = 0x6361_7272_656c;

/// Templates that this process knows to exist.
static TEMPLATES: Mutex<Option<HashSet<String>>> = Mutex::const_new(None);

static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A fresh database, with a pool of connections to it.
///
/// It stays until the private server goes, at the end of the process; call [`TestDatabase::drop`] to
/// have it gone earlier.
#[derive(Debug)]
pub struct TestDatabase {
    /// Connections as the role that owns the database.
    pub pool: PgPool,
    /// Where a service finds the database.
    pub url: String,
    name: String,
}

impl TestDatabase {
    /// A database with these migrations applied.
    ///
    /// Migrations run once per process; each database is a copy of the result.
    pub async fn create(migrator: &Migrator) -> Self {
        Self::prepared(&migrations_key(migrator), async |pool| {
            migrator.run(pool).await
        })
        .await
    }

    /// A database on which `prepare` ran, for what a [`Migrator`] alone cannot do.
    ///
    /// `key` names the outcome: databases with the same key are copies of one on which `prepare` ran.
    pub async fn prepared<E: Debug>(
        key: &str,
        prepare: impl AsyncFnOnce(&PgPool) -> Result<(), E>,
    ) -> Self {
        let server = postgres().await;
        let template = template_name(key);
        ensure_template(server, &template, prepare).await;
        Self::copy_of(server, &template).await
    }

    /// A database with nothing in it.
    pub async fn empty() -> Self {
        Self::copy_of(postgres().await, "template1").await
    }

    async fn copy_of(server: &TestServer, template: &str) -> Self {
        let name = database_name();
        let mut administrator = server.administrator().await;
        create(&mut administrator, &name, server.owner(), template).await;
        administrator
            .close()
            .await
            .expect("the administrator's connection closes");
        let options = PgPoolOptions::new()
            .max_connections(POOL_MAX_CONNECTIONS)
            .acquire_timeout(Duration::from_secs(30));
        Self {
            pool: options.connect_lazy_with(server.options(&name)),
            url: server.url(&name),
            name,
        }
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Cuts every connection to the database, as a fail-over does. New ones are accepted.
    pub async fn cut_connections(&self) {
        let mut administrator = postgres().await.administrator().await;
        sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()")
            .bind(&self.name)
            .execute(&mut administrator)
            .await
            .expect("the administrator may end connections");
        administrator
            .close()
            .await
            .expect("the administrator's connection closes");
    }

    /// A proxy in front of the server, and the URL at which it leads to this database.
    pub async fn behind_proxy(&self) -> (TcpProxy, String) {
        let server = postgres().await;
        let proxy = TcpProxy::to(server.upstream().await).await;
        let url = server.url_at(&self.name, proxy.address());
        (proxy, url)
    }

    /// Drops the database, with whoever is connected to it.
    pub async fn drop(self) {
        self.pool.close().await;
        let mut administrator = postgres().await.administrator().await;
        run(
            &mut administrator,
            format!("drop database if exists {} with (force)", self.name),
        )
        .await;
        administrator
            .close()
            .await
            .expect("the administrator's connection closes");
    }
}

async fn ensure_template<E: Debug>(
    server: &TestServer,
    template: &str,
    prepare: impl AsyncFnOnce(&PgPool) -> Result<(), E>,
) {
    let mut known = TEMPLATES.lock().await;
    let known = known.get_or_insert_default();
    if known.contains(template) {
        return;
    }
    let mut administrator = server.administrator().await;
    // Ends with the connection, so a test that panics here leaves nothing locked.
    sqlx::query("select pg_advisory_lock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut administrator)
        .await
        .expect("the lock is free in the end");
    let exists: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(template)
            .fetch_one(&mut administrator)
            .await
            .expect("the server lists its databases");
    if !exists {
        let unfinished = format!("{template}_new");
        run(
            &mut administrator,
            format!("drop database if exists {unfinished} with (force)"),
        )
        .await;
        create(&mut administrator, &unfinished, server.owner(), "template1").await;
        let pool = PgPool::connect_with(server.options(&unfinished))
            .await
            .expect("the new database answers");
        if let Err(error) = prepare(&pool).await {
            panic!("the database of the test could not be prepared: {error:?}");
        }
        pool.close().await;
        run(
            &mut administrator,
            format!("alter database {unfinished} rename to {template}"),
        )
        .await;
    }
    administrator
        .close()
        .await
        .expect("the administrator's connection closes");
    known.insert(template.to_owned());
}

async fn create(administrator: &mut PgConnection, name: &str, owner: &str, template: &str) {
    run(
        administrator,
        format!("create database {name} owner \"{owner}\" template {template}"),
    )
    .await;
}

async fn run(administrator: &mut PgConnection, statement: String) {
    if let Err(error) = sqlx::query(AssertSqlSafe(statement.as_str()))
        .execute(administrator)
        .await
    {
        panic!("`{statement}` was refused: {error}");
    }
}

/// Unique on a server that several test processes share.
fn database_name() -> String {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    format!("carrel_test_{nanos:x}_{}_{number}", std::process::id())
}

fn migrations_key(migrator: &Migrator) -> String {
    let mut key = String::new();
    for migration in migrator.iter() {
        let _ = write!(key, "{}:{:02x?};", migration.version, migration.checksum);
    }
    key
}

/// FNV-1a of the key: the name has to be the same in every process, which `DefaultHasher` does not promise.
fn template_name(key: &str) -> String {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("carrel_template_{hash:016x}")
}
