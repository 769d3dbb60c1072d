//! The catalog as a program of its own.

use std::process::ExitCode;

use clap::Parser;

/// The catalog: locations, bibliographic records, items.
#[derive(Debug, Parser)]
#[command(name = "carrel-catalog", version)]
struct Program {
    #[command(flatten)]
    settings: carrel_catalog::Settings,
}

fn main() -> ExitCode {
    let settings = Program::parse().settings;
    carrel_runtime::run(
        &settings.runtime.clone(),
        carrel_catalog::definition(settings),
    )
}
