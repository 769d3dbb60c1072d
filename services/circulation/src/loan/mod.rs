//! Loans, as the desk does them: check-out, check-in, renewal; claims, losses
//! and due dates; many at once, offline and by themselves. Each is one
//! transaction in this service's own database and calls nobody. Only an item
//! or patron that was never heard of is asked for, once and before.

mod action;
mod action_store;
mod automatic_renewal;
mod batch;
pub mod block;
mod check_in;
mod check_out;
mod check_out_store;
mod claim;
mod due_change;
pub mod due_date;
pub(crate) mod event;
pub mod fine;
pub(crate) mod ledger;
mod lost;
pub mod model;
mod offline;
mod proxy;
pub(crate) mod reborrow;
mod renewal;
pub(crate) mod store;
pub(crate) mod together;
pub mod unattended;

use std::sync::Arc;

use carrel_outbox::{NewEvent, append};
use carrel_proto::circulation::v1::CirculationItemStatus;
use carrel_runtime::Call;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Circulation;
use crate::error::Error;
use crate::projection::lookup::Answer;
use crate::service_point;
use crate::service_point::calendar::Calendar;
use block::{Action, Block, Override};
use model::Loan;
use store::Desk;

pub use action::{Action as StaffAction, ActionEntry, add_comment, list_actions};
pub use batch::{CheckOutBatch, check_out_batch};
pub use check_in::{CheckIn, CheckedIn, Slip, check_in};
pub use check_out::{CheckOut, CheckedOut, check_out};
pub use claim::{claim_returned, mark_missing};
pub use due_change::{
    ChangeDueDates, DueDateChange, Filter, MOST_LOANS, Preview, Selection, change_due_date,
    change_due_dates, get_due_date_change, preview_due_date_change,
};
pub use lost::{DeclaredLost, declare_lost};
pub use offline::{OfflineDone, OfflineTransaction, OfflineWhat, upload_offline_transactions};
pub use renewal::{Renew, Renewed, renew};

const OVERRIDE: &str = "circulation.loans.override";
const BACKDATE: &str = "circulation.loans.backdate";

/// Reads a loan.
///
/// # Errors
/// [`Error::LoanNotFound`].
pub async fn get(circulation: &Circulation, id: Uuid) -> Result<Loan, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    store::find(&mut connection, id)
        .await?
        .ok_or(Error::LoanNotFound)
}

/// What stands against a patron who wants to do something at a service point.
///
/// # Errors
/// [`Error::PatronNotFound`], [`Error::ServicePointNotFound`].
pub async fn patron_blocks(
    circulation: &Circulation,
    call: &Call,
    patron_id: Uuid,
    action: Action,
    service_point_id: Uuid,
) -> Result<Vec<Block>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    let desk = store::find_desk(&mut connection, service_point_id).await?;
    let desk = desk.ok_or(Error::ServicePointNotFound)?;
    call.permit_at(&desk.institution_code, &desk.library_code)?;
    let zone = service_point::time_zone(&desk.time_zone)?;
    let now = circulation.clock.now().to_zoned(zone);
    if let Some(patron) = store::find_patron_facts(&mut connection, patron_id).await? {
        return Ok(block::patron_blocks(&patron, action, &now));
    }
    drop(connection);
    match circulation.lookup.patron_by_id(patron_id).await? {
        Answer::Learnt => {}
        answer => return Err(patron_not_found(answer)),
    }
    let mut connection = circulation.database.pool().acquire().await?;
    let patron = store::find_patron_facts(&mut connection, patron_id).await?;
    let patron = patron.ok_or(Error::PatronNotFound {
        owner_reached: true,
    })?;
    Ok(block::patron_blocks(&patron, action, &now))
}

/// Lists a patron's or an item's loans, newest first, before one.
///
/// # Errors
/// The database's.
pub async fn list(
    circulation: &Circulation,
    patron_id: Option<Uuid>,
    item_id: Option<Uuid>,
    open_only: bool,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Loan>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    store::list(
        &mut connection,
        patron_id,
        item_id,
        open_only,
        before,
        limit,
    )
    .await
}

/// What catalog may know of an item.
#[derive(Debug)]
pub struct Availability {
    /// The item.
    pub item_id: Uuid,
    /// Where circulation has it.
    pub status: CirculationItemStatus,
    /// Rises with each change.
    pub revision: i64,
}

/// Lists the items that circulation has dealt with, by id, after one.
///
/// # Errors
/// The database's.
pub async fn list_availabilities(
    circulation: &Circulation,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Availability>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    let rows = store::list_availabilities(&mut connection, after, limit).await?;
    let availability = |row: store::AvailabilityRow| Availability {
        item_id: row.item_id,
        status: i32::from(row.status).try_into().unwrap_or_default(),
        revision: row.revision,
    };
    Ok(rows.into_iter().map(availability).collect())
}

/// Checks the call's permission where it happens, and those beyond it that a
/// time of its own or an override needs.
fn permit(
    call: &Call,
    desk: &Desk,
    occurred_at: Option<Timestamp>,
    overriding: Option<&Override>,
) -> Result<(), Error> {
    let (college, library) = (&desk.institution_code, &desk.library_code);
    call.permit_at(college, library)?;
    if occurred_at.is_some() && !call.caller.may_at(BACKDATE, college, library) {
        return Err(Error::BackdatingDenied);
    }
    if overriding.is_some() && !call.caller.may_at(OVERRIDE, college, library) {
        return Err(Error::OverrideDenied);
    }
    Ok(())
}

/// Whether a patron calls by themselves. As ids: upper case or another
/// notation is the same person.
pub(crate) fn is_patron(call: &Call, patron_id: Uuid) -> bool {
    let own = call.caller.subject().strip_prefix("patron:");
    own.is_some_and(|own| Uuid::try_parse(own.trim()).is_ok_and(|own| own == patron_id))
}

pub(crate) fn nobody_for_themselves(call: &Call, patron_id: Uuid) -> Result<(), Error> {
    if is_patron(call, patron_id) {
        return Err(Error::OwnAccount);
    }
    Ok(())
}

fn comment(overriding: Option<&Override>) -> &str {
    overriding.map_or("", |overriding| &overriding.comment)
}

async fn calendar(
    circulation: &Circulation,
    connection: &mut PgConnection,
    service_point_id: Uuid,
    desk: &Desk,
) -> Result<Arc<Calendar>, Error> {
    let known = &circulation.known;
    known
        .calendar(
            connection,
            service_point_id,
            &desk.time_zone,
            desk.hours_revision,
        )
        .await
}

/// The calendar that counts for a loan: that of the place where it was lent.
pub(crate) async fn calendar_of(
    circulation: &Circulation,
    connection: &mut PgConnection,
    loan: &Loan,
) -> Result<Arc<Calendar>, Error> {
    let point = loan.check_out_service_point_id;
    let desk = store::find_desk(connection, point).await?;
    calendar(
        circulation,
        connection,
        point,
        &desk.ok_or(Error::ServicePointNotFound)?,
    )
    .await
}

/// Appends events as the transaction's last statement.
async fn tell(
    transaction: &mut PgConnection,
    call: &Call,
    events: Vec<NewEvent>,
) -> Result<(), sqlx::Error> {
    let caused = |event: NewEvent| event.caused_by(call.trace_parent.clone());
    let events: Vec<NewEvent> = events.into_iter().map(caused).collect();
    append(transaction, &events).await
}

fn patron_not_found(answer: Answer) -> Error {
    Error::PatronNotFound {
        owner_reached: answer != Answer::Unreachable,
    }
}

fn proxy_not_found(answer: Answer) -> Error {
    Error::ProxyNotFound {
        owner_reached: answer != Answer::Unreachable,
    }
}

fn item_not_found(answer: Answer) -> Error {
    Error::ItemNotFound {
        owner_reached: answer != Answer::Unreachable,
    }
}
