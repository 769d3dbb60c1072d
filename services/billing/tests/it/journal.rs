//! The database itself keeps the journal sound, whoever writes to it.

use carrel_ids::new_id;
use carrel_testkit::postgres;
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use crate::office::Office;

async fn refused(pool: &PgPool, statement: &str) -> String {
    let error = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()))
        .execute(pool)
        .await
        .expect_err(statement);
    let error = error.as_database_error().expect("the database refuses it");
    error.constraint().unwrap_or("permission denied").to_owned()
}

#[tokio::test]
async fn what_was_booked_cannot_be_changed_or_removed() {
    let office = Office::open().await;
    office.apply(&office.fine(new_id(), 100)).await;
    let pool = &office.pool;
    // As the service's own role, which owns the tables.
    for statement in [
        "update journal_entry set amount = amount + 1",
        "delete from journal_entry",
        "truncate journal_entry",
        "delete from account_action",
        "update account_action set comment = 'x'",
    ] {
        assert_eq!(
            refused(pool, statement).await,
            "permission denied",
            "{statement}"
        );
    }
    assert_eq!(
        refused(pool, "update journal_transaction set booked_at = now()").await,
        "journal_transaction_is_append_only"
    );
    assert_eq!(
        refused(pool, "delete from journal_transaction").await,
        "permission denied"
    );
    // A superuser has every privilege; the triggers stand.
    let Some(mut administrator) = administrator(&office).await else {
        return;
    };
    for (statement, constraint) in [
        (
            "update journal_entry set amount = amount + 1",
            "journal_entry_is_append_only",
        ),
        ("delete from journal_entry", "journal_entry_is_append_only"),
        ("truncate journal_entry", "journal_entry_is_append_only"),
        ("truncate account_action", "account_action_is_append_only"),
        (
            "delete from journal_transaction",
            "journal_transaction_is_append_only",
        ),
    ] {
        let error = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()))
            .execute(&mut administrator)
            .await
            .expect_err(statement);
        assert_eq!(
            error.as_database_error().unwrap().constraint(),
            Some(constraint),
            "{statement}"
        );
    }
    office.assert_sound().await;
}

/// A superuser in the office's database; `None` on a server that is not ours.
async fn administrator(office: &Office) -> Option<PgConnection> {
    let url = postgres()
        .await
        .private()?
        .admin_url(office.pool.connect_options().get_database().unwrap());
    Some(PgConnection::connect(&url).await.unwrap())
}

#[tokio::test]
async fn a_transaction_that_does_not_sum_to_zero_is_refused() {
    let office = Office::open().await;
    let patron_id = new_id();
    office.apply(&office.fine(patron_id, 100)).await;
    let account = office.only_account(patron_id).await;
    let pool = &office.pool;
    let id = book(pool, account.id).await;
    let entry = |line: i32, amount: &str, currency: &str| {
        format!("('{id}', {line}, 'cash', {amount}, '{currency}')")
    };
    let insert =
        |entries: &[String]| format!("insert into journal_entry values {}", entries.join(", "));
    for entries in [
        vec![entry(1, "1.00", "USD"), entry(2, "-0.99", "USD")],
        // Zero in sum, but not in each currency.
        vec![entry(1, "1.00", "USD"), entry(2, "-1.00", "CAD")],
        vec![entry(1, "1.00", "USD")],
    ] {
        assert_eq!(
            refused(pool, &insert(&entries)).await,
            "journal_transaction_sums_to_zero"
        );
    }
    let sound = insert(&[entry(1, "1.00", "USD"), entry(2, "-1.00", "USD")]);
    sqlx::query(sqlx::AssertSqlSafe(sound))
        .execute(pool)
        .await
        .unwrap();
    let later = insert(&[entry(3, "5.00", "USD"), entry(4, "-5.00", "USD")]);
    assert_eq!(refused(pool, &later).await, "journal_transaction_is_whole");
    // What nobody's code would book is found by the proof.
    let wrong = carrel_billing::journal::verify(&office.billing)
        .await
        .unwrap();
    assert!(
        wrong.is_empty(),
        "cash against cash changes no total: {wrong:?}"
    );
}

#[tokio::test]
async fn the_proof_finds_a_total_that_was_tampered_with() {
    let office = Office::open().await;
    let patron_id = new_id();
    office.apply(&office.fine(patron_id, 100)).await;
    let pool = &office.pool;
    sqlx::query("update account set remaining = 0.99, waived = 0.01")
        .execute(pool)
        .await
        .unwrap();
    let wrong = carrel_billing::journal::verify(&office.billing)
        .await
        .unwrap();
    let parts: Vec<&str> = wrong.iter().map(|wrong| wrong.part.as_str()).collect();
    assert_eq!(parts, ["remaining", "waived", "balance"]);
    for (statement, constraint) in [
        (
            "update account set remaining = 1.01",
            "account_parts_add_up",
        ),
        (
            "update account set remaining = -0.01, waived = 1.01",
            "account_remaining_is_within_amount",
        ),
        (
            "update account set at_sis = 1.01",
            "account_at_sis_is_within_amount",
        ),
        (
            "update patron_balance set outstanding = -0.01",
            "patron_balance_is_not_negative",
        ),
    ] {
        assert_eq!(refused(pool, statement).await, constraint);
    }
}

async fn book(pool: &PgPool, account_id: Uuid) -> Uuid {
    let id = new_id();
    sqlx::query("insert into journal_transaction values ($1, $2, now(), null)")
        .bind(id)
        .bind(account_id)
        .execute(pool)
        .await
        .unwrap();
    id
}
