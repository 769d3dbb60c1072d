//! Patron groups: to add and list them.

pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_runtime::Page;
use uuid::Uuid;

use crate::{Error, Patrons};

/// A group of patrons with the same privileges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatronGroup {
    /// Its id.
    pub id: Uuid,
    /// Its code, for rules and rosters.
    pub code: String,
    /// Its name for people.
    pub name: String,
}

/// Adds a group.
///
/// # Errors
/// PATRON_GROUP_CODE_TAKEN.
pub async fn create(
    patrons: &Patrons,
    key: &RequestKey,
    code: &str,
    name: &str,
) -> Result<PatronGroup, Error> {
    let now = patrons.clock.now();
    let group = PatronGroup {
        id: carrel_ids::new_id(),
        code: code.to_owned(),
        name: name.to_owned(),
    };
    transact!(patrons.database, "create_patron_group", |transaction| {
        match claim(transaction, key, &[group.id], now).await?? {
            Claim::Done(ids) => Ok(store::get(transaction, ids[0]).await?),
            Claim::New => {
                store::insert(transaction, &group).await?;
                Ok::<_, Error>(group.clone())
            }
        }
    })
}

/// A page of groups, by code, with the next page's token.
///
/// # Errors
/// The database's.
pub async fn list(
    patrons: &Patrons,
    page: &Page<String>,
) -> Result<(Vec<PatronGroup>, String), Error> {
    let after = page.after.as_deref().unwrap_or_default();
    let mut groups = store::list(patrons.database.pool(), after, page.limit()).await?;
    let next = page.cut(&mut groups, |group| group.code.clone());
    Ok((groups, next))
}
