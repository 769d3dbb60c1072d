//! Budgeting's own values as the contract's messages, for answers and events.

use carrel_money::Money;
use carrel_outbox::NewEvent;
use carrel_proto::budgeting::v1 as pb;
use carrel_runtime::wire;

use crate::budget::{Budget, BudgetStatus};
use crate::change::Change;
use crate::encumbrance::{Encumbrance, Release};
use crate::error::Error;

pub(crate) fn budget(budget: &Budget) -> Result<pb::Budget, Error> {
    let totals = &budget.totals;
    let money = |amount: Money| Some(amount.into());
    Ok(pb::Budget {
        id: budget.id.to_string(),
        fund_id: budget.fund_id.to_string(),
        fiscal_year_id: budget.fiscal_year_id.to_string(),
        status: budget_status(budget.status).into(),
        allowable_encumbrance_percent: Some(budget.allowable_encumbrance.get()),
        allowable_expenditure_percent: Some(budget.allowable_expenditure.get()),
        allocated: money(totals.allocated),
        net_transfers: money(totals.net_transfers),
        encumbered: money(totals.encumbered),
        awaiting_payment: money(totals.awaiting_payment),
        expended: money(totals.expended),
        credited: money(totals.credited),
        available_to_encumber: money(budget.available_to_encumber()?),
        revision: budget.revision,
    })
}

fn budget_status(status: BudgetStatus) -> pb::BudgetStatus {
    match status {
        BudgetStatus::Active => pb::BudgetStatus::Active,
        BudgetStatus::Frozen => pb::BudgetStatus::Frozen,
        BudgetStatus::Inactive => pb::BudgetStatus::Inactive,
        BudgetStatus::Planned => pb::BudgetStatus::Planned,
        BudgetStatus::Closed => pb::BudgetStatus::Closed,
    }
}

pub(crate) fn encumbrance(encumbrance: &Encumbrance) -> pb::Encumbrance {
    let (status, released_at) = match encumbrance.release {
        Release::Unreleased => (pb::EncumbranceStatus::Unreleased, None),
        Release::Released(at) => (pb::EncumbranceStatus::Released, Some(at)),
    };
    pb::Encumbrance {
        id: encumbrance.id.to_string(),
        budget_id: encumbrance.budget_id.to_string(),
        budget_code: encumbrance.budget_code.clone(),
        amount: Some(encumbrance.amount.into()),
        status: status.into(),
        description: encumbrance.description.clone(),
        created_at: Some(wire::to_timestamp(encumbrance.created_at)),
        released_at: released_at.map(wire::to_timestamp),
        revision: encumbrance.revision,
    }
}

pub(crate) fn budget_changed(changed: &Budget, change: &Change) -> Result<NewEvent, Error> {
    let event = pb::BudgetChanged {
        budget: Some(budget(changed)?),
    };
    Ok(NewEvent::of(changed.id, &event, change.now).caused_by(change.trace_parent.clone()))
}

pub(crate) fn encumbrance_changed(changed: &Encumbrance, change: &Change) -> NewEvent {
    let event = pb::EncumbranceChanged {
        encumbrance: Some(encumbrance(changed)),
    };
    NewEvent::of(changed.id, &event, change.now).caused_by(change.trace_parent.clone())
}
