//! Money given to budgets and taken back.

use carrel_proto::budgeting::v1 as pb;
use carrel_proto::r#type::v1::Money;
use tonic::Code;

use crate::office::{Office, metadata, of, reason, request_id, usd};

#[tokio::test]
async fn money_is_allocated_and_taken_back_as_far_as_nothing_is_committed() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("100.00").await;
    desk.encumber(&id, "60.00").await.unwrap();

    let refused = desk.allocate(&id, "-40.01").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(metadata(&refused, "committed"), "60.00");
    assert_eq!(metadata(&refused, "limit"), "59.99");
    assert_eq!(reason::<()>(Err(refused)), "ALLOCATION_BELOW_COMMITMENTS");

    let budget = desk.allocate(&id, "-40.00").await.unwrap();
    assert_eq!(budget.allocated, Some(usd("60.00")));
    assert_eq!(budget.available_to_encumber, Some(usd("0.00")));
    assert_eq!(
        reason(desk.allocate(&id, "-0.01").await),
        "ALLOCATION_BELOW_COMMITMENTS"
    );
    assert_eq!(
        desk.verify().await.differing_budget_ids,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn amounts_that_make_no_sense_are_refused() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("100.00").await;
    let money = |currency_code: &str, units, nanos| {
        Some(Money {
            currency_code: currency_code.into(),
            units,
            nanos,
        })
    };
    for (amount, allocation, encumbrance) in [
        (None, "FIELD_MISSING", "FIELD_MISSING"),
        (money("USD", 0, 0), "AMOUNT_ZERO", "AMOUNT_NOT_POSITIVE"),
        (money("CAD", 1, 0), "CURRENCY_MISMATCH", "CURRENCY_MISMATCH"),
        (money("XXX", 1, 0), "CURRENCY_UNKNOWN", "CURRENCY_UNKNOWN"),
        (
            money("USD", 0, 5_000_000),
            "AMOUNT_MALFORMED",
            "AMOUNT_MALFORMED",
        ),
        (money("USD", 1, -1), "AMOUNT_MALFORMED", "AMOUNT_MALFORMED"),
        (
            money("USD", i64::MAX, 0),
            "AMOUNT_TOO_LARGE",
            "AMOUNT_TOO_LARGE",
        ),
        (
            money("USD", 999_999_999_999, 990_000_000),
            "AMOUNT_TOO_LARGE",
            "FUND_INSUFFICIENT",
        ),
    ] {
        let request = pb::AllocateRequest {
            budget_id: id.clone(),
            amount: amount.clone(),
            comment: String::new(),
            request_id: request_id(),
        };
        assert_eq!(
            reason(desk.budgets.allocate(request).await),
            allocation,
            "{amount:?}"
        );
        let request = pb::CreateEncumbranceRequest {
            amount: amount.clone(),
            ..crate::office::order(&id, "1.00")
        };
        let outcome = desk.encumbrances.create_encumbrance(request).await;
        assert_eq!(reason(outcome), encumbrance, "{amount:?}");
    }
    assert_eq!(
        reason(desk.encumber(&id, "-1.00").await),
        "AMOUNT_NOT_POSITIVE"
    );
    assert_eq!(desk.read_budget(&id).await.allocated, Some(usd("100.00")));
}

#[tokio::test]
async fn a_budget_that_is_not_active_takes_nothing() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    desk.set_codes().await;
    let year = desk
        .fiscal_year("FY2027", "2026-07-01", "2027-06-30", "USD")
        .await
        .unwrap();
    let ledger = desk.ledger("LIB").await.unwrap();
    for (status, name) in [
        (pb::BudgetStatus::Frozen, "frozen"),
        (pb::BudgetStatus::Inactive, "inactive"),
        (pb::BudgetStatus::Planned, "planned"),
        (pb::BudgetStatus::Closed, "closed"),
    ] {
        let fund = desk.fund(&ledger.id, name).await.unwrap();
        let mut budget = of(&fund, &year);
        budget.status = status.into();
        let budget = desk.budget(budget).await.unwrap();
        assert_eq!(budget.status(), status);
        let refused = [
            desk.allocate(&budget.id, "1.00").await.map(drop),
            desk.encumber(&budget.id, "1.00").await.map(drop),
        ];
        for outcome in refused {
            assert_eq!(metadata(outcome.as_ref().unwrap_err(), "status"), name);
            assert_eq!(reason(outcome), "BUDGET_NOT_ACTIVE");
        }
    }
}

#[tokio::test]
async fn an_allocation_repeated_after_a_lost_answer_counts_once() {
    let office = Office::open().await;
    let budget = office.desk.clone().books().await;
    let request = pb::AllocateRequest {
        budget_id: budget.id.clone(),
        amount: Some(usd("250.00")),
        comment: String::new(),
        request_id: request_id(),
    };
    let calls = (0..8).map(|_| {
        let mut desk = office.desk.clone();
        let request = request.clone();
        async move {
            desk.budgets
                .allocate(request)
                .await
                .unwrap()
                .into_inner()
                .budget
                .unwrap()
        }
    });
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.allocated, Some(usd("250.00")));
    }
    let changed = pb::AllocateRequest {
        amount: Some(usd("251.00")),
        ..request
    };
    let mut desk = office.desk.clone();
    assert_eq!(
        reason(desk.budgets.allocate(changed).await),
        "REQUEST_ID_REUSED"
    );
}
