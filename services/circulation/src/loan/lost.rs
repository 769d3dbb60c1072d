//! Declared lost: the patron says that the item is lost.

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_money::Money;
use carrel_runtime::Call;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::action::{self, Action};
use super::fine::{self, LostFees};
use super::model::{Loan, Loss, LossCause};
use super::{action_store, calendar_of, event, ledger, tell};
use crate::error::Error;
use crate::known::LoanPolicies;
use crate::service_point::calendar::Calendar;
use crate::{Circulation, first_id};

/// A loan whose item was declared lost, and what is owed for it.
#[derive(Debug)]
pub struct DeclaredLost {
    /// The loan.
    pub loan: Loan,
    /// What the loss costs.
    pub fees: LostFees,
    /// The overdue fine incurred until then.
    pub overdue_fine: Option<Money>,
}

/// Declares an item lost.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn declare_lost(
    circulation: &Circulation,
    call: &Call,
    key: &RequestKey,
    request: &Action,
) -> Result<DeclaredLost, Error> {
    let action_id = carrel_ids::new_id();
    let lost = transact!(circulation.database, "declare_lost", |transaction| {
        let now = circulation.clock.now();
        if let Claim::Done(ids) = claim(transaction, key, &[action_id], now).await?? {
            return lost_before(transaction, &ids).await;
        }
        lose(circulation, transaction, call, request, action_id, now).await
    })?;
    circulation.wake.committed();
    Ok(lost)
}

/// The answer to a repeated declaration.
async fn lost_before(connection: &mut PgConnection, ids: &[Uuid]) -> Result<DeclaredLost, Error> {
    let entry = action_store::find_entry(connection, first_id(ids)?).await?;
    let entry = entry.ok_or(Error::LoanNotFound)?;
    Ok(DeclaredLost {
        loan: action::loan_of(connection, ids).await?,
        fees: entry.fees,
        overdue_fine: entry.overdue_fine,
    })
}

async fn lose(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    call: &Call,
    request: &Action,
    action_id: Uuid,
    now: Timestamp,
) -> Result<DeclaredLost, Error> {
    let before = action::open_loan(transaction, call, request).await?;
    if before.loss.is_some() && before.claimed_returned_at.is_none() {
        return Err(Error::AlreadyLost);
    }
    let policies = circulation
        .known
        .loan_policies(transaction, before.policy_ids)
        .await?;
    let calendar = calendar_of(circulation, transaction, &before).await?;
    let fine = fine_until_loss(&before, &policies, now, &calendar)?;
    // A loss from before the claim was charged then.
    let fees = match before.loss {
        Some(_) => LostFees::default(),
        None => {
            let price = action_store::price_of(transaction, before.item_id).await?;
            fine::declared_lost_fees(&policies.lost_item.terms, price)
        }
    };

    let mut loan = before.clone();
    loan.fine(fine)?;
    let loss = Loss {
        id: action_id,
        at: now,
        cause: LossCause::Declared,
    };
    loan.declare_lost(loss, fees);
    let mut record = request.record(call, action_id, now);
    record.fine = fine;
    let revision = ledger::change(transaction, &before, &loan, &record).await?;
    action_store::put_fees(transaction, action_id, fees).await?;

    let mut events = vec![
        event::availability_changed(loan.item_id, loan.item_status(), revision, now),
        event::loan_changed(&loan, now),
    ];
    if before.loss.is_none() {
        events.extend(event::declared_lost(&loan, fees));
    }
    let due_at = before.due_at;
    events.extend(fine.map(|fine| event::fine_incurred(action_id, &loan, fine, due_at, now)));
    tell(transaction, call, events).await?;
    tracing::info!(loan.id = %loan.id, item.id = %loan.item_id, "declared lost");
    Ok(DeclaredLost {
        loan,
        fees,
        overdue_fine: fine,
    })
}

/// The overdue fine that the declaration settles: until now, or until the
/// patron claimed to have returned it or it was lost before, unless the policy
/// forgives it. A later return adds none.
fn fine_until_loss(
    loan: &Loan,
    policies: &LoanPolicies,
    now: Timestamp,
    calendar: &Calendar,
) -> Result<Option<Money>, Error> {
    let terms = &policies.overdue_fine.terms;
    if terms.forgive_when_lost {
        return Ok(None);
    }
    let stopped_at = [loan.claimed_returned_at, loan.loss.map(|loss| loss.at)];
    let ended_at = stopped_at.into_iter().flatten().fold(now, Timestamp::min);
    let grace = policies.loan.terms.grace;
    Ok(fine::loan_fine(terms, grace, loan, ended_at, calendar)?)
}
