//! What staff work through for requests: hold shelves, pick lists, and what is
//! on its way. Ids only; nobody's name and no barcode.

use carrel_proto::circulation::v1::RequestStatus;
use carrel_runtime::Call;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{permit, store};
use crate::Circulation;
use crate::error::Error;

/// An item on a hold shelf.
#[derive(Debug)]
pub struct OnShelf {
    /// The item.
    pub item_id: Uuid,
    /// The title.
    pub record_id: Uuid,
    /// The request that it waits, or waited, for.
    pub request_id: Uuid,
    /// Where that request stands.
    pub status: RequestStatus,
    /// Until when it waits.
    pub expires_at: Option<Timestamp>,
    /// Whether it must be taken off.
    pub clear: bool,
}

/// An item to be fetched.
#[derive(Debug)]
pub struct ToFetch {
    /// The item.
    pub item_id: Uuid,
    /// The title.
    pub record_id: Uuid,
    /// The request that it is for.
    pub request_id: Uuid,
    /// Its location's code; "" where unknown.
    pub location_code: String,
    /// The class of its call number.
    pub call_number_class: String,
    /// Its material type.
    pub material_type: String,
    /// Where it is picked up.
    pub pickup_service_point_id: Option<Uuid>,
    /// When it was asked for.
    pub requested_at: Timestamp,
}

/// An item on its way.
#[derive(Debug)]
pub struct OnTheWay {
    /// The item.
    pub item_id: Uuid,
    /// The title.
    pub record_id: Option<Uuid>,
    /// The request that it is on its way for.
    pub request_id: Option<Uuid>,
    /// The service point that it goes to.
    pub destination_service_point_id: Option<Uuid>,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// Checks the call at a service point; gives its library.
async fn library_of(
    connection: &mut PgConnection,
    call: &Call,
    service_point_id: Uuid,
) -> Result<String, Error> {
    let point = store::find_point(connection, service_point_id).await?;
    let point = point.ok_or(Error::ServicePointNotFound)?;
    permit(connection, call, Some(service_point_id), None).await?;
    Ok(point.desk.library_code)
}

/// Lists what is on a service point's hold shelf, by item, after one.
///
/// # Errors
/// [`Error::ServicePointNotFound`].
pub async fn list_hold_shelf(
    circulation: &Circulation,
    call: &Call,
    service_point_id: Uuid,
    clearance_only: bool,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<OnShelf>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    library_of(&mut connection, call, service_point_id).await?;
    // Whoever filled a request with another copy left this one on the shelf.
    let rows = sqlx::query!(
        r#"select item.item_id, request.record_id, request.id as request_id, request.status,
                request.hold_shelf_expires_at,
                (request.closed_at is not null or request.held_item_id is distinct from item.item_id) as "clear!"
         from item_circulation item join patron_request request on request.id = item.held_request_id
         where item.status = 6 and request.pickup_service_point_id = $1
           and (not $2 or request.closed_at is not null or request.held_item_id is distinct from item.item_id)
           and ($3::uuid is null or item.item_id > $3)
         order by item.item_id limit $4"#,
        service_point_id,
        clearance_only,
        after,
        limit,
    )
    .fetch_all(&mut *connection)
    .await?;
    let entries = rows.into_iter().map(|row| OnShelf {
        item_id: row.item_id,
        record_id: row.record_id,
        request_id: row.request_id,
        status: i32::from(row.status).try_into().unwrap_or_default(),
        expires_at: row.hold_shelf_expires_at.map(jiff_sqlx::Timestamp::to_jiff),
        clear: row.clear,
    });
    Ok(entries.collect())
}

/// Lists what is to be fetched in a service point's library, by item, after
/// one.
///
/// # Errors
/// [`Error::ServicePointNotFound`].
pub async fn list_pick_list(
    circulation: &Circulation,
    call: &Call,
    service_point_id: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ToFetch>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    let library = library_of(&mut connection, call, service_point_id).await?;
    let rows = sqlx::query!(
        r#"select item.item_id, request.record_id, request.id as request_id, request.requested_at,
                request.pickup_service_point_id, path.location_code as "location_code?",
                projection.call_number_class, projection.material_type
         from item_circulation item
         join patron_request request on request.id = item.held_request_id and request.closed_at is null
         join item_projection projection on projection.item_id = item.item_id
         join location_path path on path.location_id = projection.location_id
         where item.status = 8 and path.library_code = $1 and ($2::uuid is null or item.item_id > $2)
         order by item.item_id limit $3"#,
        library,
        after,
        limit,
    )
    .fetch_all(&mut *connection)
    .await?;
    let entries = rows.into_iter().map(|row| ToFetch {
        item_id: row.item_id,
        record_id: row.record_id,
        request_id: row.request_id,
        location_code: row.location_code.unwrap_or_default(),
        call_number_class: row.call_number_class,
        material_type: row.material_type,
        pickup_service_point_id: row.pickup_service_point_id,
        requested_at: row.requested_at.to_jiff(),
    });
    Ok(entries.collect())
}

/// Lists what is on its way to a service point's library, by item, after one.
///
/// # Errors
/// [`Error::ServicePointNotFound`].
pub async fn list_in_transit(
    circulation: &Circulation,
    call: &Call,
    service_point_id: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<OnTheWay>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    let library = library_of(&mut connection, call, service_point_id).await?;
    let rows = sqlx::query!(
        r#"select item.item_id, projection.record_id as "record_id?", item.held_request_id,
                item.destination_service_point_id, item.in_transit_since
         from item_circulation item
         left join item_projection projection on projection.item_id = item.item_id
         where item.status = 7 and item.destination_library_code = $1
           and ($2::uuid is null or item.item_id > $2)
         order by item.item_id limit $3"#,
        library,
        after,
        limit,
    )
    .fetch_all(&mut *connection)
    .await?;
    let entries = rows.into_iter().map(|row| OnTheWay {
        item_id: row.item_id,
        record_id: row.record_id,
        request_id: row.held_request_id,
        destination_service_point_id: row.destination_service_point_id,
        since: row.in_transit_since.map(jiff_sqlx::Timestamp::to_jiff),
    });
    Ok(entries.collect())
}
