//! The outbox, its feed and its consumers against real PostgreSQL servers and
//! over real connections.

#![expect(clippy::unwrap_used, reason = "a test that can't go on may panic")]

mod alone;
mod consuming;
mod copies;
mod owner;
mod poison;
mod replicas;
mod restoring;
mod retention;
mod sequencing;
mod subscribing;
