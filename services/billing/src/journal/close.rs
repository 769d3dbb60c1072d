//! Closing a month: nothing is booked into it any more. What corrects it is booked in an open month and names it.

use carrel_database::{Claim, RequestKey, claim, transact};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::{Days, LedgerBalance, store, trial_balance_of};
use crate::error::Error;
use crate::{Actor, Billing};

/// How long after its end a month is closed at the earliest: whoever took the
/// time before its end has long booked, and clocks that differ agree.
const WAIT: SignedDuration = SignedDuration::from_mins(15);

/// A closed month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedMonth {
    /// Its first day.
    pub month: Date,
    /// The instant at which it ended.
    pub ended_at: Timestamp,
    /// Who closed it.
    pub closed_by: String,
    /// When.
    pub closed_at: Timestamp,
}

/// Closes the month of a day, and every month before it.
///
/// # Errors
/// [`Error::MonthNotOver`] until a quarter of an hour after its end, [`Error::MonthClosed`] where it or a later one is.
pub async fn close_month(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    day: Date,
) -> Result<ClosedMonth, Error> {
    let now = billing.clock.now();
    let month = day.first_of_month();
    let next = month
        .checked_add(1.month())
        .and_then(|next| next.to_zoned(billing.zone.clone()))
        .map_err(|_| Error::MonthNotOver)?;
    let closed = ClosedMonth {
        month,
        ended_at: next.timestamp(),
        closed_by: actor.subject.clone(),
        closed_at: now,
    };
    if now < closed.ended_at + WAIT {
        return Err(Error::MonthNotOver);
    }
    transact!(billing.database, "close_month", |transaction| {
        if claim(transaction, key, &[], now).await?? != Claim::New {
            return store::find_closed_month(transaction, month)
                .await?
                .ok_or(Error::MonthNotOver);
        }
        // Whoever is booking into it ends first; whoever comes later finds it closed.
        store::lock_journal(transaction).await?;
        if store::last_closed(transaction)
            .await?
            .is_some_and(|last| last >= month)
        {
            return Err(Error::MonthClosed);
        }
        store::insert_closed_month(transaction, &closed).await?;
        Ok(closed.clone())
    })
}

/// The trial balance of a closed month, up to its last day.
///
/// # Errors
/// The database's.
pub async fn balance_of(
    billing: &Billing,
    closed: &ClosedMonth,
) -> Result<Vec<LedgerBalance>, Error> {
    let days = Days {
        first: Some(closed.month),
        last: Some(closed.month.last_of_month()),
    };
    Ok(trial_balance_of(billing, days).await?.0)
}
