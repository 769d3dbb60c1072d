//! Confidentiality: whose a loan was is forgotten once nothing is owed for it.
//!
//! An ended loan is looked at once its period has passed. Something owed, or a
//! charge that billing has not told of yet: it waits until billing tells more
//! of it. A patron who keeps a reading history: until that is withdrawn. Else
//! the link is cut, here and in the loan's history, and others are told to cut
//! theirs. What the feed told before leaves the outbox with its retention.

pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_outbox::append;
use jiff::{SignedDuration, Timestamp};
use sqlx::PgPool;
use uuid::Uuid;

use crate::Circulation;
use crate::ageing::{self, Aged, BATCH, Batch};
use crate::error::Error;
use crate::loan::event;

/// The longest period for which an ended loan keeps its patron.
const LONGEST_CUT_AFTER_DAYS: i32 = 365;
/// Equipment and kits are looked through after their return; what is damaged
/// or missing then is owed by whoever had it.
const INSPECTED_WITHIN_DAYS: i64 = 1;

/// Days after its end for which a loan keeps its patron though nothing is
/// owed.
///
/// # Errors
/// The database's.
pub async fn cut_after_days(circulation: &Circulation) -> Result<i32, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    Ok(store::cut_after_days(&mut connection).await?)
}

/// Sets it.
///
/// # Errors
/// [`Error::CutAfterOutOfRange`].
pub async fn set_cut_after_days(
    circulation: &Circulation,
    key: &RequestKey,
    days: i32,
) -> Result<i32, Error> {
    if !(0..=LONGEST_CUT_AFTER_DAYS).contains(&days) {
        return Err(Error::CutAfterOutOfRange);
    }
    let now = circulation.clock.now();
    transact!(circulation.database, "set_privacy", |transaction| {
        // A repeated request has the same content, so the answer is in it.
        if let Claim::New = claim(transaction, key, &[], now).await?? {
            store::set_cut_after_days(transaction, days).await?;
        }
        Ok(days)
    })
}

/// Until when a loan must have ended for its patron to be cut now, and one of
/// equipment or a kit.
fn ended_by(cut_after_days: i32, now: Timestamp) -> (Timestamp, Timestamp) {
    let before = |days: i64| {
        let period = SignedDuration::from_hours(24 * days);
        now.checked_sub(period).unwrap_or(Timestamp::MIN)
    };
    let days = i64::from(cut_after_days);
    (before(days), before(days.max(INSPECTED_WITHIN_DAYS)))
}

/// Whether there is a loan to be looked at or a borrower to be forgotten.
pub(crate) async fn is_anything_due(pool: &PgPool, now: Timestamp) -> Result<bool, Error> {
    let mut connection = pool.acquire().await?;
    let days = store::cut_after_days(&mut connection).await?;
    Ok(store::is_anything_due(&mut connection, ended_by(days, now), now).await?)
}

/// Looks at ended loans, and cuts their patrons where nothing speaks against
/// it.
pub(crate) async fn anonymise(
    circulation: &Circulation,
    run_id: Option<Uuid>,
) -> Result<Batch, Error> {
    let now = circulation.clock.now();
    let batch = transact!(circulation.database, "anonymise", |transaction| {
        if !ageing::store::may_go_on(transaction, run_id).await? {
            return Ok::<_, Error>(Batch::default());
        }
        let days = store::cut_after_days(transaction).await?;
        let taken = store::take_ended(transaction, ended_by(days, now), BATCH).await?;
        if taken.is_empty() {
            return Ok(Batch::default());
        }
        // A statement of its own: it sees what billing and patrons told until
        // the loans were locked, and what they tell later waits for that lock.
        let cut = store::cut_or_keep(transaction, &taken).await?;
        let aged = Aged {
            anonymised_count: cut.len() as i64,
            ..Aged::default()
        };
        ageing::store::count(transaction, run_id, aged).await?;
        let events: Vec<_> = cut
            .into_iter()
            .map(|(loan_id, revision)| event::loan_anonymised(loan_id, revision, now))
            .collect();
        append(transaction, &events).await?;
        Ok(Batch {
            taken: taken.len(),
            aged,
        })
    })?;
    circulation.wake.committed();
    Ok(batch)
}

/// Cuts the patrons from closed requests, where they keep no history.
pub(crate) async fn anonymise_requests(
    circulation: &Circulation,
    run_id: Option<Uuid>,
) -> Result<Batch, Error> {
    let now = circulation.clock.now();
    let batch = transact!(circulation.database, "anonymise_requests", |transaction| {
        if !ageing::store::may_go_on(transaction, run_id).await? {
            return Ok::<_, Error>(Batch::default());
        }
        let days = store::cut_after_days(transaction).await?;
        let taken = store::take_closed_requests(transaction, ended_by(days, now).0, BATCH).await?;
        if taken.is_empty() {
            return Ok(Batch::default());
        }
        let cut = store::cut_or_keep_requests(transaction, &taken).await?;
        let aged = Aged {
            anonymised_count: cut.len() as i64,
            ..Aged::default()
        };
        ageing::store::count(transaction, run_id, aged).await?;
        let events: Vec<_> = cut
            .into_iter()
            .map(|(id, revision)| event::request_anonymised(id, revision, now))
            .collect();
        append(transaction, &events).await?;
        Ok(Batch {
            taken: taken.len(),
            aged,
        })
    })?;
    circulation.wake.committed();
    Ok(batch)
}

/// Forgets who had items last, where they may take them again by now.
pub(crate) async fn forget_borrowers(circulation: &Circulation) -> Result<(), Error> {
    let now = circulation.clock.now();
    loop {
        let forgotten = transact!(circulation.database, "forget_borrowers", |transaction| {
            Ok::<_, Error>(store::forget_borrowers(transaction, now, BATCH).await?)
        })?;
        if forgotten == 0 {
            return Ok(());
        }
    }
}
