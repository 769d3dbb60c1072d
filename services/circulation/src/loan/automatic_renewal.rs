//! Loans that renew themselves: shortly before they are due, where their
//! policy says so and nothing stands against it. Once for each due date; what
//! stands against it is told once.

use carrel_database::transact;
use carrel_outbox::append;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sqlx::PgConnection;
use uuid::Uuid;

use super::renewal::{Renewing, renew_loan};
use super::{action_store, event, store};
use crate::Circulation;
use crate::error::Error;
use crate::period::{Period, PeriodUnit};

/// Who renews, in a loan's history.
const ACTOR: &str = "service:circulation";
/// How long before a loan is due, where its policy does not say.
const A_DAY: Period = Period {
    count: 1,
    unit: PeriodUnit::Days,
};

/// Policies, and by when a loan under them must be due to renew itself now.
#[derive(Debug, Default)]
pub(super) struct Horizons {
    pub policy_ids: Vec<Uuid>,
    pub due_by: Vec<Timestamp>,
}

async fn horizons(connection: &mut PgConnection, now: Timestamp) -> Result<Horizons, Error> {
    let mut horizons = Horizons::default();
    for (policy_id, before) in action_store::self_renewing_policies(connection).await? {
        horizons.policy_ids.push(policy_id);
        let due_by = before.unwrap_or(A_DAY).after(now, &TimeZone::UTC);
        horizons.due_by.push(due_by);
    }
    Ok(horizons)
}

/// Whether a loan is to renew itself.
pub(super) async fn is_anything_due(
    connection: &mut PgConnection,
    now: Timestamp,
) -> Result<bool, Error> {
    let horizons = horizons(connection, now).await?;
    if horizons.policy_ids.is_empty() {
        return Ok(false);
    }
    Ok(action_store::is_any_self_renewing(connection, &horizons).await?)
}

/// Renews what is to renew itself by now; returns how many loans.
pub(super) async fn run(circulation: &Circulation) -> Result<i64, Error> {
    let mut renewed_count = 0;
    while let Some(renewed) = renew_next(circulation).await? {
        renewed_count += i64::from(renewed);
    }
    Ok(renewed_count)
}

/// Tries the next loan: whether it was renewed; `None`: there is no loan.
async fn renew_next(circulation: &Circulation) -> Result<Option<bool>, Error> {
    let tried = transact!(circulation.database, "renew_by_itself", |transaction| {
        let now = circulation.clock.now();
        let horizons = horizons(transaction, now).await?;
        if horizons.policy_ids.is_empty() {
            return Ok::<_, Error>(None);
        }
        let Some(loan_id) = action_store::take_self_renewing(transaction, &horizons).await? else {
            return Ok(None);
        };
        let before = store::find(transaction, loan_id)
            .await?
            .ok_or(Error::LoanNotFound)?;
        let patron_id = before.patron_id.ok_or(Error::LoanClosed)?;
        let due_at = before.due_at;
        let how = Renewing {
            action_id: carrel_ids::new_id(),
            actor: ACTOR,
            service_point_id: None,
            overriding: None,
            // Who waited for us until after the due date is not late for it.
            at: now.min(due_at),
            now,
        };
        action_store::note_tried(transaction, loan_id, due_at).await?;
        let loan = before.clone();
        let renewed = renew_loan(circulation, transaction, before, patron_id, &how).await;
        let events = match renewed {
            Ok((_, events)) => {
                append(transaction, &events).await?;
                return Ok(Some(true));
            }
            Err(Error::RenewalBlocked(blocks)) => vec![event::renewal_failed(&loan, blocks, now)],
            Err(Error::Database(error)) => return Err(Error::Database(error)),
            // One loan that can't be read holds up no other.
            Err(error) => {
                tracing::error!(loan.id = %loan_id, %error, "could not renew it by itself");
                Vec::new()
            }
        };
        append(transaction, &events).await?;
        Ok(Some(false))
    })?;
    circulation.wake.committed();
    Ok(tried)
}
