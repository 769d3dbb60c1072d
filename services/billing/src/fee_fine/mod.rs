//! Fee/fine owners and types: set up by hand, and added by need, so that no charge is lost for want of one.

pub mod model;
pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_ids::new_id;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Billing;
use crate::account::model::FeeFineKind;
use crate::error::Error;
use model::{FeeFineType, Owner, UNASSIGNED, default_type};

/// Adds an owner; its id is given here.
///
/// # Errors
/// [`Error::OwnerCodeTaken`], [`Error::OwnerLibraryTaken`].
pub async fn create_owner(
    billing: &Billing,
    key: &RequestKey,
    owner: Owner,
) -> Result<Owner, Error> {
    let now = billing.clock.now();
    let owner = Owner {
        id: new_id(),
        ..owner
    };
    transact!(billing.database, "create_fee_fine_owner", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[owner.id], now).await?? {
            let id = ids.first().copied().ok_or(Error::OwnerNotFound)?;
            return store::find_owner(transaction, id)
                .await?
                .ok_or(Error::OwnerNotFound);
        }
        store::insert_owner(transaction, &owner).await?;
        Ok(owner.clone())
    })
}

/// Adds a type; its id is given here.
///
/// # Errors
/// [`Error::TypeCodeTaken`], [`Error::TypeKindTaken`], and those of [`FeeFineType::check`].
pub async fn create_type(
    billing: &Billing,
    key: &RequestKey,
    fee_fine_type: FeeFineType,
) -> Result<FeeFineType, Error> {
    fee_fine_type.check()?;
    if fee_fine_type
        .default_amount
        .is_some_and(|amount| amount.currency() != billing.currency)
    {
        return Err(Error::CurrencyNotKept);
    }
    let now = billing.clock.now();
    let fee_fine_type = FeeFineType {
        id: new_id(),
        ..fee_fine_type
    };
    transact!(billing.database, "create_fee_fine_type", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[fee_fine_type.id], now).await?? {
            let id = ids.first().copied().ok_or(Error::TypeNotFound)?;
            return store::find_type(transaction, id)
                .await?
                .ok_or(Error::TypeNotFound);
        }
        store::insert_type(transaction, &fee_fine_type).await?;
        Ok(fee_fine_type.clone())
    })
}

/// The owner of a library's charges; [`UNASSIGNED`], added when first needed,
/// where nobody set one up: a charge is never lost for that, and stops no feed.
pub(crate) async fn owner_of_library(
    connection: &mut PgConnection,
    library_code: &str,
) -> Result<Uuid, Error> {
    if let Some(id) = store::find_owner_of_library(connection, library_code).await? {
        return Ok(id);
    }
    tracing::warn!(
        library.code = library_code,
        "no fee/fine owner for this library; charging for {UNASSIGNED}"
    );
    store::ensure_owner(connection, new_id(), UNASSIGNED, "Not assigned to an owner").await
}

/// The type of an automatic kind, added when first needed.
pub(crate) async fn type_of_kind(
    connection: &mut PgConnection,
    kind: FeeFineKind,
) -> Result<Uuid, Error> {
    if let Some(id) = store::find_type_of_kind(connection, kind).await? {
        return Ok(id);
    }
    let id = new_id();
    let (code, statement_text) = default_type(kind);
    // Somebody may have given this code to a type of another kind.
    for code in [
        code.to_owned(),
        format!("{code}-{}", carrel_ids::Reference::of(id)),
    ] {
        store::insert_missing_type(connection, id, &code, kind, statement_text).await?;
        if let Some(id) = store::find_type_of_kind(connection, kind).await? {
            return Ok(id);
        }
    }
    Err(Error::TypeNotFound)
}
