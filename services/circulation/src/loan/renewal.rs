//! Renewal: lending an item for longer.

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_money::Money;
use carrel_outbox::NewEvent;
use carrel_runtime::Call;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::block::{self, OverriddenBlock, Override};
use super::ledger::{self, ActionRecord};
use super::model::{Loan, moment, since_check_out};
use super::{
    calendar_of, comment, due_date, event, fine, nobody_for_themselves, patron_not_found, permit,
    store, tell,
};
use crate::error::Error;
use crate::projection::lookup::Answer;
use crate::request::fulfilment;
use crate::{Circulation, first_id};

/// What is renewed and where.
#[derive(Debug)]
pub struct Renew {
    /// The loan …
    pub loan_id: Option<Uuid>,
    /// … or the barcode of the item on loan.
    pub item_barcode: Option<String>,
    /// Where.
    pub service_point_id: Uuid,
    /// When, if not now.
    pub occurred_at: Option<Timestamp>,
    /// What is overridden.
    pub overriding: Option<Override>,
}

/// A loan as renewed.
#[derive(Debug)]
pub struct Renewed {
    /// The loan.
    pub loan: Loan,
    /// What was overridden.
    pub overridden: Vec<OverriddenBlock>,
    /// The overdue fine incurred until now.
    pub overdue_fine: Option<Money>,
}

/// Lends an item for longer.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn renew(
    circulation: &Circulation,
    call: &Call,
    key: &RequestKey,
    request: &Renew,
) -> Result<Renewed, Error> {
    let action_id = carrel_ids::new_id();
    let mut asked = false;
    loop {
        let renewed = transact!(circulation.database, "renew", |transaction| {
            let now = circulation.clock.now();
            let claimed = claim(transaction, key, &[action_id], now).await??;
            if let Claim::Done(ids) = claimed {
                return renewed_before(transaction, first_id(&ids)?).await;
            }
            lend_longer(circulation, transaction, call, request, action_id, now).await
        });
        match renewed {
            Ok(renewed) => {
                circulation.wake.committed();
                return Ok(renewed);
            }
            // Without the patron nothing can be held against them: ask once.
            Err(Error::BorrowerNotFound(patron_id)) if !asked => {
                asked = true;
                match circulation.lookup.patron_by_id(patron_id).await? {
                    Answer::Learnt => {}
                    answer => return Err(patron_not_found(answer)),
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// The answer to a repeated renewal.
async fn renewed_before(connection: &mut PgConnection, action_id: Uuid) -> Result<Renewed, Error> {
    let loan_id = store::loan_of_action(connection, action_id).await?;
    let loan = store::find(connection, loan_id.ok_or(Error::LoanNotFound)?).await?;
    let action = store::find_action(connection, action_id).await?;
    let (overridden, overdue_fine) = action.unwrap_or_default();
    Ok(Renewed {
        loan: loan.ok_or(Error::LoanNotFound)?,
        overridden,
        overdue_fine,
    })
}

async fn lend_longer(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    call: &Call,
    request: &Renew,
    action_id: Uuid,
    now: Timestamp,
) -> Result<Renewed, Error> {
    let (point, barcode) = (request.service_point_id, request.item_barcode.as_deref());
    let (desk, open_loan_id) =
        store::lock_for_renewal(transaction, request.loan_id, barcode, point)
            .await?
            .ok_or(Error::ServicePointNotFound)?;
    permit(
        call,
        &desk,
        request.occurred_at,
        request.overriding.as_ref(),
    )?;
    let at = moment(request.occurred_at, now)?;
    let loan_id = request
        .loan_id
        .or(open_loan_id)
        .ok_or(Error::LoanNotFound)?;
    let before = store::find(transaction, loan_id)
        .await?
        .ok_or(Error::LoanNotFound)?;
    let patron_id = match before.patron_id {
        Some(patron_id) if before.is_open() => patron_id,
        _ => return Err(Error::LoanClosed),
    };
    if request.overriding.is_some() || request.occurred_at.is_some() {
        nobody_for_themselves(call, patron_id)?;
    }
    let at = since_check_out(before.checked_out_at, request.occurred_at, at)?;
    let how = Renewing {
        action_id,
        actor: call.caller.subject(),
        service_point_id: Some(point),
        overriding: request.overriding.as_ref(),
        at,
        now,
    };
    let (renewed, events) = renew_loan(circulation, transaction, before, patron_id, &how).await?;
    tell(transaction, call, events).await?;
    Ok(renewed)
}

/// Who renews, where and when.
#[derive(Debug)]
pub(super) struct Renewing<'a> {
    pub action_id: Uuid,
    pub actor: &'a str,
    /// `None`: nowhere, by itself.
    pub service_point_id: Option<Uuid>,
    pub overriding: Option<&'a Override>,
    pub at: Timestamp,
    pub now: Timestamp,
}

/// Renews a loan whose item is locked, for whoever may. The caller tells the
/// events.
pub(super) async fn renew_loan(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    before: Loan,
    patron_id: Uuid,
    how: &Renewing<'_>,
) -> Result<(Renewed, Vec<NewEvent>), Error> {
    let at = how.at;
    let policies = circulation
        .known
        .loan_policies(transaction, before.policy_ids)
        .await?;
    let calendar = calendar_of(circulation, transaction, &before).await?;
    let patron = store::find_patron_facts(transaction, patron_id).await?;
    let patron = patron.ok_or(Error::BorrowerNotFound(patron_id))?;

    let terms = &policies.loan.terms;
    let waiting = fulfilment::at_renewal(circulation, transaction, &before, at).await?;
    let requested = waiting.others_wait;
    let due_at = due_date::renewed_due_at(terms, before.due_at, at, requested, &calendar)
        .filter(|due_at| *due_at > before.due_at && *due_at > at);
    let here = at.to_zoned(calendar.zone.clone());
    let mut blocks = block::patron_blocks(&patron, block::Action::Renew, &here);
    let is_lost = before.loss.is_some() || before.claimed_returned_at.is_some();
    blocks.extend(block::renewal_blocks(
        terms,
        before.renewal_count,
        is_lost,
        due_at.is_some(),
    ));
    blocks.extend(waiting.block);
    let (overridden, standing) = block::part(blocks, how.overriding);
    let Some(due_at) = due_at.filter(|_| standing.is_empty()) else {
        return Err(Error::RenewalBlocked(standing));
    };

    // What was owed until now stays owed, unless the policy forgives it: the new
    // due date begins a new count.
    let (fine_terms, was_due_at) = (&policies.overdue_fine.terms, before.due_at);
    let fine = if fine_terms.forgive_on_renewal {
        None
    } else {
        fine::loan_fine(fine_terms, terms.grace, &before, at, &calendar)?
    };
    // Whoever recalled it may have stopped waiting.
    let recalled_at = before.recalled_at.filter(|_| waiting.is_recalled);
    let lost_after = policies.lost_item.terms.aged_after(recalled_at.is_some());
    let lost_due_at = due_date::lost_at(lost_after, due_at, &calendar);
    let mut loan = before.clone();
    loan.fine(fine)?;
    loan.renew(due_at, lost_due_at, !overridden.is_empty());
    loan.recalled_at = recalled_at;
    let overridden: Vec<OverriddenBlock> = overridden.into_iter().map(Into::into).collect();
    let record = ActionRecord {
        id: how.action_id,
        actor: how.actor,
        occurred_at: at,
        recorded_at: how.now,
        service_point_id: how.service_point_id,
        comment: comment(how.overriding),
        overridden: &overridden,
        fine,
    };
    ledger::change(transaction, &before, &loan, &record).await?;
    let mut events = vec![event::loan_changed(&loan, at)];
    events
        .extend(fine.map(|fine| event::fine_incurred(how.action_id, &loan, fine, was_due_at, at)));
    tracing::info!(loan.id = %loan.id, item.id = %loan.item_id, "renewed");
    let renewed = Renewed {
        loan,
        overridden,
        overdue_fine: fine,
    };
    Ok((renewed, events))
}
