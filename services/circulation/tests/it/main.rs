//! Circulation against a real PostgreSQL, over a real socket.
#![allow(clippy::unwrap_used)]

mod ageing;
mod check_in;
mod check_out;
mod closing;
mod desk;
mod equipment;
mod hourly;
mod limits;
mod owner;
mod policy;
mod projection;
mod refused;
mod renewal;
mod request;
mod request_crowd;
mod rules;
mod rules_tried;
mod rules_validated;
mod set_up;
