//! The simulator and the adapter against each other, over real sockets.

// clippy.toml allows it in test functions, but does not see that what they call is test code as well.
#![allow(clippy::unwrap_used)]

mod confidentiality;
mod crash;
mod lookup;
mod posting;
mod site;
mod statement;
mod strictness;
mod token;
