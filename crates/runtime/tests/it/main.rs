//! A service that is nothing but what every service has, on real sockets and a
//! real PostgreSQL.

mod bare_service;
mod readiness;
mod refusals;
