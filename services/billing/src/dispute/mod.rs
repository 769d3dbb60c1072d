//! Disputes: a charge waits until another person has decided.

pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_ids::new_id;
use carrel_money::Money;
use jiff::Timestamp;
use uuid::Uuid;

use crate::account::correction::{CancelReason, SuspendedFor};
use crate::account::model::{Account, ActionKind};
use crate::account::{self, Note, refuse_own_account};
use crate::error::Error;
use crate::{Actor, Billing};

/// How a dispute was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Outcome {
    /// The patron is right.
    Upheld,
    /// The charge stands.
    Denied,
}

/// A dispute about a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// Its id.
    pub id: Uuid,
    /// The charge.
    pub account_id: Uuid,
    /// Who entered it.
    pub opened_by: String,
    /// When.
    pub opened_at: Timestamp,
    /// Why.
    pub reason: String,
    /// How, by whom and when it was decided.
    pub decision: Option<(Outcome, String, Timestamp)>,
    /// Why so.
    pub comment: String,
}

/// Opens a dispute: the charge is neither posted nor counted, nor does it age.
///
/// # Errors
/// [`Error::AccountNotFound`], [`Error::OwnAccount`], [`Error::AccountClosed`], [`Error::DisputeOpen`].
pub async fn open(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    account_id: Uuid,
    reason: &str,
) -> Result<(Dispute, Account), Error> {
    let now = billing.clock.now();
    let dispute = Dispute {
        id: new_id(),
        account_id,
        opened_by: actor.subject.clone(),
        opened_at: now,
        reason: reason.to_owned(),
        decision: None,
        comment: String::new(),
    };
    let opened = transact!(billing.database, "open_dispute", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[dispute.id], now).await?? {
            let id = ids.first().copied().ok_or(Error::DisputeNotFound)?;
            let account = account::find_first(transaction, &[account_id]).await?;
            return Ok((store::get(transaction, id).await?, account));
        }
        let mut account = account::lock(transaction, account_id).await?;
        refuse_own_account(actor, account.patron_id)?;
        if account.suspension.is_disputed {
            return Err(Error::DisputeOpen);
        }
        if account.is_closed() {
            return Err(Error::AccountClosed);
        }
        store::insert(transaction, &dispute).await?;
        let what_for = SuspendedFor::Dispute;
        let events = account::suspend(
            transaction,
            &mut account,
            what_for,
            true,
            actor,
            reason,
            now,
        )
        .await?;
        carrel_outbox::append(transaction, &events).await?;
        Ok((dispute.clone(), account))
    })?;
    billing.committed();
    Ok(opened)
}

/// Decides a dispute. Upheld: the charge is cancelled, or credited by an
/// amount. Neither who opened it decides, nor who made the charge.
///
/// # Errors
/// [`Error::DisputeNotFound`], [`Error::DisputeDecided`], [`Error::DecidedByTheSamePerson`], [`Error::OwnAccount`], and
/// those of [`Account::cancel`] and [`Account::credit_by_hand`].
pub async fn decide(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    id: Uuid,
    outcome: Outcome,
    credit: Option<Money>,
    comment: &str,
) -> Result<(Dispute, Account), Error> {
    let now = billing.clock.now();
    let decided = transact!(billing.database, "decide_dispute", |transaction| {
        let is_new = claim(transaction, key, &[id], now).await?? == Claim::New;
        let seen = store::get(transaction, id).await?;
        if !is_new {
            let account = account::find_first(transaction, &[seen.account_id]).await?;
            return Ok((seen, account));
        }
        let mut account = account::lock(transaction, seen.account_id).await?;
        refuse_own_account(actor, account.patron_id)?;
        // Read again: a dispute changes only under its account's lock.
        let mut dispute = store::get(transaction, id).await?;
        if dispute.decision.is_some() {
            return Err(Error::DisputeDecided);
        }
        let actions = account::store::list_actions(transaction, account.id).await?;
        let charged_by = actions
            .iter()
            .find(|action| action.kind == ActionKind::Charge)
            .map(|action| &action.actor);
        if dispute.opened_by == actor.subject || charged_by == Some(&actor.subject) {
            return Err(Error::DecidedByTheSamePerson);
        }
        dispute.decision = Some((outcome, actor.subject.clone(), now));
        comment.clone_into(&mut dispute.comment);
        store::decide(transaction, &dispute).await?;
        let what_for = SuspendedFor::Dispute;
        let mut events = Vec::new();
        if outcome == Outcome::Upheld {
            let step = match credit {
                Some(amount) => account.credit_by_hand(amount)?,
                None => account.cancel(CancelReason::Error)?,
            };
            let belongs = account::belongs_of(transaction, &account, &step).await?;
            let note = Note::saying(comment);
            events.extend(
                account::book_as(transaction, &mut account, step, belongs, actor, &note, now)
                    .await?,
            );
        }
        // Last, so that what was upheld is never posted in between.
        events.extend(
            account::suspend(
                transaction,
                &mut account,
                what_for,
                false,
                actor,
                comment,
                now,
            )
            .await?,
        );
        carrel_outbox::append(transaction, &events).await?;
        Ok((dispute, account))
    })?;
    billing.committed();
    Ok(decided)
}
