//! Waiting longer after each failure, within a bound.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Doubles from 100 ms to 10 s.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BackOff {
    failures: u32,
}

impl BackOff {
    /// How long to wait now: between half and the whole of the step, so that
    /// replicas that failed together don't come back together.
    pub fn next(&mut self) -> Duration {
        let step = FIRST
            .saturating_mul(1 << self.failures.min(10))
            .min(LONGEST);
        self.failures += 1;
        // The low bits of a UUIDv7 are random.
        let share = (carrel_ids::new_id().as_u128() & 0xff) as u32;
        step / 2 + step / 512 * share
    }

    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_and_stays_within_its_bound() {
        let mut back_off = BackOff::default();
        let waits: Vec<Duration> = (0..40).map(|_| back_off.next()).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST, "{waits:?}");
        assert!(
            waits[39] >= LONGEST / 2 && waits[39] <= LONGEST,
            "{waits:?}"
        );
        back_off.reset();
        assert!(back_off.next() <= FIRST);
    }
}
