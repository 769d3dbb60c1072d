//! Check-in: taking an item back, with all that is owed or given back for it.

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_money::Money;
use carrel_outbox::NewEvent;
use carrel_proto::circulation::v1::{CirculationItemStatus, NextStep, SlipKind};
use carrel_runtime::Call;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::ledger::{self, ActionRecord, CheckInRecord, InHouseFacts};
use super::model::{Loan, LossCause, moment, since_check_out};
use super::store::ItemAtDesk;
use super::{
    calendar_of, claim, event, fine, item_not_found, nobody_for_themselves, permit, reborrow,
    store, tell,
};
use crate::error::Error;
use crate::known::LoanPolicies;
use crate::projection::lookup::Answer;
use crate::request::fulfilment::{self, Arrival};
use crate::request::model::Request;
use crate::request::store as request_store;
use crate::service_point::calendar::Calendar;
use crate::{Circulation, ageing, first_id};

/// What comes back and where.
#[derive(Debug)]
pub struct CheckIn {
    /// The item's barcode.
    pub item_barcode: String,
    /// Where.
    pub service_point_id: Uuid,
    /// When, if not now.
    pub occurred_at: Option<Timestamp>,
    /// Where the patron claimed to have returned it: whether it was in the
    /// library all the time.
    pub found_by_library: bool,
}

/// An item as taken back.
#[derive(Debug)]
pub struct CheckedIn {
    /// The loan that ended.
    pub loan: Option<Loan>,
    /// The item.
    pub item_id: Uuid,
    /// What to do with it.
    pub next_step: NextStep,
    /// The library it goes to, by its code.
    pub destination_library_code: String,
    /// Whether it counts as used in house.
    pub in_house_use: bool,
    /// The overdue fine incurred.
    pub overdue_fine: Option<Money>,
    /// The request that it goes to.
    pub request_id: Option<Uuid>,
    /// The service point that it goes to.
    pub destination_service_point_id: Option<Uuid>,
    /// What is put into it.
    pub slip: Option<Slip>,
}

/// Takes an item back.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn check_in(
    circulation: &Circulation,
    call: &Call,
    key: &RequestKey,
    request: &CheckIn,
) -> Result<CheckedIn, Error> {
    let check_in_id = carrel_ids::new_id();
    let mut asked_for_item = false;
    loop {
        let taken = transact!(circulation.database, "check_in", |transaction| {
            let now = circulation.clock.now();
            if let Claim::Done(ids) = claim(transaction, key, &[check_in_id], now).await?? {
                return taken_before(transaction, first_id(&ids)?).await;
            }
            take_back(circulation, transaction, call, request, check_in_id, now).await
        });
        match taken {
            Ok(taken) => {
                circulation.wake.committed();
                return Ok(taken);
            }
            Err(Error::ItemNotFound { .. }) if !asked_for_item => asked_for_item = true,
            Err(error) => return Err(error),
        }
        match circulation.lookup.item(&request.item_barcode).await? {
            Answer::Learnt => {}
            answer => return Err(item_not_found(answer)),
        }
    }
}

/// The answer to a repeated check-in.
async fn taken_before(connection: &mut PgConnection, id: Uuid) -> Result<CheckedIn, Error> {
    let row = store::find_check_in(connection, id)
        .await?
        .ok_or_else(|| Error::Unreadable(format!("check-in {id}")))?;
    let loan = match row.loan_id {
        Some(loan_id) => store::find(connection, loan_id).await?,
        None => None,
    };
    // A check-in's entry in the loan's history has the check-in's id.
    let action = store::find_action(connection, id).await?;
    let next_step = NextStep::try_from(i32::from(row.next_step)).unwrap_or_default();
    let destination = Destination {
        service_point_id: row.destination_service_point_id,
        library_code: row.destination_library_code,
    };
    let request = match row.request_id {
        Some(id) => request_store::find(connection, id).await?,
        None => None,
    };
    Ok(CheckedIn {
        loan,
        item_id: row.item_id,
        slip: slip(
            next_step,
            &destination,
            &row.desk_library_code,
            request.as_ref(),
        ),
        next_step,
        destination_library_code: destination.library_code,
        in_house_use: row.in_house_use,
        overdue_fine: action.and_then(|(_, fine)| fine),
        request_id: row.request_id,
        destination_service_point_id: destination.service_point_id,
    })
}

async fn take_back(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    call: &Call,
    request: &CheckIn,
    check_in_id: Uuid,
    now: Timestamp,
) -> Result<CheckedIn, Error> {
    let point = request.service_point_id;
    let (desk, item) = store::read_for_check_in(transaction, &request.item_barcode, point)
        .await?
        .ok_or(Error::ServicePointNotFound)?;
    permit(call, &desk, request.occurred_at, None)?;
    let at = moment(request.occurred_at, now)?;
    let item = item.ok_or(Error::ItemNotFound {
        owner_reached: true,
    })?;
    let ended = match item.open_loan_id {
        None => None,
        Some(loan_id) => Some(
            end_loan(
                circulation,
                transaction,
                call,
                request,
                loan_id,
                (check_in_id, at),
                now,
            )
            .await?,
        ),
    };
    // After the loan, since a patron's lock comes before a queue's.
    let arrival =
        fulfilment::at_check_in(circulation, transaction, &item, point, &desk, now).await?;
    let mut events = place(transaction, &item, ended.as_ref(), &arrival, at).await?;
    let next_step = arrival.next_step;
    let destination = Destination {
        service_point_id: arrival.placement.destination_service_point_id,
        library_code: arrival.placement.destination_library_code,
    };
    // What arrives for a request or on its way home is not used by anybody.
    let in_house_use = ended.is_none()
        && item.desk_status == CirculationItemStatus::In
        && arrival.request.is_none()
        && next_step != NextStep::AskCatalog;
    let record = CheckInRecord {
        id: check_in_id,
        item_id: item.item_id,
        loan_id: item.open_loan_id,
        service_point_id: point,
        occurred_at: ended.as_ref().map_or(at, |ended| ended.at),
        next_step: next_step.into(),
        destination_library_code: &destination.library_code,
        in_house_use,
        request_id: arrival.request.as_ref().map(|request| request.id),
        destination_service_point_id: destination.service_point_id,
        facts: InHouseFacts::of(&item, &desk),
    };
    ledger::arrive(transaction, &record).await?;
    let (loan, overdue_fine) = match ended {
        None => (None, None),
        Some(ended) => {
            events.extend(ended.events);
            (Some(ended.loan), ended.fine)
        }
    };
    events.extend(arrival.events);
    if item.desk_status == CirculationItemStatus::LostAndPaid {
        events.extend(ageing::refund(circulation, transaction, item.item_id, at).await?);
    }
    tell(transaction, call, events).await?;
    tracing::info!(item.id = %item.item_id, ?next_step, "checked in");
    let request = arrival.request.as_ref();
    Ok(CheckedIn {
        loan,
        item_id: item.item_id,
        slip: slip(next_step, &destination, &desk.library_code, request),
        next_step,
        destination_library_code: destination.library_code,
        in_house_use,
        overdue_fine,
        request_id: request.map(|request| request.id),
        destination_service_point_id: destination.service_point_id,
    })
}

/// Where an item goes.
#[derive(Debug)]
struct Destination {
    service_point_id: Option<Uuid>,
    /// "": it stays.
    library_code: String,
}

/// What is put into an item for whoever handles it next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slip {
    /// What for.
    pub kind: SlipKind,
    /// The request.
    pub request_id: Option<Uuid>,
    /// The service point that it goes to.
    pub destination_service_point_id: Option<Uuid>,
    /// The library that it goes to or stays in; "" for delivery.
    pub destination_library_code: String,
    /// Until when it waits on the hold shelf.
    pub hold_shelf_expires_at: Option<Timestamp>,
}

fn slip(
    next_step: NextStep,
    destination: &Destination,
    here: &str,
    request: Option<&Request>,
) -> Option<Slip> {
    let (kind, library_code) = match next_step {
        NextStep::HoldShelf => (SlipKind::Hold, here),
        NextStep::SendToPickup => (SlipKind::RequestTransit, destination.library_code.as_str()),
        NextStep::SendHome => (SlipKind::Transit, destination.library_code.as_str()),
        NextStep::Deliver => (SlipKind::Delivery, ""),
        NextStep::Unspecified | NextStep::Shelve | NextStep::AskCatalog | NextStep::Repair => {
            return None;
        }
    };
    let on_shelf = request.filter(|_| kind == SlipKind::Hold);
    Some(Slip {
        kind,
        request_id: request.map(|request| request.id),
        destination_service_point_id: destination.service_point_id,
        destination_library_code: library_code.to_owned(),
        hold_shelf_expires_at: on_shelf.and_then(|request| request.hold_shelf_expires_at),
    })
}

/// Writes where the item is now, where that is another place than before, and
/// tells what catalog may know of it.
async fn place(
    transaction: &mut PgConnection,
    item: &ItemAtDesk,
    ended: Option<&EndedLoan>,
    arrival: &Arrival,
    at: Timestamp,
) -> Result<Vec<NewEvent>, Error> {
    let to = &arrival.placement;
    // Where a loan ended, its item is in by now.
    let status_now = ended.map_or(item.desk_status, |_| CirculationItemStatus::In);
    let stays = to.status == CirculationItemStatus::In
        && status_now == CirculationItemStatus::In
        && item.held_request_id.is_none()
        && item.requested == arrival.requested;
    let revision = if stays {
        ended.map(|ended| ended.item_revision)
    } else {
        let (id, requested) = (item.item_id, arrival.requested);
        Some(request_store::place_item(transaction, id, to, requested, at).await?)
    };
    let told = revision.filter(|_| to.status != item.desk_status);
    let event =
        told.map(|revision| event::availability_changed(item.item_id, to.status, revision, at));
    Ok(event.into_iter().collect())
}

/// A loan that ended, and what there is to tell of it.
struct EndedLoan {
    loan: Loan,
    fine: Option<Money>,
    at: Timestamp,
    item_revision: i64,
    events: Vec<NewEvent>,
}

/// Ends a loan with all that is owed or given back for it.
async fn end_loan(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    call: &Call,
    request: &CheckIn,
    loan_id: Uuid,
    (check_in_id, at): (Uuid, Timestamp),
    now: Timestamp,
) -> Result<EndedLoan, Error> {
    let before = store::find(transaction, loan_id)
        .await?
        .ok_or(Error::LoanNotFound)?;
    if let Some(patron_id) = before.patron_id.filter(|_| request.occurred_at.is_some()) {
        // Whoever could backdate their own return would forgive their own fine.
        nobody_for_themselves(call, patron_id)?;
    }
    let at = since_check_out(before.checked_out_at, request.occurred_at, at)?;
    let policies = circulation
        .known
        .loan_policies(transaction, before.policy_ids)
        .await?;
    let calendar = calendar_of(circulation, transaction, &before).await?;

    let never_gone = before.claimed_returned_at.is_some() && request.found_by_library;
    let fine = if never_gone {
        None
    } else {
        fine_on_return(&before, &policies, at, &calendar)?
    };
    let mut loan = before.clone();
    loan.fine(fine)?;
    loan.check_in(at, request.service_point_id);
    let record = ActionRecord {
        id: check_in_id,
        actor: call.caller.subject(),
        occurred_at: at,
        recorded_at: now,
        service_point_id: Some(request.service_point_id),
        comment: "",
        overridden: &[],
        fine,
    };
    let item_revision = ledger::change(transaction, &before, &loan, &record).await?;
    if let Some(wait) = policies.loan.terms.reborrow_after {
        let from = wait.after(at, &calendar.zone);
        reborrow::forbid(transaction, &loan, at, from).await?;
    }
    let mut events = vec![event::loan_changed(&loan, at)];
    if let Some(loss) = before.loss {
        let refund = if never_gone {
            claim::EVERYTHING
        } else {
            fine::refund(&policies.lost_item.terms, loss.at, at, &calendar)
        };
        events.push(event::lost_item_returned(loss.id, &loan, refund, at));
    }
    if let Some(fine) = fine {
        let was_due_at = before.due_at;
        events.push(event::fine_incurred(
            check_in_id,
            &loan,
            fine,
            was_due_at,
            at,
        ));
    }
    tracing::info!(loan.id = %loan.id, "loan ended");
    Ok(EndedLoan {
        loan,
        fine,
        at,
        item_revision,
        events,
    })
}

/// What a return costs. A lost item's fine stops at the loss, and is forgiven
/// where the policy says so.
fn fine_on_return(
    loan: &Loan,
    policies: &LoanPolicies,
    returned_at: Timestamp,
    calendar: &Calendar,
) -> Result<Option<Money>, Error> {
    let terms = &policies.overdue_fine.terms;
    let ended_at = match loan.loss {
        // The declaration settled it.
        Some(loss) if loss.cause == LossCause::Declared => return Ok(None),
        Some(loss) if returned_at > loss.at => {
            if terms.forgive_when_lost {
                return Ok(None);
            }
            loss.at
        }
        _ => returned_at,
    };
    let grace = policies.loan.terms.grace;
    Ok(fine::loan_fine(terms, grace, loan, ended_at, calendar)?)
}
