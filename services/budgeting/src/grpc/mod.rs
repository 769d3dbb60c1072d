//! The RPCs: decode, call, encode.

mod budget;
mod budget_code;
mod encumbrance;
mod journal;
mod structure;

use std::sync::Arc;

use carrel_database::Database;
use carrel_money::Money;
use carrel_outbox::Wake;
use carrel_proto::budgeting::v1::budget_code_service_server::BudgetCodeServiceServer;
use carrel_proto::budgeting::v1::budget_journal_service_server::BudgetJournalServiceServer;
use carrel_proto::budgeting::v1::budget_service_server::BudgetServiceServer;
use carrel_proto::budgeting::v1::encumbrance_service_server::EncumbranceServiceServer;
use carrel_proto::r#type::v1 as wire_type;
use carrel_runtime::{Assembly, Call, Clock, Context, Refusal, wire};
use prost::Message;
use tonic::{Request, Status};

use crate::budget_code::Structures;
use crate::change::Change;

/// How many rows a page has where the caller does not say.
const DEFAULT_PAGE_SIZE: i32 = 100;
/// How many rows a page can have.
const LARGEST_PAGE_SIZE: i32 = 1000;

/// What the RPCs work with.
#[derive(Debug, Clone)]
struct Budgeting {
    database: Database,
    clock: Clock,
    wake: Wake,
    structures: Arc<Structures>,
}

/// Puts budgeting's services together.
pub(crate) fn serve(context: &Context) -> Assembly {
    let budgeting = Budgeting {
        database: context.database.clone(),
        clock: context.clock.clone(),
        wake: context.feed.wake(),
        structures: Arc::default(),
    };
    Assembly::new()
        .serve(BudgetServiceServer::new(budgeting.clone()))
        .serve(EncumbranceServiceServer::new(budgeting.clone()))
        .serve(BudgetCodeServiceServer::new(budgeting.clone()))
        .serve(BudgetJournalServiceServer::new(budgeting))
}

impl Budgeting {
    /// The change that a request asks for.
    fn change<T: Message>(&self, request: &Request<T>, request_id: &str) -> Result<Change, Status> {
        let call = Call::of(request)?;
        Ok(Change {
            key: call.request_key(request_id, request.get_ref())?,
            now: self.clock.now(),
            trace_parent: call.trace_parent,
        })
    }
}

/// Reads a page's size and place; `query` is the request without them.
fn page<K: serde::de::DeserializeOwned>(
    page_size: i32,
    page_token: &str,
    query: &impl Message,
) -> Result<carrel_runtime::Page<K>, Refusal> {
    carrel_runtime::page(
        page_size,
        page_token,
        query,
        DEFAULT_PAGE_SIZE,
        LARGEST_PAGE_SIZE,
    )
}

/// Reads the field `amount`.
fn amount(value: &Option<wire_type::Money>) -> Result<Money, Refusal> {
    wire::money("amount", wire::required("amount", value)?)
}
