//! Billing against a real PostgreSQL and the real SIS simulator.

// clippy.toml allows it in test functions, but does not see that what they call is test code as well.
#![allow(clippy::unwrap_used)]

mod api;
mod batch;
mod bulk;
mod charges;
mod crash;
mod desk_money;
mod faults;
mod journal;
mod meanwhile;
mod month;
mod office;
mod policy;
mod posting;
mod random_desk;
mod restore;
mod site;
mod student_link;
mod work;
