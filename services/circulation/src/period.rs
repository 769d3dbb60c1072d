//! Lengths of time as policies state them.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, civil};
use serde::{Deserialize, Serialize};

/// A unit of time. Minutes and hours run by the clock; days, weeks and months
/// by the calendar of a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeriodUnit {
    /// 60 seconds.
    Minutes,
    /// 60 minutes.
    Hours,
    /// Calendar days.
    Days,
    /// Seven calendar days.
    Weeks,
    /// Calendar months.
    Months,
}

/// A length of time: 0 to 10,000 of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// How many.
    pub count: i32,
    /// Of what.
    pub unit: PeriodUnit,
}

impl Period {
    /// The largest count.
    pub const LARGEST_COUNT: i32 = 10_000;

    /// Whether it runs by the clock rather than by the calendar.
    #[must_use]
    pub fn is_short(self) -> bool {
        matches!(self.unit, PeriodUnit::Minutes | PeriodUnit::Hours)
    }

    /// So many of it in a row, as a span.
    fn times(self, times: i64) -> Span {
        let count = i64::from(self.count) * times;
        // jiff's own bounds are far wider than 10,000 of any unit; a span that
        // passes them is cut to "for ever" by the callers' checked sums.
        let span = match self.unit {
            PeriodUnit::Minutes => Span::new().try_minutes(count),
            PeriodUnit::Hours => Span::new().try_hours(count),
            PeriodUnit::Days => Span::new().try_days(count),
            PeriodUnit::Weeks => Span::new().try_weeks(count),
            PeriodUnit::Months => Span::new().try_months(count),
        };
        span.unwrap_or_else(|_| Span::new().years(19_998))
    }

    /// The instant so long after another; calendar units keep the wall-clock
    /// time across daylight saving.
    #[must_use]
    pub fn after(self, instant: Timestamp, zone: &TimeZone) -> Timestamp {
        self.repeated_after(instant, 1, zone)
    }

    /// The instant so many periods after another.
    #[must_use]
    pub fn repeated_after(self, instant: Timestamp, times: i64, zone: &TimeZone) -> Timestamp {
        instant
            .to_zoned(zone.clone())
            .checked_add(self.times(times))
            .map_or(Timestamp::MAX, |zoned| zoned.timestamp())
    }

    /// The date so long after another; for calendar units. The 31st of a
    /// month plus a month is the last day of the next.
    #[must_use]
    pub fn after_date(self, date: civil::Date) -> civil::Date {
        date.checked_add(self.times(1)).unwrap_or(civil::Date::MAX)
    }
}

/// The last second of a day, when long loans are due.
#[must_use]
pub fn end_of_day(date: civil::Date, zone: &TimeZone) -> Timestamp {
    // Where that second is skipped by daylight saving, the one after counts.
    zone.to_timestamp(date.at(23, 59, 59, 0))
        .unwrap_or(Timestamp::MAX)
}

/// The civil date of an instant in a zone.
#[must_use]
pub fn date_of(instant: Timestamp, zone: &TimeZone) -> civil::Date {
    zone.to_datetime(instant).date()
}

/// The second in which an instant lies. Due times are whole seconds, and what
/// happens within the last one is still in time.
#[must_use]
pub fn second_of(instant: Timestamp) -> Timestamp {
    let micros = instant.as_microsecond().rem_euclid(1_000_000);
    Timestamp::from_microsecond(instant.as_microsecond() - micros).unwrap_or(instant)
}
