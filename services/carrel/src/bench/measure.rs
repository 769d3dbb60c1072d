//! Calls with their durations, and what they come to.

use std::time::Duration;

use serde::Serialize;

/// A call that was answered: when, after the measurement's origin, and how
/// long it took.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    pub at: Duration,
    pub took: Duration,
}

/// What a round's calls come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Calls a second, from the first call's beginning to the last one's end.
    pub per_second: f64,
    /// Milliseconds within which half of the calls were answered.
    pub p50_ms: f64,
    /// Milliseconds within which 95 of 100 were.
    pub p95_ms: f64,
    /// Milliseconds within which 99 of 100 were.
    pub p99_ms: f64,
}

impl Figures {
    /// The figures of these calls; `None` where there are none.
    pub fn of(calls: &[Answered]) -> Option<Self> {
        let begin = calls.iter().map(|call| call.at.saturating_sub(call.took));
        let (begin, end) = (begin.min()?, calls.iter().map(|call| call.at).max()?);
        let mut took: Vec<Duration> = calls.iter().map(|call| call.took).collect();
        took.sort_unstable();
        let within = |share: f64| round(percentile(&took, share).as_secs_f64() * 1000.0);
        Some(Self {
            per_second: round(calls.len() as f64 / (end - begin).as_secs_f64()),
            p50_ms: within(0.50),
            p95_ms: within(0.95),
            p99_ms: within(0.99),
        })
    }

    /// The median of several rounds, figure by figure; at least one.
    pub fn median(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure).collect());
        Self {
            per_second: of(|round| round.per_second),
            p50_ms: of(|round| round.p50_ms),
            p95_ms: of(|round| round.p95_ms),
            p99_ms: of(|round| round.p99_ms),
        }
    }
}

/// The smallest duration that at least this share of the sorted durations do
/// not exceed (nearest rank).
pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        round(f64::midpoint(values[middle - 1], values[middle]))
    }
}

/// To a thousandth: more would only look precise.
pub fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(at_ms: u64, took_ms: u64) -> Answered {
        Answered {
            at: Duration::from_millis(at_ms),
            took: Duration::from_millis(took_ms),
        }
    }

    #[test]
    fn a_rounds_figures_span_from_the_first_call_to_the_last_answer() {
        // From 100 ms to 1,100 ms.
        let mut calls: Vec<Answered> = (1..=99).map(|n| call(200 + n, n)).collect();
        calls.push(call(1100, 1000));
        let figures = Figures::of(&calls).unwrap();
        assert_eq!(figures.per_second, 100.0);
        assert_eq!((figures.p50_ms, figures.p95_ms), (50.0, 95.0));
        assert_eq!(figures.p99_ms, 99.0);
        assert_eq!(Figures::of(&[]), None);
    }

    #[test]
    fn a_slow_round_does_not_move_the_median() {
        let round = |per_second| Figures {
            per_second,
            p50_ms: 1.0,
            p95_ms: 2.0,
            p99_ms: 3.0,
        };
        let rounds = [round(900.0), round(20.0), round(1000.0)];
        assert_eq!(Figures::median(&rounds).per_second, 900.0);
        assert_eq!(Figures::median(&rounds[..2]).per_second, 460.0);
    }
}
