//! All SQL of patron groups.

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::PatronGroup;

/// Adds a group.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    group: &PatronGroup,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into patron_group (id, code, name) values ($1, $2, $3)",
        group.id,
        group.code,
        group.name
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A group that is known to be there.
pub(crate) async fn get(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<PatronGroup, sqlx::Error> {
    sqlx::query_as!(
        PatronGroup,
        "select id, code, name from patron_group where id = $1",
        id
    )
    .fetch_one(connection)
    .await
}

/// Groups after a code, by code.
pub(crate) async fn list(
    executor: impl PgExecutor<'_>,
    after: &str,
    limit: i64,
) -> Result<Vec<PatronGroup>, sqlx::Error> {
    sqlx::query_as!(
        PatronGroup,
        "select id, code, name from patron_group where code > $1 order by code limit $2",
        after,
        limit
    )
    .fetch_all(executor)
    .await
}

/// Every group's code.
pub(crate) async fn codes(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!("select code from patron_group")
        .fetch_all(connection)
        .await
}
