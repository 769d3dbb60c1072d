//! The simulator's clock: real time, moved by an offset where that is allowed.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Real time plus an offset, read in the site's time zone.
pub(crate) struct Clock {
    offset_ms: AtomicI64,
    zone: TimeZone,
}

impl Clock {
    pub(crate) fn new(zone: TimeZone, offset_ms: i64) -> Self {
        Self {
            offset_ms: AtomicI64::new(offset_ms),
            zone,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_millis(self.offset_ms.load(Ordering::Relaxed));
        Timestamp::now()
            .saturating_add(offset)
            .expect("a duration never overflows a saturating sum")
    }

    /// The site's civil date.
    pub(crate) fn today(&self) -> Date {
        self.date_of(self.now())
    }

    /// The civil date of an instant at the site.
    pub(crate) fn date_of(&self, instant: Timestamp) -> Date {
        instant.to_zoned(self.zone.clone()).date()
    }

    /// The offset that makes it `now` at this moment.
    pub(crate) fn offset_to(now: Timestamp) -> i64 {
        let offset = now.duration_since(Timestamp::now()).as_millis();
        i64::try_from(offset).expect("jiff's range in milliseconds fits 64 bits")
    }

    pub(crate) fn set_offset_ms(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
    }
}
