//! The billing service as a program of its own.

use std::process::ExitCode;

use clap::Parser;

/// Carrel's billing service.
#[derive(Parser)]
#[command(name = "carrel-billing", version)]
struct Program {
    #[command(flatten)]
    settings: carrel_billing::Settings,
}

fn main() -> ExitCode {
    let settings = Program::parse().settings;
    carrel_runtime::run(
        &settings.runtime.clone(),
        carrel_billing::definition(settings),
    )
}
