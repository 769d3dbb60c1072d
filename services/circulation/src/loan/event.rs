//! What circulation tells of loans: the messages of its answers and events.

use carrel_money::Money;
use carrel_outbox::NewEvent;
use carrel_proto::circulation::v1 as wire;
use carrel_runtime::wire::to_timestamp;
use jiff::Timestamp;
use uuid::Uuid;

use super::block::Block;
use super::check_in::Slip;
use super::fine::{LostFees, Refund};
use super::model::{Facts, Loan, LossCause};
use crate::rule::AppliedRule;

impl From<AppliedRule> for wire::AppliedRule {
    fn from(rule: AppliedRule) -> Self {
        Self {
            rules_version: rule.rules_version,
            line: i32::try_from(rule.line).unwrap_or(i32::MAX),
            text: rule.text,
            loan_policy: rule.loan_policy,
            request_policy: rule.request_policy,
            notice_policy: rule.notice_policy,
            overdue_fine_policy: rule.overdue_fine_policy,
            lost_item_policy: rule.lost_item_policy,
            fallback: rule.fallback,
        }
    }
}

fn text(id: Option<Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

impl From<Facts> for wire::CirculationFacts {
    fn from(facts: Facts) -> Self {
        Self {
            institution_code: facts.institution_code,
            campus_code: facts.campus_code,
            library_code: facts.library_code,
            location_code: facts.location_code,
            patron_group: facts.patron_group,
            material_type: facts.material_type,
            loan_type: facts.loan_type,
            call_number_class: facts.call_number_class,
            category: facts.category.into(),
        }
    }
}

impl From<Loan> for wire::Loan {
    fn from(loan: Loan) -> Self {
        let status = if loan.is_open() {
            wire::LoanStatus::Open
        } else {
            wire::LoanStatus::Closed
        };
        let lost_at = |cause| {
            let loss = loan.loss.filter(|loss| loss.cause == cause);
            loss.map(|loss| to_timestamp(loss.at))
        };
        Self {
            id: loan.id.to_string(),
            item_id: loan.item_id.to_string(),
            patron_id: text(loan.patron_id),
            status: status.into(),
            action: loan.action.into(),
            checked_out_at: Some(to_timestamp(loan.checked_out_at)),
            due_at: Some(to_timestamp(loan.due_at)),
            checked_in_at: loan.checked_in_at.map(to_timestamp),
            renewal_count: loan.renewal_count,
            check_out_service_point_id: loan.check_out_service_point_id.to_string(),
            check_in_service_point_id: text(loan.check_in_service_point_id),
            applied_rule: Some(loan.applied_rule.into()),
            overdue_since: loan.overdue_since.map(to_timestamp),
            aged_to_lost_at: lost_at(LossCause::Aged),
            declared_lost_at: lost_at(LossCause::Declared),
            revision: loan.revision,
            proxy_patron_id: text(loan.proxy_patron_id),
            claimed_returned_at: loan.claimed_returned_at.map(to_timestamp),
            recalled_at: loan.recalled_at.map(to_timestamp),
            building_use: loan.building_use,
            accepted_agreement: loan.accepted_agreement,
            facts: Some(loan.facts.into()),
        }
    }
}

impl From<Slip> for wire::Slip {
    fn from(slip: Slip) -> Self {
        Self {
            kind: slip.kind.into(),
            request_id: text(slip.request_id),
            destination_service_point_id: text(slip.destination_service_point_id),
            destination_library_code: slip.destination_library_code,
            hold_shelf_expires_at: slip.hold_shelf_expires_at.map(to_timestamp),
        }
    }
}

/// A loan began, was renewed, became overdue or ended.
pub(crate) fn loan_changed(loan: &Loan, at: Timestamp) -> NewEvent {
    let message = wire::LoanChanged {
        loan: Some(loan.clone().into()),
    };
    NewEvent::of(loan.id, &message, at)
}

/// An item went out, came back or was lost.
pub(crate) fn availability_changed(
    item_id: Uuid,
    status: wire::CirculationItemStatus,
    revision: i64,
    at: Timestamp,
) -> NewEvent {
    let item = wire::CirculationItem {
        item_id: item_id.to_string(),
        status: status.into(),
        revision,
    };
    NewEvent::of(
        item_id,
        &wire::ItemAvailabilityChanged { item: Some(item) },
        at,
    )
}

/// An overdue fine is owed. Its subject is the loan, so that everything that
/// is owed for one loan stays in order.
pub(crate) fn fine_incurred(
    fine_id: Uuid,
    loan: &Loan,
    amount: Money,
    due_at: Timestamp,
    ended_at: Timestamp,
) -> NewEvent {
    let message = wire::OverdueFineIncurred {
        fine_id: fine_id.to_string(),
        loan_id: loan.id.to_string(),
        item_id: loan.item_id.to_string(),
        patron_id: text(loan.patron_id),
        amount: Some(amount.into()),
        library_code: loan.facts.library_code.clone(),
        institution_code: loan.facts.institution_code.clone(),
        due_at: Some(to_timestamp(due_at)),
        ended_at: Some(to_timestamp(ended_at)),
    };
    NewEvent::of(loan.id, &message, ended_at)
}

/// An item was aged to lost. `None` where the loan was not.
pub(crate) fn aged_to_lost(loan: &Loan, fees: LostFees) -> Option<NewEvent> {
    let loss = loan.loss?;
    let message = wire::ItemAgedToLost {
        loss_id: loss.id.to_string(),
        loan_id: loan.id.to_string(),
        item_id: loan.item_id.to_string(),
        patron_id: text(loan.patron_id),
        lost_item_fee: fees.lost_item_fee.map(Into::into),
        processing_fee: fees.processing_fee.map(Into::into),
        library_code: loan.facts.library_code.clone(),
        institution_code: loan.facts.institution_code.clone(),
        aged_to_lost_at: Some(to_timestamp(loss.at)),
        actual_cost_to_be_set: fees.actual_cost_to_be_set,
    };
    Some(NewEvent::of(loan.id, &message, loss.at))
}

/// A closed request's patron was cut.
pub(crate) fn request_anonymised(request_id: Uuid, revision: i64, at: Timestamp) -> NewEvent {
    let message = wire::RequestAnonymised {
        request_id: request_id.to_string(),
        revision,
    };
    NewEvent::of(request_id, &message, at)
}

/// A loan's patron was cut.
pub(crate) fn loan_anonymised(loan_id: Uuid, revision: i64, at: Timestamp) -> NewEvent {
    let message = wire::LoanAnonymised {
        loan_id: loan_id.to_string(),
        revision,
    };
    NewEvent::of(loan_id, &message, at)
}

/// An item was declared lost. `None` where the loan was not.
pub(crate) fn declared_lost(loan: &Loan, fees: LostFees) -> Option<NewEvent> {
    let loss = loan.loss?;
    let message = wire::ItemDeclaredLost {
        loss_id: loss.id.to_string(),
        loan_id: loan.id.to_string(),
        item_id: loan.item_id.to_string(),
        patron_id: text(loan.patron_id),
        lost_item_fee: fees.lost_item_fee.map(Into::into),
        processing_fee: fees.processing_fee.map(Into::into),
        library_code: loan.facts.library_code.clone(),
        institution_code: loan.facts.institution_code.clone(),
        declared_lost_at: Some(to_timestamp(loss.at)),
        actual_cost_to_be_set: fees.actual_cost_to_be_set,
    };
    Some(NewEvent::of(loan.id, &message, loss.at))
}

/// A loan that renews itself was not renewed.
pub(crate) fn renewal_failed(loan: &Loan, blocks: Vec<Block>, at: Timestamp) -> NewEvent {
    let message = wire::LoanRenewalFailed {
        loan: Some(loan.clone().into()),
        blocks: blocks.into_iter().map(Into::into).collect(),
    };
    NewEvent::of(loan.id, &message, at)
}

/// A lost item came back.
pub(crate) fn lost_item_returned(
    loss_id: Uuid,
    loan: &Loan,
    refund: Refund,
    returned_at: Timestamp,
) -> NewEvent {
    let message = wire::LostItemReturned {
        loss_id: loss_id.to_string(),
        loan_id: loan.id.to_string(),
        refund_lost_item_fee: refund.lost_item_fee,
        refund_processing_fee: refund.processing_fee,
        returned_at: Some(to_timestamp(returned_at)),
    };
    NewEvent::of(loan.id, &message, returned_at)
}

/// An item came back damaged or incomplete.
pub(crate) fn item_damaged(
    damage_id: Uuid,
    loan: &Loan,
    fee: Option<Money>,
    found_at: Timestamp,
) -> NewEvent {
    let message = wire::ItemDamaged {
        damage_id: damage_id.to_string(),
        loan_id: loan.id.to_string(),
        item_id: loan.item_id.to_string(),
        patron_id: text(loan.patron_id),
        fee: fee.map(Into::into),
        library_code: loan.facts.library_code.clone(),
        institution_code: loan.facts.institution_code.clone(),
        found_at: Some(to_timestamp(found_at)),
    };
    NewEvent::of(loan.id, &message, found_at)
}
