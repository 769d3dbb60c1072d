//! `carrel demo`: a library day, played over gRPC on a suite of its own. It
//! ends well only where ledger, postings and student accounts agree to the
//! cent.

mod clock;
mod day;
mod desk;
mod money_scenes;
mod page;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use self::clock::DemoClock;
use self::day::{Day, Verdict};
use self::stage::Stage;
use crate::suite::{DataFolder, INTERRUPTED, LocalSuite, SuiteOptions, log_to_file};

/// How the day is played.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Wait after each step, to read along: seconds
    #[arg(long, value_name = "SECONDS", default_missing_value = "2", num_args = 0..=1, value_parser = clap::value_parser!(u64).range(0..=60))]
    pace: Option<u64>,

    /// Leave the suite running afterwards, until Ctrl-C
    #[arg(long)]
    keep: bool,

    /// Print the outcome as one JSON object, and nothing else
    #[arg(long)]
    json: bool,

    /// Where the page that shows the day is written
    #[arg(long, value_name = "FILE", default_value = "demo.html")]
    page: PathBuf,
}

/// Plays the day.
pub async fn demo(arguments: DemoArguments) -> anyhow::Result<ExitCode> {
    let temporary = tempfile::Builder::new()
        .prefix("carrel-demo-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .context("no temporary folder can be made")?;
    let folder = DataFolder::open(temporary.path())?;
    log_to_file(&folder.path().join("suite.log"))?;
    match play(&arguments, &folder).await {
        Ok(code) => Ok(code),
        Err(error) => {
            // What the services said is worth more than a tidy folder.
            let kept = temporary.keep();
            Err(error.context(format!(
                "the day broke off; the logs are in {}",
                kept.display()
            )))
        }
    }
}

async fn play(arguments: &DemoArguments, folder: &DataFolder) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let pace = Duration::from_secs(arguments.pace.unwrap_or(0));
    let mut stage = Stage::new(pace, arguments.json);
    stage.say("Carrel: a library day. Everything runs on this machine and is gone afterwards.");
    stage.say("Starting PostgreSQL, five services and a student-account system …");
    let mut suite = LocalSuite::start(&SuiteOptions {
        folder: folder.clone(),
        durable: false,
        clock_begins: Some(DemoClock::district()?.instant(day::BEGIN)?),
        ports_from: None,
        billing_apart: true,
        operators_server: None,
    })
    .await?;
    let played = async {
        let mut day = Day::begin(&mut suite, &mut stage, !arguments.json).await?;
        day.play().await
    };
    let played = tokio::select! {
        played = played => Some(played),
        () = carrel_runtime::asked_to_end() => None,
    };
    let verdict = match played {
        Some(Ok(verdict)) => verdict,
        Some(Err(error)) => {
            if let Err(second) = suite.stop().await {
                eprintln!("carrel: {second:#}");
            }
            return Err(error);
        }
        None => {
            suite.stop().await?;
            eprintln!("carrel: the day was interrupted; nothing is left behind");
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    std::fs::write(
        &arguments.page,
        page::page(stage.scenes(), &verdict.to_string()),
    )
    .with_context(|| format!("{} can't be written", arguments.page.display()))?;
    tell(arguments, &stage, &verdict, started.elapsed())?;
    if arguments.keep {
        keep(&suite, folder, arguments).await;
    }
    suite.stop().await?;
    Ok(if verdict.balanced() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn tell(
    arguments: &DemoArguments,
    stage: &Stage,
    verdict: &Verdict,
    elapsed: Duration,
) -> anyhow::Result<()> {
    if arguments.json {
        let outcome = json!({
            "balanced": verdict.balanced(),
            "ledger": verdict.ledger,
            "postings": verdict.postings,
            "sis": verdict.sis,
            "differences": verdict.differences,
            "trial_balance": verdict.trial_balance,
            "seconds": elapsed.as_secs_f64(),
            "page": arguments.page.display().to_string(),
            "scenes": stage.scenes(),
        });
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        println!("\n{verdict}");
        println!(
            "Played in {:.0} s. The day as a page: {}",
            elapsed.as_secs_f64(),
            arguments.page.display()
        );
    }
    Ok(())
}

async fn keep(suite: &LocalSuite, folder: &DataFolder, arguments: &DemoArguments) {
    if !arguments.json {
        println!(
            "\nThe suite stays up; stop it with Ctrl-C. Addresses and token are in {}",
            folder.path().display()
        );
        for (name, url) in suite.endpoints() {
            println!("  {name:<12} {url}");
        }
    }
    carrel_runtime::asked_to_end().await;
}
