//! All SQL that touches the policy and the dated notices.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use prost::Message as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::Policy;
use crate::error::Error;
use crate::message;

/// The policy; where none was set, everything is posted.
pub(crate) async fn find_policy(connection: &mut PgConnection) -> Result<Policy, Error> {
    let row = sqlx::query!(
        "select criterion, notice_wait_days, revision, changed_by, changed_at from posting_policy",
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else {
        return Ok(Policy::default());
    };
    Ok(Policy {
        criterion: message::stored_criterion(&row.criterion)?,
        notice_wait_days: row.notice_wait_days,
        revision: row.revision,
        changed_by: row.changed_by,
        changed_at: Some(row.changed_at.to_jiff()),
    })
}

/// Writes the policy over the revision that was read; false where there is another.
pub(crate) async fn put_policy(
    connection: &mut PgConnection,
    policy: &Policy,
    read_revision: i64,
) -> Result<bool, Error> {
    let criterion = policy
        .criterion
        .as_ref()
        .map(|criterion| message::criterion(criterion).encode_to_vec())
        .unwrap_or_default();
    let written = sqlx::query!(
        "insert into posting_policy as p (criterion, notice_wait_days, revision, changed_by, changed_at)
         select $1, $2, $3, $4, $5 where $6::bigint = 0 or exists (select from posting_policy)
         on conflict (singleton) do update
         set criterion = excluded.criterion, notice_wait_days = excluded.notice_wait_days,
             revision = excluded.revision, changed_by = excluded.changed_by, changed_at = excluded.changed_at
         where p.revision = $6",
        criterion,
        policy.notice_wait_days,
        policy.revision,
        policy.changed_by,
        policy.changed_at.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        read_revision,
    )
    .execute(connection)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// Records notices; the first date of a charge stays.
pub(crate) async fn insert_notices(
    connection: &mut PgConnection,
    account_ids: &[Uuid],
    noticed_on: Date,
    recorded_by: &str,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into posting_notice (account_id, noticed_on, recorded_by, recorded_at)
         select account_id, $2, $3, $4 from unnest($1::uuid[]) as t (account_id)
         on conflict (account_id) do nothing",
        account_ids,
        noticed_on.to_sqlx() as jiff_sqlx::Date,
        recorded_by,
        now.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Charges of which something is owed here or is to be credited there, and no posting is open, by their date.
pub(crate) async fn list_owed(
    connection: &mut PgConnection,
    after: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<Uuid>, Error> {
    let (after_at, after_id) = after.unzip();
    Ok(sqlx::query_scalar!(
        "select a.id from account a
         where a.remaining <> a.at_sis
           and not exists (
               select from posting p where p.account_id = a.id
               and p.state in ('pending', 'submitted', 'unknown', 'rejected', 'unrouted'))
           and ($1::timestamptz is null or (a.charged_at, a.id) > ($1, $2))
         order by a.charged_at, a.id limit $3",
        after_at.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        after_id,
        limit,
    )
    .fetch_all(connection)
    .await?)
}
