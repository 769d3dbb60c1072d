//! Setting up the books: fiscal years, ledgers, funds, budgets.

use carrel_proto::budgeting::v1 as pb;
use tonic::Code;

use crate::office::{Office, date, of, reason, request_id, usd};

#[tokio::test]
async fn a_district_sets_up_its_books() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let budget = desk.books().await;

    assert_eq!(budget.status(), pb::BudgetStatus::Active);
    assert_eq!(budget.allowable_encumbrance_percent, Some(100));
    assert_eq!(budget.allowable_expenditure_percent, Some(100));
    assert_eq!(budget.allocated, Some(usd("0.00")));
    assert_eq!(budget.available_to_encumber, Some(usd("0.00")));
    assert_eq!(desk.read_budget(&budget.id).await, budget);

    let years = desk
        .budgets
        .list_fiscal_years(pb::ListFiscalYearsRequest::default())
        .await;
    let years = years.unwrap().into_inner().fiscal_years;
    assert_eq!(years.len(), 1);
    assert_eq!(years[0].first_date, Some(date("2026-07-01")));
    assert_eq!(years[0].last_date, Some(date("2027-06-30")));
    let funds = desk
        .budgets
        .list_funds(pb::ListFundsRequest::default())
        .await;
    let funds = funds.unwrap().into_inner().funds;
    assert_eq!(funds[0].external_account_number, "11-6310");
}

#[tokio::test]
async fn fiscal_years_have_their_own_codes_and_days() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let first = desk
        .fiscal_year("FY2027", "2026-07-01", "2027-06-30", "USD")
        .await
        .unwrap();
    for (code, from, to, currency, refused) in [
        (
            "FY2027",
            "2030-07-01",
            "2031-06-30",
            "USD",
            "FISCAL_YEAR_CODE_TAKEN",
        ),
        (
            "FY2028",
            "2027-06-30",
            "2028-06-29",
            "USD",
            "FISCAL_YEAR_OVERLAPS",
        ),
        (
            "FY2028",
            "2026-01-01",
            "2028-01-01",
            "USD",
            "FISCAL_YEAR_OVERLAPS",
        ),
        (
            "FY2028",
            "2028-06-30",
            "2027-07-01",
            "USD",
            "FISCAL_YEAR_DATES_REVERSED",
        ),
        (
            "FY2028",
            "2027-07-01",
            "2028-06-30",
            "dollars",
            "CURRENCY_UNKNOWN",
        ),
        (
            "FY 2028",
            "2027-07-01",
            "2028-06-30",
            "USD",
            "CODE_MALFORMED",
        ),
    ] {
        let outcome = desk.fiscal_year(code, from, to, currency).await;
        assert_eq!(reason(outcome), refused, "{code} {from} {to} {currency}");
    }
    // The day after the last is free, and a year can be a single day.
    desk.fiscal_year("FY2028", "2027-07-01", "2027-07-01", "CAD")
        .await
        .unwrap();
    desk.fiscal_year("FY2026", "2025-07-01", "2026-06-30", "USD")
        .await
        .unwrap();

    let mut listed = Vec::new();
    let mut request = pb::ListFiscalYearsRequest {
        page_size: 2,
        ..Default::default()
    };
    loop {
        let page = desk
            .budgets
            .list_fiscal_years(request.clone())
            .await
            .unwrap()
            .into_inner();
        listed.extend(page.fiscal_years);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let codes: Vec<&str> = listed.iter().map(|year| year.code.as_str()).collect();
    assert_eq!(codes, ["FY2028", "FY2027", "FY2026"]);
    assert_eq!(listed[1], first);
}

#[tokio::test]
async fn two_clerks_who_add_overlapping_years_at_once_get_one() {
    let office = Office::open().await;
    let added = (0..8).map(|n| {
        let mut desk = office.desk.clone();
        let last = format!("2027-06-{:02}", 10 + n);
        async move {
            desk.fiscal_year(&format!("Y{n}"), "2026-07-01", &last, "USD")
                .await
        }
    });
    let outcomes = futures::future::join_all(added).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for refused in outcomes.into_iter().filter(Result::is_err) {
        assert_eq!(reason(refused), "FISCAL_YEAR_OVERLAPS");
    }
}

#[tokio::test]
async fn what_is_there_already_or_missing_is_said() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let nobody = request_id();
    let year = desk
        .fiscal_year("FY2027", "2026-07-01", "2027-06-30", "USD")
        .await
        .unwrap();
    let ledger = desk.ledger("LIB").await.unwrap();
    let fund = desk.fund(&ledger.id, "BOOKS").await.unwrap();
    let budget = desk.budget(of(&fund, &year)).await.unwrap();

    assert_eq!(reason(desk.ledger("LIB").await), "LEDGER_CODE_TAKEN");
    assert_eq!(
        reason(desk.fund(&ledger.id, "BOOKS").await),
        "FUND_CODE_TAKEN"
    );
    let lost = desk.fund(&nobody, "SERIALS").await;
    assert_eq!(lost.as_ref().unwrap_err().code(), Code::NotFound);
    assert_eq!(reason(lost), "LEDGER_NOT_FOUND");

    let again = desk.budget(of(&fund, &year)).await;
    assert_eq!(again.as_ref().unwrap_err().code(), Code::AlreadyExists);
    assert_eq!(reason(again), "BUDGET_EXISTS");
    let mut wrong = of(&fund, &year);
    wrong.fund_id.clone_from(&nobody);
    assert_eq!(reason(desk.budget(wrong).await), "FUND_NOT_FOUND");
    let mut wrong = of(&fund, &year);
    wrong.fiscal_year_id.clone_from(&nobody);
    assert_eq!(reason(desk.budget(wrong).await), "FISCAL_YEAR_NOT_FOUND");
    let mut wrong = of(&fund, &year);
    wrong.status = 99;
    assert_eq!(reason(desk.budget(wrong).await), "BUDGET_STATUS_UNKNOWN");
    for percent in [-1, 1001] {
        let mut wrong = of(&fund, &year);
        wrong.allowable_encumbrance_percent = Some(percent);
        assert_eq!(
            reason(desk.budget(wrong.clone()).await),
            "PERCENT_OUT_OF_RANGE"
        );
        wrong.allowable_encumbrance_percent = None;
        wrong.allowable_expenditure_percent = Some(percent);
        assert_eq!(reason(desk.budget(wrong).await), "PERCENT_OUT_OF_RANGE");
    }

    for (id, expected) in [(nobody.as_str(), "BUDGET_NOT_FOUND"), ("7", "ID_MALFORMED")] {
        let request = pb::GetBudgetRequest { id: id.into() };
        assert_eq!(reason(desk.budgets.get_budget(request).await), expected);
        assert_eq!(reason(desk.allocate(id, "1.00").await), expected);
        assert_eq!(
            reason(desk.encumber(id, "1.00").await),
            if id == "7" {
                expected
            } else {
                "BUDGET_CODE_INVALID"
            }
        );
    }
    assert_eq!(desk.read_budget(&budget.id).await, budget);
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let ledger = |code: &str, request_id: &str| pb::CreateLedgerRequest {
        ledger: Some(pb::Ledger {
            code: code.into(),
            name: "Library".into(),
            ..Default::default()
        }),
        request_id: request_id.into(),
    };
    let id = request_id();
    let first = desk
        .budgets
        .create_ledger(ledger("LIB", &id))
        .await
        .unwrap()
        .into_inner();
    let again = desk
        .budgets
        .create_ledger(ledger("LIB", &id))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first, again);

    let other = desk.budgets.create_ledger(ledger("OTHER", &id)).await;
    assert_eq!(reason(other), "REQUEST_ID_REUSED");
    let missing = desk.budgets.create_ledger(ledger("OTHER", "")).await;
    assert_eq!(reason(missing), "REQUEST_ID_MISSING");
    let nothing = pb::CreateLedgerRequest {
        ledger: None,
        request_id: request_id(),
    };
    assert_eq!(
        reason(desk.budgets.create_ledger(nothing).await),
        "FIELD_MISSING"
    );
}

#[tokio::test]
async fn ledgers_funds_and_budgets_are_listed_by_code_in_pages() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let this_year = desk
        .fiscal_year("FY2027", "2026-07-01", "2027-06-30", "USD")
        .await
        .unwrap();
    let next_year = desk
        .fiscal_year("FY2028", "2027-07-01", "2028-06-30", "USD")
        .await
        .unwrap();
    let library = desk.ledger("LIB").await.unwrap();
    let lab = desk.ledger("LAB").await.unwrap();
    for code in ["c", "B", "a", "D"] {
        let fund = desk.fund(&library.id, code).await.unwrap();
        desk.budget(of(&fund, &this_year)).await.unwrap();
        desk.budget(of(&fund, &next_year)).await.unwrap();
    }
    desk.fund(&lab.id, "A").await.unwrap();

    let ledgers = desk.budgets.list_ledgers(pb::ListLedgersRequest {
        page_size: 1,
        ..Default::default()
    });
    let ledgers = ledgers.await.unwrap().into_inner();
    assert_eq!(ledgers.ledgers, [lab]);
    let request = pb::ListLedgersRequest {
        page_size: 1,
        page_token: ledgers.next_page_token,
    };
    let ledgers = desk
        .budgets
        .list_ledgers(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (ledgers.ledgers, ledgers.next_page_token),
        (vec![library.clone()], String::new())
    );

    let mut request = pb::ListFundsRequest {
        ledger_id: library.id,
        page_size: 3,
        ..Default::default()
    };
    let first = desk
        .budgets
        .list_funds(request.clone())
        .await
        .unwrap()
        .into_inner();
    request.page_token.clone_from(&first.next_page_token);
    let second = desk
        .budgets
        .list_funds(request.clone())
        .await
        .unwrap()
        .into_inner();
    let codes: Vec<_> = first
        .funds
        .iter()
        .chain(&second.funds)
        .map(|fund| fund.code.as_str())
        .collect();
    assert_eq!(codes, ["B", "D", "a", "c"]);
    assert_eq!(second.next_page_token, "");
    request.ledger_id.clear();
    let foreign = desk.budgets.list_funds(request).await;
    assert_eq!(reason(foreign), "PAGE_TOKEN_FROM_ANOTHER_QUERY");

    for (year, expected) in [(this_year.id.as_str(), 4), ("", 8)] {
        let mut request = pb::ListBudgetsRequest {
            fiscal_year_id: year.into(),
            page_size: 3,
            ..Default::default()
        };
        let mut fund_ids = Vec::new();
        loop {
            let page = desk
                .budgets
                .list_budgets(request.clone())
                .await
                .unwrap()
                .into_inner();
            fund_ids.extend(page.budgets.into_iter().map(|budget| budget.fund_id));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(fund_ids.len(), expected);
        fund_ids.dedup();
        let in_order = first
            .funds
            .iter()
            .chain(&second.funds)
            .map(|fund| fund.id.clone());
        assert_eq!(fund_ids, in_order.collect::<Vec<_>>());
    }
}
