//! Configuration by flags and environment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use jiff::SignedDuration;

/// How far a movable clock may be from the machine's, in seconds: a century.
const FURTHEST_CLOCK: i64 = 100 * 366 * 24 * 3600;

/// What every service is told when it starts. Each flag can also be given as
/// an environment variable.
#[derive(Debug, Clone, Args)]
// Its group would bear the name of the service's own settings.
#[group(skip)]
pub struct Settings {
    /// The address to listen on
    #[arg(
        long,
        env = "CARREL_LISTEN",
        default_value = "127.0.0.1:0",
        value_name = "ADDRESS"
    )]
    pub listen: SocketAddr,

    /// The service's own PostgreSQL database
    #[arg(
        long,
        env = "CARREL_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: String,

    /// The most connections to the database
    #[arg(long, env = "CARREL_DATABASE_CONNECTIONS", default_value_t = 20, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub database_connections: u32,

    /// A JWK set with the keys whose tokens are trusted
    #[arg(long, env = "CARREL_TRUSTED_KEYS", value_name = "FILE")]
    pub trusted_keys: PathBuf,

    /// The private key with which the service signs its own tokens
    #[arg(long, env = "CARREL_SERVICE_KEY", value_name = "FILE")]
    pub service_key: PathBuf,

    /// The district's key for the HMAC of patron barcodes
    #[arg(long, env = "CARREL_BARCODE_KEY", value_name = "FILE")]
    pub barcode_key: PathBuf,

    /// Where another service listens; once for each
    #[arg(
        long = "peer",
        env = "CARREL_PEERS",
        value_name = "SERVICE=URL",
        value_delimiter = ','
    )]
    pub peers: Vec<Peer>,

    /// Let an operator move the clock on; for demonstrations and tests only
    #[arg(long, env = "CARREL_MOVABLE_CLOCK")]
    pub movable_clock: bool,

    /// End when standard input does: a child that must not outlive its parent
    #[arg(long, hide = true)]
    pub end_with_input: bool,

    /// With a movable clock: how far ahead of the machine it starts, in seconds; may be negative
    #[arg(
        long,
        env = "CARREL_CLOCK_OFFSET",
        default_value_t = 0,
        value_name = "SECONDS",
        allow_hyphen_values = true,
        value_parser = clap::value_parser!(i64).range(-FURTHEST_CLOCK..=FURTHEST_CLOCK)
    )]
    pub clock_offset: i64,
}

/// Where another service listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name, such as "catalog".
    pub service: String,
    /// Its address, such as "http://127.0.0.1:7101".
    pub url: String,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((service, url)) if !service.is_empty() && url.starts_with("http") => Ok(Self {
                service: service.to_owned(),
                url: url.to_owned(),
            }),
            _ => Err("expected SERVICE=URL, such as catalog=http://127.0.0.1:7101".into()),
        }
    }
}

impl Settings {
    /// The clock as configured.
    #[must_use]
    pub fn clock(&self) -> crate::Clock {
        if self.movable_clock {
            crate::Clock::movable(SignedDuration::from_secs(self.clock_offset))
        } else {
            crate::Clock::fixed()
        }
    }

    /// The peers by name.
    #[must_use]
    pub fn peer_urls(&self) -> BTreeMap<&str, &str> {
        self.peers
            .iter()
            .map(|peer| (peer.service.as_str(), peer.url.as_str()))
            .collect()
    }
}
