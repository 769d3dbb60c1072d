//! All SQL on the quarantine.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::QuarantinedRecord;

/// A piece to be put into quarantine.
#[derive(Debug, Clone)]
pub(crate) struct NewQuarantined<'a> {
    pub file_offset: i64,
    pub reason: &'a str,
    pub description: &'a str,
    pub raw: &'a [u8],
}

pub(crate) async fn insert(
    connection: &mut PgConnection,
    import_id: Uuid,
    pieces: &[NewQuarantined<'_>],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = pieces.iter().map(|_| carrel_ids::new_id()).collect();
    let offsets: Vec<i64> = pieces.iter().map(|piece| piece.file_offset).collect();
    let reasons: Vec<&str> = pieces.iter().map(|piece| piece.reason).collect();
    let descriptions: Vec<&str> = pieces.iter().map(|piece| piece.description).collect();
    let raws: Vec<&[u8]> = pieces.iter().map(|piece| piece.raw).collect();
    sqlx::query!(
        "insert into quarantined_record (id, import_id, file_offset, reason, description, raw, created_at)
         select id, $1, file_offset, reason, description, raw, $7
         from unnest($2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::bytea[])
             as piece (id, file_offset, reason, description, raw)",
        import_id,
        &ids,
        &offsets,
        &reasons as _,
        &descriptions as _,
        &raws as _,
        now.to_sqlx(),
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn find(
    pool: &PgPool,
    id: Uuid,
) -> Result<Option<QuarantinedRecord>, sqlx::Error> {
    let row = sqlx::query!(
        "select id, import_id, file_offset, reason, description, raw, created_at
         from quarantined_record where id = $1",
        id,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| QuarantinedRecord {
        id: row.id,
        import_id: row.import_id,
        file_offset: row.file_offset,
        byte_count: row.raw.len() as i64,
        reason: row.reason,
        description: row.description,
        created_at: row.created_at.to_jiff(),
        raw: row.raw,
    }))
}

/// A page without the bytes, newest first, before the id given.
pub(crate) async fn list(
    pool: &PgPool,
    import_id: Option<Uuid>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<QuarantinedRecord>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id, import_id, file_offset, octet_length(raw)::bigint as "byte_count!", reason,
               description, created_at
           from quarantined_record
           where ($1::uuid is null or import_id = $1) and ($2::uuid is null or id < $2)
           order by id desc limit $3"#,
        import_id,
        before,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| QuarantinedRecord {
            id: row.id,
            import_id: row.import_id,
            file_offset: row.file_offset,
            byte_count: row.byte_count,
            reason: row.reason,
            description: row.description,
            created_at: row.created_at.to_jiff(),
            raw: Vec::new(),
        })
        .collect())
}
