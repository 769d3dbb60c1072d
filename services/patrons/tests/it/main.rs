//! Stories of the patrons service, over gRPC and on a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod access_log;
mod accounts;
mod blocks;
mod confidentiality;
mod desk;
mod groups;
mod proxies;
mod reading_history;
mod refused_rosters;
mod rosters;
mod standings;
