//! The all-in-one program: the whole suite on one machine, single services,
//! and what operators do to a running suite.

mod access;
mod bench;
mod clients;
mod connect;
mod demo;
mod import;
mod migrate;
mod sample;
mod suite;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Carrel: what a college district's libraries run on.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Try it:   carrel demo\nRun it:   carrel up --data /var/lib/carrel\n\nDocumentation: README.md and ARCHITECTURE.md"
)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play a library day on a suite of its own, and prove that the books balance
    Demo(demo::DemoArguments),
    /// Run the whole suite on this machine, keeping its data
    Up(suite::UpArguments),
    /// Run one service
    #[command(subcommand)]
    Serve(Box<suite::ServeCommand>),
    /// Load records or patrons into a running suite
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Set the sample district up in a new suite, to try things with
    Seed(sample::SeedArguments),
    /// Issue a token for a running suite
    Token(token::TokenArguments),
    /// Measure what a suite does on this machine, on one of its own
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Bring a service's database to this version
    Migrate(migrate::MigrateArguments),
}

fn main() -> ExitCode {
    let outcome = match Program::parse().command {
        Command::Serve(command) => return suite::serve(*command),
        Command::Demo(arguments) => run(demo::demo(arguments)),
        Command::Up(arguments) => run(suite::up(arguments)),
        Command::Import(command) => run(import::import(command)),
        Command::Seed(arguments) => run(sample::seed_suite(arguments)),
        Command::Token(arguments) => token::token(&arguments),
        Command::Bench(command) => run(bench::bench(command)),
        Command::Migrate(arguments) => run(migrate::migrate(arguments)),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("carrel: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}
