//! Migrations: the foundation's tables first, then the service's own.

use std::time::Duration;

use sqlx::migrate::{MigrateError as SqlxMigrateError, Migrator};

use crate::Database;

/// The tables that every service has: requests, outbox, cursors. Versions
/// below 1000 are the foundation's, a service's own begin at 1000.
static FOUNDATION: Migrator = sqlx::migrate!("./migrations");

/// How long a start waits for another replica's migration.
const MIGRATION_DEADLINE: Duration = Duration::from_secs(120);

/// Why a database could not be brought to this version.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database holds migrations that this program does not know.
    #[error(
        "the database was migrated by a newer version of Carrel (migration {0}); start that version, or restore a backup of this one"
    )]
    NewerSchema(i64),
    /// A migration is in the database, but only half of it.
    #[error("migration {0} was interrupted; restore the database or finish it by hand")]
    HalfMigrated(i64),
    /// A migration in the database differs from this program's.
    #[error(
        "migration {0} differs from the one that was applied; this is another build's database"
    )]
    Altered(i64),
    /// It took too long, another replica's migration perhaps included.
    #[error("the migration took more than {} s", MIGRATION_DEADLINE.as_secs())]
    TooLong,
    /// Anything else the database said.
    #[error("the migration failed: {0}")]
    Database(#[source] SqlxMigrateError),
}

/// The foundation's migrations followed by a service's own.
#[must_use]
pub fn with_foundation(service: &Migrator) -> Migrator {
    Migrator::with_migrations(FOUNDATION.iter().chain(service.iter()).cloned().collect())
}

/// Brings the database to this program's version. Replicas that start at once
/// wait for each other.
///
/// # Errors
/// [`MigrateError`], each with what to do.
pub async fn migrate(database: &Database, service: &Migrator) -> Result<(), MigrateError> {
    let migrator = with_foundation(service);
    let run = async {
        // The lock that makes replicas wait for each other is the session's,
        // and a migration that fails does not give it back: the session goes.
        let mut session = database.pool().acquire().await?;
        session.close_on_drop();
        migrator.run_direct(None, &mut *session, false).await
    };
    tokio::time::timeout(MIGRATION_DEADLINE, run)
        .await
        .map_err(|_| MigrateError::TooLong)?
        .map_err(|error| match error {
            SqlxMigrateError::VersionMissing(version) => MigrateError::NewerSchema(version),
            SqlxMigrateError::VersionMismatch(version) => MigrateError::Altered(version),
            SqlxMigrateError::Dirty(version) => MigrateError::HalfMigrated(version),
            other => MigrateError::Database(other),
        })
}
