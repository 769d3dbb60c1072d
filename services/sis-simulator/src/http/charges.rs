//! `student-charges` v16.

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Simulator;
use crate::amount::to_json;
use crate::books::{Charge, Record};
use crate::faults::Operation;
use crate::http::commit::commit;
use crate::http::query::{Query, References};
use crate::http::{Refusal, Shared, admit, check_content_type, ethos_answer};
use crate::line::Grip;
use crate::validation::Desk;

pub(super) async fn create(
    State(simulator): Shared,
    grip: ConnectInfo<Grip>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let on = Operation::CreateCharge;
    admit(&simulator, &grip, on, &headers).await?;
    check_content_type(&headers)?;
    let charge = read(&simulator, &body)?;
    let answer = ethos_answer(&document(&charge, simulator.config.return_comments))?;
    commit(
        &simulator,
        &grip.0,
        on,
        (charge.id.clone(), Record::Charge(charge)),
        answer,
    )
    .await
}

/// No books stay locked over an await, so the reading is a step of its own.
fn read(simulator: &Simulator, body: &[u8]) -> Result<Charge, Refusal> {
    let desk = Desk {
        books: &simulator.books(),
        clock: &simulator.clock,
        negative_amounts: simulator.config.negative_amounts,
        new_id: Uuid::now_v7().to_string(),
    };
    Ok(desk.charge(body)?)
}

pub(super) async fn query(
    State(simulator): Shared,
    grip: ConnectInfo<Grip>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Response> {
    admit(&simulator, &grip, Operation::QueryCharges, &headers).await?;
    let query = Query::read(&uri, simulator.config.filters)?;
    let books = simulator.books();
    let references = |charge| -> References<'_> {
        let charge: &Charge = charge;
        References {
            academic_period_id: &charge.academic_period_id,
            funding_destination_id: &charge.funding_destination_id,
            funding_source_id: charge.funding_source_id.as_deref(),
        }
    };
    Ok(
        query.page(books.charges_of(query.student_id()), references, |charge| {
            document(charge, simulator.config.return_comments)
        })?,
    )
}

pub(super) async fn get_one(
    State(simulator): Shared,
    grip: ConnectInfo<Grip>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Response> {
    admit(&simulator, &grip, Operation::GetCharge, &headers).await?;
    let books = simulator.books();
    let charge = books
        .charge(&id)
        .ok_or_else(|| Refusal::not_found("no student-charge has this id"))?;
    Ok(ethos_answer(&document(
        charge,
        simulator.config.return_comments,
    ))?)
}

/// A charge as Ethos shows it.
fn document(charge: &Charge, with_comments: bool) -> Value {
    let money = |amount| json!({ "value": to_json(amount), "currency": charge.currency });
    let charged_amount = match charge.unit_cost {
        Some((quantity, cost)) => {
            json!({ "unitCost": { "quantity": to_json(quantity), "cost": money(cost) } })
        }
        None => json!({ "amount": money(charge.amount) }),
    };
    let mut document = json!({
        "id": charge.id,
        "metadata": { "createdOn": charge.entered_at },
        "student": { "id": charge.student_id },
        "fundingDestination": { "id": charge.funding_destination_id },
        "academicPeriod": { "id": charge.academic_period_id },
        "chargeableOn": charge.chargeable_on,
        "chargedAmount": charged_amount,
    });
    if let Some(id) = &charge.funding_source_id {
        document["fundingSource"] = json!({ "id": id });
    }
    if let Some(text) = &charge.override_description {
        document["overrideDescription"] = json!(text);
    }
    if let Some(detail) = &charge.reporting_detail {
        document["reportingDetail"] = detail.clone();
    }
    if with_comments && !charge.comments.is_empty() {
        document["comments"] = json!(charge.comments);
    }
    document
}
