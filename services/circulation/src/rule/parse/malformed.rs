//! Rule texts with one fault each.

use super::parse;
use super::tests::{POLICIES, check};

/// Texts with one fault each: line, column, and what was expected.
fn malformed_texts() -> Vec<(String, u32, u32, &'static str)> {
    let fallback = format!("fallback-policy: {POLICIES}\n");
    let whole = format!("priority: last-line\n{fallback}");
    let priority = |text: &str| format!("priority: {text}\n{fallback}");
    let rule = |line: &str| format!("{whole}{line}\n");
    const GOOD: &str = "l a r b n c o d i e";
    vec![
        (fallback.clone(), 1, 1, "a priority line"),
        (
            "priority: last-line\n".into(),
            1,
            20,
            "a fallback-policy line",
        ),
        (
            format!("priority: last-line # no more\nm book: {GOOD} # end\n\n"),
            3,
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
            format!("{fallback}m book: {GOOD}\npriority: last-line\n"),
            3,
            1,
            "before the first rule",
        ),
        (
            format!("priority: last-line\nm book: {GOOD}\n{fallback}m map: {GOOD}\n"),
            3,
            1,
            "before the first rule or after the last",
        ),
        (
            rule(&format!("m book\n  fallback-policy: {GOOD}\n  g x: {GOOD}")),
            3,
            7,
            "an indented line below",
        ),
        (
            format!("priority: last-line\n  {fallback}"),
            2,
            3,
            "no indentation before fallback-policy",
        ),
        (format!("priority last-line\n{fallback}"), 1, 10, "\":\""),
        (priority("newest"), 1, 11, "number-of-criteria"),
        (priority("number-of-criteria"), 1, 29, "\",\" and at last"),
        (
            priority("number-of-criteria, number-of-criteria, last-line"),
            1,
            31,
            "each at most once",
        ),
        (priority("last-line, first-line"), 1, 20, "nothing after"),
        (priority("criterium t, last-line"), 1, 21, "\"(\""),
        (
            priority("criterium(t, t, c, b, a, m, g), last-line"),
            1,
            24,
            "each of the letters",
        ),
        (
            priority("criterium(t, s), last-line"),
            1,
            25,
            "each of the letters",
        ),
        (
            priority("t g m a b c s s"),
            1,
            25,
            "nothing after the seven letters",
        ),
        (priority("t g m a b c"), 1, 22, "each of the letters"),
        (
            "priority: last-line\nfallback-policy: l a r b n c o d\n".into(),
            2,
            33,
            "the i policy",
        ),
        (
            "priority: last-line\nfallback-policy: l a l b\n".into(),
            2,
            22,
            "only one l policy",
        ),
        (rule(&format!("x book: {GOOD}")), 3, 1, "one of the letters"),
        (
            rule(&format!("! m book: {GOOD}")),
            3,
            1,
            "one of the letters",
        ),
        (rule(&format!("m: {GOOD}")), 3, 2, "a code"),
        (rule("m book"), 3, 7, "an indented line below"),
        (
            rule("m book  # only\ng student: l a r b n c o d i e"),
            3,
            7,
            "an indented line below",
        ),
        (
            rule(&format!("m book + : {GOOD}")),
            3,
            10,
            "one of the letters",
        ),
        (
            rule(&format!("m book g student: {GOOD}")),
            3,
            8,
            "\"+\" before another",
        ),
        (
            rule(&format!("m all g student: {GOOD}")),
            3,
            7,
            "\"+\" before another",
        ),
        (rule(&format!("m !: {GOOD}")), 3, 4, "a code after \"!\""),
        (rule(&format!("m !all: {GOOD}")), 3, 4, "a code after \"!\""),
        (
            rule(&format!("m book !dvd: {GOOD}")),
            3,
            8,
            "\"!\" before each code",
        ),
        (
            rule(&format!("m !dvd book: {GOOD}")),
            3,
            8,
            "\"!\" before each code",
        ),
        (
            rule(&format!("m all book: {GOOD}")),
            3,
            7,
            "either \"all\" or codes",
        ),
        (
            rule(&format!("m book all: {GOOD}")),
            3,
            8,
            "either \"all\" or codes",
        ),
        (
            rule(&format!("m {}: {GOOD}", "b".repeat(41))),
            3,
            3,
            "at most 40 characters",
        ),
        (
            rule("m book (l a r b n c o d i e)"),
            3,
            8,
            "\"+\" and another criterium, or \":\"",
        ),
        (rule("m book: l a r b n c o d i"), 3, 26, "a policy's code"),
        (rule("m book: l a r b n c o d"), 3, 24, "the i policy"),
        (
            rule("m book: l a b n c o d i e"),
            3,
            13,
            "one each of the policies r, n, o, i",
        ),
        (
            rule(&format!("m book: {GOOD} x y")),
            3,
            29,
            "nothing after the five policies",
        ),
        (
            rule(&format!("m b\u{fc}ch: {GOOD}")),
            3,
            4,
            "a letter, a digit",
        ),
        (
            rule(&format!("m\u{a0}book: {GOOD}")),
            3,
            2,
            "a letter, a digit",
        ),
        (rule(&format!("m book:\t{GOOD}")), 3, 8, "not a tab"),
        (
            rule(&format!("m book: {GOOD}\n \tg x: {GOOD}")),
            4,
            2,
            "not a tab",
        ),
        (
            rule(&format!("    m book: {GOOD}\n    m map: {GOOD}")),
            3,
            5,
            "no indentation",
        ),
        (
            rule(&format!("m book\n    g x: {GOOD}\n  g y: {GOOD}")),
            5,
            3,
            "0, 4 spaces, found 2",
        ),
        (
            rule(&format!("m {}", "book ".repeat(800))),
            3,
            4001,
            "at most 4000 characters",
        ),
        (
            rule(&format!("{} + g x: {GOOD}", ["g all"; 20].join(" + "))),
            3,
            159,
            "at most 20 criteria",
        ),
        (rule(&nested(21)), 23, 21, "at most 20 levels"),
    ]
}

/// A line under a line under a line.
fn nested(levels: usize) -> String {
    (0..levels)
        .map(|level| format!("{}m book: {POLICIES}\n", " ".repeat(level)))
        .collect()
}

#[test]
fn malformed_texts_are_told_with_line_column_and_what_was_expected() {
    for (text, line, column, expected) in malformed_texts() {
        let errors = parse(&text).unwrap_err();
        let first = &errors[0];
        let place = (first.line, first.column);
        assert_eq!(place, (line, column), "{text}\n{errors:?}");
        assert!(first.expected.contains(expected), "{text}\n{first}");
        // An indented heading ends the branch that it interrupts.
        let interrupted = text.contains("\n  fallback-policy");
        assert!(
            errors.len() == 1 || interrupted,
            "one fault, one error: {text}\n{errors:?}"
        );
        check(&text);
    }
}
