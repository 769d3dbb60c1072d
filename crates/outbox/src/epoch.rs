//! Epochs: noticing that this database is not the one it was.
//!
//! A restored feed may take another course from the same number. What a
//! consumer read from the feed shows that by itself, since the number has
//! another event then; what it looked up beside the feed does not. So a new
//! epoch begins, and every consumer reads the owner's state anew, whenever a
//! service finds its tables in another place than before: another cluster,
//! another timeline (a restored base backup, a promoted standby), another
//! database (a copy), another table (a restored dump).
//!
//! A snapshot of the whole disk that is put back shows none of these: there
//! the operator calls [`begin`].

use carrel_database::{Database, transact};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// Which cluster, timeline, database and table this is.
const FINGERPRINT: &str = "select concat_ws('/',
        (select system_identifier from pg_control_system()),
        left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
        (select oid from pg_database where datname = current_database()),
        'feed_head'::regclass::oid)";

/// The same where the server keeps the cluster's identity to itself. It still
/// shows a copied database and a restored dump.
const FINGERPRINT_WITHOUT_CLUSTER: &str = "select concat_ws('/',
        (select oid from pg_database where datname = current_database()),
        'feed_head'::regclass::oid)";

/// Undefined function, insufficient privilege, not supported, wrong state (a
/// standby): the server answers, but does not say which cluster it is.
const KEPT_TO_ITSELF: [&str; 4] = ["42883", "42501", "0A000", "55000"];

/// Begins a new epoch where this database is not the one the feed last ran on.
/// Returns whether it did.
///
/// # Errors
/// The database's.
pub(crate) async fn claim(database: &Database) -> Result<bool, sqlx::Error> {
    let found = fingerprint(database.pool()).await?;
    let kept: Option<String> = sqlx::query_scalar("select fingerprint from feed_head")
        .fetch_one(database.pool())
        .await?;
    if kept.as_deref() == Some(&*found) {
        return Ok(false);
    }
    let began = transact!(database, "claim_feed", |connection| {
        stop_appends(connection).await?;
        // Another replica may have been quicker.
        let claimed = sqlx::query(
            "update feed_head set fingerprint = $1 where fingerprint is distinct from $1",
        )
        .bind(&found)
        .execute(&mut *connection)
        .await?
        .rows_affected();
        if claimed == 1 {
            begin_within(connection).await?;
        }
        Ok::<_, sqlx::Error>(claimed == 1)
    })?;
    if began && kept.is_some() {
        tracing::warn!(
            "the database was restored, copied or promoted: the feed begins a new epoch"
        );
    }
    Ok(began)
}

/// Begins a new epoch on an operator's word, after a restore that shows no
/// trace in the database, such as a disk snapshot. Every consumer reads this
/// service's state anew.
///
/// # Errors
/// The database's.
pub async fn begin(database: &Database) -> Result<Uuid, sqlx::Error> {
    transact!(database, "begin_epoch", |connection| {
        stop_appends(connection).await?;
        begin_within(connection).await
    })
}

async fn fingerprint(pool: &PgPool) -> Result<String, sqlx::Error> {
    let whole = sqlx::query_scalar(FINGERPRINT).fetch_one(pool).await;
    match whole {
        Err(sqlx::Error::Database(error))
            if error
                .code()
                .is_some_and(|code| KEPT_TO_ITSELF.contains(&&*code)) =>
        {
            sqlx::query_scalar(FINGERPRINT_WITHOUT_CLUSTER)
                .fetch_one(pool)
                .await
        }
        other => other,
    }
}

/// Waits for the transactions that are appending and holds off new ones, so
/// that the sequence can be set. An epoch begins seldom enough.
async fn stop_appends(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("lock table outbox in share row exclusive mode")
        .execute(connection)
        .await
        .map(drop)
}

async fn begin_within(connection: &mut PgConnection) -> Result<Uuid, sqlx::Error> {
    // A dump restored without its sequences would draw old positions again.
    sqlx::query(
        "select setval('outbox_position', newest.position)
         from (select max(position) as position from outbox) newest, outbox_position
         where newest.position > outbox_position.last_value",
    )
    .execute(&mut *connection)
    .await?;
    // Transaction ids of another cluster say nothing here, and nor does a
    // floor that rests on them.
    sqlx::query_scalar(
        "update feed_head
         set epoch = gen_random_uuid(), floor = 0, candidate_floor = null, candidate_xid = null
         returning epoch",
    )
    .fetch_one(connection)
    .await
}
