//! What staff do to a loan: what the single actions have in common, and the
//! loan's history.

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_money::Money;
use carrel_proto::circulation::v1::LoanAction;
use carrel_runtime::Call;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::block::OverriddenBlock;
use super::fine::LostFees;
use super::ledger::ActionRecord;
use super::model::Loan;
use super::{action_store, nobody_for_themselves, permit, store};
use crate::error::Error;
use crate::{Circulation, first_id};

/// What is done to a loan: where, and why.
#[derive(Debug)]
pub struct Action {
    /// The loan.
    pub loan_id: Uuid,
    /// Where.
    pub service_point_id: Uuid,
    /// Why; "" where nobody says.
    pub comment: String,
}

impl Action {
    /// Its entry in the loan's history.
    pub(super) fn record<'a>(
        &'a self,
        call: &'a Call,
        id: Uuid,
        now: Timestamp,
    ) -> ActionRecord<'a> {
        ActionRecord {
            id,
            actor: call.caller.subject(),
            occurred_at: now,
            recorded_at: now,
            service_point_id: Some(self.service_point_id),
            comment: &self.comment,
            overridden: &[],
            fine: None,
        }
    }
}

/// An entry of a loan's history.
#[derive(Debug)]
pub struct ActionEntry {
    /// Its id.
    pub id: Uuid,
    /// What.
    pub action: LoanAction,
    /// Who.
    pub actor: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When it was told.
    pub recorded_at: Timestamp,
    /// Where; `None`: nowhere, by itself.
    pub service_point_id: Option<Uuid>,
    /// Why.
    pub comment: String,
    /// What was overridden.
    pub overridden: Vec<OverriddenBlock>,
    /// The overdue fine that it incurred.
    pub overdue_fine: Option<Money>,
    /// What a declared loss costs.
    pub fees: LostFees,
}

/// Locks the item of a loan that is going on and reads the loan, for staff who
/// may do this here.
pub(super) async fn open_loan(
    transaction: &mut PgConnection,
    call: &Call,
    action: &Action,
) -> Result<Loan, Error> {
    let loan_id = Some(action.loan_id);
    let (desk, _) = store::lock_for_renewal(transaction, loan_id, None, action.service_point_id)
        .await?
        .ok_or(Error::ServicePointNotFound)?;
    permit(call, &desk, None, None)?;
    let loan = store::find(transaction, action.loan_id)
        .await?
        .ok_or(Error::LoanNotFound)?;
    match loan.patron_id {
        Some(patron_id) if loan.is_open() => nobody_for_themselves(call, patron_id)?,
        _ => return Err(Error::LoanClosed),
    }
    Ok(loan)
}

/// The loan of an action that was done before.
pub(super) async fn loan_of(transaction: &mut PgConnection, ids: &[Uuid]) -> Result<Loan, Error> {
    let loan_id = store::loan_of_action(transaction, first_id(ids)?).await?;
    store::find(transaction, loan_id.ok_or(Error::LoanNotFound)?)
        .await?
        .ok_or(Error::LoanNotFound)
}

/// Lists a loan's history in the order in which it was told, after one entry.
///
/// # Errors
/// [`Error::LoanNotFound`].
pub async fn list_actions(
    circulation: &Circulation,
    loan_id: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ActionEntry>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    let entries = action_store::list_actions(&mut connection, loan_id, after, limit).await?;
    if entries.is_empty() && store::find(&mut connection, loan_id).await?.is_none() {
        return Err(Error::LoanNotFound);
    }
    Ok(entries)
}

/// Adds a note to a loan's history, also to one that has ended.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn add_comment(
    circulation: &Circulation,
    call: &Call,
    key: &RequestKey,
    note: &Action,
) -> Result<ActionEntry, Error> {
    let action_id = carrel_ids::new_id();
    transact!(circulation.database, "add_loan_comment", |transaction| {
        let now = circulation.clock.now();
        let id = match claim(transaction, key, &[action_id], now).await?? {
            Claim::Done(ids) => first_id(&ids)?,
            Claim::New => {
                let desk = store::find_desk(transaction, note.service_point_id).await?;
                permit(call, &desk.ok_or(Error::ServicePointNotFound)?, None, None)?;
                let loan = store::find(transaction, note.loan_id).await?;
                let loan = loan.ok_or(Error::LoanNotFound)?;
                if let Some(patron_id) = loan.patron_id {
                    nobody_for_themselves(call, patron_id)?;
                }
                let record = note.record(call, action_id, now);
                action_store::insert_comment(transaction, note.loan_id, &record).await?;
                action_id
            }
        };
        action_store::find_entry(transaction, id)
            .await?
            .ok_or(Error::LoanNotFound)
    })
}
