//! What may be requested: the terms of a request policy.

use carrel_proto::circulation::v1::RequestType;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{PolicyKind, Terms, TermsFault, fault};
use crate::period::Period;
use crate::request::model::Pickup;

/// What may be requested, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RequestTerms {
    /// Whether it may be held.
    pub hold: bool,
    /// Whether it may be recalled.
    pub recall: bool,
    /// Whether it may be paged.
    pub page: bool,
    /// Where it may be picked up; empty: anywhere.
    pub pickup_service_point_ids: Vec<Uuid>,
    /// Whether it may be picked up only in the item's own library.
    pub pickup_in_own_library_only: bool,
    /// Whether it may be delivered.
    pub delivery_allowed: bool,
    /// How long a copy waits; `None`: as the service point says.
    pub hold_shelf_period: Option<Period>,
    /// How long a loan lasts at least, whoever recalls it.
    pub minimum_guaranteed_loan_period: Option<Period>,
    /// How long after the recall it is due.
    pub recall_return_interval: Option<Period>,
    /// How many open requests one patron may have under this code; 0: no
    /// limit.
    pub max_requests: i32,
    /// Whether a loan may be renewed although a hold waits for it.
    pub renewal_despite_holds: bool,
}

impl RequestTerms {
    /// Whether it allows requests of a type.
    #[must_use]
    pub fn allows(&self, kind: RequestType) -> bool {
        match kind {
            RequestType::Hold => self.hold,
            RequestType::Recall => self.recall,
            RequestType::Page => self.page,
            RequestType::Unspecified => false,
        }
    }

    /// Whether an item of a library may be picked up there; `None`: delivered.
    #[must_use]
    pub fn allows_pickup(&self, pickup: Option<&Pickup>, item_library: &str) -> bool {
        let Some(pickup) = pickup else {
            return self.delivery_allowed;
        };
        let points = &self.pickup_service_point_ids;
        (points.is_empty() || points.contains(&pickup.service_point_id))
            && (!self.pickup_in_own_library_only || pickup.library_code == item_library)
    }
}

impl Terms for RequestTerms {
    const KIND: PolicyKind = PolicyKind::Request;

    fn check(&self) -> Result<(), TermsFault> {
        if self.pickup_service_point_ids.len() > 200 {
            return fault("pickup_service_point_ids", "must be at most 200");
        }
        if self.max_requests < 0 {
            return fault("max_requests", "must not be negative");
        }
        Ok(())
    }
}
