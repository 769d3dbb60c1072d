//! `carrel import`: files into a running suite.

mod marc;
mod patrons;
mod progress;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::access::SuiteAccess;

pub use marc::{MarcFile, load_marc};
pub use patrons::{RosterFile, load_roster};
pub use progress::Progress;

/// What is loaded.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Bibliographic records: ISO 2709 or MARCXML, also compressed with gzip
    Marc(MarcArguments),
    /// Patrons: a roster in CSV
    Patrons(PatronsArguments),
}

/// Which record files, and how.
#[derive(Debug, Args)]
pub struct MarcArguments {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Which fields mean what: auto, koha-952, marc-852, marc-876 or none
    #[arg(long, default_value = "auto", value_name = "PROFILE")]
    profile: String,

    /// Print one JSON object for each file
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    suite: SuiteAccess,
}

/// Which roster, and how.
#[derive(Debug, Args)]
pub struct PatronsArguments {
    /// The roster
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,

    /// The most accounts that this load may deactivate
    #[arg(long, default_value_t = 100, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(0..))]
    max_deactivations: i32,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    suite: SuiteAccess,
}

/// Loads. The exit code says whether every file could be loaded; records and
/// rows that were refused are listed and are no failure of the load.
pub async fn import(command: ImportCommand) -> anyhow::Result<ExitCode> {
    match command {
        ImportCommand::Marc(arguments) => import_marc(arguments).await,
        ImportCommand::Patrons(arguments) => import_patrons(arguments).await,
    }
}

async fn import_marc(arguments: MarcArguments) -> anyhow::Result<ExitCode> {
    let suite = arguments.suite.connect()?;
    let mut all_loaded = true;
    for path in &arguments.files {
        let loaded = match MarcFile::read(path, &arguments.profile) {
            Ok(file) => load_marc(&suite, &file, &mut Progress::on_terminal()).await,
            Err(error) => Err(error),
        };
        match loaded {
            Ok(outcome) if arguments.json => println!("{}", serde_json::to_string(&outcome)?),
            Ok(outcome) => print!("{outcome}"),
            Err(error) => {
                all_loaded = false;
                if arguments.json {
                    let failure = serde_json::json!({
                        "file": path.display().to_string(),
                        "error": format!("{error:#}"),
                    });
                    println!("{failure}");
                } else {
                    eprintln!("{}: {error:#}", path.display());
                }
            }
        }
    }
    Ok(if all_loaded {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn import_patrons(arguments: PatronsArguments) -> anyhow::Result<ExitCode> {
    let suite = arguments.suite.connect()?;
    let file = RosterFile {
        name: arguments.file.display().to_string(),
        content: std::fs::read(&arguments.file)
            .with_context(|| format!("{} can't be read", arguments.file.display()))?,
        dry_run: arguments.dry_run,
        max_deactivations: arguments.max_deactivations,
    };
    let outcome = load_roster(&suite, &file, &mut Progress::on_terminal()).await?;
    if arguments.json {
        println!("{}", serde_json::to_string(&outcome)?);
    } else {
        print!("{outcome}");
    }
    Ok(ExitCode::SUCCESS)
}
