//! What stands before every request: the site's rate limit, and a circuit breaker.
//!
//! After some failures in a row nothing is asked for a while; then one request tries, and its success opens the way for
//! all. What is held back was certainly not sent.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row that close the gate.
const MOST_FAILURES: u32 = 10;
/// The first time for which it stays closed; twice as long each time after.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// How long the one that tries may take before another does.
const TRIAL: Duration = Duration::from_secs(10);
/// Who would wait longer for a turn is sent away instead.
const LONGEST_TURN: Duration = Duration::from_secs(2);

/// The gate of one site.
pub(super) struct Gate {
    /// Between two requests; `None`: no limit.
    pace: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the next request has its turn.
    next_turn: Option<Instant>,
    /// In a row.
    failures: u32,
    /// How often it was closed since the last success.
    closings: u32,
    closed_until: Option<Instant>,
}

/// Not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held;

impl Gate {
    pub(super) fn new(requests_per_second: Option<u32>) -> Self {
        let pace = requests_per_second
            .filter(|count| *count > 0)
            .map(|count| Duration::from_secs(1) / count);
        Self {
            pace,
            state: Mutex::default(),
        }
    }

    /// How long to wait for one's turn.
    pub(super) fn admit(&self, now: Instant) -> Result<Duration, Held> {
        let mut state = self.lock();
        if let Some(until) = state.closed_until {
            if now < until {
                return Err(Held);
            }
            // One tries; should it never come back, another does later.
            state.closed_until = Some(now + TRIAL);
        }
        let Some(pace) = self.pace else {
            return Ok(Duration::ZERO);
        };
        let turn = state.next_turn.map_or(now, |turn| turn.max(now));
        let wait = turn.duration_since(now);
        if wait > LONGEST_TURN {
            return Err(Held);
        }
        state.next_turn = Some(turn + pace);
        Ok(wait)
    }

    /// The site answered.
    pub(super) fn answered(&self) {
        let mut state = self.lock();
        state.failures = 0;
        state.closings = 0;
        state.closed_until = None;
    }

    /// The site failed, or did not answer. `chance`, from 0 to 1, spreads those who come back.
    pub(super) fn failed(&self, now: Instant, chance: f64) {
        let mut state = self.lock();
        state.failures += 1;
        let is_trial = state.closings > 0;
        if state.failures >= MOST_FAILURES || is_trial {
            let doubled = SHORTEST * 2_u32.pow(state.closings.min(6));
            let closed = doubled
                .min(LONGEST)
                .mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
            state.closed_until = Some(now + closed);
            state.closings += 1;
            state.failures = 0;
        }
    }

    /// The site asks for a pause.
    pub(super) fn pause(&self, now: Instant, pause: Duration) {
        let mut state = self.lock();
        let until = now + pause.min(LONGEST);
        state.closed_until = Some(state.closed_until.map_or(until, |other| other.max(until)));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_ten_failures_nobody_asks_until_one_has_tried() {
        let gate = Gate::new(None);
        let start = Instant::now();
        for _ in 0..9 {
            gate.failed(start, 1.0);
            assert!(gate.admit(start).is_ok());
        }
        gate.failed(start, 1.0);
        assert_eq!(gate.admit(start), Err(Held));
        let later = start + SHORTEST;
        assert!(gate.admit(later).is_ok(), "one tries");
        assert_eq!(gate.admit(later), Err(Held), "the others wait for it");
        gate.failed(later, 1.0);
        assert_eq!(gate.admit(later + SHORTEST), Err(Held), "twice as long");
        assert!(gate.admit(later + SHORTEST * 2).is_ok());
        gate.answered();
        assert!(gate.admit(later).is_ok() && gate.admit(later).is_ok());
    }

    #[test]
    fn it_is_never_closed_for_more_than_a_minute_and_not_all_come_back_at_once() {
        let start = Instant::now();
        let closed = |chance| {
            let gate = Gate::new(None);
            for _ in 0..200 {
                gate.failed(start, chance);
            }
            gate
        };
        assert_eq!(
            closed(1.0).admit(start + Duration::from_secs(59)),
            Err(Held)
        );
        assert!(closed(1.0).admit(start + LONGEST).is_ok());
        assert!(closed(0.0).admit(start + LONGEST / 2).is_ok());
    }

    #[test]
    fn requests_take_turns_by_the_sites_rate() {
        let gate = Gate::new(Some(10));
        let now = Instant::now();
        let waits: Vec<u128> = (0..3)
            .map(|_| gate.admit(now).expect("it is open").as_millis())
            .collect();
        assert_eq!(waits, [0, 100, 200]);
        let held = (0..100).filter(|_| gate.admit(now) == Err(Held)).count();
        assert!(held > 70, "who would wait for long is sent away: {held}");
        gate.pause(now, Duration::from_secs(5));
        assert_eq!(gate.admit(now + Duration::from_secs(4)), Err(Held));
        assert!(gate.admit(now + Duration::from_secs(5)).is_ok());
    }
}
