//! Closed months, the trial balance of some days, and a patron's statement.

use carrel_billing::account::correction::CancelReason;
use carrel_billing::account::{self};
use carrel_billing::error::Error;
use carrel_billing::journal::close::{balance_of, close_month};
use carrel_billing::journal::statement::patron_statement;
use carrel_billing::journal::{self, Days, LedgerAccount};
use carrel_ids::new_id;
use jiff::ToSpan;
use jiff::civil::Date;

use crate::office::{Office, desk, new_request, usd};

fn today(office: &Office) -> Date {
    let now = office.billing.clock.now();
    now.to_zoned(office.billing.zone.clone()).date()
}

#[tokio::test]
async fn nothing_is_booked_into_a_closed_month_and_its_correction_names_it() {
    let office = Office::open().await;
    let patron_id = new_id();
    let account = office.fined(patron_id, 1000).await;
    let month = today(&office).first_of_month();
    let close = async |day: Date| close_month(&office.billing, &new_request(), &desk(), day).await;
    assert!(matches!(close(month).await, Err(Error::MonthNotOver)));

    // Two months on.
    let ahead = jiff::SignedDuration::from_hours(24 * 62);
    office
        .billing
        .clock
        .set(office.billing.clock.now() + ahead)
        .unwrap();
    let request = new_request();
    let closed = close_month(&office.billing, &request, &desk(), month)
        .await
        .unwrap();
    let again = close_month(&office.billing, &request, &desk(), month).await;
    assert_eq!(again.unwrap(), closed);
    assert!(matches!(close(month).await, Err(Error::MonthClosed)));
    let before = month - 1.month();
    assert!(matches!(close(before).await, Err(Error::MonthClosed)));

    let (key, reason) = (new_request(), CancelReason::Error);
    account::cancel(
        &office.billing,
        &key,
        &desk(),
        account.id,
        reason,
        "never lent",
    )
    .await
    .unwrap();
    let adjusts: Vec<Option<jiff_sqlx::Date>> =
        sqlx::query_scalar("select adjusts_month from journal_transaction order by id")
            .fetch_all(&office.pool)
            .await
            .unwrap();
    let adjusts: Vec<Option<Date>> = adjusts
        .into_iter()
        .map(|month| month.map(jiff_sqlx::Date::to_jiff))
        .collect();
    assert_eq!(adjusts, [None, Some(month)]);
    let line = |lines: &[journal::LedgerBalance], ledger_account: LedgerAccount| {
        *lines
            .iter()
            .find(|line| line.ledger_account == ledger_account)
            .unwrap()
    };
    let then = balance_of(&office.billing, &closed).await.unwrap();
    let revenue = line(&then, LedgerAccount::Revenue);
    assert_eq!(
        (revenue.opening, revenue.credits, revenue.closing),
        (usd(0), usd(1000), usd(-1000)),
        "the closed month stays as it was"
    );
    let later = Days {
        first: Some(closed.month + 1.month()),
        last: None,
    };
    let (now, sum) = journal::trial_balance_of(&office.billing, later)
        .await
        .unwrap();
    let revenue = line(&now, LedgerAccount::Revenue);
    assert_eq!(
        (revenue.opening, revenue.debits, revenue.closing, sum),
        (usd(-1000), usd(1000), usd(0), usd(0))
    );
    // Whoever writes to the database finds it closed as well.
    let backdated = sqlx::query(
        "insert into journal_transaction (id, account_id, booked_at) values ($1, $2, now())",
    )
    .bind(new_id())
    .bind(account.id)
    .execute(&office.pool)
    .await
    .unwrap_err();
    assert_eq!(
        backdated.as_database_error().unwrap().constraint(),
        Some("journal_transaction_is_in_open_month")
    );
    office.assert_sound().await;
}

#[tokio::test]
async fn a_closing_waits_for_whoever_is_booking() {
    let office = Office::open().await;
    let account = office.fined(new_id(), 1000).await;
    let month = today(&office).first_of_month();
    let then = office.billing.clock.now();
    let mut booking = office.pool.begin().await.unwrap();
    let id = new_id();
    sqlx::query("insert into journal_transaction (id, account_id, booked_at) values ($1, $2, $3)")
        .bind(id)
        .bind(account.id)
        .bind(jiff_sqlx::ToSqlx::to_sqlx(then))
        .execute(&mut *booking)
        .await
        .unwrap();
    let ahead = jiff::SignedDuration::from_hours(24 * 62);
    office
        .billing
        .clock
        .set(office.billing.clock.now() + ahead)
        .unwrap();
    let closing = {
        let billing = office.billing.clone();
        tokio::spawn(async move { close_month(&billing, &new_request(), &desk(), month).await })
    };
    let deadline = std::time::Duration::from_secs(10);
    carrel_testkit::eventually("the closing waits", deadline, async || {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_locks where not granted and mode = 'ShareRowExclusiveLock'
             and database = (select oid from pg_database where datname = current_database())",
        )
        .fetch_one(&office.pool)
        .await
        .unwrap();
        (waiting == 1).then_some(())
    })
    .await;
    sqlx::query(
        "insert into journal_entry values ($1, 1, 'cash', 1, 'USD'), ($1, 2, 'revenue', -1, 'USD')",
    )
    .bind(id)
    .execute(&mut *booking)
    .await
    .unwrap();
    booking.commit().await.unwrap();
    let closed = closing.await.unwrap().unwrap();
    let lines = balance_of(&office.billing, &closed).await.unwrap();
    let cash = lines
        .iter()
        .find(|line| line.ledger_account == LedgerAccount::Cash)
        .unwrap();
    assert_eq!(cash.closing, usd(100), "what was being booked is in it");
    let wrong = journal::verify(&office.billing).await.unwrap();
    let months = wrong.iter().filter(|wrong| wrong.part.starts_with("20"));
    assert_eq!(months.count(), 0);
}

#[tokio::test]
async fn a_statement_runs_from_what_was_owed_to_what_is_owed() {
    let office = Office::open().await;
    let patron_id = new_id();
    let account = office.fined(patron_id, 1000).await;
    office.fined(new_id(), 7777).await;
    let first_day = today(&office);
    let ahead = jiff::SignedDuration::from_hours(24 * 3);
    office
        .billing
        .clock
        .set(office.billing.clock.now() + ahead)
        .unwrap();
    office.pay(&account, 300).await.unwrap();
    office.waive(&account, 200).await.unwrap();
    let all = Days::default();
    let whole = patron_statement(&office.billing, patron_id, all, None, 100)
        .await
        .unwrap();
    let owed: Vec<_> = whole
        .lines
        .iter()
        .map(|line| line.owed.to_string())
        .collect();
    assert_eq!(owed, ["10.00", "7.00", "5.00"]);
    assert_eq!((whole.opening, whole.closing), (usd(0), usd(500)));
    let later = Days {
        first: Some(first_day + 2.days()),
        last: None,
    };
    let part = patron_statement(&office.billing, patron_id, later, None, 100)
        .await
        .unwrap();
    assert_eq!((part.opening, part.lines.len()), (usd(1000), 2));
    assert_eq!(part.lines, whole.lines[1..]);
    let last = &whole.lines[0];
    let after = Some((last.occurred_at, last.journal_transaction_id));
    let page = patron_statement(&office.billing, patron_id, all, after, 1)
        .await
        .unwrap();
    assert_eq!(page.lines, whole.lines[1..2], "a page goes on where it was");
    let backwards = Days {
        first: Some(first_day),
        last: Some(first_day - 1.day()),
    };
    let refused = patron_statement(&office.billing, patron_id, backwards, None, 100).await;
    assert!(matches!(refused, Err(Error::PeriodOfDaysEmpty)));
}
