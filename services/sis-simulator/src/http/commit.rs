//! The moment of truth of a create: a record becomes durable, and then the answer may or may not get through.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::Simulator;
use crate::books::Record;
use crate::error::Error;
use crate::faults::{Armed, Kind, Operation, Stage};
use crate::http::{Refusal, fault_status};
use crate::line::Grip;

/// Commits the record and answers, unless a fault has other plans.
pub(super) async fn commit(
    simulator: &Arc<Simulator>,
    grip: &Grip,
    on: Operation,
    (id, record): (String, Record),
    answer: Response,
) -> Result<Response, Response> {
    if let Some(armed) = simulator.faults.strike(on, Stage::AtCommit, None) {
        commit_late(simulator, armed, id, record);
        simulator.stopping.cancelled().await;
        match grip.cut().await {}
    }
    // As a task of its own, since a client that hangs up does not stop an SIS in the middle of a commit.
    let committing = simulator.commits.spawn({
        let simulator = Arc::clone(simulator);
        async move {
            simulator.record(record).await?;
            Ok::<_, Error>(simulator.faults.strike(on, Stage::AfterCommit, Some(&id)))
        }
    });
    let committed = committing
        .await
        .unwrap_or_else(|error| Err(Error::NotWritten(error.to_string())));
    match committed.map_err(Refusal::from)? {
        None => Ok(answer),
        Some(armed) => answer_with_fault(simulator, grip, &armed, answer).await,
    }
}

fn commit_late(simulator: &Arc<Simulator>, armed: Armed, id: String, record: Record) {
    let simulator = Arc::clone(simulator);
    let tracker = simulator.commits.clone();
    tracker.spawn(async move {
        tokio::select! {
            () = tokio::time::sleep(armed.fault.delay()) => {}
            () = armed.released.cancelled() => {}
            () = simulator.stopping.cancelled() => {}
        }
        match simulator.record(record).await {
            Ok(()) => simulator.faults.took_effect(armed.id, &id),
            Err(error) => tracing::error!(%error, "a late commit was lost"),
        }
    });
}

async fn answer_with_fault(
    simulator: &Simulator,
    grip: &Grip,
    armed: &Armed,
    answer: Response,
) -> Result<Response, Response> {
    match armed.fault.kind {
        Kind::StatusAfterCommit => Err(fault_status(armed)),
        Kind::GarbleAfterCommit => Ok((StatusCode::OK, "<html>it worked").into_response()),
        Kind::HoldAfterCommit => {
            tokio::select! {
                () = armed.released.cancelled() => Ok(answer),
                () = simulator.stopping.cancelled() => match grip.cut().await {},
            }
        }
        Kind::DropAfterCommit => match grip.cut().await {},
        // These strike at another stage of a call.
        Kind::Delay | Kind::Status | Kind::Reject | Kind::DropBefore | Kind::LateCommit => {
            Ok(answer)
        }
    }
}
