//! The SQL of check-outs that are decided together: one statement that reads
//! and locks for all of them, and one that writes them all.
//!
//! In each `unnest` one array stands behind a `select`: PostgreSQL then
//! expects the same number of rows whatever the arrays' lengths, and so keeps
//! one plan. Else it would plan anew each time, which takes longer than all
//! the rest.

use std::collections::BTreeMap;

use carrel_database::RequestKey;
use carrel_outbox::{EventColumns, NewEvent};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::block::{BlockedUntil, OverriddenBlock, PatronFacts};
use super::model::Loan;
use super::store::{Desk, ItemAtDesk, PatronAtDesk, desk_status, group_limits};
use crate::error::Error;
use crate::policy::store::money;
use crate::rule::store::LocationPath;

/// What a check-out names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    pub item_barcode: &'a str,
    pub patron_barcode_hmac: &'a [u8; 32],
    pub service_point_id: Uuid,
}

/// Everything that a check-out is decided from.
#[derive(Debug)]
pub(super) struct Facts {
    /// `None`: there is no such service point.
    pub desk: Option<Desk>,
    /// `None`: none were ever brought in.
    pub rules_id: Option<Uuid>,
    pub policy_serial: i64,
    /// `None`: not known, or somebody else holds its lock.
    pub item: Option<ItemAtDesk>,
    /// `None`: not known, or somebody else holds their lock.
    pub patron: Option<PatronAtDesk>,
    /// Who had the item last, where they may not have it again before an
    /// instant.
    pub not_again_before: Option<(Uuid, Timestamp)>,
}

/// Locks the item and then the patron that a check-out names, and waits for
/// whoever holds them.
pub(super) async fn lock(
    connection: &mut PgConnection,
    named: Named<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"with item as materialized (
             select c.item_id
             from item_projection p join item_circulation c on c.item_id = p.item_id
             where p.barcode = $1 and p.barcode <> ''
             order by p.place desc limit 1
             for update of c
         ), patron as materialized (
             select c.patron_id
             from patron_projection p join patron_circulation c on c.patron_id = p.patron_id
             where p.barcode_hmac = $2
               and (select count(*) from item) >= 0 -- the item's lock comes first
             order by p.place desc limit 1
             for update of c
         )
         select count(*) as "count!" from patron"#,
        named.item_barcode,
        named.patron_barcode_hmac.as_slice(),
    )
    .fetch_one(connection)
    .await
    .map(drop)
}

/// Reads everything that check-outs are decided from, in their order, and
/// locks their items and patrons. It never waits for a lock: what somebody
/// else holds is left out, as what is not known. What is held against limits
/// is on the locked rows.
pub(super) async fn read(
    connection: &mut PgConnection,
    named: &[Named<'_>],
    now: Timestamp,
) -> Result<Vec<Facts>, Error> {
    let item_barcodes: Vec<&str> = named.iter().map(|one| one.item_barcode).collect();
    let patrons: Vec<&[u8]> = named
        .iter()
        .map(|one| &one.patron_barcode_hmac[..])
        .collect();
    let points: Vec<Uuid> = named.iter().map(|one| one.service_point_id).collect();
    let rows = sqlx::query!(
        r#"select point.library_code as "desk_library_code?", point.institution_code as "desk_institution_code?",
                point.time_zone as "time_zone?", point.hours_revision as "hours_revision?",
                (select id from circulation_rules where effective_at <= $4
                 order by effective_at desc, version desc limit 1) as "rules_id?",
                (select coalesce(max(serial), 0) from policy) as "policy_serial!",
                copy.item_id as "item_id?", item.status as "item_status?",
                item.material_type as "material_type?", item.loan_type as "loan_type?",
                item.call_number_class as "call_number_class?", item.record_id as "record_id?",
                copy.open_loan_id as "open_loan_id?", copy.revision as "item_revision?",
                copy.status as "desk_status?", copy.requested as "requested?",
                copy.held_request_id as "held_request_id?", copy.last_patron_id as "last_patron_id?",
                copy.reborrow_from as "reborrow_from?",
                path.location_code as "location_code?", path.library_code as "library_code?",
                path.campus_code as "campus_code?", path.institution_code as "institution_code?",
                counts.patron_id as "patron_id?", patron.patron_group as "patron_group?",
                patron.expiration_date as "expiration_date?", patron.active as "active?",
                counts.open_loans as "open_loans?", counts.overdue_loans as "overdue_loans?",
                counts.overdue_recalls as "overdue_recalls?", counts.lost_loans as "lost_loans?",
                counts.loans_by_kind as "loans_by_kind?: Json<BTreeMap<String, i32>>",
                case when counts.overdue_recalls > 0 then (
                    select min(due_at) from loan
                    where patron_id = counts.patron_id and checked_in_at is null and recalled_at is not null
                      and overdue_since is not null and loss_id is null and claimed_returned_at is null)
                    end as "recall_due_at?",
                block.borrowing as "borrowing_until?", block.renewals as "renewals_until?",
                block.requests as "requests_until?",
                balance.outstanding as "outstanding?", balance.currency as "currency?",
                case when limits.patron_group is not null then array[limits.max_loans, limits.max_overdue,
                    limits.max_lost, limits.max_overdue_recalls, limits.max_recall_overdue_days]
                    end as "limit_counts?",
                case when limits.patron_group is not null then array[limits.max_loans_blocks,
                    limits.max_overdue_blocks, limits.max_lost_blocks, limits.max_balance_blocks,
                    limits.max_overdue_recalls_blocks, limits.max_recall_overdue_days_blocks]
                    end as "limit_blocks?",
                limits.max_balance as "max_balance?", limits.max_balance_currency as "max_balance_currency?"
         from unnest((select $1::text[]), $2::bytea[], $3::uuid[]) with ordinality
             as named (item_barcode, patron_barcode_hmac, service_point_id, place)
         left join service_point point on point.id = named.service_point_id
         left join lateral (
             select item_id, status, material_type, loan_type, call_number_class, record_id, location_id
             from item_projection
             where barcode = named.item_barcode and barcode <> ''
             order by place desc limit 1
         ) item on true
         left join lateral (
             select item_id, open_loan_id, revision, status, requested, held_request_id, last_patron_id,
                    reborrow_from
             from item_circulation where item_id = item.item_id
             for update skip locked
         ) copy on true
         left join location_path path on path.location_id = item.location_id
         left join lateral (
             select patron_id, patron_group, expiration_date, active
             from patron_projection
             where barcode_hmac = named.patron_barcode_hmac
             order by place desc limit 1
         ) patron on true
         left join lateral (
             select patron_id, open_loans, overdue_loans, overdue_recalls, lost_loans, loans_by_kind
             from patron_circulation where patron_id = patron.patron_id
             for update skip locked
         ) counts on true
         left join lateral (
             select max(coalesce(expiration_date, date '9999-12-31')) filter (where blocks_borrowing) as borrowing,
                    max(coalesce(expiration_date, date '9999-12-31')) filter (where blocks_renewals) as renewals,
                    max(coalesce(expiration_date, date '9999-12-31')) filter (where blocks_requests) as requests
             from block_projection block where block.patron_id = patron.patron_id and not block.lifted
         ) block on true
         left join balance_projection balance on balance.patron_id = patron.patron_id
         left join patron_limits limits on limits.patron_group = patron.patron_group
         order by named.place"#,
        &item_barcodes as _,
        &patrons as _,
        &points,
        now.to_sqlx() as _,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let desk = row.desk_library_code.map(|library_code| Desk {
                library_code,
                institution_code: row.desk_institution_code.unwrap_or_default(),
                time_zone: row.time_zone.unwrap_or_default(),
                hours_revision: row.hours_revision.unwrap_or_default(),
            });
            let item = row.item_id.map(|item_id| ItemAtDesk {
                item_id,
                record_id: row.record_id,
                status: row.item_status.unwrap_or_default().into(),
                material_type: row.material_type.unwrap_or_default(),
                loan_type: row.loan_type.unwrap_or_default(),
                call_number_class: row.call_number_class.unwrap_or_default(),
                open_loan_id: row.open_loan_id,
                desk_status: desk_status(row.desk_status),
                revision: row.item_revision.unwrap_or_default(),
                requested: row.requested.unwrap_or_default(),
                held_request_id: row.held_request_id,
                path: LocationPath {
                    location_code: row.location_code,
                    library_code: row.library_code,
                    campus_code: row.campus_code,
                    institution_code: row.institution_code,
                },
            });
            let limits = group_limits(
                row.patron_group.as_deref(),
                row.limit_counts.zip(row.limit_blocks),
                money(row.max_balance, row.max_balance_currency.as_deref())?,
            )?;
            let facts = PatronFacts {
                active: row.active.unwrap_or_default(),
                expiration_date: row.expiration_date.map(jiff_sqlx::Date::to_jiff),
                blocked_until: BlockedUntil {
                    borrowing: row.borrowing_until.map(jiff_sqlx::Date::to_jiff),
                    renewals: row.renewals_until.map(jiff_sqlx::Date::to_jiff),
                    requests: row.requests_until.map(jiff_sqlx::Date::to_jiff),
                },
                open_loans: row.open_loans.unwrap_or_default(),
                overdue_loans: row.overdue_loans.unwrap_or_default(),
                overdue_recalls: row.overdue_recalls.unwrap_or_default(),
                recall_due_at: row.recall_due_at.map(jiff_sqlx::Timestamp::to_jiff),
                lost_loans: row.lost_loans.unwrap_or_default(),
                balance: money(row.outstanding, row.currency.as_deref())?,
                limits,
            };
            let patron = row.patron_id.map(|patron_id| PatronAtDesk {
                patron_id,
                patron_group: row.patron_group.unwrap_or_default(),
                facts,
                loans_by_kind: row.loans_by_kind.map(|counts| counts.0).unwrap_or_default(),
            });
            let reborrow = row.last_patron_id.zip(row.reborrow_from);
            Ok(Facts {
                desk,
                rules_id: row.rules_id,
                policy_serial: row.policy_serial,
                item,
                patron,
                not_again_before: reborrow.map(|(patron_id, from)| (patron_id, from.to_jiff())),
            })
        })
        .collect()
}

/// A loan to be written, with its first action and its events.
#[derive(Debug)]
pub(super) struct Lent<'a> {
    /// The request, where this statement is to claim it.
    pub claim: Option<&'a RequestKey>,
    pub loan: Loan,
    /// The patron's counters with this loan.
    pub loans_by_kind: BTreeMap<String, i32>,
    pub actor: &'a str,
    pub comment: &'a str,
    pub overridden: Vec<OverriddenBlock>,
    pub events: Vec<NewEvent>,
    pub trace_parent: Option<&'a str>,
}

impl Lent<'_> {
    /// Adds events that its call caused.
    pub(super) fn tell(&mut self, events: Vec<NewEvent>) {
        let caused = |event: NewEvent| event.caused_by(self.trace_parent.map(ToOwned::to_owned));
        self.events.extend(events.into_iter().map(caused));
    }
}

/// Writes new loans with their events, of as many items and patrons; a loan's
/// first action has the loan's id. The caller holds all locks, so the events
/// may be written by the same statement.
///
/// # Errors
/// A request that was claimed before violates `request_key`.
pub(super) async fn write(
    connection: &mut PgConnection,
    lent: &[Lent<'_>],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    // One value of each loan, as a column.
    macro_rules! column {
        (|$one:ident| $value:expr) => {
            &lent.iter().map(|$one| $value).collect::<Vec<_>>()
        };
    }
    let claims: Vec<(&RequestKey, Uuid)> = lent
        .iter()
        .filter_map(|one| Some((one.claim?, one.loan.id)))
        .collect();
    let events: Vec<NewEvent> = lent
        .iter()
        .flat_map(|one| one.events.iter().cloned())
        .collect();
    let events = EventColumns::of(&events);
    let small = |number: i32| i16::try_from(number).unwrap_or(0);
    sqlx::query!(
        "with lent as materialized (
             select * from unnest((select $1::uuid[]), $2::uuid[], $3::uuid[], $4::smallint[], $5::timestamptz[],
                 $6::timestamptz[], $7::uuid[], $8::jsonb[], $9::uuid[], $10::uuid[], $11::uuid[], $12::text[],
                 $13::text[], $14::timestamptz[], $15::text[], $16::text[], $17::text[], $18::text[], $19::text[],
                 $20::text[], $21::smallint[], $22::uuid[], $23::boolean[], $24::text[], $25::text[], $26::text[],
                 $27::jsonb[], $28::jsonb[])
             as lent (id, item_id, patron_id, action, checked_out_at, due_at, service_point_id, applied_rule,
                 loan_policy_id, overdue_fine_policy_id, lost_item_policy_id, library_code, institution_code,
                 lost_due_at, campus_code, location_code, patron_group, material_type, loan_type,
                 call_number_class, category, proxy_patron_id, building_use, accepted_agreement, actor, comment,
                 overridden, loans_by_kind)
         ), claimed as (
             insert into request (caller, rpc, request_id, fingerprint, outcome, created_at)
             select caller, rpc, request_id, fingerprint, array[loan_id], $29
             from unnest((select $30::text[]), $31::text[], $32::uuid[], $33::bytea[], $34::uuid[])
                 as claim (caller, rpc, request_id, fingerprint, loan_id)
         ), loans as (
             insert into loan (
                 id, item_id, patron_id, action, checked_out_at, due_at, check_out_service_point_id,
                 applied_rule, loan_policy_id, overdue_fine_policy_id, lost_item_policy_id,
                 library_code, institution_code, lost_due_at, campus_code, location_code, patron_group,
                 material_type, loan_type, call_number_class, category, proxy_patron_id, building_use,
                 accepted_agreement)
             select id, item_id, patron_id, action, checked_out_at, due_at, service_point_id,
                 applied_rule, loan_policy_id, overdue_fine_policy_id, lost_item_policy_id,
                 library_code, institution_code, lost_due_at, campus_code, location_code, patron_group,
                 material_type, loan_type, call_number_class, category, proxy_patron_id, building_use,
                 accepted_agreement
             from lent
         ), history as (
             insert into loan_action (
                 id, loan_id, action, actor, occurred_at, recorded_at, service_point_id, comment, overridden)
             select id, id, action, actor, checked_out_at, $29, service_point_id, comment, overridden
             from lent
         ), patrons as (
             update patron_circulation patron
             set open_loans = patron.open_loans + 1, loans_by_kind = lent.loans_by_kind
             from lent where patron.patron_id = lent.patron_id
         ), items as (
             update item_circulation item set open_loan_id = lent.id, status = 2, revision = item.revision + 1,
                 last_patron_id = null, last_returned_at = null, reborrow_from = null,
                 held_request_id = null, destination_service_point_id = null,
                 destination_library_code = '', in_transit_since = null
             from lent where item.item_id = lent.item_id
         )
         insert into outbox (event_id, type, subject_id, payload, trace_parent, occurred_at)
         select event_id, type, subject_id, payload, trace_parent, occurred_at
         from unnest((select $35::uuid[]), $36::text[], $37::uuid[], $38::bytea[], $39::text[], $40::timestamptz[])
              with ordinality as event (event_id, type, subject_id, payload, trace_parent, occurred_at, place)
         order by place",
        column!(|one| one.loan.id),
        column!(|one| one.loan.item_id),
        column!(|one| one.loan.patron_id) as _,
        column!(|one| small(one.loan.action.into())),
        column!(|one| one.loan.checked_out_at.to_sqlx()) as _,
        column!(|one| one.loan.due_at.to_sqlx()) as _,
        column!(|one| one.loan.check_out_service_point_id),
        column!(|one| Json(&one.loan.applied_rule)) as _,
        column!(|one| one.loan.policy_ids[0]),
        column!(|one| one.loan.policy_ids[1]),
        column!(|one| one.loan.policy_ids[2]),
        column!(|one| &one.loan.facts.library_code) as _,
        column!(|one| &one.loan.facts.institution_code) as _,
        column!(|one| one.loan.lost_due_at.map(ToSqlx::to_sqlx)) as _,
        column!(|one| &one.loan.facts.campus_code) as _,
        column!(|one| &one.loan.facts.location_code) as _,
        column!(|one| &one.loan.facts.patron_group) as _,
        column!(|one| &one.loan.facts.material_type) as _,
        column!(|one| &one.loan.facts.loan_type) as _,
        column!(|one| &one.loan.facts.call_number_class) as _,
        column!(|one| small(one.loan.facts.category.into())),
        column!(|one| one.loan.proxy_patron_id) as _,
        column!(|one| one.loan.building_use),
        column!(|one| &one.loan.accepted_agreement) as _,
        column!(|one| one.actor) as _,
        column!(|one| one.comment) as _,
        column!(|one| Json(&one.overridden)) as _,
        column!(|one| Json(&one.loans_by_kind)) as _,
        now.to_sqlx() as _,
        &claims.iter().map(|(key, _)| &key.caller).collect::<Vec<_>>() as _,
        &claims.iter().map(|(key, _)| key.rpc).collect::<Vec<_>>() as _,
        &claims.iter().map(|(key, _)| key.request_id).collect::<Vec<_>>(),
        &claims.iter().map(|(key, _)| &key.fingerprint[..]).collect::<Vec<_>>() as _,
        &claims.iter().map(|(_, loan_id)| *loan_id).collect::<Vec<_>>(),
        &events.ids,
        &events.types,
        &events.subjects,
        &events.payloads,
        &events.trace_parents as _,
        &events.times as _,
    )
    .execute(connection)
    .await
    .map(drop)
}
