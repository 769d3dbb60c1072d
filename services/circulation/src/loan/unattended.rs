//! What becomes of loans without anybody at a desk: renewals by themselves,
//! and due dates whose change was begun.

use jiff::Timestamp;

use super::{action_store, automatic_renewal, due_change};
use crate::Circulation;
use crate::error::Error;

/// Whether anything of it is to be done.
///
/// # Errors
/// The database's.
pub async fn is_anything_due(circulation: &Circulation, now: Timestamp) -> Result<bool, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    Ok(action_store::is_any_change_waiting(&mut connection).await?
        || automatic_renewal::is_anything_due(&mut connection, now).await?)
}

/// Does all of it that is due by now. Several replicas share it: each takes
/// what no other one holds.
///
/// # Errors
/// The database's.
pub async fn run(circulation: &Circulation) -> Result<(), Error> {
    due_change::move_waiting(circulation).await?;
    let renewed_count = automatic_renewal::run(circulation).await?;
    if renewed_count > 0 {
        tracing::info!(renewed_count, "renewed by themselves");
    }
    Ok(())
}
