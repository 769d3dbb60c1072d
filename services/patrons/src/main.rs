//! Runs the patrons service by itself, until Ctrl-C or SIGTERM.

use carrel_patrons::Settings;
use clap::Parser;

/// Patron accounts, patron groups, manual blocks and rosters.
#[derive(Parser)]
#[command(name = "carrel-patrons", version)]
struct Program {
    #[command(flatten)]
    settings: Settings,
}

fn main() -> std::process::ExitCode {
    let settings = Program::parse().settings;
    let runtime = settings.runtime.clone();
    carrel_runtime::run(&runtime, carrel_patrons::definition(settings))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_flags_are_sound() {
        super::Program::command().debug_assert();
    }
}
