//! Encumbrances: money set aside for orders, until it is paid or given back.

mod store;

use carrel_database::{Database, transact};
use carrel_money::Money;
use jiff::Timestamp;
use uuid::Uuid;

use crate::budget::{self, Budget};
use crate::budget_code::Structures;
use crate::change::Change;
use crate::error::Error;
use crate::journal::{self, Booking, Move};
use crate::message;

/// Whether money is still set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// It is.
    Unreleased,
    /// It was given back.
    Released(Timestamp),
}

/// Money set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encumbrance {
    /// Its id.
    pub id: Uuid,
    /// The budget.
    pub budget_id: Uuid,
    /// The budget code it is booked on.
    pub budget_code: String,
    /// How much.
    pub amount: Money,
    /// What for.
    pub description: String,
    /// When it was set aside.
    pub created_at: Timestamp,
    /// Whether it is still set aside.
    pub release: Release,
    /// Rises with each change.
    pub revision: i64,
}

/// Money to set aside.
#[derive(Debug, Clone)]
pub struct NewEncumbrance {
    /// Its id.
    pub id: Uuid,
    /// The budget.
    pub budget_id: Uuid,
    /// The budget code it is booked on.
    pub budget_code: String,
    /// How much.
    pub amount: Money,
    /// What for.
    pub description: String,
}

/// Sets money aside.
///
/// # Errors
/// [`Error::BudgetCodeInvalid`], [`Error::BudgetNotFound`], and those of
/// [`Budget::encumber`].
pub async fn create(
    database: &Database,
    structures: &Structures,
    new: &NewEncumbrance,
    change: &Change,
) -> Result<(Encumbrance, Budget), Error> {
    transact!(database, "create_encumbrance", |transaction| {
        if let Some(first) = change.claim(transaction, new.id).await? {
            let encumbrance = store::get(transaction, first).await?;
            let budget = budget::store::get(transaction, encumbrance.budget_id).await?;
            return Ok((encumbrance, budget));
        }
        structures.check(transaction, &new.budget_code).await?;
        let budget = budget::store::lock(transaction, new.budget_id).await?;
        let totals = budget.encumber(new.amount)?;
        let budget = budget::store::update_totals(transaction, new.budget_id, &totals).await?;
        let encumbrance = Encumbrance {
            id: new.id,
            budget_id: new.budget_id,
            budget_code: new.budget_code.clone(),
            amount: new.amount,
            description: new.description.clone(),
            created_at: change.now,
            release: Release::Unreleased,
            revision: 1,
        };
        store::insert(transaction, &encumbrance).await?;
        record(transaction, &encumbrance, &budget, change).await?;
        Ok((encumbrance, budget))
    })
}

/// Gives back what is still set aside. One that was released already stays as
/// it is.
///
/// # Errors
/// [`Error::EncumbranceNotFound`].
pub async fn release(database: &Database, id: Uuid, change: &Change) -> Result<Encumbrance, Error> {
    transact!(database, "release_encumbrance", |transaction| {
        if let Some(first) = change.claim(transaction, id).await? {
            return store::get(transaction, first).await;
        }
        let budget_id = store::get(transaction, id).await?.budget_id;
        // Budget first, as everywhere: the encumbrance is settled under it.
        let budget = budget::store::lock(transaction, budget_id).await?;
        let Some(released) = store::release(transaction, id, change.now).await? else {
            return store::get(transaction, id).await;
        };
        let totals = budget.release(released.amount)?;
        let budget = budget::store::update_totals(transaction, budget_id, &totals).await?;
        record(transaction, &released, &budget, change).await?;
        Ok(released)
    })
}

/// Books what became of an encumbrance, and tells the feed.
async fn record(
    transaction: &mut sqlx::PgConnection,
    encumbrance: &Encumbrance,
    budget: &Budget,
    change: &Change,
) -> Result<(), Error> {
    let what = match encumbrance.release {
        Release::Unreleased => Move::Encumbrance(encumbrance.id),
        Release::Released(_) => Move::EncumbranceRelease(encumbrance.id),
    };
    let booking = Booking {
        id: carrel_ids::new_id(),
        budget_id: budget.id,
        what,
        amount: encumbrance.amount,
        comment: &encumbrance.description,
    };
    journal::book(transaction, &booking, change).await?;
    let events = [
        message::encumbrance_changed(encumbrance, change),
        message::budget_changed(budget, change)?,
    ];
    carrel_outbox::append(transaction, &events).await?;
    Ok(())
}

/// Reads an encumbrance.
///
/// # Errors
/// [`Error::EncumbranceNotFound`].
pub async fn read(database: &Database, id: Uuid) -> Result<Encumbrance, Error> {
    let mut connection = database.pool().acquire().await?;
    store::get(&mut connection, id).await
}

/// A budget's encumbrances, newest first, before an id.
///
/// # Errors
/// [`Error::BudgetNotFound`].
pub async fn list(
    database: &Database,
    budget_id: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Encumbrance>, Error> {
    let mut connection = database.pool().acquire().await?;
    let encumbrances = store::list(&mut connection, budget_id, before, limit).await?;
    if encumbrances.is_empty() {
        budget::store::get(&mut connection, budget_id).await?;
    }
    Ok(encumbrances)
}
