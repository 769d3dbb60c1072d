//! Check-out: lending an item to a patron.

use std::collections::BTreeMap;
use std::sync::Arc;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_outbox::NewEvent;
use carrel_proto::catalog::v1::ItemStatus;
use carrel_proto::circulation::v1::{CirculationItemStatus, LoanAction};
use carrel_runtime::Call;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::block::{self, OverriddenBlock, Override};
use super::ledger::{self, ActionRecord};
use super::model::{Facts, Loan, kinds, moment};
use super::store::{self, AtCheckOut, CheckOutFacts, Desk, ItemAtDesk, PatronAtDesk};
use super::{
    action_store, calendar, comment, due_date, event, item_not_found, nobody_for_themselves,
    patron_not_found, permit,
};
use crate::error::Error;
use crate::known::LoanPolicies;
use crate::projection::lookup::Answer;
use crate::request::fulfilment;
use crate::rule::AppliedRule;
use crate::rule::model::Combination;
use crate::service_point::calendar::Calendar;
use crate::{Circulation, first_id};

/// What is lent to whom and where.
#[derive(Debug)]
pub struct CheckOut {
    /// The item's barcode.
    pub item_barcode: String,
    /// The patron's barcode. It goes no further than its HMAC.
    pub patron_barcode: String,
    /// Where.
    pub service_point_id: Uuid,
    /// When, if not now.
    pub occurred_at: Option<Timestamp>,
    /// What is overridden.
    pub overriding: Option<Override>,
    /// The borrowing agreement that the patron accepted; "": none.
    pub accepted_agreement: String,
}

/// A loan as made.
#[derive(Debug)]
pub struct CheckedOut {
    /// The loan.
    pub loan: Loan,
    /// What was overridden.
    pub overridden: Vec<OverriddenBlock>,
}

/// Lends an item to a patron.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn check_out(
    circulation: &Circulation,
    call: &Call,
    key: &RequestKey,
    request: &CheckOut,
) -> Result<CheckedOut, Error> {
    let patron_hmac = circulation.barcode_key.hash(&request.patron_barcode);
    let loan_id = carrel_ids::new_id();
    let (mut asked_for_item, mut asked_for_patron) = (false, false);
    loop {
        let lent = transact!(circulation.database, "check_out", |transaction| {
            let (now, point) = (circulation.clock.now(), request.service_point_id);
            let barcode = &request.item_barcode;
            let outcome = [loan_id];
            let read = store::read_for_check_out(
                transaction,
                key,
                &outcome,
                barcode,
                &patron_hmac,
                point,
                now,
            );
            match read.await? {
                AtCheckOut::Facts(facts) => {
                    lend(
                        circulation,
                        transaction,
                        call,
                        request,
                        *facts,
                        loan_id,
                        now,
                    )
                    .await
                }
                // Claiming it as well tells what became of it.
                AtCheckOut::AskedBefore => match claim(transaction, key, &outcome, now).await?? {
                    Claim::Done(ids) => lent_before(transaction, first_id(&ids)?).await,
                    Claim::New => Err(Error::Unreadable("a request that comes and goes".into())),
                },
            }
        });
        match lent {
            Ok(lent) => {
                circulation.wake.committed();
                return Ok(lent);
            }
            Err(Error::ItemNotFound { .. }) if !asked_for_item => {
                asked_for_item = true;
                match circulation.lookup.item(&request.item_barcode).await? {
                    Answer::Learnt => {}
                    answer => return Err(item_not_found(answer)),
                }
            }
            Err(Error::PatronNotFound { .. }) if !asked_for_patron => {
                asked_for_patron = true;
                match circulation.lookup.patron(&patron_hmac).await? {
                    Answer::Learnt => {}
                    answer => return Err(patron_not_found(answer)),
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// The answer to a repeated check-out.
async fn lent_before(connection: &mut PgConnection, loan_id: Uuid) -> Result<CheckedOut, Error> {
    let loan = store::find(connection, loan_id)
        .await?
        .ok_or(Error::LoanNotFound)?;
    // A loan's first action has the loan's id.
    let action = store::find_action(connection, loan_id).await?;
    Ok(CheckedOut {
        loan,
        overridden: action.map(|(overridden, _)| overridden).unwrap_or_default(),
    })
}

/// A check-out whose rules and policies are known.
struct Lending<'a> {
    request: &'a CheckOut,
    at: Timestamp,
    desk: Desk,
    item: ItemAtDesk,
    patron: PatronAtDesk,
    not_again_before: Option<(Uuid, Timestamp)>,
    applied_rule: AppliedRule,
    policies: LoanPolicies,
    calendar: Arc<Calendar>,
}

async fn lend(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    call: &Call,
    request: &CheckOut,
    facts: CheckOutFacts,
    loan_id: Uuid,
    now: Timestamp,
) -> Result<CheckedOut, Error> {
    let overriding = request.overriding.as_ref();
    permit(call, &facts.desk, request.occurred_at, overriding)?;
    let at = moment(request.occurred_at, now)?;
    let lending = prepare(circulation, transaction, call, request, facts, at).await?;
    let (item, patron_id) = (&lending.item, lending.patron.patron_id);
    let waiting = fulfilment::at_check_out(circulation, transaction, item, patron_id, now).await?;

    let due_at = lending.due_at(waiting.others_wait);
    let mut blocks = lending.blocks(due_at);
    blocks.extend(waiting.block());
    let (overridden, standing) = block::part(blocks, overriding);
    let Some(due_at) = due_at.filter(|_| standing.is_empty()) else {
        return Err(Error::CheckOutBlocked(standing));
    };

    let item_revision = lending.item.revision + 1;
    let counters = lending.counters();
    let loan = lending.loan(loan_id, due_at, !overridden.is_empty());
    let overridden: Vec<OverriddenBlock> = overridden.into_iter().map(Into::into).collect();
    let record = ActionRecord {
        id: loan_id,
        actor: call.caller.subject(),
        occurred_at: at,
        recorded_at: now,
        service_point_id: Some(request.service_point_id),
        comment: comment(overriding),
        overridden: &overridden,
        fine: None,
    };
    let status = CirculationItemStatus::CheckedOut;
    let mut events = vec![
        event::availability_changed(loan.item_id, status, item_revision, at),
        event::loan_changed(&loan, at),
    ];
    events.extend(waiting.settle(transaction, loan.item_id, at).await?);
    let caused = |event: NewEvent| event.caused_by(call.trace_parent.clone());
    let events: Vec<NewEvent> = events.into_iter().map(caused).collect();
    ledger::check_out(transaction, &loan, &counters, &record, &events).await?;
    tracing::info!(loan.id = %loan.id, item.id = %loan.item_id, "checked out");
    Ok(CheckedOut { loan, overridden })
}

/// Refuses what can't be lent at all, and finds the rules and policies for the
/// rest.
async fn prepare<'a>(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    call: &Call,
    request: &'a CheckOut,
    facts: CheckOutFacts,
    at: Timestamp,
) -> Result<Lending<'a>, Error> {
    let item = facts.item.ok_or(Error::ItemNotFound {
        owner_reached: true,
    })?;
    let patron = facts.patron.ok_or(Error::PatronNotFound {
        owner_reached: true,
    })?;
    nobody_for_themselves(call, patron.patron_id)?;
    if item.open_loan_id.is_some() {
        return Err(Error::ItemAlreadyOnLoan);
    }
    if request.occurred_at.is_some() {
        // What is told afterwards must not overlap what came before it.
        let returned_at = action_store::last_returned_at(transaction, item.item_id).await?;
        if returned_at.is_some_and(|returned_at| at < returned_at) {
            return Err(Error::OccurredBeforeCheckIn);
        }
    }

    let (known, point) = (&circulation.known, request.service_point_id);
    let rules_id = facts.rules_id.ok_or(Error::RulesMissing)?;
    let rules = known.rules(transaction, rules_id).await?;
    let rule = rules.rules.choose(&combination(&item, &patron));
    let policies = known
        .current_policies(transaction, facts.policy_serial)
        .await?
        .of(rule)?;
    let calendar = calendar(circulation, transaction, point, &facts.desk).await?;
    Ok(Lending {
        request,
        at,
        desk: facts.desk,
        applied_rule: rules.applied(rule),
        item,
        patron,
        not_again_before: facts.not_again_before,
        policies,
        calendar,
    })
}

impl Lending<'_> {
    fn due_at(&self, others_wait: bool) -> Option<Timestamp> {
        let terms = &self.policies.loan.terms;
        // In the last second of its due day a loan would be due before it began.
        due_date::due_at(terms, self.at, others_wait, &self.calendar)
            .filter(|due_at| *due_at > self.at)
    }

    fn kinds(&self) -> [String; 3] {
        let item = &self.item;
        kinds(
            &self.policies.loan.code,
            &item.material_type,
            &item.loan_type,
        )
    }

    /// Everything that stands against it, but for those who wait for the item.
    fn blocks(&self, due_at: Option<Timestamp>) -> Vec<block::Block> {
        let terms = &self.policies.loan.terms;
        let status = ItemStatus::try_from(self.item.status).unwrap_or_default();
        let loans_under = self.patron.loans_of(&terms.limited_kind(self.kinds()));
        let here = self.at.to_zoned(self.calendar.zone.clone());
        let mut blocks = block::patron_blocks(&self.patron.facts, block::Action::Borrow, &here);
        blocks.extend(block::limit_blocks(terms, loans_under));
        blocks.extend(block::item_blocks(status, terms, due_at.is_some()));
        let agreement = &terms.agreement;
        if !agreement.is_empty() && *agreement != self.request.accepted_agreement {
            blocks.push(block::agreement_needed(agreement));
        }
        if let Some((patron_id, from)) = self.not_again_before
            && patron_id == self.patron.patron_id
            && self.at < from
        {
            blocks.push(block::too_soon(from));
        }
        blocks
    }

    /// The patron's counters with this loan.
    fn counters(&self) -> BTreeMap<String, i32> {
        self.patron.one_more(self.kinds())
    }

    fn loan(self, id: Uuid, due_at: Timestamp, by_override: bool) -> Loan {
        let terms = &self.policies.loan.terms;
        let lost_after = self.policies.lost_item.terms.aged_after(false);
        Loan {
            id,
            item_id: self.item.item_id,
            patron_id: Some(self.patron.patron_id),
            action: if by_override {
                LoanAction::CheckedOutThroughOverride
            } else {
                LoanAction::CheckedOut
            },
            checked_out_at: self.at,
            due_at,
            checked_in_at: None,
            renewal_count: 0,
            check_out_service_point_id: self.request.service_point_id,
            check_in_service_point_id: None,
            applied_rule: self.applied_rule,
            policy_ids: self.policies.ids(),
            overdue_since: None,
            lost_due_at: due_date::lost_at(lost_after, due_at, &self.calendar),
            loss: None,
            claimed_returned_at: None,
            recalled_at: None,
            fined: None,
            expected_charges: 0,
            proxy_patron_id: None,
            building_use: terms.building_use,
            accepted_agreement: terms.agreement.clone(),
            facts: facts_of(
                self.item,
                self.patron.patron_group,
                &self.policies,
                self.desk,
            ),
            revision: 1,
        }
    }
}

/// What statistics keep. Where the catalog has not told of the item's place,
/// the desk's library lends it and is owed for it.
fn facts_of(item: ItemAtDesk, patron_group: String, policies: &LoanPolicies, desk: Desk) -> Facts {
    let path = item.path;
    Facts {
        institution_code: path.institution_code.unwrap_or(desk.institution_code),
        campus_code: path.campus_code.unwrap_or_default(),
        library_code: path.library_code.unwrap_or(desk.library_code),
        location_code: path.location_code.unwrap_or_default(),
        patron_group,
        material_type: item.material_type,
        loan_type: item.loan_type,
        call_number_class: item.call_number_class,
        category: policies.loan.terms.category.into(),
    }
}

fn combination<'a>(item: &'a ItemAtDesk, patron: &'a PatronAtDesk) -> Combination<'a> {
    Combination {
        patron_group: Some(&patron.patron_group),
        material_type: Some(&item.material_type),
        loan_type: Some(&item.loan_type),
        location: item.path.location_code.as_deref(),
        library: item.path.library_code.as_deref(),
        campus: item.path.campus_code.as_deref(),
        institution: item.path.institution_code.as_deref(),
    }
}
