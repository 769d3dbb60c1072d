//! All SQL on loans that reads, and what it reads them with.
//!
//! Locks are taken in one order everywhere: the item's row of
//! `item_circulation`, then the patron's of `patron_circulation`. Whatever
//! changes a loan holds its item's lock.

use std::collections::BTreeMap;

use carrel_proto::circulation::v1::{CirculationItemStatus, LoanAction};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::block::{BlockedUntil, OverriddenBlock, PatronFacts};
use super::model::{Facts, Loan, Loss, LossCause};
use crate::error::Error;
use crate::policy;
use crate::policy::model::PatronLimits;
use crate::policy::store::money;
use crate::rule::AppliedRule;
use crate::rule::store::LocationPath;
use carrel_money::Money;

/// The service point where something happens.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub library_code: String,
    pub institution_code: String,
    pub time_zone: String,
    pub hours_revision: i64,
}

/// An item as it is known at the desk.
#[derive(Debug)]
pub(crate) struct ItemAtDesk {
    pub item_id: Uuid,
    pub status: i32,
    pub material_type: String,
    pub loan_type: String,
    pub call_number_class: String,
    /// The title, where the catalog told of it.
    pub record_id: Option<Uuid>,
    pub open_loan_id: Option<Uuid>,
    /// Where circulation has it.
    pub desk_status: CirculationItemStatus,
    /// Of the item's circulation, before this change.
    pub revision: i64,
    /// Whether there may be requests that it could fill.
    pub requested: bool,
    /// The request that it is kept, fetched or on its way for.
    pub held_request_id: Option<Uuid>,
    pub path: LocationPath,
}

impl ItemAtDesk {
    /// Whether somebody may wait for it: whoever places a request says so on
    /// its row.
    pub(crate) fn may_be_waited_for(&self) -> bool {
        self.requested || self.held_request_id.is_some()
    }
}

/// A patron as known at the desk.
#[derive(Debug)]
pub(crate) struct PatronAtDesk {
    pub patron_id: Uuid,
    pub patron_group: String,
    pub facts: PatronFacts,
    pub(super) loans_by_kind: BTreeMap<String, i32>,
}

impl PatronAtDesk {
    /// Open loans of a kind, by the keys of [`kinds`].
    pub(crate) fn loans_of(&self, kind: &str) -> i32 {
        self.loans_by_kind.get(kind).copied().unwrap_or(0)
    }

    /// The counters with one loan of these kinds more.
    pub(crate) fn one_more(&self, kinds: [String; 3]) -> BTreeMap<String, i32> {
        let mut counts = self.loans_by_kind.clone();
        for kind in kinds {
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }
}

/// Where circulation has an item, as the database keeps it.
pub(super) fn desk_status(number: Option<i16>) -> CirculationItemStatus {
    let number = i32::from(number.unwrap_or_default());
    CirculationItemStatus::try_from(number).unwrap_or_default()
}

/// The limits of a group that has some.
pub(super) fn group_limits(
    patron_group: Option<&str>,
    columns: Option<(Vec<i32>, Vec<i16>)>,
    max_balance: Option<Money>,
) -> Result<Option<PatronLimits>, Error> {
    let (Some(patron_group), Some((counts, blocks))) = (patron_group, columns) else {
        return Ok(None);
    };
    let limits = policy::store::limits(patron_group.to_owned(), &counts, &blocks, max_balance)?;
    Ok(Some(limits))
}

/// Locks the item with this barcode, and reads it and the desk.
pub(crate) async fn read_for_check_in(
    connection: &mut PgConnection,
    item_barcode: &str,
    service_point_id: Uuid,
) -> Result<Option<(Desk, Option<ItemAtDesk>)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"with item as materialized (
             select p.item_id, p.status, p.material_type, p.loan_type, p.call_number_class, p.record_id,
                    p.location_id, c.open_loan_id, c.revision, c.status as desk_status, c.requested,
                    c.held_request_id
             from item_projection p join item_circulation c on c.item_id = p.item_id
             where p.barcode = $1 and p.barcode <> ''
             order by p.place desc limit 1
             for update of c
         )
         select point.library_code as "desk_library_code!", point.institution_code as "desk_institution_code!",
                point.time_zone as "time_zone!", point.hours_revision as "hours_revision!",
                item.item_id as "item_id?", item.status as "item_status?",
                item.material_type as "material_type?", item.loan_type as "loan_type?",
                item.call_number_class as "call_number_class?", item.record_id as "record_id?",
                item.open_loan_id as "open_loan_id?", item.revision as "item_revision?",
                item.desk_status as "desk_status?", item.requested as "requested?",
                item.held_request_id as "held_request_id?",
                path.location_code as "location_code?", path.library_code as "library_code?",
                path.campus_code as "campus_code?", path.institution_code as "institution_code?"
         from service_point point
         left join item on true
         left join location_path path on path.location_id = item.location_id
         where point.id = $2"#,
        item_barcode,
        service_point_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| {
        let desk = Desk {
            library_code: row.desk_library_code,
            institution_code: row.desk_institution_code,
            time_zone: row.time_zone,
            hours_revision: row.hours_revision,
        };
        let item = row.item_id.map(|item_id| ItemAtDesk {
            item_id,
            status: row.item_status.unwrap_or_default().into(),
            material_type: row.material_type.unwrap_or_default(),
            loan_type: row.loan_type.unwrap_or_default(),
            call_number_class: row.call_number_class.unwrap_or_default(),
            record_id: row.record_id,
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
        (desk, item)
    }))
}

/// Locks the item of a loan, or with a barcode, and reads the desk. Gives the
/// desk and the item's open loan, where there is such an item.
pub(crate) async fn lock_for_renewal(
    connection: &mut PgConnection,
    loan_id: Option<Uuid>,
    item_barcode: Option<&str>,
    service_point_id: Uuid,
) -> Result<Option<(Desk, Option<Uuid>)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"with item as materialized (
             select c.open_loan_id from item_circulation c
             where c.item_id = coalesce(
                 (select item_id from loan where id = $1),
                 (select item_id from item_projection
                  where barcode = $2 and barcode <> '' order by place desc limit 1))
             for update of c
         )
         select point.library_code as "library_code!", point.institution_code as "institution_code!",
                point.time_zone as "time_zone!", point.hours_revision as "hours_revision!",
                item.open_loan_id as "open_loan_id?"
         from service_point point left join item on true
         where point.id = $3"#,
        loan_id,
        item_barcode,
        service_point_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| {
        let desk = Desk {
            library_code: row.library_code,
            institution_code: row.institution_code,
            time_zone: row.time_zone,
            hours_revision: row.hours_revision,
        };
        (desk, row.open_loan_id)
    }))
}

/// A loan's desk: where it was lent, whose calendar counts for it.
pub(crate) async fn find_desk(
    connection: &mut PgConnection,
    service_point_id: Uuid,
) -> Result<Option<Desk>, sqlx::Error> {
    sqlx::query_as!(
        Desk,
        "select library_code, institution_code, time_zone, hours_revision
         from service_point where id = $1",
        service_point_id,
    )
    .fetch_optional(connection)
    .await
}

/// What may stand against a patron; `None` where the patron is not known.
pub(crate) async fn find_patron_facts(
    connection: &mut PgConnection,
    patron_id: Uuid,
) -> Result<Option<PatronFacts>, Error> {
    let row = sqlx::query!(
        r#"select p.patron_group, p.expiration_date, p.active,
                c.open_loans, c.overdue_loans, c.overdue_recalls, c.lost_loans,
                case when c.overdue_recalls > 0 then (
                    select min(due_at) from loan
                    where patron_id = p.patron_id and checked_in_at is null and recalled_at is not null
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
         from patron_projection p join patron_circulation c on c.patron_id = p.patron_id
         left join lateral (
             select max(coalesce(expiration_date, date '9999-12-31')) filter (where blocks_borrowing) as borrowing,
                    max(coalesce(expiration_date, date '9999-12-31')) filter (where blocks_renewals) as renewals,
                    max(coalesce(expiration_date, date '9999-12-31')) filter (where blocks_requests) as requests
             from block_projection block where block.patron_id = p.patron_id and not block.lifted
         ) block on true
         left join balance_projection balance on balance.patron_id = p.patron_id
         left join patron_limits limits on limits.patron_group = p.patron_group
         where p.patron_id = $1"#,
        patron_id,
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(PatronFacts {
        active: row.active,
        expiration_date: row.expiration_date.map(jiff_sqlx::Date::to_jiff),
        blocked_until: BlockedUntil {
            borrowing: row.borrowing_until.map(jiff_sqlx::Date::to_jiff),
            renewals: row.renewals_until.map(jiff_sqlx::Date::to_jiff),
            requests: row.requests_until.map(jiff_sqlx::Date::to_jiff),
        },
        open_loans: row.open_loans,
        overdue_loans: row.overdue_loans,
        overdue_recalls: row.overdue_recalls,
        recall_due_at: row.recall_due_at.map(jiff_sqlx::Timestamp::to_jiff),
        lost_loans: row.lost_loans,
        balance: money(row.outstanding, row.currency.as_deref())?,
        limits: group_limits(
            Some(&row.patron_group),
            row.limit_counts.zip(row.limit_blocks),
            money(row.max_balance, row.max_balance_currency.as_deref())?,
        )?,
    }))
}

/// Whether others may wait for an item; the caller holds its lock.
pub(crate) async fn is_requested(
    connection: &mut PgConnection,
    item_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let requested = sqlx::query_scalar!(
        "select requested from item_circulation where item_id = $1",
        item_id,
    );
    Ok(requested.fetch_optional(connection).await?.unwrap_or(false))
}

/// A loan's row, whole.
struct LoanRow {
    id: Uuid,
    item_id: Uuid,
    patron_id: Option<Uuid>,
    action: i16,
    checked_out_at: jiff_sqlx::Timestamp,
    due_at: jiff_sqlx::Timestamp,
    checked_in_at: Option<jiff_sqlx::Timestamp>,
    renewal_count: i32,
    check_out_service_point_id: Uuid,
    check_in_service_point_id: Option<Uuid>,
    applied_rule: Json<AppliedRule>,
    loan_policy_id: Uuid,
    overdue_fine_policy_id: Uuid,
    lost_item_policy_id: Uuid,
    library_code: String,
    institution_code: String,
    campus_code: String,
    location_code: String,
    patron_group: String,
    material_type: String,
    loan_type: String,
    call_number_class: String,
    category: i16,
    overdue_since: Option<jiff_sqlx::Timestamp>,
    lost_due_at: Option<jiff_sqlx::Timestamp>,
    aged_to_lost_at: Option<jiff_sqlx::Timestamp>,
    declared_lost_at: Option<jiff_sqlx::Timestamp>,
    loss_id: Option<Uuid>,
    claimed_returned_at: Option<jiff_sqlx::Timestamp>,
    recalled_at: Option<jiff_sqlx::Timestamp>,
    proxy_patron_id: Option<Uuid>,
    building_use: bool,
    accepted_agreement: String,
    fined: Option<carrel_money::Decimal>,
    fined_currency: Option<String>,
    expected_charges: i32,
    revision: i64,
}

impl LoanRow {
    fn read(self) -> Result<Loan, Error> {
        let lost = |at: Option<jiff_sqlx::Timestamp>, cause| Some((at?.to_jiff(), cause));
        let lost = lost(self.aged_to_lost_at, LossCause::Aged)
            .or_else(|| lost(self.declared_lost_at, LossCause::Declared));
        Ok(Loan {
            action: LoanAction::try_from(i32::from(self.action))
                .map_err(|_| Error::Unreadable(format!("action of loan {}", self.id)))?,
            id: self.id,
            item_id: self.item_id,
            patron_id: self.patron_id,
            checked_out_at: self.checked_out_at.to_jiff(),
            due_at: self.due_at.to_jiff(),
            checked_in_at: self.checked_in_at.map(jiff_sqlx::Timestamp::to_jiff),
            renewal_count: self.renewal_count,
            check_out_service_point_id: self.check_out_service_point_id,
            check_in_service_point_id: self.check_in_service_point_id,
            applied_rule: self.applied_rule.0,
            policy_ids: [
                self.loan_policy_id,
                self.overdue_fine_policy_id,
                self.lost_item_policy_id,
            ],
            facts: Facts {
                institution_code: self.institution_code,
                campus_code: self.campus_code,
                library_code: self.library_code,
                location_code: self.location_code,
                patron_group: self.patron_group,
                material_type: self.material_type,
                loan_type: self.loan_type,
                call_number_class: self.call_number_class,
                category: i32::from(self.category).try_into().unwrap_or_default(),
            },
            overdue_since: self.overdue_since.map(jiff_sqlx::Timestamp::to_jiff),
            lost_due_at: self.lost_due_at.map(jiff_sqlx::Timestamp::to_jiff),
            loss: (self.loss_id.zip(lost)).map(|(id, (at, cause))| Loss { id, at, cause }),
            claimed_returned_at: self.claimed_returned_at.map(jiff_sqlx::Timestamp::to_jiff),
            recalled_at: self.recalled_at.map(jiff_sqlx::Timestamp::to_jiff),
            proxy_patron_id: self.proxy_patron_id,
            building_use: self.building_use,
            accepted_agreement: self.accepted_agreement,
            fined: money(self.fined, self.fined_currency.as_deref())?,
            expected_charges: self.expected_charges,
            revision: self.revision,
        })
    }
}

pub(crate) async fn find(connection: &mut PgConnection, id: Uuid) -> Result<Option<Loan>, Error> {
    Ok(find_all(connection, &[id]).await?.pop())
}

/// Loans by their ids, in no order.
pub(crate) async fn find_all(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Loan>, Error> {
    let rows = sqlx::query_as!(
        LoanRow,
        r#"select id, item_id, patron_id, action, checked_out_at, due_at, checked_in_at, renewal_count,
                check_out_service_point_id, check_in_service_point_id,
                applied_rule as "applied_rule: Json<AppliedRule>",
                loan_policy_id, overdue_fine_policy_id, lost_item_policy_id,
                library_code, institution_code, campus_code, location_code, patron_group, material_type,
                loan_type, call_number_class, category, overdue_since, lost_due_at, aged_to_lost_at,
                declared_lost_at, loss_id, claimed_returned_at, recalled_at, proxy_patron_id, building_use,
                accepted_agreement, fined, fined_currency, expected_charges, revision
         from loan where id = any($1)"#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(LoanRow::read).collect()
}

/// A patron's, an item's, or both's loans, newest first, before one of them.
pub(crate) async fn list(
    connection: &mut PgConnection,
    patron_id: Option<Uuid>,
    item_id: Option<Uuid>,
    open_only: bool,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Loan>, Error> {
    let rows = sqlx::query_as!(
        LoanRow,
        r#"select id, item_id, patron_id, action, checked_out_at, due_at, checked_in_at, renewal_count,
                check_out_service_point_id, check_in_service_point_id,
                applied_rule as "applied_rule: Json<AppliedRule>",
                loan_policy_id, overdue_fine_policy_id, lost_item_policy_id,
                library_code, institution_code, campus_code, location_code, patron_group, material_type,
                loan_type, call_number_class, category, overdue_since, lost_due_at, aged_to_lost_at,
                declared_lost_at, loss_id, claimed_returned_at, recalled_at, proxy_patron_id, building_use,
                accepted_agreement, fined, fined_currency, expected_charges, revision
         from loan
         where ($1::uuid is null or patron_id = $1) and ($2::uuid is null or item_id = $2)
           and (not $3 or checked_in_at is null) and ($4::uuid is null or id < $4)
         order by id desc limit $5"#,
        patron_id,
        item_id,
        open_only,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(LoanRow::read).collect()
}

/// What an action overrode and what fine it incurred.
pub(crate) async fn find_action(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<(Vec<OverriddenBlock>, Option<Money>)>, Error> {
    let row = sqlx::query!(
        r#"select overridden as "overridden: Json<Vec<OverriddenBlock>>", fine, fine_currency
         from loan_action where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok((
            row.overridden.0,
            money(row.fine, row.fine_currency.as_deref())?,
        ))
    })
    .transpose()
}

/// A check-in as it was answered.
pub(crate) struct CheckInRow {
    pub item_id: Uuid,
    pub loan_id: Option<Uuid>,
    pub next_step: i16,
    pub destination_library_code: String,
    pub in_house_use: bool,
    pub request_id: Option<Uuid>,
    pub destination_service_point_id: Option<Uuid>,
    /// The library where it came back.
    pub desk_library_code: String,
}

pub(crate) async fn find_check_in(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<CheckInRow>, sqlx::Error> {
    sqlx::query_as!(
        CheckInRow,
        "select item_id, loan_id, next_step, destination_library_code, in_house_use, request_id,
                destination_service_point_id, point.library_code as desk_library_code
         from check_in join service_point point on point.id = service_point_id where check_in.id = $1",
        id,
    )
    .fetch_optional(connection)
    .await
}

/// What catalog may know of an item.
pub(crate) struct AvailabilityRow {
    pub item_id: Uuid,
    pub status: i16,
    pub revision: i64,
}

/// The items that circulation has dealt with, by id, after one.
pub(crate) async fn list_availabilities(
    connection: &mut PgConnection,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<AvailabilityRow>, sqlx::Error> {
    sqlx::query_as!(
        AvailabilityRow,
        "select item_id, status, revision from item_circulation
         where revision > 0 and ($1::uuid is null or item_id > $1)
         order by item_id limit $2",
        after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// The loan whose history holds an action.
pub(crate) async fn loan_of_action(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!("select loan_id from loan_action where id = $1", id)
        .fetch_optional(connection)
        .await
}
