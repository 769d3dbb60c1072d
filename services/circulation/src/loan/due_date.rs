//! When a loan is due. Pure: the calendar and the moment are passed in.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::period::Period;
use crate::policy::model::{ClosedLibraryDueDate, FixedDueDate, LoanProfile, LoanTerms, RenewFrom};
use crate::service_point::calendar::Calendar;

/// When a loan that begins at `from` is due; `None` where the policy's
/// schedule has no span for that day, or the policy names no profile.
#[must_use]
pub fn due_at(terms: &LoanTerms, from: Timestamp, calendar: &Calendar) -> Option<Timestamp> {
    due_after(terms, from, from, calendar)
}

/// When a renewed loan is due: as [`due_at`], counted from where the policy
/// says. The schedule's span is the one of the day of renewal.
#[must_use]
pub fn renewed_due_at(
    terms: &LoanTerms,
    due_at: Timestamp,
    now: Timestamp,
    calendar: &Calendar,
) -> Option<Timestamp> {
    let from = match terms.renew_from {
        RenewFrom::DueDate => due_at,
        RenewFrom::Now => now,
    };
    due_after(terms, from, now, calendar)
}

fn due_after(
    terms: &LoanTerms,
    from: Timestamp,
    made_at: Timestamp,
    calendar: &Calendar,
) -> Option<Timestamp> {
    let scheduled = scheduled_date(&terms.fixed_due_dates, calendar.date_of(made_at));
    match terms.profile? {
        LoanProfile::Fixed => Some(long_due_at(terms, scheduled?, None, made_at, calendar)),
        LoanProfile::Rolling(period) if period.is_short() => {
            let due_at = short_due_at(terms, period.after(from, &calendar.zone), made_at, calendar);
            let limit = scheduled.map(|date| calendar.end_of_day(date));
            Some(limit.map_or(due_at, |limit| due_at.min(limit)))
        }
        LoanProfile::Rolling(period) => {
            let date = period.after_date(calendar.date_of(from));
            Some(long_due_at(terms, date, scheduled, made_at, calendar))
        }
    }
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
    made_at: Timestamp,
    calendar: &Calendar,
) -> Timestamp {
    let made_on = calendar.date_of(made_at);
    let date = limit.map_or(date, |limit| date.min(limit));
    let previous = |date| {
        // A loan is never due before the day on which it was made.
        calendar
            .open_day_until(date)
            .filter(|open| *open >= made_on)
    };
    let moved = match terms.closed_library_due_date {
        ClosedLibraryDueDate::EndOfPreviousOpenDay => previous(date),
        ClosedLibraryDueDate::EndOfNextOpenDay => calendar
            .open_day_from(date)
            // Past the schedule's limit there is no moving on, only back.
            .filter(|open| limit.is_none_or(|limit| *open <= limit))
            .or_else(|| previous(date)),
        ClosedLibraryDueDate::Keep
        | ClosedLibraryDueDate::EndOfCurrentHours
        | ClosedLibraryDueDate::BeginningOfNextHours { .. } => None,
    };
    calendar.end_of_day(moved.unwrap_or(date))
}

/// Short loans run by the clock; closed hours move them to when somebody can
/// take the item back.
fn short_due_at(
    terms: &LoanTerms,
    due_at: Timestamp,
    made_at: Timestamp,
    calendar: &Calendar,
) -> Timestamp {
    if calendar.is_open_at(due_at) {
        return due_at;
    }
    let moved = match terms.closed_library_due_date {
        ClosedLibraryDueDate::EndOfCurrentHours => calendar.last_closing(made_at, due_at),
        ClosedLibraryDueDate::BeginningOfNextHours { offset } => {
            calendar.next_hours(due_at).map(|hours| {
                let after_opening = offset.after(hours.opens_at, &calendar.zone);
                after_opening.min(hours.closes_at)
            })
        }
        ClosedLibraryDueDate::Keep
        | ClosedLibraryDueDate::EndOfPreviousOpenDay
        | ClosedLibraryDueDate::EndOfNextOpenDay => None,
    };
    moved.unwrap_or(due_at)
}

/// When an item that is not returned is aged to lost.
#[must_use]
pub fn lost_at(after: Option<Period>, due_at: Timestamp, calendar: &Calendar) -> Option<Timestamp> {
    Some(after?.after(due_at, &calendar.zone))
}

#[cfg(test)]
mod tests;
