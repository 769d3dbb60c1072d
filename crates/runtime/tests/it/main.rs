//! A service that is nothing but what every service has, on real sockets and a
//! real PostgreSQL.

// A test that can't go on fails; the message of unwrap is as good as any.
#![allow(clippy::unwrap_used)]

mod bare_service;
mod readiness;
mod refusals;
