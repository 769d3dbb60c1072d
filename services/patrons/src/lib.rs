//! The patrons service: accounts, patron groups, manual blocks, rosters.
//!
//! Names, numbers and contact data of patrons live here and nowhere else.
//! Others learn a patron's *standing* (id, HMAC of the barcode, group, dates,
//! blocks) and billing the *student link*; neither holds a name.
//!
//! The map of the house, each noun with its use cases (`mod.rs`), its pure
//! rules (`model.rs`) and all its SQL (`store.rs`):
//! - [`patron`]: accounts, their search by name, what others may know of them;
//! - [`group`]: groups of patrons with the same privileges;
//! - [`block`]: blocks that a person set;
//! - [`proxy`]: who may borrow for whom;
//! - [`roster`]: loads from the student-information system;
//! - `access_log`: who was told what about whom;
//! - [`social_security_number`]: what is never taken;
//! - `grpc`: decode, call, encode.

mod access_log;
pub mod block;
mod error;
pub mod group;
mod grpc;
pub mod patron;
pub mod proxy;
pub mod roster;
pub mod social_security_number;

use carrel_database::Database;
use carrel_outbox::Feed;
use carrel_runtime::{Assembly, BarcodeKey, Call, Clock, Context, Definition, StartError};
use sqlx::migrate::Migrator;
use uuid::Uuid;

pub use error::Error;

/// The service's own tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// How the patrons service is configured.
#[derive(Debug, Clone, clap::Args)]
// Two structs named Settings would be one group of arguments otherwise.
#[group(skip)]
pub struct Settings {
    /// What every service is told.
    #[command(flatten)]
    pub runtime: carrel_runtime::Settings,
}

/// The service, ready to be started.
#[must_use]
pub fn definition(
    _settings: Settings,
) -> Definition<impl FnOnce(&Context) -> Result<Assembly, StartError>> {
    Definition {
        name: "patrons",
        migrations: &MIGRATIONS,
        peer_permissions: &[],
        build: |context: &Context| Ok(grpc::serve(Assembly::new(), &Patrons::new(context))),
    }
}

/// What the use cases work with.
#[derive(Debug, Clone)]
pub struct Patrons {
    pub(crate) database: Database,
    pub(crate) clock: Clock,
    pub(crate) feed: Feed,
    pub(crate) barcode_key: BarcodeKey,
}

impl Patrons {
    fn new(context: &Context) -> Self {
        Self {
            database: context.database.clone(),
            clock: context.clock.clone(),
            feed: context.feed.clone(),
            barcode_key: context.barcode_key.clone(),
        }
    }

    /// Says that a transaction with events was committed.
    pub(crate) fn committed(&self) {
        self.feed.wake().committed();
    }
}

/// The patron who calls, where the caller is one: the token's subject is then
/// "patron:" and the patron's id.
pub(crate) fn calling_patron(call: &Call) -> Option<Uuid> {
    let id = call.caller.subject().strip_prefix("patron:")?;
    carrel_ids::parse(id).ok()
}

/// Nobody acts on their own account.
pub(crate) fn refuse_own_account(call: &Call, patron_id: Uuid) -> Result<(), Error> {
    if calling_patron(call) == Some(patron_id) {
        return Err(Error::OwnAccount);
    }
    Ok(())
}
