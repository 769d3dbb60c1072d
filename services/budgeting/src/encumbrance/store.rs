//! All SQL about encumbrances.

use carrel_money::{Decimal, Money};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Encumbrance, Release};
use crate::error::Error;

struct Row {
    id: Uuid,
    budget_id: Uuid,
    budget_code: String,
    currency: String,
    amount: Decimal,
    description: String,
    revision: i64,
    created_at: jiff_sqlx::Timestamp,
    released_at: Option<jiff_sqlx::Timestamp>,
}

impl TryFrom<Row> for Encumbrance {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.id,
            budget_id: row.budget_id,
            budget_code: row.budget_code,
            amount: Money::new(row.amount, row.currency.parse()?)?,
            description: row.description,
            created_at: row.created_at.to_jiff(),
            release: row
                .released_at
                .map_or(Release::Unreleased, |at| Release::Released(at.to_jiff())),
            revision: row.revision,
        })
    }
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    encumbrance: &Encumbrance,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into encumbrance
             (id, budget_id, budget_code, currency, amount, status, description, revision, created_at)
         values ($1, $2, $3, $4, $5, 'unreleased', $6, $7, $8)",
        encumbrance.id,
        encumbrance.budget_id,
        encumbrance.budget_code,
        encumbrance.amount.currency().code(),
        encumbrance.amount.amount(),
        encumbrance.description,
        encumbrance.revision,
        encumbrance.created_at.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Marks an encumbrance as released; `None` where it was already.
pub(super) async fn release(
    connection: &mut PgConnection,
    id: Uuid,
    now: Timestamp,
) -> Result<Option<Encumbrance>, Error> {
    sqlx::query_as!(
        Row,
        "update encumbrance
         set status = 'released', released_at = $2, revision = revision + 1
         where id = $1 and status = 'unreleased'
         returning id, budget_id, budget_code, currency, amount, description, revision,
             created_at, released_at",
        id,
        now.to_sqlx() as _,
    )
    .fetch_optional(connection)
    .await?
    .map(Encumbrance::try_from)
    .transpose()
}

pub(super) async fn get(connection: &mut PgConnection, id: Uuid) -> Result<Encumbrance, Error> {
    sqlx::query_as!(
        Row,
        "select id, budget_id, budget_code, currency, amount, description, revision,
             created_at, released_at
         from encumbrance where id = $1",
        id,
    )
    .fetch_optional(connection)
    .await?
    .ok_or(Error::EncumbranceNotFound)?
    .try_into()
}

pub(super) async fn list(
    connection: &mut PgConnection,
    budget_id: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Encumbrance>, Error> {
    sqlx::query_as!(
        Row,
        "select id, budget_id, budget_code, currency, amount, description, revision,
             created_at, released_at
         from encumbrance
         where budget_id = $1 and ($2::uuid is null or id < $2)
         order by id desc limit $3",
        budget_id,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(Encumbrance::try_from)
    .collect()
}
