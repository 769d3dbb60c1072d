//! A batch's file reaches the drop folder once.
//!
//! It is first laid beside the drop folder, complete and synced, and that is committed. Then it is moved, which either
//! happened or did not: a file that is committed as staged and is no longer there has been delivered, even where whoever
//! takes it from the drop folder has done so already. Until it is staged, it is written again from the database, byte for
//! byte.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use carrel_database::transact;
use uuid::Uuid;

use super::{Batch, BatchSite, io_error, store};
use crate::Billing;
use crate::error::Error;

/// Delivers every batch that is built, the oldest first.
pub(super) async fn deliver_all(billing: &Billing, site: &BatchSite) -> Result<(), Error> {
    loop {
        let staged = transact!(billing.database, "stage_posting_batch", |transaction| {
            let Some((batch, content)) =
                store::lock_undelivered(transaction, &site.layout.name).await?
            else {
                return Ok::<_, Error>(None);
            };
            if batch.staged_at.is_none() {
                lay_beside(site, &batch, &content)?;
                store::mark_staged(transaction, batch.id, billing.moment().machine).await?;
            }
            Ok(Some(batch.id))
        })?;
        match staged {
            Some(id) if deliver(billing, site, id).await? => {}
            // Later ones wait: batches keep their order.
            Some(_) | None => return Ok(()),
        }
    }
}

/// Moves a staged file into the drop folder; false where something is in the way.
async fn deliver(billing: &Billing, site: &BatchSite, id: Uuid) -> Result<bool, Error> {
    let delivered = transact!(billing.database, "deliver_posting_batch", |transaction| {
        let Some((batch, content)) =
            store::lock_undelivered(transaction, &site.layout.name).await?
        else {
            return Ok::<_, Error>(true);
        };
        // Another replica may have been faster.
        if batch.id != id || batch.staged_at.is_none() {
            return Ok(true);
        }
        if !put_into_drop_folder(site, &batch, &content)? {
            let problem = "another file of this name is in the drop folder";
            store::write_problem(transaction, id, problem).await?;
            tracing::error!(batch.id = %id, problem, "a batch is not delivered");
            return Ok(false);
        }
        let now = billing.moment().machine;
        store::mark_delivered(transaction, id, now, now + site.answer_within).await?;
        tracing::info!(batch.id = %id, batch.sequence = batch.sequence, rows = batch.row_count, "delivered a batch");
        Ok(true)
    })?;
    Ok(delivered)
}

fn lay_beside(site: &BatchSite, batch: &Batch, content: &[u8]) -> Result<(), Error> {
    let path = site.staging(&batch.file_name);
    let partial = site.staging(&format!("{}.partial", batch.id));
    write_synced(&partial, content)
        .and_then(|()| fs::rename(&partial, &path))
        .and_then(|()| sync_folder(&path))
        .map_err(|error| io_error(&path, &error))
}

fn put_into_drop_folder(site: &BatchSite, batch: &Batch, content: &[u8]) -> Result<bool, Error> {
    let staged = site.staging(&batch.file_name);
    let path = site.out(&batch.file_name);
    let failed = |error: std::io::Error| io_error(&path, &error);
    if !staged.try_exists().map_err(failed)? {
        return Ok(true);
    }
    match fs::read(&path) {
        Ok(other) if other != content => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    fs::rename(&staged, &path)
        .and_then(|()| sync_folder(&path))
        .and_then(|()| sync_folder(&staged))
        .map_err(failed)?;
    Ok(true)
}

fn write_synced(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
