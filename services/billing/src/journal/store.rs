//! All SQL that touches the journal.

use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{LedgerAccount, Line, Transaction};
use super::{Disagreement, SisLedger};
use crate::columns::money;
use crate::error::Error;

/// Books a transaction: it and all its entries by one statement, which the
/// database refuses where they do not sum to zero.
pub(crate) async fn insert_transaction(
    connection: &mut PgConnection,
    transaction: &Transaction,
) -> Result<(), Error> {
    let ledger_accounts: Vec<String> = transaction
        .lines
        .iter()
        .map(|line| line.ledger_account.name().to_owned())
        .collect();
    let amounts: Vec<Decimal> = transaction
        .lines
        .iter()
        .map(|line| line.amount.amount())
        .collect();
    let currencies: Vec<String> = transaction
        .lines
        .iter()
        .map(|line| line.amount.currency().code().to_owned())
        .collect();
    sqlx::query!(
        "with booked as (
             insert into journal_transaction (id, account_id, booked_at, reverses_transaction_id)
             values ($1, $2, $3, $4) returning id
         )
         insert into journal_entry (transaction_id, line, ledger_account, amount, currency)
         select booked.id, entry.line, entry.ledger_account, entry.amount, entry.currency
         from booked, unnest($5::text[], $6::numeric[], $7::text[])
              with ordinality as entry (ledger_account, amount, currency, line)",
        transaction.id,
        transaction.account_id,
        transaction.booked_at.to_sqlx() as jiff_sqlx::Timestamp,
        transaction.reverses,
        &ledger_accounts,
        &amounts,
        &currencies,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The sum of each ledger account's entries.
pub(crate) async fn trial_balance(
    connection: &mut PgConnection,
    currency: &str,
) -> Result<Vec<(LedgerAccount, Decimal)>, Error> {
    let rows = sqlx::query!(
        r#"select ledger_account as "ledger_account: LedgerAccount", sum(amount) as "balance!"
           from journal_entry where currency = $1 group by ledger_account"#,
        currency,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.ledger_account, row.balance))
        .collect())
}

/// Transactions with their entries, newest first.
pub(crate) async fn list_transactions(
    connection: &mut PgConnection,
    account_id: Option<Uuid>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Transaction>, Error> {
    let rows = sqlx::query!(
        r#"select t.id, t.account_id, t.booked_at, t.reverses_transaction_id,
                  e.ledger_account as "ledger_account: LedgerAccount", e.amount, e.currency
           from (select * from journal_transaction
                 where ($1::uuid is null or account_id = $1) and ($2::uuid is null or id < $2)
                 order by id desc limit $3) as t
           join journal_entry e on e.transaction_id = t.id
           order by t.id desc, e.line"#,
        account_id,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let mut transactions: Vec<Transaction> = Vec::new();
    for row in rows {
        let line = Line::debit(row.ledger_account, money(row.amount, &row.currency)?);
        match transactions.last_mut() {
            Some(last) if last.id == row.id => last.lines.push(line),
            Some(_) | None => transactions.push(Transaction {
                id: row.id,
                account_id: row.account_id,
                lines: vec![line],
                booked_at: row.booked_at.to_jiff(),
                reverses: row.reverses_transaction_id,
            }),
        }
    }
    Ok(transactions)
}

/// Where the totals on the rows are not what the journal says; the proof that
/// they are.
pub(crate) async fn list_disagreements(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Disagreement>, Error> {
    let rows = sqlx::query_as!(
        Disagreement,
        r#"with booked as (
               select t.account_id,
                      sum(e.amount) filter (where e.ledger_account in ('patron_receivable', 'sis_clearing')) as owed,
                      sum(e.amount) filter (where e.ledger_account = 'sis_clearing') as at_sis,
                      sum(e.amount) filter (where e.ledger_account = 'sis_settled') as settled,
                      sum(e.amount) filter (where e.ledger_account = 'waivers') as waived,
                      sum(e.amount) filter (where e.ledger_account = 'credits') as credited,
                      sum(e.amount) filter (where e.ledger_account in ('cash', 'refunds_payable')) as paid
               from journal_transaction t left join journal_entry e on e.transaction_id = t.id
               group by t.account_id
           ), wrong as (
               select a.reference, a.id as account_id, a.currency, part.name as part, part.kept, part.booked
               from account a left join booked b on b.account_id = a.id
               cross join lateral (values
                   ('remaining', a.remaining, coalesce(b.owed, 0)),
                   ('at the student account', a.at_sis, coalesce(b.at_sis, 0)),
                   ('settled', a.settled, coalesce(b.settled, 0)),
                   ('waived', a.waived, coalesce(b.waived, 0)),
                   ('credited', a.credited, coalesce(b.credited, 0)),
                   ('paid', a.paid, coalesce(b.paid, 0))
               ) as part (name, kept, booked)
               where part.kept <> part.booked
               union all
               select '', balance.patron_id, balance.currency, 'balance', balance.outstanding,
                      coalesce((select sum(a.remaining) from account a where a.patron_id = balance.patron_id), 0)
               from patron_balance balance
               where balance.outstanding <>
                     coalesce((select sum(a.remaining) from account a where a.patron_id = balance.patron_id), 0)
           )
           select reference as "reference!", account_id as "row_id!", currency as "currency!", part as "part!",
                  kept as "kept!", booked as "booked!"
           from wrong limit $1"#,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// What the ledger has handed to the student-information system, by charge:
/// SIS clearing and SIS settled together.
pub(crate) async fn list_sis_ledger(
    connection: &mut PgConnection,
) -> Result<Vec<SisLedger>, Error> {
    Ok(sqlx::query_as!(
        SisLedger,
        r#"select t.account_id, sum(e.amount) as "amount!"
           from journal_entry e join journal_transaction t on t.id = e.transaction_id
           where e.ledger_account in ('sis_clearing', 'sis_settled')
           group by t.account_id"#,
    )
    .fetch_all(connection)
    .await?)
}
