//! Why the simulator does not start, or cannot keep what it was given.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What can go wrong outside a single HTTP request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The layout of batch files cannot be read or used.
    #[error("the batch layout {0}: {1}")]
    BadBatchLayout(PathBuf, String),
    /// The store's folder or file cannot be read or written.
    #[error("the store {path} cannot be used: {source}")]
    StoreUnusable {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process has the store open.
    #[error("the store {path} is in use by another simulator")]
    StoreInUse {
        /// The journal file.
        path: PathBuf,
    },
    /// A line that is not the last one cannot be read, so the store was changed from outside.
    #[error("the store {path} is damaged at line {line}: {reason}")]
    StoreDamaged {
        /// The journal file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A write or its fsync failed; the record was not taken.
    #[error("the record could not be written: {0}")]
    NotWritten(String),
    /// The simulator is stopping.
    #[error("the store is closed")]
    StoreClosed,
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    CannotListen {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// Beyond loopback the admin endpoints need a key.
    #[error("listening on {0}, which other machines can reach, needs an admin key")]
    AdminKeyMissing(SocketAddr),
    /// The API key is empty.
    #[error("the API key is empty")]
    ApiKeyMissing,
    /// The time zone is not in the IANA database.
    #[error("unknown time zone {0:?}")]
    UnknownTimeZone(String),
}
