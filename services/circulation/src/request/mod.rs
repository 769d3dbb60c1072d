//! Requests: holds, recalls and pages. All requests for a title stand in one
//! queue, in the order in which they were placed.

pub(crate) mod ageing;
mod change;
mod create;
pub(crate) mod event;
pub(crate) mod fulfilment;
pub mod model;
mod recall;
mod shelf;
pub(crate) mod store;
pub(crate) mod title;

use carrel_outbox::{NewEvent, append};
use carrel_runtime::Call;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Circulation;
use crate::error::Error;
use crate::loan::block::Override;
use crate::loan::is_patron;
use model::{Pickup, Request};

pub use change::{Cancel, Change, Changes, Reorder, cancel, change, reorder};
pub use create::{CreateRequest, Created, Patron, Target, create};
pub use shelf::{OnShelf, OnTheWay, ToFetch, list_hold_shelf, list_in_transit, list_pick_list};
pub use store::Sought;

const OVERRIDE: &str = "circulation.requests.override";
/// As many may wait for one title.
pub(crate) const MOST_IN_QUEUE: usize = 1_000;

/// A title's queue.
#[derive(Debug)]
pub struct Queue {
    /// The open requests, first to last.
    pub requests: Vec<Request>,
    /// Rises with each change of who waits and in which order.
    pub revision: i64,
}

/// Reads a request.
///
/// # Errors
/// [`Error::RequestNotFound`].
pub async fn get(circulation: &Circulation, id: Uuid) -> Result<Request, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    get_in(&mut connection, id).await
}

async fn get_in(connection: &mut PgConnection, id: Uuid) -> Result<Request, Error> {
    store::find(connection, id)
        .await?
        .ok_or(Error::RequestNotFound)
}

/// Lists requests, newest first, before one.
///
/// # Errors
/// The database's.
pub async fn list(
    circulation: &Circulation,
    sought: &Sought,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Request>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    let ids = store::list(&mut connection, sought, before, limit).await?;
    store::find_all(&mut connection, &ids).await
}

/// Reads a title's queue.
///
/// # Errors
/// The database's.
pub async fn get_queue(circulation: &Circulation, record_id: Uuid) -> Result<Queue, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    // The revision first: where the queue changes in between, its new order is
    // told under the old revision, and a reordering of it is refused.
    let revision = store::queue_revision(&mut connection, record_id).await?;
    Ok(Queue {
        requests: store::queue(&mut connection, record_id).await?,
        revision: revision.unwrap_or_default(),
    })
}

/// Checks the call's permission at the desk where it is made, or everywhere
/// where it is made at none, and the one that an override needs.
async fn permit(
    connection: &mut PgConnection,
    call: &Call,
    service_point_id: Option<Uuid>,
    overriding: Option<&Override>,
) -> Result<(), Error> {
    let may_override = match service_point_id {
        Some(id) => {
            let point = store::find_point(connection, id).await?;
            let desk = point.ok_or(Error::ServicePointNotFound)?.desk;
            call.permit_at(&desk.institution_code, &desk.library_code)?;
            let (college, library) = (&desk.institution_code, &desk.library_code);
            call.caller.may_at(OVERRIDE, college, library)
        }
        None if !call.caller.may_everywhere(call.permission) => return Err(denied()),
        None => call.caller.may_everywhere(OVERRIDE),
    };
    if overriding.is_some() && !may_override {
        return Err(Error::RequestOverrideDenied);
    }
    Ok(())
}

fn denied() -> Error {
    Error::from(carrel_runtime::permission_denied())
}

/// Patrons who call by themselves deal with their own requests only.
fn only_for_themselves(call: &Call, patron_id: Uuid) -> Result<(), Error> {
    if call.caller.subject().starts_with("patron:") && !is_patron(call, patron_id) {
        return Err(denied());
    }
    Ok(())
}

/// The service point where something is to be picked up.
async fn pickup_at(connection: &mut PgConnection, id: Uuid) -> Result<Pickup, Error> {
    let point = store::find_point(connection, id).await?;
    let point = point.ok_or(Error::ServicePointNotFound)?;
    if !point.pickup_location {
        return Err(Error::PickupNotOffered);
    }
    Ok(Pickup {
        service_point_id: id,
        library_code: point.desk.library_code,
    })
}

/// Appends events as the transaction's last statement.
async fn tell(
    transaction: &mut PgConnection,
    call: Option<&Call>,
    events: Vec<NewEvent>,
) -> Result<(), sqlx::Error> {
    let trace_parent = call.and_then(|call| call.trace_parent.clone());
    let caused = |event: NewEvent| event.caused_by(trace_parent.clone());
    let events: Vec<NewEvent> = events.into_iter().map(caused).collect();
    append(transaction, &events).await
}
