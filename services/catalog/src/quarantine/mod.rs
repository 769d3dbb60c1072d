//! Pieces of files that could not be read, with their bytes.

pub(crate) mod store;

use jiff::Timestamp;
use uuid::Uuid;

use crate::Catalog;
use crate::error::Error;

/// A piece of a file that could not be read.
#[derive(Debug, Clone)]
pub(crate) struct QuarantinedRecord {
    pub id: Uuid,
    pub import_id: Uuid,
    pub file_offset: i64,
    pub byte_count: i64,
    pub reason: String,
    pub description: String,
    pub created_at: Timestamp,
    /// Only where it was read singly.
    pub raw: Vec<u8>,
}

/// Reads one with its bytes.
pub(crate) async fn get(catalog: &Catalog, id: Uuid) -> Result<QuarantinedRecord, Error> {
    store::find(catalog.database.pool(), id)
        .await?
        .ok_or(Error::QuarantinedRecordNotFound)
}
