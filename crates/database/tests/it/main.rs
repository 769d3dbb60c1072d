//! Transactions and request ids on a real PostgreSQL.

// A test that can't go on fails; the message of unwrap is as good as any.
#![allow(clippy::unwrap_used)]

mod requests;
mod transactions;

use carrel_database::{Database, with_foundation};
use carrel_testkit::TestDatabase;
use sqlx::migrate::Migrator;

/// A database with the tables that every service has.
async fn database() -> (TestDatabase, Database) {
    let database = TestDatabase::create(&with_foundation(&Migrator::DEFAULT)).await;
    let pool = Database::from_pool(database.pool.clone());
    (database, pool)
}
