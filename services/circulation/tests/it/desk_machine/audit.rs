//! Compares what the service has with the model, and its events with what it
//! has. Everything is read in one snapshot, so that what happens by itself
//! meanwhile is seen whole or not at all.

use std::collections::BTreeMap;

use carrel_proto::circulation::v1 as wire;
use carrel_proto::circulation::v1::{ItemAvailabilityChanged, LoanChanged, RequestChanged};
use jiff_sqlx::ToSqlx;
use prost::Name;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::model::{Loan, Model, TITLE_OF};
use super::world::World;

type Told = (String, Uuid, Vec<u8>);

/// What is wrong; `Ok`: nothing.
pub type Verdict = Result<(), String>;

fn same<T: PartialEq + std::fmt::Debug>(what: &str, service: &T, expected: &T) -> Verdict {
    if service == expected {
        return Ok(());
    }
    Err(format!(
        "{what}: the service has {service:?}, expected {expected:?}"
    ))
}

pub async fn audit(world: &World<'_>, model: &Model) -> Verdict {
    let mut snapshot = world.desk.database.pool.begin().await.unwrap();
    sqlx::query("set transaction isolation level repeatable read")
        .execute(&mut *snapshot)
        .await
        .unwrap();
    let mut subjects: Vec<Uuid> = world.copies.iter().map(|c| c.id.parse().unwrap()).collect();
    subjects.extend(&world.loans);
    subjects.extend(&world.requests);
    let told: Vec<Told> = sqlx::query_as(
        "select type, subject_id, payload from outbox
         where position > $1 and subject_id = any($2) order by position",
    )
    .bind(world.begins_after)
    .bind(&subjects)
    .fetch_all(&mut *snapshot)
    .await
    .unwrap();
    copies(world, model, &mut snapshot, &told).await?;
    loans(world, model, &mut snapshot, &told).await?;
    requests(world, model, &mut snapshot, &told).await?;
    patrons(world, model, &mut snapshot).await
}

/// The events of one type about one subject, oldest first.
fn events<M: Name + Default>(told: &[Told], subject: Uuid) -> Vec<M> {
    let wanted = told
        .iter()
        .filter(|(kind, about, _)| *kind == M::full_name() && *about == subject);
    wanted
        .map(|(_, _, payload)| M::decode(payload.as_slice()).unwrap())
        .collect()
}

async fn copies(
    world: &World<'_>,
    model: &Model,
    snapshot: &mut PgConnection,
    told: &[Told],
) -> Verdict {
    for (number, copy) in model.copies.iter().enumerate() {
        let id: Uuid = world.copies[number].id.parse().unwrap();
        let row = sqlx::query(
            "select status, open_loan_id, held_request_id, destination_service_point_id::text as destination,
                 requested, revision, in_transit_since is not null as travels
             from item_circulation where item_id = $1",
        )
        .bind(id)
        .fetch_one(&mut *snapshot)
        .await
        .unwrap();
        let name = |what| format!("{what} of copy {number}");
        let status = i32::from(row.get::<i16, _>("status"));
        same(&name("the status"), &status, &(copy.place as i32))?;
        let loan = copy.loan.map(|loan| world.loans[loan]);
        same(&name("the loan"), &row.get("open_loan_id"), &loan)?;
        let kept_for = copy.kept_for.map(|request| world.requests[request]);
        same(&name("the request"), &row.get("held_request_id"), &kept_for)?;
        let destination = copy.destination.map(|point| world.points[point].clone());
        same(
            &name("the destination"),
            &row.get("destination"),
            &destination,
        )?;
        same(
            &name("being in transit"),
            &row.get("travels"),
            &(status == 7),
        )?;
        if !model.queues[TITLE_OF[number]].is_empty() {
            same(&name("being requested"), &row.get("requested"), &true)?;
        }
        // Replayed, the events give the status; each says something new.
        let (mut at, mut revision) = (1, 0);
        for told in events::<ItemAvailabilityChanged>(told, id) {
            let item = told.item.unwrap();
            if item.revision <= revision || item.status == at {
                return Err(format!("the events of copy {number} repeat themselves"));
            }
            (at, revision) = (item.status, item.revision);
        }
        same(&name("the last event"), &at, &status)?;
        if revision > row.get("revision") {
            return Err(format!("the events of copy {number} run ahead of it"));
        }
    }
    Ok(())
}

async fn loans(
    world: &World<'_>,
    model: &Model,
    snapshot: &mut PgConnection,
    told: &[Told],
) -> Verdict {
    for (number, loan) in model.loans.iter().enumerate() {
        let id = world.loans[number];
        let row = sqlx::query(
            "select checked_in_at is null as open, due_at = $2 as as_due, due_at::text as due,
                 renewal_count, overdue_since is not null as overdue, loss_id is not null as lost,
                 recalled_at is not null as recalled, revision, patron_id
             from loan where id = $1",
        )
        .bind(id)
        .bind(loan.due_at.to_sqlx())
        .fetch_one(&mut *snapshot)
        .await
        .unwrap();
        let name = |what: &'static str| format!("{what} of loan {number}");
        if !row.get::<bool, _>("as_due") {
            let due: String = row.get("due");
            return Err(format!("loan {number} is due {due}, not {}", loan.due_at));
        }
        same(&name("being open"), &row.get("open"), &loan.open)?;
        same(
            &name("the renewals"),
            &row.get("renewal_count"),
            &loan.renewals,
        )?;
        same(
            &name("being recalled"),
            &row.get("recalled"),
            &loan.recalled,
        )?;
        same(&name("being overdue"), &row.get("overdue"), &loan.overdue)?;
        same(&name("being lost"), &row.get("lost"), &loan.lost)?;

        let last = loan_told(&name, loan, told, id)?;
        let patron: Option<Uuid> = row.get("patron_id");
        // A loan that ended forgets its patron, by an event of its own.
        if loan.open || patron.is_some() {
            same(
                &name("the last revision"),
                &row.get("revision"),
                &last.revision,
            )?;
            let whose = world.patrons[loan.patron].patron_id.clone();
            same(&name("the event: patron"), &last.patron_id, &whose)?;
        }
    }
    Ok(())
}

/// The last event of a loan, which has the loan as it is.
fn loan_told(
    name: &impl Fn(&'static str) -> String,
    loan: &Loan,
    told: &[Told],
    id: Uuid,
) -> Result<wire::Loan, String> {
    let told: Vec<_> = events::<LoanChanged>(told, id);
    let mut told: Vec<_> = told.into_iter().map(|told| told.loan.unwrap()).collect();
    in_order(&name("the events"), told.iter().map(|loan| loan.revision))?;
    let last = told.pop().unwrap();
    let open = last.checked_in_at.is_none();
    same(&name("the event: open"), &open, &loan.open)?;
    let due_at = last.due_at.unwrap();
    same(
        &name("the event: due"),
        &due_at.seconds,
        &loan.due_at.as_second(),
    )?;
    let facts = (
        last.renewal_count,
        last.overdue_since.is_some(),
        last.aged_to_lost_at.is_some(),
        last.declared_lost_at.is_some(),
        last.claimed_returned_at.is_some(),
        last.recalled_at.is_some(),
    );
    let expected = (
        loan.renewals,
        loan.overdue,
        loan.lost && !loan.declared,
        loan.declared,
        loan.claimed,
        loan.recalled,
    );
    same(&name("the event"), &facts, &expected)?;
    Ok(last)
}

async fn requests(
    world: &World<'_>,
    model: &Model,
    snapshot: &mut PgConnection,
    told: &[Told],
) -> Verdict {
    let mut queues: BTreeMap<usize, Vec<(i64, usize)>> = BTreeMap::new();
    for (number, request) in model.requests.iter().enumerate() {
        let id = world.requests[number];
        let row = sqlx::query(
            "select status, type as kind, held_item_id::text as held, place, revision, patron_id,
                 closed_at is null as open, hold_shelf_expires_at is not distinct from $2 as as_kept,
                 recalled_loan_id, pickup_service_point_id::text as pickup, suspended_until is not null as suspended
             from patron_request where id = $1",
        )
        .bind(id)
        .bind(request.shelf_until.map(ToSqlx::to_sqlx))
        .fetch_one(&mut *snapshot)
        .await
        .unwrap();
        let name = |what| format!("{what} of request {number}");
        let status = i32::from(row.get::<i16, _>("status"));
        same(&name("the status"), &status, &(request.standing as i32))?;
        let held = request.held.map(|copy| world.copies[copy].id.clone());
        same(&name("the copy"), &row.get("held"), &held)?;
        same(&name("being open"), &row.get("open"), &request.is_open())?;
        same(&name("the end on the shelf"), &row.get("as_kept"), &true)?;
        let recalled = request.recalled_loan.map(|loan| world.loans[loan]);
        same(
            &name("the recalled"),
            &row.get("recalled_loan_id"),
            &recalled,
        )?;
        let pickup = request.pickup.map(|point| world.points[point].clone());
        same(&name("the pick-up"), &row.get("pickup"), &pickup)?;
        let suspended = request.suspended_until.is_some();
        same(&name("the suspension"), &row.get("suspended"), &suspended)?;
        let place: i64 = row.get("place");
        if request.is_open() {
            let queue = queues.entry(request.title).or_default();
            queue.push((place, number));
        }

        let told: Vec<_> = events::<RequestChanged>(told, id);
        let told: Vec<_> = told.into_iter().map(|told| told.request.unwrap()).collect();
        in_order(&name("the events"), told.iter().map(|told| told.revision))?;
        let last = told.last().unwrap();
        let facts = (
            last.status,
            last.place,
            last.held_item_id.as_str(),
            last.pickup_service_point_id.as_str(),
            last.suspended_until.is_some(),
        );
        let held = held.as_deref().unwrap_or_default();
        let pickup = pickup.as_deref().unwrap_or_default();
        let expected = (status, place, held, pickup, suspended);
        same(&name("the event"), &facts, &expected)?;
        let patron: Option<Uuid> = row.get("patron_id");
        if request.is_open() || patron.is_some() {
            let revision = row.get("revision");
            same(&name("the last revision"), &last.revision, &revision)?;
        }
    }
    queues_as(model, queues)
}

/// The open requests stand as the model has them.
fn queues_as(model: &Model, mut queues: BTreeMap<usize, Vec<(i64, usize)>>) -> Verdict {
    for (title, expected) in model.queues.iter().enumerate() {
        let mut queue = queues.remove(&title).unwrap_or_default();
        queue.sort_unstable();
        let queue: Vec<usize> = queue.into_iter().map(|(_, number)| number).collect();
        same(&format!("the queue of title {title}"), &queue, expected)?;
    }
    Ok(())
}

/// From 1 on without a gap: no change without an event, no event without a
/// change.
fn in_order(what: &str, revisions: impl Iterator<Item = i64>) -> Verdict {
    let revisions: Vec<i64> = revisions.collect();
    let expected: Vec<i64> = (1..=revisions.len() as i64).collect();
    same(what, &revisions, &expected)
}

/// The counters are what there is to count.
async fn patrons(world: &World<'_>, model: &Model, snapshot: &mut PgConnection) -> Verdict {
    for (number, patron) in world.patrons.iter().enumerate() {
        let row = sqlx::query(
            "select open_loans, overdue_loans, overdue_recalls, lost_loans, open_requests,
                 (select coalesce(sum(value::integer), 0)::integer from jsonb_each_text(loans_by_kind)) as by_kind
             from patron_circulation where patron_id = $1",
        )
        .bind(patron.patron_id.parse::<Uuid>().unwrap())
        .fetch_one(&mut *snapshot)
        .await
        .unwrap();
        let counters: [i32; 5] = std::array::from_fn(|column| row.get(column));
        let expected = model.counters(number);
        same(
            &format!("the counters of patron {number}"),
            &counters,
            &expected,
        )?;
        // By policy, by material and by loan type.
        let kinds = expected[0] * 3;
        same(
            &format!("the kinds of patron {number}"),
            &row.get("by_kind"),
            &kinds,
        )?;
    }
    Ok(())
}
