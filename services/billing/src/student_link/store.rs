//! All SQL that touches student links.

use sqlx::PgConnection;
use uuid::Uuid;

/// Writes a link, unless a newer one is there.
pub(super) async fn put_link(
    connection: &mut PgConnection,
    patron_id: Uuid,
    student_id: Option<&str>,
    generation: i64,
    revision: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into student_link as link (patron_id, student_id, generation, revision) values ($1, $2, $3, $4)
         on conflict (patron_id) do update
         set student_id = excluded.student_id, generation = excluded.generation, revision = excluded.revision
         where (link.generation, link.revision) < (excluded.generation, excluded.revision)",
        patron_id,
        student_id,
        generation,
        revision,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes what patrons has no more.
pub(super) async fn forget_older(
    connection: &mut PgConnection,
    generation: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from student_link where generation < $1", generation)
        .execute(connection)
        .await?;
    Ok(())
}
