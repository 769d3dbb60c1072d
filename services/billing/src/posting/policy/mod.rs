//! What is posted, and when: the district's criteria, and the waiting time after a dated notice.

pub mod model;
pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_ids::new_id;
use carrel_money::Money;
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use super::store::Ready;
use crate::columns::money;
use crate::error::Error;
use crate::{Actor, Billing, route};
use model::{Candidate, Criterion, Held, Policy};

/// A charge in a dry run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The charge.
    pub account_id: Uuid,
    /// Its reference.
    pub reference: String,
    /// When it was charged: the order of previews.
    pub charged_at: Timestamp,
    /// What would be posted; negative for a credit.
    pub amount: Money,
    /// What holds it; empty: it would be posted.
    pub held_because: &'static str,
    /// The destination and period.
    pub destination: Option<(String, String)>,
}

/// The policy as it stands.
///
/// # Errors
/// The database's.
pub async fn get(billing: &Billing) -> Result<Policy, Error> {
    let mut connection = billing.database.pool().acquire().await?;
    store::find_policy(&mut connection).await
}

/// Replaces the policy, where its revision is the one that was read.
///
/// # Errors
/// [`Error::EtagMismatch`], [`Error::CriterionMalformed`].
pub async fn update(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    read_revision: i64,
    criterion: Option<Criterion>,
    notice_wait_days: Option<i32>,
) -> Result<Policy, Error> {
    if let Some(criterion) = &criterion {
        criterion.check()?;
    }
    let now = billing.clock.now();
    let policy = Policy {
        criterion,
        notice_wait_days,
        revision: read_revision + 1,
        changed_by: actor.subject.clone(),
        changed_at: Some(now),
    };
    let policy = transact!(billing.database, "update_posting_policy", |transaction| {
        if let Claim::Done(_) = claim(transaction, key, &[new_id()], now).await?? {
            return store::find_policy(transaction).await;
        }
        if !store::put_policy(transaction, &policy, read_revision).await? {
            return Err(Error::EtagMismatch);
        }
        Ok(policy.clone())
    })?;
    billing.committed();
    Ok(policy)
}

/// Records dated notices; the first date of a charge counts.
///
/// # Errors
/// [`Error::AccountNotFound`], [`Error::NoticeInFuture`].
pub async fn record_notices(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    account_ids: &[Uuid],
    noticed_on: Date,
) -> Result<(), Error> {
    let now = billing.clock.now();
    if noticed_on > now.to_zoned(billing.zone.clone()).date() {
        return Err(Error::NoticeInFuture);
    }
    let mut account_ids = account_ids.to_vec();
    account_ids.sort_unstable();
    account_ids.dedup();
    transact!(billing.database, "record_posting_notices", |transaction| {
        if let Claim::Done(_) = claim(transaction, key, &[], now).await?? {
            return Ok::<_, Error>(());
        }
        store::insert_notices(transaction, &account_ids, noticed_on, &actor.subject, now).await
    })?;
    billing.committed();
    Ok(())
}

/// A dry run by the policy that applies, or another: what would be posted now, and what holds the rest.
///
/// # Errors
/// [`Error::CriterionMalformed`], the database's.
pub async fn preview(
    billing: &Billing,
    other: Option<(Option<Criterion>, Option<i32>)>,
    after: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<Preview>, Error> {
    let mut connection = billing.database.pool().acquire().await?;
    let mut policy = store::find_policy(&mut connection).await?;
    if let Some((criterion, notice_wait_days)) = other {
        if let Some(criterion) = &criterion {
            criterion.check()?;
        }
        policy.criterion = criterion;
        policy.notice_wait_days = notice_wait_days;
    }
    let routing = route::routing(&mut connection).await?;
    let ids = store::list_owed(&mut connection, after, limit).await?;
    let ready = super::store::list_ready(&mut connection, &ids).await?;
    let mut previews = Vec::with_capacity(ready.len());
    for ready in &ready {
        let amount = money(ready.owed_here, &ready.currency)?;
        let mut held = held_because(billing, &policy, ready, amount);
        let destination = if amount.is_negative() {
            ready
                .original_destination_id
                .clone()
                .zip(ready.original_period_id.clone())
        } else {
            let college = ready.institution_code.as_deref().unwrap_or_default();
            let charged_on = super::store::charged_on(ready, &billing.zone);
            match routing.destination(college, ready.kind, charged_on) {
                Ok(found) => Some((found.funding_destination_id, found.academic_period_id)),
                Err(problem) => {
                    held = held.or(Some(problem));
                    None
                }
            }
        };
        previews.push(Preview {
            account_id: ready.account_id,
            reference: ready.reference.clone(),
            charged_at: ready.charged_at.to_jiff(),
            amount,
            held_because: held.unwrap_or_default(),
            destination,
        });
    }
    Ok(previews)
}

/// What keeps a charge from being posted now; credits of what is posted are never kept.
pub(super) fn held_because(
    billing: &Billing,
    policy: &Policy,
    ready: &Ready,
    owed_here: Money,
) -> Option<&'static str> {
    if owed_here.is_negative() {
        return None;
    }
    let now = billing.clock.now();
    let ages_from = ready.ages_from.to_jiff();
    if ready.student_id.is_none() {
        return Some("the patron has no student account");
    }
    if ready.is_held {
        return Some("it was returned to the library");
    }
    if ready.is_suspended {
        return Some("it is disputed, or the item is claimed returned");
    }
    if ages_from > now - billing.posting_after {
        return Some("it is not old enough");
    }
    let candidate = Candidate {
        ages_from,
        owed_here,
        kind: ready.kind,
        fee_fine_type_id: ready.fee_fine_type_id,
        fee_fine_owner_id: ready.fee_fine_owner_id,
        library_code: ready.library_code.as_deref().unwrap_or_default(),
        institution_code: ready.institution_code.as_deref().unwrap_or_default(),
        noticed_on: ready.noticed_on.map(jiff_sqlx::Date::to_jiff),
    };
    let today = now.to_zoned(billing.zone.clone()).date();
    policy.holds(&candidate, now, today).map(Held::text)
}
