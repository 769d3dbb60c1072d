//! `carrel migrate`: brings databases to this version.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use carrel_database::{Database, DatabaseOptions};
use clap::Args;

use crate::suite::{DATABASES_FILE, SERVICES};

/// Which databases.
#[derive(Debug, Args)]
pub struct MigrateArguments {
    /// The service whose database it is; all of the suite with --data
    #[arg(value_name = "SERVICE", required_unless_present = "data")]
    service: Option<String>,

    /// The database of that service
    #[arg(
        long,
        value_name = "URL",
        env = "CARREL_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,

    /// The data folder of a running suite
    #[arg(long, value_name = "DIR", env = "CARREL_DATA")]
    data: Option<PathBuf>,
}

/// Migrates, and prints a line for each database.
pub async fn migrate(arguments: MigrateArguments) -> anyhow::Result<ExitCode> {
    let urls: BTreeMap<String, String> = match (arguments.data, arguments.database_url) {
        (Some(data), _) => {
            let file = data.join(DATABASES_FILE);
            let text = std::fs::read_to_string(&file).with_context(|| {
                format!(
                    "no suite found: {} can't be read (is `carrel up` running?)",
                    file.display()
                )
            })?;
            serde_json::from_str(&text)
                .with_context(|| format!("{} is not a file of databases", file.display()))?
        }
        (None, Some(url)) => {
            let service = arguments
                .service
                .clone()
                .context("say which service's database it is")?;
            BTreeMap::from([(service, url)])
        }
        (None, None) => bail!("say which database: --database-url URL or --data DIR"),
    };
    let mut found = false;
    for service in SERVICES {
        let chosen = arguments
            .service
            .as_deref()
            .is_none_or(|name| name == service.name);
        let Some(url) = urls.get(service.name).filter(|_| chosen) else {
            continue;
        };
        found = true;
        let database = Database::open(url, "carrel-migrate", &DatabaseOptions::default())
            .map_err(|_| anyhow::anyhow!("the database URL can't be read"))?;
        carrel_database::migrate(&database, service.migrations)
            .await
            .with_context(|| format!("the {} database", service.name))?;
        println!("{}: up to date", service.name);
    }
    if !found {
        let names: Vec<_> = SERVICES.iter().map(|service| service.name).collect();
        bail!("no such service; expected one of {}", names.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}
