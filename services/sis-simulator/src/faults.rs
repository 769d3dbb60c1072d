//! Faults on demand: what goes wrong, at which call, how often.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// The calls at which a fault can be armed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Operation {
    Auth,
    CreateCharge,
    GetCharge,
    #[serde(alias = "query")]
    QueryCharges,
    CreatePayment,
    GetPayment,
    QueryPayments,
    /// A row of a batch file.
    BatchRow,
    /// The answer to a batch file.
    BatchAnswer,
}

impl Operation {
    fn commits(self) -> bool {
        matches!(
            self,
            Self::CreateCharge | Self::CreatePayment | Self::BatchAnswer
        )
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Answers as usual, later.
    Delay,
    /// Answers with a status instead of doing anything.
    Status,
    /// Answers 400 with validation errors instead of doing anything.
    Reject,
    /// Closes the connection without an answer and without doing anything.
    DropBefore,
    /// Never answers, and commits after the delay, whether or not the client still waits.
    LateCommit,
    /// Commits, then closes the connection without an answer.
    DropAfterCommit,
    /// Commits, then keeps the answer back until released or the client is gone.
    HoldAfterCommit,
    /// Commits, then answers with a status.
    StatusAfterCommit,
    /// Commits, then answers 200 with a body that is no charge.
    GarbleAfterCommit,
}

/// When a fault strikes within a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stage {
    Before,
    AtCommit,
    AfterCommit,
}

impl Kind {
    fn stage(self) -> Stage {
        match self {
            Self::Delay | Self::Status | Self::Reject | Self::DropBefore => Stage::Before,
            Self::LateCommit => Stage::AtCommit,
            Self::DropAfterCommit
            | Self::HoldAfterCommit
            | Self::StatusAfterCommit
            | Self::GarbleAfterCommit => Stage::AfterCommit,
        }
    }
}

/// A fault as it is asked for. Without `times` and `probability` it strikes once.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    pub(crate) on: Operation,
    pub(crate) kind: Kind,
    /// The status of the answer; 503 where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_seconds: Option<u32>,
    #[serde(default)]
    pub(crate) delay_ms: u64,
    /// How often it strikes; without it and with a probability, for as long as it is armed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) times: Option<u32>,
    /// The chance, from 0 to 1, that it strikes at a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) probability: Option<f64>,
    /// The same seed strikes at the same calls.
    #[serde(default)]
    pub(crate) seed: u64,
}

impl Fault {
    pub(crate) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }

    fn check(&self) -> Result<(), String> {
        if self.kind.stage() != Stage::Before && !self.on.commits() {
            return Err(
                "this kind needs a call that commits: create-charge or create-payment".to_owned(),
            );
        }
        if self
            .probability
            .is_some_and(|chance| !(0.0..=1.0).contains(&chance))
        {
            return Err("probability must be from 0 to 1".to_owned());
        }
        if self
            .status
            .is_some_and(|status| !(200..=599).contains(&status))
        {
            return Err("status must be from 200 to 599".to_owned());
        }
        if self.kind == Kind::LateCommit && self.delay_ms == 0 {
            return Err("a late commit needs delay_ms".to_owned());
        }
        Ok(())
    }
}

/// A fault with what it has done so far.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Armed {
    pub(crate) id: u64,
    #[serde(flatten)]
    pub(crate) fault: Fault,
    /// How often it has struck. After a commit: counted when the commit is durable.
    pub(crate) fired: u32,
    /// The charge or payment at which it struck last, once that is durable.
    pub(crate) last_id: Option<String>,
    #[serde(skip)]
    random: u64,
    /// Cancelled when what the fault holds back may go.
    #[serde(skip)]
    pub(crate) released: CancellationToken,
}

/// The faults that are armed, oldest first.
#[derive(Default)]
pub(crate) struct Faults {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    last_id: u64,
    armed: Vec<Armed>,
}

impl Faults {
    pub(crate) fn arm(&self, fault: Fault) -> Result<Armed, String> {
        fault.check()?;
        let mut inner = self.lock();
        inner.last_id += 1;
        let random = fault.seed;
        let released = CancellationToken::new();
        let armed = Armed {
            id: inner.last_id,
            fault,
            fired: 0,
            last_id: None,
            random,
            released,
        };
        inner.armed.push(armed.clone());
        Ok(armed)
    }

    pub(crate) fn list(&self) -> Vec<Armed> {
        self.lock().armed.clone()
    }

    /// Disarms one fault, or all; what they hold back goes.
    pub(crate) fn disarm(&self, id: Option<u64>) -> usize {
        let mut inner = self.lock();
        let before = inner.armed.len();
        inner.armed.retain(|armed| {
            let stays = id.is_some_and(|id| id != armed.id);
            if !stays {
                armed.released.cancel();
            }
            stays
        });
        before - inner.armed.len()
    }

    /// Lets go what a fault holds back; it stays armed, and listed.
    pub(crate) fn release(&self, id: u64) -> bool {
        let mut inner = self.lock();
        let Some(armed) = inner.armed.iter_mut().find(|armed| armed.id == id) else {
            return false;
        };
        std::mem::take(&mut armed.released).cancel();
        true
    }

    /// The first armed fault that strikes at this stage of the call.
    pub(crate) fn strike(
        &self,
        on: Operation,
        stage: Stage,
        entity_id: Option<&str>,
    ) -> Option<Armed> {
        let mut inner = self.lock();
        let at_this_stage =
            |armed: &&mut Armed| armed.fault.on == on && armed.fault.kind.stage() == stage;
        let armed = inner
            .armed
            .iter_mut()
            .filter(at_this_stage)
            .find_map(|armed| armed.strikes().then_some(armed))?;
        armed.fired += 1;
        armed.last_id = entity_id.map(str::to_owned).or(armed.last_id.take());
        Some(armed.clone())
    }

    /// Notes at which charge or payment a fault that had struck before it took effect.
    pub(crate) fn took_effect(&self, id: u64, entity_id: &str) {
        if let Some(armed) = self.lock().armed.iter_mut().find(|armed| armed.id == id) {
            armed.last_id = Some(entity_id.to_owned());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Armed {
    fn strikes(&mut self) -> bool {
        let most = match (self.fault.times, self.fault.probability) {
            (Some(times), _) => times,
            (None, None) => 1,
            (None, Some(_)) => u32::MAX,
        };
        self.fired < most
            && self
                .fault
                .probability
                .is_none_or(|chance| self.draw() < chance)
    }

    /// The next number from 0 to 1 of SplitMix64 (Steele, Lea and Flood, 2014).
    fn draw(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> Fault {
        serde_json::from_str(json).unwrap()
    }

    fn pattern(faults: &Faults, calls: usize) -> Vec<bool> {
        (0..calls)
            .map(|_| {
                faults
                    .strike(Operation::CreateCharge, Stage::Before, None)
                    .is_some()
            })
            .collect()
    }

    #[test]
    fn a_fault_strikes_once_unless_told_otherwise() {
        let faults = Faults::default();
        faults
            .arm(fault(r#"{"on": "create-charge", "kind": "status"}"#))
            .unwrap();
        assert_eq!(pattern(&faults, 3), [true, false, false]);
        faults
            .arm(fault(
                r#"{"on": "create-charge", "kind": "status", "times": 2}"#,
            ))
            .unwrap();
        assert_eq!(pattern(&faults, 3), [true, true, false]);
        assert_eq!(
            faults
                .list()
                .iter()
                .map(|armed| armed.fired)
                .collect::<Vec<_>>(),
            [1, 2]
        );
    }

    #[test]
    fn a_seed_repeats_its_faults_and_keeps_to_the_probability() {
        let storm = || {
            let faults = Faults::default();
            let text =
                r#"{"on": "create-charge", "kind": "drop-before", "probability": 0.25, "seed": 7}"#;
            faults.arm(fault(text)).unwrap();
            pattern(&faults, 4000)
        };
        let struck = storm();
        assert_eq!(struck, storm());
        let times = struck.iter().filter(|struck| **struck).count();
        assert!((900..1100).contains(&times), "{times} of 4000");
    }

    #[test]
    fn a_fault_that_makes_no_sense_is_refused() {
        for text in [
            r#"{"on": "query", "kind": "drop-after-commit"}"#,
            r#"{"on": "create-charge", "kind": "late-commit"}"#,
            r#"{"on": "create-charge", "kind": "delay", "probability": 1.5}"#,
            r#"{"on": "auth", "kind": "status", "status": 42}"#,
        ] {
            assert!(Faults::default().arm(fault(text)).is_err(), "{text}");
        }
        assert!(
            serde_json::from_str::<Fault>(r#"{"on": "auth", "kind": "status", "staus": 503}"#)
                .is_err()
        );
    }
}
