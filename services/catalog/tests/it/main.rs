//! The catalog as its clients see it: over a socket, on a real PostgreSQL.

// A test that can't go on fails; the message of unwrap is as good as any.
#![allow(clippy::unwrap_used)]

mod availability;
mod copies;
mod desk;
#[path = "../../../../crates/marc/tests/it/explained.rs"]
mod explained;
mod items;
mod loads;
mod locations;
mod marc;
mod real_files;
mod search;
mod streams;
