//! All SQL on requests and their queues.
//!
//! Locks are taken in one order: items by id, patrons by id, then queues by
//! title. Whatever places, moves or closes a request holds its queue's lock;
//! whatever keeps a copy for one holds the copy's as well.

use carrel_proto::circulation::v1::{CirculationItemStatus, LoanCategory};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::model::{Pickup, Request};
use crate::error::Error;
use crate::loan::block::OverriddenBlock;
use crate::loan::model::Facts;
use crate::loan::store::Desk;
use crate::period::Period;
use crate::rule::AppliedRule;

/// An enum's number as the database keeps it; the contract's enums are small.
pub(crate) fn number(value: i32) -> i16 {
    i16::try_from(value).unwrap_or(0)
}

/// A request's row, whole.
struct RequestRow {
    id: Uuid,
    record_id: Uuid,
    item_id: Option<Uuid>,
    kind: i16,
    status: i16,
    patron_id: Option<Uuid>,
    pickup_service_point_id: Option<Uuid>,
    pickup_library_code: Option<String>,
    place: i64,
    queue_position: Option<i32>,
    held_item_id: Option<Uuid>,
    requested_at: jiff_sqlx::Timestamp,
    expires_at: Option<jiff_sqlx::Timestamp>,
    hold_shelf_expires_at: Option<jiff_sqlx::Timestamp>,
    suspended_from: Option<jiff_sqlx::Timestamp>,
    suspended_until: Option<jiff_sqlx::Timestamp>,
    patron_comment: String,
    recalled_loan_id: Option<Uuid>,
    applied_rule: Json<AppliedRule>,
    request_policy_id: Uuid,
    institution_code: String,
    campus_code: String,
    library_code: String,
    location_code: String,
    patron_group: String,
    material_type: String,
    loan_type: String,
    call_number_class: String,
    category: i16,
    closed_at: Option<jiff_sqlx::Timestamp>,
    cancellation_reason: String,
    cancelled_by_patron: bool,
    overridden: Json<Vec<OverriddenBlock>>,
    revision: i64,
}

impl RequestRow {
    fn read(self) -> Result<Request, Error> {
        let unreadable = |what| Error::Unreadable(format!("{what} of request {}", self.id));
        let pickup_library = self.pickup_library_code.unwrap_or_default();
        let instant = |at: Option<jiff_sqlx::Timestamp>| at.map(jiff_sqlx::Timestamp::to_jiff);
        Ok(Request {
            kind: i32::from(self.kind)
                .try_into()
                .map_err(|_| unreadable("type"))?,
            status: i32::from(self.status)
                .try_into()
                .map_err(|_| unreadable("status"))?,
            id: self.id,
            record_id: self.record_id,
            item_id: self.item_id,
            patron_id: self.patron_id,
            pickup: self.pickup_service_point_id.map(|service_point_id| Pickup {
                service_point_id,
                library_code: pickup_library,
            }),
            place: self.place,
            queue_position: self.queue_position.unwrap_or_default(),
            held_item_id: self.held_item_id,
            requested_at: self.requested_at.to_jiff(),
            expires_at: instant(self.expires_at),
            hold_shelf_expires_at: instant(self.hold_shelf_expires_at),
            suspended_from: instant(self.suspended_from),
            suspended_until: instant(self.suspended_until),
            patron_comment: self.patron_comment,
            recalled_loan_id: self.recalled_loan_id,
            applied_rule: self.applied_rule.0,
            policy_id: self.request_policy_id,
            facts: Facts {
                institution_code: self.institution_code,
                campus_code: self.campus_code,
                library_code: self.library_code,
                location_code: self.location_code,
                patron_group: self.patron_group,
                material_type: self.material_type,
                loan_type: self.loan_type,
                call_number_class: self.call_number_class,
                category: LoanCategory::try_from(i32::from(self.category)).unwrap_or_default(),
            },
            closed_at: instant(self.closed_at),
            cancellation_reason: self.cancellation_reason,
            cancelled_by_patron: self.cancelled_by_patron,
            overridden: self.overridden.0,
            revision: self.revision,
        })
    }
}

pub(crate) async fn find(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<Request>, Error> {
    Ok(find_all(connection, &[id]).await?.pop())
}

/// Requests by their ids, newest first.
pub(crate) async fn find_all(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Request>, Error> {
    let rows = sqlx::query_as!(
        RequestRow,
        r#"select r.id, record_id, item_id, type as kind, status, patron_id, pickup_service_point_id,
                point.library_code as "pickup_library_code?", place,
                case when closed_at is null then (
                    select count(*)::integer from patron_request ahead
                    where ahead.record_id = r.record_id and ahead.closed_at is null and ahead.place <= r.place
                ) end as queue_position,
                held_item_id, requested_at, expires_at, hold_shelf_expires_at, suspended_from, suspended_until,
                patron_comment, recalled_loan_id, applied_rule as "applied_rule: Json<AppliedRule>",
                request_policy_id, r.institution_code, campus_code, r.library_code, location_code, patron_group,
                material_type, loan_type, call_number_class, category, closed_at, cancellation_reason,
                cancelled_by_patron, overridden as "overridden: Json<Vec<OverriddenBlock>>", revision
         from patron_request r left join service_point point on point.id = pickup_service_point_id
         where r.id = any($1) order by r.id desc"#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(RequestRow::read).collect()
}

/// A title's open requests, first to last.
pub(crate) async fn queue(
    connection: &mut PgConnection,
    record_id: Uuid,
) -> Result<Vec<Request>, Error> {
    let rows = sqlx::query_as!(
        RequestRow,
        r#"select r.id, record_id, item_id, type as kind, status, patron_id, pickup_service_point_id,
                point.library_code as "pickup_library_code?", place,
                (row_number() over (order by place))::integer as queue_position,
                held_item_id, requested_at, expires_at, hold_shelf_expires_at, suspended_from, suspended_until,
                patron_comment, recalled_loan_id, applied_rule as "applied_rule: Json<AppliedRule>",
                request_policy_id, r.institution_code, campus_code, r.library_code, location_code, patron_group,
                material_type, loan_type, call_number_class, category, closed_at, cancellation_reason,
                cancelled_by_patron, overridden as "overridden: Json<Vec<OverriddenBlock>>", revision
         from patron_request r left join service_point point on point.id = pickup_service_point_id
         where record_id = $1 and closed_at is null order by place"#,
        record_id,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(RequestRow::read).collect()
}

/// What requests are listed by.
#[derive(Debug, Default)]
pub struct Sought {
    /// Only this patron's.
    pub patron_id: Option<Uuid>,
    /// Only those for this title.
    pub record_id: Option<Uuid>,
    /// Only those for this item, or for which it is kept.
    pub item_id: Option<Uuid>,
    /// Only those to be picked up here.
    pub pickup_service_point_id: Option<Uuid>,
    /// Only those that stand so; empty: all.
    pub statuses: Vec<i16>,
}

/// The ids of what is sought, newest first, before one of them.
pub(crate) async fn list(
    connection: &mut PgConnection,
    sought: &Sought,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from patron_request
         where ($1::uuid is null or patron_id = $1) and ($2::uuid is null or record_id = $2)
           and ($3::uuid is null or item_id = $3 or held_item_id = $3)
           and ($4::uuid is null or pickup_service_point_id = $4)
           and (cardinality($5::smallint[]) = 0 or status = any($5))
           and ($6::uuid is null or id < $6)
         order by id desc limit $7",
        sought.patron_id,
        sought.record_id,
        sought.item_id,
        sought.pickup_service_point_id,
        &sought.statuses,
        before,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Locks a title's queue; gives its revision, 0 where there never was one.
pub(crate) async fn lock_queue(
    connection: &mut PgConnection,
    record_id: Uuid,
) -> Result<i64, sqlx::Error> {
    let revision = sqlx::query_scalar!(
        "select revision from request_queue where record_id = $1 for update",
        record_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(revision.unwrap_or_default())
}

/// Locks queues in the order that everybody keeps to.
pub(crate) async fn lock_queues(
    connection: &mut PgConnection,
    record_ids: &[Uuid],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select record_id from request_queue where record_id = any($1) order by record_id for update",
        record_ids,
    )
    .fetch_all(connection)
    .await
    .map(drop)
}

/// The revision of a title's queue, without its lock.
pub(crate) async fn queue_revision(
    connection: &mut PgConnection,
    record_id: Uuid,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "select revision from request_queue where record_id = $1",
        record_id
    )
    .fetch_optional(connection)
    .await
}

/// Locks a title's queue, which may be its first, and draws places from it;
/// gives the last one drawn.
pub(crate) async fn draw_places(
    connection: &mut PgConnection,
    record_id: Uuid,
    count: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into request_queue (record_id, last_place, revision) values ($1, $2, 1)
         on conflict (record_id) do update set
             last_place = request_queue.last_place + $2, revision = request_queue.revision + 1
         returning last_place",
        record_id,
        count,
    )
    .fetch_one(connection)
    .await
}

/// What is kept of how a request was placed, beside the request.
#[derive(Debug)]
pub(crate) struct Placing<'a> {
    pub policy_code: &'a str,
    pub placed_by: &'a str,
    pub override_comment: &'a str,
}

/// Writes a new request, counts it on its patron, and marks all of the
/// title's items as requested. The caller holds all their locks.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    request: &Request,
    placing: &Placing<'_>,
    item_ids: &[Uuid],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with placed as (
             insert into patron_request (
                 id, record_id, item_id, type, level, status, patron_id, fulfilment, pickup_service_point_id,
                 place, held_item_id, requested_at, expires_at, patron_comment, recalled_loan_id, applied_rule,
                 request_policy_id, request_policy_code, institution_code, campus_code, library_code,
                 location_code, patron_group, material_type, loan_type, call_number_class, category,
                 overridden, override_comment, placed_by)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
                 $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30)
         ), patron as (
             update patron_circulation set open_requests = open_requests + 1 where patron_id = $7
         )
         update item_circulation set requested = true
         where item_id = any($31) and not requested",
        request.id,
        request.record_id,
        request.item_id,
        number(request.kind.into()),
        number(request.level().into()),
        number(request.status.into()),
        request.patron_id,
        number(request.fulfilment().into()),
        request.pickup.as_ref().map(|pickup| pickup.service_point_id),
        request.place,
        request.held_item_id,
        request.requested_at.to_sqlx() as _,
        request.expires_at.map(ToSqlx::to_sqlx) as _,
        request.patron_comment,
        request.recalled_loan_id,
        Json(&request.applied_rule) as _,
        request.policy_id,
        placing.policy_code,
        request.facts.institution_code,
        request.facts.campus_code,
        request.facts.library_code,
        request.facts.location_code,
        request.facts.patron_group,
        request.facts.material_type,
        request.facts.loan_type,
        request.facts.call_number_class,
        number(request.facts.category.into()),
        Json(&request.overridden) as _,
        placing.override_comment,
        placing.placed_by,
        item_ids,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes that a request changed in whatever way but its place. Where it was
/// closed, its patron has one less open: the caller holds the patron's lock.
pub(crate) async fn update(
    connection: &mut PgConnection,
    request: &Request,
    closes: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with changed as (
             update patron_request set status = $2, held_item_id = $3, hold_shelf_expires_at = $4,
                 expires_at = $5, pickup_service_point_id = $6, suspended_from = $7, suspended_until = $8,
                 closed_at = $9, cancellation_reason = $10, cancelled_by_patron = $11, revision = $12
             where id = $1
         ), patron as (
             update patron_circulation set open_requests = open_requests - 1 where $13 and patron_id = $14
         )
         update request_queue set revision = revision + 1 where $13 and record_id = $15",
        request.id,
        number(request.status.into()),
        request.held_item_id,
        request.hold_shelf_expires_at.map(ToSqlx::to_sqlx) as _,
        request.expires_at.map(ToSqlx::to_sqlx) as _,
        request.pickup.as_ref().map(|pickup| pickup.service_point_id),
        request.suspended_from.map(ToSqlx::to_sqlx) as _,
        request.suspended_until.map(ToSqlx::to_sqlx) as _,
        request.closed_at.map(ToSqlx::to_sqlx) as _,
        request.cancellation_reason,
        request.cancelled_by_patron,
        request.revision,
        closes,
        request.patron_id,
        request.record_id,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Gives requests new places.
pub(crate) async fn move_to(
    connection: &mut PgConnection,
    ids: &[Uuid],
    places: &[i64],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update patron_request request set place = moved.place, revision = revision + 1
         from unnest($1::uuid[], $2::bigint[]) as moved (id, place) where request.id = moved.id",
        ids,
        places,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Locks patrons in the order that everybody keeps to.
pub(crate) async fn lock_patrons(
    connection: &mut PgConnection,
    patron_ids: &[Uuid],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select patron_id from patron_circulation where patron_id = any($1) order by patron_id for update",
        patron_ids,
    )
    .fetch_all(connection)
    .await
    .map(drop)
}

/// A patron's open requests, of one policy or of any. The caller holds the
/// patron's lock and took it with an earlier statement: this one sees all.
pub(crate) async fn count_open(
    connection: &mut PgConnection,
    patron_id: Uuid,
    policy_code: &str,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from patron_request
         where patron_id = $1 and closed_at is null and request_policy_code = $2"#,
        patron_id,
        policy_code,
    )
    .fetch_one(connection)
    .await
}

/// A patron as the projection has them: the id and the group.
pub(crate) async fn find_patron(
    connection: &mut PgConnection,
    id: Option<Uuid>,
    barcode_hmac: Option<&[u8]>,
) -> Result<Option<(Uuid, String)>, sqlx::Error> {
    let row = sqlx::query!(
        "select p.patron_id, patron_group
         from patron_projection p join patron_circulation using (patron_id)
         where p.patron_id = coalesce($1, (
             select patron_id from patron_projection where barcode_hmac = $2 order by place desc limit 1))",
        id,
        barcode_hmac,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.patron_id, row.patron_group)))
}

/// The versions of the rules and policies that hold now: rules, serial.
pub(crate) async fn versions(
    connection: &mut PgConnection,
    now: Timestamp,
) -> Result<(Option<Uuid>, i64), sqlx::Error> {
    let row = sqlx::query!(
        r#"select (select id from circulation_rules where effective_at <= $1
                 order by effective_at desc, version desc limit 1) as "rules_id?",
                (select coalesce(max(serial), 0) from policy) as "policy_serial!""#,
        now.to_sqlx() as _,
    )
    .fetch_one(connection)
    .await?;
    Ok((row.rules_id, row.policy_serial))
}

/// A service point as requests need it.
#[derive(Debug)]
pub(crate) struct Point {
    pub desk: Desk,
    pub pickup_location: bool,
    pub hold_shelf_period: Option<Period>,
}

pub(crate) async fn find_point(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<Point>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select library_code, institution_code, time_zone, hours_revision, pickup_location,
                hold_shelf_period as "hold_shelf_period: Json<Period>"
         from service_point where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Point {
        desk: Desk {
            library_code: row.library_code,
            institution_code: row.institution_code,
            time_zone: row.time_zone,
            hours_revision: row.hours_revision,
        },
        pickup_location: row.pickup_location,
        hold_shelf_period: row.hold_shelf_period.map(|period| period.0),
    }))
}

/// Where an item is put, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placement {
    pub status: CirculationItemStatus,
    pub held_request_id: Option<Uuid>,
    pub destination_service_point_id: Option<Uuid>,
    /// "": it is not on its way.
    pub destination_library_code: String,
}

impl Placement {
    /// In, and for nobody.
    pub(crate) fn in_place() -> Self {
        Self::kept(CirculationItemStatus::In, None)
    }

    /// Kept where it is.
    pub(crate) fn kept(status: CirculationItemStatus, request_id: Option<Uuid>) -> Self {
        Self {
            status,
            held_request_id: request_id,
            destination_service_point_id: None,
            destination_library_code: String::new(),
        }
    }
}

/// Writes where an item is; gives its revision. The caller holds its lock.
pub(crate) async fn place_item(
    connection: &mut PgConnection,
    item_id: Uuid,
    placement: &Placement,
    requested: bool,
    at: Timestamp,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "update item_circulation set
             status = $2::smallint, held_request_id = $3, destination_service_point_id = $4,
             destination_library_code = $5, requested = $6,
             in_transit_since = case when $2::smallint = 7 then $7::timestamptz end,
             revision = revision + 1
         where item_id = $1 returning revision",
        item_id,
        number(placement.status.into()),
        placement.held_request_id,
        placement.destination_service_point_id,
        placement.destination_library_code,
        requested,
        at.to_sqlx() as _,
    )
    .fetch_one(connection)
    .await
}
