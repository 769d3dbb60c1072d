//! All SQL that touches accounts, their actions, references and balances.

use carrel_money::Money;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::correction::counted;
use super::model::{Account, ActionKind, FeeFineKind, PaymentStatus, Suspension, Tender};
use super::{Action, Balance};
use crate::columns::money;
use crate::error::Error;

struct AccountRow {
    id: Uuid,
    reference: String,
    patron_id: Uuid,
    fee_fine_owner_id: Uuid,
    fee_fine_type_id: Uuid,
    kind: FeeFineKind,
    currency: String,
    amount: Decimal,
    remaining: Decimal,
    paid: Decimal,
    waived: Decimal,
    credited: Decimal,
    settled: Decimal,
    at_sis: Decimal,
    written_off: Decimal,
    cancelled: Decimal,
    owed_back: Decimal,
    tax: Decimal,
    is_disputed: bool,
    is_claimed_returned: bool,
    suspended_since: Option<jiff_sqlx::Timestamp>,
    ages_from: jiff_sqlx::Timestamp,
    payment_status: PaymentStatus,
    source_id: Option<Uuid>,
    loan_id: Option<Uuid>,
    institution_code: Option<String>,
    library_code: Option<String>,
    charged_at: jiff_sqlx::Timestamp,
    revision: i64,
}

impl TryFrom<AccountRow> for Account {
    type Error = Error;

    fn try_from(row: AccountRow) -> Result<Self, Error> {
        let in_currency = |amount| money(amount, &row.currency);
        Ok(Self {
            id: row.id,
            amount: in_currency(row.amount)?,
            remaining: in_currency(row.remaining)?,
            paid: in_currency(row.paid)?,
            waived: in_currency(row.waived)?,
            credited: in_currency(row.credited)?,
            settled: in_currency(row.settled)?,
            at_sis: in_currency(row.at_sis)?,
            written_off: in_currency(row.written_off)?,
            cancelled: in_currency(row.cancelled)?,
            owed_back: in_currency(row.owed_back)?,
            tax: in_currency(row.tax)?,
            suspension: Suspension {
                is_disputed: row.is_disputed,
                is_claimed_returned: row.is_claimed_returned,
                since: row.suspended_since.map(jiff_sqlx::Timestamp::to_jiff),
                ages_from: row.ages_from.to_jiff(),
            },
            reference: row.reference,
            patron_id: row.patron_id,
            fee_fine_owner_id: row.fee_fine_owner_id,
            fee_fine_type_id: row.fee_fine_type_id,
            kind: row.kind,
            payment_status: row.payment_status,
            source_id: row.source_id,
            loan_id: row.loan_id,
            institution_code: row.institution_code,
            library_code: row.library_code,
            charged_at: row.charged_at.to_jiff(),
            revision: row.revision,
        })
    }
}

/// Takes a reference for a charge; false where another has it.
pub(crate) async fn take_reference(
    connection: &mut PgConnection,
    reference: &str,
    account_id: Uuid,
) -> Result<bool, Error> {
    let taken = sqlx::query!(
        "insert into reference (reference, account_id) values ($1, $2) on conflict do nothing",
        reference,
        account_id,
    )
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Adds an account; false where the source was charged before.
pub(crate) async fn insert_account(
    connection: &mut PgConnection,
    account: &Account,
) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        "insert into account (id, reference, patron_id, fee_fine_owner_id, fee_fine_type_id, kind, currency, amount,
                              remaining, payment_status, source_id, loan_id, institution_code, library_code,
                              charged_at, revision, tax, ages_from)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $15)
         on conflict on constraint account_source_kind_key do nothing",
        account.id,
        account.reference,
        account.patron_id,
        account.fee_fine_owner_id,
        account.fee_fine_type_id,
        account.kind as FeeFineKind,
        account.amount.currency().code(),
        account.amount.amount(),
        account.remaining.amount(),
        account.payment_status as PaymentStatus,
        account.source_id,
        account.loan_id,
        account.institution_code,
        account.library_code,
        account.charged_at.to_sqlx() as jiff_sqlx::Timestamp,
        account.revision,
        account.tax.amount(),
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Writes what a step changed.
pub(crate) async fn update_account(
    connection: &mut PgConnection,
    account: &Account,
) -> Result<(), Error> {
    let updated = sqlx::query!(
        "update account
         set remaining = $2, paid = $3, waived = $4, credited = $5, settled = $6, at_sis = $7, payment_status = $8,
             revision = $9, loan_id = $10, written_off = $11, cancelled = $12, owed_back = $13, is_disputed = $14,
             is_claimed_returned = $15, suspended_since = $16, ages_from = $17
         where id = $1 and revision = $9::bigint - 1",
        account.id,
        account.remaining.amount(),
        account.paid.amount(),
        account.waived.amount(),
        account.credited.amount(),
        account.settled.amount(),
        account.at_sis.amount(),
        account.payment_status as PaymentStatus,
        account.revision,
        account.loan_id,
        account.written_off.amount(),
        account.cancelled.amount(),
        account.owed_back.amount(),
        account.suspension.is_disputed,
        account.suspension.is_claimed_returned,
        account.suspension.since.map(ToSqlx::to_sqlx) as Option<jiff_sqlx::Timestamp>,
        account.suspension.ages_from.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(connection)
    .await?;
    if updated.rows_affected() == 1 {
        Ok(())
    } else {
        Err(Error::OutOfBalance("an account changed under its lock"))
    }
}

/// Reads an account.
pub(crate) async fn find_account(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<Account>, Error> {
    sqlx::query_as!(
        AccountRow,
        r#"select id, reference, patron_id, fee_fine_owner_id, fee_fine_type_id, kind as "kind: FeeFineKind", currency,
                  amount, remaining, paid, waived, credited, settled, at_sis, written_off, cancelled, owed_back, tax,
                  is_disputed, is_claimed_returned, suspended_since, ages_from,
                  payment_status as "payment_status: PaymentStatus", source_id, loan_id, institution_code,
                  library_code, charged_at, revision
           from account where id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await?
    .map(Account::try_from)
    .transpose()
}

/// Reads an account and keeps others from changing it.
pub(crate) async fn lock_account(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<Account>, Error> {
    sqlx::query_as!(
        AccountRow,
        r#"select id, reference, patron_id, fee_fine_owner_id, fee_fine_type_id, kind as "kind: FeeFineKind", currency,
                  amount, remaining, paid, waived, credited, settled, at_sis, written_off, cancelled, owed_back, tax,
                  is_disputed, is_claimed_returned, suspended_since, ages_from,
                  payment_status as "payment_status: PaymentStatus", source_id, loan_id, institution_code,
                  library_code, charged_at, revision
           from account where id = $1 for update"#,
        id,
    )
    .fetch_optional(connection)
    .await?
    .map(Account::try_from)
    .transpose()
}

/// Reads accounts and keeps others from changing them; locked by id, so that
/// nobody waits for somebody who waits.
pub(crate) async fn lock_accounts(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Account>, Error> {
    sqlx::query_as!(
        AccountRow,
        r#"select id, reference, patron_id, fee_fine_owner_id, fee_fine_type_id, kind as "kind: FeeFineKind", currency,
                  amount, remaining, paid, waived, credited, settled, at_sis, written_off, cancelled, owed_back, tax,
                  is_disputed, is_claimed_returned, suspended_since, ages_from,
                  payment_status as "payment_status: PaymentStatus", source_id, loan_id, institution_code,
                  library_code, charged_at, revision
           from account where id = any($1) order by id for update"#,
        ids,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(Account::try_from)
    .collect()
}

/// The open charges of a patron, oldest first.
pub(crate) async fn list_open_ids(
    connection: &mut PgConnection,
    patron_id: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, Error> {
    Ok(sqlx::query_scalar!(
        "select id from account where patron_id = $1 and remaining > 0 order by charged_at, id limit $2",
        patron_id,
        limit,
    )
    .fetch_all(connection)
    .await?)
}

/// The charges of a loan whose claim stands otherwise than told.
pub(crate) async fn list_claim_changes(
    connection: &mut PgConnection,
    loan_id: Uuid,
    is_claimed_returned: bool,
) -> Result<Vec<Uuid>, Error> {
    Ok(sqlx::query_scalar!(
        "select id from account where loan_id = $1 and is_claimed_returned <> $2 order by id",
        loan_id,
        is_claimed_returned,
    )
    .fetch_all(connection)
    .await?)
}

/// The accounts of a fine or loss, with their kinds.
pub(crate) async fn list_charged(
    connection: &mut PgConnection,
    source_id: Uuid,
) -> Result<Vec<(Uuid, FeeFineKind)>, Error> {
    let rows = sqlx::query!(
        r#"select id, kind as "kind: FeeFineKind" from account where source_id = $1 order by id"#,
        source_id,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.kind)).collect())
}

/// The account that a reference stands for.
pub(crate) async fn find_account_id_by_reference(
    connection: &mut PgConnection,
    reference: &str,
) -> Result<Option<Uuid>, Error> {
    Ok(sqlx::query_scalar!(
        "select account_id from reference where reference = $1",
        reference,
    )
    .fetch_optional(connection)
    .await?)
}

/// Accounts, newest first. `is_open`: only open or only closed ones.
pub(crate) async fn list_accounts(
    connection: &mut PgConnection,
    patron_id: Option<Uuid>,
    is_open: Option<bool>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Account>, Error> {
    sqlx::query_as!(
        AccountRow,
        r#"select id, reference, patron_id, fee_fine_owner_id, fee_fine_type_id, kind as "kind: FeeFineKind", currency,
                  amount, remaining, paid, waived, credited, settled, at_sis, written_off, cancelled, owed_back, tax,
                  is_disputed, is_claimed_returned, suspended_since, ages_from,
                  payment_status as "payment_status: PaymentStatus", source_id, loan_id, institution_code,
                  library_code, charged_at, revision
           from account
           where ($1::uuid is null or patron_id = $1)
             and ($2::boolean is null or (remaining > 0) = $2)
             and ($3::uuid is null or id < $3)
           order by id desc limit $4"#,
        patron_id,
        is_open,
        before,
        limit,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(Account::try_from)
    .collect()
}

/// Adds what was done.
pub(crate) async fn insert_action(
    connection: &mut PgConnection,
    account_id: Uuid,
    action: &Action,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into account_action (id, account_id, kind, amount, remaining, currency, actor, comment, tender,
                                     tender_reference, occurred_at, journal_transaction_id, payment_id,
                                     reverses_action_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        action.id,
        account_id,
        action.kind as ActionKind,
        action.amount.amount(),
        action.remaining.amount(),
        action.amount.currency().code(),
        action.actor,
        action.comment,
        action.tender as Option<Tender>,
        action.tender_reference,
        action.occurred_at.to_sqlx() as jiff_sqlx::Timestamp,
        action.journal_transaction_id,
        action.payment_id,
        action.reverses_action_id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What was done to an account, oldest first.
pub(crate) async fn list_actions(
    connection: &mut PgConnection,
    account_id: Uuid,
) -> Result<Vec<Action>, Error> {
    sqlx::query!(
        r#"select id, kind as "kind: ActionKind", amount, remaining, currency, actor, comment,
                  tender as "tender: Tender", tender_reference, occurred_at, journal_transaction_id, payment_id,
                  reverses_action_id
           from account_action where account_id = $1 order by id"#,
        account_id,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(|row| {
        Ok(Action {
            id: row.id,
            kind: row.kind,
            amount: money(row.amount, &row.currency)?,
            remaining: money(row.remaining, &row.currency)?,
            actor: row.actor,
            comment: row.comment,
            tender: row.tender,
            tender_reference: row.tender_reference,
            occurred_at: row.occurred_at.to_jiff(),
            journal_transaction_id: row.journal_transaction_id,
            payment_id: row.payment_id,
            reverses_action_id: row.reverses_action_id,
        })
    })
    .collect()
}

/// The journal transaction that made the charge.
pub(crate) async fn charge_transaction(
    connection: &mut PgConnection,
    account_id: Uuid,
) -> Result<Uuid, Error> {
    Ok(sqlx::query_scalar!(
        r#"select journal_transaction_id as "journal_transaction_id!"
           from account_action where account_id = $1 and kind = 'charge'"#,
        account_id,
    )
    .fetch_one(connection)
    .await?)
}

struct BalanceRow {
    patron_id: Uuid,
    outstanding: Decimal,
    suspended: Decimal,
    minimum_counted: Decimal,
    currency: String,
    revision: i64,
}

impl TryFrom<BalanceRow> for Balance {
    type Error = Error;

    fn try_from(row: BalanceRow) -> Result<Self, Error> {
        let counted = counted(row.outstanding, row.suspended, row.minimum_counted);
        Ok(Self {
            patron_id: row.patron_id,
            outstanding: money(row.outstanding, &row.currency)?,
            counted: money(counted, &row.currency)?,
            revision: row.revision,
        })
    }
}

/// Adds to what a patron owes, and to what of it is suspended; locks the
/// balance until the commit.
pub(crate) async fn change_balance(
    connection: &mut PgConnection,
    patron_id: Uuid,
    change: Money,
    suspended_change: Money,
) -> Result<Balance, Error> {
    sqlx::query_as!(
        BalanceRow,
        // The row that is proposed is checked too, hence greatest(): the first
        // change of a balance is a charge.
        r#"insert into patron_balance as balance (patron_id, outstanding, currency, revision)
         values ($1, greatest($2::numeric, 0), $3, 1)
         on conflict (patron_id) do update
         set outstanding = balance.outstanding + $2, suspended = balance.suspended + $4,
             revision = balance.revision + 1
         where balance.currency = excluded.currency
         returning patron_id, outstanding, suspended,
                   (select minimum_counted from billing_rules) as "minimum_counted!", currency, revision"#,
        patron_id,
        change.amount(),
        change.currency().code(),
        suspended_change.amount(),
    )
    .fetch_optional(connection)
    .await?
    .ok_or(Error::CurrencyNotKept)?
    .try_into()
}

/// What a patron owes; `None` where the patron was never charged.
pub(crate) async fn find_balance(
    connection: &mut PgConnection,
    patron_id: Uuid,
) -> Result<Option<Balance>, Error> {
    sqlx::query_as!(
        BalanceRow,
        r#"select patron_id, outstanding, suspended, minimum_counted, currency, patron_balance.revision
         from patron_balance cross join billing_rules where patron_id = $1"#,
        patron_id,
    )
    .fetch_optional(connection)
    .await?
    .map(Balance::try_from)
    .transpose()
}

/// Balances by patron id.
pub(crate) async fn list_balances(
    connection: &mut PgConnection,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Balance>, Error> {
    sqlx::query_as!(
        BalanceRow,
        "select patron_id, outstanding, suspended, minimum_counted, currency, patron_balance.revision
         from patron_balance cross join billing_rules
         where ($1::uuid is null or patron_id > $1) order by patron_id limit $2",
        after,
        limit,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(Balance::try_from)
    .collect()
}

/// Balances that another minimum counts differently, as another revision.
pub(crate) async fn recount_balances(
    connection: &mut PgConnection,
    old_minimum: Decimal,
    new_minimum: Decimal,
) -> Result<Vec<Balance>, Error> {
    sqlx::query_as!(
        BalanceRow,
        r#"update patron_balance set revision = patron_balance.revision + 1
         where outstanding - suspended >= least($1::numeric, $2::numeric)
           and outstanding - suspended < greatest($1::numeric, $2::numeric)
           and outstanding > suspended
         returning patron_id, outstanding, suspended, $2::numeric as "minimum_counted!", currency, revision"#,
        old_minimum,
        new_minimum,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(Balance::try_from)
    .collect()
}

/// Notes that a lost item came back; false where it was noted before.
pub(crate) async fn insert_loss_return(
    connection: &mut PgConnection,
    loss_id: Uuid,
    refund_lost_item_fee: bool,
    refund_processing_fee: bool,
    returned_at: Timestamp,
) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        "insert into loss_return (loss_id, refund_lost_item_fee, refund_processing_fee, returned_at)
         values ($1, $2, $3, $4) on conflict do nothing",
        loss_id,
        refund_lost_item_fee,
        refund_processing_fee,
        returned_at.to_sqlx() as jiff_sqlx::Timestamp,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// What the policy gives back of a loss whose item came back: the lost item
/// fee, the processing fee.
pub(crate) async fn find_loss_return(
    connection: &mut PgConnection,
    loss_id: Uuid,
) -> Result<Option<(bool, bool)>, Error> {
    let row = sqlx::query!(
        "select refund_lost_item_fee, refund_processing_fee from loss_return where loss_id = $1",
        loss_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.refund_lost_item_fee, row.refund_processing_fee)))
}
