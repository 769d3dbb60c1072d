//! What the desk does for requests: who gets an item that came in, whether an
//! item may go out or stay out while somebody waits for it.
//!
//! Who asks takes the item's lock first. Where the item's row says that it is
//! not requested, nobody waits: whoever places a request marks all items of
//! the title under their locks.

use std::sync::Arc;

use carrel_outbox::NewEvent;
use carrel_proto::catalog::v1::ItemStatus;
use carrel_proto::circulation::v1::{CirculationItemStatus, NextStep, RequestStatus, RequestType};
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::event::request_changed;
use super::model::{Request, hold_shelf_expiry};
use super::store::{self, Placement};
use super::title::{self, Traits};
use crate::Circulation;
use crate::error::Error;
use crate::known::CurrentPolicies;
use crate::loan::block::Block;
use crate::loan::event::availability_changed;
use crate::loan::model::{Loan, next_step};
use crate::loan::store::{Desk, ItemAtDesk, is_requested};
use crate::policy::model::{Policy, RequestTerms};
use crate::rule::RulesVersion;
use crate::rule::model::Rule;

/// The rules and policies that hold now.
#[derive(Debug)]
pub(crate) struct Book {
    /// `None`: none were ever brought in.
    pub rules: Option<Arc<RulesVersion>>,
    pub policies: Arc<CurrentPolicies>,
}

impl Book {
    pub(crate) async fn open(
        circulation: &Circulation,
        connection: &mut PgConnection,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let (rules_id, serial) = store::versions(connection, now).await?;
        let known = &circulation.known;
        let rules = match rules_id {
            Some(id) => Some(known.rules(connection, id).await?),
            None => None,
        };
        let policies = known.current_policies(connection, serial).await?;
        Ok(Self { rules, policies })
    }

    /// The line for an item and a patron group.
    pub(crate) fn rule(&self, item: Traits<'_>, patron_group: &str) -> Option<&Rule> {
        let rules = self.rules.as_ref()?;
        Some(rules.rules.choose(&item.combination(patron_group)))
    }

    /// The request policy for an item and a patron group, where there is one.
    pub(crate) fn request_policy(
        &self,
        item: Traits<'_>,
        patron_group: &str,
    ) -> Option<&Arc<Policy<RequestTerms>>> {
        let rule = self.rule(item, patron_group)?;
        self.policies.request.get(&rule.policies.request.code)
    }

    /// Whether an item can fill a request.
    fn suits(&self, item: Traits<'_>, request: &Request) -> bool {
        let policy = self.request_policy(item, &request.facts.patron_group);
        request.asks_for(item.item_id)
            && request.allowed_by(policy.map(|policy| &policy.terms), item.library())
    }

    /// The first in a queue that waits and that an item can fill.
    pub(crate) fn first_waiting(
        &self,
        queue: &[Request],
        item: Traits<'_>,
        now: Timestamp,
    ) -> Option<usize> {
        let fits = |request: &Request| request.waits(now) && self.suits(item, request);
        queue.iter().position(fits)
    }
}

/// The queue that an item stands before, and the open request that it is kept
/// for, which may be of a title that it belonged to once.
struct Waiting {
    queue: Vec<Request>,
    kept_for: Option<Request>,
}

/// Locks what may wait for an item, and reads it.
async fn lock_waiting(connection: &mut PgConnection, item: &ItemAtDesk) -> Result<Waiting, Error> {
    let held = match item.held_request_id {
        Some(id) => store::find(connection, id).await?,
        None => None,
    };
    let mut titles: Vec<Uuid> = item.record_id.into_iter().collect();
    titles.extend(held.map(|held| held.record_id));
    titles.sort_unstable();
    titles.dedup();
    store::lock_queues(connection, &titles).await?;
    let queue = match item.record_id {
        Some(record_id) => store::queue(connection, record_id).await?,
        None => Vec::new(),
    };
    // Read again under the lock: it may have been closed while we waited.
    let kept_for = match item.held_request_id {
        Some(id) => store::find(connection, id).await?,
        None => None,
    };
    let is_kept =
        |request: &Request| request.is_open() && request.held_item_id == Some(item.item_id);
    Ok(Waiting {
        queue,
        kept_for: kept_for.filter(is_kept),
    })
}

/// What becomes of an item that came in.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub next_step: NextStep,
    pub placement: Placement,
    /// Whether there may still be requests that it could fill.
    pub requested: bool,
    /// The request that it goes to.
    pub request: Option<Request>,
    /// Requests that changed by it.
    pub events: Vec<NewEvent>,
}

/// Decides what becomes of an item that came in, and keeps it for whoever
/// waits for it. The caller holds the item's lock, and has ended its loan.
pub(crate) async fn at_check_in(
    circulation: &Circulation,
    connection: &mut PgConnection,
    item: &ItemAtDesk,
    service_point_id: Uuid,
    desk: &Desk,
    now: Timestamp,
) -> Result<Arrival, Error> {
    let catalog_status = ItemStatus::try_from(item.status).unwrap_or_default();
    let home = item.path.library_code.as_deref();
    let (next, destination) = next_step(catalog_status, home, &desk.library_code);
    let destination = destination.unwrap_or_default();
    let mut arrival = Arrival {
        placement: Placement {
            status: if destination.is_empty() {
                CirculationItemStatus::In
            } else {
                CirculationItemStatus::InTransit
            },
            destination_library_code: destination,
            ..Placement::in_place()
        },
        next_step: next,
        requested: false,
        request: None,
        events: Vec::new(),
    };
    if !item.requested && item.held_request_id.is_none() {
        return Ok(arrival);
    }

    let Waiting {
        mut queue,
        kept_for,
    } = lock_waiting(connection, item).await?;
    arrival.requested = !queue.is_empty();
    let goes_out = matches!(next, NextStep::Shelve | NextStep::SendHome);
    let request = match kept_for {
        Some(mut request) if !goes_out => {
            request.let_go();
            store::update(connection, &request, false).await?;
            arrival.events.push(request_changed(&request, now));
            None
        }
        Some(request) => Some(request),
        None if goes_out => {
            let book = Book::open(circulation, connection, now).await?;
            let first = book.first_waiting(&queue, Traits::of(item), now);
            first.map(|place| queue.swap_remove(place))
        }
        None => None,
    };
    if let Some(mut request) = request {
        let before = request.clone();
        let (next_step, placement) = send(
            circulation,
            connection,
            item.item_id,
            &mut request,
            service_point_id,
            now,
        )
        .await?;
        if request != before {
            store::update(connection, &request, false).await?;
            arrival.events.push(request_changed(&request, now));
        }
        arrival.next_step = next_step;
        arrival.placement = placement;
        arrival.request = Some(request);
    }
    Ok(arrival)
}

/// Sends an item on for a request: to the hold shelf here, to the pick-up
/// service point, or to whom it is delivered.
async fn send(
    circulation: &Circulation,
    connection: &mut PgConnection,
    item_id: Uuid,
    request: &mut Request,
    here: Uuid,
    now: Timestamp,
) -> Result<(NextStep, Placement), Error> {
    let (kept, id) = (Placement::kept, Some(request.id));
    let Some(pickup) = request.pickup.clone() else {
        let status = RequestStatus::OpenAwaitingDelivery;
        if request.status != status {
            request.keep(item_id, status, None);
        }
        let placement = kept(CirculationItemStatus::AwaitingDelivery, id);
        return Ok((NextStep::Deliver, placement));
    };
    if pickup.service_point_id != here {
        let status = RequestStatus::OpenInTransit;
        if request.status != status {
            request.keep(item_id, status, None);
        }
        let placement = Placement {
            destination_service_point_id: Some(pickup.service_point_id),
            destination_library_code: pickup.library_code,
            ..kept(CirculationItemStatus::InTransit, id)
        };
        return Ok((NextStep::SendToPickup, placement));
    }
    let status = RequestStatus::OpenAwaitingPickup;
    if request.status != status {
        let expires_at = shelf_expiry(circulation, connection, request, here, now).await?;
        request.keep(item_id, status, expires_at);
    }
    let placement = kept(CirculationItemStatus::AwaitingPickup, id);
    Ok((NextStep::HoldShelf, placement))
}

/// Until when a request's copy waits on the hold shelf here.
async fn shelf_expiry(
    circulation: &Circulation,
    connection: &mut PgConnection,
    request: &Request,
    here: Uuid,
    now: Timestamp,
) -> Result<Option<Timestamp>, Error> {
    let point = store::find_point(connection, here).await?;
    let point = point.ok_or(Error::ServicePointNotFound)?;
    let known = &circulation.known;
    let policy = known.request_policy(connection, request.policy_id).await?;
    let period = policy.terms.hold_shelf_period.or(point.hold_shelf_period);
    let (zone, revision) = (&point.desk.time_zone, point.desk.hours_revision);
    let calendar = known.calendar(connection, here, zone, revision).await?;
    Ok(period.map(|period| hold_shelf_expiry(period, now, &calendar)))
}

/// What waits for an item that somebody wants to take out.
#[derive(Debug, Default)]
pub(crate) struct AtCheckOut {
    /// The patron's own request, which this loan fills.
    own: Option<Request>,
    /// The request that the item is kept for.
    kept_for: Option<Request>,
    /// Whether it is somebody else's turn.
    is_anothers: bool,
    /// Whether others wait for this item or for any of the title.
    pub others_wait: bool,
}

impl AtCheckOut {
    /// Why it may not go out.
    pub(crate) fn block(&self) -> Option<Block> {
        self.is_anothers
            .then(|| requested("somebody else waits for this item"))
    }

    /// Fills the patron's request, and puts the one that the item was kept
    /// for back to its place in the queue.
    pub(crate) async fn settle(
        self,
        connection: &mut PgConnection,
        item_id: Uuid,
        at: Timestamp,
    ) -> Result<Vec<NewEvent>, Error> {
        let mut events = Vec::new();
        let own_id = self.own.as_ref().map(|own| own.id);
        if let Some(mut kept_for) = self.kept_for.filter(|kept| Some(kept.id) != own_id) {
            kept_for.let_go();
            store::update(connection, &kept_for, false).await?;
            events.push(request_changed(&kept_for, at));
        }
        if let Some(mut own) = self.own {
            own.fill(item_id, at);
            store::update(connection, &own, true).await?;
            events.push(request_changed(&own, at));
        }
        Ok(events)
    }
}

fn requested(description: &str) -> Block {
    Block {
        reason: "ITEM_REQUESTED",
        description: description.to_owned(),
        overridable: true,
    }
}

/// Looks who waits for an item that a patron wants to take out. The caller
/// holds the locks of the item and the patron.
pub(crate) async fn at_check_out(
    circulation: &Circulation,
    connection: &mut PgConnection,
    item: &ItemAtDesk,
    patron_id: Uuid,
    now: Timestamp,
) -> Result<AtCheckOut, Error> {
    if !item.may_be_waited_for() {
        return Ok(AtCheckOut::default());
    }
    let Waiting { queue, kept_for } = lock_waiting(connection, item).await?;
    let is_own = |request: &Request| request.patron_id == Some(patron_id);
    let is_anothers = match &kept_for {
        Some(kept_for) => !is_own(kept_for),
        None => {
            let book = Book::open(circulation, connection, now).await?;
            let first = book.first_waiting(&queue, Traits::of(item), now);
            first.is_some_and(|first| !is_own(&queue[first]))
        }
    };
    let others_wait = queue
        .iter()
        .any(|request| !is_own(request) && request.waits(now) && request.asks_for(item.item_id));
    let own = queue
        .into_iter()
        .find(|request| is_own(request) && request.asks_for(item.item_id))
        .or_else(|| kept_for.clone().filter(is_own));
    Ok(AtCheckOut {
        own,
        kept_for,
        is_anothers,
        others_wait,
    })
}

/// Who waits for an item that a patron wants to keep for longer.
#[derive(Debug, Default)]
pub(crate) struct AtRenewal {
    /// Why it may not be kept.
    pub block: Option<Block>,
    /// Whether somebody recalled this loan and waits still.
    pub is_recalled: bool,
    /// Whether others wait for this item or for any of the title.
    pub others_wait: bool,
}

/// Looks who waits for an item that a patron wants to keep for longer. The
/// caller holds the item's lock, so nobody begins to wait meanwhile; who stops
/// waiting meanwhile is not looked for.
///
/// A recall blocks the renewal of the loan that it recalled; so does a hold
/// that the item could fill, unless its request policy says otherwise.
pub(crate) async fn at_renewal(
    circulation: &Circulation,
    connection: &mut PgConnection,
    loan: &Loan,
    now: Timestamp,
) -> Result<AtRenewal, Error> {
    let mut found = AtRenewal::default();
    if !is_requested(connection, loan.item_id).await? {
        return Ok(found);
    }
    let item = title::find_all(connection, &[loan.item_id]).await?.pop();
    let Some((item, record_id)) = item.and_then(|item| item.record_id.map(|id| (item, id))) else {
        return Ok(found);
    };
    let queue = store::queue(connection, record_id).await?;
    let book = Book::open(circulation, connection, now).await?;
    for request in queue.iter().filter(|request| request.waits(now)) {
        let is_recall = request.kind == RequestType::Recall;
        let is_of_this = is_recall && request.recalled_loan_id == Some(loan.id);
        found.is_recalled |= is_of_this;
        found.others_wait |= request.asks_for(item.item_id);
        // A recall for which another copy is on its way back needs none more.
        let needs_it = is_of_this || !is_recall || request.recalled_loan_id.is_none();
        if !needs_it || found.block.is_some() || !book.suits(item.traits(), request) {
            continue;
        }
        let known = &circulation.known;
        let policy = known.request_policy(connection, request.policy_id).await?;
        if is_recall || !policy.terms.renewal_despite_holds {
            found.block = Some(requested(if is_of_this {
                "somebody recalled this item"
            } else {
                "somebody else waits for this item"
            }));
        }
    }
    Ok(found)
}

/// Gives a paged item whose request is closed to whoever waits next, where
/// pages of it are allowed; else it is in again. The caller holds its lock.
pub(crate) async fn pass_on(
    circulation: &Circulation,
    connection: &mut PgConnection,
    item_id: Uuid,
    now: Timestamp,
) -> Result<Vec<NewEvent>, Error> {
    let item = title::find_all(connection, &[item_id]).await?.pop();
    let Some(item) = item.filter(|item| item.status == CirculationItemStatus::Paged) else {
        return Ok(Vec::new());
    };
    let mut queue = Vec::new();
    if let Some(record_id) = item.record_id {
        store::lock_queue(connection, record_id).await?;
        queue = store::queue(connection, record_id).await?;
    }
    let held = match item.held_request_id {
        Some(id) => store::find(connection, id).await?,
        None => None,
    };
    if held.is_some_and(|held| held.is_open() && held.held_item_id == Some(item_id)) {
        return Ok(Vec::new());
    }
    let book = Book::open(circulation, connection, now).await?;
    let next = book
        .first_waiting(&queue, item.traits(), now)
        .map(|place| queue[place].clone())
        .filter(|request| {
            let policy = book.request_policy(item.traits(), &request.facts.patron_group);
            item.catalog_status == ItemStatus::Available
                && policy.is_some_and(|policy| policy.terms.allows(RequestType::Page))
        });
    let requested = !queue.is_empty();
    let Some(mut request) = next else {
        let placement = Placement::in_place();
        let revision = store::place_item(connection, item_id, &placement, requested, now).await?;
        let status = CirculationItemStatus::In;
        return Ok(vec![availability_changed(item_id, status, revision, now)]);
    };
    request.keep(item_id, RequestStatus::OpenNotYetFilled, None);
    let placement = Placement::kept(CirculationItemStatus::Paged, Some(request.id));
    store::place_item(connection, item_id, &placement, requested, now).await?;
    store::update(connection, &request, false).await?;
    Ok(vec![request_changed(&request, now)])
}
