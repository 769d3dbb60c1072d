//! The policies that circulation rules choose, and the limits of patron
//! groups.

pub mod model;
pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use uuid::Uuid;

use crate::error::Error;
use crate::{Circulation, first_id};
use model::{PatronLimits, Policy, Terms};

/// Adds a policy, or the next version of the one with this code.
///
/// # Errors
/// [`Error::PolicyMalformed`].
pub async fn create<T: Terms>(
    circulation: &Circulation,
    key: &RequestKey,
    code: &str,
    name: &str,
    terms: &T,
) -> Result<Policy<T>, Error> {
    terms.check().map_err(Error::PolicyMalformed)?;
    let id = carrel_ids::new_id();
    let now = circulation.clock.now();
    transact!(circulation.database, "create_policy", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
            return store::get(transaction, first_id(&ids)?).await;
        }
        store::take_turns(transaction).await?;
        let mut policy = Policy {
            id,
            code: code.to_owned(),
            version: 0,
            name: name.to_owned(),
            terms: terms.clone(),
        };
        policy.version = store::insert(transaction, &policy, &key.caller, now).await?;
        Ok(policy)
    })
}

/// Reads one version.
///
/// # Errors
/// [`Error::PolicyNotFound`].
pub async fn get<T: Terms>(circulation: &Circulation, id: Uuid) -> Result<Policy<T>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    store::find(&mut connection, id)
        .await?
        .ok_or(Error::PolicyNotFound)
}

/// Lists the versions of a code, newest first, before one.
///
/// # Errors
/// The database's.
pub async fn list_versions<T: Terms>(
    circulation: &Circulation,
    code: &str,
    before: Option<i32>,
    limit: i64,
) -> Result<Vec<Policy<T>>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    store::list_versions(&mut connection, code, before, limit).await
}

/// Lists the newest versions by code, after one.
///
/// # Errors
/// The database's.
pub async fn list<T: Terms>(
    circulation: &Circulation,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Policy<T>>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    store::list(&mut connection, after, limit).await
}

/// Sets the limits of a patron group.
///
/// # Errors
/// The database's.
pub async fn set_limits(
    circulation: &Circulation,
    key: &RequestKey,
    limits: &PatronLimits,
) -> Result<PatronLimits, Error> {
    let now = circulation.clock.now();
    transact!(circulation.database, "set_patron_limits", |transaction| {
        // A repeated request has the same content, so the answer is in it.
        if let Claim::New = claim(transaction, key, &[], now).await?? {
            store::replace_limits(transaction, limits).await?;
        }
        Ok(limits.clone())
    })
}

/// Lists the limits by patron group, after one.
///
/// # Errors
/// The database's.
pub async fn list_limits(
    circulation: &Circulation,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<PatronLimits>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    store::list_limits(&mut connection, after, limit).await
}
