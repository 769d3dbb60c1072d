//! The suite on one machine: every service, a private PostgreSQL and a
//! student-account system to try it with. Services call each other over
//! sockets here too, so that nothing differs from a district's installation.

mod child;
mod folder;
mod keys;
mod serve;
mod start;
mod up;

use sqlx::migrate::Migrator;

pub use folder::{DATABASES_FILE, DataFolder};
pub use keys::Keys;
pub use serve::{ServeCommand, serve};
pub use start::{LocalSuite, SuiteOptions};
pub use up::{UpArguments, up};

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
