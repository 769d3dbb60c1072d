//! Budgeting over its API, on a real PostgreSQL and real sockets.

// clippy.toml allows it in test functions, but does not see that what they call is test code as well.
#![allow(clippy::unwrap_used)]

mod access;
mod allocation;
mod budget_code;
mod encumbrance;
mod events;
mod journal;
mod office;
mod structure;
