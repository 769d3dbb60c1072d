//! A PostgreSQL for developers, and the query data that lets everybody else build without one.
//!
//! `dev-database run` keeps a server running with each service's schema in it and prints the variables that
//! the query macros and the tests read. `dev-database prepare` writes the `.sqlx` folders that are
//! committed; `prepare --check` fails where they are out of date.

mod prepare;
mod schema;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use carrel_private_postgres::{Durability, Options, PrivatePostgres};
use carrel_testkit::SERVER_VARIABLE;
use clap::{Parser, Subcommand};
use tokio::time::interval;

use crate::schema::Service;

#[derive(Debug, Parser)]
#[command(about = "A PostgreSQL for developers, and the query data of the services")]
struct Arguments {
    /// The workspace to work on.
    #[arg(long, hide = true, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))]
    workspace: PathBuf,
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run a server with new, migrated databases until Ctrl-C, and print the variables that lead to them.
    Run {
        /// Folder of the server's data [default: target/dev-postgres].
        #[arg(long)]
        data: Option<PathBuf>,
        /// Services whose databases are made anew [default: all].
        services: Vec<String>,
    },
    /// Write the query data (`services/<name>/.sqlx`) that builds without a database read.
    Prepare {
        /// Write nothing; fail where the committed data differ.
        #[arg(long)]
        check: bool,
        /// Services to prepare [default: all].
        services: Vec<String>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match perform(Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dev-database: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn perform(arguments: Arguments) -> Result<ExitCode> {
    let Arguments { workspace, task } = arguments;
    let workspace = workspace
        .canonicalize()
        .with_context(|| format!("looking for {workspace:?}"))?;
    match task {
        Task::Run { data, services } => {
            let services = schema::services(&workspace, &services)?;
            run(
                data.unwrap_or_else(|| workspace.join("target/dev-postgres")),
                &services,
                &workspace,
            )
            .await?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Prepare { check, services } => {
            let services = schema::services(&workspace, &services)?;
            let postgres = PrivatePostgres::start(Options::temporary()).await?;
            let current = prepare_all(&postgres, &services, &workspace, check).await;
            postgres.stop().await?;
            Ok(if current? {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
    }
}

async fn run(data: PathBuf, services: &[Service], workspace: &Path) -> Result<()> {
    let options = Options {
        durability: Durability::Fast,
        ..Options::kept(data)
    };
    let mut postgres = PrivatePostgres::start(options).await?;
    schema::drop_leftovers_of_tests(&postgres).await?;
    for service in services {
        schema::make(&postgres, service, workspace).await?;
        println!(
            "export {}='{}'",
            service.variable(),
            postgres.url(&service.database())
        );
    }
    println!("export {SERVER_VARIABLE}='{}'", postgres.url("postgres"));
    eprintln!("running in {:?} until Ctrl-C", postgres.folder());
    let mut looks = interval(Duration::from_millis(500));
    loop {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                return Ok(postgres.stop().await?);
            }
            _ = looks.tick() => {
                if let Some(status) = postgres.exited()? {
                    bail!("the server ended ({status}); see {:?}", postgres.folder().join("server.log"));
                }
            }
        }
    }
}

/// Whether everything committed is up to date in the end.
async fn prepare_all(
    postgres: &PrivatePostgres,
    services: &[Service],
    workspace: &Path,
    check: bool,
) -> Result<bool> {
    let mut current = true;
    for service in services {
        schema::make(postgres, service, workspace).await?;
        let found = prepare::query_data(service, &postgres.url(&service.database()), workspace)?;
        let committed = prepare::committed(service)?;
        let difference = prepare::difference(&committed, &found);
        eprintln!(
            "{}: {} queries, {}",
            service.name,
            found.len(),
            difference.as_deref().unwrap_or("up to date")
        );
        if check {
            current &= difference.is_none();
        } else if difference.is_some() {
            prepare::write(service, &committed, &found)?;
        }
    }
    if !current {
        eprintln!(
            "run `cargo run -p carrel-testkit --bin dev-database prepare` and commit the .sqlx folders"
        );
    }
    Ok(current)
}
