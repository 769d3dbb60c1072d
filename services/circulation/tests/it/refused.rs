//! Bad input of every kind: a reason, never a panic.

use carrel_proto::circulation::v1::*;
use carrel_runtime::read;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::desk::*;

#[tokio::test]
async fn a_check_out_with_bad_fields_names_the_field() {
    let desk = Desk::open().await;
    let sound = desk.lending("30001", "S1");
    let table = [
        (
            CheckOutRequest {
                item_barcode: String::new(),
                ..sound.clone()
            },
            "BARCODE_MALFORMED",
        ),
        (
            CheckOutRequest {
                patron_barcode: "S 1".into(),
                ..sound.clone()
            },
            "BARCODE_MALFORMED",
        ),
        (
            CheckOutRequest {
                service_point_id: "7".into(),
                ..sound.clone()
            },
            "ID_MALFORMED",
        ),
        (
            CheckOutRequest {
                request_id: String::new(),
                ..sound.clone()
            },
            "REQUEST_ID_MISSING",
        ),
        (
            CheckOutRequest {
                request_id: "x".into(),
                ..sound.clone()
            },
            "ID_MALFORMED",
        ),
        (
            CheckOutRequest {
                service_point_id: id(),
                ..sound.clone()
            },
            "SERVICE_POINT_NOT_FOUND",
        ),
        (
            CheckOutRequest {
                occurred_at: Some(prost_types::Timestamp {
                    seconds: i64::MAX,
                    nanos: 0,
                }),
                ..sound.clone()
            },
            "TIMESTAMP_MALFORMED",
        ),
        (
            CheckOutRequest {
                r#override: Some(Override {
                    reasons: vec!["MAX_LOANS".into()],
                    comment: " ".into(),
                }),
                ..sound.clone()
            },
            "OVERRIDE_COMMENT_MISSING",
        ),
    ];
    for (request, expected) in table {
        assert_eq!(
            reason(desk.loans().check_out(request.clone()).await),
            expected,
            "{request:?}"
        );
    }
}

#[tokio::test]
async fn an_unknown_barcode_says_that_its_owner_could_not_be_asked() {
    let desk = Desk::open().await;
    let refused = desk.check_out("30001", "S1").await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let info = refused.get_details_error_info().unwrap();
    assert_eq!(info.reason, "ITEM_NOT_FOUND");
    assert_eq!(
        info.metadata.get("owner").map(String::as_str),
        Some("unreachable")
    );

    desk.book("30002").await;
    let refused = desk.check_out("30002", "S1").await.unwrap_err();
    let info = refused.get_details_error_info().unwrap();
    assert_eq!(info.reason, "PATRON_NOT_FOUND");
    assert_eq!(
        info.metadata.get("owner").map(String::as_str),
        Some("unreachable")
    );
    assert_eq!(reason(desk.check_in("30003").await), "ITEM_NOT_FOUND");
    // A refused request left nothing: the same id succeeds later.
    let request = desk.lending("30002", "S1");
    assert!(desk.loans().check_out(request.clone()).await.is_err());
    desk.student("S1").await;
    desk.loans().check_out(request).await.unwrap();
}

#[tokio::test]
async fn without_rules_nothing_is_lent() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    desk.student("S1").await;
    sqlx::query("delete from circulation_rules")
        .execute(&desk.database.pool)
        .await
        .unwrap();
    assert_eq!(
        reason(desk.check_out("30001", "S1").await),
        "CIRCULATION_RULES_MISSING"
    );
    let refused = desk
        .rule_book()
        .get_circulation_rules(GetCirculationRulesRequest::default())
        .await;
    assert_eq!(reason(refused), "CIRCULATION_RULES_MISSING");
}

#[tokio::test]
async fn loans_are_listed_page_by_page_with_their_own_tokens() {
    let desk = Desk::open().await;
    let student = desk.student("S1").await;
    for barcode in ["30001", "30002", "30003"] {
        desk.book(barcode).await;
        desk.check_out(barcode, "S1").await.unwrap();
    }
    let list = |token: &str, open_only| ListLoansRequest {
        patron_id: student.patron_id.clone(),
        open_only,
        page_size: 2,
        page_token: token.into(),
        ..Default::default()
    };
    let first = desk
        .loans()
        .list_loans(list("", false))
        .await
        .unwrap()
        .into_inner();
    let second = desk
        .loans()
        .list_loans(list(&first.next_page_token, false))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (
            first.loans.len(),
            second.loans.len(),
            second.next_page_token.as_str()
        ),
        (2, 1, "")
    );
    assert!(first.loans[0].id > first.loans[1].id && first.loans[1].id > second.loans[0].id);

    let foreign = desk
        .loans()
        .list_loans(list(&first.next_page_token, true))
        .await;
    assert_eq!(reason(foreign), "PAGE_TOKEN_FROM_ANOTHER_QUERY");
    assert_eq!(
        reason(desk.loans().list_loans(list("x", false)).await),
        "PAGE_TOKEN_MALFORMED"
    );
    assert_eq!(
        reason(desk.loans().list_loans(ListLoansRequest::default()).await),
        "FIELD_MISSING"
    );
    let unknown = desk.loans().get_loan(GetLoanRequest { id: id() }).await;
    assert_eq!(reason(unknown), "LOAN_NOT_FOUND");
    let neither = RenewRequest {
        key: None,
        ..desk.renewing("")
    };
    assert_eq!(reason(desk.loans().renew(neither).await), "FIELD_MISSING");
}

#[tokio::test]
async fn without_a_token_or_the_permission_nothing_is_revealed() {
    let desk = Desk::open().await;
    let mut stranger = loan_service_client::LoanServiceClient::new(desk.without_token());
    let refused = stranger
        .check_out(desk.lending("30001", "S1"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let mut clerk = desk.clerk(&["circulation.loans.check-in"]);
    let refused = clerk
        .get_loan(GetLoanRequest { id: id() })
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(read::reason(&refused).as_deref(), Some("PERMISSION_DENIED"));
}
