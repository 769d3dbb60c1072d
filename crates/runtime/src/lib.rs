//! What every service shares: configuration by flags and environment, tokens
//! and permissions, errors with stable reasons, the clock, peers, pages,
//! health, and a start and an end that lose nothing.
//!
//! A service is a [`Definition`]; [`start`] runs it. Its gRPC modules read a
//! request with [`wire`], [`page()`] and [`Call`], and turn their errors into a
//! [`Refusal`].

mod access;
mod barcode;
mod call;
mod caller;
mod clock;
mod key_file;
mod known_tokens;
mod layer;
mod main_program;
mod operations;
mod page;
mod peers;
mod refusal;
mod service;
mod settings;
mod start;
mod token;
pub mod wire;

pub use access::{ACCESS, AccessTable, RpcAccess};
pub use barcode::BarcodeKey;
pub use call::{Call, permission_denied};
pub use caller::{Caller, Grant, Scope};
pub use clock::{Clock, ClockError};
pub use key_file::KeyFileError;
pub use main_program::{asked_to_end, log_to_stderr, run};
pub use page::{Page, page};
pub use peers::{PeerChannel, PeerError, Peers, ServiceToken};
pub use refusal::{DOMAIN, Refusal, read};
pub use service::{Assembly, Context, Definition};
pub use settings::{Peer, Settings};
pub use start::{Running, StartError, bind, start};
pub use token::{TokenIssuer, TokenRefused, TokenVerifier};
