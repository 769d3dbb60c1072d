//! All SQL that touches write-offs.

use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{WriteOff, WriteOffState};
use crate::columns::money;
use crate::error::Error;

struct WriteOffRow {
    id: Uuid,
    account_id: Uuid,
    amount: Decimal,
    currency: String,
    state: WriteOffState,
    needs_approval: bool,
    reason: String,
    requested_by: String,
    requested_at: jiff_sqlx::Timestamp,
    decided_by: Option<String>,
    decided_at: Option<jiff_sqlx::Timestamp>,
    comment: String,
}

impl TryFrom<WriteOffRow> for WriteOff {
    type Error = Error;

    fn try_from(row: WriteOffRow) -> Result<Self, Error> {
        Ok(Self {
            id: row.id,
            account_id: row.account_id,
            amount: money(row.amount, &row.currency)?,
            state: row.state,
            needs_approval: row.needs_approval,
            reason: row.reason,
            requested_by: row.requested_by,
            requested_at: row.requested_at.to_jiff(),
            decided_by: row.decided_by,
            decided_at: row.decided_at.map(jiff_sqlx::Timestamp::to_jiff),
            comment: row.comment,
        })
    }
}

/// Adds a write-off.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    write_off: &WriteOff,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into write_off (id, account_id, amount, currency, state, needs_approval, reason, requested_by,
                                requested_at, decided_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        write_off.id,
        write_off.account_id,
        write_off.amount.amount(),
        write_off.amount.currency().code(),
        write_off.state as WriteOffState,
        write_off.needs_approval,
        write_off.reason,
        write_off.requested_by,
        write_off.requested_at.to_sqlx() as jiff_sqlx::Timestamp,
        write_off.decided_at.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes the decision.
pub(crate) async fn update(
    connection: &mut PgConnection,
    write_off: &WriteOff,
) -> Result<(), Error> {
    sqlx::query!(
        "update write_off set state = $2, decided_by = $3, decided_at = $4, comment = $5 where id = $1",
        write_off.id,
        write_off.state as WriteOffState,
        write_off.decided_by,
        write_off.decided_at.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        write_off.comment,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Reads a write-off.
pub(crate) async fn get(connection: &mut PgConnection, id: Uuid) -> Result<WriteOff, Error> {
    sqlx::query_as!(
        WriteOffRow,
        r#"select id, account_id, amount, currency, state as "state: WriteOffState", needs_approval, reason,
                  requested_by, requested_at, decided_by, decided_at, comment
           from write_off where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?
    .ok_or(Error::WriteOffNotFound)?
    .try_into()
}

/// Write-offs, newest first.
pub(crate) async fn list(
    connection: &mut PgConnection,
    only_waiting: bool,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<WriteOff>, Error> {
    sqlx::query_as!(
        WriteOffRow,
        r#"select id, account_id, amount, currency, state as "state: WriteOffState", needs_approval, reason,
                  requested_by, requested_at, decided_by, decided_at, comment
           from write_off
           where (state = 'waiting' or not $1) and ($2::uuid is null or id < $2)
           order by id desc limit $3"#,
        only_waiting,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(WriteOff::try_from)
    .collect()
}
