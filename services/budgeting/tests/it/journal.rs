//! The journal: append-only, zero in sum, and equal to the totals.

use carrel_proto::budgeting::v1 as pb;

use crate::office::{Office, of, reason, request_id, usd};

#[tokio::test]
async fn what_was_booked_is_listed_newest_first() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("100.00").await;
    let made = desk.encumber(&id, "12.34").await.unwrap();
    desk.release(&made.id).await.unwrap();
    desk.allocate(&id, "-5.00").await.unwrap();

    let mut request = pb::ListBudgetTransactionsRequest {
        budget_id: id,
        page_size: 3,
        ..Default::default()
    };
    let first = desk
        .journal
        .list_budget_transactions(request.clone())
        .await
        .unwrap()
        .into_inner();
    request.page_token = first.next_page_token;
    let second = desk
        .journal
        .list_budget_transactions(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(second.next_page_token, "");

    use pb::BudgetTransactionKind::{Allocation, Encumbrance, EncumbranceRelease};
    let listed: Vec<_> = first
        .budget_transactions
        .iter()
        .chain(&second.budget_transactions)
        .collect();
    let told: Vec<_> = listed
        .iter()
        .map(|booked| {
            (
                booked.kind(),
                booked.amount.clone().unwrap(),
                booked.encumbrance_id.as_str(),
                booked.comment.as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (Allocation, usd("-5.00"), "", "adopted budget"),
            (
                EncumbranceRelease,
                usd("12.34"),
                made.id.as_str(),
                "order 4711"
            ),
            (Encumbrance, usd("12.34"), made.id.as_str(), "order 4711"),
            (Allocation, usd("100.00"), "", "adopted budget"),
        ]
    );
    assert!(
        listed
            .iter()
            .all(|booked| booked.actor == "bursar" && booked.booked_at.is_some())
    );

    request.page_token.clear();
    request.budget_id = request_id();
    let missing = desk.journal.list_budget_transactions(request).await;
    assert_eq!(reason(missing), "BUDGET_NOT_FOUND");
}

#[tokio::test]
async fn a_difference_of_one_cent_between_totals_and_journal_is_found() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("100.00").await;
    desk.encumber(&id, "10.00").await.unwrap();
    let ledger = desk.ledger("OTHER").await.unwrap();
    let fund = desk.fund(&ledger.id, "SERIALS").await.unwrap();
    let year = desk.read_budget(&id).await.fiscal_year_id;
    let year = pb::FiscalYear {
        id: year,
        ..Default::default()
    };
    desk.budget(of(&fund, &year)).await.unwrap();
    assert_eq!(desk.verify().await.budget_count, 2);

    for (planted, mended) in [
        (
            "update budget set allocated = allocated + 0.01 where allocated > 0",
            "update budget set allocated = allocated - 0.01 where allocated > 0",
        ),
        (
            "update budget set encumbered = encumbered - 0.01 where allocated > 0",
            "update budget set encumbered = encumbered + 0.01 where allocated > 0",
        ),
        (
            "update budget set expended = 0.01 where allocated > 0",
            "update budget set expended = 0 where allocated > 0",
        ),
        // The journal agrees, the orders do not: what elsewhere drifts.
        (
            "update encumbrance set status = 'released', released_at = created_at",
            "update encumbrance set status = 'unreleased', released_at = null",
        ),
    ] {
        assert_eq!(
            desk.verify().await.differing_budget_ids,
            Vec::<String>::new()
        );
        assert_eq!(office.sql(planted).await, Ok(1), "{planted}");
        assert_eq!(
            desk.verify().await.differing_budget_ids,
            [id.as_str()],
            "{planted}"
        );
        assert_eq!(office.sql(mended).await, Ok(1));
    }
}

#[tokio::test]
async fn the_database_itself_lets_nobody_change_the_journal() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("100.00").await;
    desk.encumber(&id, "10.00").await.unwrap();

    // By privilege (42501 is insufficient_privilege) …
    for statement in [
        "update journal_entry set amount = amount",
        "delete from journal_entry",
        "truncate journal_entry",
        "update journal_transaction set comment = ''",
        "delete from journal_transaction",
        "truncate journal_transaction cascade",
    ] {
        assert_eq!(
            office.sql(statement).await,
            Err("42501".into()),
            "{statement}"
        );
    }
    // … and by trigger, where somebody takes the privilege.
    office
        .sql("grant all on journal_entry, journal_transaction to current_user")
        .await
        .unwrap();
    for statement in [
        "update journal_entry set line = line",
        "update journal_entry set amount = amount",
        "delete from journal_entry",
        "truncate journal_entry",
        "update journal_transaction set comment = ''",
        "delete from journal_transaction",
        "truncate journal_transaction cascade",
    ] {
        assert_eq!(
            office.sql(statement).await,
            Err("journal_is_append_only".into()),
            "{statement}"
        );
    }
    assert_eq!(
        desk.verify().await.differing_budget_ids,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn the_database_itself_refuses_what_does_not_sum_to_zero() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("100.00").await;
    let canada = desk
        .fiscal_year("CA", "2030-07-01", "2031-06-30", "CAD")
        .await
        .unwrap();
    let fund_id = desk.read_budget(&id).await.fund_id;
    let fund = pb::Fund {
        id: fund_id,
        ..Default::default()
    };
    desk.budget(of(&fund, &canada)).await.unwrap();

    const BOOK: &str = "insert into journal_transaction (id, kind, booked_at, actor, comment)
                        values (gen_random_uuid(), 'allocation', 'epoch', 'nobody', '');";
    let entries = |values: &str| {
        format!(
            "{BOOK} insert into journal_entry
             select (select max(number) from journal_transaction), e.line, b.id, e.account, e.currency, e.amount
             from (values {values}) as e (line, account, currency, amount)
             join budget b on b.currency = e.currency"
        )
    };
    for (values, refused) in [
        (
            "(1, 'allocated', 'USD', 5.00)",
            "journal_transaction_balances",
        ),
        (
            "(1, 'allocated', 'USD', 5.00), (2, 'appropriation', 'USD', -4.99)",
            "journal_transaction_balances",
        ),
        // Zero over all, but not in each currency.
        (
            "(1, 'allocated', 'USD', 5.00), (2, 'appropriation', 'CAD', -5.00)",
            "journal_transaction_balances",
        ),
        (
            "(1, 'allocated', 'USD', 5.00), (2, 'slush', 'USD', -5.00)",
            "journal_entry_account_is_known",
        ),
        (
            "(1, 'allocated', 'USD', 0.00)",
            "journal_entry_amount_is_not_zero",
        ),
    ] {
        let statement: &'static str = entries(values).leak();
        assert_eq!(office.sql(statement).await, Err(refused.into()), "{values}");
    }
    // A transaction that is booked takes no more entries, balanced or not.
    let later = "insert into journal_entry
                 select transaction_number, line + 2, budget_id, account, currency, amount from journal_entry";
    assert_eq!(
        office.sql(later).await,
        Err("journal_transaction_is_whole".into())
    );
    // An entry keeps its budget's currency.
    let foreign = "insert into journal_entry
                   select transaction_number, line + 2, budget_id, account, 'CAD', amount from journal_entry";
    assert!(office.sql(foreign).await.is_err());
    assert_eq!(
        desk.verify().await.differing_budget_ids,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn the_database_itself_keeps_commitments_within_the_limit() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("10.01").await;
    office
        .sql("update budget set allowable_encumbrance_percent = 33")
        .await
        .unwrap();
    for (statement, refused) in [
        (
            "update budget set encumbered = 3.31",
            "budget_commitments_are_within_the_limit",
        ),
        (
            "update budget set awaiting_payment = 1.65, expended = 1.66",
            "budget_commitments_are_within_the_limit",
        ),
        (
            "update budget set allocated = -0.01",
            "budget_funding_is_not_negative",
        ),
        (
            "update budget set encumbered = -0.01",
            "budget_commitments_are_not_negative",
        ),
        (
            "update budget set currency = 'CAD'",
            "journal_entry_budget_exists",
        ),
    ] {
        assert_eq!(
            office.sql(statement).await,
            Err(refused.into()),
            "{statement}"
        );
    }
    assert_eq!(
        office.sql("update budget set encumbered = 3.30").await,
        Ok(1)
    );
    assert_eq!(
        desk.read_budget(&id).await.available_to_encumber,
        Some(usd("0.00"))
    );
}
