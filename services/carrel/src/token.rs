//! `carrel token`: a token for a running suite.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use carrel_runtime::{Grant, Scope, TokenIssuer};
use clap::Args;
use jiff::{SignedDuration, Timestamp};

use crate::suite::Keys;

/// Who the token is for and what it allows.
#[derive(Debug, Args)]
pub struct TokenArguments {
    /// The data folder of the suite
    #[arg(long, value_name = "DIR", env = "CARREL_DATA")]
    data: PathBuf,

    /// Who calls: a person's or a program's account, never a name
    #[arg(long, default_value = "operator")]
    subject: String,

    /// A permission, such as "circulation.loans.check-out" or "circulation.*"; repeat for more
    #[arg(long = "permission", required = true, value_name = "PERMISSION")]
    permissions: Vec<String>,

    /// Where it holds: "district", "institution:CODE" or "library:CODE"
    #[arg(long, default_value = "district", value_parser = read_scope)]
    scope: Scope,

    /// For how long, in minutes
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=60 * 24 * 30))]
    minutes: u32,
}

fn read_scope(text: &str) -> Result<Scope, String> {
    match text.split_once(':') {
        None if text == "district" => Ok(Scope::District),
        Some(("institution", code)) if !code.is_empty() => Ok(Scope::Institution(code.into())),
        Some(("library", code)) if !code.is_empty() => Ok(Scope::Library(code.into())),
        _ => Err("expected district, institution:CODE or library:CODE".into()),
    }
}

/// Prints a token.
pub fn token(arguments: &TokenArguments) -> anyhow::Result<ExitCode> {
    let keys = Keys::in_folder(&arguments.data);
    if !keys.exist() {
        bail!(
            "{} is no suite's data folder; start one with `carrel up --data {}`",
            arguments.data.display(),
            arguments.data.display()
        );
    }
    let issuer = TokenIssuer::read(&keys.token_key)?;
    let grants: Vec<Grant> = arguments
        .permissions
        .iter()
        .map(|permission| Grant::new(permission, arguments.scope.clone()))
        .collect();
    println!(
        "{}",
        issuer.issue(
            &arguments.subject,
            &grants,
            Timestamp::now(),
            SignedDuration::from_mins(arguments.minutes.into()),
        )
    );
    Ok(ExitCode::SUCCESS)
}
