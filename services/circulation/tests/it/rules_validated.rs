//! What a rule text is told before it becomes a version.

use carrel_proto::circulation::v1::*;
use tonic_types::StatusExt as _;

use crate::desk::*;
use crate::rules::everything;

impl Desk {
    async fn validated(&self, text: &str) -> ValidateCirculationRulesResponse {
        let request = ValidateCirculationRulesRequest { text: text.into() };
        let answer = self.rule_book().validate_circulation_rules(request).await;
        answer.unwrap().into_inner()
    }
}

/// Lines that are wrong below two sound ones: where, and what was expected.
const MALFORMED: [(&str, i32, i32, &str); 22] = [
    (
        "book: l a r b n c o d i e",
        3,
        1,
        "one of the letters t, s, c, b, a, m, g",
    ),
    ("m: l a r b n c o d i e", 3, 2, "a code"),
    (
        "m book",
        3,
        7,
        "\":\" and policies, or an indented line below",
    ),
    ("m book:", 3, 8, "one each of the policies l, r, n, o, i"),
    ("m book: l a r b n c o d", 3, 24, "the i policy"),
    ("m book: l a r b n c o d i", 3, 26, "a policy's code"),
    ("m book: l a l a n c o d i e", 3, 13, "only one l policy"),
    (
        "m book: l a r b n c o d i e j f",
        3,
        29,
        "nothing after the five policies",
    ),
    (
        "m book: l a, r b n c o d i e",
        3,
        12,
        "one each of the policies r, n, o, i",
    ),
    ("m book +", 3, 9, "one of the letters"),
    (
        "m book + + g x: l a r b n c o d i e",
        3,
        10,
        "one of the letters",
    ),
    (
        "m book g x: l a r b n c o d i e",
        3,
        8,
        "\"+\" before another criterium",
    ),
    ("m !: l a r b n c o d i e", 3, 4, "a code after \"!\""),
    (
        "m !book map: l a r b n c o d i e",
        3,
        9,
        "\"!\" before each code or before none",
    ),
    (
        "m map !book: l a r b n c o d i e",
        3,
        7,
        "\"!\" before each code or before none",
    ),
    (
        "m all map: l a r b n c o d i e",
        3,
        7,
        "either \"all\" or codes",
    ),
    ("m \"book\": l a r b n c o d i e", 3, 3, "a letter, a digit"),
    ("\tm book: l a r b n c o d i e", 3, 1, "spaces, not a tab"),
    (" m book: l a r b n c o d i e", 3, 2, "no indentation"),
    (
        "m x\n    g x\n  g y: l a r b n c o d i e",
        4,
        8,
        "\":\" and policies",
    ),
    ("priority: first-line", 3, 1, "only one priority line"),
    (
        "fallback-policy: l a r b n c o d i e",
        3,
        1,
        "only one fallback-policy line",
    ),
];

#[tokio::test]
async fn a_text_is_told_line_column_and_what_was_expected_and_is_not_kept() {
    let desk = Desk::open().await;
    for (lines, line, column, expected) in MALFORMED {
        let text = everything("two-weeks") + lines;
        let errors = desk.validated(&text).await.errors;
        assert!(!errors.is_empty(), "{lines}");
        assert_eq!(
            (errors[0].line, errors[0].column),
            (line, column),
            "{lines}: {errors:?}"
        );
        assert!(
            errors[0].expected.starts_with(expected),
            "{lines}: {errors:?}"
        );

        // Bringing it in is refused for the very same.
        let refused = desk.rules(&text).await.unwrap_err();
        let told = refused.get_details_bad_request().unwrap().field_violations;
        assert_eq!(told.len(), errors.len(), "{lines}");
        let start = format!("line {line}, column {column}: expected {expected}");
        assert!(told[0].description.starts_with(&start), "{told:?}");
        assert_eq!(reason::<()>(Err(refused)), "CIRCULATION_RULES_MALFORMED");
    }
    assert_eq!(desk.versions().await, [(1, true)]);

    // Also the names of policies that there are not, all at once.
    let text = everything("forever") + "m book: l two-weeks r all n b o yearly i standard\n";
    let errors = desk.validated(&text).await.errors;
    let places: Vec<(i32, i32)> = errors
        .iter()
        .map(|error| (error.line, error.column))
        .collect();
    assert_eq!(places, [(2, 20), (3, 33)]);
    assert!(
        errors[1].expected.contains("there is no \"yearly\""),
        "{errors:?}"
    );

    let request = ValidateCirculationRulesRequest {
        text: "x".repeat(1_048_577),
    };
    let long = desk.rule_book().validate_circulation_rules(request).await;
    assert_eq!(reason(long), "TEXT_LENGTH");
    let request = ValidateCirculationRulesRequest { text: "\0".into() };
    let nul = desk.rule_book().validate_circulation_rules(request).await;
    assert_eq!(reason(nul), "TEXT_MALFORMED");
}

#[tokio::test]
async fn codes_that_nothing_has_are_pointed_at() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    desk.student("S1").await;
    let policies = "l two-weeks r all n b o daily i standard";
    let text = everything("two-weeks")
        + &format!(
            "m book + g studnet student: {policies}\n\
             s STACKS NOWHERE + c ALD-MAIN + b ALD-CAMPUS + a ALD: {policies}\n\
             t standard + g studnet: {policies}\ns ALD-MAIN: {policies}\n"
        );
    let answer = desk.validated(&text).await;
    assert_eq!(answer.errors, []);
    let told: Vec<(i32, i32, &str)> = answer
        .warnings
        .iter()
        .map(|odd| (odd.line, odd.column, odd.message.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (
                3,
                12,
                "nothing known so far has the patron group \"studnet\""
            ),
            (4, 10, "nothing known so far has the location \"NOWHERE\""),
            (6, 3, "nothing known so far has the location \"ALD-MAIN\""),
        ]
    );
    assert_eq!(
        desk.rules(&text).await.unwrap().version,
        2,
        "a warning hinders nobody"
    );
}
