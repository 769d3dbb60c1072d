//! Runs the budgeting service by itself, until Ctrl-C or SIGTERM.

use carrel_budgeting::Settings;
use clap::Parser;

/// Funds, budgets, budget codes and encumbrances.
#[derive(Parser)]
#[command(name = "carrel-budgeting", version)]
struct Program {
    #[command(flatten)]
    settings: Settings,
}

fn main() -> std::process::ExitCode {
    let settings = Program::parse().settings;
    carrel_runtime::run(
        &settings.runtime.clone(),
        carrel_budgeting::definition(settings),
    )
}
