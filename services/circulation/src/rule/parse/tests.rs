//! Rule texts: those that read, those that don't, and any text at all.

use proptest::prelude::*;

use super::*;
use crate::rule::model::Combination;

pub(super) const POLICIES: &str = "l two-weeks r all n standard o daily i standard";

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
    let rules = parse(COLLEGE).unwrap();
    let chosen = rules.choose(&of("faculty", "book", "standard"));
    assert_eq!(chosen.text.split(':').next(), Some("g faculty"));
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
fn a_text_is_bounded_in_lines_and_codes() {
    let whole = format!("priority: last-line\nfallback-policy: {POLICIES}\n");
    let line = format!("m book: {POLICIES}\n");
    assert!(parse(&format!("{whole}{}", line.repeat(10_000))).is_ok());
    let errors = parse(&format!("{whole}{}", line.repeat(10_001))).unwrap_err();
    assert_eq!((errors.len(), errors[0].line), (1, 10_003));

    let line = format!("m {}: {POLICIES}\n", "book ".repeat(500));
    assert!(parse(&format!("{whole}{}", line.repeat(100))).is_ok());
    let errors = parse(&format!("{whole}{}", line.repeat(101))).unwrap_err();
    assert_eq!((errors.len(), errors[0].line), (1, 103));
    assert!(errors[0].expected.contains("50000 codes"), "{errors:?}");
}

#[test]
fn what_stands_under_a_long_list_does_not_repeat_it() {
    // A thousand lines under 700 codes: repeated for each line they would be
    // 700,000.
    let codes: Vec<String> = (0..700).map(|n| format!("m{n}")).collect();
    let mut text = format!(
        "priority: last-line\nfallback-policy: {POLICIES}\nm {}: {POLICIES}\n",
        codes.join(" ")
    );
    for n in 0..1_000 {
        text += &format!("  s s{n}: {POLICIES}\n");
    }
    let rules = parse(&text).unwrap();
    let chosen = rules.choose(&Combination {
        location: Some("s77"),
        ..of("student", "m699", "standard")
    });
    assert_eq!(chosen.line, 81);
    assert_eq!(rules.choose(&of("student", "m699", "standard")).line, 3);
    let elsewhere = of("student", "m700", "standard");
    assert!(rules.is_fallback(rules.choose(&elsewhere)));
}

/// A district's rules as adopters write them: sections with titles, codes of
/// many kinds, a fallback at the end, commas left out, `all` to raise a line.
const DISTRICT: &str = "\
# Rules of the district, spring term
/ the order below is the one that the desks agreed on
priority: criterium(t s c b a m g), number-of-criteria, first-line

# 1 Everybody
g all                                   # any reader
    m book score: i standard o daily n standard r all l four-weeks
    m !book !score : l one-week r all n standard o daily i standard

# 2 Reserves
t course-reserve:l two-hours r none n short o hourly i standard
  c LIB_1 LIB.2
    g staff faculty :l one-day r none n short o hourly i standard
    g student
      b NORTH + a ALD:l three-hours r none n short o hourly i standard
  c LIB-3 : l in-house r none n short o hourly i standard

# 3 A room of its own, whoever asks for whatever
s 53cf956f-c1df-410b-8bea-27f712cca7c0 + g all + m all: l in-house r none n none o none i none
fallback-policy   :   l no-loan r none n none o none i none
";

#[test]
fn a_districts_rules_read_and_choose() {
    let reserve = |group, library, campus| Combination {
        library: Some(library),
        campus: Some(campus),
        institution: Some("ALD"),
        ..of(group, "book", "course-reserve")
    };
    let room = Combination {
        location: Some("53cf956f-c1df-410b-8bea-27f712cca7c0"),
        ..of("guest", "score", "standard")
    };
    for (combination, expected) in [
        (of("guest", "score", "standard"), 7),
        (of("guest", "map", "standard"), 8),
        (of("guest", "map", "course-reserve"), 11),
        (reserve("staff", "LIB.2", "SOUTH"), 13),
        (reserve("student", "LIB_1", "NORTH"), 15),
        (reserve("student", "LIB_1", "SOUTH"), 11),
        (reserve("student", "LIB-3", "NORTH"), 16),
        (room, 19),
    ] {
        assert_eq!(line(DISTRICT, &combination), expected, "{combination:?}");
    }
    let rules = parse(DISTRICT).unwrap();
    assert_eq!(rules.fallback.policies.loan.code, "no-loan");
    let books = rules.choose(&of("guest", "book", "standard"));
    let names = &books.policies;
    assert_eq!(
        (names.loan.code.as_str(), names.lost_item.code.as_str()),
        ("four-weeks", "standard"),
        "policies stand in any order"
    );
}

#[test]
fn all_counts_as_a_criterium_and_matches_what_is_not_known() {
    let text = format!(
        "priority: number-of-criteria, last-line\nfallback-policy: {POLICIES}\n\
         g all + m all: {POLICIES}\nm book: {POLICIES}\ns !RESERVE + m map + t x: {POLICIES}\n"
    );
    assert_eq!(line(&text, &of("student", "book", "standard")), 3);
    assert_eq!(line(&text, &Combination::default()), 3);
    // An item without a location is not in the reserve.
    assert_eq!(line(&text, &of("student", "map", "x")), 5);
}

#[test]
fn a_criterium_that_is_named_twice_must_hold_twice() {
    let text = format!(
        "priority: last-line\nfallback-policy: {POLICIES}\n\
         g !guest\n  g !staff: {POLICIES}\n  g guest: {POLICIES}\nm book + m map: {POLICIES}\n"
    );
    assert_eq!(line(&text, &of("student", "book", "x")), 4);
    assert_eq!(line(&text, &of("guest", "book", "x")), 2);
    assert_eq!(line(&text, &of("staff", "book", "x")), 2);
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
    // No more than a hundred, and then the rest is not read.
    let errors = parse(&"x y\n".repeat(1_000)).unwrap_err();
    assert_eq!((errors.len(), errors[99].line), (100, 100));
}

#[test]
fn a_line_with_comment_and_windows_line_ends_reads() {
    let text = format!(
        "priority: last-line # why\r\nfallback-policy: {POLICIES} / always\r\n\r\n  # a note\r\n"
    );
    assert_eq!(parse(&text).unwrap().fallback.line, 2);
    let old = text.replace("\r\n", "\r");
    assert_eq!(parse(&old).unwrap().fallback.line, 2);
    assert_eq!(parse(&format!("\u{feff}{text}")).unwrap().fallback.line, 2);
}

proptest! {
    #[test]
    fn any_text_reads_or_tells_where_it_does_not(text in "[ a-zé:+!,()#/\\t\\r\\n0-9-]{0,300}") {
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

pub(super) fn check(text: &str) {
    let lines: Vec<&str> = lines(text).collect();
    match parse(text) {
        Ok(rules) => {
            let everybody = Combination::default();
            let chosen = rules.choose(&everybody);
            assert_eq!(rules.matches(&everybody)[0].rule, chosen);
            assert_eq!(rules.outcome(&everybody).rule, chosen);
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
