//! Manual blocks: to set, list and lift them.

mod model;
pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_outbox::NewEvent;
use carrel_proto::patrons::v1::ManualBlockChanged;
use carrel_runtime::{Call, Page};
use jiff::Timestamp;
use uuid::Uuid;

pub use model::{ManualBlock, NewBlock, last_day_over_everywhere};

use crate::{Error, Patrons, access_log, refuse_own_account};

/// Sets a block on a patron.
///
/// # Errors
/// OWN_ACCOUNT, BLOCK_BLOCKS_NOTHING, PATRON_NOT_FOUND.
pub async fn create(
    patrons: &Patrons,
    call: &Call,
    key: &RequestKey,
    new: &NewBlock,
) -> Result<ManualBlock, Error> {
    refuse_own_account(call, new.patron_id)?;
    let now = patrons.clock.now();
    new.check(now).map_err(Error::BlocksNothing)?;
    let block = ManualBlock::set(
        carrel_ids::new_id(),
        new.clone(),
        call.caller.subject(),
        now,
    );
    let created = transact!(patrons.database, "create_manual_block", |transaction| {
        let claimed = claim(transaction, key, &[block.id], now).await??;
        access_log::note(&mut *transaction, call, &[new.patron_id], now).await?;
        if let Claim::Done(ids) = claimed {
            let found = store::find_and_lock(transaction, ids[0]).await?;
            return found.ok_or(Error::ManualBlockNotFound);
        }
        store::insert(transaction, &block).await?;
        carrel_outbox::append(transaction, &[changed(&block, call, now)]).await?;
        Ok::<_, Error>(block.clone())
    })?;
    patrons.committed();
    Ok(created)
}

fn changed(block: &ManualBlock, call: &Call, now: Timestamp) -> NewEvent {
    let event = ManualBlockChanged {
        block: Some(block.to_standing()),
    };
    NewEvent::of(block.id, &event, now).caused_by(call.trace_parent.clone())
}

/// A page of a patron's blocks, newest first, with the next page's token.
///
/// # Errors
/// PATRON_NOT_FOUND.
pub async fn list(
    patrons: &Patrons,
    call: &Call,
    patron_id: Uuid,
    include_ended: bool,
    page: &Page<Uuid>,
) -> Result<(Vec<ManualBlock>, String), Error> {
    let pool = patrons.database.pool();
    let ended = (!include_ended).then(|| last_day_over_everywhere(patrons.clock.now()));
    let mut blocks = store::list(pool, patron_id, ended, page.after, page.limit()).await?;
    if blocks.is_empty()
        && crate::patron::store::find_standing(pool, patron_id)
            .await?
            .is_none()
    {
        return Err(Error::PatronNotFound);
    }
    // That somebody has no block is told about them too.
    access_log::note(pool, call, &[patron_id], patrons.clock.now()).await?;
    let next = page.cut(&mut blocks, |block| block.id);
    Ok((blocks, next))
}

/// Lifts a block; one that was lifted stays as it is.
///
/// # Errors
/// MANUAL_BLOCK_NOT_FOUND, OWN_ACCOUNT.
pub async fn lift(
    patrons: &Patrons,
    call: &Call,
    key: &RequestKey,
    id: Uuid,
) -> Result<ManualBlock, Error> {
    let now = patrons.clock.now();
    let lifted = transact!(patrons.database, "lift_manual_block", |transaction| {
        let done = claim(transaction, key, &[id], now).await??;
        let found = store::find_and_lock(transaction, id).await?;
        let mut block = found.ok_or(Error::ManualBlockNotFound)?;
        refuse_own_account(call, block.patron_id)?;
        access_log::note(&mut *transaction, call, &[block.patron_id], now).await?;
        if matches!(done, Claim::Done(_)) || !block.lift(now) {
            return Ok(block);
        }
        store::lift(transaction, &block, call.caller.subject(), now).await?;
        carrel_outbox::append(transaction, &[changed(&block, call, now)]).await?;
        Ok::<_, Error>(block)
    })?;
    patrons.committed();
    Ok(lifted)
}
