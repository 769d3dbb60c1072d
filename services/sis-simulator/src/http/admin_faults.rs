//! `/admin/faults`: arming, watching, releasing and clearing faults.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};

use crate::Simulator;
use crate::http::admin::read;
use crate::http::{Refusal, Shared};

pub(super) fn routes() -> Router<Arc<Simulator>> {
    Router::new()
        .route("/faults", get(list).post(arm).delete(clear))
        .route("/faults/{id}", delete(disarm))
        .route("/faults/{id}/release", post(release))
}

async fn list(State(simulator): Shared) -> Response {
    Json(simulator.faults.list()).into_response()
}

async fn arm(State(simulator): Shared, body: Bytes) -> Result<Response, Refusal> {
    let armed = simulator
        .faults
        .arm(read(&body)?)
        .map_err(Refusal::bad_request)?;
    Ok((StatusCode::CREATED, Json(armed)).into_response())
}

async fn clear(State(simulator): Shared) -> StatusCode {
    simulator.faults.disarm(None);
    StatusCode::NO_CONTENT
}

async fn disarm(State(simulator): Shared, Path(id): Path<u64>) -> Result<StatusCode, Refusal> {
    match simulator.faults.disarm(Some(id)) {
        0 => Err(unknown_fault()),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

async fn release(State(simulator): Shared, Path(id): Path<u64>) -> Result<StatusCode, Refusal> {
    if simulator.faults.release(id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(unknown_fault())
    }
}

fn unknown_fault() -> Refusal {
    Refusal::not_found("no fault has this id")
}
