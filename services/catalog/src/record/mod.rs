//! Bibliographic records: the MARC record kept whole, indexed fields beside it.

pub(crate) mod identifier;
pub(crate) mod index;
pub(crate) mod model;
pub(crate) mod store;
mod words;

use std::collections::HashMap;

use uuid::Uuid;

pub(crate) use model::{Format, Kind, Record};
pub(crate) use store::{Criteria, Found};
pub(crate) use words::web_query;

use crate::Catalog;
use crate::error::Error;

/// Reads a record, and its bytes where they are wanted.
pub(crate) async fn get(
    catalog: &Catalog,
    id: Uuid,
    with_raw: bool,
) -> Result<(Record, Vec<u8>), Error> {
    let pool = catalog.database.pool();
    let record = store::find(pool, id).await?.ok_or(Error::RecordNotFound)?;
    let raw = if with_raw {
        store::find_raw(pool, id)
            .await?
            .ok_or(Error::RecordNotFound)?
    } else {
        Vec::new()
    };
    Ok((record, raw))
}

/// Finds records: best match first, without those that went meanwhile.
pub(crate) async fn search(
    catalog: &Catalog,
    criteria: &Criteria,
    after: Option<(f32, Uuid)>,
    limit: i64,
) -> Result<Vec<Found>, Error> {
    let pool = catalog.database.pool();
    let with_identifier = match &criteria.identifier {
        Some(wanted) => Some(store::find_by_identifier(pool, wanted).await?),
        None => None,
    };
    Ok(store::search(pool, criteria, with_identifier.as_deref(), after, limit).await?)
}

/// The records that were found, in their order.
pub(crate) async fn read_found(catalog: &Catalog, found: &[Found]) -> Result<Vec<Record>, Error> {
    let ids: Vec<Uuid> = found.iter().map(|found| found.id).collect();
    let records = store::find_all(catalog.database.pool(), &ids).await?;
    let mut by_id: HashMap<Uuid, Record> = records
        .into_iter()
        .map(|record| (record.id, record))
        .collect();
    Ok(ids.iter().filter_map(|id| by_id.remove(id)).collect())
}
