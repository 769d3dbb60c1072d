//! Check-outs that come at the same moment share a transaction: its begin, its
//! two statements and its commit are then paid for once.
//!
//! A lane takes those who wait, reads and locks for all of them, decides about
//! each, and writes all that may go out. Nobody is made to wait so that more
//! come: while all lanes are busy those who come queue up, and where a lane is
//! free a single check-out goes at once.
//!
//! A lane never waits for a lock. Whoever's item or patron somebody else
//! holds, and whoever needs more than plain lending, goes alone afterwards.
//! So nobody is held up by another's item, and lanes are in no deadlock.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carrel_database::transact;
use tokio::sync::oneshot;

use super::check_out::{Asked, CheckedOut, beside_each_other};
use crate::Circulation;
use crate::error::Error;

/// How many transactions lend at once; each of them takes a connection.
const LANES: usize = 3;
/// How many check-outs share a transaction at most.
const TOGETHER: usize = 32;

/// Those who wait, and the lanes that are open.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    open: usize,
}

#[derive(Debug)]
struct Waiting {
    asked: Arc<Asked>,
    answer: oneshot::Sender<CheckedOut>,
}

/// Lends beside others. `None`: it goes alone.
pub(super) async fn lend(circulation: &Circulation, asked: &Arc<Asked>) -> Option<CheckedOut> {
    if !asked.is_plain() {
        return None;
    }
    let (answer, lent) = oneshot::channel();
    let waiting = Waiting {
        asked: Arc::clone(asked),
        answer,
    };
    if circulation.lanes.join(waiting) {
        tokio::spawn(lend_all_who_wait(circulation.clone()));
    }
    // Who is sent away gets no answer.
    lent.await.ok()
}

impl Lanes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins those who wait; whether a lane is to be opened.
    fn join(&self, waiting: Waiting) -> bool {
        let mut state = self.state();
        state.waiting.push_back(waiting);
        let opens = state.open < LANES;
        state.open += usize::from(opens);
        opens
    }

    /// The next ones: each item and each patron once, since they are decided
    /// from what was there before any of them. `None`: nobody waits, and the
    /// lane is closed.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut state = self.state();
        if state.waiting.is_empty() {
            state.open -= 1;
            return None;
        }
        let mut named = HashSet::with_capacity(2 * TOGETHER);
        let mut next = Vec::with_capacity(TOGETHER.min(state.waiting.len()));
        let mut later = VecDeque::new();
        for waiting in state.waiting.drain(..) {
            let one = waiting.asked.named();
            let is_first = next.len() < TOGETHER
                && !named.contains(one.item_barcode.as_bytes())
                && !named.contains(&one.patron_barcode_hmac[..]);
            if is_first {
                named.insert(one.item_barcode.as_bytes().to_vec());
                named.insert(one.patron_barcode_hmac.to_vec());
                next.push(waiting);
            } else {
                later.push_back(waiting);
            }
        }
        state.waiting = later;
        Some(next)
    }
}

async fn lend_all_who_wait(circulation: Circulation) {
    while let Some(next) = circulation.lanes.next() {
        // A task of its own: whatever becomes of it, the lane goes on.
        let lent = tokio::spawn(lend_together(circulation.clone(), next)).await;
        if let Err(error) = lent {
            tracing::error!(%error, "check-outs that were to share a transaction go alone");
        }
    }
}

async fn lend_together(circulation: Circulation, next: Vec<Waiting>) {
    let asked: Vec<Arc<Asked>> = next.iter().map(|one| Arc::clone(&one.asked)).collect();
    let lent: Result<_, Error> =
        transact!(circulation.database, "check_out_together", |transaction| {
            beside_each_other(&circulation, transaction, &asked).await
        });
    match lent {
        Ok(outcomes) => {
            circulation.wake.committed();
            for (waiting, outcome) in next.into_iter().zip(outcomes) {
                if let Some(lent) = outcome {
                    // A caller who has gone meanwhile asks again by the request id.
                    let _ = waiting.answer.send(lent);
                }
            }
        }
        // Alone each of them is told what the matter is.
        Err(error) => tracing::debug!(%error, "nothing was lent together"),
    }
}
