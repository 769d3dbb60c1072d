//! All SQL on policies and patron limits.

use std::collections::HashMap;
use std::sync::Arc;

use carrel_money::{Decimal, Money};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::model::{BlockedActions, LimitBlocks, PatronLimits, Policy, PolicyKind, Terms};
use crate::error::Error;
use crate::known::CurrentPolicies;

struct PolicyRow {
    id: Uuid,
    kind: String,
    code: String,
    version: i32,
    name: String,
    terms: serde_json::Value,
}

impl PolicyRow {
    fn read<T: Terms>(self) -> Result<Policy<T>, Error> {
        if self.kind != T::KIND.as_str() {
            return Err(Error::Unreadable(format!(
                "policy {} is of another kind",
                self.id
            )));
        }
        Ok(Policy {
            id: self.id,
            terms: serde_json::from_value(self.terms)
                .map_err(|error| Error::Unreadable(format!("policy {}: {error}", self.id)))?,
            code: self.code,
            version: self.version,
            name: self.name,
        })
    }
}

/// Makes creators of policies take turns until their transactions end, so that
/// serials rise in commit order and versions follow on each other. Loans go on
/// meanwhile.
pub(crate) async fn take_turns(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("lock table policy in share row exclusive mode")
        .execute(connection)
        .await
        .map(drop)
}

/// Adds the next version; returns which it is.
pub(crate) async fn insert<T: Terms>(
    connection: &mut PgConnection,
    policy: &Policy<T>,
    author: &str,
    now: Timestamp,
) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into policy (id, kind, code, version, name, terms, created_at, created_by)
         select $1, $2, $3, coalesce(max(version), 0) + 1, $4, $5, $6, $7
         from policy where kind = $2 and code = $3
         returning version",
        policy.id,
        T::KIND.as_str(),
        policy.code,
        policy.name,
        Json(&policy.terms) as _,
        now.to_sqlx() as _,
        author,
    )
    .fetch_one(connection)
    .await
}

pub(crate) async fn get<T: Terms>(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Policy<T>, Error> {
    sqlx::query_as!(
        PolicyRow,
        "select id, kind, code, version, name, terms from policy where id = $1",
        id,
    )
    .fetch_one(connection)
    .await?
    .read()
}

pub(crate) async fn list<T: Terms>(
    connection: &mut PgConnection,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Policy<T>>, Error> {
    let rows = sqlx::query_as!(
        PolicyRow,
        "select distinct on (code) id, kind, code, version, name, terms from policy
         where kind = $1 and ($2::text is null or code > $2)
         order by code, version desc limit $3",
        T::KIND.as_str(),
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(PolicyRow::read).collect()
}

/// One version of a policy of this kind; `None` where there is none with this
/// id.
pub(crate) async fn find<T: Terms>(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<Policy<T>>, Error> {
    let row = sqlx::query_as!(
        PolicyRow,
        "select id, kind, code, version, name, terms from policy where id = $1 and kind = $2",
        id,
        T::KIND.as_str(),
    )
    .fetch_optional(connection)
    .await?;
    row.map(PolicyRow::read).transpose()
}

/// The versions of a code, newest first, before one.
pub(crate) async fn list_versions<T: Terms>(
    connection: &mut PgConnection,
    code: &str,
    before: Option<i32>,
    limit: i64,
) -> Result<Vec<Policy<T>>, Error> {
    let rows = sqlx::query_as!(
        PolicyRow,
        "select id, kind, code, version, name, terms from policy
         where kind = $1 and code = $2 and ($3::integer is null or version < $3)
         order by version desc limit $4",
        T::KIND.as_str(),
        code,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(PolicyRow::read).collect()
}

/// The newest version of each policy, as of a serial.
pub(crate) async fn current(
    connection: &mut PgConnection,
    serial: i64,
) -> Result<CurrentPolicies, Error> {
    let rows = sqlx::query_as!(
        PolicyRow,
        "select distinct on (kind, code) id, kind, code, version, name, terms from policy
         where serial <= $1 order by kind, code, version desc",
        serial,
    )
    .fetch_all(connection)
    .await?;
    let mut current = CurrentPolicies {
        serial,
        ..Default::default()
    };
    for row in rows {
        if row.kind == PolicyKind::Loan.as_str() {
            keep(&mut current.loan, row)?;
        } else if row.kind == PolicyKind::OverdueFine.as_str() {
            keep(&mut current.overdue_fine, row)?;
        } else if row.kind == PolicyKind::Request.as_str() {
            keep(&mut current.request, row)?;
        } else {
            keep(&mut current.lost_item, row)?;
        }
    }
    Ok(current)
}

fn keep<T: Terms>(
    policies: &mut HashMap<String, Arc<Policy<T>>>,
    row: PolicyRow,
) -> Result<(), Error> {
    let policy = row.read::<T>()?;
    policies.insert(policy.code.clone(), Arc::new(policy));
    Ok(())
}

/// The serial of the newest version of any policy.
pub(crate) async fn newest_serial(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select coalesce(max(serial), 0) as "serial!" from policy"#)
        .fetch_one(connection)
        .await
}

pub(crate) async fn replace_limits(
    connection: &mut PgConnection,
    limits: &PatronLimits,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into patron_limits (patron_group, max_loans, max_overdue, max_lost, max_balance, max_balance_currency,
             max_overdue_recalls, max_recall_overdue_days, max_loans_blocks, max_overdue_blocks, max_lost_blocks,
             max_balance_blocks, max_overdue_recalls_blocks, max_recall_overdue_days_blocks)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         on conflict (patron_group) do update set
             max_loans = excluded.max_loans,
             max_overdue = excluded.max_overdue,
             max_lost = excluded.max_lost,
             max_balance = excluded.max_balance,
             max_balance_currency = excluded.max_balance_currency,
             max_overdue_recalls = excluded.max_overdue_recalls,
             max_recall_overdue_days = excluded.max_recall_overdue_days,
             max_loans_blocks = excluded.max_loans_blocks,
             max_overdue_blocks = excluded.max_overdue_blocks,
             max_lost_blocks = excluded.max_lost_blocks,
             max_balance_blocks = excluded.max_balance_blocks,
             max_overdue_recalls_blocks = excluded.max_overdue_recalls_blocks,
             max_recall_overdue_days_blocks = excluded.max_recall_overdue_days_blocks",
        limits.patron_group,
        limits.max_loans,
        limits.max_overdue,
        limits.max_lost,
        limits.max_balance.map(Money::amount),
        limits.max_balance.map(|money| money.currency().code()),
        limits.max_overdue_recalls,
        limits.max_recall_overdue_days,
        limits.blocks.loans.bits(),
        limits.blocks.overdue.bits(),
        limits.blocks.lost.bits(),
        limits.blocks.balance.bits(),
        limits.blocks.overdue_recalls.bits(),
        limits.blocks.recall_overdue_days.bits(),
    )
    .execute(connection)
    .await
    .map(drop)
}

pub(crate) async fn list_limits(
    connection: &mut PgConnection,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<PatronLimits>, Error> {
    let rows = sqlx::query!(
        r#"select patron_group, max_balance, max_balance_currency,
                array[max_loans, max_overdue, max_lost, max_overdue_recalls, max_recall_overdue_days] as "counts!",
                array[max_loans_blocks, max_overdue_blocks, max_lost_blocks, max_balance_blocks,
                    max_overdue_recalls_blocks, max_recall_overdue_days_blocks] as "blocks!"
         from patron_limits where $1::text is null or patron_group > $1
         order by patron_group limit $2"#,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let balance = money(row.max_balance, row.max_balance_currency.as_deref())?;
            limits(row.patron_group, &row.counts, &row.blocks, balance)
        })
        .collect()
}

/// Limits as statements read them: `counts` are those of loans, overdue, lost,
/// overdue recalls and days of overdue recalls; `blocks` those of loans,
/// overdue, lost, balance, overdue recalls and days of overdue recalls.
pub(crate) fn limits(
    patron_group: String,
    counts: &[i32],
    blocks: &[i16],
    max_balance: Option<Money>,
) -> Result<PatronLimits, Error> {
    let (
        &[
            max_loans,
            max_overdue,
            max_lost,
            max_overdue_recalls,
            max_recall_overdue_days,
        ],
        &[a, b, c, d, e, f],
    ) = (counts, blocks)
    else {
        return Err(Error::Unreadable(format!("the limits of {patron_group}")));
    };
    let [
        loans,
        overdue,
        lost,
        balance,
        overdue_recalls,
        recall_overdue_days,
    ] = [a, b, c, d, e, f].map(BlockedActions::from_bits);
    Ok(PatronLimits {
        patron_group,
        max_loans,
        max_overdue,
        max_lost,
        max_balance,
        max_overdue_recalls,
        max_recall_overdue_days,
        blocks: LimitBlocks {
            loans,
            overdue,
            lost,
            balance,
            overdue_recalls,
            recall_overdue_days,
        },
    })
}

/// An amount as two columns keep it.
pub(crate) fn money(
    amount: Option<Decimal>,
    currency: Option<&str>,
) -> Result<Option<Money>, Error> {
    match (amount, currency) {
        (Some(amount), Some(currency)) => Ok(Some(Money::new(amount, currency.parse()?)?)),
        _ => Ok(None),
    }
}
