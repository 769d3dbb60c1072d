//! `carrel bench`: what the suite can do on this machine, measured on a suite
//! of its own that keeps its promises: nothing acknowledged is lost when the
//! power fails. It leaves nothing behind.

mod catch_up;
mod check_out;
mod floor;
mod library;
mod measure;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use carrel_proto::operations::v1::feed_consumer_service_client::FeedConsumerServiceClient;
use carrel_proto::operations::v1::{FeedConsumerState, ListFeedConsumersRequest};
use clap::{Args, Subcommand};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};

use crate::clients::until;
use crate::connect::Suite;
use crate::suite::{
    DATABASES_FILE, DataFolder, INTERRUPTED, LocalSuite, SERVICES, SuiteOptions, log_to_file,
};

/// How long the services may take to have learnt the library, or what was
/// done in it.
const LEVEL_DEADLINE: Duration = Duration::from_secs(300);

/// A benchmark.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Check-outs a second, against what the database alone can do
    Checkout(check_out::CheckOutArguments),
    /// Events a second with which circulation catches up, and how far behind it is afterwards
    CatchUp(catch_up::CatchUpArguments),
}

/// What every benchmark is told.
#[derive(Debug, Args)]
pub struct BenchArguments {
    /// Print the outcome as one JSON object, and nothing else
    #[arg(long)]
    json: bool,

    /// Where the data lies meanwhile: a folder on a disk, not in memory
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    folder: PathBuf,
}

impl BenchArguments {
    /// Tells a person how it goes.
    fn say(&self, text: &str) {
        if !self.json {
            println!("{text}");
        }
    }
}

/// Runs a benchmark.
pub async fn bench(command: BenchCommand) -> anyhow::Result<ExitCode> {
    match command {
        BenchCommand::Checkout(arguments) => check_out::check_out(arguments).await,
        BenchCommand::CatchUp(arguments) => catch_up::catch_up(arguments).await,
    }
}

/// A running suite, as a benchmark sees it.
struct Bench {
    local: LocalSuite,
    suite: Suite,
    folder: PathBuf,
    databases: BTreeMap<String, String>,
}

/// Starts a durable suite, measures on it, and removes it. It is the suite of
/// `carrel up`, in this process.
async fn on_suite<T>(
    arguments: &BenchArguments,
    measure: impl AsyncFnOnce(&mut Bench) -> anyhow::Result<T>,
) -> anyhow::Result<Option<T>> {
    let temporary = tempfile::Builder::new()
        .prefix("carrel-bench-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir_in(&arguments.folder)
        .with_context(|| format!("no folder can be made in {}", arguments.folder.display()))?;
    let folder = DataFolder::open(temporary.path())?;
    log_to_file(&folder.path().join("suite.log"))?;
    let local = LocalSuite::start(&SuiteOptions {
        folder: folder.clone(),
        durable: true,
        clock_begins: None,
        ports_from: None,
        billing_apart: false,
        operators_server: None,
    })
    .await?;
    let mut bench = Bench::on(local, folder.path())?;
    let measured = tokio::select! {
        measured = measure(&mut bench) => Some(measured),
        () = carrel_runtime::asked_to_end() => None,
    };
    let stopped = bench.local.stop().await;
    match measured {
        Some(Ok(measured)) => stopped.map(|()| Some(measured)),
        Some(Err(error)) => {
            // What the services said is worth more than a tidy folder.
            let kept = temporary.keep();
            Err(error.context(format!(
                "the benchmark broke off; the logs are in {}",
                kept.display()
            )))
        }
        None => stopped.map(|()| None),
    }
}

/// What the program answers where it was interrupted.
fn interrupted() -> ExitCode {
    eprintln!("carrel: the benchmark was interrupted; nothing is left behind");
    ExitCode::from(INTERRUPTED)
}

impl Bench {
    fn on(local: LocalSuite, folder: &Path) -> anyhow::Result<Self> {
        let databases = std::fs::read(folder.join(DATABASES_FILE))?;
        Ok(Self {
            suite: local.connect()?,
            local,
            folder: folder.to_owned(),
            databases: serde_json::from_slice(&databases)?,
        })
    }

    /// How a service's database is reached.
    fn database(&self, service: &str) -> anyhow::Result<PgConnectOptions> {
        let url = self.databases.get(service);
        Ok(url
            .with_context(|| format!("the suite has no database of {service}"))?
            .parse()?)
    }

    /// A superuser's connection to a service's database: the suite's server is
    /// a private one.
    async fn administer(&self, service: &str) -> anyhow::Result<PgConnection> {
        let options = self.database(service)?;
        let options = options.username(carrel_private_postgres::ADMINISTRATOR);
        Ok(options.connect().await?)
    }

    /// Waits until every service has taken what the others told.
    async fn level(&self) -> anyhow::Result<()> {
        for service in SERVICES {
            let client = FeedConsumerServiceClient::new(self.suite.channel(service.name)?);
            let what = format!("{} is level with the others", service.name);
            until(&what, LEVEL_DEADLINE, async || {
                let request = ListFeedConsumersRequest::default();
                let answer = client.clone().list_feed_consumers(request).await;
                let Ok(answer) = answer else { return Ok(None) };
                let mut consumers = answer.into_inner().consumers.into_iter();
                let level = consumers.all(|consumer| {
                    let reached = consumer.cursor.as_ref().map_or(0, |cursor| cursor.number);
                    consumer.state() == FeedConsumerState::Following
                        && consumer.heard_at.is_some()
                        && reached >= consumer.head_number
                });
                Ok(level.then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Brings the statistics of every table up to date, as the server does by
    /// itself within minutes.
    async fn analyze(&self) -> anyhow::Result<()> {
        for service in SERVICES {
            let mut connection = self.administer(service.name).await?;
            sqlx::query("vacuum (analyze)")
                .execute(&mut connection)
                .await?;
        }
        Ok(())
    }

    /// What the measurement rests on: the server's version, and that what it
    /// acknowledges is on the disk.
    async fn durable_server(&self) -> anyhow::Result<String> {
        let mut connection = self.administer("circulation").await?;
        for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
            let value: String = sqlx::query_scalar("select current_setting($1)")
                .bind(setting)
                .fetch_one(&mut connection)
                .await?;
            if value != "on" {
                bail!(
                    "the server runs with {setting} {value}; a benchmark on it would be worthless"
                );
            }
        }
        let version: String = sqlx::query_scalar("select current_setting('server_version')")
            .fetch_one(&mut connection)
            .await?;
        Ok(format!("PostgreSQL {version}"))
    }
}
