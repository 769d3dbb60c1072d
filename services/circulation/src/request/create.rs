//! Placing a request.

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_outbox::NewEvent;
use carrel_proto::catalog::v1::ItemStatus;
use carrel_proto::circulation::v1::{
    CirculationItemStatus, RequestLevel, RequestStatus, RequestType,
};
use carrel_runtime::Call;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::event::request_changed;
use super::fulfilment::Book;
use super::model::{Pickup, Request};
use super::recall::{self, Recallable};
use super::store::{self, Placement, Placing};
use super::title::{self, TitleItem};
use super::{MOST_IN_QUEUE, permit, pickup_at};
use crate::error::Error;
use crate::loan::block::{self, Block, OverriddenBlock, Override};
use crate::loan::model::Facts;
use crate::loan::{event, store as loan_store};
use crate::policy::model::{Policy, RequestTerms};
use crate::projection::lookup::Answer;
use crate::rule::AppliedRule;
use crate::{Circulation, first_id};

/// Who asks.
#[derive(Debug)]
pub enum Patron {
    /// By id.
    Id(Uuid),
    /// By the barcode. It goes no further than its HMAC.
    Barcode(String),
}

/// For what.
#[derive(Debug)]
pub enum Target {
    /// The item, or one of the title, by its barcode.
    Item(String),
    /// The title.
    Record(Uuid),
}

/// What is asked for, for whom and where.
#[derive(Debug)]
pub struct CreateRequest {
    /// Who asks.
    pub patron: Patron,
    /// For what.
    pub target: Target,
    /// What is asked for.
    pub kind: RequestType,
    /// Which copy.
    pub level: RequestLevel,
    /// Where it is picked up; `None`: it is delivered.
    pub pickup_service_point_id: Option<Uuid>,
    /// Until when it holds.
    pub expires_at: Option<Timestamp>,
    /// What the patron says.
    pub patron_comment: String,
    /// What is overridden.
    pub overriding: Option<Override>,
    /// The desk where it is placed.
    pub service_point_id: Option<Uuid>,
}

/// A request as placed.
#[derive(Debug)]
pub struct Created {
    /// The request.
    pub request: Request,
    /// What was overridden.
    pub overridden: Vec<OverriddenBlock>,
}

/// Places a request.
///
/// # Errors
/// [`Error`], see the contract.
pub async fn create(
    circulation: &Circulation,
    call: &Call,
    key: &RequestKey,
    asked: &CreateRequest,
) -> Result<Created, Error> {
    let id = carrel_ids::new_id();
    let (mut asked_for_item, mut asked_for_patron) = (false, false);
    loop {
        let placed = transact!(circulation.database, "create_request", |transaction| {
            let now = circulation.clock.now();
            if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
                let request = super::get_in(transaction, first_id(&ids)?).await?;
                let overridden = request.overridden.clone();
                return Ok(Created {
                    request,
                    overridden,
                });
            }
            place(circulation, transaction, call, asked, id, now).await
        });
        match placed {
            Ok(placed) => {
                circulation.wake.committed();
                return Ok(placed);
            }
            Err(error) => match (error, &asked.target, &asked.patron) {
                (Error::ItemNotFound { .. }, Target::Item(barcode), _) if !asked_for_item => {
                    asked_for_item = true;
                    let answer = circulation.lookup.item(barcode).await?;
                    if answer != Answer::Learnt {
                        let owner_reached = answer != Answer::Unreachable;
                        return Err(Error::ItemNotFound { owner_reached });
                    }
                }
                (Error::PatronNotFound { .. }, _, Patron::Barcode(barcode))
                    if !asked_for_patron =>
                {
                    asked_for_patron = true;
                    let hmac = circulation.barcode_key.hash(barcode);
                    let answer = circulation.lookup.patron(&hmac).await?;
                    if answer != Answer::Learnt {
                        let owner_reached = answer != Answer::Unreachable;
                        return Err(Error::PatronNotFound { owner_reached });
                    }
                }
                (error, _, _) => return Err(error),
            },
        }
    }
}

/// Who asks, for which title, and to be picked up where.
struct Asked {
    patron_id: Uuid,
    patron_group: String,
    record_id: Uuid,
    item_id: Option<Uuid>,
    pickup: Option<Pickup>,
}

async fn resolve(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    asked: &CreateRequest,
    now: Timestamp,
) -> Result<Asked, Error> {
    let patron = match &asked.patron {
        Patron::Id(id) => store::find_patron(transaction, Some(*id), None).await?,
        Patron::Barcode(barcode) => {
            let hmac = circulation.barcode_key.hash(barcode);
            store::find_patron(transaction, None, Some(&hmac)).await?
        }
    };
    let (patron_id, patron_group) = patron.ok_or(Error::PatronNotFound {
        owner_reached: true,
    })?;
    let (item_id, record_id) = match &asked.target {
        Target::Record(record_id) => (None, *record_id),
        Target::Item(barcode) => {
            let item = title::find_by_barcode(transaction, barcode).await?;
            let (item_id, record_id) = item.ok_or(Error::ItemNotFound {
                owner_reached: true,
            })?;
            (Some(item_id), record_id.ok_or(Error::RecordNotFound)?)
        }
    };
    if asked.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(Error::ExpiresInPast);
    }
    let pickup = match asked.pickup_service_point_id {
        Some(id) => Some(pickup_at(transaction, id).await?),
        None => None,
    };
    Ok(Asked {
        patron_id,
        patron_group,
        record_id,
        item_id: item_id.filter(|_| asked.level == RequestLevel::Item),
        pickup,
    })
}

/// What the queue, the copies and the policies make of what was asked.
struct Outcome<'a> {
    kind: RequestType,
    /// The copy that the policy was found for.
    item: &'a TitleItem,
    policy: &'a Policy<RequestTerms>,
    /// A copy that it takes at once.
    paged: Option<Uuid>,
}

async fn place(
    circulation: &Circulation,
    transaction: &mut PgConnection,
    call: &Call,
    asked: &CreateRequest,
    id: Uuid,
    now: Timestamp,
) -> Result<Created, Error> {
    let overriding = asked.overriding.as_ref();
    permit(transaction, call, asked.service_point_id, overriding).await?;
    let who = resolve(circulation, transaction, asked, now).await?;
    super::only_for_themselves(call, who.patron_id)?;
    if overriding.is_some() && super::is_patron(call, who.patron_id) {
        return Err(Error::OwnAccount);
    }

    let item_ids = title::lock_title(transaction, who.record_id).await?;
    let items = title::find_all(transaction, &item_ids).await?;
    if items.is_empty() {
        return Err(Error::RecordNotFound);
    }
    let asked_item = |item: &&TitleItem| who.item_id.is_none_or(|id| id == item.item_id);
    let candidates: Vec<&TitleItem> = items.iter().filter(asked_item).collect();
    let book = Book::open(circulation, transaction, now).await?;
    if book.rules.is_none() {
        return Err(Error::RulesMissing);
    }
    let loan_ids: Vec<Uuid> = items.iter().filter_map(|item| item.open_loan_id).collect();
    let loans = loan_store::find_all(transaction, &loan_ids).await?;
    let recallable = recall::choose(&candidates, &loans, &book, &who.patron_group)?;

    // The recalled loan's patron may have one more overdue recall.
    let mut patrons = vec![who.patron_id];
    if asked.kind == RequestType::Recall {
        patrons.extend(recallable.as_ref().and_then(|found| found.loan.patron_id));
    }
    store::lock_patrons(transaction, &patrons).await?;
    let last_place = store::draw_places(transaction, who.record_id, 1).await?;
    let queue = store::queue(transaction, who.record_id).await?;
    if queue
        .iter()
        .any(|other| other.patron_id == Some(who.patron_id))
    {
        return Err(Error::RequestAlreadyOpen);
    }
    if queue.len() >= MOST_IN_QUEUE {
        return Err(Error::QueueFull);
    }

    let mut blocks = patron_blocks(transaction, &who, now).await?;
    let outcome = decide(
        asked,
        &who,
        &candidates,
        &queue,
        &book,
        recallable.as_ref(),
        now,
        &mut blocks,
    )?;
    let has_it = |loan: &crate::loan::model::Loan| {
        loan.patron_id == Some(who.patron_id) && who.item_id.is_none_or(|id| id == loan.item_id)
    };
    if loans.iter().any(has_it) {
        blocks.push(beyond_staff("ALREADY_ON_LOAN", "the patron has it on loan"));
    }
    let terms = &outcome.policy.terms;
    if terms.max_requests > 0 {
        let code = &outcome.policy.code;
        let open = store::count_open(transaction, who.patron_id, code).await?;
        if open >= terms.max_requests.into() {
            let most = terms.max_requests;
            let told = format!("{open} requests of this kind are open, {most} are allowed");
            blocks.push(overridable("MAX_REQUESTS", told));
        }
    }
    let (overridden, standing) = block::part(blocks, overriding);
    if !standing.is_empty() {
        return Err(Error::RequestBlocked(standing));
    }

    let recalled = recallable.filter(|_| outcome.kind == RequestType::Recall);
    let recalled_loan_id = (recalled.as_ref())
        .filter(|found| found.loan.recalled_at.is_none() || who.item_id.is_some())
        .map(|found| found.loan.id);
    let applied_rule = applied_rule(&book, outcome.item, &who.patron_group)?;
    let overridden: Vec<OverriddenBlock> = overridden.into_iter().map(Into::into).collect();
    let request = Request {
        id,
        record_id: who.record_id,
        item_id: who.item_id,
        kind: outcome.kind,
        status: RequestStatus::OpenNotYetFilled,
        patron_id: Some(who.patron_id),
        pickup: who.pickup,
        place: last_place,
        queue_position: i32::try_from(queue.len() + 1).unwrap_or(i32::MAX),
        held_item_id: outcome.paged,
        requested_at: now,
        expires_at: asked.expires_at,
        hold_shelf_expires_at: None,
        suspended_from: None,
        suspended_until: None,
        patron_comment: asked.patron_comment.clone(),
        recalled_loan_id,
        policy_id: outcome.policy.id,
        facts: facts_of(outcome.item, &book, &applied_rule, who.patron_group),
        applied_rule,
        closed_at: None,
        cancellation_reason: String::new(),
        cancelled_by_patron: false,
        overridden: overridden.clone(),
        revision: 1,
    };
    let placing = Placing {
        policy_code: &outcome.policy.code,
        placed_by: call.caller.subject(),
        override_comment: overriding.map_or("", |overriding| &overriding.comment),
    };
    store::insert(transaction, &request, &placing, &item_ids).await?;

    let mut events: Vec<NewEvent> = Vec::new();
    if let Some(item_id) = outcome.paged {
        let placement = Placement::kept(CirculationItemStatus::Paged, Some(id));
        let revision = store::place_item(transaction, item_id, &placement, true, now).await?;
        let status = CirculationItemStatus::Paged;
        events.push(event::availability_changed(item_id, status, revision, now));
    }
    if let (Some(found), Some(_)) = (&recalled, recalled_loan_id) {
        let subject = call.caller.subject();
        events.extend(recall::shorten(circulation, transaction, found, terms, subject, now).await?);
    }
    events.push(request_changed(&request, now));
    super::tell(transaction, Some(call), events).await?;
    tracing::info!(request.id = %id, record.id = %request.record_id, "request placed");
    Ok(Created {
        request,
        overridden,
    })
}

/// Finds what becomes of what was asked, and what is against it.
#[allow(clippy::too_many_arguments)]
fn decide<'a>(
    asked: &CreateRequest,
    who: &Asked,
    candidates: &[&'a TitleItem],
    queue: &[Request],
    book: &'a Book,
    recallable: Option<&Recallable>,
    now: Timestamp,
    blocks: &mut Vec<Block>,
) -> Result<Outcome<'a>, Error> {
    let policies = candidates.iter().map(|item| {
        let policy = policy_of(book, item, &who.patron_group)?;
        Ok((*item, policy))
    });
    let mut offers: Vec<(&TitleItem, &Policy<RequestTerms>)> =
        policies.collect::<Result<_, Error>>()?;
    let Some(first) = offers.first().copied() else {
        return Err(Error::ItemNotFound {
            owner_reached: true,
        });
    };
    offers.retain(|(item, _)| item.catalog_status != ItemStatus::Withdrawn);
    if offers.is_empty() {
        blocks.push(beyond_staff("ITEM_STATUS", "the item is withdrawn"));
    }
    let picks_up_here = |item: &TitleItem| {
        let here = who
            .pickup
            .as_ref()
            .map(|pickup| pickup.library_code.as_str());
        item.path.library_code.as_deref() == here
    };
    // A copy of the library where it is picked up is fetched the soonest.
    offers.sort_by_key(|(item, _)| !picks_up_here(item));
    let library = |item: &TitleItem| item.path.library_code.clone().unwrap_or_default();
    let suits = |(item, policy): &(&TitleItem, &Policy<RequestTerms>)| {
        policy
            .terms
            .allows_pickup(who.pickup.as_ref(), &library(item))
    };

    // A copy that is in, and that nobody before waits for, is fetched.
    let pageable = offers.iter().copied().find(|offer| {
        let (item, policy) = offer;
        policy.terms.page
            && suits(offer)
            && item.is_in()
            && book.first_waiting(queue, item.traits(), now).is_none()
    });
    let wants_page = asked.kind == RequestType::Page;
    // Nobody's loan is shortened while a copy of the title is in.
    let may_page = asked.kind != RequestType::Recall || who.item_id.is_none();
    if let Some((item, policy)) = pageable.filter(|_| may_page) {
        return Ok(Outcome {
            kind: RequestType::Page,
            item,
            policy,
            paged: Some(item.item_id),
        });
    }
    if wants_page {
        blocks.push(beyond_staff(
            "NO_COPY_IN",
            "no copy is in that nobody waits for",
        ));
    }
    if asked.kind == RequestType::Recall && recallable.is_none() {
        blocks.push(beyond_staff("NOT_ON_LOAN", "there is no loan to recall"));
    }

    let recalled = |(item, _): &&(&TitleItem, &Policy<RequestTerms>)| {
        recallable.is_none_or(|found| {
            asked.kind != RequestType::Recall || found.loan.item_id == item.item_id
        })
    };
    let allowed =
        |(_, policy): &&(&TitleItem, &Policy<RequestTerms>)| policy.terms.allows(asked.kind);
    let best = offers.iter().filter(recalled).filter(allowed);
    let best = best
        .clone()
        .find(|offer| suits(offer))
        .or_else(|| best.clone().next());
    let chosen = best.or_else(|| offers.iter().find(recalled)).copied();
    let (item, policy) = chosen.unwrap_or(first);
    if !policy.terms.allows(asked.kind) {
        let told = "the request policy allows no such request";
        blocks.push(overridable("REQUEST_NOT_ALLOWED", told.to_owned()));
    }
    if !suits(&(item, policy)) {
        let told = "the request policy does not allow it to be picked up or delivered there";
        blocks.push(overridable("PICKUP_NOT_ALLOWED", told.to_owned()));
    }
    Ok(Outcome {
        kind: asked.kind,
        item,
        policy,
        paged: None,
    })
}

/// The request policy for an item and a patron group.
pub(super) fn policy_of<'a>(
    book: &'a Book,
    item: &TitleItem,
    patron_group: &str,
) -> Result<&'a Policy<RequestTerms>, Error> {
    let rule = book
        .rule(item.traits(), patron_group)
        .ok_or(Error::RulesMissing)?;
    let code = &rule.policies.request.code;
    let policy = book.policies.request.get(code).map(AsRef::as_ref);
    policy.ok_or_else(|| Error::RequestPolicyMissing(code.clone()))
}

fn applied_rule(book: &Book, item: &TitleItem, patron_group: &str) -> Result<AppliedRule, Error> {
    let rules = book.rules.as_ref().ok_or(Error::RulesMissing)?;
    let rule = book
        .rule(item.traits(), patron_group)
        .ok_or(Error::RulesMissing)?;
    Ok(rules.applied(rule))
}

fn facts_of(item: &TitleItem, book: &Book, rule: &AppliedRule, patron_group: String) -> Facts {
    let path = &item.path;
    let code = |code: &Option<String>| code.clone().unwrap_or_default();
    let loan_policy = book.policies.loan.get(&rule.loan_policy);
    let category = loan_policy.map(|policy| policy.terms.category);
    Facts {
        institution_code: code(&path.institution_code),
        campus_code: code(&path.campus_code),
        library_code: code(&path.library_code),
        location_code: code(&path.location_code),
        patron_group,
        material_type: item.material_type.clone(),
        loan_type: item.loan_type.clone(),
        call_number_class: item.call_number_class.clone(),
        category: category.unwrap_or_default().into(),
    }
}

/// What stands against the patron's requests. The date is that of the place
/// where it is picked up, or else of Greenwich.
async fn patron_blocks(
    transaction: &mut PgConnection,
    who: &Asked,
    now: Timestamp,
) -> Result<Vec<Block>, Error> {
    let zone = match &who.pickup {
        None => jiff::tz::TimeZone::UTC,
        Some(pickup) => {
            let point = store::find_point(transaction, pickup.service_point_id).await?;
            let point = point.ok_or(Error::ServicePointNotFound)?;
            crate::service_point::time_zone(&point.desk.time_zone)?
        }
    };
    let facts = loan_store::find_patron_facts(transaction, who.patron_id).await?;
    let facts = facts.ok_or(Error::PatronNotFound {
        owner_reached: true,
    })?;
    let here = now.to_zoned(zone);
    Ok(block::patron_blocks(&facts, block::Action::Request, &here))
}

fn overridable(reason: &'static str, description: String) -> Block {
    Block {
        reason,
        description,
        overridable: true,
    }
}

fn beyond_staff(reason: &'static str, description: &str) -> Block {
    Block {
        overridable: false,
        ..overridable(reason, description.to_owned())
    }
}
