//! Sequencing: committed events get the feed's own number.
//!
//! There is no leader. Any replica runs this whenever it likes, and one runs
//! at a time:
//!
//! 1. Take the advisory lock, or leave it to whoever has it.
//! 2. Read the head, and the last position drawn, *L*.
//! 3. Number, in the order of their positions, the events above the floor that
//!    have no number.
//! 4. Write the head, where there is anything to write.
//!
//! Each step is a statement of its own, and the transaction is READ COMMITTED:
//! step 3 sees everything that was committed before it began, and so all that
//! the last holder of the lock did. Were lock and stamp one statement, it
//! would look at the time before it got the lock and number events twice.
//!
//! **Order.** Of two changes of one row the second waits for the first's lock
//! and appends as its last statement. So it draws the greater position, and
//! draws it when the first has been committed: whoever sees the second sees
//! the first, and numbers both by position.
//!
//! **The floor** spares step 3 the events that have their number. Everything
//! at or below it is numbered for good. It rises in two steps:
//!
//! - One run reads *L* (step 2) and then its own transaction id *X* (step 4),
//!   and notes both as the candidate. A transaction that drew a position ≤ *L*
//!   drew it before *L* was read (a sequence with CACHE 1 hands out what it
//!   counts), and had its own id before it drew (the column's default sees to
//!   that). So its id is less than *X*.
//! - A later run asks, in the very statement that numbers, whether that
//!   statement's snapshot has xmin ≥ *X*. Then every transaction with an id
//!   below *X* has ended and, if it was committed, is visible to this
//!   statement, which therefore sees, and numbers, each event at or below *L*
//!   that will ever be. Unless it hit its limit, *L* becomes the floor.
//!
//! A snapshot that is only read from (a dump, a report) has no transaction id
//! and holds nothing up. A transaction that writes, in any database of the
//! server, keeps the floor from rising while it lasts: then step 3 passes over
//! the events numbered meanwhile, about 25 ms per 100,000, but nothing waits.
//!
//! **Durability.** PostgreSQL shows a commit when it is on disk, except with
//! synchronous_commit off: a number could be read, lost in a crash, and given
//! to another event. So that setting is overruled here.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::place::Ends;

/// Events numbered in one run at the most, to keep the transaction short.
const RUN_LIMIT: i64 = 10_000;

/// Advisory locks are the database's own, so one constant does for every service.
const LOCK: i64 = 0x6361_7272_656c_0001;

/// The other settings keep a plan that was made when the outbox was empty from
/// reading all of it, and the server from compiling it: a scan that is ruled
/// out counts as so dear that each run would be compiled for 100 ms.
const TAKE_LOCK: &str = "select pg_try_advisory_xact_lock($1),
        set_config('synchronous_commit',
            case current_setting('synchronous_commit') when 'off' then 'on'
            else current_setting('synchronous_commit') end, true),
        set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)";

const STANDING: &str =
    "select head.epoch, head.number, head.event_id, head.forgotten_number, head.forgotten_event_id,
        head.floor, head.candidate_floor, head.candidate_xid::text,
        case when drawn.is_called then drawn.last_value else 0 end as drawn
    from feed_head head, outbox_position drawn";

/// $1 the head's number, $2 the floor, $3 the limit, $4 the candidate's xid.
const NUMBER: &str = "with next as materialized (
        select position, $1 + row_number() over (order by position) as number
        from (
            select position from outbox
            where number is null and position > $2
            order by position limit $3
        ) unnumbered
    ), numbered as (
        update outbox set number = next.number
        from next where outbox.position = next.position
        returning outbox.number, outbox.event_id
    )
    select count(*) as count,
        (select event_id from numbered order by number desc limit 1) as event_id,
        coalesce(pg_snapshot_xmin(pg_current_snapshot()) >= $4::text::xid8, false) as settled
    from numbered";

/// The head's old number guards it: had another run been here since the head
/// was read, this one would be rolled back.
const WRITE_HEAD: &str = "update feed_head
    set number = $2, event_id = $3, floor = $4, candidate_floor = $5,
        candidate_xid = case when $5 is null then null when $6 then pg_current_xact_id() else candidate_xid end
    where number = $1 and epoch = $7";

#[derive(Debug, Clone, sqlx::FromRow)]
struct Standing {
    #[sqlx(flatten)]
    ends: Ends,
    floor: i64,
    candidate_floor: Option<i64>,
    candidate_xid: Option<String>,
    drawn: i64,
}

#[derive(Debug, sqlx::FromRow)]
struct Numbered {
    count: i64,
    event_id: Option<Uuid>,
    settled: bool,
}

/// What a run found and did.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The feed's ends afterwards.
    pub ends: Ends,
    /// How many events it numbered.
    pub numbered: i64,
    /// Whether there is more to do at once: the limit was hit, or another
    /// replica was just running and may have begun too early to see what this
    /// one was asked to number.
    pub again: bool,
    /// Positions between the floor and the last one drawn: what the next run
    /// looks through.
    pub above_floor: i64,
}

/// Numbers what was committed, unless another replica is doing so. Writes
/// nothing where there is nothing new.
///
/// # Errors
/// The database's.
pub async fn run(pool: &PgPool) -> Result<Run, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let quiet = standing(&mut connection).await?;
    if quiet.drawn <= quiet.floor {
        return Ok(done(&quiet, 0, false));
    }

    let mut transaction =
        sqlx::Connection::begin_with(&mut *connection, "begin isolation level read committed")
            .await?;
    let (locked, _, _, _): (bool, String, String, String) = sqlx::query_as(TAKE_LOCK)
        .bind(LOCK)
        .fetch_one(&mut *transaction)
        .await?;
    if !locked {
        transaction.rollback().await?;
        return Ok(done(&quiet, 0, true));
    }
    let mut standing = standing(&mut transaction).await?;
    let numbered: Numbered = sqlx::query_as(NUMBER)
        .bind(standing.ends.number)
        .bind(standing.floor)
        .bind(RUN_LIMIT)
        .bind(&standing.candidate_xid)
        .fetch_one(&mut *transaction)
        .await?;
    if write_head(&mut transaction, &mut standing, &numbered).await? {
        transaction.commit().await?;
    } else {
        // Nothing was written, so there is no transaction to log.
        transaction.rollback().await?;
    }
    Ok(done(&standing, numbered.count, numbered.count == RUN_LIMIT))
}

async fn standing(connection: &mut PgConnection) -> Result<Standing, sqlx::Error> {
    sqlx::query_as(STANDING).fetch_one(connection).await
}

/// Returns false where there is nothing to write.
async fn write_head(
    connection: &mut PgConnection,
    standing: &mut Standing,
    numbered: &Numbered,
) -> Result<bool, sqlx::Error> {
    let (old_number, old_floor) = (standing.ends.number, standing.floor);
    let had_candidate = standing.candidate_floor.is_some();
    if numbered.count > 0 {
        standing.ends.number += numbered.count;
        standing.ends.event_id = numbered.event_id;
    }
    if numbered.settled && numbered.count < RUN_LIMIT {
        standing.floor = standing
            .candidate_floor
            .take()
            .map_or(old_floor, |candidate| candidate.max(old_floor));
    }
    let new_candidate = standing.candidate_floor.is_none() && standing.drawn > standing.floor;
    if new_candidate {
        standing.candidate_floor = Some(standing.drawn);
    }
    if numbered.count == 0 && had_candidate && standing.floor == old_floor {
        return Ok(false);
    }
    let written = sqlx::query(WRITE_HEAD)
        .bind(old_number)
        .bind(standing.ends.number)
        .bind(standing.ends.event_id)
        .bind(standing.floor)
        .bind(standing.candidate_floor)
        .bind(new_candidate)
        .bind(standing.ends.epoch)
        .execute(connection)
        .await?
        .rows_affected();
    if written == 1 {
        Ok(true)
    } else {
        Err(sqlx::Error::Protocol(
            "the feed's head moved while the sequencer's lock was held".to_owned(),
        ))
    }
}

fn done(standing: &Standing, numbered: i64, again: bool) -> Run {
    Run {
        ends: standing.ends,
        numbered,
        again,
        above_floor: standing.drawn - standing.floor,
    }
}

#[cfg(test)]
mod tests;
