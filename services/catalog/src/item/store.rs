//! All SQL on items.

use carrel_money::{Currency, Money};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::model::{Availability, Item, ItemFields, ItemStatus};
use crate::error::Error;

struct ItemRow {
    id: Uuid,
    record_id: Uuid,
    barcode: Option<String>,
    status: String,
    material_type: String,
    loan_type: String,
    location_id: Uuid,
    call_number: String,
    copy_number: String,
    replacement_price: Option<Decimal>,
    replacement_currency: Option<String>,
    revision: i64,
    availability: String,
}

impl TryFrom<ItemRow> for Item {
    type Error = Error;

    fn try_from(row: ItemRow) -> Result<Self, Error> {
        let price = match (row.replacement_price, row.replacement_currency) {
            (Some(amount), Some(currency)) => {
                let currency: Currency = currency
                    .parse()
                    .map_err(|_| Error::Unsound("currency of an item"))?;
                Some(Money::new(amount, currency).map_err(|_| Error::Unsound("price of an item"))?)
            }
            _ => None,
        };
        Ok(Self {
            id: row.id,
            record_id: row.record_id,
            fields: ItemFields {
                barcode: row.barcode,
                status: ItemStatus::from_name(&row.status)
                    .ok_or(Error::Unsound("status of an item"))?,
                material_type: row.material_type,
                loan_type: row.loan_type,
                location_id: row.location_id,
                call_number: row.call_number,
                copy_number: row.copy_number,
                replacement_price: price,
            },
            availability: Availability::from_name(&row.availability)
                .ok_or(Error::Unsound("availability of an item"))?,
            revision: row.revision,
        })
    }
}

fn items(rows: Vec<ItemRow>) -> Result<Vec<Item>, Error> {
    rows.into_iter().map(Item::try_from).collect()
}

pub(crate) async fn find(pool: &PgPool, id: Uuid) -> Result<Option<Item>, Error> {
    let row = sqlx::query_as!(
        ItemRow,
        r#"select id, record_id, barcode, item.status, material_type, loan_type, location_id,
               call_number, copy_number, replacement_price, replacement_currency, item.revision,
               coalesce(availability.status, 'in') as "availability!"
           from item left join item_availability availability on availability.item_id = item.id
           where item.id = $1"#,
        id,
    )
    .fetch_optional(pool)
    .await?;
    row.map(Item::try_from).transpose()
}

pub(crate) async fn find_by_barcode(pool: &PgPool, barcode: &str) -> Result<Option<Item>, Error> {
    let row = sqlx::query_as!(
        ItemRow,
        r#"select id, record_id, barcode, item.status, material_type, loan_type, location_id,
               call_number, copy_number, replacement_price, replacement_currency, item.revision,
               coalesce(availability.status, 'in') as "availability!"
           from item left join item_availability availability on availability.item_id = item.id
           where item.barcode = $1"#,
        barcode,
    )
    .fetch_optional(pool)
    .await?;
    row.map(Item::try_from).transpose()
}

/// A page by id, after the id given.
pub(crate) async fn list(
    pool: &PgPool,
    record_id: Option<Uuid>,
    include_withdrawn: bool,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Item>, Error> {
    let rows = sqlx::query_as!(
        ItemRow,
        r#"select id, record_id, barcode, item.status, material_type, loan_type, location_id,
               call_number, copy_number, replacement_price, replacement_currency, item.revision,
               coalesce(availability.status, 'in') as "availability!"
           from item left join item_availability availability on availability.item_id = item.id
           where ($1::uuid is null or item.record_id = $1)
             and ($2 or item.status <> 'withdrawn')
             and ($3::uuid is null or item.id > $3)
           order by item.id limit $4"#,
        record_id,
        include_withdrawn,
        after,
        limit,
    )
    .fetch_all(pool)
    .await?;
    items(rows)
}

/// Locks an item for a change.
pub(crate) async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<Item>, Error> {
    let row = sqlx::query_as!(
        ItemRow,
        r#"select id, record_id, barcode, item.status, material_type, loan_type, location_id,
               call_number, copy_number, replacement_price, replacement_currency, item.revision,
               coalesce(availability.status, 'in') as "availability!"
           from item left join item_availability availability on availability.item_id = item.id
           where item.id = $1
           for no key update of item"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    row.map(Item::try_from).transpose()
}

/// Locks the items that have these barcodes.
pub(crate) async fn lock_by_barcodes(
    connection: &mut PgConnection,
    barcodes: &[String],
) -> Result<Vec<Item>, Error> {
    let rows = sqlx::query_as!(
        ItemRow,
        r#"select id, record_id, barcode, item.status, material_type, loan_type, location_id,
               call_number, copy_number, replacement_price, replacement_currency, item.revision,
               coalesce(availability.status, 'in') as "availability!"
           from item left join item_availability availability on availability.item_id = item.id
           where item.barcode = any($1)
           order by item.id
           for no key update of item"#,
        barcodes,
    )
    .fetch_all(connection)
    .await?;
    items(rows)
}

/// An item to be written.
#[derive(Debug, Clone)]
pub(crate) struct NewItem {
    pub id: Uuid,
    pub record_id: Uuid,
    pub fields: ItemFields,
}

/// Adds items; those whose barcode another item has are left out. Returns the
/// ids of those that were added.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    new: &[NewItem],
    now: Timestamp,
) -> Result<Vec<Uuid>, Error> {
    let columns = Columns::of(new.iter().map(|item| (item.id, &item.fields)));
    let record_ids: Vec<Uuid> = new.iter().map(|item| item.record_id).collect();
    sqlx::query_scalar!(
        "insert into item (id, record_id, barcode, status, material_type, loan_type, location_id,
             call_number, copy_number, replacement_price, replacement_currency, created_at, updated_at)
         select id, record_id, barcode, status, material_type, loan_type, location_id, call_number,
             copy_number, replacement_price, replacement_currency, $12, $12
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[],
                 $7::uuid[], $8::text[], $9::text[], $10::numeric[], $11::text[])
             as new (id, record_id, barcode, status, material_type, loan_type, location_id,
                 call_number, copy_number, replacement_price, replacement_currency)
         on conflict on constraint item_barcode_key do nothing
         returning id",
        &columns.ids,
        &record_ids,
        &columns.barcodes as _,
        &columns.statuses as _,
        &columns.material_types as _,
        &columns.loan_types as _,
        &columns.location_ids,
        &columns.call_numbers as _,
        &columns.copy_numbers as _,
        &columns.prices as _,
        &columns.currencies as _,
        now.to_sqlx(),
    )
    .fetch_all(connection)
    .await
    .map_err(Error::of_constraint)
}

/// Writes the fields of items that are locked; their revision rises.
pub(crate) async fn update(
    connection: &mut PgConnection,
    items: &[Item],
    now: Timestamp,
) -> Result<(), Error> {
    let columns = Columns::of(items.iter().map(|item| (item.id, &item.fields)));
    sqlx::query!(
        "update item set barcode = changed.barcode, status = changed.status,
             material_type = changed.material_type, loan_type = changed.loan_type,
             location_id = changed.location_id, call_number = changed.call_number,
             copy_number = changed.copy_number, replacement_price = changed.replacement_price,
             replacement_currency = changed.replacement_currency,
             revision = item.revision + 1, updated_at = $11
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[],
                 $7::text[], $8::text[], $9::numeric[], $10::text[])
             as changed (id, barcode, status, material_type, loan_type, location_id, call_number,
                 copy_number, replacement_price, replacement_currency)
         where item.id = changed.id",
        &columns.ids,
        &columns.barcodes as _,
        &columns.statuses as _,
        &columns.material_types as _,
        &columns.loan_types as _,
        &columns.location_ids,
        &columns.call_numbers as _,
        &columns.copy_numbers as _,
        &columns.prices as _,
        &columns.currencies as _,
        now.to_sqlx(),
    )
    .execute(connection)
    .await
    .map(drop)
    .map_err(Error::of_constraint)
}

/// The fields of items, column by column.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<Uuid>,
    barcodes: Vec<Option<&'a str>>,
    statuses: Vec<&'a str>,
    material_types: Vec<&'a str>,
    loan_types: Vec<&'a str>,
    location_ids: Vec<Uuid>,
    call_numbers: Vec<&'a str>,
    copy_numbers: Vec<&'a str>,
    prices: Vec<Option<Decimal>>,
    currencies: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    fn of(items: impl Iterator<Item = (Uuid, &'a ItemFields)>) -> Self {
        let mut columns = Self::default();
        for (id, fields) in items {
            columns.ids.push(id);
            columns.barcodes.push(fields.barcode.as_deref());
            columns.statuses.push(fields.status.name());
            columns.material_types.push(&fields.material_type);
            columns.loan_types.push(&fields.loan_type);
            columns.location_ids.push(fields.location_id);
            columns.call_numbers.push(&fields.call_number);
            columns.copy_numbers.push(&fields.copy_number);
            columns
                .prices
                .push(fields.replacement_price.map(Money::amount));
            columns.currencies.push(
                fields
                    .replacement_price
                    .map(|price| price.currency().code()),
            );
        }
        columns
    }
}

/// What circulation says of an item, by its feed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AvailabilityNow {
    pub item_id: Uuid,
    pub availability: Availability,
    pub revision: i64,
}

/// Takes what circulation says, unless something newer is known. No item twice.
pub(crate) async fn note_availabilities(
    connection: &mut PgConnection,
    generation: i64,
    items: &[AvailabilityNow],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = items.iter().map(|item| item.item_id).collect();
    let statuses: Vec<&str> = items.iter().map(|item| item.availability.name()).collect();
    let revisions: Vec<i64> = items.iter().map(|item| item.revision).collect();
    sqlx::query!(
        "insert into item_availability (item_id, status, generation, revision)
         select item_id, status, $4, revision
         from unnest($1::uuid[], $2::text[], $3::bigint[]) as said (item_id, status, revision)
         on conflict (item_id) do update
             set status = excluded.status, generation = excluded.generation, revision = excluded.revision
             where (item_availability.generation, item_availability.revision)
                 < (excluded.generation, excluded.revision)",
        &ids,
        &statuses as _,
        &revisions,
        generation,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Forgets what circulation no longer knows of, after a rebuild.
pub(crate) async fn forget_older_availabilities(
    connection: &mut PgConnection,
    generation: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from item_availability where generation < $1",
        generation
    )
    .execute(connection)
    .await
    .map(drop)
}
