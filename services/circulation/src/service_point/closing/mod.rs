//! Emergency closings: service points close out of turn, and the loans that
//! fall due meanwhile are due later. Looked at first, then done; what is done
//! is what was looked at.

mod run;
mod shelf;
mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use sqlx::PgConnection;
use uuid::Uuid;

use super::calendar::{Calendar, Closed};
use super::time_zone;
use crate::error::Error;
use crate::loan::due_date;
use crate::{Circulation, first_id};
pub(crate) use store::closed_spans;

pub use run::{run, run_until};

/// How long ago a closing may have begun that is told only now.
const LONGEST_AGO: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The longest closing, in days.
const LONGEST_DAYS: i32 = 366;
/// Service points that close together at the most.
const MOST_POINTS: usize = 100;
/// Loans that one closing moves at the most.
const MOST_LOANS: usize = 100_000;

/// Which service points close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// These.
    Points(Vec<Uuid>),
    /// All of a library, by its code.
    Library(String),
}

/// What closes, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// The service points.
    pub which: Which,
    /// From when.
    pub from: Timestamp,
    /// The last day, whole, in each service point's time zone.
    pub last_date: Date,
    /// Why.
    pub reason: String,
}

/// How far the moving of due dates is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// To be moved, those moved included.
    pub total_count: i64,
    /// Moved.
    pub moved_count: i64,
    /// Not moved, since something else happened to the loan first.
    pub passed_over_count: i64,
}

/// A closing that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeClosing {
    /// Its id.
    pub id: Uuid,
    /// What closed; by service points.
    pub closing: Closing,
    /// How far it is.
    pub progress: Progress,
}

/// A loan that falls due in a closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Affected {
    /// The loan.
    pub loan_id: Uuid,
    /// When it is due.
    pub due_at: Timestamp,
    /// When it is due instead; `None`: it stays.
    pub new_due_at: Option<Timestamp>,
}

/// What a closing would do.
#[derive(Debug)]
pub struct Preview {
    /// The loans, by their ids.
    pub affected: Vec<Affected>,
    /// Stands for the closing and all that it does.
    pub fingerprint: String,
    points: Vec<ClosedPoint>,
}

/// A service point with the closing in its calendar.
#[derive(Debug)]
struct ClosedPoint {
    id: Uuid,
    closed: Closed,
    calendar: Calendar,
}

/// What a closing would do now.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn preview(circulation: &Circulation, closing: &Closing) -> Result<Preview, Error> {
    let now = circulation.clock.now();
    // One transaction, though it writes nothing: hours and loans of one moment.
    transact!(circulation.database, "preview_closing", |transaction| {
        let points = store::find_points(transaction, &closing.which).await?;
        look(circulation, transaction, closing, Uuid::nil(), points, now).await
    })
}

/// Closes, and moves what a preview with this fingerprint said.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn close(
    circulation: &Circulation,
    key: &RequestKey,
    closing: &Closing,
    fingerprint: &str,
) -> Result<MadeClosing, Error> {
    let id = carrel_ids::new_id();
    let now = circulation.clock.now();
    let id = transact!(
        circulation.database,
        "close_service_points",
        |transaction| {
            if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
                return first_id(&ids);
            }
            let points = store::find_points(transaction, &closing.which).await?;
            let mut ids: Vec<Uuid> = points.iter().map(|point| point.id).collect();
            ids.sort_unstable();
            for point in ids {
                // Locks them in one order; whoever changes hours waits.
                super::store::begin_hours(transaction, point).await?;
            }
            let preview = look(circulation, transaction, closing, id, points, now).await?;
            if preview.fingerprint != fingerprint {
                return Err(Error::ClosingChanged);
            }
            store::insert(transaction, id, closing, &key.caller, now).await?;
            store::insert_points(transaction, id, &preview.points).await?;
            store::insert_moves(transaction, id, &preview.affected).await?;
            Ok(id)
        }
    )?;
    tracing::info!(closing.id = %id, "closed service points");
    // Whatever fails from here on goes on by itself.
    if let Err(error) = run::move_some(circulation, id).await {
        tracing::warn!(closing.id = %id, %error, "could not move due dates; trying again");
    }
    get(circulation, id).await
}

/// Reads a closing.
///
/// # Errors
/// [`Error::ClosingNotFound`].
pub async fn get(circulation: &Circulation, id: Uuid) -> Result<MadeClosing, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    store::find(&mut connection, id)
        .await?
        .ok_or(Error::ClosingNotFound)
}

/// A service point as a closing finds it.
#[derive(Debug)]
struct Point {
    id: Uuid,
    code: String,
    time_zone: String,
}

/// Finds out what a closing does.
async fn look(
    circulation: &Circulation,
    connection: &mut PgConnection,
    closing: &Closing,
    closing_id: Uuid,
    points: Vec<Point>,
    now: Timestamp,
) -> Result<Preview, Error> {
    let mut closed_points = Vec::with_capacity(points.len());
    for point in points {
        closed_points.push(close_point(connection, closing, closing_id, point, now).await?);
    }
    let affected = affected(circulation, connection, &closed_points, None).await?;
    if affected.len() > MOST_LOANS {
        return Err(Error::ClosingTooLarge);
    }
    Ok(Preview {
        fingerprint: fingerprint(closing, &closed_points, &affected),
        affected,
        points: closed_points,
    })
}

async fn close_point(
    connection: &mut PgConnection,
    closing: &Closing,
    closing_id: Uuid,
    point: Point,
    now: Timestamp,
) -> Result<ClosedPoint, Error> {
    let hours = super::store::opening_hours(connection, point.id).await?;
    let mut calendar = Calendar {
        zone: time_zone(&point.time_zone)?,
        hours,
    };
    let closed = Closed {
        closing_id,
        from: closing.from,
        until: closed_until(closing, &calendar, now)?,
        reason: closing.reason.clone(),
    };
    calendar.hours = calendar
        .hours
        .closed(closed.clone())
        .ok_or(Error::ClosingsOverlap(point.code))?;
    Ok(ClosedPoint {
        id: point.id,
        closed,
        calendar,
    })
}

fn closed_until(
    closing: &Closing,
    calendar: &Calendar,
    now: Timestamp,
) -> Result<Timestamp, Error> {
    if closing.from < now - LONGEST_AGO {
        return Err(Error::ClosingMalformed(
            "closed_from",
            "must be at most 30 days ago",
        ));
    }
    let last = "must be the first day or up to 366 days after it";
    let days = (closing.last_date - calendar.date_of(closing.from)).get_days();
    if !(0..=LONGEST_DAYS).contains(&days) {
        return Err(Error::ClosingMalformed("last_date", last));
    }
    let next = closing.last_date.tomorrow();
    let next = next.map_err(|_| Error::ClosingMalformed("last_date", last))?;
    Ok(calendar.start_of_day(next))
}

/// The loans that fall due in a closing, by their ids, and when they are due
/// instead; those apart that a closing noted already.
async fn affected(
    circulation: &Circulation,
    connection: &mut PgConnection,
    points: &[ClosedPoint],
    noted_by: Option<Uuid>,
) -> Result<Vec<Affected>, Error> {
    let limit = MOST_LOANS as i64 + 1;
    let due = store::list_due(connection, points, noted_by, limit).await?;
    let mut affected = Vec::with_capacity(due.len());
    for loan in due {
        let Some(point) = points
            .iter()
            .find(|point| point.id == loan.service_point_id)
        else {
            continue;
        };
        let known = &circulation.known;
        let policy = known.loan_policy(connection, loan.loan_policy_id).await?;
        let (terms, due_at) = (&policy.terms, loan.due_at);
        affected.push(Affected {
            loan_id: loan.loan_id,
            due_at,
            new_due_at: due_date::due_after_closing(terms, due_at, &point.closed, &point.calendar),
        });
    }
    Ok(affected)
}

/// Says in few characters what closes and what it does.
fn fingerprint(closing: &Closing, points: &[ClosedPoint], affected: &[Affected]) -> String {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let number = |at: Timestamp| at.as_microsecond().to_be_bytes();
    context.update(closing.reason.as_bytes());
    for point in points {
        context.update(point.id.as_bytes());
        context.update(&number(point.closed.from));
        context.update(&number(point.closed.until));
    }
    for loan in affected {
        context.update(loan.loan_id.as_bytes());
        context.update(&number(loan.due_at));
        context.update(&number(loan.new_due_at.unwrap_or(loan.due_at)));
    }
    let hash = context.finish();
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
