//! What waits on a hold shelf while its service point is closed waits until
//! the end of the day on which it opens again.

use carrel_database::transact;
use carrel_outbox::{NewEvent, append};
use carrel_proto::circulation::v1::RequestStatus;
use uuid::Uuid;

use super::run::closed_points;
use super::store;
use crate::Circulation;
use crate::error::Error;
use crate::request;

/// Requests moved in one transaction.
const BATCH: i64 = 1_000;

/// Moves when requests expire on the hold shelves that a closing concerns;
/// gives how many it moved.
pub(super) async fn move_batch(
    circulation: &Circulation,
    closing_id: Uuid,
) -> Result<usize, Error> {
    let count = transact!(
        circulation.database,
        "move_hold_shelf_expiries",
        |transaction| {
            let now = circulation.clock.now();
            let ids = store::list_expiring(transaction, closing_id, BATCH).await?;
            if ids.is_empty() {
                return Ok::<_, Error>(0);
            }
            let points = closed_points(transaction, closing_id).await?;
            let requests = request::store::find_all(transaction, &ids).await?;
            let mut titles: Vec<Uuid> = requests.iter().map(|request| request.record_id).collect();
            titles.sort_unstable();
            titles.dedup();
            request::store::lock_queues(transaction, &titles).await?;
            let mut events: Vec<NewEvent> = Vec::new();
            // Read under the locks: some may have been picked up meanwhile.
            for mut request in request::store::find_all(transaction, &ids).await? {
                let place = (request.pickup.as_ref()).map(|pickup| pickup.service_point_id);
                let point = points.iter().find(|point| Some(point.id) == place);
                let (Some(point), Some(expires_at)) = (point, request.hold_shelf_expires_at) else {
                    continue;
                };
                let waits = request.status == RequestStatus::OpenAwaitingPickup;
                let hours = point.calendar.hours_from(point.closed.until);
                let Some(hours) = hours.filter(|_| waits && point.closed.covers(expires_at)) else {
                    continue;
                };
                let open_day = point.calendar.date_of(hours.opens_at);
                request.hold_shelf_expires_at = Some(point.calendar.end_of_day(open_day));
                request.revision += 1;
                request::store::update(transaction, &request, false).await?;
                events.push(request::event::request_changed(&request, now));
            }
            append(transaction, &events).await?;
            Ok(events.len())
        }
    )?;
    if count > 0 {
        circulation.wake.committed();
    }
    Ok(count)
}
