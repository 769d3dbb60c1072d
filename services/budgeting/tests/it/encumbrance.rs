//! Money set aside for orders, given back, and never more than there is.

use std::collections::HashSet;

use carrel_proto::budgeting::v1 as pb;
use futures::future::join_all;
use tonic::Code;

use crate::office::{Office, metadata, of, order, reason, request_id, usd};

#[tokio::test]
async fn an_order_that_is_short_by_one_cent_is_refused() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("100.00").await;
    desk.encumber(&id, "60.00").await.unwrap();

    let refused = desk.encumber(&id, "40.01").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(metadata(&refused, "available"), "40.00");
    assert_eq!(metadata(&refused, "short"), "0.01");
    assert_eq!(reason::<()>(Err(refused)), "FUND_INSUFFICIENT");

    let answer = desk
        .encumbrances
        .create_encumbrance(order(&id, "40.00"))
        .await
        .unwrap();
    let budget = answer.into_inner().budget.unwrap();
    assert_eq!(budget.encumbered, Some(usd("100.00")));
    assert_eq!(budget.available_to_encumber, Some(usd("0.00")));
    let refused = desk.encumber(&id, "0.01").await.unwrap_err();
    assert_eq!(metadata(&refused, "available"), "0.00");
}

#[tokio::test]
async fn the_limit_is_a_percentage_rounded_down_to_the_cent() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    desk.set_codes().await;
    let year = desk
        .fiscal_year("FY2027", "2026-07-01", "2027-06-30", "USD")
        .await
        .unwrap();
    let ledger = desk.ledger("LIB").await.unwrap();
    for (percent, funding, limit, above) in [
        // 3.3033, and 0.0099: under a cent.
        (33, "10.01", "3.30", "3.31"),
        (99, "0.01", "0.00", "0.01"),
        (110, "100.00", "110.00", "110.01"),
        (1000, "99999999999.99", "999999999999.90", "999999999999.91"),
        (7, "123456789012.34", "8641975230.86", "8641975230.87"),
    ] {
        let fund = desk.fund(&ledger.id, &format!("P{percent}")).await.unwrap();
        let mut budget = of(&fund, &year);
        budget.allowable_encumbrance_percent = Some(percent);
        let id = desk.budget(budget).await.unwrap().id;
        let budget = desk.allocate(&id, funding).await.unwrap();
        assert_eq!(
            budget.available_to_encumber,
            Some(usd(limit)),
            "{percent} % of {funding}"
        );
        assert_eq!(reason(desk.encumber(&id, above).await), "FUND_INSUFFICIENT");
        // The database's own check must not be stricter than the rule.
        if limit != "0.00" {
            desk.encumber(&id, limit).await.unwrap();
        }
    }
    assert_eq!(
        desk.verify().await.differing_budget_ids,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn what_is_released_can_be_committed_again_and_releasing_twice_changes_nothing() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("100.00").await;
    let made = desk.encumber(&id, "100.00").await.unwrap();
    assert_eq!(made.status(), pb::EncumbranceStatus::Unreleased);
    assert_eq!(
        (made.budget_code.as_str(), made.released_at),
        ("11-100-6310", None)
    );

    let released = desk.release(&made.id).await.unwrap();
    assert_eq!(released.status(), pb::EncumbranceStatus::Released);
    assert!(released.released_at.is_some() && released.revision > made.revision);
    let budget = desk.read_budget(&id).await;
    assert_eq!(budget.encumbered, Some(usd("0.00")));

    assert_eq!(desk.release(&made.id).await.unwrap(), released);
    assert_eq!(desk.read_budget(&id).await, budget);
    let read = desk
        .encumbrances
        .get_encumbrance(pb::GetEncumbranceRequest { id: made.id });
    assert_eq!(read.await.unwrap().into_inner().encumbrance, Some(released));
    desk.encumber(&id, "100.00").await.unwrap();

    let nobody = request_id();
    assert_eq!(reason(desk.release(&nobody).await), "ENCUMBRANCE_NOT_FOUND");
    let read = desk
        .encumbrances
        .get_encumbrance(pb::GetEncumbranceRequest { id: nobody });
    assert_eq!(reason(read.await), "ENCUMBRANCE_NOT_FOUND");
}

#[tokio::test]
async fn a_frozen_budget_still_takes_back_what_was_set_aside() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("100.00").await;
    let made = desk.encumber(&id, "30.00").await.unwrap();
    office
        .sql("update budget set status = 'frozen'")
        .await
        .unwrap();

    assert_eq!(
        reason(desk.encumber(&id, "1.00").await),
        "BUDGET_NOT_ACTIVE"
    );
    desk.release(&made.id).await.unwrap();
    assert_eq!(desk.read_budget(&id).await.encumbered, Some(usd("0.00")));
}

#[tokio::test]
async fn thirty_two_clients_never_commit_more_than_the_fund_has() {
    let office = Office::open().await;
    let id = office.desk.clone().books_with("100.00").await;
    let (_second, other) = office.replica().await;
    let orders = (0..32).map(|n| {
        let mut desk = if n % 2 == 0 {
            office.desk.clone()
        } else {
            other.clone()
        };
        let id = id.clone();
        async move { desk.encumber(&id, "10.00").await }
    });
    let outcomes = join_all(orders).await;
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        10
    );
    for refused in outcomes.into_iter().filter(Result::is_err) {
        let refused = refused.unwrap_err();
        assert_eq!(metadata(&refused, "available"), "0.00");
        assert_eq!(metadata(&refused, "short"), "10.00");
        assert_eq!(reason::<()>(Err(refused)), "FUND_INSUFFICIENT");
    }
    let mut desk = office.desk.clone();
    let budget = desk.read_budget(&id).await;
    assert_eq!(budget.encumbered, Some(usd("100.00")));
    assert_eq!(budget.available_to_encumber, Some(usd("0.00")));
    // Creation, allocation and ten orders: nothing that was refused counts.
    assert_eq!(budget.revision, 12);
    assert_eq!(
        desk.verify().await.differing_budget_ids,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn orders_releases_and_allocations_at_once_leave_the_books_in_agreement() {
    let office = Office::open().await;
    let id = office.desk.clone().books_with("50.00").await;
    let clerks = (0..12).map(|n| {
        let mut desk = office.desk.clone();
        let id = id.clone();
        async move {
            let mut kept = 0;
            for round in 0..6 {
                let amount = format!("{}.{:02}", 1 + n, 7 * round);
                if let Ok(made) = desk.encumber(&id, &amount).await {
                    kept += 1;
                    if round % 2 == 0 {
                        desk.release(&made.id).await.unwrap();
                        kept -= 1;
                    }
                }
                let _ = desk
                    .allocate(&id, if n % 3 == 0 { "-2.50" } else { "1.01" })
                    .await;
            }
            kept
        }
    });
    let kept: usize = join_all(clerks).await.into_iter().sum();
    let mut desk = office.desk.clone();
    let request = pb::ListEncumbrancesRequest {
        budget_id: id,
        ..Default::default()
    };
    let listed = desk
        .encumbrances
        .list_encumbrances(request)
        .await
        .unwrap()
        .into_inner();
    let unreleased = listed.encumbrances.iter();
    let unreleased = unreleased.filter(|made| made.status() == pb::EncumbranceStatus::Unreleased);
    assert_eq!(unreleased.count(), kept);
    let found = desk.verify().await;
    assert_eq!(
        (found.budget_count, found.differing_budget_ids),
        (1, Vec::new())
    );
}

#[tokio::test]
async fn an_encumbrance_released_by_many_at_once_is_given_back_once() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("100.00").await;
    desk.encumber(&id, "25.00").await.unwrap();
    let made = desk.encumber(&id, "25.00").await.unwrap();
    let releases = (0..8).map(|_| {
        let mut desk = office.desk.clone();
        let id = made.id.clone();
        async move { desk.release(&id).await.unwrap() }
    });
    let answers = join_all(releases).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(desk.read_budget(&id).await.encumbered, Some(usd("25.00")));
    assert_eq!(
        desk.verify().await.differing_budget_ids,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn an_order_sent_again_and_again_is_encumbered_once() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("100.00").await;
    let request = order(&id, "40.00");
    let calls = (0..8).map(|_| {
        let mut desk = office.desk.clone();
        let request = request.clone();
        async move {
            desk.encumbrances
                .create_encumbrance(request)
                .await
                .unwrap()
                .into_inner()
        }
    });
    let answers = join_all(calls).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(desk.read_budget(&id).await.encumbered, Some(usd("40.00")));

    let changed = pb::CreateEncumbranceRequest {
        description: "order 4712".into(),
        ..request.clone()
    };
    let outcome = desk.encumbrances.create_encumbrance(changed).await;
    assert_eq!(reason(outcome), "REQUEST_ID_REUSED");
    // The same id from somebody else is another request.
    let mut colleague = office.desk_of("colleague", &["budgeting.*"]);
    colleague
        .encumbrances
        .create_encumbrance(request)
        .await
        .unwrap();
    assert_eq!(desk.read_budget(&id).await.encumbered, Some(usd("80.00")));
}

#[tokio::test]
async fn a_refused_order_can_be_sent_again_once_there_is_money() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("10.00").await;
    let request = order(&id, "10.01");
    let refused = desk.encumbrances.create_encumbrance(request.clone()).await;
    assert_eq!(reason(refused), "FUND_INSUFFICIENT");
    desk.allocate(&id, "0.01").await.unwrap();
    desk.encumbrances.create_encumbrance(request).await.unwrap();
}

#[tokio::test]
async fn a_budgets_encumbrances_are_listed_newest_first_in_pages() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("100.00").await;
    let mut made = Vec::new();
    for amount in ["1.00", "2.00", "3.00", "4.00", "5.00"] {
        made.push(desk.encumber(&id, amount).await.unwrap());
    }
    made.reverse();
    let mut request = pb::ListEncumbrancesRequest {
        budget_id: id,
        page_size: 2,
        ..Default::default()
    };
    let mut listed = Vec::new();
    let mut ids = HashSet::new();
    loop {
        let page = desk
            .encumbrances
            .list_encumbrances(request.clone())
            .await
            .unwrap()
            .into_inner();
        listed.extend(page.encumbrances);
        if page.next_page_token.is_empty() {
            break;
        }
        assert!(
            ids.insert(page.next_page_token.clone()),
            "a page came twice"
        );
        request.page_token = page.next_page_token;
    }
    assert_eq!(listed, made);

    request.budget_id = request_id();
    let foreign = desk.encumbrances.list_encumbrances(request.clone()).await;
    assert_eq!(reason(foreign), "PAGE_TOKEN_FROM_ANOTHER_QUERY");
    request.page_token.clear();
    let missing = desk.encumbrances.list_encumbrances(request.clone()).await;
    assert_eq!(reason(missing), "BUDGET_NOT_FOUND");
    request.page_size = 1001;
    let too_many = desk.encumbrances.list_encumbrances(request).await;
    assert_eq!(reason(too_many), "PAGE_SIZE_OUT_OF_RANGE");
}
