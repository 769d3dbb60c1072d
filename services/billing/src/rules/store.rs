//! All SQL that touches the rules.

use sqlx::PgConnection;

use super::BillingRules;
use crate::error::Error;

/// Reads the rules.
pub(crate) async fn get(connection: &mut PgConnection) -> Result<BillingRules, Error> {
    Ok(sqlx::query_as!(
        BillingRules,
        "select minimum_counted, write_off_limit, revision from billing_rules",
    )
    .fetch_one(connection)
    .await?)
}

/// Reads the rules and keeps others from changing them.
pub(crate) async fn lock(connection: &mut PgConnection) -> Result<BillingRules, Error> {
    Ok(sqlx::query_as!(
        BillingRules,
        "select minimum_counted, write_off_limit, revision from billing_rules for update",
    )
    .fetch_one(connection)
    .await?)
}

/// Sets the rules.
pub(crate) async fn update(
    connection: &mut PgConnection,
    rules: &BillingRules,
) -> Result<(), Error> {
    sqlx::query!(
        "update billing_rules set minimum_counted = $1, write_off_limit = $2, revision = $3",
        rules.minimum_counted,
        rules.write_off_limit,
        rules.revision,
    )
    .execute(connection)
    .await?;
    Ok(())
}
