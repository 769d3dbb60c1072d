//! Equipment: the parts that belong to an item, and what is wrong with it when
//! it comes back.

pub mod model;
mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_outbox::append;
use carrel_runtime::Call;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::Error;
use crate::loan::{self, event};
use crate::{Circulation, first_id, privacy};
use model::{ItemDamage, KitPart, MissingPart, check_kit, damage_fee};

/// Replaces the parts that belong to an item.
///
/// # Errors
/// [`Error::ItemNotFound`], [`Error::KitMalformed`].
pub async fn set_kit(
    circulation: &Circulation,
    key: &RequestKey,
    item_id: Uuid,
    parts: &[KitPart],
) -> Result<Vec<KitPart>, Error> {
    check_kit(parts)?;
    let now = circulation.clock.now();
    transact!(circulation.database, "set_item_kit", |transaction| {
        // A repeated request has the same content, so the answer is in it.
        if let Claim::New = claim(transaction, key, &[], now).await?? {
            if !store::lock_item(transaction, item_id).await? {
                return Err(item_not_found());
            }
            store::replace_kit(transaction, item_id, parts).await?;
        }
        Ok(parts.to_vec())
    })
}

/// Reads the parts that belong to an item.
///
/// # Errors
/// [`Error::ItemNotFound`].
pub async fn kit(circulation: &Circulation, item_id: Uuid) -> Result<Vec<KitPart>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    if !store::item_exists(&mut connection, item_id).await? {
        return Err(item_not_found());
    }
    store::kit(&mut connection, item_id).await
}

/// The parts that are to be checked when an item is on the desk; none where it
/// is no kit.
///
/// # Errors
/// The database's.
pub async fn kit_to_check(circulation: &Circulation, item_id: Uuid) -> Result<Vec<KitPart>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    store::kit(&mut connection, item_id).await
}

/// What is wrong with an item.
#[derive(Debug)]
pub struct Report {
    /// The loan that ended.
    pub loan_id: Uuid,
    /// Where it is reported.
    pub service_point_id: Uuid,
    /// What is missing.
    pub missing_parts: Vec<MissingPart>,
    /// Whether the item is damaged.
    pub damaged: bool,
    /// What was seen.
    pub comment: String,
}

/// Reports damage or missing parts, and charges for them.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn report_damage(
    circulation: &Circulation,
    call: &Call,
    key: &RequestKey,
    report: &Report,
) -> Result<ItemDamage, Error> {
    let id = carrel_ids::new_id();
    let now = circulation.clock.now();
    let damage = transact!(circulation.database, "report_item_damage", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
            let id = first_id(&ids)?;
            let found = store::find_damage(transaction, id).await?;
            return found.ok_or_else(|| Error::Unreadable(format!("damage {id}")));
        }
        note_damage(circulation, transaction, call, report, id, now).await
    })?;
    circulation.wake.committed();
    Ok(damage)
}

async fn note_damage(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    call: &Call,
    report: &Report,
    id: Uuid,
    now: Timestamp,
) -> Result<ItemDamage, Error> {
    let desk = loan::store::find_desk(transaction, report.service_point_id)
        .await?
        .ok_or(Error::ServicePointNotFound)?;
    call.permit_at(&desk.institution_code, &desk.library_code)?;
    let item_id = store::lock_item_of(transaction, report.loan_id)
        .await?
        .ok_or(Error::LoanNotFound)?;
    let loan = loan::store::find(transaction, report.loan_id)
        .await?
        .ok_or(Error::LoanNotFound)?;
    if loan.is_open() {
        return Err(Error::LoanOpen);
    }
    let patron_id = loan.patron_id.ok_or(Error::LoanWithoutPatron)?;
    loan::nobody_for_themselves(call, patron_id)?;
    let policies = circulation
        .known
        .loan_policies(transaction, loan.policy_ids)
        .await?;
    let kit = store::kit(transaction, item_id).await?;
    let terms = &policies.lost_item.terms;
    let damage = ItemDamage {
        id,
        loan_id: loan.id,
        item_id,
        missing_parts: report.missing_parts.clone(),
        damaged: report.damaged,
        comment: report.comment.clone(),
        fee: damage_fee(terms, &kit, &report.missing_parts, report.damaged)?,
        reported_at: now,
    };
    let reporter = call.caller.subject();
    store::insert_damage(transaction, &damage, report.service_point_id, reporter).await?;
    if damage.fee.is_some() {
        privacy::store::expect_charge(transaction, loan.id).await?;
    }
    let told = event::item_damaged(id, &loan, damage.fee, now);
    append(transaction, &[told.caused_by(call.trace_parent.clone())]).await?;
    tracing::info!(loan.id = %loan.id, item.id = %item_id, "damage reported");
    Ok(damage)
}

fn item_not_found() -> Error {
    Error::ItemNotFound {
        owner_reached: true,
    }
}
