//! What the district decides about money at the desk.

pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_money::Money;
use rust_decimal::Decimal;

use crate::error::Error;
use crate::{Actor, Billing, account, message};

/// The rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillingRules {
    /// What a patron owes below this does not count towards blocks.
    pub minimum_counted: Decimal,
    /// What is written off of one charge above this needs a second person.
    pub write_off_limit: Decimal,
    /// Rises with each update.
    pub revision: i64,
}

/// Reads the rules.
///
/// # Errors
/// The database's.
pub async fn get(billing: &Billing) -> Result<BillingRules, Error> {
    let mut connection = billing.database.pool().acquire().await?;
    store::get(&mut connection).await
}

/// Sets the rules; tells the feed of every balance that now counts differently.
///
/// # Errors
/// [`Error::AmountNegative`], [`Error::CurrencyNotKept`], [`Error::EtagMismatch`].
pub async fn update(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    minimum_counted: Money,
    write_off_limit: Money,
    seen_revision: Option<i64>,
) -> Result<BillingRules, Error> {
    for amount in [minimum_counted, write_off_limit] {
        if amount.is_negative() {
            return Err(Error::AmountNegative);
        }
        if amount.currency() != billing.currency {
            return Err(Error::CurrencyNotKept);
        }
    }
    let now = billing.clock.now();
    let rules = transact!(billing.database, "update_billing_rules", |transaction| {
        if claim(transaction, key, &[], now).await?? != Claim::New {
            return store::get(transaction).await;
        }
        let old = store::lock(transaction).await?;
        if seen_revision.is_some_and(|seen| seen != old.revision) {
            return Err(Error::EtagMismatch);
        }
        let rules = BillingRules {
            minimum_counted: minimum_counted.amount(),
            write_off_limit: write_off_limit.amount(),
            revision: old.revision + 1,
        };
        store::update(transaction, &rules).await?;
        let recounted = account::store::recount_balances(
            transaction,
            old.minimum_counted,
            rules.minimum_counted,
        )
        .await?;
        let events = recounted
            .iter()
            .map(|balance| message::balance_changed(balance, now))
            .collect();
        carrel_outbox::append(transaction, &actor.caused(events)).await?;
        Ok(rules)
    })?;
    billing.committed();
    Ok(rules)
}
