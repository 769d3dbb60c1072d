//! All SQL of manual blocks.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::model::ManualBlock;

struct BlockRow {
    id: Uuid,
    patron_id: Uuid,
    patron_message: String,
    staff_note: String,
    blocks_borrowing: bool,
    blocks_renewals: bool,
    blocks_requests: bool,
    expiration_date: Option<jiff_sqlx::Date>,
    created_at: jiff_sqlx::Timestamp,
    created_by: String,
    lifted_at: Option<jiff_sqlx::Timestamp>,
    revision: i64,
}

impl From<BlockRow> for ManualBlock {
    fn from(row: BlockRow) -> Self {
        Self {
            id: row.id,
            patron_id: row.patron_id,
            patron_message: row.patron_message,
            staff_note: row.staff_note,
            blocks_borrowing: row.blocks_borrowing,
            blocks_renewals: row.blocks_renewals,
            blocks_requests: row.blocks_requests,
            expiration_date: row.expiration_date.map(|date| date.to_jiff()),
            created_at: row.created_at.to_jiff(),
            created_by: row.created_by,
            lifted_at: row.lifted_at.map(|instant| instant.to_jiff()),
            revision: row.revision,
        }
    }
}

fn blocks(rows: Vec<BlockRow>) -> Vec<ManualBlock> {
    rows.into_iter().map(ManualBlock::from).collect()
}

/// Adds a block.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    block: &ManualBlock,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into manual_block (id, patron_id, patron_message, staff_note, blocks_borrowing,
             blocks_renewals, blocks_requests, expiration_date, created_at, created_by, revision)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        block.id,
        block.patron_id,
        block.patron_message,
        block.staff_note,
        block.blocks_borrowing,
        block.blocks_renewals,
        block.blocks_requests,
        block.expiration_date.map(Date::to_sqlx) as _,
        block.created_at.to_sqlx(),
        block.created_by,
        block.revision
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A block, locked until the transaction ends.
pub(crate) async fn find_and_lock(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<ManualBlock>, sqlx::Error> {
    let row = sqlx::query_as!(
        BlockRow,
        "select id, patron_id, patron_message, staff_note, blocks_borrowing, blocks_renewals,
                blocks_requests, expiration_date, created_at, created_by, lifted_at, revision
         from manual_block where id = $1 for update",
        id
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(ManualBlock::from))
}

/// Writes that a block, which was locked, is lifted.
pub(crate) async fn lift(
    connection: &mut PgConnection,
    block: &ManualBlock,
    lifted_by: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update manual_block set lifted_at = $2, lifted_by = $3, revision = $4
         where id = $1 and lifted_at is null",
        block.id,
        now.to_sqlx(),
        lifted_by,
        block.revision
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Blocks of a patron, newest first; with `ended` only those whose last day
/// is later and that were not lifted.
pub(crate) async fn list(
    executor: impl PgExecutor<'_>,
    patron_id: Uuid,
    ended: Option<Date>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ManualBlock>, sqlx::Error> {
    let rows = sqlx::query_as!(
        BlockRow,
        "select id, patron_id, patron_message, staff_note, blocks_borrowing, blocks_renewals,
                blocks_requests, expiration_date, created_at, created_by, lifted_at, revision
         from manual_block
         where patron_id = $1 and id < $2
           and ($3::date is null or (lifted_at is null and (expiration_date is null or expiration_date > $3)))
         order by id desc limit $4",
        patron_id,
        before.unwrap_or(Uuid::max()),
        ended.map(Date::to_sqlx) as _,
        limit
    )
    .fetch_all(executor)
    .await?;
    Ok(blocks(rows))
}

/// A patron's blocks in force or to come.
pub(crate) async fn current_of(
    executor: impl PgExecutor<'_>,
    patron_id: Uuid,
    ended: Date,
) -> Result<Vec<ManualBlock>, sqlx::Error> {
    list(executor, patron_id, Some(ended), None, i64::MAX).await
}

/// All blocks of these patrons, in the order of patron and block.
pub(crate) async fn all_of(
    executor: impl PgExecutor<'_>,
    patron_ids: &[Uuid],
) -> Result<Vec<ManualBlock>, sqlx::Error> {
    let rows = sqlx::query_as!(
        BlockRow,
        "select id, patron_id, patron_message, staff_note, blocks_borrowing, blocks_renewals,
                blocks_requests, expiration_date, created_at, created_by, lifted_at, revision
         from manual_block where patron_id = any($1) order by patron_id, id",
        patron_ids
    )
    .fetch_all(executor)
    .await?;
    Ok(blocks(rows))
}
