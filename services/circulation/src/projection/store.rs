//! All SQL on the projections. A row is replaced only by a greater pair of
//! generation and revision, so that a feed, a rebuild and a look-up can race.

use std::collections::HashMap;
use std::hash::Hash;

use carrel_money::Money;
use carrel_proto::catalog::v1::{ItemStatus, LocationUnitKind};
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

/// An item as catalog tells it.
#[derive(Debug, Clone)]
pub(crate) struct ItemRow {
    pub item_id: Uuid,
    pub record_id: Uuid,
    pub barcode: String,
    pub status: ItemStatus,
    pub material_type: String,
    pub loan_type: String,
    pub location_id: Option<Uuid>,
    pub call_number_class: String,
    pub price: Option<Money>,
    pub revision: i64,
}

/// A place as catalog tells it.
#[derive(Debug, Clone)]
pub(crate) struct UnitRow {
    pub unit_id: Uuid,
    pub kind: LocationUnitKind,
    pub parent_id: Option<Uuid>,
    pub code: String,
    pub revision: i64,
}

/// A standing as patrons tells it.
#[derive(Debug, Clone)]
pub(crate) struct StandingRow {
    pub patron_id: Uuid,
    pub barcode_hmac: Option<Vec<u8>>,
    pub patron_group: String,
    pub expiration_date: Option<Date>,
    pub active: bool,
    pub keeps_history: bool,
    pub revision: i64,
}

/// A manual block as patrons tells it.
#[derive(Debug, Clone)]
pub(crate) struct BlockRow {
    pub block_id: Uuid,
    pub patron_id: Uuid,
    pub blocks_borrowing: bool,
    pub blocks_renewals: bool,
    pub blocks_requests: bool,
    pub expiration_date: Option<Date>,
    pub lifted: bool,
    pub revision: i64,
}

/// A proxy as patrons tells it.
#[derive(Debug, Clone)]
pub(crate) struct ProxyRow {
    pub proxy_id: Uuid,
    pub sponsor_patron_id: Uuid,
    pub proxy_patron_id: Uuid,
    pub expiration_date: Option<Date>,
    pub ended: bool,
    pub revision: i64,
}

/// A balance as billing tells it.
#[derive(Debug, Clone)]
pub(crate) struct BalanceRow {
    pub patron_id: Uuid,
    pub outstanding: Money,
    pub revision: i64,
}

/// A charge for a loan as billing tells it.
#[derive(Debug, Clone)]
pub(crate) struct ChargeRow {
    pub account_id: Uuid,
    pub loan_id: Uuid,
    pub open: bool,
    pub ends_loan: bool,
    pub revision: i64,
}

/// The newest of each: one statement can write a row only once.
fn newest<R, K: Eq + Hash>(
    rows: Vec<R>,
    key: impl Fn(&R) -> K,
    revision: impl Fn(&R) -> i64,
) -> Vec<R> {
    let mut newest: HashMap<K, R> = HashMap::with_capacity(rows.len());
    for row in rows {
        match newest.get(&key(&row)) {
            Some(other) if revision(other) >= revision(&row) => {}
            _ => {
                newest.insert(key(&row), row);
            }
        }
    }
    newest.into_values().collect()
}

/// One column of all rows.
fn column<R, V>(rows: &[R], value: impl Fn(&R) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

fn number(value: i32) -> i16 {
    i16::try_from(value).unwrap_or(0)
}

pub(crate) async fn put_items(
    connection: &mut PgConnection,
    generation: i64,
    rows: Vec<ItemRow>,
) -> Result<(), sqlx::Error> {
    let rows = newest(rows, |row| row.item_id, |row| row.revision);
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "with told as (
             select * from unnest($2::uuid[], $3::text[], $4::smallint[], $5::text[], $6::text[],
                 $7::uuid[], $8::numeric[], $9::text[], $10::bigint[], $11::uuid[], $12::text[])
                 as told (item_id, barcode, status, material_type, loan_type,
                     location_id, price, price_currency, revision, record_id, call_number_class)
         ), own as (
             -- A new copy of a title that somebody waits for may fill a request.
             insert into item_circulation (item_id, requested)
             select item_id, exists (
                 select from patron_request request
                 where request.record_id = told.record_id and request.closed_at is null)
             from told order by item_id
             on conflict do nothing
         )
         insert into item_projection (item_id, barcode, status, material_type, loan_type,
             location_id, price, price_currency, record_id, call_number_class, generation, revision)
         select item_id, barcode, status, material_type, loan_type,
             location_id, price, price_currency, record_id, call_number_class, $1, revision
         from told order by item_id
         on conflict (item_id) do update set
             barcode = excluded.barcode, status = excluded.status,
             material_type = excluded.material_type, loan_type = excluded.loan_type,
             location_id = excluded.location_id,
             price = excluded.price, price_currency = excluded.price_currency,
             record_id = excluded.record_id, call_number_class = excluded.call_number_class,
             generation = excluded.generation, revision = excluded.revision, place = excluded.place
         where (item_projection.generation, item_projection.revision) < (excluded.generation, excluded.revision)",
        generation,
        &column(&rows, |row| row.item_id),
        &column(&rows, |row| row.barcode.clone()),
        &column(&rows, |row| number(row.status.into())),
        &column(&rows, |row| row.material_type.clone()),
        &column(&rows, |row| row.loan_type.clone()),
        &column(&rows, |row| row.location_id) as _,
        &column(&rows, |row| row.price.map(Money::amount)) as _,
        &column(&rows, |row| row.price.map(|price| price.currency().code().to_owned())) as _,
        &column(&rows, |row| row.revision),
        &column(&rows, |row| row.record_id),
        &column(&rows, |row| row.call_number_class.clone()),
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn put_units(
    connection: &mut PgConnection,
    generation: i64,
    rows: Vec<UnitRow>,
) -> Result<(), sqlx::Error> {
    let rows = newest(rows, |row| row.unit_id, |row| row.revision);
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into location_projection (unit_id, kind, parent_id, code, generation, revision)
         select unit_id, kind, parent_id, code, $1, revision
         from unnest($2::uuid[], $3::smallint[], $4::uuid[], $5::text[], $6::bigint[])
             as told (unit_id, kind, parent_id, code, revision)
         order by unit_id
         on conflict (unit_id) do update set
             kind = excluded.kind, parent_id = excluded.parent_id, code = excluded.code,
             generation = excluded.generation, revision = excluded.revision
         where (location_projection.generation, location_projection.revision)
             < (excluded.generation, excluded.revision)",
        generation,
        &column(&rows, |row| row.unit_id),
        &column(&rows, |row| number(row.kind.into())),
        &column(&rows, |row| row.parent_id) as _,
        &column(&rows, |row| row.code.clone()),
        &column(&rows, |row| row.revision),
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn forget_catalog_before(
    connection: &mut PgConnection,
    generation: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from item_projection where generation < $1",
        generation
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "delete from location_projection where generation < $1",
        generation
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn put_standings(
    connection: &mut PgConnection,
    generation: i64,
    rows: Vec<StandingRow>,
) -> Result<(), sqlx::Error> {
    let rows = newest(rows, |row| row.patron_id, |row| row.revision);
    if rows.is_empty() {
        return Ok(());
    }
    let expirations = column(&rows, |row| row.expiration_date.map(ToSqlx::to_sqlx));
    let withdrawing: Vec<Uuid> = rows
        .iter()
        .filter(|row| !row.keeps_history)
        .map(|row| row.patron_id)
        .collect();
    let withdrawn = history_keepers(connection, &withdrawing).await?;
    sqlx::query!(
        "with told as (
             select * from unnest($2::uuid[], $3::bytea[], $4::text[], $5::date[], $6::boolean[], $7::bigint[],
                     $8::boolean[])
                 as told (patron_id, barcode_hmac, patron_group, expiration_date, active, revision, keeps_history)
         ), own as (
             insert into patron_circulation (patron_id) select patron_id from told order by patron_id
             on conflict do nothing
         )
         insert into patron_projection (patron_id, barcode_hmac, patron_group, expiration_date, active,
             keeps_history, generation, revision)
         select patron_id, barcode_hmac, patron_group, expiration_date, active, keeps_history, $1, revision
         from told order by patron_id
         on conflict (patron_id) do update set
             barcode_hmac = excluded.barcode_hmac, patron_group = excluded.patron_group,
             expiration_date = excluded.expiration_date, active = excluded.active,
             keeps_history = excluded.keeps_history,
             generation = excluded.generation, revision = excluded.revision, place = excluded.place
         where (patron_projection.generation, patron_projection.revision)
             < (excluded.generation, excluded.revision)",
        generation,
        &column(&rows, |row| row.patron_id),
        &column(&rows, |row| row.barcode_hmac.clone()) as _,
        &column(&rows, |row| row.patron_group.clone()),
        &expirations as _,
        &column(&rows, |row| row.active),
        &column(&rows, |row| row.revision),
        &column(&rows, |row| row.keeps_history),
    )
    .execute(&mut *connection)
    .await?;
    look_again_at_history(connection, &withdrawn).await
}

/// Those of these patrons who keep a reading history, as far as is known.
async fn history_keepers(
    connection: &mut PgConnection,
    patrons: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select patron_id from patron_projection where patron_id = any($1) and keeps_history",
        patrons,
    )
    .fetch_all(connection)
    .await
}

/// Has the ended loans and closed requests of these patrons looked at again, by whoever cuts
/// patrons. All of them, whatever they were kept for: one that is being looked
/// at just now is waited for, since it was judged by what was known before.
async fn look_again_at_history(
    connection: &mut PgConnection,
    patrons: &[Uuid],
) -> Result<(), sqlx::Error> {
    if patrons.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update loan set kept_for = 0 where patron_id = any($1) and checked_in_at is not null",
        patrons,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "update patron_request set kept_as_history = false
         where patron_id = any($1) and closed_at is not null",
        patrons,
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn put_blocks(
    connection: &mut PgConnection,
    generation: i64,
    rows: Vec<BlockRow>,
) -> Result<(), sqlx::Error> {
    let rows = newest(rows, |row| row.block_id, |row| row.revision);
    if rows.is_empty() {
        return Ok(());
    }
    let expirations = column(&rows, |row| row.expiration_date.map(ToSqlx::to_sqlx));
    sqlx::query!(
        "insert into block_projection (block_id, patron_id, blocks_borrowing, blocks_renewals,
             blocks_requests, expiration_date, lifted, generation, revision)
         select block_id, patron_id, blocks_borrowing, blocks_renewals, blocks_requests, expiration_date, lifted,
             $1, revision
         from unnest($2::uuid[], $3::uuid[], $4::boolean[], $5::boolean[], $6::date[], $7::boolean[],
                 $8::bigint[], $9::boolean[])
             as told (block_id, patron_id, blocks_borrowing, blocks_renewals, expiration_date, lifted, revision,
                 blocks_requests)
         order by block_id
         on conflict (block_id) do update set
             patron_id = excluded.patron_id, blocks_borrowing = excluded.blocks_borrowing,
             blocks_renewals = excluded.blocks_renewals, blocks_requests = excluded.blocks_requests,
             expiration_date = excluded.expiration_date,
             lifted = excluded.lifted, generation = excluded.generation, revision = excluded.revision
         where (block_projection.generation, block_projection.revision)
             < (excluded.generation, excluded.revision)",
        generation,
        &column(&rows, |row| row.block_id),
        &column(&rows, |row| row.patron_id),
        &column(&rows, |row| row.blocks_borrowing),
        &column(&rows, |row| row.blocks_renewals),
        &expirations as _,
        &column(&rows, |row| row.lifted),
        &column(&rows, |row| row.revision),
        &column(&rows, |row| row.blocks_requests),
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn put_proxies(
    connection: &mut PgConnection,
    generation: i64,
    rows: Vec<ProxyRow>,
) -> Result<(), sqlx::Error> {
    let rows = newest(rows, |row| row.proxy_id, |row| row.revision);
    if rows.is_empty() {
        return Ok(());
    }
    let expirations = column(&rows, |row| row.expiration_date.map(ToSqlx::to_sqlx));
    sqlx::query!(
        "insert into proxy_projection (proxy_id, sponsor_patron_id, proxy_patron_id, expiration_date, ended,
             generation, revision)
         select proxy_id, sponsor_patron_id, proxy_patron_id, expiration_date, ended, $1, revision
         from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::date[], $6::boolean[], $7::bigint[])
             as told (proxy_id, sponsor_patron_id, proxy_patron_id, expiration_date, ended, revision)
         order by proxy_id
         on conflict (proxy_id) do update set
             sponsor_patron_id = excluded.sponsor_patron_id, proxy_patron_id = excluded.proxy_patron_id,
             expiration_date = excluded.expiration_date, ended = excluded.ended,
             generation = excluded.generation, revision = excluded.revision
         where (proxy_projection.generation, proxy_projection.revision)
             < (excluded.generation, excluded.revision)",
        generation,
        &column(&rows, |row| row.proxy_id),
        &column(&rows, |row| row.sponsor_patron_id),
        &column(&rows, |row| row.proxy_patron_id),
        &expirations as _,
        &column(&rows, |row| row.ended),
        &column(&rows, |row| row.revision),
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn forget_patrons_before(
    connection: &mut PgConnection,
    generation: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from patron_projection where generation < $1",
        generation
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "delete from block_projection where generation < $1",
        generation
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "delete from proxy_projection where generation < $1",
        generation
    )
    .execute(&mut *connection)
    .await?;
    // Whoever is gone keeps nothing.
    sqlx::query!(
        "update loan set kept_for = 0
         where kept_for = 2 and not exists (
             select from patron_projection patron
             where patron.patron_id = loan.patron_id and patron.keeps_history)",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "update patron_request wanted set kept_as_history = false
         where kept_as_history and not exists (
             select from patron_projection patron
             where patron.patron_id = wanted.patron_id and patron.keeps_history)",
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn put_balances(
    connection: &mut PgConnection,
    generation: i64,
    rows: Vec<BalanceRow>,
) -> Result<(), sqlx::Error> {
    let rows = newest(rows, |row| row.patron_id, |row| row.revision);
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into balance_projection (patron_id, outstanding, currency, generation, revision)
         select patron_id, outstanding, currency, $1, revision
         from unnest($2::uuid[], $3::numeric[], $4::text[], $5::bigint[])
             as told (patron_id, outstanding, currency, revision)
         order by patron_id
         on conflict (patron_id) do update set
             outstanding = excluded.outstanding, currency = excluded.currency,
             generation = excluded.generation, revision = excluded.revision
         where (balance_projection.generation, balance_projection.revision)
             < (excluded.generation, excluded.revision)",
        generation,
        &column(&rows, |row| row.patron_id),
        &column(&rows, |row| row.outstanding.amount()),
        &column(&rows, |row| row.outstanding.currency().code().to_owned()),
        &column(&rows, |row| row.revision),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Keeps what is owed for loans, and has those of them that have ended looked
/// at again, by whoever cuts patrons: whatever they were kept for, since one
/// that is being looked at just now was judged by what was known before.
pub(crate) async fn put_charges(
    connection: &mut PgConnection,
    generation: i64,
    rows: Vec<ChargeRow>,
) -> Result<(), sqlx::Error> {
    let rows = newest(rows, |row| row.account_id, |row| row.revision);
    if rows.is_empty() {
        return Ok(());
    }
    let loans = column(&rows, |row| row.loan_id);
    sqlx::query!(
        "insert into loan_charge_projection (account_id, loan_id, open, ends_loan, generation, revision)
         select account_id, loan_id, open, ends_loan, $1, revision
         from unnest($2::uuid[], $3::uuid[], $4::boolean[], $5::boolean[], $6::bigint[])
             as told (account_id, loan_id, open, ends_loan, revision)
         order by account_id
         on conflict (account_id) do update set
             loan_id = excluded.loan_id, open = excluded.open, ends_loan = excluded.ends_loan,
             generation = excluded.generation, revision = excluded.revision
         where (loan_charge_projection.generation, loan_charge_projection.revision)
             < (excluded.generation, excluded.revision)",
        generation,
        &column(&rows, |row| row.account_id),
        &loans,
        &column(&rows, |row| row.open),
        &column(&rows, |row| row.ends_loan),
        &column(&rows, |row| row.revision),
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "update loan set kept_for = 0
         where id = any($1) and patron_id is not null and checked_in_at is not null",
        &loans,
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn forget_billing_before(
    connection: &mut PgConnection,
    generation: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from loan_charge_projection where generation < $1",
        generation
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "delete from balance_projection where generation < $1",
        generation
    )
    .execute(connection)
    .await
    .map(drop)
}
