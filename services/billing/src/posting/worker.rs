//! Works the queue by itself.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::batch::Building;
use super::{Answering, settlement, work_round};
use crate::Billing;
use crate::error::Error;

/// The longest pause while the student-information system is not there.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How often the worker works.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two rounds.
    pub interval: Duration,
    /// Between two times that it asks what was paid.
    pub settlement_interval: Duration,
}

/// Works the queue until the service ends: each interval, at once after a
/// charge made here, and more seldom while the student-information system is
/// not there. Several may run at once.
pub async fn work(billing: Billing, pace: Pace) {
    if billing.sis.is_none() && billing.batches.is_none() {
        tracing::warn!("no student-information system is configured; nothing is posted");
        billing.shutdown.cancelled().await;
        return;
    }
    let mut pause = pace.interval;
    let mut settled_at = Instant::now();
    loop {
        let in_trouble = pause > pace.interval;
        tokio::select! {
            () = billing.shutdown.cancelled() => return,
            () = sleep(pause) => {}
            () = billing.queue.notified(), if !in_trouble => {}
        }
        let settle = settled_at.elapsed() >= pace.settlement_interval;
        // Not cut off by the shutdown: an exchange that has begun is recorded.
        match round(&billing, settle).await {
            Ok(true) => pause = pace.interval,
            Ok(false) => pause = (pause * 2).min(LONGEST_PAUSE).max(pace.interval),
            Err(error) => {
                tracing::error!(%error, "the posting queue could not be worked; trying again");
                pause = (pause * 2).min(LONGEST_PAUSE).max(pace.interval);
            }
        }
        if settle {
            settled_at = Instant::now();
        }
    }
}

/// One round; false where the student-information system does not answer.
async fn round(billing: &Billing, settle: bool) -> Result<bool, Error> {
    let (_, answering) = work_round(billing, Building::WhenDue).await?;
    if answering == Answering::No {
        return Ok(false);
    }
    if settle && billing.sis.is_some() {
        settlement::ask_what_was_paid(billing).await?;
    }
    Ok(true)
}
