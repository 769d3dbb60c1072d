//! A request, and what can happen to it. Pure.

use carrel_proto::catalog::v1::ItemStatus;
use carrel_proto::circulation::v1::{
    CirculationItemStatus, RequestFulfilment, RequestLevel, RequestStatus, RequestType,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::loan::block::OverriddenBlock;
use crate::loan::model::Facts;
use crate::period::Period;
use crate::policy::model::RequestTerms;
use crate::rule::AppliedRule;
use crate::service_point::calendar::Calendar;

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its id.
    pub id: Uuid,
    /// The title.
    pub record_id: Uuid,
    /// The item that was asked for; `None`: any of the title.
    pub item_id: Option<Uuid>,
    /// What is asked for.
    pub kind: RequestType,
    /// Where it stands.
    pub status: RequestStatus,
    /// Who asked; `None` once the link was cut.
    pub patron_id: Option<Uuid>,
    /// Where it is picked up; `None`: it is delivered.
    pub pickup: Option<Pickup>,
    /// Orders the title's queue.
    pub place: i64,
    /// Which in the queue it was when it was read, from 1; 0: none.
    pub queue_position: i32,
    /// The copy that is kept for it or filled it.
    pub held_item_id: Option<Uuid>,
    /// When it was placed.
    pub requested_at: Timestamp,
    /// Until when it holds while no copy is kept for it.
    pub expires_at: Option<Timestamp>,
    /// Until when the copy waits on the hold shelf.
    pub hold_shelf_expires_at: Option<Timestamp>,
    /// From when it is suspended.
    pub suspended_from: Option<Timestamp>,
    /// Until when; `None`: until that is changed.
    pub suspended_until: Option<Timestamp>,
    /// What the patron said.
    pub patron_comment: String,
    /// The loan that it recalled.
    pub recalled_loan_id: Option<Uuid>,
    /// The rule that chose its policies.
    pub applied_rule: AppliedRule,
    /// The version of the request policy that it was placed under.
    pub policy_id: Uuid,
    /// What statistics keep.
    pub facts: Facts,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Why it was cancelled.
    pub cancellation_reason: String,
    /// Whether the patron cancelled it.
    pub cancelled_by_patron: bool,
    /// What was overridden when it was placed.
    pub overridden: Vec<OverriddenBlock>,
    /// Rises with each change.
    pub revision: i64,
}

/// Where a request is picked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pickup {
    /// The service point.
    pub service_point_id: Uuid,
    /// Its library, by its code.
    pub library_code: String,
}

/// The blocks which say that the policy allows no such request.
pub const POLICY_REASONS: [&str; 2] = ["REQUEST_NOT_ALLOWED", "PICKUP_NOT_ALLOWED"];

impl Request {
    /// Whether it is going on.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }

    /// Which copy is asked for.
    #[must_use]
    pub fn level(&self) -> RequestLevel {
        if self.item_id.is_some() {
            RequestLevel::Item
        } else {
            RequestLevel::Title
        }
    }

    /// How the patron gets it.
    #[must_use]
    pub fn fulfilment(&self) -> RequestFulfilment {
        if self.pickup.is_some() {
            RequestFulfilment::HoldShelf
        } else {
            RequestFulfilment::Delivery
        }
    }

    /// Whether copies go past it.
    #[must_use]
    pub fn is_suspended(&self, now: Timestamp) -> bool {
        self.suspended_from.is_some_and(|from| from <= now)
            && self.suspended_until.is_none_or(|until| now < until)
    }

    /// Whether it takes the next copy that suits it: none is kept for it yet,
    /// and it is neither suspended nor past its time.
    #[must_use]
    pub fn waits(&self, now: Timestamp) -> bool {
        self.is_open()
            && self.held_item_id.is_none()
            && !self.is_suspended(now)
            && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// Whether it asks for this item or for any of the title.
    #[must_use]
    pub fn asks_for(&self, item_id: Uuid) -> bool {
        self.item_id.is_none_or(|asked| asked == item_id)
    }

    /// Whether a copy whose request policy is this one may fill it. Whoever
    /// asked for one item had that item's policy looked at then, and an
    /// override holds for every copy.
    #[must_use]
    pub fn allowed_by(&self, terms: Option<&RequestTerms>, item_library: &str) -> bool {
        let overridden = |reason| self.overridden.iter().any(|block| block.reason == reason);
        if self.item_id.is_some() || POLICY_REASONS.into_iter().any(overridden) {
            return true;
        }
        terms.is_some_and(|terms| {
            (terms.allows(self.kind) || terms.allows(RequestType::Hold))
                && terms.allows_pickup(self.pickup.as_ref(), item_library)
        })
    }

    /// Keeps a copy for it.
    pub fn keep(
        &mut self,
        item_id: Uuid,
        status: RequestStatus,
        hold_shelf_expires_at: Option<Timestamp>,
    ) {
        self.held_item_id = Some(item_id);
        self.status = status;
        self.hold_shelf_expires_at = hold_shelf_expires_at;
        self.revision += 1;
    }

    /// Lets its copy go: it is back at its place in the queue.
    pub fn let_go(&mut self) {
        self.held_item_id = None;
        self.status = RequestStatus::OpenNotYetFilled;
        self.hold_shelf_expires_at = None;
        self.revision += 1;
    }

    /// Closes it; its copy, if any, is let go when it is next dealt with.
    pub fn close(&mut self, status: RequestStatus, at: Timestamp) {
        self.status = status;
        self.closed_at = Some(at.max(self.requested_at));
        self.revision += 1;
    }

    /// Closes it: the patron has this copy.
    pub fn fill(&mut self, item_id: Uuid, at: Timestamp) {
        self.held_item_id = Some(item_id);
        self.close(RequestStatus::ClosedFilled, at);
    }

    /// Cancels it.
    pub fn cancel(&mut self, reason: &str, by_patron: bool, at: Timestamp) {
        reason.clone_into(&mut self.cancellation_reason);
        self.cancelled_by_patron = by_patron;
        self.close(RequestStatus::ClosedCancelled, at);
    }
}

/// Whether an item can be fetched from its shelf: catalog has it as available,
/// and it is neither out nor kept for anybody.
#[must_use]
pub fn is_in(catalog: ItemStatus, desk: CirculationItemStatus, held: Option<Uuid>) -> bool {
    catalog == ItemStatus::Available && desk == CirculationItemStatus::In && held.is_none()
}

/// Until when a copy waits on a hold shelf: by the clock for minutes and
/// hours, otherwise to the end of a day on which the service point is open.
#[must_use]
pub fn hold_shelf_expiry(period: Period, now: Timestamp, calendar: &Calendar) -> Timestamp {
    if period.is_short() {
        return period.after(now, &calendar.zone);
    }
    let date = period.after_date(calendar.date_of(now));
    calendar.end_of_day(calendar.open_day_from(date).unwrap_or(date))
}

/// From when a recalled loan is due at the earliest, before closed hours are
/// looked at; `None`: the recall does not change it.
#[must_use]
pub fn recall_due_at(
    terms: &RequestTerms,
    checked_out_at: Timestamp,
    now: Timestamp,
    calendar: &Calendar,
) -> Option<Timestamp> {
    let (guaranteed, interval) = (
        terms.minimum_guaranteed_loan_period,
        terms.recall_return_interval,
    );
    if guaranteed.is_none() && interval.is_none() {
        return None;
    }
    let after = |period: Option<Period>, from| {
        period.map_or(from, |period| period.after(from, &calendar.zone))
    };
    let returned = after(interval, now);
    Some(guaranteed.map_or(returned, |_| {
        returned.max(after(guaranteed, checked_out_at))
    }))
}
