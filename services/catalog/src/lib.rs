//! The catalog: the district's locations, its bibliographic records and its
//! items.
//!
//! ```text
//! grpc/            decode, call, encode
//! location_unit/   institution, campus, library, location
//! record/          records: what is indexed of them, and how they are found
//! item/            copies and their life
//! import/          loads: reading a file, and committing it batch by batch
//! quarantine/      pieces of files that could not be read
//! projection.rs    what circulation says of items
//! ```

mod error;
mod grpc;
mod import;
mod item;
mod location_unit;
mod projection;
mod quarantine;
mod record;

use carrel_database::Database;
use carrel_money::Currency;
use carrel_outbox::Wake;
use carrel_proto::catalog::v1::item_service_server::ItemServiceServer;
use carrel_proto::catalog::v1::location_unit_service_server::LocationUnitServiceServer;
use carrel_proto::catalog::v1::quarantine_service_server::QuarantineServiceServer;
use carrel_proto::catalog::v1::record_service_server::RecordServiceServer;
use carrel_runtime::{Assembly, Clock, Context, Definition, StartError};
use sqlx::migrate::Migrator;
use tokio_util::sync::CancellationToken;

/// The service's own tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// How the catalog is configured.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// What every service is told.
    #[command(flatten)]
    pub runtime: carrel_runtime::Settings,

    /// The currency of prices in records, which do not name one
    #[arg(
        long,
        env = "CARREL_CURRENCY",
        default_value = "USD",
        value_name = "CODE"
    )]
    pub currency: Currency,
}

/// What every use case works with.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    database: Database,
    clock: Clock,
    wake: Wake,
    shutdown: CancellationToken,
    currency: Currency,
}

/// The service.
pub fn definition(
    settings: Settings,
) -> Definition<impl FnOnce(&Context) -> Result<Assembly, StartError>> {
    Definition {
        name: "catalog",
        migrations: &MIGRATIONS,
        peer_permissions: &["events.subscribe", "circulation.availabilities.read"],
        build: move |context: &Context| {
            let catalog = Catalog {
                database: context.database.clone(),
                clock: context.clock.clone(),
                wake: context.feed.wake(),
                shutdown: context.shutdown.clone(),
                currency: settings.currency,
            };
            Ok(Assembly::new()
                .serve(LocationUnitServiceServer::new(grpc::LocationUnits(
                    catalog.clone(),
                )))
                .serve(ItemServiceServer::new(grpc::Items(catalog.clone())))
                .serve(QuarantineServiceServer::new(grpc::Quarantine(
                    catalog.clone(),
                )))
                .serve(RecordServiceServer::new(grpc::Records(catalog)))
                .follow(projection::availabilities(context)?))
        },
    }
}
