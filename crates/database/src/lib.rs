//! PostgreSQL access: the pool, named transactions with bounded retry,
//! migrations, and the record of requests that makes a repeated call harmless.

mod migrate;
mod request;
mod transaction;

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgPool};

pub use migrate::{MigrateError, migrate, with_foundation};
pub use request::{Claim, RequestKey, RequestReused, claim, forget_before};
pub use transaction::{Attempts, DatabaseFailure};

/// A connection that rested for so long is tried before it is used. One that
/// was used a moment ago is not: that is a round trip for each transaction.
const TRIED_AFTER: Duration = Duration::from_secs(1);

/// A service's own database.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
}

/// How a service uses its database.
#[derive(Debug, Clone)]
pub struct DatabaseOptions {
    /// Connections at the most.
    pub max_connections: u32,
    /// How long a call waits for a connection before it is refused.
    pub acquire_timeout: Duration,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            max_connections: 20,
            acquire_timeout: Duration::from_secs(5),
        }
    }
}

impl Database {
    /// Prepares a pool; connects when first needed, so that a service starts
    /// and says it is not ready while its database can't be reached.
    ///
    /// # Errors
    /// Where the URL can't be read. The error does not repeat its password.
    pub fn open(
        url: &str,
        application: &str,
        options: &DatabaseOptions,
    ) -> Result<Self, sqlx::Error> {
        let connect = PgConnectOptions::from_str(url)?
            .application_name(application)
            // Rules never call now(), and whoever reads a timestamp by hand
            // should see one zone everywhere. Compiling a statement of a few
            // milliseconds costs PostgreSQL a hundred.
            .options([("timezone", "UTC"), ("jit", "off")]);
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, resting| {
                Box::pin(async move {
                    if resting.idle_for >= TRIED_AFTER {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(connect);
        Ok(Self { pool })
    }

    /// A database on a pool that exists.
    #[must_use]
    pub fn from_pool(pool: PgPool) -> Self {
        Self { pool }
    }

    /// The pool, for reads that need no transaction.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Whether the database answers now.
    ///
    /// # Errors
    /// What hinders it.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        sqlx::query("select 1").execute(&self.pool).await.map(drop)
    }
}
