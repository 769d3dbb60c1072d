//! Circulation: where, by which rules, and what is out.
//!
//! - [`service_point`]: desks and machines, and when somebody is there;
//! - [`policy`]: what circulation rules choose between;
//! - [`rule`]: the rule text, read, kept and explained;
//! - [`loan`]: check-out, check-in, renewal;
//! - [`equipment`]: parts that belong to an item, and damage;
//! - [`request`]: holds, recalls, pages, and who gets what next;
//! - [`ageing`]: what becomes overdue and lost;
//! - [`privacy`]: whose a loan was is forgotten;
//! - [`statistic`]: counts of what happened;
//! - [`projection`]: what is learnt from catalog, patrons and billing;
//! - [`grpc`]: the contract's services on top of these.

pub mod ageing;
pub mod equipment;
pub mod error;
pub mod grpc;
mod known;
pub mod loan;
pub mod period;
pub mod policy;
pub mod privacy;
pub mod projection;
pub mod request;
pub mod rule;
pub mod service_point;
pub mod statistic;

use std::sync::Arc;
use std::time::Duration;

use carrel_database::Database;
use carrel_outbox::{Consumer, Wake};
use carrel_proto::circulation::v1::circulation_rule_service_server::CirculationRuleServiceServer;
use carrel_proto::circulation::v1::equipment_service_server::EquipmentServiceServer;
use carrel_proto::circulation::v1::loan_action_service_server::LoanActionServiceServer;
use carrel_proto::circulation::v1::loan_batch_service_server::LoanBatchServiceServer;
use carrel_proto::circulation::v1::loan_service_server::LoanServiceServer;
use carrel_proto::circulation::v1::patron_block_service_server::PatronBlockServiceServer;
use carrel_proto::circulation::v1::policy_service_server::PolicyServiceServer;
use carrel_proto::circulation::v1::privacy_service_server::PrivacyServiceServer;
use carrel_proto::circulation::v1::request_service_server::RequestServiceServer;
use carrel_proto::circulation::v1::service_point_service_server::ServicePointServiceServer;
use carrel_proto::circulation::v1::statistic_service_server::StatisticServiceServer;
use carrel_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use carrel_runtime::{Assembly, BarcodeKey, Clock, Context, Definition, StartError};
use sqlx::migrate::Migrator;
use uuid::Uuid;

use error::Error;
use known::Known;
use loan::together::Lanes;
use projection::billing::BillingProjection;
use projection::catalog::CatalogProjection;
use projection::lookup::Lookup;
use projection::patrons::PatronsProjection;

/// The service's own tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// What it may ask its peers.
const PEER_PERMISSIONS: [&str; 6] = [
    "events.subscribe",
    "catalog.items.read",
    "catalog.location-units.read",
    "patrons.standings.read",
    "billing.balances.read",
    "billing.accounts.read",
];

/// What the circulation service is told when it starts.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// What every service is told.
    #[command(flatten)]
    pub runtime: carrel_runtime::Settings,
}

/// What circulation works with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Circulation {
    database: Database,
    clock: Clock,
    wake: Wake,
    barcode_key: BarcodeKey,
    lookup: Arc<Lookup>,
    /// The feeds it follows, to say how old its knowledge is.
    feeds: Arc<[Consumer]>,
    known: Arc<Known>,
    /// Check-outs that wait to be lent together.
    lanes: Arc<Lanes>,
}

impl Circulation {
    /// Circulation on a database whose tables are there.
    #[must_use]
    pub fn new(
        database: Database,
        clock: Clock,
        wake: Wake,
        barcode_key: BarcodeKey,
        lookup: Lookup,
        feeds: Vec<Consumer>,
    ) -> Self {
        Self {
            database,
            clock,
            wake,
            barcode_key,
            lookup: Arc::new(lookup),
            feeds: feeds.into(),
            known: Arc::default(),
            lanes: Arc::default(),
        }
    }

    /// Since when each feed that it follows was last known to be level;
    /// `None`: never.
    fn projection_ages(&self) -> Vec<(&'static str, Option<Duration>)> {
        let age = |feed: &Consumer| (feed.feed(), feed.staleness());
        self.feeds.iter().map(age).collect()
    }
}

/// The circulation service.
pub fn definition(
    _settings: Settings,
) -> Definition<impl FnOnce(&Context) -> Result<Assembly, StartError>> {
    Definition {
        name: "circulation",
        migrations: &MIGRATIONS,
        peer_permissions: &PEER_PERMISSIONS,
        build: assemble,
    }
}

fn assemble(context: &Context) -> Result<Assembly, StartError> {
    let catalog = context.peers.channel("catalog")?;
    let patrons = context.peers.channel("patrons")?;
    let billing = context.peers.channel("billing")?;
    let feeds = vec![
        Consumer::of_state(
            "catalog",
            context.database.clone(),
            EventFeedServiceClient::new(catalog.clone()),
            CatalogProjection {
                channel: Some(catalog.clone()),
            },
        ),
        Consumer::of_state(
            "patrons",
            context.database.clone(),
            EventFeedServiceClient::new(patrons.clone()),
            PatronsProjection {
                channel: Some(patrons.clone()),
            },
        ),
        Consumer::of_state(
            "billing",
            context.database.clone(),
            EventFeedServiceClient::new(billing.clone()),
            BillingProjection {
                channel: Some(billing),
            },
        ),
    ];
    let circulation = Circulation::new(
        context.database.clone(),
        context.clock.clone(),
        context.feed.wake(),
        context.barcode_key.clone(),
        Lookup::new(context.database.clone(), Some(catalog), Some(patrons)),
        feeds.clone(),
    );
    let ageing = ageing::run_until(circulation.clone(), context.shutdown.clone());
    let closings = service_point::closing::run_until(circulation.clone(), context.shutdown.clone());
    let assembly = Assembly::new()
        .serve(ServicePointServiceServer::new(grpc::ServicePointRpcs(
            circulation.clone(),
        )))
        .serve(PolicyServiceServer::new(grpc::PolicyRpcs(
            circulation.clone(),
        )))
        .serve(CirculationRuleServiceServer::new(
            grpc::CirculationRuleRpcs(circulation.clone()),
        ))
        .serve(EquipmentServiceServer::new(grpc::EquipmentRpcs(
            circulation.clone(),
        )))
        .serve(RequestServiceServer::new(grpc::RequestRpcs(
            circulation.clone(),
        )))
        .serve(PatronBlockServiceServer::new(grpc::PatronBlockRpcs(
            circulation.clone(),
        )))
        .serve(PrivacyServiceServer::new(grpc::PrivacyRpcs(
            circulation.clone(),
        )))
        .serve(StatisticServiceServer::new(grpc::StatisticRpcs(
            circulation.clone(),
        )))
        .serve(LoanActionServiceServer::new(grpc::LoanActionRpcs(
            circulation.clone(),
        )))
        .serve(LoanBatchServiceServer::new(grpc::LoanBatchRpcs(
            circulation.clone(),
        )))
        .serve(LoanServiceServer::new(grpc::LoanRpcs(circulation)))
        .run("ageing", ageing)
        .run("closings", closings);
    Ok(feeds.into_iter().fold(assembly, Assembly::follow))
}

/// The one id that a request was claimed with.
fn first_id(ids: &[Uuid]) -> Result<Uuid, Error> {
    ids.first()
        .copied()
        .ok_or_else(|| Error::Unreadable("a request without its outcome".into()))
}
