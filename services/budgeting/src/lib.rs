//! The budgeting service: what a library may spend, and what of it is
//! committed.
//!
//! The map of the house, each noun with its use cases (`mod.rs`), its pure
//! rules (`model.rs`) and all its SQL (`store.rs`):
//! - `fiscal_year`, `ledger`, `fund`: what money is kept by;
//! - `budget`: a fund in a fiscal year: its totals, its limit, allocations;
//! - `encumbrance`: money set aside for orders;
//! - `budget_code`: account strings that the district defines;
//! - `journal`: the double-entry record of all that was booked;
//! - `message`: these as the contract's messages, for answers and events;
//! - `grpc`: decode, call, encode.

mod budget;
mod budget_code;
mod change;
mod encumbrance;
mod error;
mod fiscal_year;
mod fund;
mod grpc;
mod journal;
mod ledger;
mod message;

use carrel_runtime::{Assembly, Context, Definition, StartError};
use clap::Args;
use sqlx::migrate::Migrator;

/// The service's own tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// How the budgeting service is configured.
// Else its argument group would have the name of the runtime's.
#[derive(Debug, Clone, Args)]
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
        name: "budgeting",
        migrations: &MIGRATIONS,
        peer_permissions: &[],
        build: |context: &Context| Ok(grpc::serve(context)),
    }
}
