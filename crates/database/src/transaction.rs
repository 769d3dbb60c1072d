//! Named transactions with bounded retry.

use std::time::{Duration, Instant};

use sqlx::PgTransaction;

use crate::Database;

/// Attempts at one transaction, the first included.
const ATTEMPTS: u32 = 5;

/// Serialization failure and deadlock: PostgreSQL rolled the transaction back
/// and says to try again (PostgreSQL manual, appendix A, class 40).
const WORTH_RETRYING: [&str; 2] = ["40001", "40P01"];

/// A service's error that may have come from its database.
pub trait DatabaseFailure: From<sqlx::Error> {
    /// The database's error, where it is one.
    fn database(&self) -> Option<&sqlx::Error>;

    /// Whether the whole transaction may be tried again.
    fn is_worth_retrying(&self) -> bool {
        self.database()
            .and_then(sqlx::Error::as_database_error)
            .and_then(|error| error.code().map(|code| WORTH_RETRYING.contains(&&*code)))
            .unwrap_or(false)
    }
}

impl DatabaseFailure for sqlx::Error {
    fn database(&self) -> Option<&sqlx::Error> {
        Some(self)
    }
}

/// Runs a block in a READ COMMITTED transaction: commits where the block's
/// value is `Ok`, rolls back otherwise, and runs it again, a bounded number of
/// times, where PostgreSQL broke a deadlock. So the block must have no effect
/// outside the transaction. `?` and `return` leave the block, not the function.
///
/// A commit whose answer is lost is an error and is not tried again: the
/// caller repeats the call with the same request id and learns what became of
/// it.
///
/// ```
/// # async fn example(database: carrel_database::Database) -> Result<i64, sqlx::Error> {
/// let count = carrel_database::transact!(database, "count_tables", |transaction| {
///     sqlx::query_scalar("select count(*) from pg_tables")
///         .fetch_one(&mut *transaction)
///         .await
/// });
/// # count
/// # }
/// ```
///
/// A macro, because an async closure that borrows both its argument and its
/// surroundings can't be shown to be `Send` (rust-lang issue 110338).
#[macro_export]
macro_rules! transact {
    ($database:expr, $name:literal, |$connection:ident| $block:block) => {{
        let mut attempts = $database.attempts($name);
        loop {
            let mut transaction = match attempts.begin().await {
                Ok(transaction) => transaction,
                Err(error) => break Err(::std::convert::From::from(error)),
            };
            let $connection: &mut ::sqlx::PgConnection = &mut transaction;
            let outcome = async { $block }.await;
            if let Some(settled) = attempts.settle(transaction, outcome).await {
                break settled;
            }
        }
    }};
}

/// The attempts at one named transaction; see [`transact!`].
#[derive(Debug)]
pub struct Attempts<'a> {
    database: &'a Database,
    name: &'static str,
    made: u32,
    started: Instant,
}

impl Database {
    /// Begins to count attempts at a transaction; [`transact!`] calls this.
    #[must_use]
    pub fn attempts(&self, name: &'static str) -> Attempts<'_> {
        Attempts {
            database: self,
            name,
            made: 0,
            started: Instant::now(),
        }
    }
}

impl Attempts<'_> {
    /// Begins the next attempt.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin(&mut self) -> Result<PgTransaction<'static>, sqlx::Error> {
        self.made += 1;
        self.database.pool().begin().await
    }

    /// Commits or rolls back. `None` means: try again.
    pub async fn settle<T, E: DatabaseFailure>(
        &mut self,
        transaction: PgTransaction<'static>,
        outcome: Result<T, E>,
    ) -> Option<Result<T, E>> {
        let (name, attempt) = (self.name, self.made);
        let error = match outcome {
            Ok(value) => match transaction.commit().await {
                Ok(()) => {
                    let elapsed_us = self.started.elapsed().as_micros() as u64;
                    tracing::debug!(transaction = name, attempt, elapsed_us, "committed");
                    return Some(Ok(value));
                }
                Err(error) => E::from(error),
            },
            Err(error) => {
                // Where even the rollback fails the connection is broken, and
                // PostgreSQL rolls back by itself.
                let _ = transaction.rollback().await;
                error
            }
        };
        if attempt == ATTEMPTS || !error.is_worth_retrying() {
            return Some(Err(error));
        }
        tracing::warn!(transaction = name, attempt, "deadlock; trying again");
        tokio::time::sleep(back_off(attempt)).await;
        None
    }
}

/// 5, 10, 20, 40 ms: long enough for the other side of a deadlock to end.
fn back_off(attempt: u32) -> Duration {
    Duration::from_millis(5 << (attempt - 1))
}
