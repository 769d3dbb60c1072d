//! All SQL on the district's places.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::model::{LocationUnit, NewLocationUnit};
use crate::error::Error;

pub(crate) async fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    new: &NewLocationUnit,
) -> Result<LocationUnit, Error> {
    sqlx::query_as!(
        LocationUnit,
        "insert into location_unit (id, level, parent_id, code, name)
         values ($1, $2, $3, $4, $5)
         returning id, level, parent_id, code, name, revision",
        id,
        new.level.number(),
        new.parent_id,
        new.code,
        new.name,
    )
    .fetch_one(connection)
    .await
    .map_err(Error::of_constraint)
}

pub(crate) async fn find(pool: &PgPool, id: Uuid) -> Result<Option<LocationUnit>, sqlx::Error> {
    sqlx::query_as!(
        LocationUnit,
        "select id, level, parent_id, code, name, revision from location_unit where id = $1",
        id,
    )
    .fetch_optional(pool)
    .await
}

pub(crate) async fn lock(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<LocationUnit>, sqlx::Error> {
    sqlx::query_as!(
        LocationUnit,
        "select id, level, parent_id, code, name, revision from location_unit where id = $1
         for no key update",
        id,
    )
    .fetch_optional(connection)
    .await
}

pub(crate) async fn rename(
    connection: &mut PgConnection,
    id: Uuid,
    name: &str,
) -> Result<LocationUnit, sqlx::Error> {
    sqlx::query_as!(
        LocationUnit,
        "update location_unit set name = $2, revision = revision + 1 where id = $1
         returning id, level, parent_id, code, name, revision",
        id,
        name,
    )
    .fetch_one(connection)
    .await
}

/// A page by level and code, after the (level, code) given.
pub(crate) async fn list(
    pool: &PgPool,
    level: Option<i16>,
    parent_id: Option<Uuid>,
    after: Option<(i16, String)>,
    limit: i64,
) -> Result<Vec<LocationUnit>, sqlx::Error> {
    let (after_level, after_code) = after.unwrap_or_default();
    sqlx::query_as!(
        LocationUnit,
        "select id, level, parent_id, code, name, revision from location_unit
         where ($1::smallint is null or level = $1)
           and ($2::uuid is null or parent_id = $2)
           and (level, code) > ($3, $4)
         order by level, code limit $5",
        level,
        parent_id,
        after_level,
        after_code,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// A location with the code of its library.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub id: Uuid,
    pub code: String,
    pub library_code: String,
}

/// Every location of the district, by library and code: some hundred.
pub(crate) async fn shelves(connection: &mut PgConnection) -> Result<Vec<Shelf>, sqlx::Error> {
    sqlx::query_as!(
        Shelf,
        "select location.id, location.code, library.code as library_code
         from location_unit location join location_unit library on library.id = location.parent_id
         where location.level = 4
         order by library.code, location.code",
    )
    .fetch_all(connection)
    .await
}

/// Whether there is such a location.
pub(crate) async fn is_location(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        "select 1 as found from location_unit where id = $1 and level = 4",
        id
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.is_some())
}
