//! All SQL that touches batches.

use carrel_student_accounts::batch::BatchFile;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Batch, BatchState};
use crate::error::Error;
use crate::posting::model::Posting;
use crate::posting::store::{insert_attempts, list_by_ids};

struct BatchRow {
    id: Uuid,
    destination: String,
    sequence: i64,
    file_name: String,
    state: BatchState,
    row_count: i32,
    charge_total: Decimal,
    credit_total: Decimal,
    hash_total: Decimal,
    currency: String,
    fingerprint: Vec<u8>,
    problem: String,
    built_at: jiff_sqlx::Timestamp,
    staged_at: Option<jiff_sqlx::Timestamp>,
    delivered_at: Option<jiff_sqlx::Timestamp>,
    answered_at: Option<jiff_sqlx::Timestamp>,
}

impl From<BatchRow> for Batch {
    fn from(row: BatchRow) -> Self {
        Self {
            id: row.id,
            destination: row.destination,
            sequence: row.sequence,
            file_name: row.file_name,
            state: row.state,
            row_count: row.row_count,
            charge_total: row.charge_total,
            credit_total: row.credit_total,
            hash_total: row.hash_total,
            currency: row.currency,
            fingerprint: row.fingerprint,
            problem: row.problem,
            built_at: row.built_at.to_jiff(),
            staged_at: row.staged_at.map(jiff_sqlx::Timestamp::to_jiff),
            delivered_at: row.delivered_at.map(jiff_sqlx::Timestamp::to_jiff),
            answered_at: row.answered_at.map(jiff_sqlx::Timestamp::to_jiff),
        }
    }
}

/// Locks pending postings that are due, with their accounts: all, or only credits, or only charges.
pub(super) async fn lock_pending(
    connection: &mut PgConnection,
    due_at: Timestamp,
    credits: Option<bool>,
    limit: i64,
) -> Result<Vec<Posting>, Error> {
    let ids = sqlx::query_scalar!(
        "select p.id from posting p join account a on a.id = p.account_id
         where p.state = 'pending' and p.next_attempt_at <= $1 and ($2::boolean is null or (p.amount < 0) = $2)
         order by p.created_at, p.id limit $3
         for update of a, p skip locked",
        due_at.to_sqlx() as jiff_sqlx::Timestamp,
        credits,
        limit,
    )
    .fetch_all(&mut *connection)
    .await?;
    list_by_ids(connection, &ids).await
}

/// The next number at a destination; whoever asks meanwhile waits.
pub(super) async fn next_sequence(
    connection: &mut PgConnection,
    destination: &str,
) -> Result<i64, Error> {
    Ok(sqlx::query_scalar!(
        "insert into posting_batch_destination as d (destination, last_sequence) values ($1, 1)
         on conflict (destination) do update set last_sequence = d.last_sequence + 1
         returning last_sequence",
        destination,
    )
    .fetch_one(connection)
    .await?)
}

/// Leaves a gap in the numbers of every destination: a restored database has forgotten some that were used.
pub(crate) async fn skip_sequences(connection: &mut PgConnection, gap: i64) -> Result<(), Error> {
    sqlx::query!(
        "update posting_batch_destination set last_sequence = last_sequence + $1",
        gap,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The last moment of the schedule for which batches were built; `first` where there was none.
pub(super) async fn built_for(
    connection: &mut PgConnection,
    destination: &str,
    first: Timestamp,
) -> Result<Timestamp, Error> {
    let built_for = sqlx::query_scalar!(
        r#"insert into posting_batch_destination as d (destination, built_for) values ($1, $2)
           on conflict (destination) do update set built_for = coalesce(d.built_for, excluded.built_for)
           returning built_for as "built_for!""#,
        destination,
        first.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .fetch_one(connection)
    .await?;
    Ok(built_for.to_jiff())
}

/// Notes that batches were built for a moment of the schedule.
pub(super) async fn mark_built_for(
    connection: &mut PgConnection,
    destination: &str,
    slot: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "update posting_batch_destination set built_for = greatest(built_for, $2) where destination = $1",
        destination,
        slot.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds a batch with its file.
pub(super) async fn insert_batch(
    connection: &mut PgConnection,
    id: Uuid,
    destination: &str,
    sequence: i64,
    currency: &str,
    file: &BatchFile,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into posting_batch (id, destination, sequence, file_name, state, row_count, charge_total, credit_total,
                                    hash_total, currency, fingerprint, content, built_at)
         values ($1, $2, $3, $4, 'built', $5, $6, $7, $8, $9, $10, $11, $12)",
        id,
        destination,
        sequence,
        file.name,
        i32::try_from(file.totals.rows).unwrap_or(i32::MAX),
        file.totals.charges,
        file.totals.credits,
        Decimal::from(file.totals.hash),
        currency,
        &file.fingerprint[..],
        file.bytes,
        now.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A posting in a batch that is being built.
pub(super) struct NewLine {
    pub(super) posting_id: Uuid,
    pub(super) attempt_id: Uuid,
    pub(super) row_number: i32,
    pub(super) reference: String,
    pub(super) amount: Decimal,
}

/// Adds a batch's lines, each with its attempt.
pub(super) async fn insert_lines(
    connection: &mut PgConnection,
    batch_id: Uuid,
    lines: &[NewLine],
    now: Timestamp,
) -> Result<(), Error> {
    let posting_ids: Vec<Uuid> = lines.iter().map(|line| line.posting_id).collect();
    let attempt_ids: Vec<Uuid> = lines.iter().map(|line| line.attempt_id).collect();
    let rows: Vec<i32> = lines.iter().map(|line| line.row_number).collect();
    let references: Vec<String> = lines.iter().map(|line| line.reference.clone()).collect();
    let amounts: Vec<Decimal> = lines.iter().map(|line| line.amount).collect();
    sqlx::query!(
        "insert into posting_batch_line (batch_id, posting_id, attempt_id, row_number, reference, amount)
         select $1, * from unnest($2::uuid[], $3::uuid[], $4::integer[], $5::text[], $6::numeric[])",
        batch_id,
        &posting_ids,
        &attempt_ids,
        &rows,
        &references,
        &amounts,
    )
    .execute(&mut *connection)
    .await?;
    let attempts: Vec<(Uuid, Uuid)> = attempt_ids.into_iter().zip(posting_ids.clone()).collect();
    insert_attempts(connection, "batch", &attempts, now).await?;
    sqlx::query!(
        "update posting set batch_id = $1 where id = any($2)",
        batch_id,
        &posting_ids,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Locks the oldest batch that is to be delivered, and reads its file. Others wait: batches keep their order.
pub(super) async fn lock_undelivered(
    connection: &mut PgConnection,
    destination: &str,
) -> Result<Option<(Batch, Vec<u8>)>, Error> {
    let row = sqlx::query!(
        "select id, content from posting_batch where destination = $1 and state = 'built'
         order by sequence limit 1 for update",
        destination,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let batch = find_batch(connection, row.id).await?;
    Ok(batch.map(|batch| (batch, row.content)))
}

/// The file is complete beside the drop folder.
pub(super) async fn mark_staged(
    connection: &mut PgConnection,
    id: Uuid,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "update posting_batch set staged_at = $2 where id = $1",
        id,
        now.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The file is in the drop folder: from now on an answer is waited for.
pub(super) async fn mark_delivered(
    connection: &mut PgConnection,
    id: Uuid,
    now: Timestamp,
    answer_until: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "update posting_batch set state = 'delivered', delivered_at = $2, problem = '' where id = $1",
        id,
        now.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "update posting set next_attempt_at = $2, leased_until = $2, absent_from = $2
         where batch_id = $1 and state = 'submitted'",
        id,
        answer_until.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps why a batch is not delivered.
pub(super) async fn write_problem(
    connection: &mut PgConnection,
    id: Uuid,
    problem: &str,
) -> Result<(), Error> {
    sqlx::query!(
        "update posting_batch set problem = $2 where id = $1",
        id,
        problem,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether an answer was taken before.
pub(super) async fn is_taken(
    connection: &mut PgConnection,
    destination: &str,
    fingerprint: &[u8],
) -> Result<bool, Error> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from posting_batch_answer
                          where destination = $1 and fingerprint = $2 and problem = '') as "yes!""#,
        destination,
        fingerprint,
    )
    .fetch_one(connection)
    .await?)
}

/// Keeps that an answer came, and what became of it.
pub(super) async fn insert_answer(
    connection: &mut PgConnection,
    destination: &str,
    file_name: &str,
    fingerprint: &[u8],
    batch_id: Option<Uuid>,
    problem: &str,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into posting_batch_answer (id, destination, file_name, fingerprint, batch_id, problem, received_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict do nothing",
        carrel_ids::new_id(),
        destination,
        file_name,
        fingerprint,
        batch_id,
        problem,
        now.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The one batch that is everything that an answer says of it.
pub(super) async fn find_named(
    connection: &mut PgConnection,
    destination: &str,
    id: Option<Uuid>,
    sequence: Option<i64>,
    file_name: Option<&str>,
) -> Result<Option<Batch>, Error> {
    let found = sqlx::query_scalar!(
        "select id from posting_batch
         where destination = $1 and ($2::uuid is not null or $3::bigint is not null or $4::text is not null)
           and ($2::uuid is null or id = $2) and ($3::bigint is null or sequence = $3)
           and ($4::text is null or file_name = $4)",
        destination,
        id,
        sequence,
        file_name,
    )
    .fetch_optional(&mut *connection)
    .await?;
    match found {
        Some(id) => find_batch(connection, id).await,
        None => Ok(None),
    }
}

/// A batch.
pub(super) async fn find_batch(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<Batch>, Error> {
    let row = sqlx::query_as!(
        BatchRow,
        r#"select id, destination, sequence, file_name, state as "state: BatchState", row_count, charge_total,
                  credit_total, hash_total, currency, fingerprint, problem, built_at, staged_at, delivered_at, answered_at
           from posting_batch where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Batch::from))
}

/// Batches, newest first.
pub(crate) async fn list_batches(
    connection: &mut PgConnection,
    state: Option<BatchState>,
    before: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<Batch>, Error> {
    let (before_at, before_id) = before.unzip();
    let rows = sqlx::query_as!(
        BatchRow,
        r#"select id, destination, sequence, file_name, state as "state: BatchState", row_count, charge_total,
                  credit_total, hash_total, currency, fingerprint, problem, built_at, staged_at, delivered_at, answered_at
           from posting_batch
           where ($1::text is null or state = $1)
             and ($2::timestamptz is null or (built_at, id) < ($2, $3))
           order by built_at desc, id desc limit $4"#,
        state as Option<BatchState>,
        before_at.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        before_id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Batch::from).collect())
}

/// A posting in a batch that was built.
pub(super) struct Line {
    pub(super) posting_id: Uuid,
    pub(super) account_id: Uuid,
    pub(super) attempt_id: Uuid,
    pub(super) row_number: i32,
    pub(super) reference: String,
    pub(super) amount: Decimal,
}

/// A batch's lines.
pub(super) async fn list_lines(
    connection: &mut PgConnection,
    batch_id: Uuid,
) -> Result<Vec<Line>, Error> {
    Ok(sqlx::query_as!(
        Line,
        "select l.posting_id, p.account_id, l.attempt_id, l.row_number, l.reference, l.amount
         from posting_batch_line l join posting p on p.id = l.posting_id
         where l.batch_id = $1 order by l.row_number, l.posting_id",
        batch_id,
    )
    .fetch_all(connection)
    .await?)
}

/// Keeps what was said of a line; false where it was answered before.
pub(super) async fn answer_line(
    connection: &mut PgConnection,
    batch_id: Uuid,
    posting_id: Uuid,
    verdict: &str,
    reason: &str,
) -> Result<bool, Error> {
    let answered = sqlx::query!(
        "update posting_batch_line set verdict = $3, reason = $4
         where batch_id = $1 and posting_id = $2 and verdict = ''",
        batch_id,
        posting_id,
        verdict,
        reason,
    )
    .execute(connection)
    .await?;
    Ok(answered.rows_affected() == 1)
}

/// Where a batch stands once its lines are answered.
pub(crate) async fn finish_batch(
    connection: &mut PgConnection,
    id: Uuid,
    now: Timestamp,
) -> Result<(), Error> {
    // Locked first, in a statement of its own: two answers to one batch see each other's lines.
    sqlx::query!("select id from posting_batch where id = $1 for update", id)
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query!(
        "update posting_batch b
         set answered_at = $2,
             state = case when counted.rejected = 0 then 'acknowledged'
                          when counted.rejected = counted.lines then 'refused' else 'partly_rejected' end
         from (select count(*) as lines, count(*) filter (where verdict = '') as unanswered,
                      count(*) filter (where verdict = 'rejected') as rejected
               from posting_batch_line where batch_id = $1) as counted
         where b.id = $1 and b.state = 'delivered' and counted.unanswered = 0",
        id,
        now.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A person has found out about a posting whose answer never came. The batch that it was in.
pub(crate) async fn resolve_line(
    connection: &mut PgConnection,
    attempt_id: Uuid,
) -> Result<Option<Uuid>, Error> {
    Ok(sqlx::query_scalar!(
        "update posting_batch_line set verdict = 'resolved' where attempt_id = $1 and verdict = '' returning batch_id",
        attempt_id,
    )
    .fetch_optional(connection)
    .await?)
}
