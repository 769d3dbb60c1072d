//! All SQL that touches payments and refunds.

use carrel_ids::new_id;
use carrel_money::Money;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Part, Payment, Refund};
use crate::account::model::Tender;
use crate::columns::money;
use crate::error::Error;

/// Adds a payment; its parts come with the actions that they are. A drawer
/// session that it names is open: it is kept from being counted meanwhile.
pub(crate) async fn insert_payment(
    connection: &mut PgConnection,
    payment: &Payment,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into payment (id, patron_id, tender, tender_reference, amount, tendered, currency, taken_by, taken_at,
                              drawer_session_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        payment.id,
        payment.patron_id,
        payment.tender as Tender,
        payment.tender_reference,
        payment.amount.amount(),
        payment.tendered.amount(),
        payment.amount.currency().code(),
        payment.taken_by,
        payment.taken_at.to_sqlx() as jiff_sqlx::Timestamp,
        payment.drawer_session_id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds what a payment pays of one charge.
pub(crate) async fn insert_part(
    connection: &mut PgConnection,
    payment_id: Uuid,
    account_id: Uuid,
    action_id: Uuid,
    amount: Money,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into payment_part (payment_id, account_id, action_id, amount) values ($1, $2, $3, $4)",
        payment_id,
        account_id,
        action_id,
        amount.amount(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes what is given back of a part whose account is locked.
pub(crate) async fn give_back(
    connection: &mut PgConnection,
    payment_id: Uuid,
    account_id: Uuid,
    amount: Money,
) -> Result<(), Error> {
    let given = sqlx::query!(
        "update payment_part set given_back = given_back + $3
         where payment_id = $1 and account_id = $2 and amount - given_back >= $3",
        payment_id,
        account_id,
        amount.amount(),
    )
    .execute(connection)
    .await?;
    if given.rows_affected() == 1 {
        Ok(())
    } else {
        Err(Error::RefundExceedsPayment)
    }
}

/// Notes that a part of which nothing was given back is given back whole.
pub(crate) async fn give_whole_back(
    connection: &mut PgConnection,
    payment_id: Uuid,
    account_id: Uuid,
) -> Result<(), Error> {
    let given = sqlx::query!(
        "update payment_part set given_back = amount
         where payment_id = $1 and account_id = $2 and given_back = 0",
        payment_id,
        account_id,
    )
    .execute(connection)
    .await?;
    if given.rows_affected() == 1 {
        Ok(())
    } else {
        Err(Error::PaymentSpent)
    }
}

/// Adds a refund, for the drawer that it comes out of.
pub(crate) async fn insert_refund(
    connection: &mut PgConnection,
    refund: &Refund,
    tender: Tender,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into refund (id, payment_id, account_id, amount, currency, tender, drawer_session_id, refunded_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        new_id(),
        refund.payment_id,
        refund.account_id,
        refund.amount.amount(),
        refund.amount.currency().code(),
        tender as Tender,
        refund.drawer_session_id,
        now.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that a cheque came back; false where it had before.
pub(crate) async fn mark_returned(
    connection: &mut PgConnection,
    id: Uuid,
    now: Timestamp,
) -> Result<bool, Error> {
    let returned = sqlx::query!(
        "update payment set returned_at = $2 where id = $1 and returned_at is null",
        id,
        now.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(connection)
    .await?;
    Ok(returned.rows_affected() == 1)
}

/// Payments with their parts, newest first.
pub(crate) async fn list_by_ids(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Payment>, Error> {
    let rows = sqlx::query!(
        r#"select p.id, p.patron_id, p.tender as "tender: Tender", p.tender_reference, p.amount, p.tendered, p.currency,
                  p.taken_by, p.taken_at, p.drawer_session_id, p.returned_at, part.account_id, a.reference,
                  part.amount as part_amount, part.given_back, t.statement_text
           from payment p
           join payment_part part on part.payment_id = p.id
           join account a on a.id = part.account_id
           join fee_fine_type t on t.id = a.fee_fine_type_id
           where p.id = any($1) order by p.id desc, part.action_id"#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    let mut payments: Vec<Payment> = Vec::new();
    for row in rows {
        let part = Part {
            account_id: row.account_id,
            reference: row.reference,
            amount: money(row.part_amount, &row.currency)?,
            given_back: money(row.given_back, &row.currency)?,
            statement_text: row.statement_text,
        };
        match payments.last_mut() {
            Some(last) if last.id == row.id => last.parts.push(part),
            Some(_) | None => payments.push(Payment {
                id: row.id,
                patron_id: row.patron_id,
                tender: row.tender,
                tender_reference: row.tender_reference,
                amount: money(row.amount, &row.currency)?,
                tendered: money(row.tendered, &row.currency)?,
                taken_by: row.taken_by,
                taken_at: row.taken_at.to_jiff(),
                drawer_session_id: row.drawer_session_id,
                returned_at: row.returned_at.map(jiff_sqlx::Timestamp::to_jiff),
                parts: vec![part],
            }),
        }
    }
    Ok(payments)
}

/// The ids of payments, newest first.
pub(crate) async fn list_ids(
    connection: &mut PgConnection,
    patron_id: Option<Uuid>,
    drawer_session_id: Option<Uuid>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Uuid>, Error> {
    Ok(sqlx::query_scalar!(
        "select id from payment
         where ($1::uuid is null or patron_id = $1) and ($2::uuid is null or drawer_session_id = $2)
           and ($3::uuid is null or id < $3)
         order by id desc limit $4",
        patron_id,
        drawer_session_id,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?)
}
