//! Circulation against a real PostgreSQL, over a real socket.
#![allow(clippy::unwrap_used)]

mod ageing;
mod automatic_renewal;
mod batch;
mod check_in;
mod check_out;
mod claim;
mod closing;
mod desk;
mod desk_machine;
mod due_change;
mod equipment;
mod history;
mod hourly;
mod limits;
mod lost;
mod lost_and_paid;
mod offline;
mod owner;
mod patron_block;
mod policy;
mod privacy;
mod projection;
mod proxy;
mod refused;
mod renewal;
mod replicas;
mod request;
mod request_crowd;
mod rules;
mod rules_tried;
mod rules_validated;
mod set_up;
mod statistic;
mod together;
