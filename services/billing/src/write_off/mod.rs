//! Write-offs: what nobody expects to be paid. Above the district's limit another person approves.

pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_ids::new_id;
use carrel_money::Money;
use carrel_outbox::NewEvent;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::account::model::Account;
use crate::account::{self, Note, refuse_own_account};
use crate::error::Error;
use crate::{Actor, Billing, rules};

/// How a write-off stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum WriteOffState {
    /// It waits for another person.
    Waiting,
    /// It is booked.
    Approved,
    /// It was refused.
    Refused,
}

/// A write-off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteOff {
    /// Its id.
    pub id: Uuid,
    /// The charge.
    pub account_id: Uuid,
    /// How much.
    pub amount: Money,
    /// How it stands.
    pub state: WriteOffState,
    /// Whether the limit asks for a second person.
    pub needs_approval: bool,
    /// Why.
    pub reason: String,
    /// Who asked for it.
    pub requested_by: String,
    /// When.
    pub requested_at: Timestamp,
    /// Who decided, where another person did.
    pub decided_by: Option<String>,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// What was said then.
    pub comment: String,
}

/// Asks to write off what remains of a charge, or part of it; booked at once
/// where all that was ever written off of it is within the limit.
///
/// # Errors
/// [`Error::AccountNotFound`], [`Error::OwnAccount`], [`Error::WriteOffWaiting`], and those of [`Account::write_off`].
pub async fn request(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    account_id: Uuid,
    amount: Option<Money>,
    reason: &str,
) -> Result<(WriteOff, Account), Error> {
    let now = billing.clock.now();
    let id = new_id();
    let requested = transact!(billing.database, "request_write_off", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
            let id = ids.first().copied().ok_or(Error::WriteOffNotFound)?;
            let account = account::find_first(transaction, &[account_id]).await?;
            return Ok::<_, Error>((store::get(transaction, id).await?, account));
        }
        let mut account = account::lock(transaction, account_id).await?;
        refuse_own_account(actor, account.patron_id)?;
        let amount = amount.unwrap_or(account.remaining);
        // Judged in any case, booked only where nobody has to approve.
        let mut after = account.clone();
        after.write_off(amount)?;
        let limit = rules::store::get(transaction).await?.write_off_limit;
        let needs_approval = after.written_off.amount() > limit;
        let write_off = WriteOff {
            id,
            account_id,
            amount,
            state: if needs_approval {
                WriteOffState::Waiting
            } else {
                WriteOffState::Approved
            },
            needs_approval,
            reason: reason.to_owned(),
            requested_by: actor.subject.clone(),
            requested_at: now,
            decided_by: None,
            decided_at: (!needs_approval).then_some(now),
            comment: String::new(),
        };
        store::insert(transaction, &write_off).await?;
        if !needs_approval {
            let events = book(transaction, &mut account, &write_off, actor, now).await?;
            carrel_outbox::append(transaction, &events).await?;
        }
        Ok::<_, Error>((write_off, account))
    })?;
    billing.committed();
    Ok(requested)
}

/// Approves or refuses a write-off that waits.
///
/// # Errors
/// [`Error::WriteOffNotFound`], [`Error::WriteOffDecided`], [`Error::DecidedByTheSamePerson`], [`Error::OwnAccount`],
/// and those of [`Account::write_off`].
pub async fn decide(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    id: Uuid,
    is_approved: bool,
    comment: &str,
) -> Result<(WriteOff, Account), Error> {
    let now = billing.clock.now();
    let decided = transact!(billing.database, "decide_write_off", |transaction| {
        let is_new = claim(transaction, key, &[id], now).await?? == Claim::New;
        let seen = store::get(transaction, id).await?;
        if !is_new {
            let account = account::find_first(transaction, &[seen.account_id]).await?;
            return Ok((seen, account));
        }
        let mut account = account::lock(transaction, seen.account_id).await?;
        refuse_own_account(actor, account.patron_id)?;
        // Read again: a write-off changes only under its account's lock.
        let mut write_off = store::get(transaction, id).await?;
        if write_off.state != WriteOffState::Waiting {
            return Err(Error::WriteOffDecided);
        }
        if write_off.requested_by == actor.subject {
            return Err(Error::DecidedByTheSamePerson);
        }
        write_off.state = if is_approved {
            WriteOffState::Approved
        } else {
            WriteOffState::Refused
        };
        write_off.decided_by = Some(actor.subject.clone());
        write_off.decided_at = Some(now);
        comment.clone_into(&mut write_off.comment);
        store::update(transaction, &write_off).await?;
        if is_approved {
            let events = book(transaction, &mut account, &write_off, actor, now).await?;
            carrel_outbox::append(transaction, &events).await?;
        }
        Ok((write_off, account))
    })?;
    billing.committed();
    Ok(decided)
}

async fn book(
    connection: &mut PgConnection,
    account: &mut Account,
    write_off: &WriteOff,
    actor: &Actor,
    now: Timestamp,
) -> Result<Vec<NewEvent>, Error> {
    let step = account.write_off(write_off.amount)?;
    let note = Note::saying(&write_off.reason);
    account::book(connection, account, step, actor, &note, now).await
}
