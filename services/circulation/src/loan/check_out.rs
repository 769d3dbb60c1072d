//! Check-out: lending an item to a patron.

use std::collections::BTreeMap;
use std::sync::Arc;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_proto::catalog::v1::ItemStatus;
use carrel_proto::circulation::v1::{CirculationItemStatus, LoanAction};
use carrel_runtime::Call;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::block::{self, OverriddenBlock, Override};
use super::check_out_store::{self, Facts, Lent, Named};
use super::model::{self, Loan, kinds, moment};
use super::proxy::{self, Proxy};
use super::store::{self, Desk, ItemAtDesk, PatronAtDesk};
use super::{
    action_store, calendar, comment, due_date, event, item_not_found, nobody_for_themselves,
    patron_not_found, permit, proxy_not_found, together,
};
use crate::error::Error;
use crate::known::LoanPolicies;
use crate::projection::lookup::Answer;
use crate::request::fulfilment::{self, AtCheckOut};
use crate::rule::AppliedRule;
use crate::rule::model::Combination;
use crate::service_point::calendar::Calendar;
use crate::{Circulation, first_id};

/// What is lent to whom and where.
#[derive(Debug, Clone)]
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
    /// The barcode of who stands at the desk for the patron; "": the patron.
    pub proxy_barcode: String,
}

/// A loan as made.
#[derive(Debug)]
pub struct CheckedOut {
    /// The loan.
    pub loan: Loan,
    /// What was overridden.
    pub overridden: Vec<OverriddenBlock>,
}

/// A check-out that was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    call: Call,
    key: RequestKey,
    request: CheckOut,
    patron_barcode_hmac: [u8; 32],
    proxy_barcode_hmac: Option<[u8; 32]>,
    /// The loan's id, if it becomes one.
    loan_id: Uuid,
}

impl Asked {
    pub(super) fn named(&self) -> Named<'_> {
        Named {
            item_barcode: &self.request.item_barcode,
            patron_barcode_hmac: &self.patron_barcode_hmac,
            service_point_id: self.request.service_point_id,
        }
    }

    /// Whether it can be decided beside others: what is told afterwards is
    /// compared with the item's past, and of a proxy more must be known.
    pub(super) fn is_plain(&self) -> bool {
        self.request.occurred_at.is_none() && self.proxy_barcode_hmac.is_none()
    }
}

/// Lends an item to a patron.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn check_out(
    circulation: &Circulation,
    call: &Call,
    key: &RequestKey,
    request: CheckOut,
) -> Result<CheckedOut, Error> {
    let proxy = Some(&request.proxy_barcode).filter(|barcode| !barcode.is_empty());
    let asked = Arc::new(Asked {
        proxy_barcode_hmac: proxy.map(|barcode| circulation.barcode_key.hash(barcode)),
        call: call.clone(),
        key: key.clone(),
        patron_barcode_hmac: circulation.barcode_key.hash(&request.patron_barcode),
        loan_id: carrel_ids::new_id(),
        request,
    });
    let (mut asked_for_item, mut asked_for_patron, mut asked_for_proxy) = (false, false, false);
    loop {
        let lent = match together::lend(circulation, &asked).await {
            Some(lent) => Ok(lent),
            None => alone(circulation, &asked).await,
        };
        match lent {
            Ok(lent) => {
                let loan = &lent.loan;
                tracing::info!(loan.id = %loan.id, item.id = %loan.item_id, "checked out");
                return Ok(lent);
            }
            Err(Error::ItemNotFound { .. }) if !asked_for_item => {
                asked_for_item = true;
                match circulation.lookup.item(&asked.request.item_barcode).await? {
                    Answer::Learnt => {}
                    answer => return Err(item_not_found(answer)),
                }
            }
            Err(Error::PatronNotFound { .. }) if !asked_for_patron => {
                asked_for_patron = true;
                match circulation
                    .lookup
                    .patron(&asked.patron_barcode_hmac)
                    .await?
                {
                    Answer::Learnt => {}
                    answer => return Err(patron_not_found(answer)),
                }
            }
            Err(Error::ProxyNotFound { .. }) if !asked_for_proxy => {
                asked_for_proxy = true;
                let hmac = asked.proxy_barcode_hmac.unwrap_or_default();
                match circulation.lookup.patron(&hmac).await? {
                    Answer::Learnt => {}
                    answer => return Err(proxy_not_found(answer)),
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// A check-out in a transaction of its own, which waits for whoever holds the
/// item or the patron.
async fn alone(circulation: &Circulation, asked: &Asked) -> Result<CheckedOut, Error> {
    let lent = transact!(circulation.database, "check_out", |transaction| {
        let (key, now) = (&asked.key, circulation.clock.now());
        // A lane claims while it holds the locks; so the locks come first here too.
        check_out_store::lock(transaction, asked.named()).await?;
        match claim(transaction, key, &[asked.loan_id], now).await?? {
            Claim::Done(ids) => return lent_before(transaction, first_id(&ids)?).await,
            Claim::New => {}
        }
        let facts = check_out_store::read(transaction, &[asked.named()], now).await?;
        let facts = facts.into_iter().next();
        let facts = facts.ok_or_else(|| Error::Unreadable("nothing of a check-out".into()))?;
        let mut lending = prepare(circulation, transaction, asked, facts, now).await?;
        lending.proxy = proxy_of(transaction, asked, lending.patron.patron_id).await?;
        let (item, patron_id) = (&lending.item, lending.patron.patron_id);
        let waiting =
            fulfilment::at_check_out(circulation, transaction, item, patron_id, now).await?;
        let mut lent = lending.decide(&waiting)?;
        let settled = waiting.settle(transaction, lent.loan.item_id, lent.loan.checked_out_at);
        lent.tell(settled.await?);
        check_out_store::write(transaction, std::slice::from_ref(&lent), now).await?;
        Ok(CheckedOut::from(lent))
    })?;
    circulation.wake.committed();
    Ok(lent)
}

/// Who stands at the desk for the patron, if somebody does.
async fn proxy_of(
    transaction: &mut PgConnection,
    asked: &Asked,
    patron_id: Uuid,
) -> Result<Option<Proxy>, Error> {
    let Some(hmac) = &asked.proxy_barcode_hmac else {
        return Ok(None);
    };
    let found = proxy::find(transaction, hmac, patron_id).await?;
    let proxy = found.ok_or(Error::ProxyNotFound {
        owner_reached: true,
    })?;
    nobody_for_themselves(&asked.call, proxy.patron_id)?;
    Ok(Some(proxy))
}

/// Check-outs of as many items by as many patrons in one transaction, as far
/// as each is plain lending that nothing stands against. `None`: it was not
/// lent; alone it is told why, or waits for what it needs.
///
/// # Errors
/// The database's: nothing was lent.
pub(super) async fn beside_each_other(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    asked: &[Arc<Asked>],
) -> Result<Vec<Option<CheckedOut>>, Error> {
    let now = circulation.clock.now();
    let named: Vec<_> = asked.iter().map(|one| one.named()).collect();
    let facts = check_out_store::read(transaction, &named, now).await?;
    let mut places = Vec::with_capacity(asked.len());
    let mut lent = Vec::with_capacity(asked.len());
    for (place, (one, facts)) in asked.iter().zip(facts).enumerate() {
        let lending = match prepare(circulation, transaction, one, facts, now).await {
            // The transaction is over.
            Err(error @ Error::Database(_)) => return Err(error),
            Err(_) => continue,
            Ok(lending) => lending,
        };
        if lending.item.may_be_waited_for() {
            continue;
        }
        if let Ok(mut one_lent) = lending.decide(&AtCheckOut::default()) {
            one_lent.claim = Some(&one.key);
            places.push(place);
            lent.push(one_lent);
        }
    }
    let mut outcomes: Vec<Option<CheckedOut>> = asked.iter().map(|_| None).collect();
    if lent.is_empty() {
        return Ok(outcomes);
    }
    check_out_store::write(transaction, &lent, now).await?;
    for (place, lent) in places.into_iter().zip(lent) {
        outcomes[place] = Some(lent.into());
    }
    Ok(outcomes)
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

impl From<Lent<'_>> for CheckedOut {
    fn from(lent: Lent<'_>) -> Self {
        Self {
            loan: lent.loan,
            overridden: lent.overridden,
        }
    }
}

/// A check-out whose rules and policies are known.
struct Lending<'a> {
    asked: &'a Asked,
    at: Timestamp,
    desk: Desk,
    item: ItemAtDesk,
    patron: PatronAtDesk,
    /// Who stands at the desk for the patron.
    proxy: Option<Proxy>,
    not_again_before: Option<(Uuid, Timestamp)>,
    applied_rule: AppliedRule,
    policies: LoanPolicies,
    calendar: Arc<Calendar>,
}

/// Refuses what can't be lent at all, and finds the rules and policies for the
/// rest.
async fn prepare<'a>(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    asked: &'a Asked,
    facts: Facts,
    now: Timestamp,
) -> Result<Lending<'a>, Error> {
    let (call, request) = (&asked.call, &asked.request);
    let desk = facts.desk.ok_or(Error::ServicePointNotFound)?;
    permit(
        call,
        &desk,
        request.occurred_at,
        request.overriding.as_ref(),
    )?;
    let at = moment(request.occurred_at, now)?;
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
    let calendar = calendar(circulation, transaction, point, &desk).await?;
    Ok(Lending {
        asked,
        at,
        desk,
        applied_rule: rules.applied(rule),
        item,
        patron,
        proxy: None,
        not_again_before: facts.not_again_before,
        policies,
        calendar,
    })
}

impl<'a> Lending<'a> {
    /// The loan with its events, unless something stands against it.
    fn decide(self, waiting: &AtCheckOut) -> Result<Lent<'a>, Error> {
        let (asked, at) = (self.asked, self.at);
        let overriding = asked.request.overriding.as_ref();
        let due_at = self.due_at(waiting.others_wait);
        let mut blocks = self.blocks(due_at);
        blocks.extend(waiting.block());
        let (overridden, standing) = block::part(blocks, overriding);
        let Some(due_at) = due_at.filter(|_| standing.is_empty()) else {
            return Err(Error::CheckOutBlocked(standing));
        };
        let item_revision = self.item.revision + 1;
        let loans_by_kind = self.counters();
        let loan = self.loan(due_at, !overridden.is_empty());
        let status = CirculationItemStatus::CheckedOut;
        let mut lent = Lent {
            claim: None,
            loans_by_kind,
            actor: asked.call.caller.subject(),
            comment: comment(overriding),
            overridden: overridden.into_iter().map(Into::into).collect(),
            events: Vec::new(),
            trace_parent: asked.call.trace_parent.as_deref(),
            loan,
        };
        lent.tell(vec![
            event::availability_changed(lent.loan.item_id, status, item_revision, at),
            event::loan_changed(&lent.loan, at),
        ]);
        Ok(lent)
    }

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
        blocks.extend(
            self.proxy
                .iter()
                .flat_map(|proxy| proxy.blocks(here.date())),
        );
        blocks.extend(block::limit_blocks(terms, loans_under));
        blocks.extend(block::item_blocks(status, terms, due_at.is_some()));
        let agreement = &terms.agreement;
        if !agreement.is_empty() && *agreement != self.asked.request.accepted_agreement {
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

    fn loan(self, due_at: Timestamp, by_override: bool) -> Loan {
        let terms = &self.policies.loan.terms;
        let lost_after = self.policies.lost_item.terms.aged_after(false);
        Loan {
            id: self.asked.loan_id,
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
            check_out_service_point_id: self.asked.request.service_point_id,
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
            proxy_patron_id: self.proxy.map(|proxy| proxy.patron_id),
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
fn facts_of(
    item: ItemAtDesk,
    patron_group: String,
    policies: &LoanPolicies,
    desk: Desk,
) -> model::Facts {
    let path = item.path;
    model::Facts {
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
