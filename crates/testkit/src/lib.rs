//! What tests stand on: a PostgreSQL per test process, a database per test, and patience with a limit.
//!
//! ```no_run
//! # async fn story(migrator: &sqlx::migrate::Migrator) {
//! use std::time::Duration;
//! use carrel_testkit::{TestDatabase, eventually};
//!
//! let database = TestDatabase::create(migrator).await;
//! let waiting = eventually("a row arrives", Duration::from_secs(5), async || {
//!     sqlx::query("select 1").fetch_optional(&database.pool).await.expect("the query is right")
//! });
//! # waiting.await;
//! # }
//! ```
//!
//! Everything here panics where a test could not go on: the message says what was missing.

mod database;
mod eventually;
mod postgres;
mod process;
mod proxy;
mod real_data;

pub use database::TestDatabase;
pub use eventually::eventually;
pub use postgres::{SERVER_VARIABLE, TestServer, postgres};
pub use process::{ChildProcess, free_port};
pub use proxy::{TcpProxy, Upstream};
pub use real_data::{DATA_VARIABLE, REQUIRE_DATA_VARIABLE, test_data};
