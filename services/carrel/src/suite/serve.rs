//! `carrel serve SERVICE`: one service in a process of its own.

use std::process::ExitCode;

use carrel_runtime::{Running, StartError};
use clap::{Parser, Subcommand};
use tokio::net::TcpListener;

/// Which service, and its settings.
#[derive(Debug, Subcommand)]
pub enum ServeCommand {
    /// Locations, bibliographic records, items
    Catalog(carrel_catalog::Settings),
    /// Patron accounts, groups, blocks, rosters
    Patrons(carrel_patrons::Settings),
    /// Rules, loans, due dates, fines
    Circulation(carrel_circulation::Settings),
    /// Charges, payments, the journal, postings to student accounts
    Billing(Box<carrel_billing::Settings>),
    /// Funds, budgets, encumbrances
    Budgeting(carrel_budgeting::Settings),
}

/// The command line of a service, as `carrel serve` reads it.
#[derive(Debug, Parser)]
#[command(name = "serve")]
pub struct ServeProgram {
    /// Which service.
    #[command(subcommand)]
    pub command: ServeCommand,
}

/// Runs a service until it is asked to end.
pub fn serve(command: ServeCommand) -> ExitCode {
    use carrel_runtime::run;
    match command {
        ServeCommand::Catalog(settings) => run(
            &settings.runtime.clone(),
            carrel_catalog::definition(settings),
        ),
        ServeCommand::Patrons(settings) => run(
            &settings.runtime.clone(),
            carrel_patrons::definition(settings),
        ),
        ServeCommand::Circulation(settings) => run(
            &settings.runtime.clone(),
            carrel_circulation::definition(settings),
        ),
        ServeCommand::Billing(settings) => run(
            &settings.runtime.clone(),
            carrel_billing::definition(*settings),
        ),
        ServeCommand::Budgeting(settings) => run(
            &settings.runtime.clone(),
            carrel_budgeting::definition(settings),
        ),
    }
}

/// Starts a service inside this process.
pub async fn start(command: ServeCommand, listener: TcpListener) -> Result<Running, StartError> {
    use carrel_runtime::start;
    match command {
        ServeCommand::Catalog(settings) => {
            let definition = carrel_catalog::definition(settings.clone());
            start(&settings.runtime, listener, definition).await
        }
        ServeCommand::Patrons(settings) => {
            let definition = carrel_patrons::definition(settings.clone());
            start(&settings.runtime, listener, definition).await
        }
        ServeCommand::Circulation(settings) => {
            let definition = carrel_circulation::definition(settings.clone());
            start(&settings.runtime, listener, definition).await
        }
        ServeCommand::Billing(settings) => {
            let definition = carrel_billing::definition((*settings).clone());
            start(&settings.runtime, listener, definition).await
        }
        ServeCommand::Budgeting(settings) => {
            let definition = carrel_budgeting::definition(settings.clone());
            start(&settings.runtime, listener, definition).await
        }
    }
}
