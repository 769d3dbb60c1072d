//! The queue that people work: what was refused, what nobody knows, what has no route.

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_ids::new_id;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Posting, PostingState, without_student};
use super::{Attempt, batch, store};
use crate::account::model::Account;
use crate::account::{self, Note};
use crate::error::Error;
use crate::{Actor, Billing, message};

/// What a person found in the student-information system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The charge is on the student account, under this id where it has one.
    Found(String),
    /// It is not there.
    NotFound,
}

/// What waits for people, the longest first.
///
/// # Errors
/// The database's.
pub async fn list(
    billing: &Billing,
    after: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<Posting>, Error> {
    let mut connection = billing.database.pool().acquire().await?;
    store::list_work(&mut connection, after, limit).await
}

/// Takes a person's word for where a posting is whose answer is lost; what they looked at is kept with it.
///
/// # Errors
/// [`Error::PostingNotFound`], [`Error::PostingNotUnknown`], [`Error::PostingInFlight`], [`Error::SisChargeTaken`].
pub async fn resolve_unknown(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    id: Uuid,
    finding: &Finding,
    evidence: &str,
) -> Result<Posting, Error> {
    let at = billing.moment();
    let posting = transact!(billing.database, "resolve_unknown_posting", |transaction| {
        if let Claim::Done(_) = claim(transaction, key, &[id], at.now).await?? {
            return get(transaction, id).await;
        }
        let (mut account, mut posting) = lock(transaction, id).await?;
        let attempt_id = posting.open_attempt_id;
        let mut events = Vec::new();
        let outcome = match finding {
            Finding::Found(sis_charge_id) => {
                if posting.state != PostingState::Unknown {
                    return Err(Error::PostingNotUnknown);
                }
                // Where charges have no id, ours stands for it.
                let charge_id = match sis_charge_id.as_str() {
                    "" => format!("by hand/{}", posting.reference),
                    theirs => theirs.to_owned(),
                };
                posting.acknowledge(charge_id, at)?;
                let step = account.transfer(posting.amount)?;
                let note = Note::default();
                events.extend(
                    account::book(transaction, &mut account, step, actor, &note, at.now).await?,
                );
                "found"
            }
            Finding::NotFound => {
                posting.resolve_absent(at)?;
                "not found"
            }
        };
        let attempt = Attempt {
            kind: "person".into(),
            started_at: at.machine,
            ended_at: Some(at.machine),
            outcome: outcome.into(),
            detail: said(actor, evidence, &posting),
        };
        store::insert_attempt(transaction, new_id(), id, &attempt).await?;
        // It may have been paid or credited while nobody knew.
        posting.follow(account.owed_here()?, at.now)?;
        store::update_posting(transaction, &posting).await?;
        if let Some(attempt_id) = attempt_id
            && let Some(batch_id) = batch::store::resolve_line(transaction, attempt_id).await?
        {
            batch::store::finish_batch(transaction, batch_id, at.machine).await?;
        }
        events.push(message::posting_changed(&posting, at.now));
        carrel_outbox::append(transaction, &actor.caused(events)).await?;
        Ok(posting)
    })?;
    billing.committed();
    Ok(posting)
}

/// Gives a charge back to the library: it is paid at the desk, and not posted while the hold lasts.
///
/// # Errors
/// [`Error::PostingNotFound`], [`Error::PostingNotHere`], [`Error::PostingIsCredit`].
pub async fn return_to_library(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    id: Uuid,
    comment: &str,
) -> Result<Posting, Error> {
    let at = billing.moment();
    let posting = transact!(
        billing.database,
        "return_posting_to_library",
        |transaction| {
            if let Claim::Done(_) = claim(transaction, key, &[id], at.now).await?? {
                return get(transaction, id).await;
            }
            let (account, mut posting) = lock(transaction, id).await?;
            posting.return_to_library(at.now)?;
            store::update_posting(transaction, &posting).await?;
            store::insert_hold(transaction, account.id, &actor.subject, comment, at.now).await?;
            let event = message::posting_changed(&posting, at.now);
            carrel_outbox::append(transaction, &actor.caused(vec![event])).await?;
            Ok(posting)
        }
    )?;
    billing.committed();
    Ok(posting)
}

/// Lets a charge that was returned to the library be posted again.
///
/// # Errors
/// [`Error::PostingHoldNotFound`].
pub async fn lift_hold(billing: &Billing, key: &RequestKey, account_id: Uuid) -> Result<(), Error> {
    let now = billing.clock.now();
    transact!(billing.database, "lift_posting_hold", |transaction| {
        if let Claim::Done(_) = claim(transaction, key, &[account_id], now).await?? {
            return Ok(());
        }
        if store::delete_hold(transaction, account_id).await? {
            Ok(())
        } else {
            Err(Error::PostingHoldNotFound)
        }
    })?;
    billing.committed();
    Ok(())
}

async fn get(connection: &mut PgConnection, id: Uuid) -> Result<Posting, Error> {
    store::find_posting(connection, id)
        .await?
        .ok_or(Error::PostingNotFound)
}

/// The account's lock is the posting's; only then is it read for good.
async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<(Account, Posting), Error> {
    let seen = get(connection, id).await?;
    let account = account::lock(connection, seen.account_id).await?;
    Ok((account, get(connection, id).await?))
}

fn said(actor: &Actor, evidence: &str, posting: &Posting) -> String {
    without_student(
        &format!("{}: {evidence}", actor.subject),
        &posting.student_id,
    )
}
