//! How a command finds a running suite: by its data folder, or by a file with
//! its endpoints and a token.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::connect::Suite;

/// The file with the services' addresses, in a suite's data folder.
pub const ENDPOINTS_FILE: &str = "endpoints.json";
/// The file with the development token, in a suite's data folder.
pub const TOKEN_FILE: &str = "token";

/// Which running suite.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true)]
pub struct SuiteAccess {
    /// The data folder of a suite started with `carrel up --data DIR`
    #[arg(long, value_name = "DIR", env = "CARREL_DATA")]
    data: Option<PathBuf>,

    /// A JSON file that gives each service's address
    #[arg(long, value_name = "FILE")]
    endpoints: Option<PathBuf>,

    /// A file with the token to use [default: `token` beside the endpoints]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl SuiteAccess {
    /// Reads addresses and token, and prepares connections.
    pub fn connect(&self) -> anyhow::Result<Suite> {
        let endpoints = match (&self.data, &self.endpoints) {
            // The folder may come from the environment, the file never does.
            (_, Some(file)) => file.clone(),
            (Some(data), None) => data.join(ENDPOINTS_FILE),
            (None, None) => bail!("say which suite: --data DIR or --endpoints FILE"),
        };
        let token = match &self.token_file {
            Some(file) => file.clone(),
            None => endpoints
                .parent()
                .unwrap_or(Path::new("."))
                .join(TOKEN_FILE),
        };
        let text = std::fs::read_to_string(&endpoints).with_context(|| {
            format!(
                "no suite found: {} can't be read (is `carrel up` running?)",
                endpoints.display()
            )
        })?;
        let addresses: BTreeMap<String, String> = serde_json::from_str(&text)
            .with_context(|| format!("{} is not a file of endpoints", endpoints.display()))?;
        let token = std::fs::read_to_string(&token)
            .with_context(|| format!("the token {} can't be read", token.display()))?;
        Suite::new(addresses, token.trim())
    }
}
