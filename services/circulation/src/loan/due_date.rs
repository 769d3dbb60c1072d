//! When a loan is due. Pure: the calendar and the moment are passed in.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::period::{Period, second_of};
use crate::policy::model::{ClosedLibraryDueDate, FixedDueDate, LoanProfile, LoanTerms, RenewFrom};
use crate::service_point::calendar::{Calendar, Closed, OpenSpan};

/// When a loan that begins at `from` is due; `None` where the policy's
/// schedule has no span for that day, or the policy names no profile.
/// `is_requested`: whether others wait for the item.
#[must_use]
pub fn due_at(
    terms: &LoanTerms,
    from: Timestamp,
    is_requested: bool,
    calendar: &Calendar,
) -> Option<Timestamp> {
    let alternate = terms.alternate_period_when_requested;
    let asked = Asked {
        profile: terms.profile?,
        alternate: alternate.filter(|_| is_requested),
        schedule: &terms.fixed_due_dates,
    };
    due_after(terms, &asked, from, from, calendar)
}

/// When a renewed loan is due: as [`due_at`], counted from where the policy
/// says, with the period and the schedule of renewals. The schedule's span is
/// the one of the day of renewal.
#[must_use]
pub fn renewed_due_at(
    terms: &LoanTerms,
    due_at: Timestamp,
    now: Timestamp,
    is_requested: bool,
    calendar: &Calendar,
) -> Option<Timestamp> {
    let from = match terms.renew_from {
        RenewFrom::DueDate => due_at,
        RenewFrom::Now => now,
    };
    let profile = match (terms.profile?, terms.renewal_period) {
        (LoanProfile::Rolling(_), Some(period)) => LoanProfile::Rolling(period),
        (profile, _) => profile,
    };
    let schedule = if terms.renewal_fixed_due_dates.is_empty() {
        &terms.fixed_due_dates
    } else {
        &terms.renewal_fixed_due_dates
    };
    let alternate = terms.alternate_period_when_requested;
    let asked = Asked {
        profile,
        alternate: alternate.filter(|_| is_requested),
        schedule,
    };
    due_after(terms, &asked, from, now, calendar)
}

/// What a loan or a renewal asks for.
struct Asked<'a> {
    profile: LoanProfile,
    /// The period instead, since others wait.
    alternate: Option<Period>,
    schedule: &'a [FixedDueDate],
}

fn due_after(
    terms: &LoanTerms,
    asked: &Asked<'_>,
    from: Timestamp,
    made_at: Timestamp,
    calendar: &Calendar,
) -> Option<Timestamp> {
    let made_on = calendar.date_of(made_at);
    let scheduled = scheduled_date(asked.schedule, made_on);
    let (period, limit) = match (asked.profile, asked.alternate) {
        // Whoever others wait for has the schedule's date at the most.
        (LoanProfile::Fixed, Some(alternate)) => (alternate, Some(scheduled?)),
        (LoanProfile::Fixed, None) => {
            let date = scheduled?;
            return Some(long_due_at(terms, date, None, made_on, calendar));
        }
        (LoanProfile::Rolling(period), alternate) => (alternate.unwrap_or(period), scheduled),
    };
    if period.is_short() {
        let ends_at = second_of(period.after(from, &calendar.zone));
        let due_at = short_due_at(terms, ends_at, made_at, calendar);
        let limit = limit.map(|date| calendar.end_of_day(date));
        let due_at = limit.map_or(due_at, |limit| due_at.min(limit));
        return Some(at_least_short(terms, due_at, made_at, calendar));
    }
    let date = period.after_date(calendar.date_of(from));
    Some(long_due_at(terms, date, limit, made_on, calendar))
}

fn scheduled_date(schedule: &[FixedDueDate], made_on: Date) -> Option<Date> {
    schedule
        .iter()
        .find(|span| span.first_date <= made_on && made_on <= span.last_date)
        .map(|span| span.due_date)
}

/// Long loans are due at the last second of a day.
fn long_due_at(
    terms: &LoanTerms,
    date: Date,
    limit: Option<Date>,
    made_on: Date,
    calendar: &Calendar,
) -> Timestamp {
    let date = limit.map_or(date, |limit| date.min(limit));
    let within = |date: &Date| limit.is_none_or(|limit| *date <= limit);
    // A loan is never due before the day on which it was made, and past the
    // schedule's limit there is no moving on, only back.
    let previous = || (calendar.open_day_until(date)).filter(|open| *open >= made_on);
    let next = || calendar.open_day_from(date).filter(within);
    let moves = terms.closed_library_due_date != ClosedLibraryDueDate::Keep;
    let moved = match terms.closed_library_due_date {
        ClosedLibraryDueDate::EndOfPreviousOpenDay => previous().or_else(next),
        ClosedLibraryDueDate::EndOfNextOpenDay => next().or_else(previous),
        ClosedLibraryDueDate::Keep
        | ClosedLibraryDueDate::EndOfCurrentHours
        | ClosedLibraryDueDate::BeginningOfNextHours { .. } => None,
    };
    let due_on = moved.unwrap_or(date);
    let least = terms.minimum_period.map(|least| least.after_date(made_on));
    let due_on = match least.filter(|least| due_on < *least) {
        Some(least) if moves => calendar.open_day_from(least).unwrap_or(least),
        Some(least) => least,
        None => due_on,
    };
    calendar.end_of_day(due_on)
}

/// Short loans run by the clock; closed hours move them to when somebody can
/// take the item back.
fn short_due_at(
    terms: &LoanTerms,
    due_at: Timestamp,
    made_at: Timestamp,
    calendar: &Calendar,
) -> Timestamp {
    if let Some(overnight) = overnight_due_at(terms, made_at, calendar) {
        return overnight;
    }
    out_of_closed_hours(terms, due_at, made_at, calendar)
}

/// Where a short loan's due date is moved to that falls into closed hours.
fn out_of_closed_hours(
    terms: &LoanTerms,
    due_at: Timestamp,
    made_at: Timestamp,
    calendar: &Calendar,
) -> Timestamp {
    if calendar.is_open_at(due_at) {
        return due_at;
    }
    let moved = match terms.closed_library_due_date {
        ClosedLibraryDueDate::EndOfCurrentHours => calendar
            .last_closing(made_at, due_at)
            // Lent while nobody was there, as by a machine at night.
            .or_else(|| next_opening(terms, due_at, calendar)),
        ClosedLibraryDueDate::BeginningOfNextHours { .. } => next_opening(terms, due_at, calendar),
        ClosedLibraryDueDate::Keep
        | ClosedLibraryDueDate::EndOfPreviousOpenDay
        | ClosedLibraryDueDate::EndOfNextOpenDay => None,
    };
    moved.unwrap_or(due_at)
}

/// When a loan is due that begins shortly before closing time.
fn overnight_due_at(
    terms: &LoanTerms,
    made_at: Timestamp,
    calendar: &Calendar,
) -> Option<Timestamp> {
    let overnight = terms.overnight?;
    let closes_at = calendar.hours_at(made_at)?.closes_at;
    if overnight.window.after(made_at, &calendar.zone) < closes_at {
        return None;
    }
    let hours = calendar.next_hours(closes_at)?;
    Some(after_opening(overnight.offset, hours, calendar))
}

/// The next opening after an instant, and how long after it the policy lets
/// short loans be due.
fn next_opening(terms: &LoanTerms, instant: Timestamp, calendar: &Calendar) -> Option<Timestamp> {
    let hours = calendar.next_hours(instant)?;
    let offset = match (terms.closed_library_due_date, terms.overnight) {
        (ClosedLibraryDueDate::BeginningOfNextHours { offset }, _) => offset,
        (_, Some(overnight)) => overnight.offset,
        _ => return Some(hours.opens_at),
    };
    Some(after_opening(offset, hours, calendar))
}

fn after_opening(offset: Period, hours: OpenSpan, calendar: &Calendar) -> Timestamp {
    let after_opening = offset.after(hours.opens_at, &calendar.zone);
    after_opening.min(hours.closes_at)
}

/// A short loan that lasts its minimum.
fn at_least_short(
    terms: &LoanTerms,
    due_at: Timestamp,
    made_at: Timestamp,
    calendar: &Calendar,
) -> Timestamp {
    let least = terms
        .minimum_period
        .map(|least| second_of(least.after(made_at, &calendar.zone)));
    let Some(least) = least.filter(|least| due_at < *least) else {
        return due_at;
    };
    let keeps = terms.closed_library_due_date == ClosedLibraryDueDate::Keep;
    if keeps || calendar.is_open_at(least) {
        return least;
    }
    next_opening(terms, least, calendar).unwrap_or(least)
}

/// When a loan is due instead that falls due in an emergency closing: later,
/// and as its policy allows; past a schedule's limit too, since it is the
/// library that closes. `None`: it stays, because the policy lets due dates
/// fall into closed hours or the library never opens again. `calendar` has the
/// closing.
#[must_use]
pub fn due_after_closing(
    terms: &LoanTerms,
    due_at: Timestamp,
    closed: &Closed,
    calendar: &Calendar,
) -> Option<Timestamp> {
    if !closed.covers(due_at) || terms.closed_library_due_date == ClosedLibraryDueDate::Keep {
        return None;
    }
    let hours = calendar.hours_from(closed.until)?;
    let moved = match terms.closed_library_due_date {
        ClosedLibraryDueDate::BeginningOfNextHours { offset } => {
            after_opening(offset, hours, calendar)
        }
        ClosedLibraryDueDate::EndOfCurrentHours => hours.closes_at,
        ClosedLibraryDueDate::Keep
        | ClosedLibraryDueDate::EndOfPreviousOpenDay
        | ClosedLibraryDueDate::EndOfNextOpenDay => {
            calendar.end_of_day(calendar.date_of(hours.opens_at))
        }
    };
    Some(moved).filter(|moved| *moved > due_at)
}

/// When a loan is due that is wanted back by an instant: moved out of closed
/// hours as its policy says; a long loan to the end of the day.
#[must_use]
pub fn moved_due_at(
    terms: &LoanTerms,
    wanted: Timestamp,
    made_at: Timestamp,
    calendar: &Calendar,
) -> Timestamp {
    match terms.profile {
        Some(LoanProfile::Rolling(period)) if period.is_short() => {
            out_of_closed_hours(terms, wanted, made_at, calendar)
        }
        _ => {
            let (date, made_on) = (calendar.date_of(wanted), calendar.date_of(made_at));
            long_due_at(terms, date, None, made_on, calendar)
        }
    }
}

/// When an item that is not returned is aged to lost.
#[must_use]
pub fn lost_at(after: Option<Period>, due_at: Timestamp, calendar: &Calendar) -> Option<Timestamp> {
    Some(after?.after(due_at, &calendar.zone))
}

#[cfg(test)]
mod tests;
