//! Rule texts: those that read, those that don't, and any text at all.

use proptest::prelude::*;

use super::*;
use crate::rule::model::Combination;

const POLICIES: &str = "l two-weeks r all n standard o daily i standard";

/// In the style of FOLIO's documentation.
const COLLEGE: &str = "\
# The district's rules
priority: number-of-criteria, criterium (t, s, c, b, a, m, g), last-line
fallback-policy: l no-loan r none n none o none i none

m book dvd: l two-weeks r all n standard o daily i standard
    g faculty: l term r all n standard o none i standard   / teachers
    g !visitor + t short-loan : l three-days r all n standard o hourly i standard
g all + s ALD-RESERVE: l two-hours r none n short o hourly i standard
m laptop
    c ALD-MAIN
        g student: l four-hours r none n short o hourly i laptop
";

fn line(text: &str, combination: &Combination<'_>) -> u32 {
    parse(text).unwrap().choose(combination).line
}

fn of<'a>(group: &'a str, material: &'a str, loan_type: &'a str) -> Combination<'a> {
    Combination {
        patron_group: Some(group),
        material_type: Some(material),
        loan_type: Some(loan_type),
        ..Combination::default()
    }
}

#[test]
fn the_documentations_style_reads_and_chooses() {
    let in_reserve = Combination {
        location: Some("ALD-RESERVE"),
        ..of("visitor", "map", "standard")
    };
    let laptop = |library| Combination {
        library: Some(library),
        ..of("student", "laptop", "standard")
    };
    let table = [
        (of("student", "book", "standard"), 5, "one criterium"),
        (
            of("faculty", "book", "standard"),
            6,
            "nested under the books",
        ),
        (of("faculty", "book", "short-loan"), 7, "three criteria"),
        (
            of("visitor", "book", "short-loan"),
            5,
            "visitors are excluded",
        ),
        (of("student", "map", "standard"), 3, "nothing matches"),
        (in_reserve, 8, "any group"),
        (laptop("ALD-MAIN"), 11, "two levels deep"),
        (laptop("ALD-NORTH"), 3, "another library"),
    ];
    for (combination, expected, why) in table {
        assert_eq!(
            line(COLLEGE, &combination),
            expected,
            "{why}: {combination:?}"
        );
    }
    assert_eq!(
        parse(COLLEGE).unwrap().rules[1].text.split(':').next(),
        Some("g faculty")
    );
}

#[test]
fn priorities_decide_as_they_are_ordered() {
    let rules = |priority: &str| {
        format!(
            "priority: {priority}\nfallback-policy: {POLICIES}\nm book: {POLICIES}\ng student: {POLICIES}\n\
             t standard: {POLICIES}\na ALD + b MAIN + c LIB: {POLICIES}\nm book + g student: {POLICIES}\n"
        )
    };
    let book = Combination {
        institution: Some("ALD"),
        campus: Some("MAIN"),
        library: Some("LIB"),
        ..of("student", "book", "standard")
    };
    for (priority, expected) in [
        ("first-line", 3),
        ("last-line", 7),
        ("number-of-criteria, first-line", 7),
        ("criterium(t, s, c, b, a, m, g), last-line", 5),
        ("criterium(g, m, t, s, c, b, a), first-line", 4),
        (
            "criterium(g, m, t, s, c, b, a), number-of-criteria, first-line",
            7,
        ),
        ("t, s, c, b, a, m, g", 5),
        ("a, b, c, s, t, m, g", 6),
    ] {
        assert_eq!(line(&rules(priority), &book), expected, "{priority}");
    }
}

#[test]
fn three_letters_of_one_place_are_one_criterium() {
    let text = format!(
        "priority: number-of-criteria, last-line\nfallback-policy: {POLICIES}\n\
         m book + g student: {POLICIES}\na ALD + b MAIN + c LIB + s STACKS: {POLICIES}\n"
    );
    let stacks = Combination {
        institution: Some("ALD"),
        campus: Some("MAIN"),
        library: Some("LIB"),
        location: Some("STACKS"),
        ..of("student", "book", "standard")
    };
    let rules = parse(&text).unwrap();
    let matches = rules.matches(&stacks);
    let told: Vec<(u32, &str)> = matches
        .iter()
        .map(|m| (m.rule.line, m.reason.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (3, "more criteria: 2 against 1"),
            (4, "lost: more criteria: 2 against 1"),
            (
                2,
                "lost: the fallback policy applies only where no line matches"
            ),
        ]
    );
}

#[test]
fn malformed_texts_are_told_with_line_column_and_what_was_expected() {
    let fallback = format!("fallback-policy: {POLICIES}\n");
    let whole = format!("priority: last-line\n{fallback}");
    let rule = |line: &str| format!("{whole}{line}\n");
    let table: Vec<(String, u32, u32, &str)> = vec![
        (fallback.clone(), 1, 1, "a priority line"),
        (
            "priority: last-line\n".into(),
            1,
            1,
            "a fallback-policy line",
        ),
        (
            format!("{whole}priority: last-line\n"),
            3,
            1,
            "only one priority",
        ),
        (
            format!("{whole}{fallback}"),
            3,
            1,
            "only one fallback-policy",
        ),
        (
            format!("priority: newest\n{fallback}"),
            1,
            11,
            "number-of-criteria",
        ),
        (
            format!("priority: number-of-criteria\n{fallback}"),
            1,
            29,
            "\",\" and at last",
        ),
        (
            format!("priority: last-line, first-line\n{fallback}"),
            1,
            20,
            "nothing after",
        ),
        (
            format!("priority: criterium t, last-line\n{fallback}"),
            1,
            21,
            "\"(\"",
        ),
        (
            format!("priority: criterium(t, t, c, b, a, m, g), last-line\n{fallback}"),
            1,
            24,
            "each of the letters",
        ),
        (
            format!("priority: criterium(t, s), last-line\n{fallback}"),
            1,
            25,
            "the rest of the letters",
        ),
        (
            "priority: last-line\nfallback-policy: l a r b n c o d\n".into(),
            2,
            33,
            "one each of the policies",
        ),
        (
            "priority: last-line\nfallback-policy: l a l b\n".into(),
            2,
            22,
            "one each of the policies",
        ),
        (
            rule("x book: l a r b n c o d i e"),
            3,
            1,
            "one of the letters",
        ),
        (rule("m: l a r b n c o d i e"), 3, 2, "a code"),
        (rule("m book"), 3, 7, "an indented line below"),
        (
            rule("m book + : l a r b n c o d i e"),
            3,
            10,
            "one of the letters",
        ),
        (
            rule("m book g student: l a r b n c o d i e"),
            3,
            8,
            "\"+\" before another",
        ),
        (rule("m !: l a r b n c o d i e"), 3, 4, "a code after \"!\""),
        (
            rule("m all book: l a r b n c o d i e"),
            3,
            7,
            "either \"all\" or codes",
        ),
        (rule("m book: l a r b n c o d i"), 3, 26, "a policy's code"),
        (
            rule("m book: l a r b n c o d"),
            3,
            24,
            "one each of the policies",
        ),
        (
            rule("m b\u{fc}ch: l a r b n c o d i e"),
            3,
            4,
            "a letter, a digit",
        ),
        (rule("m book:\tl a r b n c o d i e"), 3, 8, "not a tab"),
        (
            rule("    m book: l a r b n c o d i e"),
            3,
            5,
            "no indentation",
        ),
        (
            rule("m book\ng student: l a r b n c o d i e"),
            3,
            7,
            "an indented line below",
        ),
    ];
    for (text, line, column, expected) in table {
        let errors = parse(&text).unwrap_err();
        let first = &errors[0];
        assert_eq!(
            (first.line, first.column),
            (line, column),
            "{text}\n{errors:?}"
        );
        assert!(first.expected.contains(expected), "{text}\n{first}");
        assert_eq!(errors.len(), 1, "one fault, one error: {text}\n{errors:?}");
    }
}

#[test]
fn all_errors_come_at_once_in_the_order_of_the_lines() {
    let text = "priority: never\nfallback-policy: l a\nx y\nm book: l a\n  g student\n";
    let lines: Vec<u32> = parse(text)
        .unwrap_err()
        .iter()
        .map(|error| error.line)
        .collect();
    assert_eq!(lines, [1, 2, 3, 4, 5]);
}

#[test]
fn a_line_with_comment_and_windows_line_ends_reads() {
    let text = format!(
        "priority: last-line # why\r\nfallback-policy: {POLICIES} / always\r\n\r\n  # a note\r\n"
    );
    assert_eq!(parse(&text).unwrap().fallback.line, 2);
}

proptest! {
    #[test]
    fn any_text_reads_or_tells_where_it_does_not(text in "[ a-zé:+!,()#/\\t\\n0-9-]{0,300}") {
        check(&text);
    }

    #[test]
    fn texts_that_are_nearly_right_read_or_tell(
        words in proptest::collection::vec(prop_oneof![
            Just("m"), Just("g"), Just("s"), Just("book"), Just("+"), Just(":"), Just("!"), Just("all"),
            Just("l"), Just("r"), Just("n"), Just("o"), Just("i"), Just("\n"), Just("\n  "), Just("\n    "),
            Just("priority:"), Just("last-line"), Just("fallback-policy:"), Just("criterium("), Just(","),
        ], 0..60)
    ) {
        check(&words.join(" "));
        check(&format!("{COLLEGE}{}", words.join(" ")));
    }
}

fn check(text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    match parse(text) {
        Ok(rules) => {
            let everybody = Combination::default();
            let chosen = rules.choose(&everybody);
            assert_eq!(rules.matches(&everybody)[0].rule, chosen);
        }
        Err(errors) => {
            assert!((1..=MOST_ERRORS).contains(&errors.len()));
            for error in errors {
                let line = lines
                    .get(error.line as usize - 1)
                    .copied()
                    .unwrap_or_default();
                assert!(error.line as usize <= lines.len().max(1), "{error}");
                assert!(
                    (1..=line.chars().count() as u32 + 1).contains(&error.column),
                    "{error}: {line:?}"
                );
            }
        }
    }
}
