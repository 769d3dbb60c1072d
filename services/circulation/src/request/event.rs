//! What circulation tells of requests: the messages of its answers and events.

use carrel_outbox::NewEvent;
use carrel_proto::circulation::v1 as wire;
use carrel_runtime::wire::to_timestamp;
use jiff::Timestamp;
use uuid::Uuid;

use super::model::Request;

fn text(id: Option<Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

impl From<Request> for wire::Request {
    fn from(request: Request) -> Self {
        let (level, fulfilment) = (request.level(), request.fulfilment());
        Self {
            id: request.id.to_string(),
            record_id: request.record_id.to_string(),
            item_id: text(request.item_id),
            r#type: request.kind.into(),
            level: level.into(),
            status: request.status.into(),
            patron_id: text(request.patron_id),
            fulfilment: fulfilment.into(),
            pickup_service_point_id: text(request.pickup.map(|pickup| pickup.service_point_id)),
            place: request.place,
            queue_position: request.queue_position,
            held_item_id: text(request.held_item_id),
            requested_at: Some(to_timestamp(request.requested_at)),
            expires_at: request.expires_at.map(to_timestamp),
            hold_shelf_expires_at: request.hold_shelf_expires_at.map(to_timestamp),
            suspended_from: request.suspended_from.map(to_timestamp),
            suspended_until: request.suspended_until.map(to_timestamp),
            patron_comment: request.patron_comment,
            recalled_loan_id: text(request.recalled_loan_id),
            applied_rule: Some(request.applied_rule.into()),
            facts: Some(request.facts.into()),
            closed_at: request.closed_at.map(to_timestamp),
            cancellation_reason: request.cancellation_reason,
            cancelled_by_patron: request.cancelled_by_patron,
            etag: request.revision.to_string(),
            revision: request.revision,
        }
    }
}

/// A request changed. What the patron said goes no further, and the position
/// would be out of date at once.
pub(crate) fn request_changed(request: &Request, at: Timestamp) -> NewEvent {
    let message = wire::RequestChanged {
        request: Some(wire::Request {
            patron_comment: String::new(),
            queue_position: 0,
            etag: String::new(),
            ..request.clone().into()
        }),
    };
    NewEvent::of(request.id, &message, at)
}
