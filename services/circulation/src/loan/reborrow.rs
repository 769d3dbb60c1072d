//! No immediate re-borrowing: who had an item last is known for as long as
//! they may not have it again, and no longer.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;

use super::model::Loan;

/// Keeps a loan's patron from the item until an instant. The caller holds the
/// item's lock.
pub(crate) async fn forbid(
    connection: &mut PgConnection,
    loan: &Loan,
    returned_at: Timestamp,
    from: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update item_circulation set last_patron_id = $2, last_returned_at = $3, reborrow_from = $4
         where item_id = $1 and $2::uuid is not null",
        loan.item_id,
        loan.patron_id,
        returned_at.to_sqlx() as _,
        from.to_sqlx() as _,
    )
    .execute(connection)
    .await
    .map(drop)
}
