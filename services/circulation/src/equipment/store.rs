//! All SQL on kits and damage.

use carrel_money::{Decimal, Money};
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::model::{ItemDamage, KitPart, MissingPart};
use crate::error::Error;
use crate::policy::store::money;

/// Locks an item; false where there is none.
pub(super) async fn lock_item(
    connection: &mut PgConnection,
    item_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let locked = sqlx::query_scalar!(
        "select item_id from item_circulation where item_id = $1 for update",
        item_id,
    );
    Ok(locked.fetch_optional(connection).await?.is_some())
}

/// Locks the item of a loan.
pub(super) async fn lock_item_of(
    connection: &mut PgConnection,
    loan_id: Uuid,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select item_id from item_circulation
         where item_id = (select item_id from loan where id = $1) for update",
        loan_id,
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn item_exists(
    connection: &mut PgConnection,
    item_id: Uuid,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from item_circulation where item_id = $1) as "exists!""#,
        item_id,
    )
    .fetch_one(connection)
    .await
}

pub(super) async fn replace_kit(
    connection: &mut PgConnection,
    item_id: Uuid,
    parts: &[KitPart],
) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from item_kit_part where item_id = $1", item_id)
        .execute(&mut *connection)
        .await?;
    let names: Vec<String> = parts.iter().map(|part| part.name.clone()).collect();
    let counts: Vec<i32> = parts.iter().map(|part| part.count).collect();
    let prices: Vec<Option<Decimal>> = parts
        .iter()
        .map(|part| part.price.map(Money::amount))
        .collect();
    let currencies: Vec<Option<String>> = parts
        .iter()
        .map(|part| part.price.map(|price| price.currency().code().to_owned()))
        .collect();
    sqlx::query!(
        "insert into item_kit_part (item_id, place, name, count, price, price_currency)
         select $1, place, name, count, price, currency
         from unnest($2::text[], $3::integer[], $4::numeric[], $5::text[])
              with ordinality as part (name, count, price, currency, place)",
        item_id,
        &names,
        &counts,
        &prices as _,
        &currencies as _,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The parts of an item, in the order in which they were given.
pub(super) async fn kit(
    connection: &mut PgConnection,
    item_id: Uuid,
) -> Result<Vec<KitPart>, Error> {
    let rows = sqlx::query!(
        "select name, count, price, price_currency from item_kit_part
         where item_id = $1 order by place",
        item_id,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(KitPart {
                name: row.name,
                count: row.count,
                price: money(row.price, row.price_currency.as_deref())?,
            })
        })
        .collect()
}

pub(super) async fn insert_damage(
    connection: &mut PgConnection,
    damage: &ItemDamage,
    service_point_id: Uuid,
    reporter: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into item_damage (
             id, loan_id, item_id, service_point_id, missing_parts, damaged, comment, fee, fee_currency,
             reported_at, reported_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        damage.id,
        damage.loan_id,
        damage.item_id,
        service_point_id,
        Json(&damage.missing_parts) as _,
        damage.damaged,
        damage.comment,
        damage.fee.map(Money::amount),
        damage.fee.map(|fee| fee.currency().code()),
        damage.reported_at.to_sqlx() as _,
        reporter,
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(super) async fn find_damage(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<ItemDamage>, Error> {
    let row = sqlx::query!(
        r#"select id, loan_id, item_id, missing_parts as "missing_parts: Json<Vec<MissingPart>>", damaged,
                comment, fee, fee_currency, reported_at
         from item_damage where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(ItemDamage {
            id: row.id,
            loan_id: row.loan_id,
            item_id: row.item_id,
            missing_parts: row.missing_parts.0,
            damaged: row.damaged,
            comment: row.comment,
            fee: money(row.fee, row.fee_currency.as_deref())?,
            reported_at: row.reported_at.to_jiff(),
        })
    })
    .transpose()
}
