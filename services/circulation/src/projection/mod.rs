//! What circulation learns from other services, so that its desk need ask
//! nobody: items and places from catalog, standings and blocks from patrons,
//! balances from billing. A look-up fills in what a feed has not brought yet.

pub mod billing;
pub mod catalog;
pub mod lookup;
pub mod patrons;
pub(crate) mod store;

use std::time::Duration;

use carrel_outbox::ApplyError;
use carrel_proto::r#type::v1 as wire;
use jiff::civil::Date;
use tonic::{Request, Status};
use uuid::Uuid;

/// How long an owner may take for a page of its state.
const PAGE_DEADLINE: Duration = Duration::from_secs(10);
/// Rows on a page of an owner's state.
const PAGE_SIZE: i32 = 1_000;

/// Asks for a page, with its deadline.
fn asking<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(PAGE_DEADLINE);
    request
}

/// A page of an owner that does not answer at all.
async fn within<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    tokio::time::timeout(PAGE_DEADLINE, answer)
        .await
        .map_err(|_| Status::deadline_exceeded("a page took too long"))?
}

fn poison(what: &str) -> ApplyError {
    ApplyError::Poison(format!("{what} can't be read"))
}

fn id(field: &str, text: &str) -> Result<Uuid, ApplyError> {
    carrel_ids::parse(text).map_err(|_| poison(field))
}

fn date(field: &str, date: Option<&wire::Date>) -> Result<Option<Date>, ApplyError> {
    date.map(|date| carrel_runtime::wire::date(field, date).map_err(|_| poison(field)))
        .transpose()
}

fn present<'a, T>(field: &str, value: &'a Option<T>) -> Result<&'a T, ApplyError> {
    value.as_ref().ok_or_else(|| poison(field))
}
