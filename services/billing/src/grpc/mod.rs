//! The contract's services: decode, call, encode.

mod account;
mod dispute;
mod fee_fine;
mod journal;
mod payment;
mod posting;
mod posting_batch;
mod posting_policy;
mod posting_route;
mod rules;
mod write_off;

use carrel_money::Money;
use carrel_proto::billing::v1 as pb;
use carrel_proto::r#type::v1 as wire_type;
use carrel_runtime::{Call, Refusal, wire};
use sqlx::Postgres;
use sqlx::pool::PoolConnection;

use crate::account::model::{FeeFineKind, Tender};
use crate::error::Error;
use crate::{Actor, Billing};

const LONGEST_COMMENT: usize = 500;
const LONGEST_TENDER_REFERENCE: usize = 100;

/// Serves every service of billing.
#[derive(Clone)]
pub(crate) struct Rpcs {
    billing: Billing,
}

impl Rpcs {
    pub(crate) fn new(billing: Billing) -> Self {
        Self { billing }
    }

    async fn connection(&self) -> Result<PoolConnection<Postgres>, Error> {
        Ok(self.billing.database.pool().acquire().await?)
    }
}

fn actor(call: &Call) -> Actor {
    Actor {
        subject: call.caller.subject().to_owned(),
        trace_parent: call.trace_parent.clone(),
    }
}

/// An amount that must be there.
fn amount(field: &str, value: &Option<wire_type::Money>) -> Result<Money, Refusal> {
    wire::money(field, wire::required(field, value)?)
}

fn kind(field: &str, value: i32) -> Result<FeeFineKind, Refusal> {
    match pb::FeeFineKind::try_from(value) {
        Ok(pb::FeeFineKind::OverdueFine) => Ok(FeeFineKind::OverdueFine),
        Ok(pb::FeeFineKind::LostItemFee) => Ok(FeeFineKind::LostItemFee),
        Ok(pb::FeeFineKind::LostItemProcessingFee) => Ok(FeeFineKind::LostItemProcessingFee),
        Ok(pb::FeeFineKind::DamagedItemFee) => Ok(FeeFineKind::DamagedItemFee),
        Ok(pb::FeeFineKind::Manual) => Ok(FeeFineKind::Manual),
        Ok(pb::FeeFineKind::Unspecified) | Err(_) => Err(unknown_value(field)),
    }
}

/// How something is paid.
fn tender(value: i32) -> Result<Tender, Refusal> {
    match pb::Tender::try_from(value) {
        Ok(pb::Tender::Cash) => Ok(Tender::Cash),
        Ok(pb::Tender::Cheque) => Ok(Tender::Cheque),
        Ok(pb::Tender::Card) => Ok(Tender::Card),
        Ok(pb::Tender::Unspecified) => Err(Refusal::field("tender", "TENDER_MISSING", "is needed")),
        Err(_) => Err(unknown_value("tender")),
    }
}

/// An amount that may be left out.
fn optional_amount(
    field: &str,
    value: &Option<wire_type::Money>,
) -> Result<Option<Money>, Refusal> {
    value
        .as_ref()
        .map(|value| wire::money(field, value))
        .transpose()
}

fn unknown_value(field: &str) -> Refusal {
    Refusal::field(
        field,
        "VALUE_UNKNOWN",
        "is not one of the contract's values",
    )
}
