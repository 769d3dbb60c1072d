//! A loan's history: what was done, by whom, and what staff noted.

use carrel_proto::circulation::v1::*;
use carrel_runtime::Grant;

use crate::desk::*;

fn list(loan_id: &str, page_token: &str) -> ListLoanActionsRequest {
    ListLoanActionsRequest {
        loan_id: loan_id.into(),
        page_size: 3,
        page_token: page_token.into(),
    }
}

#[tokio::test]
async fn a_loan_tells_what_was_done_to_it() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    desk.student("S1").await;
    desk.limits(PatronLimits {
        patron_group: "student".into(),
        max_loans: 1,
        ..Default::default()
    })
    .await;
    desk.book("30002").await;
    desk.check_out("30002", "S1").await.unwrap();
    let by_override = CheckOutRequest {
        r#override: overriding(&["MAX_LOANS"]),
        ..desk.lending("30001", "S1")
    };
    let lent = desk
        .loans()
        .check_out(by_override)
        .await
        .unwrap()
        .into_inner();
    let loan_id = lent.loan.unwrap().id;
    desk.renew("30001").await.unwrap();

    let mut actions = desk.actions();
    let note = AddLoanCommentRequest {
        loan_id: loan_id.clone(),
        service_point_id: desk.point.clone(),
        comment: "pages 12 and 13 are torn".into(),
        request_id: id(),
    };
    let noted = actions
        .add_loan_comment(note.clone())
        .await
        .unwrap()
        .into_inner();
    let again = actions
        .add_loan_comment(note.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again, noted);
    desk.wait_until("2026-10-02T10:00:00");
    desk.declare_lost(&loan_id).await.unwrap();
    desk.check_in("30001").await.unwrap();
    // Also when it has ended.
    let later = AddLoanCommentRequest {
        request_id: id(),
        ..note.clone()
    };
    actions.add_loan_comment(later).await.unwrap();

    let first = actions
        .list_loan_actions(list(&loan_id, ""))
        .await
        .unwrap()
        .into_inner();
    let token = first.next_page_token.clone();
    let second = actions
        .list_loan_actions(list(&loan_id, &token))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(second.next_page_token, "");
    let all: Vec<LoanActionRecord> = [first.actions, second.actions].concat();
    let done: Vec<LoanAction> = all.iter().map(LoanActionRecord::action).collect();
    use LoanAction::{CheckedIn, CheckedOutThroughOverride, CommentAdded, DeclaredLost, Renewed};
    assert_eq!(
        done,
        [
            CheckedOutThroughOverride,
            Renewed,
            CommentAdded,
            DeclaredLost,
            CheckedIn,
            CommentAdded
        ]
    );
    assert_eq!(all[0].overridden_blocks[0].reason, "MAX_LOANS");
    assert_eq!(
        (all[0].actor.as_str(), all[0].comment.as_str()),
        ("desk-1", "the dean called")
    );
    assert_eq!(Some(&all[2]), noted.action.as_ref());
    assert_eq!(all[2].comment, "pages 12 and 13 are torn");
    assert_eq!(all[2].service_point_id, desk.point);
    assert_eq!(all[3].lost_item_fee, Some(usd(4_250)));
    assert_eq!(all[3].processing_fee, Some(usd(1_000)));

    let unknown = actions.list_loan_actions(list(&id(), "")).await;
    assert_eq!(reason(unknown), "LOAN_NOT_FOUND");
    let other = actions.list_loan_actions(list(&id(), &token)).await;
    assert_eq!(reason(other), "PAGE_TOKEN_FROM_ANOTHER_QUERY");
    for (request, expected) in [
        (
            AddLoanCommentRequest {
                loan_id: id(),
                request_id: id(),
                ..note.clone()
            },
            "LOAN_NOT_FOUND",
        ),
        (
            AddLoanCommentRequest {
                service_point_id: id(),
                request_id: id(),
                ..note.clone()
            },
            "SERVICE_POINT_NOT_FOUND",
        ),
        (
            AddLoanCommentRequest {
                comment: String::new(),
                request_id: id(),
                ..note.clone()
            },
            "TEXT_LENGTH",
        ),
        (
            AddLoanCommentRequest {
                comment: "another note".into(),
                ..note
            },
            "REQUEST_ID_REUSED",
        ),
    ] {
        assert_eq!(reason(actions.add_loan_comment(request).await), expected);
    }
    let grant = Grant::everywhere("circulation.loans.check-in");
    let clerk = desk.caller("clerk", &[grant]);
    let mut clerk = loan_action_service_client::LoanActionServiceClient::new(clerk);
    let refused = clerk.list_loan_actions(list(&loan_id, "")).await;
    assert_eq!(reason(refused), "PERMISSION_DENIED");
}
