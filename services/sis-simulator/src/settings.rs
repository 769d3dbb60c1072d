//! How the simulator is set up, by code or by flags and environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use carrel_student_accounts::batch::Layout;
use clap::{ArgAction, Args, ValueEnum};

use crate::batch::{BatchConfig, BatchMode};
use crate::error::Error;

/// What the simulator needs to start.
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder of the durable store; created where missing.
    pub store: PathBuf,
    /// What a client posts to `/auth`.
    pub api_key: String,
    /// What `/admin` asks for as a bearer token; none is needed on loopback.
    pub admin_key: Option<String>,
    /// How long a token from `/auth` is valid (Ethos: 5).
    pub token_minutes: u32,
    /// The site's IANA time zone, which decides what "today" is.
    pub time_zone: String,
    /// Whether `PUT /admin/clock` is allowed.
    pub movable_clock: bool,
    /// Whether `comments` come back in answers and queries; sites differ.
    pub return_comments: bool,
    /// Which criteria a query may use; sites differ.
    pub filters: Filters,
    /// Whether a negative amount is taken, as a reversal; sites differ.
    pub negative_amounts: bool,
    /// A drop folder for batch files beside the calls.
    pub batches: Option<BatchConfig>,
}

impl Config {
    /// A site where everything works, on a free loopback port.
    pub fn on_loopback(store: PathBuf, api_key: impl Into<String>) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            store,
            api_key: api_key.into(),
            admin_key: None,
            token_minutes: 5,
            time_zone: "America/Los_Angeles".to_owned(),
            movable_clock: false,
            return_comments: true,
            filters: Filters::All,
            negative_amounts: true,
            batches: None,
        }
    }
}

/// The criteria that queries may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Filters {
    /// Student, academic period, funding destination and funding source, together or alone.
    All,
    /// Only the student.
    Student,
}

/// The same as flags and environment variables.
#[derive(Args)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one
    #[arg(long, env = "CARREL_SIS_LISTEN", default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// The folder of the durable store; created where missing
    #[arg(long, env = "CARREL_SIS_STORE")]
    pub store: PathBuf,
    /// What clients post to /auth
    #[arg(long, env = "CARREL_SIS_API_KEY", hide_env_values = true)]
    pub api_key: String,
    /// What /admin asks for; needed unless listening on loopback
    #[arg(long, env = "CARREL_SIS_ADMIN_KEY", hide_env_values = true)]
    pub admin_key: Option<String>,
    /// How long a token is valid
    #[arg(long, env = "CARREL_SIS_TOKEN_MINUTES", default_value_t = 5)]
    pub token_minutes: u32,
    /// The site's time zone, which decides what today is
    #[arg(
        long,
        env = "CARREL_SIS_TIME_ZONE",
        default_value = "America/Los_Angeles"
    )]
    pub time_zone: String,
    /// Allow PUT /admin/clock
    #[arg(long, env = "CARREL_SIS_MOVABLE_CLOCK")]
    pub movable_clock: bool,
    /// Whether comments come back; sites differ
    #[arg(long, env = "CARREL_SIS_RETURN_COMMENTS", default_value_t = true, action = ArgAction::Set)]
    pub return_comments: bool,
    /// Which criteria a query may use; sites differ
    #[arg(long, env = "CARREL_SIS_FILTERS", value_enum, default_value_t = Filters::All)]
    pub filters: Filters,
    /// Whether a negative amount is taken, as a reversal; sites differ
    #[arg(long, env = "CARREL_SIS_NEGATIVE_AMOUNTS", default_value_t = true, action = ArgAction::Set)]
    pub negative_amounts: bool,
    /// A folder with `out` for batch files and `in` for answers, worked beside the calls
    #[arg(
        long,
        env = "CARREL_SIS_BATCH_FOLDER",
        requires = "batch_layout",
        value_name = "FOLDER"
    )]
    pub batch_folder: Option<PathBuf>,
    /// The layout of batch files
    #[arg(long, env = "CARREL_SIS_BATCH_LAYOUT", value_name = "FILE")]
    pub batch_layout: Option<PathBuf>,
    /// Whether batch files are only checked, or posted
    #[arg(long, env = "CARREL_SIS_BATCH_MODE", value_enum, default_value_t = BatchMode::Update)]
    pub batch_mode: BatchMode,
}

impl Settings {
    /// The configuration that these settings describe.
    ///
    /// # Errors
    /// [`Error::BadBatchLayout`].
    pub fn into_config(self) -> Result<Config, Error> {
        let batches = match (self.batch_folder, self.batch_layout) {
            (Some(folder), Some(path)) => {
                let unusable = |error: String| Error::BadBatchLayout(path.clone(), error);
                let text =
                    std::fs::read_to_string(&path).map_err(|error| unusable(error.to_string()))?;
                Some(BatchConfig {
                    folder,
                    layout: Layout::parse(&text).map_err(|error| unusable(error.to_string()))?,
                    mode: self.batch_mode,
                })
            }
            (_, None) | (None, _) => None,
        };
        Ok(Config {
            listen: self.listen,
            store: self.store,
            api_key: self.api_key,
            admin_key: self.admin_key,
            token_minutes: self.token_minutes,
            time_zone: self.time_zone,
            movable_clock: self.movable_clock,
            return_comments: self.return_comments,
            filters: self.filters,
            negative_amounts: self.negative_amounts,
            batches,
        })
    }
}
