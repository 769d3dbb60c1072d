//! `student-payments` v16.

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Simulator;
use crate::amount::to_json;
use crate::books::{Payment, Record};
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
    let on = Operation::CreatePayment;
    admit(&simulator, &grip, on, &headers).await?;
    check_content_type(&headers)?;
    let payment = read(&simulator, &body)?;
    let answer = ethos_answer(&document(&payment, simulator.config.return_comments))?;
    commit(
        &simulator,
        &grip.0,
        on,
        (payment.id.clone(), Record::Payment(payment)),
        answer,
    )
    .await
}

/// No books stay locked over an await, so the reading is a step of its own.
fn read(simulator: &Simulator, body: &[u8]) -> Result<Payment, Refusal> {
    let desk = Desk {
        books: &simulator.books(),
        clock: &simulator.clock,
        negative_amounts: simulator.config.negative_amounts,
        new_id: Uuid::now_v7().to_string(),
    };
    Ok(desk.payment(body)?)
}

pub(super) async fn query(
    State(simulator): Shared,
    grip: ConnectInfo<Grip>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Response> {
    admit(&simulator, &grip, Operation::QueryPayments, &headers).await?;
    let query = Query::read(&uri, simulator.config.filters)?;
    let books = simulator.books();
    let references = |payment| -> References<'_> {
        let payment: &Payment = payment;
        References {
            academic_period_id: &payment.academic_period_id,
            funding_destination_id: &payment.funding_destination_id,
            funding_source_id: payment.funding_source_id.as_deref(),
        }
    };
    Ok(query.page(
        books.payments_of(query.student_id()),
        references,
        |payment| document(payment, simulator.config.return_comments),
    )?)
}

pub(super) async fn get_one(
    State(simulator): Shared,
    grip: ConnectInfo<Grip>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Response> {
    admit(&simulator, &grip, Operation::GetPayment, &headers).await?;
    let books = simulator.books();
    let payment = books
        .payment(&id)
        .ok_or_else(|| Refusal::not_found("no student-payment has this id"))?;
    Ok(ethos_answer(&document(
        payment,
        simulator.config.return_comments,
    ))?)
}

/// A payment as Ethos shows it: which charge it settled is not part of it.
fn document(payment: &Payment, with_comments: bool) -> Value {
    let mut document = json!({
        "id": payment.id,
        "metadata": { "createdOn": payment.entered_at },
        "student": { "id": payment.student_id },
        "fundingDestination": { "id": payment.funding_destination_id },
        "academicPeriod": { "id": payment.academic_period_id },
        "paymentType": payment.payment_type,
        "paidOn": payment.paid_on,
        "amount": { "value": to_json(payment.amount), "currency": payment.currency },
    });
    if let Some(id) = &payment.funding_source_id {
        document["fundingSource"] = json!({ "id": id });
    }
    if with_comments && !payment.comments.is_empty() {
        document["comments"] = json!(payment.comments);
    }
    document
}
