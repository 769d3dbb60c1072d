//! The circulation service as a program of its own.

use std::process::ExitCode;

use clap::Parser;

/// Circulation: where, by which rules, and what is out
#[derive(Parser)]
#[command(name = "carrel-circulation", version)]
struct Program {
    #[command(flatten)]
    settings: carrel_circulation::Settings,
}

fn main() -> ExitCode {
    let settings = Program::parse().settings;
    carrel_runtime::run(
        &settings.runtime.clone(),
        carrel_circulation::definition(settings),
    )
}
