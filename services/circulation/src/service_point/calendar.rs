//! When a service point is open: weekly hours, exceptions, its time zone.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use uuid::Uuid;

use crate::period::{date_of, end_of_day};

/// Minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;
/// How far a search for an open day or hour goes before it gives up: longer
/// than any closing, short enough never to be felt.
const SEARCH_DAYS: i64 = 400;

/// From when to when, in minutes after midnight. `closes` at or before `opens`
/// is on the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// Opens, 0 to 1,439.
    pub opens: u16,
    /// Closes, 0 to 1,440.
    pub closes: u16,
}

impl Hours {
    /// Minutes after the midnight at which the opening day began; beyond
    /// 1,440 it is on the next day.
    fn closes_after(self) -> u16 {
        if self.closes > self.opens {
            self.closes
        } else {
            self.closes + DAY_MINUTES
        }
    }
}

/// Hours on a day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeeklyHours {
    /// The day on which it opens.
    pub day: Weekday,
    /// From when to when.
    pub hours: Hours,
}

/// Days with other hours, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoursException {
    /// The first day.
    pub first_date: Date,
    /// The last day.
    pub last_date: Date,
    /// Why.
    pub reason: String,
    /// The hours on each of these days; `None`: closed.
    pub hours: Option<Hours>,
}

/// A rule of opening hours that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoursFault {
    /// Two hours, or two exceptions, cover the same time; the index of the
    /// later one.
    Overlap(&'static str, usize),
    /// Something about one of them; its index and what.
    Malformed(&'static str, usize, &'static str),
}

/// Weekly hours and exceptions that hold together, and emergency closings,
/// which count before either.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpeningHours {
    weekly: Vec<WeeklyHours>,
    exceptions: Vec<HoursException>,
    /// By when they begin; none overlaps another.
    closings: Vec<Closed>,
}

/// An emergency closing: from an instant until before another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The closing that it is part of.
    pub closing_id: Uuid,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
}

impl Closed {
    /// Whether an instant lies in it.
    #[must_use]
    pub fn covers(&self, instant: Timestamp) -> bool {
        self.from <= instant && instant < self.until
    }
}

/// When it opens and closes, as instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenSpan {
    /// Opens.
    pub opens_at: Timestamp,
    /// Closes.
    pub closes_at: Timestamp,
}

impl OpenSpan {
    /// What a closing leaves of it: nothing, or up to two spans.
    fn without(self, closed: &Closed) -> impl Iterator<Item = Self> {
        let before = Self {
            closes_at: self.closes_at.min(closed.from),
            ..self
        };
        let after = Self {
            opens_at: self.opens_at.max(closed.until),
            ..self
        };
        [before, after]
            .into_iter()
            .filter(|span| span.opens_at < span.closes_at)
    }
}

impl OpeningHours {
    /// Weekly hours and exceptions, in order.
    ///
    /// # Errors
    /// [`HoursFault`] for the first rule broken.
    pub fn new(
        weekly: Vec<WeeklyHours>,
        exceptions: Vec<HoursException>,
    ) -> Result<Self, HoursFault> {
        for (index, weekly) in weekly.iter().enumerate() {
            check_hours("weekly_hours", index, weekly.hours)?;
        }
        for (index, exception) in exceptions.iter().enumerate() {
            check_exception(index, exception)?;
        }
        if let Some(index) = overlapping_week(&weekly) {
            return Err(HoursFault::Overlap("weekly_hours", index));
        }
        if let Some(index) = overlapping_exceptions(&exceptions) {
            return Err(HoursFault::Overlap("exceptions", index));
        }
        Ok(Self {
            weekly,
            exceptions,
            closings: Vec::new(),
        })
    }

    /// The same with an emergency closing more; `None` where it overlaps one
    /// that is there.
    #[must_use]
    pub fn closed(mut self, closed: Closed) -> Option<Self> {
        let overlaps = |other: &Closed| other.from < closed.until && closed.from < other.until;
        if self.closings.iter().any(overlaps) {
            return None;
        }
        self.closings.push(closed);
        self.closings.sort_by_key(|closed| closed.from);
        Some(self)
    }

    /// The emergency closings, oldest first.
    #[must_use]
    pub fn closings(&self) -> &[Closed] {
        &self.closings
    }

    /// The weekly hours.
    #[must_use]
    pub fn weekly(&self) -> &[WeeklyHours] {
        &self.weekly
    }

    /// The exceptions.
    #[must_use]
    pub fn exceptions(&self) -> &[HoursException] {
        &self.exceptions
    }

    /// The hours that begin on a day, emergency closings apart. Without any on
    /// record it is open all day.
    fn beginning_on(&self, date: Date) -> Vec<Hours> {
        if self.weekly.is_empty() && self.exceptions.is_empty() {
            return vec![Hours {
                opens: 0,
                closes: DAY_MINUTES,
            }];
        }
        let exception = self
            .exceptions
            .iter()
            .find(|exception| exception.first_date <= date && date <= exception.last_date);
        if let Some(exception) = exception {
            return exception.hours.into_iter().collect();
        }
        let mut hours: Vec<Hours> = self
            .weekly
            .iter()
            .filter(|weekly| weekly.day == date.weekday())
            .map(|weekly| weekly.hours)
            .collect();
        hours.sort_by_key(|hours| hours.opens);
        hours
    }
}

fn check_hours(field: &'static str, index: usize, hours: Hours) -> Result<(), HoursFault> {
    if hours.opens >= DAY_MINUTES {
        return Err(HoursFault::Malformed(
            field,
            index,
            "must open before 24:00",
        ));
    }
    if hours.closes > DAY_MINUTES {
        return Err(HoursFault::Malformed(field, index, "must close by 24:00"));
    }
    Ok(())
}

fn check_exception(index: usize, exception: &HoursException) -> Result<(), HoursFault> {
    let malformed = |what| Err(HoursFault::Malformed("exceptions", index, what));
    if exception.last_date < exception.first_date {
        return malformed("must not end before it begins");
    }
    let days = (exception.last_date - exception.first_date).get_days();
    if days > 366 {
        return malformed("must not be longer than 366 days");
    }
    exception
        .hours
        .map_or(Ok(()), |hours| check_hours("exceptions", index, hours))
}

/// The index of weekly hours that overlap others, Sunday's past midnight
/// against Monday's included.
fn overlapping_week(weekly: &[WeeklyHours]) -> Option<usize> {
    const WEEK_MINUTES: u32 = 7 * DAY_MINUTES as u32;
    let mut spans: Vec<(u32, u32, usize)> = weekly
        .iter()
        .enumerate()
        .map(|(index, weekly)| {
            let day = u32::from(weekly.day.to_monday_zero_offset().unsigned_abs());
            let midnight = day * u32::from(DAY_MINUTES);
            let opens = midnight + u32::from(weekly.hours.opens);
            let closes = midnight + u32::from(weekly.hours.closes_after());
            (opens, closes, index)
        })
        .collect();
    spans.sort_unstable();
    let first_opens = spans.first()?.0;
    let next_opens = spans.iter().skip(1).map(|span| span.0);
    spans
        .iter()
        .zip(next_opens.chain([first_opens + WEEK_MINUTES]))
        .find(|((_, closes, _), next_opens)| closes > next_opens)
        .map(|((_, _, index), _)| *index)
}

fn overlapping_exceptions(exceptions: &[HoursException]) -> Option<usize> {
    let mut spans: Vec<(Date, Date, usize)> = exceptions
        .iter()
        .enumerate()
        .map(|(index, exception)| (exception.first_date, exception.last_date, index))
        .collect();
    spans.sort_unstable();
    spans
        .windows(2)
        .find(|pair| pair[1].0 <= pair[0].1)
        .map(|pair| pair[1].2)
}

/// A service point's hours in its time zone. One without any hours on record
/// is taken to be always open: nobody said when it closes.
#[derive(Debug, Clone)]
pub struct Calendar {
    /// Its time zone.
    pub zone: TimeZone,
    /// Its hours.
    pub hours: OpeningHours,
}

impl Calendar {
    /// Whether there is a time at which it is closed.
    fn ever_closes(&self) -> bool {
        let hours = &self.hours;
        !(hours.weekly.is_empty() && hours.exceptions.is_empty() && hours.closings.is_empty())
    }

    /// The civil date of an instant here.
    #[must_use]
    pub fn date_of(&self, instant: Timestamp) -> Date {
        date_of(instant, &self.zone)
    }

    /// The last second of a day here.
    #[must_use]
    pub fn end_of_day(&self, date: Date) -> Timestamp {
        end_of_day(date, &self.zone)
    }

    /// Whether it opens on that day. Hours past midnight belong to the day on
    /// which they began.
    #[must_use]
    pub fn is_open_day(&self, date: Date) -> bool {
        !self.ever_closes() || !self.spans_beginning_on(date).is_empty()
    }

    /// That day or the first open one after it.
    #[must_use]
    pub fn open_day_from(&self, date: Date) -> Option<Date> {
        days_from(date, 1).find(|date| self.is_open_day(*date))
    }

    /// That day or the last open one before it.
    #[must_use]
    pub fn open_day_until(&self, date: Date) -> Option<Date> {
        days_from(date, -1).find(|date| self.is_open_day(*date))
    }

    /// When it is open of the hours that begin on a day: what emergency
    /// closings leave of them.
    fn spans_beginning_on(&self, date: Date) -> Vec<OpenSpan> {
        let hours = self.hours.beginning_on(date).into_iter();
        let mut spans: Vec<OpenSpan> = hours
            .map(|hours| OpenSpan {
                opens_at: self.instant(date, hours.opens),
                closes_at: self.instant(date, hours.closes_after()),
            })
            .collect();
        for closed in &self.hours.closings {
            spans = spans
                .into_iter()
                .flat_map(|span| span.without(closed))
                .collect();
        }
        spans
    }

    fn instant(&self, date: Date, minutes: u16) -> Timestamp {
        let day = date
            .checked_add(Span::new().days(i64::from(minutes / DAY_MINUTES)))
            .unwrap_or(Date::MAX);
        let minute = minutes % DAY_MINUTES;
        let time = jiff::civil::time((minute / 60) as i8, (minute % 60) as i8, 0, 0);
        self.zone
            .to_timestamp(day.to_datetime(time))
            .unwrap_or(Timestamp::MAX)
    }

    /// Whether it is open at an instant, closing time included.
    #[must_use]
    pub fn is_open_at(&self, instant: Timestamp) -> bool {
        !self.ever_closes() || self.span_at(instant).is_some()
    }

    fn span_at(&self, instant: Timestamp) -> Option<OpenSpan> {
        // The later one where two touch: closing time is inclusive.
        days_from(self.date_of(instant), -1)
            .take(2)
            .flat_map(|date| self.spans_beginning_on(date).into_iter().rev())
            .find(|span| span.opens_at <= instant && instant <= span.closes_at)
    }

    /// The hours around an instant, closing time included, together with those
    /// that follow on them at once; `None` where it is closed, and where it
    /// never closes.
    #[must_use]
    pub fn hours_at(&self, instant: Timestamp) -> Option<OpenSpan> {
        if !self.ever_closes() {
            return None;
        }
        let mut hours = self.span_at(instant)?;
        // Open by day and night for two weeks is as good as for ever.
        for _ in 0..28 {
            let Some(next) = self.span_at(hours.closes_at) else {
                break;
            };
            if next.closes_at == hours.closes_at {
                break;
            }
            hours.closes_at = next.closes_at;
        }
        Some(hours)
    }

    /// The first second of a day here.
    #[must_use]
    pub fn start_of_day(&self, date: Date) -> Timestamp {
        self.instant(date, 0)
    }

    /// The last closing time after `from` and not after `until`.
    #[must_use]
    pub fn last_closing(&self, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let earliest = self.date_of(from).yesterday().unwrap_or(Date::MIN);
        days_from(self.date_of(until), -1)
            .take_while(|date| *date >= earliest)
            .flat_map(|date| self.spans_beginning_on(date).into_iter().rev())
            .map(|span| span.closes_at)
            .find(|closes_at| from < *closes_at && *closes_at <= until)
    }

    /// The first hours that begin after an instant.
    #[must_use]
    pub fn next_hours(&self, instant: Timestamp) -> Option<OpenSpan> {
        // What a closing leaves of yesterday's hours may begin today.
        let today = self.date_of(instant);
        days_from(today.yesterday().unwrap_or(today), 1)
            .flat_map(|date| self.spans_beginning_on(date))
            .find(|span| span.opens_at > instant)
    }

    /// The first hours that begin at an instant or after it.
    #[must_use]
    pub fn hours_from(&self, instant: Timestamp) -> Option<OpenSpan> {
        // What a closing leaves of yesterday's hours may begin today.
        let today = self.date_of(instant);
        days_from(today.yesterday().unwrap_or(today), 1)
            .flat_map(|date| self.spans_beginning_on(date))
            .find(|span| span.opens_at >= instant)
    }

    /// How many open seconds lie between two instants, a begun one counted.
    #[must_use]
    pub fn open_seconds(&self, from: Timestamp, until: Timestamp) -> i64 {
        if !self.ever_closes() {
            return whole_seconds(from, until);
        }
        let (first, last) = (self.date_of(from), self.date_of(until));
        let mut counted_until = from;
        let mut seconds = 0;
        let mut date = first.yesterday().unwrap_or(first);
        while date <= last {
            for span in self.spans_beginning_on(date) {
                // Hours past midnight can reach into an exception's.
                let begins = span.opens_at.max(counted_until);
                let ends = span.closes_at.min(until);
                if begins < ends {
                    seconds += whole_seconds(begins, ends);
                    counted_until = ends;
                }
            }
            let Ok(tomorrow) = date.tomorrow() else { break };
            date = tomorrow;
        }
        seconds
    }
}

/// Seconds between two instants, a begun one counted.
pub fn whole_seconds(from: Timestamp, until: Timestamp) -> i64 {
    let micros = until.as_microsecond() - from.as_microsecond();
    micros.max(0).div_euclid(1_000_000) + i64::from(micros.max(0) % 1_000_000 > 0)
}

/// A day and the ones after it (`step` 1) or before it (-1), as far as a
/// search goes.
fn days_from(date: Date, step: i64) -> impl Iterator<Item = Date> {
    (0..=SEARCH_DAYS).map_while(move |days| date.checked_add(Span::new().days(days * step)).ok())
}

#[cfg(test)]
mod tests;
