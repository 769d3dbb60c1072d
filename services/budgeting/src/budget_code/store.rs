//! All SQL about budget codes.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Definition, Structure};
use crate::error::Error;

pub(super) async fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    structure: &Structure,
    actor: &str,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into budget_code_structure (id, definition, set_by, set_at)
         values ($1, $2, $3, $4)",
        id,
        Json(structure.definition()) as _,
        actor,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn get(connection: &mut PgConnection, id: Uuid) -> Result<Structure, Error> {
    let definition = sqlx::query_scalar!(
        r#"select definition as "definition: Json<Definition>"
           from budget_code_structure where id = $1"#,
        id,
    )
    .fetch_one(connection)
    .await?;
    Structure::new(definition.0).map_err(|_| Error::StoredValue("structure of budget codes"))
}

pub(super) async fn find_current(connection: &mut PgConnection) -> Result<Option<Uuid>, Error> {
    let id =
        sqlx::query_scalar!("select id from budget_code_structure order by number desc limit 1")
            .fetch_optional(connection)
            .await?;
    Ok(id)
}
