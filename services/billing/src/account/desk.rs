//! What the desk does to one charge beside taking money: waive, credit, cancel, and take a mistake back.

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_money::Money;
use uuid::Uuid;

use super::correction::CancelReason;
use super::model::{Account, ActionKind, Step};
use super::{Action, Belongs, Note, book_as, find_first, lock, refuse_own_account, store};
use crate::error::Error;
use crate::{Actor, Billing, payment};

/// Waives what is owed.
///
/// # Errors
/// [`Error::AccountNotFound`], [`Error::OwnAccount`], and those of [`Account::waive`].
pub async fn waive(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    id: Uuid,
    amount: Money,
    comment: &str,
) -> Result<Account, Error> {
    let step = |account: &mut Account| account.waive(amount);
    do_to(billing, key, actor, id, comment, step).await
}

/// Credits part of a charge.
///
/// # Errors
/// [`Error::AccountNotFound`], [`Error::OwnAccount`], and those of [`Account::credit_by_hand`].
pub async fn credit_by_hand(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    id: Uuid,
    amount: Money,
    comment: &str,
) -> Result<Account, Error> {
    let step = |account: &mut Account| account.credit_by_hand(amount);
    do_to(billing, key, actor, id, comment, step).await
}

/// Cancels a charge: the reversal of the charge, which names it and happens
/// once.
///
/// # Errors
/// [`Error::AccountNotFound`], [`Error::OwnAccount`], [`Error::ChargeTakenBack`].
pub async fn cancel(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    id: Uuid,
    reason: CancelReason,
    comment: &str,
) -> Result<Account, Error> {
    let step = |account: &mut Account| account.cancel(reason);
    do_to(billing, key, actor, id, comment, step).await
}

/// Takes one step on one account. A step that takes the charge back names it.
async fn do_to(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    id: Uuid,
    comment: &str,
    step: impl Fn(&mut Account) -> Result<Step, Error>,
) -> Result<Account, Error> {
    let now = billing.clock.now();
    let account = transact!(billing.database, "do_to_account", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
            return find_first(transaction, &ids).await;
        }
        let mut account = lock(transaction, id).await?;
        refuse_own_account(actor, account.patron_id)?;
        let step = step(&mut account)?;
        let note = Note::saying(comment);
        let belongs = belongs_of(transaction, &account, &step).await?;
        let events = book_as(transaction, &mut account, step, belongs, actor, &note, now).await?;
        carrel_outbox::append(transaction, &events).await?;
        Ok(account)
    })?;
    billing.committed();
    Ok(account)
}

/// A cancellation names the charge that it takes back.
pub(crate) async fn belongs_of(
    connection: &mut sqlx::PgConnection,
    account: &Account,
    step: &Step,
) -> Result<Belongs, Error> {
    if step.kind != ActionKind::Cancel {
        return Ok(Belongs::default());
    }
    Ok(Belongs {
        reverses_transaction_id: Some(store::charge_transaction(connection, account.id).await?),
        ..Belongs::default()
    })
}

/// Takes a payment, a waiver or a write-off back that was a mistake, once.
///
/// # Errors
/// [`Error::AccountNotFound`], [`Error::ActionNotFound`], [`Error::ActionNotReversible`],
/// [`Error::ActionReversed`], [`Error::PaymentSpent`], [`Error::ChargeTakenBack`], [`Error::OwnAccount`].
pub async fn reverse(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    id: Uuid,
    action_id: Uuid,
    comment: &str,
) -> Result<Account, Error> {
    let now = billing.clock.now();
    let account = transact!(billing.database, "reverse_account_action", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
            return find_first(transaction, &ids).await;
        }
        let mut account = lock(transaction, id).await?;
        refuse_own_account(actor, account.patron_id)?;
        let actions = store::list_actions(transaction, id).await?;
        let action = reversible(&actions, action_id)?;
        let step = if action.kind == ActionKind::Pay {
            let payment_id = action.payment_id.unwrap_or(action.id);
            payment::store::give_whole_back(transaction, payment_id, id).await?;
            account.unpay(ActionKind::Reverse, action.amount)?
        } else {
            account.take_back(action.kind, action.amount)?
        };
        let belongs = Belongs {
            payment_id: (action.kind == ActionKind::Pay)
                .then(|| action.payment_id.unwrap_or(action.id)),
            reverses_action_id: Some(action.id),
            reverses_transaction_id: action.journal_transaction_id,
        };
        let note = Note::saying(comment);
        let events = book_as(transaction, &mut account, step, belongs, actor, &note, now).await?;
        carrel_outbox::append(transaction, &events).await?;
        Ok(account)
    })?;
    billing.committed();
    Ok(account)
}

fn reversible(actions: &[Action], action_id: Uuid) -> Result<&Action, Error> {
    let action = actions
        .iter()
        .find(|action| action.id == action_id)
        .ok_or(Error::ActionNotFound)?;
    if actions
        .iter()
        .any(|other| other.reverses_action_id == Some(action_id))
    {
        return Err(Error::ActionReversed);
    }
    match action.kind {
        ActionKind::Pay | ActionKind::Waive | ActionKind::WriteOff => Ok(action),
        _ => Err(Error::ActionNotReversible),
    }
}
