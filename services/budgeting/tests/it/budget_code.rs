//! Codes that the district defines, checked on every commitment.

use carrel_proto::budgeting::v1 as pb;
use tonic::{Code, Status};

use crate::office::{Desk, Office, codes, metadata, order, reason, request_id};

impl Desk {
    async fn check(&mut self, code: &str) -> pb::CheckBudgetCodeResponse {
        let request = pb::CheckBudgetCodeRequest {
            budget_code: code.into(),
        };
        self.codes
            .check_budget_code(request)
            .await
            .unwrap()
            .into_inner()
    }

    async fn set(
        &mut self,
        structure: pb::BudgetCodeStructure,
    ) -> Result<pb::BudgetCodeStructure, Status> {
        let request = pb::SetBudgetCodeStructureRequest {
            structure: Some(structure),
            request_id: request_id(),
        };
        let answer = self.codes.set_budget_code_structure(request).await?;
        Ok(answer.into_inner().structure.unwrap())
    }

    async fn order_on(&mut self, budget_id: &str, code: &str) -> Result<(), Status> {
        let request = pb::CreateEncumbranceRequest {
            budget_code: code.into(),
            ..order(budget_id, "1.00")
        };
        self.encumbrances
            .create_encumbrance(request)
            .await
            .map(drop)
    }
}

#[tokio::test]
async fn until_the_structure_is_set_no_code_is_valid() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let get = pb::GetBudgetCodeStructureRequest {};
    let missing = desk.codes.get_budget_code_structure(get).await;
    assert_eq!(missing.as_ref().unwrap_err().code(), Code::NotFound);
    assert_eq!(reason(missing), "BUDGET_CODE_STRUCTURE_NOT_SET");
    let answer = desk.check("11-100-6310").await;
    assert_eq!(
        (answer.valid, answer.reason.as_str()),
        (false, "STRUCTURE_NOT_SET")
    );

    assert_eq!(desk.set(codes()).await.unwrap(), codes());
    let found = desk
        .codes
        .get_budget_code_structure(get)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.structure, Some(codes()));
    assert!(desk.check("11-100-6310").await.valid);
}

#[tokio::test]
async fn an_order_on_a_wrong_code_is_refused_with_the_segment_at_fault() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("100.00").await;
    for (code, fault, segment) in [
        ("", "SEGMENT_COUNT_WRONG", ""),
        ("11-100", "SEGMENT_COUNT_WRONG", ""),
        ("11-10-6310", "SEGMENT_LENGTH_WRONG", "location"),
        ("11-1_0-6310", "SEGMENT_CHARACTERS_WRONG", "location"),
        ("13-100-6310", "SEGMENT_VALUE_UNKNOWN", "fund"),
        ("12-LIB-6310", "COMBINATION_NOT_ALLOWED", "object"),
    ] {
        let answer = desk.check(code).await;
        assert_eq!(
            (answer.reason.as_str(), answer.segment.as_str()),
            (fault, segment),
            "{code}"
        );
        assert!(!answer.valid && !answer.description.is_empty());

        let refused = desk.order_on(&id, code).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(metadata(&refused, "fault"), fault);
        assert_eq!(metadata(&refused, "segment"), segment);
        assert_eq!(reason::<()>(Err(refused)), "BUDGET_CODE_INVALID");
    }
    desk.order_on(&id, "12-LIB-6300").await.unwrap();
    let answer = desk.check("12-LIB-6300").await;
    assert_eq!(
        answer,
        pb::CheckBudgetCodeResponse {
            valid: true,
            ..Default::default()
        }
    );
}

#[tokio::test]
async fn a_new_structure_holds_at_once_for_every_replica() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("100.00").await;
    let (_second, mut other) = office.replica().await;
    other.order_on(&id, "11-100-6310").await.unwrap();

    let mut narrower = codes();
    narrower.segments[0].values = vec!["12".into()];
    narrower.combinations.clear();
    desk.set(narrower.clone()).await.unwrap();
    for desk in [&mut other, &mut desk] {
        assert_eq!(
            reason(desk.order_on(&id, "11-100-6310").await),
            "BUDGET_CODE_INVALID"
        );
        desk.order_on(&id, "12-100-6310").await.unwrap();
    }
}

#[tokio::test]
async fn a_structure_set_twice_by_one_request_gets_the_first_answer() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let request = pb::SetBudgetCodeStructureRequest {
        structure: Some(codes()),
        request_id: request_id(),
    };
    desk.codes
        .set_budget_code_structure(request.clone())
        .await
        .unwrap();
    let mut later = codes();
    later.separator = ".".into();
    desk.set(later.clone()).await.unwrap();

    let again = desk
        .codes
        .set_budget_code_structure(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again.structure, Some(codes()));
    let found = desk
        .codes
        .get_budget_code_structure(pb::GetBudgetCodeStructureRequest {})
        .await;
    assert_eq!(found.unwrap().into_inner().structure, Some(later));
}

#[tokio::test]
async fn a_structure_that_contradicts_itself_is_refused() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let mut wrong = codes();
    wrong.combinations[0].values[0] = "99".into();
    let refused = desk.set(wrong).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        refused
            .message()
            .starts_with("structure.combinations[0].values: ")
    );
    assert_eq!(reason::<()>(Err(refused)), "BUDGET_CODE_STRUCTURE_INVALID");
    let mut wrong = codes();
    wrong.segments[1].length = -3;
    assert_eq!(
        reason(desk.set(wrong).await),
        "BUDGET_CODE_STRUCTURE_INVALID"
    );
}

#[tokio::test]
async fn a_large_chart_of_accounts_fits() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let mut large = codes();
    large.segments[2] = pb::BudgetCodeSegment {
        name: "object".into(),
        length: 5,
        values: (0..10_000).map(|value| format!("{value:05}")).collect(),
    };
    large.combinations = (0..10_000)
        .map(|value| pb::BudgetCodeCombination {
            values: vec!["11".into(), "*".into(), format!("{value:05}")],
        })
        .collect();
    desk.set(large).await.unwrap();
    assert!(desk.check("11-100-09999").await.valid);
    assert_eq!(
        desk.check("11-100-10000").await.reason,
        "SEGMENT_VALUE_UNKNOWN"
    );
    assert_eq!(desk.check("12-100-09999").await.segment, "fund");
}
