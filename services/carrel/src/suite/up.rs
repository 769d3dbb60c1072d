//! `carrel up`: the suite on this machine, its data kept.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use carrel_private_postgres::default_data_root;
use clap::Args;
use jiff::Timestamp;

use super::start::{DATABASE_URL_VARIABLE, LocalSuite, SuiteOptions};
use super::{DataFolder, SERVICES};
use crate::access::{ENDPOINTS_FILE, TOKEN_FILE};

/// How the suite is run.
#[derive(Debug, Args)]
pub struct UpArguments {
    /// Where the data is kept [default: a folder for this user]
    #[arg(long, value_name = "DIR", env = "CARREL_DATA")]
    data: Option<PathBuf>,

    /// The first of six ports in a row [default: any free ports]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..=65000))]
    ports_from: Option<u16>,

    /// Begin at this time, with clocks that can be moved on; for demonstrations and tests only
    #[arg(long, value_name = "INSTANT")]
    clock_begins: Option<Timestamp>,
}

/// Runs until Ctrl-C, then lets running calls end.
pub async fn up(arguments: UpArguments) -> anyhow::Result<ExitCode> {
    carrel_runtime::log_to_stderr();
    let data = arguments
        .data
        .or_else(|| default_data_root().map(|root| root.join("suite")))
        .context("say where to keep the data: --data DIR")?;
    let folder = DataFolder::open(&data)?;
    let mut suite = LocalSuite::start(&SuiteOptions {
        folder: folder.clone(),
        durable: true,
        clock_begins: arguments.clock_begins,
        ports_from: arguments.ports_from,
        billing_apart: false,
        operators_server: std::env::var(DATABASE_URL_VARIABLE).ok(),
    })
    .await?;

    println!(
        "Carrel is up. Its data is in {}.\n",
        folder.path().display()
    );
    for name in SERVICES.iter().map(|service| service.name).chain(["sis"]) {
        println!("  {name:<12} {}", suite.endpoints()[name]);
    }
    println!(
        "\nAddresses:   {}",
        folder.path().join(ENDPOINTS_FILE).display()
    );
    println!("Token:       {}", folder.path().join(TOKEN_FILE).display());
    println!(
        "\nLoad records: carrel import marc FILE --data {}",
        folder.path().display()
    );
    println!("Stop with Ctrl-C.");

    let ended = tokio::select! {
        () = carrel_runtime::asked_to_end() => None,
        name = suite.any_ended() => Some(name),
    };
    // Whoever asks a second time does not want to wait.
    tokio::select! {
        stopped = suite.stop() => stopped?,
        () = carrel_runtime::asked_to_end() => anyhow::bail!("stopped at once, without draining"),
    }
    match ended {
        None => {
            println!("Stopped; nothing was lost.");
            Ok(ExitCode::SUCCESS)
        }
        Some(name) => anyhow::bail!("{name} ended by itself; its log says why"),
    }
}
