//! All SQL of proxies.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::model::Proxy;

struct ProxyRow {
    id: Uuid,
    sponsor_patron_id: Uuid,
    proxy_patron_id: Uuid,
    expiration_date: Option<jiff_sqlx::Date>,
    created_at: jiff_sqlx::Timestamp,
    created_by: String,
    ended_at: Option<jiff_sqlx::Timestamp>,
    revision: i64,
}

impl From<ProxyRow> for Proxy {
    fn from(row: ProxyRow) -> Self {
        Self {
            id: row.id,
            sponsor_patron_id: row.sponsor_patron_id,
            proxy_patron_id: row.proxy_patron_id,
            expiration_date: row.expiration_date.map(|date| date.to_jiff()),
            created_at: row.created_at.to_jiff(),
            created_by: row.created_by,
            ended_at: row.ended_at.map(|instant| instant.to_jiff()),
            revision: row.revision,
        }
    }
}

/// Locks a sponsor, and counts who may borrow for them; `None`: there is no
/// such patron.
pub(crate) async fn lock_sponsor_and_count(
    connection: &mut PgConnection,
    sponsor_patron_id: Uuid,
) -> Result<Option<i64>, sqlx::Error> {
    let locked = sqlx::query_scalar!(
        "select id from patron where id = $1 for no key update",
        sponsor_patron_id
    )
    .fetch_optional(&mut *connection)
    .await?;
    if locked.is_none() {
        return Ok(None);
    }
    // After the lock, to see what was entered before it was had.
    sqlx::query_scalar!(
        "select count(*) from proxy where sponsor_patron_id = $1 and ended_at is null",
        sponsor_patron_id
    )
    .fetch_one(connection)
    .await
}

/// Adds a proxy.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    proxy: &Proxy,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into proxy (id, sponsor_patron_id, proxy_patron_id, expiration_date, created_at, created_by,
             revision)
         values ($1, $2, $3, $4, $5, $6, $7)",
        proxy.id,
        proxy.sponsor_patron_id,
        proxy.proxy_patron_id,
        proxy.expiration_date.map(Date::to_sqlx) as _,
        proxy.created_at.to_sqlx(),
        proxy.created_by,
        proxy.revision
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A proxy, locked until the transaction ends.
pub(crate) async fn find_and_lock(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<Proxy>, sqlx::Error> {
    let row = sqlx::query_as!(
        ProxyRow,
        "select id, sponsor_patron_id, proxy_patron_id, expiration_date, created_at, created_by, ended_at, revision
         from proxy where id = $1 for update",
        id
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Proxy::from))
}

/// Writes that a proxy, which was locked, has ended.
pub(crate) async fn end(
    connection: &mut PgConnection,
    proxy: &Proxy,
    ended_by: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update proxy set ended_at = $2, ended_by = $3, revision = $4
         where id = $1 and ended_at is null",
        proxy.id,
        now.to_sqlx(),
        ended_by,
        proxy.revision
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Proxies in which a patron has a part, newest first; with `ended` only those
/// whose last day is later and that were not ended.
pub(crate) async fn list(
    executor: impl PgExecutor<'_>,
    patron_id: Uuid,
    ended: Option<Date>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Proxy>, sqlx::Error> {
    let rows = sqlx::query_as!(
        ProxyRow,
        "select id, sponsor_patron_id, proxy_patron_id, expiration_date, created_at, created_by, ended_at, revision
         from proxy
         where (sponsor_patron_id = $1 or proxy_patron_id = $1) and id < $2
           and ($3::date is null or (ended_at is null and (expiration_date is null or expiration_date > $3)))
         order by id desc limit $4",
        patron_id,
        before.unwrap_or(Uuid::max()),
        ended.map(Date::to_sqlx) as _,
        limit
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Proxy::from).collect())
}

/// All proxies of these sponsors, ended ones too.
pub(crate) async fn all_of(
    executor: impl PgExecutor<'_>,
    sponsor_patron_ids: &[Uuid],
) -> Result<Vec<Proxy>, sqlx::Error> {
    let rows = sqlx::query_as!(
        ProxyRow,
        "select id, sponsor_patron_id, proxy_patron_id, expiration_date, created_at, created_by, ended_at, revision
         from proxy where sponsor_patron_id = any($1) order by sponsor_patron_id, id",
        sponsor_patron_ids
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Proxy::from).collect())
}
