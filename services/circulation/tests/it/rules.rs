//! Versions of the rules: from when they hold, and who may follow whom.

use carrel_proto::circulation::v1::circulation_rule_service_client::CirculationRuleServiceClient;
use carrel_proto::circulation::v1::get_circulation_rules_request::Which;
use carrel_proto::circulation::v1::*;
use carrel_runtime::Grant;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::desk::*;

const MONDAY: &str = "2026-09-07T08:00:00";

/// Rules by which everything goes by one loan policy.
pub fn everything(policy: &str) -> String {
    format!("priority: last-line\nfallback-policy: l {policy} r none n none o daily i standard\n")
}

impl Desk {
    async fn replace(
        &self,
        request: ReplaceCirculationRulesRequest,
    ) -> Result<CirculationRules, Status> {
        let answer = self.rule_book().replace_circulation_rules(request).await?;
        Ok(answer.into_inner().circulation_rules.unwrap())
    }

    /// All at the same time.
    async fn replace_all(
        &self,
        requests: Vec<ReplaceCirculationRulesRequest>,
    ) -> Vec<Result<CirculationRules, Status>> {
        let mut authors = JoinSet::new();
        for request in requests {
            let mut book = self.rule_book();
            authors.spawn(async move {
                let answer = book.replace_circulation_rules(request).await?;
                Ok(answer.into_inner().circulation_rules.unwrap())
            });
        }
        authors.join_all().await
    }

    async fn rules_of(&self, which: Option<Which>) -> Result<CirculationRules, Status> {
        let request = GetCirculationRulesRequest { which };
        let answer = self.rule_book().get_circulation_rules(request).await?;
        Ok(answer.into_inner().circulation_rules.unwrap())
    }

    /// Versions and whether each is in force.
    pub async fn versions(&self) -> Vec<(i32, bool)> {
        let request = ListCirculationRulesRequest::default();
        let answer = self.rule_book().list_circulation_rules(request).await;
        let listed = answer.unwrap().into_inner().circulation_rules;
        assert!(listed.iter().all(|rules| rules.text.is_empty()));
        listed
            .iter()
            .map(|rules| (rules.version, rules.in_force))
            .collect()
    }

    async fn policy_of_a_book(&self) -> String {
        let request = ExplainCirculationRuleRequest {
            patron_group: "student".into(),
            material_type: "book".into(),
            ..Default::default()
        };
        let answer = self.rule_book().explain_circulation_rule(request).await;
        let rule = answer.unwrap().into_inner().applied_rule.unwrap();
        format!("{} by version {}", rule.loan_policy, rule.rules_version)
    }
}

fn replacing(policy: &str, effective_at: Option<&str>) -> ReplaceCirculationRulesRequest {
    ReplaceCirculationRulesRequest {
        text: everything(policy),
        request_id: id(),
        effective_at: effective_at.and_then(wire_time),
        based_on_version: None,
    }
}

#[tokio::test]
async fn a_version_holds_from_its_instant_on() {
    let desk = Desk::open().await;
    let scheduled = desk
        .replace(replacing("no-loan", Some(MONDAY)))
        .await
        .unwrap();
    assert_eq!((scheduled.version, scheduled.in_force), (2, false));
    assert_eq!(scheduled.effective_at, wire_time(MONDAY));
    assert_eq!(scheduled.author, "desk-1");
    assert!(local(scheduled.created_at).starts_with("2026-09-01T10:00"));

    assert_eq!(desk.versions().await, [(2, false), (1, true)]);
    assert_eq!(desk.policy_of_a_book().await, "two-weeks by version 1");
    assert_eq!(desk.rules_of(None).await.unwrap().version, 1);
    let on_monday = Which::At(wire_time(MONDAY).unwrap());
    let then = desk.rules_of(Some(on_monday)).await.unwrap();
    assert_eq!((then.version, then.in_force), (2, false));
    let before = Which::At(wire_time("2026-09-07T07:59:59").unwrap());
    assert_eq!(desk.rules_of(Some(before)).await.unwrap().version, 1);

    // Rules that hold at once do not take back what is scheduled.
    desk.replace(replacing("three-books", None)).await.unwrap();
    assert_eq!(desk.versions().await, [(3, true), (2, false), (1, false)]);
    assert_eq!(desk.policy_of_a_book().await, "three-books by version 3");

    desk.wait_until(MONDAY);
    assert_eq!(desk.versions().await, [(3, false), (2, true), (1, false)]);
    assert_eq!(desk.policy_of_a_book().await, "no-loan by version 2");
    let third = desk.rules_of(Some(Which::Version(3))).await.unwrap();
    assert_eq!(
        (third.text, third.in_force),
        (everything("three-books"), false)
    );
}

#[tokio::test]
async fn a_check_out_goes_by_the_rules_of_its_moment() {
    let desk = Desk::open().await;
    desk.student("S1").await;
    for barcode in ["30001", "30002"] {
        desk.book(barcode).await;
    }
    desk.replace(replacing("no-loan", Some(MONDAY)))
        .await
        .unwrap();
    let lent = desk.check_out("30001", "S1").await.unwrap().loan.unwrap();
    assert_eq!(lent.applied_rule.unwrap().rules_version, 1);
    desk.wait_until(MONDAY);
    let refused = blocks(desk.check_out("30002", "S1").await);
    assert_eq!(refused, [("ITEM_NOT_LOANABLE".to_owned(), true)]);
}

#[tokio::test]
async fn a_scheduled_version_is_taken_back_by_another_for_the_same_instant() {
    let desk = Desk::open().await;
    desk.replace(replacing("no-loan", Some(MONDAY)))
        .await
        .unwrap();
    desk.replace(replacing("three-books", Some(MONDAY)))
        .await
        .unwrap();
    desk.replace(replacing("two-weeks", Some("2026-09-06T08:00:00")))
        .await
        .unwrap();
    desk.wait_until("2026-09-06T12:00:00");
    assert_eq!(desk.policy_of_a_book().await, "two-weeks by version 4");
    desk.wait_until(MONDAY);
    assert_eq!(desk.policy_of_a_book().await, "three-books by version 3");
}

#[tokio::test]
async fn rules_are_not_brought_in_for_the_past() {
    let desk = Desk::open().await;
    for (at, expected) in [
        ("2026-09-01T09:59:59", "EFFECTIVE_IN_PAST"),
        ("2031-12-01T00:00:00", "EFFECTIVE_TOO_FAR_AHEAD"),
    ] {
        let refused = desk.replace(replacing("two-weeks", Some(at))).await;
        assert_eq!(reason(refused), expected, "{at}");
    }
    let malformed = ReplaceCirculationRulesRequest {
        effective_at: Some(prost_types::Timestamp {
            seconds: 0,
            nanos: -1,
        }),
        ..replacing("two-weeks", None)
    };
    assert_eq!(reason(desk.replace(malformed).await), "TIMESTAMP_MALFORMED");
    assert_eq!(desk.versions().await, [(1, true)]);

    let yet = Which::At(wire_time("2026-09-01T09:00:00").unwrap());
    assert_eq!(
        reason(desk.rules_of(Some(yet)).await),
        "CIRCULATION_RULES_MISSING"
    );
    let unknown = Some(Which::Version(2));
    assert_eq!(
        reason(desk.rules_of(unknown).await),
        "CIRCULATION_RULES_NOT_FOUND"
    );
    let changed = sqlx::query("update circulation_rules set text = ''")
        .execute(&desk.database.pool)
        .await;
    assert!(changed.unwrap_err().to_string().contains("never changes"));
}

#[tokio::test]
async fn two_authors_do_not_overwrite_each_other() {
    let desk = Desk::open().await;
    let based_on = |version| ReplaceCirculationRulesRequest {
        based_on_version: Some(version),
        ..replacing("two-weeks", None)
    };
    let authors = (0..8).map(|_| based_on(1)).collect();
    let (kept, refused): (Vec<_>, Vec<_>) = desk
        .replace_all(authors)
        .await
        .into_iter()
        .partition(Result::is_ok);
    assert_eq!((kept.len(), refused.len()), (1, 7));
    for refused in refused {
        let status = refused.unwrap_err();
        assert_eq!(status.code(), Code::Aborted);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "CIRCULATION_RULES_CHANGED");
        assert_eq!(
            info.metadata.get("newest_version").map(String::as_str),
            Some("2")
        );
    }
    assert_eq!(
        reason(desk.replace(based_on(0)).await),
        "CIRCULATION_RULES_CHANGED"
    );
    assert_eq!(desk.replace(based_on(2)).await.unwrap().version, 3);
    // A scheduled version counts: whoever has not seen it is told.
    desk.replace(replacing("no-loan", Some(MONDAY)))
        .await
        .unwrap();
    assert_eq!(
        reason(desk.replace(based_on(3)).await),
        "CIRCULATION_RULES_CHANGED"
    );
}

#[tokio::test]
async fn the_same_request_again_gets_the_first_answer() {
    let desk = Desk::open().await;
    let request = ReplaceCirculationRulesRequest {
        based_on_version: Some(1),
        ..replacing("no-loan", Some("2026-09-01T11:00:00"))
    };
    let answers = desk.replace_all(vec![request.clone(); 4]).await;
    let first = answers[0].as_ref().unwrap();
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap() == first)
    );
    // Also when its instant has passed and others followed.
    desk.wait_until("2026-09-01T12:00:00");
    desk.replace(replacing("two-weeks", None)).await.unwrap();
    let again = desk.replace(request.clone()).await.unwrap();
    assert_eq!(&again, first);
    let other = ReplaceCirculationRulesRequest {
        text: everything("two-weeks"),
        ..request
    };
    assert_eq!(reason(desk.replace(other).await), "REQUEST_ID_REUSED");
    assert_eq!(desk.versions().await, [(3, true), (2, false), (1, false)]);
}

#[tokio::test]
async fn versions_are_listed_page_by_page_with_or_without_texts() {
    let desk = Desk::open().await;
    for policy in ["two-weeks", "no-loan", "three-books", "two-weeks"] {
        desk.replace(replacing(policy, None)).await.unwrap();
    }
    let page = |with_texts, page_size, page_token: &str| ListCirculationRulesRequest {
        with_texts,
        page_size,
        page_token: page_token.into(),
    };
    let list = async |request| {
        let answer = desk.rule_book().list_circulation_rules(request).await?;
        Ok::<_, Status>(answer.into_inner())
    };
    let first = list(page(true, 0, "")).await.unwrap();
    let texts: Vec<(i32, &str)> = first
        .circulation_rules
        .iter()
        .map(|rules| (rules.version, rules.text.as_str()))
        .collect();
    assert_eq!(
        texts,
        [
            (5, everything("two-weeks").as_str()),
            (4, everything("three-books").as_str()),
            (3, everything("no-loan").as_str()),
        ]
    );
    let second = list(page(true, 0, &first.next_page_token)).await.unwrap();
    let versions: Vec<i32> = second
        .circulation_rules
        .iter()
        .map(|rules| rules.version)
        .collect();
    assert_eq!(
        (versions, second.next_page_token.as_str()),
        (vec![2, 1], "")
    );

    let foreign = list(page(false, 0, &first.next_page_token)).await;
    assert_eq!(reason(foreign), "PAGE_TOKEN_FROM_ANOTHER_QUERY");
    assert_eq!(
        reason(list(page(true, 4, "")).await),
        "PAGE_SIZE_OUT_OF_RANGE"
    );
    assert_eq!(
        reason(list(page(false, 2, "x")).await),
        "PAGE_TOKEN_MALFORMED"
    );
}

#[tokio::test]
async fn who_may_read_rules_may_not_bring_them_in() {
    let desk = Desk::open().await;
    let reader = [Grant::everywhere("circulation.rules.read")];
    let mut reader = CirculationRuleServiceClient::new(desk.caller("reader", &reader));
    reader
        .get_circulation_rules(GetCirculationRulesRequest::default())
        .await
        .unwrap();
    reader
        .list_circulation_rules(ListCirculationRulesRequest::default())
        .await
        .unwrap();
    let text = everything("two-weeks");
    reader
        .validate_circulation_rules(ValidateCirculationRulesRequest { text })
        .await
        .unwrap();
    reader
        .try_circulation_rules(TryCirculationRulesRequest::default())
        .await
        .unwrap();
    let refused = reader
        .replace_circulation_rules(replacing("two-weeks", None))
        .await;
    assert_eq!(reason(refused), "PERMISSION_DENIED");

    let writer = [Grant::everywhere("circulation.rules.write")];
    let mut writer = CirculationRuleServiceClient::new(desk.caller("writer", &writer));
    writer
        .replace_circulation_rules(replacing("two-weeks", None))
        .await
        .unwrap();
    let refused = writer
        .try_circulation_rules(TryCirculationRulesRequest::default())
        .await;
    assert_eq!(reason(refused), "PERMISSION_DENIED");
    let refused = writer
        .compare_circulation_rules(CompareCirculationRulesRequest::default())
        .await;
    assert_eq!(reason(refused), "PERMISSION_DENIED");
}
