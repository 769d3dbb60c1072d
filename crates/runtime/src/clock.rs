//! The clock that is passed into every rule.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// A service's clock: the machine's, or, in demonstrations and tests, one that
/// was moved on and goes on running from there.
#[derive(Debug, Clone)]
pub struct Clock {
    /// How far it was moved, in microseconds.
    offset_us: Arc<AtomicI64>,
    movable: bool,
}

/// Why a clock was not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// The service was not started with a movable clock.
    #[error("this service's clock can't be moved; it was not started with --movable-clock")]
    Fixed,
    /// A clock never goes back.
    #[error("the clock can't be moved back")]
    Backwards,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn fixed() -> Self {
        Self::new(false, SignedDuration::ZERO)
    }

    /// A clock that can be moved on, and already was by `offset`.
    #[must_use]
    pub fn movable(offset: SignedDuration) -> Self {
        Self::new(true, offset)
    }

    fn new(movable: bool, offset: SignedDuration) -> Self {
        let offset_us = offset.as_micros().try_into().unwrap_or(i64::MAX);
        Self {
            offset_us: Arc::new(AtomicI64::new(offset_us)),
            movable,
        }
    }

    /// Now, to the microsecond (as PostgreSQL keeps it).
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let real = Timestamp::now().as_microsecond();
        Timestamp::from_microsecond(real + self.offset_us.load(Ordering::Relaxed))
            .unwrap_or(Timestamp::MAX)
    }

    /// Whether it can be moved.
    #[must_use]
    pub fn is_movable(&self) -> bool {
        self.movable
    }

    /// Moves it on to `now`.
    ///
    /// # Errors
    /// [`ClockError`].
    pub fn set(&self, now: Timestamp) -> Result<Timestamp, ClockError> {
        if !self.movable {
            return Err(ClockError::Fixed);
        }
        let wanted = now.as_microsecond() - Timestamp::now().as_microsecond();
        let before = self.offset_us.fetch_max(wanted, Ordering::Relaxed);
        if wanted < before {
            return Err(ClockError::Backwards);
        }
        Ok(self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;

    #[test]
    fn a_movable_clock_goes_on_and_never_back() {
        let clock = Clock::movable(SignedDuration::ZERO);
        let before = clock.now();
        let later = before + (24 * 30).hours();
        assert!(clock.set(later).unwrap() >= later);
        assert!(clock.clone().now() >= later);
        assert_eq!(clock.set(before), Err(ClockError::Backwards));
        assert_eq!(Clock::fixed().set(later), Err(ClockError::Fixed));
    }
}
