//! All SQL that touches student links.

use std::collections::BTreeMap;

use carrel_proto::patrons::v1::StudentLink;
use sqlx::PgConnection;
use uuid::Uuid;

/// Writes links by patron, each unless a newer one is there.
pub(super) async fn put_links(
    connection: &mut PgConnection,
    generation: i64,
    links: &BTreeMap<Uuid, &StudentLink>,
) -> Result<(), sqlx::Error> {
    let patron_ids: Vec<Uuid> = links.keys().copied().collect();
    let student_ids: Vec<&str> = links.values().map(|link| &*link.student_id).collect();
    let revisions: Vec<i64> = links.values().map(|link| link.revision).collect();
    sqlx::query!(
        "insert into student_link as link (patron_id, student_id, generation, revision)
         select patron_id, nullif(student_id, ''), $1, revision
         from unnest($2::uuid[], $3::text[], $4::bigint[]) as told (patron_id, student_id, revision)
         order by patron_id
         on conflict (patron_id) do update
         set student_id = excluded.student_id, generation = excluded.generation, revision = excluded.revision
         where (link.generation, link.revision) < (excluded.generation, excluded.revision)",
        generation,
        &patron_ids,
        &student_ids as _,
        &revisions,
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
