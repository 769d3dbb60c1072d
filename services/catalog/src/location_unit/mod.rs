//! The district's places: institution (college), campus, library, location.

mod model;
pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_outbox::NewEvent;
use carrel_proto::catalog::v1 as wire;
use uuid::Uuid;

pub(crate) use model::{Level, LocationUnit, NewLocationUnit};

use crate::Catalog;
use crate::error::Error;

/// Adds a place.
pub(crate) async fn create(
    catalog: &Catalog,
    key: &RequestKey,
    trace_parent: Option<&str>,
    new: &NewLocationUnit,
) -> Result<LocationUnit, Error> {
    let now = catalog.clock.now();
    let id = carrel_ids::new_id();
    let created = transact!(catalog.database, "create_location_unit", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
            return Ok::<_, Error>(Err(ids));
        }
        let unit = store::insert(transaction, id, new).await?;
        carrel_outbox::append(transaction, &[changed(&unit, now, trace_parent)]).await?;
        Ok(Ok(unit))
    })?;
    answer(catalog, created).await
}

/// Changes a place's name.
pub(crate) async fn rename(
    catalog: &Catalog,
    key: &RequestKey,
    trace_parent: Option<&str>,
    id: Uuid,
    etag: &str,
    name: &str,
) -> Result<LocationUnit, Error> {
    let now = catalog.clock.now();
    let renamed = transact!(catalog.database, "rename_location_unit", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
            return Ok::<_, Error>(Err(ids));
        }
        let before = store::lock(transaction, id)
            .await?
            .ok_or(Error::LocationUnitNotFound)?;
        if !etag.is_empty() && etag != before.etag() {
            return Err(Error::EtagMismatch);
        }
        let unit = store::rename(transaction, id, name).await?;
        carrel_outbox::append(transaction, &[changed(&unit, now, trace_parent)]).await?;
        Ok(Ok(unit))
    })?;
    answer(catalog, renamed).await
}

/// What was done now, or the place that the same request made before.
async fn answer(
    catalog: &Catalog,
    outcome: Result<LocationUnit, Vec<Uuid>>,
) -> Result<LocationUnit, Error> {
    match outcome {
        Ok(unit) => {
            catalog.wake.committed();
            Ok(unit)
        }
        Err(ids) => {
            get(
                catalog,
                *ids.first().ok_or(Error::Unsound("a request without ids"))?,
            )
            .await
        }
    }
}

/// Reads a place.
pub(crate) async fn get(catalog: &Catalog, id: Uuid) -> Result<LocationUnit, Error> {
    store::find(catalog.database.pool(), id)
        .await?
        .ok_or(Error::LocationUnitNotFound)
}

impl LocationUnit {
    /// Changes with each revision (AIP-154).
    pub(crate) fn etag(&self) -> String {
        self.revision.to_string()
    }

    pub(crate) fn to_wire(&self) -> wire::LocationUnit {
        let kind = match Level::from_number(self.level) {
            None => wire::LocationUnitKind::Unspecified,
            Some(Level::Institution) => wire::LocationUnitKind::Institution,
            Some(Level::Campus) => wire::LocationUnitKind::Campus,
            Some(Level::Library) => wire::LocationUnitKind::Library,
            Some(Level::Location) => wire::LocationUnitKind::Location,
        };
        wire::LocationUnit {
            id: self.id.to_string(),
            kind: kind.into(),
            parent_id: self.parent_id.map(|id| id.to_string()).unwrap_or_default(),
            code: self.code.clone(),
            name: self.name.clone(),
            revision: self.revision,
            etag: self.etag(),
        }
    }
}

fn changed(unit: &LocationUnit, now: jiff::Timestamp, trace_parent: Option<&str>) -> NewEvent {
    let message = wire::LocationUnitChanged {
        location_unit: Some(unit.to_wire()),
    };
    NewEvent::of(unit.id, &message, now).caused_by(trace_parent.map(str::to_owned))
}
