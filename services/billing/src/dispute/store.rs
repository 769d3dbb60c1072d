//! All SQL that touches disputes.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Dispute, Outcome};
use crate::error::Error;

struct DisputeRow {
    id: Uuid,
    account_id: Uuid,
    opened_by: String,
    opened_at: jiff_sqlx::Timestamp,
    reason: String,
    outcome: Option<Outcome>,
    decided_by: Option<String>,
    decided_at: Option<jiff_sqlx::Timestamp>,
    comment: String,
}

impl From<DisputeRow> for Dispute {
    fn from(row: DisputeRow) -> Self {
        let decided_at: Option<Timestamp> = row.decided_at.map(jiff_sqlx::Timestamp::to_jiff);
        Self {
            id: row.id,
            account_id: row.account_id,
            opened_by: row.opened_by,
            opened_at: row.opened_at.to_jiff(),
            reason: row.reason,
            decision: match (row.outcome, row.decided_by, decided_at) {
                (Some(outcome), Some(by), Some(at)) => Some((outcome, by, at)),
                _ => None,
            },
            comment: row.comment,
        }
    }
}

/// Adds a dispute that is opened.
pub(crate) async fn insert(connection: &mut PgConnection, dispute: &Dispute) -> Result<(), Error> {
    sqlx::query!(
        "insert into dispute (id, account_id, opened_by, opened_at, reason) values ($1, $2, $3, $4, $5)",
        dispute.id,
        dispute.account_id,
        dispute.opened_by,
        dispute.opened_at.to_sqlx() as jiff_sqlx::Timestamp,
        dispute.reason,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes the decision.
pub(crate) async fn decide(connection: &mut PgConnection, dispute: &Dispute) -> Result<(), Error> {
    let Some((outcome, decided_by, decided_at)) = &dispute.decision else {
        return Ok(());
    };
    sqlx::query!(
        "update dispute set outcome = $2, decided_by = $3, decided_at = $4, comment = $5 where id = $1",
        dispute.id,
        *outcome as Outcome,
        decided_by,
        decided_at.to_sqlx() as jiff_sqlx::Timestamp,
        dispute.comment,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Reads a dispute.
pub(crate) async fn get(connection: &mut PgConnection, id: Uuid) -> Result<Dispute, Error> {
    sqlx::query_as!(
        DisputeRow,
        r#"select id, account_id, opened_by, opened_at, reason, outcome as "outcome: Outcome", decided_by, decided_at,
                  comment
           from dispute where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?
    .map(Dispute::from)
    .ok_or(Error::DisputeNotFound)
}

/// Disputes, newest first.
pub(crate) async fn list(
    connection: &mut PgConnection,
    account_id: Option<Uuid>,
    only_open: bool,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Dispute>, Error> {
    Ok(sqlx::query_as!(
        DisputeRow,
        r#"select id, account_id, opened_by, opened_at, reason, outcome as "outcome: Outcome", decided_by, decided_at,
                  comment
           from dispute
           where ($1::uuid is null or account_id = $1) and (outcome is null or not $2)
             and ($3::uuid is null or id < $3)
           order by id desc limit $4"#,
        account_id,
        only_open,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(Dispute::from)
    .collect())
}
