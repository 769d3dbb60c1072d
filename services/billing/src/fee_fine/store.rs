//! All SQL that touches owners and types.

use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{FeeFineType, Owner};
use crate::account::model::FeeFineKind;
use crate::columns::money;
use crate::error::Error;

struct TypeRow {
    id: Uuid,
    code: String,
    kind: FeeFineKind,
    statement_text: String,
    default_amount: Option<Decimal>,
    default_currency: Option<String>,
}

impl TryFrom<TypeRow> for FeeFineType {
    type Error = Error;

    fn try_from(row: TypeRow) -> Result<Self, Error> {
        Ok(Self {
            id: row.id,
            code: row.code,
            kind: row.kind,
            statement_text: row.statement_text,
            default_amount: row
                .default_amount
                .zip(row.default_currency)
                .map(|(amount, currency)| money(amount, &currency))
                .transpose()?,
        })
    }
}

/// Adds an owner with its libraries.
pub(crate) async fn insert_owner(
    connection: &mut PgConnection,
    owner: &Owner,
) -> Result<(), Error> {
    sqlx::query!(
        "with owner as (
             insert into fee_fine_owner (id, code, name, institution_code) values ($1, $2, $3, $4) returning id
         )
         insert into fee_fine_owner_library (library_code, fee_fine_owner_id)
         select library.code, owner.id from owner, unnest($5::text[]) as library (code)",
        owner.id,
        owner.code,
        owner.name,
        owner.institution_code,
        &owner.library_codes,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The owner with this code, added where there is none.
pub(crate) async fn ensure_owner(
    connection: &mut PgConnection,
    id: Uuid,
    code: &str,
    name: &str,
) -> Result<Uuid, Error> {
    sqlx::query!(
        "insert into fee_fine_owner (id, code, name) values ($1, $2, $3)
         on conflict on constraint fee_fine_owner_code_key do nothing",
        id,
        code,
        name,
    )
    .execute(&mut *connection)
    .await?;
    Ok(
        sqlx::query_scalar!("select id from fee_fine_owner where code = $1", code)
            .fetch_one(connection)
            .await?,
    )
}

/// Reads an owner.
pub(crate) async fn find_owner(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<Owner>, Error> {
    Ok(sqlx::query_as!(
        Owner,
        r#"select id, code, name, institution_code,
                  array(select library_code from fee_fine_owner_library
                        where fee_fine_owner_id = id order by library_code) as "library_codes!"
           from fee_fine_owner where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?)
}

/// The owner of a library's charges.
pub(crate) async fn find_owner_of_library(
    connection: &mut PgConnection,
    library_code: &str,
) -> Result<Option<Uuid>, Error> {
    Ok(sqlx::query_scalar!(
        "select fee_fine_owner_id from fee_fine_owner_library where library_code = $1",
        library_code,
    )
    .fetch_optional(connection)
    .await?)
}

/// Owners by code.
pub(crate) async fn list_owners(
    connection: &mut PgConnection,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Owner>, Error> {
    Ok(sqlx::query_as!(
        Owner,
        r#"select id, code, name, institution_code,
                  array(select library_code from fee_fine_owner_library
                        where fee_fine_owner_id = id order by library_code) as "library_codes!"
           from fee_fine_owner where ($1::text is null or code > $1) order by code limit $2"#,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?)
}

/// Adds a type.
pub(crate) async fn insert_type(
    connection: &mut PgConnection,
    fee_fine_type: &FeeFineType,
) -> Result<(), Error> {
    let default_amount = fee_fine_type.default_amount;
    sqlx::query!(
        "insert into fee_fine_type (id, code, kind, statement_text, default_amount, default_currency)
         values ($1, $2, $3, $4, $5, $6)",
        fee_fine_type.id,
        fee_fine_type.code,
        fee_fine_type.kind as FeeFineKind,
        fee_fine_type.statement_text,
        default_amount.map(|amount| amount.amount()),
        default_amount.map(|amount| amount.currency().code()),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds a type where neither its kind nor its code is taken.
pub(crate) async fn insert_missing_type(
    connection: &mut PgConnection,
    id: Uuid,
    code: &str,
    kind: FeeFineKind,
    statement_text: &str,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into fee_fine_type (id, code, kind, statement_text) values ($1, $2, $3, $4) on conflict do nothing",
        id,
        code,
        kind as FeeFineKind,
        statement_text,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Reads a type.
pub(crate) async fn find_type(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<FeeFineType>, Error> {
    sqlx::query_as!(
        TypeRow,
        r#"select id, code, kind as "kind: FeeFineKind", statement_text, default_amount, default_currency
           from fee_fine_type where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?
    .map(FeeFineType::try_from)
    .transpose()
}

/// The type of an automatic kind.
pub(crate) async fn find_type_of_kind(
    connection: &mut PgConnection,
    kind: FeeFineKind,
) -> Result<Option<Uuid>, Error> {
    Ok(sqlx::query_scalar!(
        "select id from fee_fine_type where kind = $1 and kind <> 'manual'",
        kind as FeeFineKind,
    )
    .fetch_optional(connection)
    .await?)
}

/// Types by code.
pub(crate) async fn list_types(
    connection: &mut PgConnection,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<FeeFineType>, Error> {
    sqlx::query_as!(
        TypeRow,
        r#"select id, code, kind as "kind: FeeFineKind", statement_text, default_amount, default_currency
           from fee_fine_type where ($1::text is null or code > $1) order by code limit $2"#,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(FeeFineType::try_from)
    .collect()
}
