//! The log of who was told what about whom (California Government Code
//! 7927.105 lets patron records go to staff within their duties only).
//!
//! Every answer that holds a patron is logged before it is given. What found
//! nobody told nothing, and is not.

use carrel_runtime::Call;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgExecutor;
use uuid::Uuid;

/// Notes that the caller is told about these patrons.
pub(crate) async fn note(
    executor: impl PgExecutor<'_>,
    call: &Call,
    patron_ids: &[Uuid],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if patron_ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into access_log (accessed_at, accessed_by, rpc, patron_ids, trace_parent)
         values ($1, $2, $3, $4, $5)",
        now.to_sqlx(),
        call.caller.subject(),
        call.rpc,
        patron_ids,
        call.trace_parent
    )
    .execute(executor)
    .await?;
    Ok(())
}
