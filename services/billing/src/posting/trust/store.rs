//! All SQL that touches the trust in the books.

use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Trust;
use crate::error::Error;
use crate::posting::model::{Moment, Posting};
use crate::posting::store::list_by_ids;

/// What the books can be trusted with; `None` where the feed's epoch is not the
/// one of the last round, or there was none.
pub(crate) async fn find_trust(connection: &mut PgConnection) -> Result<Option<Trust>, Error> {
    let row = sqlx::query!(
        "select t.epoch, t.since, t.noticed_at from posting_trust t join feed_head h on h.epoch = t.epoch",
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Trust {
        epoch: row.epoch,
        restored: row.since.zip(row.noticed_at).map(|(now, machine)| Moment {
            now: now.to_jiff(),
            machine: machine.to_jiff(),
        }),
    }))
}

/// Keeps the feed's epoch. A new one, unless it is the first: the database was
/// restored before `at`. `None` where nothing was.
pub(crate) async fn renew_trust(
    connection: &mut PgConnection,
    at: Moment,
) -> Result<Option<Uuid>, Error> {
    let first = sqlx::query!(
        "insert into posting_trust (epoch) select epoch from feed_head on conflict do nothing",
    )
    .execute(&mut *connection)
    .await?;
    if first.rows_affected() == 1 {
        return Ok(None);
    }
    Ok(sqlx::query_scalar!(
        "update posting_trust set epoch = h.epoch, since = $1, noticed_at = $2
         from feed_head h where h.epoch <> posting_trust.epoch
         returning posting_trust.epoch",
        at.now.to_sqlx() as jiff_sqlx::Timestamp,
        at.machine.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .fetch_optional(connection)
    .await?)
}

/// Locks all that waits to be sent or is under way, with its accounts.
pub(crate) async fn lock_unsettled(connection: &mut PgConnection) -> Result<Vec<Posting>, Error> {
    let ids = sqlx::query_scalar!(
        "select p.id from posting p join account a on a.id = p.account_id
         where p.state in ('pending', 'submitted', 'unknown') order by a.id for update of a, p",
    )
    .fetch_all(&mut *connection)
    .await?;
    list_by_ids(connection, &ids).await
}
