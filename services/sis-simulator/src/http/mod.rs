//! The HTTP face: routes, answers, and what happens to every request on its way in.

mod admin;
mod admin_faults;
mod charges;
mod commit;
mod payments;
mod query;
pub(crate) mod token;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::json;

use crate::Simulator;
use crate::error::Error;
use crate::faults::{Kind, Operation, Stage};
use crate::line::Grip;
use crate::received::ReceivedRequest;
use crate::validation::EthosError;

/// What requests name.
const MEDIA_TYPE: &str = "application/vnd.hedtech.integration.v16+json";
/// What answers name.
const ANSWER_MEDIA_TYPE: &str = "application/vnd.hedtech.integration.v16.0.0+json";
/// No request of this subset comes near it.
const LARGEST_BODY_BYTES: usize = 1 << 20;

type Shared = State<Arc<Simulator>>;

pub(crate) fn router(simulator: Arc<Simulator>) -> Router {
    let ethos = Router::new()
        .route("/auth", post(token::issue))
        .route(
            "/api/student-charges",
            get(charges::query).post(charges::create),
        )
        .route("/api/student-charges/{id}", get(charges::get_one))
        .route(
            "/api/student-payments",
            get(payments::query).post(payments::create),
        )
        .route("/api/student-payments/{id}", get(payments::get_one))
        .layer(middleware::from_fn_with_state(Arc::clone(&simulator), note));
    let admin =
        admin::routes()
            .merge(admin_faults::routes())
            .layer(middleware::from_fn_with_state(
                Arc::clone(&simulator),
                ask_for_admin_key,
            ));
    Router::new()
        .route("/health", get(async || StatusCode::OK))
        .nest("/admin", admin)
        .merge(ethos)
        .fallback(async || {
            Refusal::new(
                StatusCode::NOT_FOUND,
                "Global.NotFound",
                "Not found",
                "no such resource",
            )
        })
        .with_state(simulator)
}

/// An answer that is not a success, in the Ethos shape.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    errors: Vec<EthosError>,
}

impl Refusal {
    fn new(status: StatusCode, code: &str, title: &str, description: impl Into<String>) -> Self {
        Self {
            status,
            errors: vec![EthosError::new(code, title, description)],
        }
    }

    fn bad_request(description: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "Validation.Exception",
            "Validation error",
            description,
        )
    }

    fn not_found(description: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "GUID.Not.Found",
            "Not found",
            description,
        )
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        tracing::error!(%error, "a record was not taken");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Global.Internal.Error",
            "Internal error",
            error.to_string(),
        )
    }
}

impl From<Vec<EthosError>> for Refusal {
    fn from(errors: Vec<EthosError>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            errors,
        }
    }
}

/// So that a handler whose fault answers may be anything can use `?` on a refusal.
impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        refusal.into_response()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, axum::Json(json!({ "errors": self.errors }))).into_response()
    }
}

/// A resource, or a page of them, under the answer's media type.
fn ethos_answer(resource: &impl Serialize) -> Result<Response, Refusal> {
    let body =
        serde_json::to_vec(resource).map_err(|error| Error::NotWritten(error.to_string()))?;
    let media_type = HeaderValue::from_static(ANSWER_MEDIA_TYPE);
    let headers = [
        (header::CONTENT_TYPE, media_type.clone()),
        ("x-media-type".parse().expect("a name"), media_type),
    ];
    Ok((headers, body).into_response())
}

/// Keeps what came in, byte for byte, before anything is done with it.
async fn note(State(simulator): Shared, request: Request, next: Next) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let too_large = |_| {
        let text = "the body was not received whole, or is larger than 1 MiB";
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "Global.Body", "Body", text)
    };
    let body = to_bytes(body, LARGEST_BODY_BYTES)
        .await
        .map_err(too_large)?;
    let shown = |name: &header::HeaderName, value: &HeaderValue| {
        // Credentials are the one thing that does not belong in a list that people read.
        let value = if name == header::AUTHORIZATION {
            b"(not shown)"
        } else {
            value.as_bytes()
        };
        (
            name.to_string(),
            String::from_utf8_lossy(value).into_owned(),
        )
    };
    simulator.received.push(ReceivedRequest {
        at: simulator.clock.now(),
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| shown(name, value))
            .collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        body_bytes: body.len(),
    });
    Ok(next.run(Request::from_parts(parts, Body::from(body))).await)
}

async fn ask_for_admin_key(
    State(simulator): Shared,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    match &simulator.config.admin_key {
        Some(key) if bearer(request.headers()) != Some(key) => Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "Admin.Unauthorized",
            "Unauthorized",
            "the admin key is missing",
        )),
        Some(_) | None => Ok(next.run(request).await),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// A query or create asks for this version, or leaves it open.
fn check_accept(headers: &HeaderMap) -> Result<(), Refusal> {
    let accept = headers
        .get(header::ACCEPT)
        .map_or("*/*", |value| value.to_str().unwrap_or_default());
    if ["*/*", MEDIA_TYPE, ANSWER_MEDIA_TYPE].contains(&accept) {
        return Ok(());
    }
    let text = format!("only {MEDIA_TYPE} is answered");
    Err(Refusal::new(
        StatusCode::NOT_ACCEPTABLE,
        "Global.NotAcceptable",
        "Not acceptable",
        text,
    ))
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value == MEDIA_TYPE)
    {
        return Ok(());
    }
    let text = format!("the body must be {MEDIA_TYPE}");
    Err(Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "Global.UnsupportedMediaType",
        "Unsupported media type",
        text,
    ))
}

/// What is asked before an Ethos call does anything: a fault first, then the token, then the version.
async fn admit(
    simulator: &Simulator,
    grip: &ConnectInfo<Grip>,
    on: Operation,
    headers: &HeaderMap,
) -> Result<(), Response> {
    strike_before(simulator, &grip.0, on).await?;
    simulator.tokens.check(bearer(headers), &simulator.clock)?;
    Ok(check_accept(headers)?)
}

/// Lets a fault strike; an answer of its own comes back as the error.
async fn strike_before(simulator: &Simulator, grip: &Grip, on: Operation) -> Result<(), Response> {
    let Some(armed) = simulator.faults.strike(on, Stage::Before, None) else {
        return Ok(());
    };
    match armed.fault.kind {
        Kind::DropBefore => match grip.cut().await {},
        Kind::Status => Err(fault_status(&armed)),
        Kind::Reject => {
            let refused = |text| EthosError::new("Validation.Exception", "Validation error", text);
            let errors = vec![
                refused("rejected on demand"),
                refused("and for a second reason"),
            ];
            Err(Refusal::from(errors).into())
        }
        Kind::Delay => {
            tokio::select! {
                () = tokio::time::sleep(armed.fault.delay()) => {}
                () = armed.released.cancelled() => {}
                () = simulator.stopping.cancelled() => {}
            }
            Ok(())
        }
        // These strike at another stage of a call.
        Kind::LateCommit
        | Kind::DropAfterCommit
        | Kind::HoldAfterCommit
        | Kind::StatusAfterCommit
        | Kind::GarbleAfterCommit => Ok(()),
    }
}

/// The answer of a fault that answers with a status.
fn fault_status(armed: &crate::faults::Armed) -> Response {
    let status = StatusCode::from_u16(armed.fault.status.unwrap_or(503))
        .unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut answer = Refusal::new(
        status,
        "Global.Internal.Error",
        "Fault",
        "a fault was asked for",
    )
    .into_response();
    if let Some(seconds) = armed.fault.retry_after_seconds {
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}
