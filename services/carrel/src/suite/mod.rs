//! The suite on one machine: every service, a private PostgreSQL and a
//! student-account system to try it with. Services call each other over
//! sockets here too, so that nothing differs from a district's installation.

mod child;
mod folder;
mod keys;
mod serve;
mod start;
mod up;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use sqlx::migrate::Migrator;

pub use folder::{DATABASES_FILE, DataFolder};
pub use keys::Keys;
pub use serve::{ServeCommand, serve};
pub use start::{LocalSuite, SuiteOptions};
pub use up::{UpArguments, up};

/// The exit code of a program that was interrupted (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;

/// Sends the services' logs to a file, where the terminal is for something
/// else.
pub fn log_to_file(path: &Path) -> anyhow::Result<()> {
    let file = File::create(path)?;
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_env_filter(tracing_subscriber::EnvFilter::new("info,sqlx=warn"))
        .with_writer(Arc::new(file))
        .init();
    Ok(())
}

/// A service of the suite.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// Its name.
    pub name: &'static str,
    /// Its tables.
    pub migrations: &'static Migrator,
    /// The services it calls.
    pub peers: &'static [&'static str],
}

/// The services of the suite.
pub const SERVICES: &[Service] = &[
    Service {
        name: "catalog",
        migrations: &carrel_catalog::MIGRATIONS,
        peers: &["circulation"],
    },
    Service {
        name: "patrons",
        migrations: &carrel_patrons::MIGRATIONS,
        peers: &[],
    },
    Service {
        name: "circulation",
        migrations: &carrel_circulation::MIGRATIONS,
        peers: &["catalog", "patrons", "billing"],
    },
    Service {
        name: "billing",
        migrations: &carrel_billing::MIGRATIONS,
        peers: &["circulation", "patrons"],
    },
    Service {
        name: "budgeting",
        migrations: &carrel_budgeting::MIGRATIONS,
        peers: &[],
    },
];
