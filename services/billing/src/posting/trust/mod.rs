//! Whether these books are the ones that posted last.
//!
//! A restored database has forgotten what was posted after its backup was made; charges come again from circulation's
//! events, and their postings with them. The feed's epoch tells of a restore (see carrel-outbox). From then on what was
//! charged before is looked up before it is posted for the first time (ARCHITECTURE §5.5).

mod store;

use carrel_database::transact;
use carrel_ids::new_id;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::batch;
use super::model::{Moment, Patience, Posting};
use super::store::update_posting;
use crate::error::Error;
use crate::{Billing, message};

/// More batches than anybody builds after a backup was made: their numbers are not given again.
const FORGOTTEN_BATCHES: i64 = 1_000;

/// What the books can be trusted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trust {
    /// The feed's epoch.
    pub(crate) epoch: Uuid,
    /// The last restore, where there was one.
    pub(crate) restored: Option<Moment>,
}

impl Trust {
    /// Looks at a posting of a charge that is about to be handed over for the
    /// first time under this epoch: where the books may have forgotten that it
    /// was, it is to be looked up, and the answer is true.
    pub(crate) fn doubts(
        &self,
        posting: &mut Posting,
        charged_at: Timestamp,
        patience: Patience,
        at: Moment,
    ) -> Result<bool, Error> {
        let Some(restored) = self.restored else {
            return Ok(false);
        };
        if posting.looked_up_epoch == Some(self.epoch) || charged_at >= restored.now {
            return Ok(false);
        }
        let absent_from = patience.over_at(restored.machine);
        posting.doubt(new_id(), self.epoch, absent_from, at)?;
        Ok(true)
    }
}

/// What the books can be trusted with; `None` where a restore was not noticed
/// yet.
pub(super) async fn find(connection: &mut PgConnection) -> Result<Option<Trust>, Error> {
    store::find_trust(connection).await
}

/// Notices that the database was restored: from now on what was charged before
/// is looked up first, and so is all that waits or is under way.
pub(super) async fn notice_restore(billing: &Billing, patience: Patience) -> Result<(), Error> {
    let mut connection = billing.database.pool().acquire().await?;
    let is_noticed = find(&mut connection).await?.is_some();
    drop(connection);
    if is_noticed {
        return Ok(());
    }
    let at = billing.moment();
    let doubted = transact!(billing.database, "notice_restore", |transaction| {
        let Some(epoch) = store::renew_trust(transaction, at).await? else {
            return Ok::<_, Error>(0);
        };
        let absent_from = patience.over_at(at.machine);
        batch::store::skip_sequences(transaction, FORGOTTEN_BATCHES).await?;
        let unsettled = store::lock_unsettled(transaction).await?;
        let mut events = Vec::with_capacity(unsettled.len());
        for mut posting in unsettled {
            posting.doubt(new_id(), epoch, absent_from, at)?;
            update_posting(transaction, &posting).await?;
            events.push(message::posting_changed(&posting, at.now));
        }
        carrel_outbox::append(transaction, &events).await?;
        tracing::warn!(
            "the database was restored: earlier charges are looked up before they are posted"
        );
        Ok(events.len())
    })?;
    if doubted > 0 {
        billing.committed();
        tracing::warn!(
            postings = doubted,
            "looking up what waited or was under way in the restored database"
        );
    }
    Ok(())
}
