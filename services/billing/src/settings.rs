//! Flags and environment, and how the service is put together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carrel_money::Currency;
use carrel_outbox::Consumer;
use carrel_proto::billing::v1::account_service_server::AccountServiceServer;
use carrel_proto::billing::v1::billing_rules_service_server::BillingRulesServiceServer;
use carrel_proto::billing::v1::dispute_service_server::DisputeServiceServer;
use carrel_proto::billing::v1::fee_fine_service_server::FeeFineServiceServer;
use carrel_proto::billing::v1::journal_service_server::JournalServiceServer;
use carrel_proto::billing::v1::payment_service_server::PaymentServiceServer;
use carrel_proto::billing::v1::posting_batch_service_server::PostingBatchServiceServer;
use carrel_proto::billing::v1::posting_policy_service_server::PostingPolicyServiceServer;
use carrel_proto::billing::v1::posting_route_service_server::PostingRouteServiceServer;
use carrel_proto::billing::v1::posting_service_server::PostingServiceServer;
use carrel_proto::billing::v1::write_off_service_server::WriteOffServiceServer;
use carrel_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use carrel_runtime::{Assembly, Context, Definition, StartError};
use carrel_student_accounts::batch::Layout;
use carrel_student_accounts::{Ethos, EthosSettings, QueryFilters, StudentAccounts};
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use tokio::sync::Notify;

use crate::circulation_feed::CirculationCharges;
use crate::grpc::Rpcs;
use crate::posting::batch::BatchSite;
use crate::posting::model::Patience;
use crate::posting::worker::{self, Pace};
use crate::student_link::StudentLinks;
use crate::{Billing, MIGRATIONS, Sis};

/// What billing is told when it starts.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// What every service is told.
    #[command(flatten)]
    pub runtime: carrel_runtime::Settings,

    /// The student-information system (Ellucian Ethos); without it nothing is posted
    #[arg(
        long,
        env = "CARREL_SIS_URL",
        value_name = "URL",
        requires = "sis_api_key_file"
    )]
    pub sis_url: Option<String>,

    /// The file with the API key for the student-information system
    #[arg(long, env = "CARREL_SIS_API_KEY_FILE", value_name = "FILE")]
    pub sis_api_key_file: Option<PathBuf>,

    /// Allow plain http to the student-information system beyond loopback, on a private network
    #[arg(long, env = "CARREL_SIS_ALLOW_PLAIN_HTTP")]
    pub sis_allow_plain_http: bool,

    /// CA certificates (PEM) for the student-information system, beside the machine's own
    #[arg(long, env = "CARREL_SIS_CA_FILE", value_name = "FILE")]
    pub sis_ca_file: Option<PathBuf>,

    /// The criteria that the student-information system's queries take
    #[arg(long, env = "CARREL_SIS_FILTERS", value_enum, default_value_t = SisFilters::All)]
    pub sis_filters: SisFilters,

    /// The student-information system takes no negative amounts: credits wait for a person
    #[arg(long, env = "CARREL_SIS_NO_NEGATIVE_AMOUNTS")]
    pub sis_no_negative_amounts: bool,

    /// How many requests the student-information system takes in a second; without it as many as come
    #[arg(long, env = "CARREL_SIS_REQUESTS_PER_SECOND", value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub sis_requests_per_second: Option<u32>,

    /// How long one exchange with the student-information system may take, in seconds
    #[arg(long, env = "CARREL_SIS_DEADLINE", default_value_t = 20, value_name = "SECONDS",
          value_parser = clap::value_parser!(i64).range(1..=300))]
    pub sis_deadline: i64,

    /// How long the student-information system may still commit what it received, in seconds; an unanswered posting is
    /// sent again only when a look-up finds nothing after that
    #[arg(long, env = "CARREL_SIS_MAX_IN_FLIGHT", default_value_t = 60, value_name = "SECONDS",
          value_parser = clap::value_parser!(i64).range(0..=86_400))]
    pub sis_max_in_flight: i64,

    /// The layout of batch files, for a student-information system that takes files instead
    #[arg(
        long,
        env = "CARREL_SIS_BATCH_LAYOUT",
        value_name = "FILE",
        conflicts_with = "sis_url",
        requires = "sis_batch_folder"
    )]
    pub sis_batch_layout: Option<PathBuf>,

    /// The folder of batch files: `out` is the drop folder, `in` takes answers
    #[arg(long, env = "CARREL_SIS_BATCH_FOLDER", value_name = "FOLDER")]
    pub sis_batch_folder: Option<PathBuf>,

    /// The times of day at which batches are built, such as 02:00,14:30; `never`: only on demand
    #[arg(
        long,
        env = "CARREL_SIS_BATCH_AT",
        default_value = "02:00",
        value_name = "TIMES"
    )]
    pub sis_batch_at: String,

    /// How long a batch's answer may take before people look, in hours
    #[arg(long, env = "CARREL_SIS_BATCH_ANSWER_WITHIN", default_value_t = 72, value_name = "HOURS",
          value_parser = clap::value_parser!(i64).range(1..=8_760))]
    pub sis_batch_answer_within: i64,

    /// How long an answer is left alone after it last changed, in seconds
    #[arg(
        long,
        env = "CARREL_SIS_BATCH_QUIET",
        default_value_t = 10,
        value_name = "SECONDS"
    )]
    pub sis_batch_quiet: u64,

    /// How old a charge is before it is posted, in days
    #[arg(long, env = "CARREL_POSTING_AFTER_DAYS", default_value_t = 0, value_name = "DAYS",
          value_parser = clap::value_parser!(i64).range(0..=3650))]
    pub posting_after_days: i64,

    /// Between two rounds of the posting queue, in milliseconds
    #[arg(long, env = "CARREL_POSTING_INTERVAL", default_value_t = 1_000, value_name = "MILLISECONDS",
          value_parser = clap::value_parser!(u64).range(10..=86_400_000))]
    pub posting_interval: u64,

    /// Between two times that the student-information system is asked what was paid, in seconds
    #[arg(long, env = "CARREL_SETTLEMENT_INTERVAL", default_value_t = 900, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub settlement_interval: u64,

    /// The district's time zone, which decides what today is
    #[arg(
        long,
        env = "CARREL_TIME_ZONE",
        default_value = "America/Los_Angeles",
        value_name = "ZONE"
    )]
    pub time_zone: String,

    /// The currency in which the district keeps its books: USD or CAD
    #[arg(
        long,
        env = "CARREL_CURRENCY",
        default_value = "USD",
        value_name = "CODE"
    )]
    pub currency: String,
}

/// The criteria that queries take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SisFilters {
    /// Student, academic period and funding destination.
    All,
    /// Only the student.
    Student,
}

impl Settings {
    fn sis(&self) -> Result<Option<Arc<Sis>>, StartError> {
        let (Some(url), Some(key_file)) = (&self.sis_url, &self.sis_api_key_file) else {
            return Ok(None);
        };
        let deadline = SignedDuration::from_secs(self.sis_deadline);
        let settings = EthosSettings {
            allow_plain_http: self.sis_allow_plain_http,
            ca_certificates: self.sis_ca_file.clone(),
            deadline: Duration::try_from(deadline).unwrap_or_default(),
            filters: match self.sis_filters {
                SisFilters::All => QueryFilters::All,
                SisFilters::Student => QueryFilters::Student,
            },
            negative_amounts: !self.sis_no_negative_amounts,
            requests_per_second: self.sis_requests_per_second,
            ..EthosSettings::new(url, read_key(key_file)?)
        };
        let ethos =
            Ethos::new(settings).map_err(|error| StartError::Configuration(error.to_string()))?;
        Ok(Some(Arc::new(Sis {
            accounts: StudentAccounts::Ethos(ethos),
            patience: Patience {
                deadline,
                max_in_flight: SignedDuration::from_secs(self.sis_max_in_flight),
            },
        })))
    }

    fn batches(&self) -> Result<Option<Arc<BatchSite>>, StartError> {
        let (Some(layout), Some(folder)) = (&self.sis_batch_layout, &self.sis_batch_folder) else {
            return Ok(None);
        };
        let wrong = |path: &Path, error: &dyn std::fmt::Display| {
            StartError::Configuration(format!("{}: {error}", path.display()))
        };
        let text = std::fs::read_to_string(layout).map_err(|error| wrong(layout, &error))?;
        let site = BatchSite {
            layout: Layout::parse(&text).map_err(|error| wrong(layout, &error))?,
            folder: folder.clone(),
            answer_within: SignedDuration::from_hours(self.sis_batch_answer_within),
            quiet: Duration::from_secs(self.sis_batch_quiet),
            build_at: times("--sis-batch-at", &self.sis_batch_at)?,
        };
        site.prepare().map_err(|error| wrong(folder, &error))?;
        Ok(Some(Arc::new(site)))
    }

    fn billing(&self, context: &Context) -> Result<Billing, StartError> {
        let configuration = |text: String| StartError::Configuration(text);
        Ok(Billing {
            database: context.database.clone(),
            clock: context.clock.clone(),
            wake: context.feed.wake(),
            queue: Arc::new(Notify::new()),
            currency: self.currency.parse::<Currency>().map_err(|_| {
                configuration(format!("--currency {}: expected USD or CAD", self.currency))
            })?,
            zone: TimeZone::get(&self.time_zone).map_err(|_| {
                configuration(format!(
                    "--time-zone {}: expected a name such as America/Los_Angeles",
                    self.time_zone
                ))
            })?,
            posting_after: SignedDuration::from_hours(24 * self.posting_after_days),
            sis: self.sis()?,
            batches: self.batches()?,
            shutdown: context.shutdown.clone(),
        })
    }
}

/// Times of day, or `never`.
fn times(flag: &str, text: &str) -> Result<Vec<Time>, StartError> {
    if text == "never" {
        return Ok(Vec::new());
    }
    let read = |time: &str| {
        Time::strptime("%H:%M", time.trim()).map_err(|_| {
            StartError::Configuration(format!("{flag} {text}: expected times such as 02:00,14:30"))
        })
    };
    text.split(',').map(read).collect()
}

fn read_key(path: &Path) -> Result<String, StartError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        StartError::Configuration(format!("the SIS API key in {}: {error}", path.display()))
    })?;
    let key = text.trim();
    if key.is_empty() {
        return Err(StartError::Configuration(format!(
            "{} is empty",
            path.display()
        )));
    }
    Ok(key.to_owned())
}

/// The service.
#[must_use]
pub fn definition(
    settings: Settings,
) -> Definition<impl FnOnce(&Context) -> Result<Assembly, StartError>> {
    Definition {
        name: "billing",
        migrations: &MIGRATIONS,
        peer_permissions: &[
            "events.subscribe",
            "circulation.fines.read",
            "circulation.loans.read",
            "patrons.standings.read",
            "patrons.student-links.read",
        ],
        build: move |context: &Context| {
            let billing = settings.billing(context)?;
            let rpcs = Rpcs::new(billing.clone());
            let pace = Pace {
                interval: Duration::from_millis(settings.posting_interval),
                settlement_interval: Duration::from_secs(settings.settlement_interval),
            };
            let circulation = context.peers.channel("circulation")?;
            let patrons = context.peers.channel("patrons")?;
            let charges = Consumer::of_events(
                "circulation",
                context.database.clone(),
                EventFeedServiceClient::new(circulation),
                CirculationCharges::new(billing.clone()),
            );
            let links = Consumer::of_state(
                "patrons",
                context.database.clone(),
                EventFeedServiceClient::new(patrons.clone()),
                StudentLinks::new(patrons),
            );
            Ok(Assembly::new()
                .serve(AccountServiceServer::new(rpcs.clone()))
                .serve(PaymentServiceServer::new(rpcs.clone()))
                .serve(DisputeServiceServer::new(rpcs.clone()))
                .serve(WriteOffServiceServer::new(rpcs.clone()))
                .serve(BillingRulesServiceServer::new(rpcs.clone()))
                .serve(FeeFineServiceServer::new(rpcs.clone()))
                .serve(JournalServiceServer::new(rpcs.clone()))
                .serve(PostingServiceServer::new(rpcs.clone()))
                .serve(PostingBatchServiceServer::new(rpcs.clone()))
                .serve(PostingPolicyServiceServer::new(rpcs.clone()))
                .serve(PostingRouteServiceServer::new(rpcs))
                .follow(charges)
                .follow(links)
                .run("postings", worker::work(billing, pace)))
        },
    }
}
