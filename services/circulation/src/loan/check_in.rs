//! Check-in: taking an item back, with all that is owed or given back for it.

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_money::Money;
use carrel_proto::catalog::v1::ItemStatus;
use carrel_proto::circulation::v1::{CirculationItemStatus, NextStep};
use carrel_runtime::Call;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::ledger::{self, ActionRecord, CheckInRecord};
use super::model::{Loan, LossCause, moment, next_step};
use super::{
    calendar_of, claim, event, fine, item_not_found, nobody_for_themselves, permit, store, tell,
};
use crate::error::Error;
use crate::known::LoanPolicies;
use crate::projection::lookup::Answer;
use crate::service_point::calendar::Calendar;
use crate::{Circulation, first_id};

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
    Ok(CheckedIn {
        loan,
        item_id: row.item_id,
        next_step: NextStep::try_from(i32::from(row.next_step)).unwrap_or_default(),
        destination_library_code: row.destination_library_code,
        in_house_use: row.in_house_use,
        overdue_fine: action.and_then(|(_, fine)| fine),
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
    let status = ItemStatus::try_from(item.status).unwrap_or_default();
    let home = item.path.library_code.as_deref();
    let (next_step, destination) = next_step(status, home, &desk.library_code);
    let destination = destination.unwrap_or_default();
    let is_found = claim::is_missing(item.desk_status);
    let in_house_use =
        item.open_loan_id.is_none() && next_step != NextStep::AskCatalog && !is_found;
    let arrival = CheckInRecord {
        id: check_in_id,
        item_id: item.item_id,
        loan_id: item.open_loan_id,
        service_point_id: point,
        occurred_at: at,
        next_step: next_step.into(),
        destination_library_code: &destination,
        in_house_use,
    };
    let (loan, overdue_fine) = match item.open_loan_id {
        None => {
            ledger::arrive(transaction, &arrival).await?;
            if is_found {
                claim::find_missing(transaction, call, item.item_id, at).await?;
            }
            (None, None)
        }
        Some(loan_id) => {
            let (loan, fine) = end_loan(
                circulation,
                transaction,
                call,
                request,
                loan_id,
                &arrival,
                now,
            )
            .await?;
            (Some(loan), fine)
        }
    };
    Ok(CheckedIn {
        loan,
        item_id: item.item_id,
        next_step,
        destination_library_code: destination,
        in_house_use,
        overdue_fine,
    })
}

/// Ends a loan with all that is owed or given back for it.
async fn end_loan(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    call: &Call,
    request: &CheckIn,
    loan_id: Uuid,
    arrival: &CheckInRecord<'_>,
    now: Timestamp,
) -> Result<(Loan, Option<Money>), Error> {
    let before = store::find(transaction, loan_id)
        .await?
        .ok_or(Error::LoanNotFound)?;
    // A return at the desk that waited for the check-out's lock took its time
    // before that: it is not earlier for it.
    let at = match request.occurred_at {
        Some(_) => arrival.occurred_at,
        None => arrival.occurred_at.max(before.checked_out_at),
    };
    if let Some(patron_id) = before.patron_id.filter(|_| request.occurred_at.is_some()) {
        // Whoever could backdate their own return would forgive their own fine.
        nobody_for_themselves(call, patron_id)?;
    }
    if at < before.checked_out_at {
        return Err(Error::OccurredBeforeCheckOut);
    }
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
    loan.check_in(at, arrival.service_point_id);
    let record = ActionRecord {
        id: arrival.id,
        actor: call.caller.subject(),
        occurred_at: at,
        recorded_at: now,
        service_point_id: Some(arrival.service_point_id),
        comment: "",
        overridden: &[],
        fine,
    };
    let arrival = CheckInRecord {
        occurred_at: at,
        ..*arrival
    };
    let revision = ledger::change(transaction, &before, &loan, &record).await?;
    ledger::arrive(transaction, &arrival).await?;

    let status = CirculationItemStatus::In;
    let mut events = vec![
        event::availability_changed(loan.item_id, status, revision, at),
        event::loan_changed(&loan, at),
    ];
    if let Some(loss) = before.loss {
        let refund = if never_gone {
            claim::EVERYTHING
        } else {
            fine::refund(&policies.lost_item.terms, loss.at, at, &calendar)
        };
        events.push(event::lost_item_returned(loss.id, &loan, refund, at));
    }
    if let Some(fine) = fine {
        events.push(event::fine_incurred(
            arrival.id,
            &loan,
            fine,
            before.due_at,
            at,
        ));
    }
    tell(transaction, call, events).await?;
    tracing::info!(loan.id = %loan.id, item.id = %loan.item_id, "checked in");
    Ok((loan, fine))
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
    let fine = fine::overdue_fine(terms, grace, loan.due_at, ended_at, loan.fined, calendar)?;
    Ok(fine)
}
