//! Runs the simulator by itself, until Ctrl-C or SIGTERM.

use anyhow::Context;
use carrel_sis_simulator::Settings;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// A student-account system to try and test Carrel against (the Ethos subset), with faults on demand.
#[derive(Parser)]
#[command(version)]
struct Command {
    #[command(flatten)]
    settings: Settings,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let config = Command::parse().settings.into_config()?;
    let running = carrel_sis_simulator::start(config).await?;
    // Scripts and tests start it on port 0 and read the address here.
    println!("listening on http://{}", running.address);

    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for Ctrl-C")?,
        _ = terminate.recv() => {}
    }
    running.stop().await?;
    Ok(())
}
