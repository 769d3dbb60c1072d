//! Trying rules out before they hold: who gets what and because of which
//! line, and what another text would change.

use carrel_proto::catalog::v1::{Item, ItemStatus};
use carrel_proto::circulation::v1::circulation_rules_source::Source;
use carrel_proto::circulation::v1::*;
use carrel_proto::patrons::v1::PatronStanding;
use tonic::Status;

use crate::desk::*;

/// Three books and a film, two students and a guest; a withdrawn map and an
/// inactive teacher, who do not count.
async fn opened() -> Desk {
    let desk = Desk::open().await;
    desk.book("30001").await;
    desk.book("30002").await;
    for (material_type, location, status) in [
        ("book", &desk.north_stacks, ItemStatus::Available),
        ("dvd", &desk.stacks, ItemStatus::Available),
        ("map", &desk.stacks, ItemStatus::Withdrawn),
    ] {
        desk.item(Item {
            barcode: id()[..30].to_owned(),
            material_type: material_type.into(),
            status: status.into(),
            ..book(location)
        })
        .await;
    }
    for (group, active) in [
        ("student", true),
        ("student", true),
        ("guest", true),
        ("faculty", false),
    ] {
        desk.patron(PatronStanding {
            patron_id: id(),
            barcode_hmac: desk.keys.barcodes.hash(&id()).to_vec(),
            patron_group: group.into(),
            expiration_date: None,
            active,
            ..Default::default()
        })
        .await;
    }
    desk
}

impl Desk {
    async fn tried(
        &self,
        request: TryCirculationRulesRequest,
    ) -> Result<TryCirculationRulesResponse, Status> {
        let answer = self.rule_book().try_circulation_rules(request).await?;
        Ok(answer.into_inner())
    }

    async fn compared(
        &self,
        request: CompareCirculationRulesRequest,
    ) -> Result<CompareCirculationRulesResponse, Status> {
        let answer = self.rule_book().compare_circulation_rules(request).await?;
        Ok(answer.into_inner())
    }
}

fn text(text: &str) -> Option<CirculationRulesSource> {
    Some(CirculationRulesSource {
        source: Some(Source::Text(text.into())),
    })
}

fn version(version: i32) -> Option<CirculationRulesSource> {
    Some(CirculationRulesSource {
        source: Some(Source::Version(version)),
    })
}

/// Who, what, where, with how many items and patrons.
fn told(combination: &Option<RuleCombination>) -> String {
    let c = combination.as_ref().unwrap();
    format!(
        "{}x {} {} at {}/{}: {} items",
        c.patrons, c.patron_group, c.material_type, c.library_code, c.location_code, c.items
    )
}

fn rows(tried: &TryCirculationRulesResponse) -> Vec<(String, i32, String, &str)> {
    tried
        .combinations
        .iter()
        .map(|row| {
            let rule = row.applied_rule.as_ref().unwrap();
            let (line, policy) = (rule.line, rule.loan_policy.clone());
            (told(&row.combination), line, policy, row.reason.as_str())
        })
        .collect()
}

fn row<'a>(who: &str, line: i32, policy: &str, reason: &'a str) -> (String, i32, String, &'a str) {
    (who.into(), line, policy.into(), reason)
}

const MORE: &str = "more criteria: 2 against 1";
const ONLY: &str = "the only line that matches";
const NONE: &str = "the fallback policy: no line matches";

#[tokio::test]
async fn who_gets_what_is_told_with_the_line_and_the_reason() {
    let desk = opened().await;
    let all = desk
        .tried(TryCirculationRulesRequest::default())
        .await
        .unwrap();
    assert_eq!(
        rows(&all),
        [
            row(
                "1x guest book at ALD-NORTH/NORTH-STACKS: 1 items",
                4,
                "three-books",
                MORE
            ),
            row(
                "1x guest book at ALD-MAIN/STACKS: 2 items",
                4,
                "three-books",
                MORE
            ),
            row(
                "1x guest dvd at ALD-MAIN/STACKS: 1 items",
                2,
                "no-loan",
                NONE
            ),
            row(
                "2x student book at ALD-NORTH/NORTH-STACKS: 1 items",
                3,
                "two-weeks",
                ONLY
            ),
            row(
                "2x student book at ALD-MAIN/STACKS: 2 items",
                3,
                "two-weeks",
                ONLY
            ),
            row(
                "2x student dvd at ALD-MAIN/STACKS: 1 items",
                2,
                "no-loan",
                NONE
            ),
        ]
    );
    assert_eq!((all.rules_version, all.next_page_token.as_str()), (1, ""));
    let first = &all.combinations[0];
    let rule = first.applied_rule.as_ref().unwrap();
    assert_eq!(
        (
            rule.overdue_fine_policy.as_str(),
            rule.request_policy.as_str(),
            rule.fallback
        ),
        ("daily", "all", false)
    );
    let place = first.combination.as_ref().unwrap();
    assert_eq!(
        (
            place.location_id.as_str(),
            place.campus_code.as_str(),
            place.institution_code.as_str()
        ),
        (desk.north_stacks.as_str(), "ALD-CAMPUS", "ALD")
    );

    // A text that is nobody's rules yet.
    let candidate = RULES.replace("m book + g guest: l three-books", "c ALD-NORTH: l no-loan");
    let tried = TryCirculationRulesRequest {
        rules: text(&candidate),
        ..Default::default()
    };
    let tried = desk.tried(tried).await.unwrap();
    assert_eq!(tried.rules_version, 0);
    let north: Vec<_> = rows(&tried)
        .into_iter()
        .filter(|row| row.0.contains("NORTH"))
        .collect();
    let reason = "criterium c before m";
    assert_eq!(
        north,
        [
            row(
                "1x guest book at ALD-NORTH/NORTH-STACKS: 1 items",
                4,
                "no-loan",
                reason
            ),
            row(
                "2x student book at ALD-NORTH/NORTH-STACKS: 1 items",
                4,
                "no-loan",
                reason
            ),
        ]
    );
}

#[tokio::test]
async fn a_trial_is_narrowed_to_a_group_a_kind_a_place_or_a_line() {
    let desk = opened().await;
    let count = async |filter, line| {
        let request = TryCirculationRulesRequest {
            filter: Some(filter),
            line,
            ..Default::default()
        };
        desk.tried(request).await.unwrap().combinations.len()
    };
    let any = CombinationFilter::default();
    for (filter, line, expected) in [
        (any.clone(), 0, 6),
        (
            CombinationFilter {
                patron_group: "guest".into(),
                ..any.clone()
            },
            0,
            3,
        ),
        (
            CombinationFilter {
                patron_group: "faculty".into(),
                ..any.clone()
            },
            0,
            0,
        ),
        (
            CombinationFilter {
                material_type: "dvd".into(),
                ..any.clone()
            },
            0,
            2,
        ),
        (
            CombinationFilter {
                material_type: "map".into(),
                ..any.clone()
            },
            0,
            0,
        ),
        (
            CombinationFilter {
                loan_type: "standard".into(),
                ..any.clone()
            },
            0,
            6,
        ),
        (
            CombinationFilter {
                loan_type: "short".into(),
                ..any.clone()
            },
            0,
            0,
        ),
        (
            CombinationFilter {
                location_id: desk.north_stacks.clone(),
                ..any.clone()
            },
            0,
            2,
        ),
        (any.clone(), 2, 2),
        (any.clone(), 4, 2),
        (
            CombinationFilter {
                material_type: "dvd".into(),
                ..any.clone()
            },
            4,
            0,
        ),
        (any, 99, 0),
    ] {
        assert_eq!(
            count(filter.clone(), line).await,
            expected,
            "{filter:?} {line}"
        );
    }
}

#[tokio::test]
async fn a_trial_goes_on_page_by_page_with_the_rules_it_began_with() {
    let desk = opened().await;
    let whole = desk
        .tried(TryCirculationRulesRequest::default())
        .await
        .unwrap();
    for (line, size) in [(0, 1), (0, 2), (0, 6), (3, 1)] {
        let mut request = TryCirculationRulesRequest {
            line,
            page_size: size,
            ..Default::default()
        };
        let mut found = Vec::new();
        loop {
            let page = desk.tried(request.clone()).await.unwrap();
            assert!(page.combinations.len() <= size as usize);
            assert_eq!(page.rules_version, 1);
            found.extend(page.combinations);
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
            if line == 0 && size == 1 && found.len() == 1 {
                // Rules that come into force meanwhile are another trial's.
                desk.rules(&RULES.replace("l two-weeks", "l no-loan"))
                    .await
                    .unwrap();
                let other = desk
                    .tried(TryCirculationRulesRequest::default())
                    .await
                    .unwrap();
                assert_eq!(other.rules_version, 2);
                desk.rules(RULES).await.unwrap();
            }
        }
        let expected: Vec<TriedCombination> = whole
            .combinations
            .iter()
            .filter(|row| line == 0 || row.applied_rule.as_ref().unwrap().line == line)
            .cloned()
            .collect();
        assert_eq!(found.len(), expected.len(), "{line} {size}");
        if size == 1 && line == 0 {
            assert_eq!(found, expected);
        }
        // The next walk is to begin with version 1 again.
        sqlx::query("delete from circulation_rules where version > 1")
            .execute(&desk.database.pool)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn only_what_changes_is_compared() {
    let desk = opened().await;
    // Another text and other lines, but students get the same.
    let candidate = "\
priority: t, s, c, b, a, m, g
# rearranged
fallback-policy: l no-loan r none n none o daily i standard

g all
    m book: l two-weeks r all n standard o daily i standard
g guest + m book + c ALD-NORTH: l no-loan r none n none o daily i standard
g guest + m dvd: l three-books r all n standard o daily i standard
";
    let request = CompareCirculationRulesRequest {
        after: text(candidate),
        ..Default::default()
    };
    let changes = |compared: &CompareCirculationRulesResponse| -> Vec<(String, String)> {
        compared
            .combinations
            .iter()
            .map(|row| {
                let (before, after) = (row.before.as_ref().unwrap(), row.after.as_ref().unwrap());
                let change = format!(
                    "{}: {} -> {}: {}",
                    before.line, before.loan_policy, after.line, after.loan_policy
                );
                (told(&row.combination), change)
            })
            .collect()
    };
    let change = |who: &str, change: &str| (who.to_owned(), change.to_owned());
    let compared = desk.compared(request.clone()).await.unwrap();
    let expected = [
        change(
            "1x guest book at ALD-NORTH/NORTH-STACKS: 1 items",
            "4: three-books -> 7: no-loan",
        ),
        change(
            "1x guest book at ALD-MAIN/STACKS: 2 items",
            "4: three-books -> 6: two-weeks",
        ),
        change(
            "1x guest dvd at ALD-MAIN/STACKS: 1 items",
            "2: no-loan -> 8: three-books",
        ),
    ];
    assert_eq!(changes(&compared), expected);
    assert_eq!((compared.before_version, compared.after_version), (1, 0));

    // Once it is a version, the other way round and page by page.
    assert_eq!(desk.rules(candidate).await.unwrap().version, 2);
    let mut back = CompareCirculationRulesRequest {
        before: None,
        after: version(1),
        page_size: 1,
        ..Default::default()
    };
    let mut found = Vec::new();
    loop {
        let page = desk.compared(back.clone()).await.unwrap();
        assert_eq!((page.before_version, page.after_version), (2, 1));
        found.extend(changes(&page));
        if page.next_page_token.is_empty() {
            break;
        }
        back.page_token = page.next_page_token;
    }
    assert_eq!(found.len(), 3);
    assert_eq!(found[2].1, "8: three-books -> 2: no-loan");

    let same = CompareCirculationRulesRequest {
        before: version(2),
        after: text(candidate),
        ..Default::default()
    };
    assert_eq!(desk.compared(same).await.unwrap().combinations, []);
    let guests = CompareCirculationRulesRequest {
        filter: Some(CombinationFilter {
            material_type: "dvd".into(),
            ..Default::default()
        }),
        before: version(1),
        ..request
    };
    assert_eq!(desk.compared(guests).await.unwrap().combinations.len(), 1);
}

#[tokio::test]
async fn a_difference_among_very_many_combinations_is_found_page_by_page() {
    let desk = Desk::open().await;
    // 300 groups and 250 kinds of items: 75,000 combinations.
    sqlx::raw_sql(
        "insert into patron_projection (patron_id, patron_group, active, generation, revision)
         select gen_random_uuid(), 'group-' || lpad(n::text, 3, '0'), true, 0, 1 from generate_series(1, 300) n;
         insert into item_projection (item_id, barcode, status, material_type, loan_type, generation, revision)
         select gen_random_uuid(), '', 1, 'kind-' || n % 250, 'standard', 0, 1 from generate_series(1, 500) n",
    )
    .execute(&desk.database.pool)
    .await
    .unwrap();
    let candidate =
        RULES.to_owned() + "g group-300: l three-books r all n standard o daily i standard\n";
    let mut request = CompareCirculationRulesRequest {
        after: text(&candidate),
        page_size: 200,
        ..Default::default()
    };
    let (mut found, mut pages) = (Vec::new(), Vec::new());
    loop {
        let page = desk.compared(request.clone()).await.unwrap();
        pages.push(page.combinations.len());
        found.extend(page.combinations);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(pages, [0, 200, 50], "a page looks through 50,000");
    assert!(found.iter().all(|row| {
        let combination = row.combination.as_ref().unwrap();
        combination.patron_group == "group-300" && combination.items == 2
    }));
}

#[tokio::test]
async fn what_cannot_be_tried_is_refused() {
    let desk = opened().await;
    let tried = |rules| TryCirculationRulesRequest {
        rules,
        ..Default::default()
    };
    let good = TryCirculationRulesRequest::default();
    let filtered = |filter| TryCirculationRulesRequest {
        filter: Some(filter),
        ..Default::default()
    };
    let unknown_policy = RULES.replace("l two-weeks", "l forever");
    for (request, expected) in [
        (tried(version(2)), "CIRCULATION_RULES_NOT_FOUND"),
        (tried(text("m book")), "CIRCULATION_RULES_MALFORMED"),
        (tried(text(&unknown_policy)), "CIRCULATION_RULES_MALFORMED"),
        (tried(text(&"x".repeat(1_048_577))), "TEXT_LENGTH"),
        (tried(text("\0")), "TEXT_MALFORMED"),
        (
            TryCirculationRulesRequest {
                line: -1,
                ..good.clone()
            },
            "LINE_NEGATIVE",
        ),
        (
            TryCirculationRulesRequest {
                page_size: 201,
                ..good.clone()
            },
            "PAGE_SIZE_OUT_OF_RANGE",
        ),
        (
            TryCirculationRulesRequest {
                page_token: "x".into(),
                ..good
            },
            "PAGE_TOKEN_MALFORMED",
        ),
        (
            filtered(CombinationFilter {
                location_id: "7".into(),
                ..Default::default()
            }),
            "ID_MALFORMED",
        ),
        (
            filtered(CombinationFilter {
                patron_group: "\0".into(),
                ..Default::default()
            }),
            "CODE_MALFORMED",
        ),
    ] {
        assert_eq!(reason(desk.tried(request).await), expected);
    }
    let compared = |before, after| CompareCirculationRulesRequest {
        before,
        after,
        ..Default::default()
    };
    for (request, expected) in [
        (compared(version(1), None), "FIELD_MISSING"),
        (
            compared(version(7), version(1)),
            "CIRCULATION_RULES_NOT_FOUND",
        ),
        (
            compared(None, text("m book")),
            "CIRCULATION_RULES_MALFORMED",
        ),
    ] {
        assert_eq!(reason(desk.compared(request).await), expected);
    }
    sqlx::query("delete from circulation_rules")
        .execute(&desk.database.pool)
        .await
        .unwrap();
    let refused = desk.tried(TryCirculationRulesRequest::default()).await;
    assert_eq!(reason(refused), "CIRCULATION_RULES_MISSING");
    let refused = desk.compared(compared(None, text(RULES))).await;
    assert_eq!(reason(refused), "CIRCULATION_RULES_MISSING");
    assert!(
        desk.tried(tried(text(RULES))).await.is_ok(),
        "a text needs no rules before it"
    );
}
