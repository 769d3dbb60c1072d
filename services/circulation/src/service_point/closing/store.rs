//! All SQL of emergency closings.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Affected, ClosedPoint, Closing, MOST_POINTS, MadeClosing, Point, Progress, Which};
use crate::error::Error;
use crate::loan::model::Loan;
use crate::service_point::calendar::Closed;

/// The service points that are to close, in the order of their codes.
pub(super) async fn find_points(
    connection: &mut PgConnection,
    which: &Which,
) -> Result<Vec<Point>, Error> {
    let (ids, library) = match which {
        Which::Points(ids) => (Some(ids.as_slice()), None),
        Which::Library(code) => (None, Some(code.as_str())),
    };
    let points = sqlx::query_as!(
        Point,
        "select id, code, time_zone from service_point
         where id = any($1) or library_code = $2
         order by code limit $3",
        ids as _,
        library,
        MOST_POINTS as i64 + 1,
    )
    .fetch_all(connection)
    .await?;
    if points.is_empty() || ids.is_some_and(|ids| points.len() < ids.len()) {
        return Err(Error::ServicePointNotFound);
    }
    if points.len() > MOST_POINTS {
        return Err(Error::ClosingMalformed(
            "service_point_ids",
            "must be at most 100",
        ));
    }
    Ok(points)
}

/// An open loan that falls due in a closing.
#[derive(Debug)]
pub(super) struct Due {
    pub loan_id: Uuid,
    pub due_at: Timestamp,
    pub loan_policy_id: Uuid,
    pub service_point_id: Uuid,
}

/// The open loans made at service points that fall due in their closing, by
/// their ids. Those that are lost or claimed returned do not wait for a desk.
pub(super) async fn list_due(
    connection: &mut PgConnection,
    points: &[ClosedPoint],
    noted_by: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    let ids: Vec<Uuid> = points.iter().map(|point| point.id).collect();
    let from: Vec<jiff_sqlx::Timestamp> = points.iter().map(|p| p.closed.from.to_sqlx()).collect();
    let until: Vec<jiff_sqlx::Timestamp> =
        points.iter().map(|p| p.closed.until.to_sqlx()).collect();
    let rows = sqlx::query!(
        "select loan.id, loan.due_at, loan.loan_policy_id, loan.check_out_service_point_id
         from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as closed (point_id, closed_from, closed_until)
         join loan on loan.check_out_service_point_id = closed.point_id
             and loan.due_at >= closed.closed_from and loan.due_at < closed.closed_until
         where loan.checked_in_at is null and loan.loss_id is null and loan.claimed_returned_at is null
           and not exists (
               select from closing_move noted where noted.closing_id = $4 and noted.loan_id = loan.id)
         order by loan.id limit $5",
        &ids,
        &from as _,
        &until as _,
        noted_by,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let due = rows.into_iter().map(|row| Due {
        loan_id: row.id,
        due_at: row.due_at.to_jiff(),
        loan_policy_id: row.loan_policy_id,
        service_point_id: row.check_out_service_point_id,
    });
    Ok(due.collect())
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    closing: &Closing,
    author: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into closing (id, closed_from, last_date, reason, created_at, created_by)
         values ($1, $2, $3, $4, $5, $6)",
        id,
        closing.from.to_sqlx() as _,
        closing.last_date.to_sqlx() as _,
        closing.reason,
        now.to_sqlx() as _,
        author,
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(super) async fn insert_points(
    connection: &mut PgConnection,
    id: Uuid,
    points: &[ClosedPoint],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = points.iter().map(|point| point.id).collect();
    let from: Vec<jiff_sqlx::Timestamp> = points.iter().map(|p| p.closed.from.to_sqlx()).collect();
    let until: Vec<jiff_sqlx::Timestamp> =
        points.iter().map(|p| p.closed.until.to_sqlx()).collect();
    sqlx::query!(
        "insert into closing_service_point (closing_id, service_point_id, closed_from, closed_until)
         select $1, * from unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[])",
        id,
        &ids,
        &from as _,
        &until as _,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Notes what is to become of loans.
pub(super) async fn insert_moves(
    connection: &mut PgConnection,
    id: Uuid,
    affected: &[Affected],
) -> Result<(), sqlx::Error> {
    let loans: Vec<Uuid> = affected.iter().map(|loan| loan.loan_id).collect();
    let due: Vec<jiff_sqlx::Timestamp> = affected.iter().map(|l| l.due_at.to_sqlx()).collect();
    let new_due: Vec<Option<jiff_sqlx::Timestamp>> = affected
        .iter()
        .map(|loan| loan.new_due_at.map(ToSqlx::to_sqlx))
        .collect();
    sqlx::query!(
        "insert into closing_move (closing_id, loan_id, due_at, new_due_at, outcome)
         select $1, loan_id, due_at, new_due_at, case when new_due_at is null then 'kept' end
         from unnest($2::uuid[], $3::timestamptz[], $4::timestamptz[]) as affected (loan_id, due_at, new_due_at)",
        id,
        &loans,
        &due as _,
        &new_due as _,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A closing with its progress.
pub(super) async fn find(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<MadeClosing>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select closed_from, last_date, reason,
                (select array_agg(service_point_id order by service_point_id)
                 from closing_service_point where closing_id = $1) as "points!",
                moves.total as "total!", moves.moved as "moved!", moves.passed_over as "passed_over!"
         from closing, lateral (
             select count(*) filter (where outcome is distinct from 'kept') as total,
                    count(*) filter (where outcome = 'moved') as moved,
                    count(*) filter (where outcome = 'passed_over') as passed_over
             from closing_move where closing_id = $1
         ) moves
         where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| MadeClosing {
        id,
        closing: Closing {
            which: Which::Points(row.points),
            from: row.closed_from.to_jiff(),
            last_date: row.last_date.to_jiff(),
            reason: row.reason,
        },
        progress: Progress {
            total_count: row.total,
            moved_count: row.moved,
            passed_over_count: row.passed_over,
        },
    }))
}

/// The closings of one service point's calendar.
pub(crate) async fn closed_spans(
    connection: &mut PgConnection,
    service_point_id: Uuid,
) -> Result<Vec<Closed>, sqlx::Error> {
    let rows = sqlx::query!(
        "select closing.id, point.closed_from, point.closed_until, closing.reason
         from closing_service_point point join closing on closing.id = point.closing_id
         where point.service_point_id = $1 order by point.closed_from",
        service_point_id,
    )
    .fetch_all(connection)
    .await?;
    let closed = rows.into_iter().map(|row| Closed {
        closing_id: row.id,
        from: row.closed_from.to_jiff(),
        until: row.closed_until.to_jiff(),
        reason: row.reason,
    });
    Ok(closed.collect())
}

/// The service points of a closing, and how it stands in their calendars.
pub(super) async fn list_closed_points(
    connection: &mut PgConnection,
    closing_id: Uuid,
) -> Result<Vec<(Point, Closed)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select point.id, point.code, point.time_zone, closed.closed_from, closed.closed_until, closing.reason
         from closing_service_point closed
         join closing on closing.id = closed.closing_id
         join service_point point on point.id = closed.service_point_id
         where closed.closing_id = $1 order by point.code",
        closing_id,
    )
    .fetch_all(connection)
    .await?;
    let points = rows.into_iter().map(|row| {
        let point = Point {
            id: row.id,
            code: row.code,
            time_zone: row.time_zone,
        };
        let closed = Closed {
            closing_id,
            from: row.closed_from.to_jiff(),
            until: row.closed_until.to_jiff(),
            reason: row.reason,
        };
        (point, closed)
    });
    Ok(points.collect())
}

/// A closing that is not finished.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub id: Uuid,
    pub created_at: Timestamp,
}

pub(super) async fn list_unfinished(
    connection: &mut PgConnection,
) -> Result<Vec<Unfinished>, sqlx::Error> {
    let rows = sqlx::query!(
        "select id, created_at from closing where finished_at is null order by id limit 100"
    )
    .fetch_all(connection)
    .await?;
    let unfinished = rows.into_iter().map(|row| Unfinished {
        id: row.id,
        created_at: row.created_at.to_jiff(),
    });
    Ok(unfinished.collect())
}

/// Locks a closing that is not finished and has nothing left to be moved;
/// false where another one has it.
pub(super) async fn lock_unfinished(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<bool, sqlx::Error> {
    let locked = sqlx::query_scalar!(
        "select id from closing
         where id = $1 and finished_at is null
           and not exists (select from closing_move where closing_id = $1 and outcome is null)
         for update skip locked",
        id,
    );
    Ok(locked.fetch_optional(connection).await?.is_some())
}

pub(super) async fn finish(
    connection: &mut PgConnection,
    id: Uuid,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update closing set finished_at = $2 where id = $1",
        id,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A due date to be moved.
#[derive(Debug)]
pub(super) struct Move {
    pub loan_id: Uuid,
    pub due_at: Timestamp,
    pub new_due_at: Timestamp,
    pub closed: Closed,
    pub reason: String,
    pub closed_by: String,
}

/// Takes due dates to be moved: locks their items, as whatever changes a loan
/// does, but waits for none.
pub(super) async fn take_moves(
    connection: &mut PgConnection,
    closing_id: Uuid,
    limit: i64,
) -> Result<Vec<Move>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select move.loan_id, move.due_at, move.new_due_at as "new_due_at!",
                closed.closed_from, closed.closed_until, closing.reason, closing.created_by
         from closing_move move
         join closing on closing.id = move.closing_id
         join loan on loan.id = move.loan_id
         join closing_service_point closed on closed.closing_id = move.closing_id
             and closed.service_point_id = loan.check_out_service_point_id
         join item_circulation item on item.item_id = loan.item_id
         where move.closing_id = $1 and move.outcome is null
         order by item.item_id limit $2
         for update of item, move skip locked"#,
        closing_id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let moves = rows.into_iter().map(|row| Move {
        loan_id: row.loan_id,
        due_at: row.due_at.to_jiff(),
        new_due_at: row.new_due_at.to_jiff(),
        closed: Closed {
            closing_id,
            from: row.closed_from.to_jiff(),
            until: row.closed_until.to_jiff(),
            reason: String::new(),
        },
        reason: row.reason,
        closed_by: row.created_by,
    });
    Ok(moves.collect())
}

/// The requests that expire on the hold shelves of a closing's service points
/// while those are closed.
pub(super) async fn list_expiring(
    connection: &mut PgConnection,
    closing_id: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select request.id
         from closing_service_point closed
         join patron_request request on request.pickup_service_point_id = closed.service_point_id
             and request.status = 2
             and request.hold_shelf_expires_at >= closed.closed_from
             and request.hold_shelf_expires_at < closed.closed_until
         where closed.closing_id = $1
         order by request.id limit $2",
        closing_id,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Locks the patrons of loans in one order, so that two batches never wait for
/// each other.
pub(super) async fn lock_patrons(
    connection: &mut PgConnection,
    loans: &[Loan],
) -> Result<(), sqlx::Error> {
    let patrons: Vec<Uuid> = loans.iter().filter_map(|loan| loan.patron_id).collect();
    sqlx::query!(
        "select patron_id from patron_circulation where patron_id = any($1) order by patron_id for update",
        &patrons,
    )
    .fetch_all(connection)
    .await
    .map(drop)
}

/// Writes what became of loans that were taken.
pub(super) async fn settle(
    connection: &mut PgConnection,
    closing_id: Uuid,
    taken: &[Uuid],
    moved: &[Uuid],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update closing_move set outcome = case when loan_id = any($3) then 'moved' else 'passed_over' end
         where closing_id = $1 and loan_id = any($2)",
        closing_id,
        taken,
        moved,
    )
    .execute(connection)
    .await
    .map(drop)
}
