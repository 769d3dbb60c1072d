//! All SQL that touches the journal.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::close::ClosedMonth;
use super::model::{LedgerAccount, Line, Transaction};
use super::statement::StatementLine;
use super::{Disagreement, SisLedger};
use crate::account::model::ActionKind;
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
             insert into journal_transaction (id, account_id, booked_at, reverses_transaction_id, subject_id, adjusts_month)
             values ($1, $2, $3, $4, $8,
                     (select closed.month from closed_month closed
                      join journal_transaction original on original.id = $4 and original.booked_at < closed.ended_at
                      order by closed.month limit 1))
             returning id
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
        transaction.subject_id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How a ledger account stands, and what moved it.
pub(crate) struct BalanceRow {
    pub(crate) ledger_account: LedgerAccount,
    pub(crate) opening: Decimal,
    pub(crate) debits: Decimal,
    pub(crate) credits: Decimal,
}

/// Each ledger account before an instant, and its debits and credits from then
/// until another.
pub(crate) async fn trial_balance(
    connection: &mut PgConnection,
    currency: &str,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<Vec<BalanceRow>, Error> {
    Ok(sqlx::query_as!(
        BalanceRow,
        r#"select e.ledger_account as "ledger_account: LedgerAccount",
                  coalesce(sum(e.amount) filter (where t.booked_at < $2), 0) as "opening!",
                  coalesce(sum(e.amount) filter (
                      where e.amount > 0 and ($2::timestamptz is null or t.booked_at >= $2)), 0) as "debits!",
                  coalesce(-sum(e.amount) filter (
                      where e.amount < 0 and ($2::timestamptz is null or t.booked_at >= $2)), 0) as "credits!"
           from journal_entry e join journal_transaction t on t.id = e.transaction_id
           where e.currency = $1 and ($3::timestamptz is null or t.booked_at < $3)
           group by e.ledger_account"#,
        currency,
        from.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        until.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
    )
    .fetch_all(connection)
    .await?)
}

/// Transactions with their entries, newest first.
pub(crate) async fn list_transactions(
    connection: &mut PgConnection,
    account_id: Option<Uuid>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Transaction>, Error> {
    let rows = sqlx::query!(
        r#"select t.id, t.account_id, t.booked_at, t.reverses_transaction_id, t.subject_id, t.adjusts_month,
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
                subject_id: row.subject_id,
                reverses: row.reverses_transaction_id,
                adjusts_month: row.adjusts_month.map(jiff_sqlx::Date::to_jiff),
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
                      sum(e.amount) filter (where e.ledger_account = 'write_offs') as written_off,
                      sum(e.amount) filter (where e.ledger_account in ('revenue', 'tax_payable')) as earned,
                      -sum(e.amount) filter (where e.ledger_account = 'tax_payable') as tax,
                      -sum(e.amount) filter (where e.ledger_account = 'refunds_payable') as owed_back,
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
                   ('paid', a.paid, coalesce(b.paid, 0)),
                   ('written off', a.written_off, coalesce(b.written_off, 0)),
                   ('cancelled', a.cancelled, a.amount + coalesce(b.earned, 0)),
                   ('owed back', a.owed_back, coalesce(b.owed_back, 0)),
                   ('tax', case when a.cancelled = 0 then a.tax else 0 end, coalesce(b.tax, 0)),
                   ('payments', a.paid + a.owed_back,
                    coalesce((select sum(p.amount - p.given_back) from payment_part p where p.account_id = a.id), 0))
               ) as part (name, kept, booked)
               where part.kept <> part.booked
               union all
               select '', balance.patron_id, balance.currency, part.name, part.kept, part.booked
               from patron_balance balance
               left join (select patron_id, sum(remaining) as owed,
                                 sum(remaining) filter (where is_suspended) as suspended
                          from account group by patron_id) a on a.patron_id = balance.patron_id
               cross join lateral (values
                   ('balance', balance.outstanding, coalesce(a.owed, 0)),
                   ('suspended', balance.suspended, coalesce(a.suspended, 0))
               ) as part (name, kept, booked)
               where part.kept <> part.booked
               union all
               select '', p.id, p.currency, 'payment', p.amount, coalesce(part.amount, 0)
               from payment p
               left join (select payment_id, sum(amount) as amount from payment_part group by payment_id) part
                      on part.payment_id = p.id
               where p.amount <> coalesce(part.amount, 0)
               union all
               select '', null, closed.currency, to_char(closed.month, 'YYYY-MM') || ' ' || closed.ledger_account,
                      closed.balance, coalesce(sum(e.amount), 0)
               from closed_month_balance closed
               join closed_month on closed_month.month = closed.month
               left join (journal_entry e join journal_transaction t on t.id = e.transaction_id)
                      on e.ledger_account = closed.ledger_account and e.currency = closed.currency
                     and t.booked_at < closed_month.ended_at
               group by closed.month, closed.ledger_account, closed.currency, closed.balance
               having closed.balance <> coalesce(sum(e.amount), 0)
           )
           select reference as "reference!", coalesce(account_id, '00000000-0000-0000-0000-000000000000'::uuid) as "row_id!", currency as "currency!", part as "part!",
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
        r#"select t.account_id as "account_id!", sum(e.amount) as "amount!"
           from journal_entry e join journal_transaction t on t.id = e.transaction_id
           where e.ledger_account in ('sis_clearing', 'sis_settled') and t.account_id is not null
           group by t.account_id"#,
    )
    .fetch_all(connection)
    .await?)
}

/// Waits for whoever is booking, and keeps others from it until the commit.
pub(crate) async fn lock_journal(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query!("lock table journal_transaction in share row exclusive mode")
        .execute(connection)
        .await?;
    Ok(())
}

/// The last month that is closed.
pub(crate) async fn last_closed(connection: &mut PgConnection) -> Result<Option<Date>, Error> {
    let last = sqlx::query_scalar!("select max(month) from closed_month")
        .fetch_one(connection)
        .await?;
    Ok(last.map(jiff_sqlx::Date::to_jiff))
}

/// Closes a month, with the trial balance at its end.
pub(crate) async fn insert_closed_month(
    connection: &mut PgConnection,
    closed: &ClosedMonth,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into closed_month (month, ended_at, closed_by, closed_at) values ($1, $2, $3, $4)",
        closed.month.to_sqlx() as jiff_sqlx::Date,
        closed.ended_at.to_sqlx() as jiff_sqlx::Timestamp,
        closed.closed_by,
        closed.closed_at.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into closed_month_balance (month, ledger_account, currency, balance)
         select $1, e.ledger_account, e.currency, sum(e.amount)
         from journal_entry e join journal_transaction t on t.id = e.transaction_id
         where t.booked_at < $2 group by e.ledger_account, e.currency",
        closed.month.to_sqlx() as jiff_sqlx::Date,
        closed.ended_at.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Closed months, newest first; with a month, only those before it.
pub(crate) async fn list_closed_months(
    connection: &mut PgConnection,
    before: Option<Date>,
    limit: i64,
) -> Result<Vec<ClosedMonth>, Error> {
    let rows = sqlx::query!(
        "select month, ended_at, closed_by, closed_at from closed_month
         where ($1::date is null or month < $1) order by month desc limit $2",
        before.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Date>,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ClosedMonth {
            month: row.month.to_jiff(),
            ended_at: row.ended_at.to_jiff(),
            closed_by: row.closed_by,
            closed_at: row.closed_at.to_jiff(),
        })
        .collect())
}

/// A closed month.
pub(crate) async fn find_closed_month(
    connection: &mut PgConnection,
    month: Date,
) -> Result<Option<ClosedMonth>, Error> {
    let before = month.tomorrow().ok();
    let last = list_closed_months(connection, before, 1).await?.pop();
    Ok(last.filter(|closed| closed.month == month))
}

/// What follows in this transaction sees one state of the books.
pub(crate) async fn freeze(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query!("set transaction isolation level repeatable read, read only")
        .execute(connection)
        .await?;
    Ok(())
}

/// What a patron owed before and after some days.
pub(crate) async fn owed_around(
    connection: &mut PgConnection,
    patron_id: Uuid,
    (from, until): (Option<Timestamp>, Option<Timestamp>),
) -> Result<(Decimal, Decimal), Error> {
    let row = sqlx::query!(
        r#"select coalesce(sum(e.amount) filter (where t.booked_at < $2), 0) as "opening!",
                  coalesce(sum(e.amount), 0) as "closing!"
           from account a
           join journal_transaction t on t.account_id = a.id
           join journal_entry e on e.transaction_id = t.id
           where a.patron_id = $1 and e.ledger_account in ('patron_receivable', 'sis_clearing')
             and ($3::timestamptz is null or t.booked_at < $3)"#,
        patron_id,
        from.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        until.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
    )
    .fetch_one(connection)
    .await?;
    Ok((row.opening, row.closing))
}

/// Each change of what a patron owes in some days, oldest first.
pub(crate) async fn list_changes(
    connection: &mut PgConnection,
    patron_id: Uuid,
    (from, until): (Option<Timestamp>, Option<Timestamp>),
    after: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<StatementLine>, Error> {
    let (after_at, after_id) = after.unzip();
    let rows = sqlx::query!(
        r#"with change as (
               select t.id, t.booked_at, t.account_id, sum(e.amount) as amount
               from account a
               join journal_transaction t on t.account_id = a.id
               join journal_entry e on e.transaction_id = t.id
               where a.patron_id = $1 and e.ledger_account in ('patron_receivable', 'sis_clearing')
               group by t.id, t.booked_at, t.account_id
               having sum(e.amount) <> 0
           ), line as (
               select change.*, sum(amount) over (order by booked_at, id) as owed from change
           )
           select line.id as "id!", line.booked_at as "booked_at!", line.account_id as "account_id!",
                  line.amount as "amount!", line.owed as "owed!", a.reference as "reference!",
                  kind.statement_text as "statement_text!", action.kind as "kind!: ActionKind"
           from line
           join account a on a.id = line.account_id
           join fee_fine_type kind on kind.id = a.fee_fine_type_id
           join account_action action on action.account_id = a.id and action.journal_transaction_id = line.id
           where ($2::timestamptz is null or line.booked_at >= $2)
             and ($3::timestamptz is null or line.booked_at < $3)
             and ($4::timestamptz is null or (line.booked_at, line.id) > ($4, $5))
           order by line.booked_at, line.id limit $6"#,
        patron_id,
        from.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        until.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        after_at.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        after_id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| StatementLine {
            occurred_at: row.booked_at.to_jiff(),
            account_id: row.account_id,
            reference: row.reference,
            statement_text: row.statement_text,
            kind: row.kind,
            change: row.amount,
            owed: row.owed,
            journal_transaction_id: row.id,
        })
        .collect())
}
