//! All SQL that touches postings and their attempts.
//!
//! Work is claimed with `for update of` account and posting and `skip locked`: a worker never waits for another, and
//! never sees as waiting what another has just taken, since a locked row is read again.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Attempt;
use super::model::{Posting, PostingState};
use crate::account::model::FeeFineKind;
use crate::columns::money;
use crate::error::Error;

struct PostingRow {
    id: Uuid,
    account_id: Uuid,
    sequence: i32,
    reference: String,
    amount: Decimal,
    currency: String,
    state: PostingState,
    reverses_posting_id: Option<Uuid>,
    student_id: String,
    funding_destination_id: String,
    academic_period_id: String,
    chargeable_on: Option<jiff_sqlx::Date>,
    sis_charge_id: Option<String>,
    attempt_count: i32,
    open_attempt_id: Option<Uuid>,
    leased_until: Option<jiff_sqlx::Timestamp>,
    next_attempt_at: jiff_sqlx::Timestamp,
    absent_from: Option<jiff_sqlx::Timestamp>,
    problem: String,
    looked_up_epoch: Option<Uuid>,
    settlement_basis: String,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl TryFrom<PostingRow> for Posting {
    type Error = Error;

    fn try_from(row: PostingRow) -> Result<Self, Error> {
        Ok(Self {
            id: row.id,
            account_id: row.account_id,
            sequence: row.sequence,
            reference: row.reference,
            amount: money(row.amount, &row.currency)?,
            state: row.state,
            reverses_posting_id: row.reverses_posting_id,
            student_id: row.student_id,
            funding_destination_id: row.funding_destination_id,
            academic_period_id: row.academic_period_id,
            chargeable_on: row.chargeable_on.map(jiff_sqlx::Date::to_jiff),
            sis_charge_id: row.sis_charge_id,
            attempt_count: row.attempt_count,
            open_attempt_id: row.open_attempt_id,
            leased_until: row.leased_until.map(jiff_sqlx::Timestamp::to_jiff),
            next_attempt_at: row.next_attempt_at.to_jiff(),
            absent_from: row.absent_from.map(jiff_sqlx::Timestamp::to_jiff),
            problem: row.problem,
            looked_up_epoch: row.looked_up_epoch,
            settlement_basis: row.settlement_basis,
            created_at: row.created_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
        })
    }
}

fn postings(rows: Vec<PostingRow>) -> Result<Vec<Posting>, Error> {
    rows.into_iter().map(Posting::try_from).collect()
}

/// A charge that is ready to be posted, or whose credit is.
pub(crate) struct Ready {
    pub(crate) account_id: Uuid,
    pub(crate) reference: String,
    pub(crate) kind: FeeFineKind,
    pub(crate) source_id: Option<Uuid>,
    pub(crate) institution_code: Option<String>,
    pub(crate) charged_at: jiff_sqlx::Timestamp,
    pub(crate) owed_here: Decimal,
    pub(crate) currency: String,
    pub(crate) student_id: Option<String>,
    pub(crate) posting_count: i64,
    pub(crate) original_id: Option<Uuid>,
    pub(crate) original_student_id: Option<String>,
    pub(crate) original_destination_id: Option<String>,
    pub(crate) original_period_id: Option<String>,
    pub(crate) fee_fine_type_id: Uuid,
    pub(crate) fee_fine_owner_id: Uuid,
    pub(crate) library_code: Option<String>,
    pub(crate) noticed_on: Option<jiff_sqlx::Date>,
    pub(crate) is_held: bool,
    pub(crate) is_suspended: bool,
    pub(crate) ages_from: jiff_sqlx::Timestamp,
}

/// Accounts of which something may be posted, by their date: charges of
/// patrons with a student account that are old enough, and credits.
pub(crate) async fn list_postable(
    connection: &mut PgConnection,
    charged_before: Timestamp,
    after: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<(Timestamp, Uuid)>, Error> {
    let (after_at, after_id) = after.unzip();
    let rows = sqlx::query!(
        "select a.id, a.charged_at from account a left join student_link l on l.patron_id = a.patron_id
         where a.remaining <> a.at_sis
           and (a.remaining < a.at_sis
                or (l.student_id is not null and a.ages_from <= $1 and not a.is_suspended
                    and not exists (select from posting_hold h where h.account_id = a.id)))
           and not exists (
               select from posting p where p.account_id = a.id
               and p.state in ('pending', 'submitted', 'unknown', 'rejected', 'unrouted'))
           and ($2::timestamptz is null or (a.charged_at, a.id) > ($2, $3))
         order by a.charged_at, a.id limit $4",
        charged_before.to_sqlx() as jiff_sqlx::Timestamp,
        after_at.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        after_id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.charged_at.to_jiff(), row.id))
        .collect())
}

/// Locks those of these accounts that nobody else has.
pub(crate) async fn lock_accounts(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, Error> {
    Ok(sqlx::query_scalar!(
        "select id from account where id = any($1) order by charged_at, id for update skip locked",
        ids,
    )
    .fetch_all(connection)
    .await?)
}

/// What is needed to post locked accounts. Read by a statement of its own: the
/// one that waited for the locks may have seen what was before.
pub(crate) async fn list_ready(
    connection: &mut PgConnection,
    account_ids: &[Uuid],
) -> Result<Vec<Ready>, Error> {
    Ok(sqlx::query_as!(
        Ready,
        r#"select a.id as account_id, a.reference, a.kind as "kind: FeeFineKind", a.source_id, a.institution_code,
                  a.charged_at, a.ages_from, a.is_suspended as "is_suspended!",
                  a.remaining - a.at_sis as "owed_here!", a.currency, l.student_id as "student_id?",
                  (select count(*) from posting p where p.account_id = a.id) as "posting_count!",
                  original.id as "original_id?", original.student_id as "original_student_id?",
                  original.funding_destination_id as "original_destination_id?",
                  original.academic_period_id as "original_period_id?", a.fee_fine_type_id, a.fee_fine_owner_id,
                  a.library_code, n.noticed_on as "noticed_on?",
                  exists (select from posting_hold h where h.account_id = a.id) as "is_held!"
           from account a
           left join student_link l on l.patron_id = a.patron_id
           left join posting_notice n on n.account_id = a.id
           left join lateral (
               select * from posting p
               where p.account_id = a.id and p.amount > 0 and p.state in ('acknowledged', 'settled')
               order by p.sequence desc limit 1) as original on true
           where a.id = any($1) and a.remaining <> a.at_sis
             and not exists (
                 select from posting p where p.account_id = a.id
                 and p.state in ('pending', 'submitted', 'unknown', 'rejected', 'unrouted'))
           order by a.charged_at"#,
        account_ids,
    )
    .fetch_all(connection)
    .await?)
}

/// Adds a posting.
pub(crate) async fn insert_posting(
    connection: &mut PgConnection,
    posting: &Posting,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into posting (id, account_id, sequence, reference, amount, currency, state, reverses_posting_id,
                              student_id, funding_destination_id, academic_period_id, next_attempt_at, problem,
                              created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)",
        posting.id,
        posting.account_id,
        posting.sequence,
        posting.reference,
        posting.amount.amount(),
        posting.amount.currency().code(),
        posting.state as PostingState,
        posting.reverses_posting_id,
        posting.student_id,
        posting.funding_destination_id,
        posting.academic_period_id,
        posting.next_attempt_at.to_sqlx() as jiff_sqlx::Timestamp,
        posting.problem,
        posting.created_at.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes what changed.
pub(crate) async fn update_posting(
    connection: &mut PgConnection,
    posting: &Posting,
) -> Result<(), Error> {
    let updated = sqlx::query!(
        "update posting
         set amount = $2, state = $3, student_id = $4, funding_destination_id = $5, academic_period_id = $6,
             chargeable_on = $7, sis_charge_id = $8, attempt_count = $9, open_attempt_id = $10, leased_until = $11,
             next_attempt_at = $12, absent_from = $13, problem = $14, settlement_basis = $15, updated_at = $16,
             looked_up_epoch = $17
         where id = $1",
        posting.id,
        posting.amount.amount(),
        posting.state as PostingState,
        posting.student_id,
        posting.funding_destination_id,
        posting.academic_period_id,
        posting.chargeable_on.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Date>,
        posting.sis_charge_id,
        posting.attempt_count,
        posting.open_attempt_id,
        posting.leased_until.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        posting.next_attempt_at.to_sqlx() as jiff_sqlx::Timestamp,
        posting.absent_from.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        posting.problem,
        posting.settlement_basis,
        posting.updated_at.to_sqlx() as jiff_sqlx::Timestamp,
        posting.looked_up_epoch,
    )
    .execute(connection)
    .await?;
    if updated.rows_affected() == 1 {
        Ok(())
    } else {
        Err(Error::PostingNotFound)
    }
}

/// Reads postings by their ids.
pub(crate) async fn list_by_ids(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Posting>, Error> {
    let rows = sqlx::query_as!(
        PostingRow,
        r#"select id, account_id, sequence, reference, amount, currency, state as "state: PostingState",
                  reverses_posting_id, student_id, funding_destination_id, academic_period_id, chargeable_on,
                  sis_charge_id, attempt_count, open_attempt_id, leased_until, next_attempt_at, absent_from, problem,
                  looked_up_epoch, settlement_basis, created_at, updated_at
           from posting where id = any($1) order by created_at, id"#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    postings(rows)
}

/// Reads a posting.
pub(crate) async fn find_posting(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<Posting>, Error> {
    Ok(list_by_ids(connection, &[id]).await?.pop())
}

/// The posting of an account that waits here: not submitted, or certainly
/// refused.
pub(crate) async fn find_waiting(
    connection: &mut PgConnection,
    account_id: Uuid,
) -> Result<Option<Posting>, Error> {
    let id = sqlx::query_scalar!(
        "select id from posting where account_id = $1 and state in ('pending', 'rejected', 'unrouted')",
        account_id,
    )
    .fetch_optional(&mut *connection)
    .await?;
    match id {
        Some(id) => find_posting(connection, id).await,
        None => Ok(None),
    }
}

/// Whether a posting of an account is under way, or its answer lost.
pub(crate) async fn is_under_way(
    connection: &mut PgConnection,
    account_id: Uuid,
) -> Result<bool, Error> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from posting where account_id = $1 and state in ('submitted', 'unknown')) as "yes!""#,
        account_id,
    )
    .fetch_one(connection)
    .await?)
}

/// Locks postings in a state that are due, with their accounts.
pub(crate) async fn lock_due(
    connection: &mut PgConnection,
    state: PostingState,
    due_at: Timestamp,
    limit: i64,
) -> Result<Vec<Posting>, Error> {
    let ids = sqlx::query_scalar!(
        "select p.id from posting p join account a on a.id = p.account_id
         where p.state = $1 and p.next_attempt_at <= $2
         order by p.next_attempt_at, p.id limit $3
         for update of a, p skip locked",
        state as PostingState,
        due_at.to_sqlx() as jiff_sqlx::Timestamp,
        limit,
    )
    .fetch_all(&mut *connection)
    .await?;
    list_by_ids(connection, &ids).await
}

/// The posting that a credit takes back.
pub(crate) struct Original {
    pub(crate) reference: String,
    pub(crate) amount: Decimal,
    pub(crate) chargeable_on: Option<Date>,
}

/// The neutral texts of postings, and what they take back, by posting.
pub(crate) async fn statements(
    connection: &mut PgConnection,
    posting_ids: &[Uuid],
) -> Result<HashMap<Uuid, (String, Option<Original>)>, Error> {
    let rows = sqlx::query!(
        r#"select p.id, t.statement_text, original.reference as "reference?", original.amount as "amount?",
                  original.chargeable_on as "chargeable_on?"
           from posting p
           join account a on a.id = p.account_id
           join fee_fine_type t on t.id = a.fee_fine_type_id
           left join posting original on original.id = p.reverses_posting_id
           where p.id = any($1)"#,
        posting_ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let original = row
                .reference
                .zip(row.amount)
                .map(|(reference, amount)| Original {
                    reference,
                    amount,
                    chargeable_on: row.chargeable_on.map(jiff_sqlx::Date::to_jiff),
                });
            (row.id, (row.statement_text, original))
        })
        .collect())
}

/// Adds attempts that begin: (attempt, posting).
pub(crate) async fn insert_attempts(
    connection: &mut PgConnection,
    kind: &str,
    attempts: &[(Uuid, Uuid)],
    started_at: Timestamp,
) -> Result<(), Error> {
    let (ids, posting_ids): (Vec<Uuid>, Vec<Uuid>) = attempts.iter().copied().unzip();
    sqlx::query!(
        "insert into posting_attempt (id, posting_id, kind, started_at)
         select id, posting_id, $3, $4 from unnest($1::uuid[], $2::uuid[]) as t (id, posting_id)",
        &ids,
        &posting_ids,
        kind,
        started_at.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Postings, newest first.
pub(crate) async fn list_postings(
    connection: &mut PgConnection,
    state: Option<PostingState>,
    account_id: Option<Uuid>,
    before: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<Posting>, Error> {
    let (before_at, before_id) = before.unzip();
    let rows = sqlx::query_as!(
        PostingRow,
        r#"select id, account_id, sequence, reference, amount, currency, state as "state: PostingState",
                  reverses_posting_id, student_id, funding_destination_id, academic_period_id, chargeable_on,
                  sis_charge_id, attempt_count, open_attempt_id, leased_until, next_attempt_at, absent_from, problem,
                  looked_up_epoch, settlement_basis, created_at, updated_at
           from posting
           where ($1::text is null or state = $1)
             and ($2::uuid is null or account_id = $2)
             and ($3::timestamptz is null or (created_at, id) < ($3, $4))
           order by created_at desc, id desc limit $5"#,
        state as Option<PostingState>,
        account_id,
        before_at.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        before_id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    postings(rows)
}

/// What waits for people, the longest first.
pub(crate) async fn list_work(
    connection: &mut PgConnection,
    after: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<Posting>, Error> {
    let (after_at, after_id) = after.unzip();
    let rows = sqlx::query_as!(
        PostingRow,
        r#"select id, account_id, sequence, reference, amount, currency, state as "state: PostingState",
                  reverses_posting_id, student_id, funding_destination_id, academic_period_id, chargeable_on,
                  sis_charge_id, attempt_count, open_attempt_id, leased_until, next_attempt_at, absent_from, problem,
                  looked_up_epoch, settlement_basis, created_at, updated_at
           from posting
           where state in ('rejected', 'unknown', 'unrouted')
             and ($1::timestamptz is null or (updated_at, id) > ($1, $2))
           order by updated_at, id limit $3"#,
        after_at.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        after_id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    postings(rows)
}

/// Holds a charge at the library.
pub(crate) async fn insert_hold(
    connection: &mut PgConnection,
    account_id: Uuid,
    held_by: &str,
    comment: &str,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into posting_hold (account_id, held_by, comment, held_at) values ($1, $2, $3, $4)
         on conflict (account_id) do nothing",
        account_id,
        held_by,
        comment,
        now.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Lifts a hold; false where there is none.
pub(crate) async fn delete_hold(
    connection: &mut PgConnection,
    account_id: Uuid,
) -> Result<bool, Error> {
    let deleted = sqlx::query!("delete from posting_hold where account_id = $1", account_id,)
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected() == 1)
}

/// The acknowledged and settled postings of an account.
pub(crate) async fn list_at_sis(
    connection: &mut PgConnection,
    account_id: Uuid,
) -> Result<Vec<Posting>, Error> {
    let ids = sqlx::query_scalar!(
        "select id from posting where account_id = $1 and state in ('acknowledged', 'settled')",
        account_id,
    )
    .fetch_all(&mut *connection)
    .await?;
    list_by_ids(connection, &ids).await
}

/// Every posting of the students, periods and destinations in which the
/// student account bears something unpaid.
pub(crate) async fn list_unsettled(connection: &mut PgConnection) -> Result<Vec<Posting>, Error> {
    let ids = sqlx::query_scalar!(
        "select p.id from posting p
         join (select distinct p.student_id, p.academic_period_id, p.funding_destination_id
               from posting p join account a on a.id = p.account_id
               where a.at_sis > 0 and p.state in ('acknowledged', 'settled')) as tuple
           on (p.student_id, p.academic_period_id, p.funding_destination_id)
              = (tuple.student_id, tuple.academic_period_id, tuple.funding_destination_id)
         where p.state in ('acknowledged', 'settled')",
    )
    .fetch_all(&mut *connection)
    .await?;
    list_by_ids(connection, &ids).await
}

/// Every posting that was ever submitted, here or, as a look-up after a
/// restore may find, by books that are lost; for reconciliation.
pub(crate) async fn list_submitted(connection: &mut PgConnection) -> Result<Vec<Posting>, Error> {
    let rows = sqlx::query_as!(
        PostingRow,
        r#"select id, account_id, sequence, reference, amount, currency, state as "state: PostingState",
                  reverses_posting_id, student_id, funding_destination_id, academic_period_id, chargeable_on,
                  sis_charge_id, attempt_count, open_attempt_id, leased_until, next_attempt_at, absent_from, problem,
                  looked_up_epoch, settlement_basis, created_at, updated_at
           from posting
           where attempt_count > 0 or state in ('submitted', 'unknown', 'acknowledged', 'settled')
           order by created_at, id"#,
    )
    .fetch_all(connection)
    .await?;
    postings(rows)
}

/// Adds an attempt that begins, or one that is over.
pub(crate) async fn insert_attempt(
    connection: &mut PgConnection,
    id: Uuid,
    posting_id: Uuid,
    attempt: &Attempt,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into posting_attempt (id, posting_id, kind, started_at, ended_at, outcome, detail)
         values ($1, $2, $3, $4, $5, $6, $7)",
        id,
        posting_id,
        attempt.kind,
        attempt.started_at.to_sqlx() as jiff_sqlx::Timestamp,
        attempt.ended_at.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        attempt.outcome,
        attempt.detail,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes how an attempt ended.
pub(crate) async fn end_attempt(
    connection: &mut PgConnection,
    id: Uuid,
    outcome: &str,
    detail: &str,
    ended_at: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "update posting_attempt set ended_at = $2, outcome = $3, detail = $4 where id = $1",
        id,
        ended_at.to_sqlx() as jiff_sqlx::Timestamp,
        outcome,
        detail,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A posting's attempts, oldest first.
pub(crate) async fn list_attempts(
    connection: &mut PgConnection,
    posting_id: Uuid,
) -> Result<Vec<Attempt>, Error> {
    let rows = sqlx::query!(
        "select kind, started_at, ended_at, outcome, detail from posting_attempt where posting_id = $1 order by id",
        posting_id,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Attempt {
            kind: row.kind,
            started_at: row.started_at.to_jiff(),
            ended_at: row.ended_at.map(jiff_sqlx::Timestamp::to_jiff),
            outcome: row.outcome,
            detail: row.detail,
        })
        .collect())
}

/// The student that a patron is, where there is one.
pub(crate) async fn find_student(
    connection: &mut PgConnection,
    patron_id: Uuid,
) -> Result<Option<String>, Error> {
    Ok(sqlx::query_scalar!(
        "select student_id from student_link where patron_id = $1",
        patron_id,
    )
    .fetch_optional(connection)
    .await?
    .flatten())
}

/// What is looked at anew before a posting is handed over.
pub(crate) struct Standing {
    /// When it was charged.
    pub(crate) charged_at: Timestamp,
    /// The student that its patron is now.
    pub(crate) student_id: Option<String>,
}

/// How the accounts of postings stand, which are locked, by account.
pub(crate) async fn standings(
    connection: &mut PgConnection,
    account_ids: &[Uuid],
) -> Result<HashMap<Uuid, Standing>, Error> {
    let rows = sqlx::query!(
        r#"select a.id as "id!", a.charged_at as "charged_at!", l.student_id as "student_id?"
           from account a left join student_link l on l.patron_id = a.patron_id
           where a.id = any($1)"#,
        account_ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let standing = Standing {
                charged_at: row.charged_at.to_jiff(),
                student_id: row.student_id,
            };
            (row.id, standing)
        })
        .collect())
}

/// The civil date of a charge, for [`Ready`].
pub(crate) fn charged_on(ready: &Ready, zone: &jiff::tz::TimeZone) -> Date {
    ready.charged_at.to_jiff().to_zoned(zone.clone()).date()
}
