//! A private PostgreSQL server that needs nothing running beforehand.
//!
//! [`PrivatePostgres::start`] takes the server binaries that the machine has ([`find_server_binaries`]), or
//! with the feature `fetch` fetches some; makes a cluster in a folder of its own, or goes on with the one
//! that is there; and runs the server on a Unix socket in that folder. No network port is opened and no
//! password exists: the folder is closed to other users, and that is the lock.
//!
//! The server never outlives its starter: a supervisor stops it when the starting process ends, however
//! it ends. As root the server runs as the account `postgres` or `nobody`.

mod account;
mod binaries;
mod cluster;
mod command;
mod error;
#[cfg(feature = "fetch")]
mod fetch;
mod folder;
mod log;
mod server;
mod supervisor;

use std::env;
use std::path::PathBuf;
use std::time::Duration;

pub use binaries::{BIN_VARIABLE, MINIMUM_MAJOR, find_server_binaries};
pub use error::Error;
pub use server::PrivatePostgres;

/// The superuser, for making databases and nothing else.
pub const ADMINISTRATOR: &str = "postgres";

/// The role that services connect as and that owns their databases. It is no superuser, so what works
/// here works on an operator's server.
pub const SERVICE_ROLE: &str = "carrel";

/// Where the data lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this folder, kept between runs. It must be empty, new, or from an earlier run.
    Kept(PathBuf),
    /// In a new folder among the temporary files, removed when the server ends.
    Temporary,
}

/// What a crash of the machine may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was committed.
    Durable,
    /// Everything: nothing is flushed to the disk. A crash of the server alone still loses nothing.
    Fast,
}

/// How to run the server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the data lies.
    pub place: Place,
    /// What a crash of the machine may cost.
    pub durability: Durability,
    /// Connections the server accepts at once.
    pub max_connections: u16,
    /// Memory for PostgreSQL's own page cache, in megabytes.
    pub shared_buffers_mb: u32,
    /// How long a start may take, recovery after a crash included.
    pub start_timeout: Duration,
    /// A folder in which new clusters are cached, so that the next start skips `initdb`. Only with
    /// [`Durability::Fast`]: the copy is not flushed to the disk.
    pub cluster_cache: Option<PathBuf>,
}

impl Options {
    /// A durable server whose data stays in `data_dir`.
    pub fn kept(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            place: Place::Kept(data_dir.into()),
            durability: Durability::Durable,
            max_connections: 200,
            shared_buffers_mb: 128,
            start_timeout: Duration::from_secs(300),
            cluster_cache: None,
        }
    }

    /// A fast server that leaves nothing behind.
    pub fn temporary() -> Self {
        Self {
            place: Place::Temporary,
            durability: Durability::Fast,
            shared_buffers_mb: 32,
            start_timeout: Duration::from_secs(60),
            ..Self::kept("")
        }
    }
}

/// Where a suite keeps its data when nobody says otherwise: `/var/lib/carrel` for root, else
/// `$XDG_DATA_HOME/carrel` or `~/.local/share/carrel`.
///
/// `None` for a user without a home folder.
pub fn default_data_root() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/carrel"));
    }
    let absolute = |variable| {
        env::var_os(variable)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let data_home = absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    data_home.map(|folder| folder.join("carrel"))
}

/// Where clusters are cached for [`Options::cluster_cache`]: among the temporary files, in a folder named
/// after the user that runs the server.
pub fn default_cluster_cache() -> PathBuf {
    folder::cluster_cache()
}
