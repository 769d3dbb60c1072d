//! All SQL about the journal.

use carrel_money::{Decimal, Money};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Booking, Move, Transaction, Verification};
use crate::error::Error;

/// One statement: the journal takes the entries of a transaction together or
/// not at all.
pub(super) async fn insert(
    connection: &mut PgConnection,
    booking: &Booking<'_>,
    actor: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let entries = booking.what.entries(booking.amount);
    let accounts = entries.map(|(account, _)| account.as_str().to_owned());
    let amounts: [Decimal; 2] = entries.map(|(_, amount)| amount.amount());
    sqlx::query!(
        "with booked as (
             insert into journal_transaction (id, kind, encumbrance_id, booked_at, actor, comment)
             values ($1, $2, $3, $4, $5, $6)
             returning number
         )
         insert into journal_entry (transaction_number, line, budget_id, account, currency, amount)
         select booked.number, entry.line, $7, entry.account, $8, entry.amount
         from booked,
              unnest($9::text[], $10::numeric[]) with ordinality as entry (account, amount, line)",
        booking.id,
        booking.what.as_str(),
        booking.what.encumbrance_id(),
        now.to_sqlx() as _,
        actor,
        booking.comment,
        booking.budget_id,
        booking.amount.currency().code(),
        &accounts[..],
        &amounts[..],
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn list(
    connection: &mut PgConnection,
    budget_id: Uuid,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Transaction>, Error> {
    let rows = sqlx::query!(
        "select t.number, t.id, t.kind, t.encumbrance_id, t.booked_at, t.actor, t.comment,
             e.currency, e.amount
         from journal_entry e
         join journal_transaction t on t.number = e.transaction_number
         where e.budget_id = $1 and e.line = 1 and e.transaction_number < $2
         order by e.transaction_number desc limit $3",
        budget_id,
        before.unwrap_or(i64::MAX),
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let what = Move::of(&row.kind, row.encumbrance_id);
            Ok(Transaction {
                number: row.number,
                id: row.id,
                what: what.ok_or(Error::StoredValue("kind of transaction"))?,
                amount: Money::new(row.amount, row.currency.parse()?)?,
                booked_at: row.booked_at.to_jiff(),
                actor: row.actor,
                comment: row.comment,
            })
        })
        .collect()
}

/// One statement, so one snapshot: totals and journal are seen as of the same
/// commit.
pub(super) async fn verify(pool: &PgPool) -> Result<Verification, Error> {
    let row = sqlx::query!(
        r#"with journal as (
             select budget_id,
                 sum(amount) filter (where account = 'allocated') as allocated,
                 sum(amount) filter (where account = 'net_transfers') as net_transfers,
                 sum(amount) filter (where account = 'encumbered') as encumbered,
                 sum(amount) filter (where account = 'awaiting_payment') as awaiting_payment,
                 sum(amount) filter (where account = 'expended') as expended,
                 sum(amount) filter (where account = 'credited') as credited
             from journal_entry group by budget_id
         ), orders as (
             select budget_id, sum(amount) as encumbered
             from encumbrance where status = 'unreleased' group by budget_id
         ), compared as (
             select b.id,
                 (b.allocated, b.net_transfers, b.encumbered, b.awaiting_payment, b.expended, b.credited)
                 is distinct from
                 (coalesce(j.allocated, 0), coalesce(j.net_transfers, 0), coalesce(j.encumbered, 0),
                  coalesce(j.awaiting_payment, 0), coalesce(j.expended, 0), coalesce(j.credited, 0))
                 or b.encumbered <> coalesce(o.encumbered, 0) as differs
             from budget b
             left join journal j on j.budget_id = b.id
             left join orders o on o.budget_id = b.id
         )
         select count(*) as "budget_count!",
             coalesce((array_agg(id order by id) filter (where differs))[:1000], '{}') as "differing!"
         from compared"#,
    )
    .fetch_one(pool)
    .await?;
    Ok(Verification {
        budget_count: row.budget_count,
        differing: row.differing,
    })
}
