//! Request ids (AIP-155): a repeated call has one effect and one answer.
//!
//! The first statement of a changing transaction claims the request. A second
//! call with the same id waits there for the first to end, and then learns
//! which rows the first one made. Nothing but ids and a hash is kept.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

/// Which request it is: the same id from another caller, or for another RPC,
/// is another request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// The token's subject.
    pub caller: String,
    /// The RPC's path, such as "/carrel.circulation.v1.LoanService/CheckOut".
    pub rpc: &'static str,
    /// The caller's id for it.
    pub request_id: Uuid,
    /// A keyed hash of the encoded request (HMAC-SHA-256).
    pub fingerprint: [u8; 32],
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nobody asked this before: go on.
    New,
    /// It was done before, and these are the ids it was claimed with.
    Done(Vec<Uuid>),
}

/// The request id was used before for a different request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this request id was used before for a different request; use a new one")]
pub struct RequestReused;

/// Claims a request within its transaction. `outcome` are the ids that the
/// transaction is about to give the rows it makes; a duplicate gets them back.
///
/// # Errors
/// The outer error is the database's.
pub async fn claim(
    connection: &mut PgConnection,
    key: &RequestKey,
    outcome: &[Uuid],
    now: Timestamp,
) -> Result<Result<Claim, RequestReused>, sqlx::Error> {
    // A duplicate waits here until the first one's transaction has ended.
    let inserted = sqlx::query(
        "insert into request (caller, rpc, request_id, fingerprint, outcome, created_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict on constraint request_key do nothing",
    )
    .bind(&key.caller)
    .bind(key.rpc)
    .bind(key.request_id)
    .bind(&key.fingerprint[..])
    .bind(outcome)
    .bind(now.to_sqlx())
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if inserted == 1 {
        return Ok(Ok(Claim::New));
    }

    let (fingerprint, outcome): (Vec<u8>, Vec<Uuid>) = sqlx::query_as(
        "select fingerprint, outcome from request
         where caller = $1 and rpc = $2 and request_id = $3",
    )
    .bind(&key.caller)
    .bind(key.rpc)
    .bind(key.request_id)
    .fetch_one(connection)
    .await?;
    if fingerprint == key.fingerprint {
        Ok(Ok(Claim::Done(outcome)))
    } else {
        Ok(Err(RequestReused))
    }
}

/// Forgets requests made before `horizon`, at most 10,000 at a time; returns
/// how many.
///
/// # Errors
/// The database's.
pub async fn forget_before(
    connection: &mut PgConnection,
    horizon: Timestamp,
) -> Result<u64, sqlx::Error> {
    let forgotten = sqlx::query(
        "delete from request where ctid = any(array(
             select ctid from request where created_at < $1 limit 10000))",
    )
    .bind(horizon.to_sqlx())
    .execute(connection)
    .await?
    .rows_affected();
    Ok(forgotten)
}
