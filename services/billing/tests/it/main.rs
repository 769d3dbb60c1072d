//! Billing against a real PostgreSQL and the real SIS simulator.

// clippy.toml allows it in test functions, but does not see that what they call is test code as well.
#![allow(clippy::unwrap_used)]

mod api;
mod batch;
mod bulk;
mod charges;
mod crash;
mod faults;
mod journal;
mod meanwhile;
mod office;
mod policy;
mod posting;
mod restore;
mod site;
mod student_link;
mod work;
