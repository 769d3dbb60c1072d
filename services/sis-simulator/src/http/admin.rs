//! `/admin`: what a test or a demonstration sets up and looks at. No part of Ethos.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Simulator;
use crate::amount;
use crate::books::{AcademicPeriod, FundingDestination, Payment, Person, Record};
use crate::clock::Clock;
use crate::form::is_guid;
use crate::http::{Refusal, Shared};
use crate::statement;

pub(super) fn routes() -> Router<Arc<Simulator>> {
    Router::new()
        .route("/persons", get(persons).put(put_persons))
        .route(
            "/academic-periods",
            get(academic_periods).put(put_academic_periods),
        )
        .route(
            "/funding-destinations",
            get(funding_destinations).put(put_funding_destinations),
        )
        .route("/clock", get(clock).put(put_clock))
        .route("/statements/{student_id}", get(statement_of))
        .route("/totals", get(totals))
        .route("/charges/{id}/settle", post(settle))
        .route("/charges/{id}/adjust", post(adjust))
        .route("/requests", get(requests).delete(clear_requests))
}

/// Reads a JSON body, whatever it calls itself.
pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(error.to_string()))
}

/// Adds or replaces entries that are found by their GUIDs.
async fn upsert<T: DeserializeOwned>(
    simulator: &Simulator,
    body: &Bytes,
    id: fn(&T) -> &str,
    record: fn(T) -> Record,
) -> Result<StatusCode, Refusal> {
    let entries: Vec<T> = read(body)?;
    if let Some(entry) = entries.iter().find(|entry| !is_guid(id(entry))) {
        return Err(Refusal::bad_request(format!(
            "{:?} is not a lower-case GUID",
            id(entry)
        )));
    }
    simulator
        .journal
        .append(entries.into_iter().map(record).collect())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn put_persons(State(simulator): Shared, body: Bytes) -> Result<StatusCode, Refusal> {
    upsert::<Person>(&simulator, &body, |person| &person.id, Record::Person).await
}

async fn persons(State(simulator): Shared) -> Response {
    Json(simulator.books().persons.values().collect::<Vec<_>>()).into_response()
}

async fn put_academic_periods(
    State(simulator): Shared,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    upsert::<AcademicPeriod>(
        &simulator,
        &body,
        |period| &period.id,
        Record::AcademicPeriod,
    )
    .await
}

async fn academic_periods(State(simulator): Shared) -> Response {
    Json(
        simulator
            .books()
            .academic_periods
            .values()
            .collect::<Vec<_>>(),
    )
    .into_response()
}

async fn put_funding_destinations(
    State(simulator): Shared,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    upsert::<FundingDestination>(
        &simulator,
        &body,
        |code| &code.id,
        Record::FundingDestination,
    )
    .await
}

async fn funding_destinations(State(simulator): Shared) -> Response {
    Json(
        simulator
            .books()
            .funding_destinations
            .values()
            .collect::<Vec<_>>(),
    )
    .into_response()
}

async fn clock(State(simulator): Shared) -> Json<Value> {
    let clock = &simulator.clock;
    Json(
        json!({ "now": clock.now(), "today": clock.today(), "movable": simulator.config.movable_clock }),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockBody {
    now: Timestamp,
}

async fn put_clock(State(simulator): Shared, body: Bytes) -> Result<StatusCode, Refusal> {
    if !simulator.config.movable_clock {
        let text = "this simulator was started without a movable clock";
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "Admin.Clock",
            "Forbidden",
            text,
        ));
    }
    let ClockBody { now } = read(&body)?;
    let offset_ms = Clock::offset_to(now);
    simulator.record(Record::ClockMoved { offset_ms }).await?;
    simulator.clock.set_offset_ms(offset_ms);
    Ok(StatusCode::NO_CONTENT)
}

async fn statement_of(
    State(simulator): Shared,
    Path(student_id): Path<String>,
) -> Result<Response, Refusal> {
    let statement = statement::statement(&simulator.books(), &simulator.clock, &student_id);
    let statement = statement.ok_or_else(|| Refusal::not_found("no student has this id"))?;
    Ok(Json(statement).into_response())
}

async fn totals(State(simulator): Shared) -> Response {
    Json(statement::totals(&simulator.books())).into_response()
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettleBody {
    amount: Option<Decimal>,
}

/// The student pays a charge, whole or in part, at the cashier.
async fn settle(
    State(simulator): Shared,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let SettleBody { amount } = if body.is_empty() {
        SettleBody::default()
    } else {
        read(&body)?
    };
    let _till = simulator.till.lock().await;
    let payment = {
        let books = simulator.books();
        let charge = books
            .charge(&id)
            .ok_or_else(|| Refusal::not_found("no student-charge has this id"))?;
        let outstanding = charge.amount - books.paid(&id);
        let amount = amount::in_cents(amount.unwrap_or(outstanding))
            .map_err(|fault| Refusal::bad_request(format!("the amount {fault}")))?;
        if amount <= Decimal::ZERO || amount > outstanding {
            return Err(Refusal::bad_request(format!(
                "of this charge {outstanding} is outstanding"
            )));
        }
        Payment {
            id: Uuid::now_v7().to_string(),
            entered_at: simulator.clock.now(),
            student_id: charge.student_id.clone(),
            funding_source_id: charge.funding_source_id.clone(),
            funding_destination_id: charge.funding_destination_id.clone(),
            academic_period_id: charge.academic_period_id.clone(),
            payment_type: "cash".to_owned(),
            paid_on: simulator.clock.now().to_string(),
            amount,
            currency: charge.currency.clone(),
            comments: Vec::new(),
            settles: Some(id),
        }
    };
    let answer = json!({ "paymentId": payment.id, "amount": payment.amount });
    simulator.record(Record::Payment(payment)).await?;
    Ok(Json(answer).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdjustBody {
    amount: Decimal,
}

/// Changes a charge behind everybody's back, for a reconciliation to find.
async fn adjust(
    State(simulator): Shared,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let AdjustBody { amount } = read(&body)?;
    let amount = amount::in_cents(amount)
        .map_err(|fault| Refusal::bad_request(format!("the amount {fault}")))?;
    if simulator.books().charge(&id).is_none() {
        return Err(Refusal::not_found("no student-charge has this id"));
    }
    simulator
        .record(Record::Adjusted {
            charge_id: id,
            amount,
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn requests(State(simulator): Shared) -> Response {
    let (forgotten, requests) = simulator.received.list();
    Json(json!({ "forgotten": forgotten, "requests": requests })).into_response()
}

async fn clear_requests(State(simulator): Shared) -> StatusCode {
    simulator.received.clear();
    StatusCode::NO_CONTENT
}
