//! Why a private server could not be had, each with what to do about it.

use std::io;
use std::path::PathBuf;

use crate::binaries::MINIMUM_MAJOR;

/// Why a private PostgreSQL could not be found, started, used or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No server binaries on this machine.
    #[error(
        "no PostgreSQL server was found on this machine (looked in {looked_in}); install it, \
         for example with `apt-get install postgresql` or `dnf install postgresql-server`, or name \
         the folder of its binaries in CARREL_POSTGRES_BIN"
    )]
    ServerNotFound {
        /// The places that were tried, for the reader.
        looked_in: String,
    },
    /// `CARREL_POSTGRES_BIN` names a folder without usable binaries.
    #[error(
        "CARREL_POSTGRES_BIN is {path:?}, but there is no working `postgres` and `initdb` in it: {reason}"
    )]
    NamedFolderUnusable {
        /// The folder the variable names.
        path: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
    /// Every server found is older than Carrel supports.
    #[error(
        "PostgreSQL {found} in {path:?} is too old: Carrel needs version {MINIMUM_MAJOR} or later; install \
         a newer one or name the folder of its binaries in CARREL_POSTGRES_BIN"
    )]
    ServerTooOld {
        /// Version of the newest server found.
        found: String,
        /// The folder of its binaries.
        path: PathBuf,
    },
    /// The machine has no suitable server, and none could be fetched.
    #[error(
        "no suitable PostgreSQL server was found on this machine, and fetching one from {url} failed: \
         {reason}; install one, for example with `apt-get install postgresql`"
    )]
    NotFetched {
        /// What was to be fetched.
        url: String,
        /// Why that failed.
        reason: String,
    },
    /// The data folder belongs to another major version of PostgreSQL.
    #[error(
        "the data in {data_dir:?} was written by PostgreSQL {data_major}, but the server on this \
         machine is version {server_major}; install PostgreSQL {data_major}, or move the data with \
         pg_dump and restore it into a new folder"
    )]
    VersionMismatch {
        /// The data folder.
        data_dir: PathBuf,
        /// Major version that wrote it, as its PG_VERSION says.
        data_major: String,
        /// Major version of the server at hand.
        server_major: u32,
    },
    /// Another server runs on the same data folder.
    #[error("a server is already running on {data_dir:?}{}; stop it first, or choose another folder", by_process(.process))]
    AlreadyRunning {
        /// The data folder.
        data_dir: PathBuf,
        /// Id of the other server's process, where known.
        process: Option<u32>,
    },
    /// The account that must run the server cannot reach its data folder.
    #[error(
        "PostgreSQL refuses to run as root, so it runs as the account `{account}`, and that account \
         cannot enter {blocked:?}; choose a data folder outside home folders, for example \
         `--data /var/lib/carrel`"
    )]
    Unreachable {
        /// The unprivileged account.
        account: String,
        /// The first folder on the way that it cannot enter.
        blocked: PathBuf,
    },
    /// The folder holds something that is not Carrel's.
    #[error(
        "{data_dir:?} is not empty and holds no Carrel database; choose an empty or new folder"
    )]
    ForeignFolder {
        /// The folder that was asked for.
        data_dir: PathBuf,
    },
    /// The folder belongs to another account.
    #[error(
        "{data_dir:?} belongs to the user with id {owner}, and this process runs as user {own}; run as \
         that user, or choose another folder"
    )]
    OtherOwner {
        /// The folder that was asked for.
        data_dir: PathBuf,
        /// User id of the folder's owner.
        owner: u32,
        /// User id of this process.
        own: u32,
    },
    /// Root needs an unprivileged account, and the machine has none.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither an account `postgres` nor \
         `nobody` to run it as; run Carrel as an ordinary user"
    )]
    NoAccount,
    /// `initdb` failed.
    #[error("a new database could not be initialised in {data_dir:?}:\n{output}")]
    Initialise {
        /// The data folder.
        data_dir: PathBuf,
        /// What `initdb` said.
        output: String,
    },
    /// The server ended while it started.
    #[error("the private PostgreSQL did not start; the end of {log:?}:\n{log_tail}")]
    Start {
        /// The server's log file.
        log: PathBuf,
        /// Its last lines.
        log_tail: String,
    },
    /// The server did not accept connections in time.
    #[error(
        "the private PostgreSQL was not ready within {seconds} s ({cause}); the end of {log:?}:\n{log_tail}"
    )]
    NotReady {
        /// How long was waited.
        seconds: u64,
        /// The last answer to an attempt to connect.
        cause: String,
        /// The server's log file.
        log: PathBuf,
        /// Its last lines.
        log_tail: String,
    },
    /// The server did not stop in time.
    #[error("the private PostgreSQL on {data_dir:?} did not stop within {seconds} s")]
    NotStopped {
        /// The data folder.
        data_dir: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
    /// A database name that would need quoting.
    #[error(
        "{name:?} is no database name: it takes lower-case letters, digits and underscores, at most 63, not a digit first"
    )]
    DatabaseName {
        /// The name that was given.
        name: String,
    },
    /// The server refused an administrative statement.
    #[error("the private PostgreSQL refused: {0}")]
    Database(#[from] sqlx::Error),
    /// The operating system refused.
    #[error("{action}: {source}")]
    Io {
        /// What was being done.
        action: String,
        /// The refusal.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: names what was being done when the operating system refused.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}

fn by_process(process: &Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(" (process {id})"))
}
