//! What the documentation of the rule text says, once more and as plainly as
//! can be, to hold the real reading and choosing against.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::model::Combination;
use super::parse::parse;

const LETTERS: [char; 7] = ['t', 's', 'c', 'b', 'a', 'm', 'g'];
const CODES: [&str; 3] = ["x1", "y-2", "Z_3"];

#[derive(Debug, Clone)]
enum Names {
    All,
    Listed(Vec<&'static str>),
    Negated(Vec<&'static str>),
}

type Criterium = (char, Names);

/// A line as it was made up: how deep it stands, and whether it has policies.
#[derive(Debug, Clone)]
struct Line {
    depth: usize,
    criteria: Vec<Criterium>,
    has_policies: bool,
}

#[derive(Debug, Clone)]
enum Regulation {
    Letters(Vec<char>),
    Number,
    First,
    Last,
}

#[derive(Debug, Clone)]
struct Text {
    regulations: Vec<Regulation>,
    lines: Vec<Line>,
    indent: usize,
    fallback_last: bool,
    noise: Vec<bool>,
}

fn criterium() -> impl Strategy<Value = Criterium> {
    let codes = proptest::collection::vec(select(&CODES[..]), 1..4);
    let names = (0..5_u8, codes).prop_map(|(kind, codes)| match kind {
        0 => Names::All,
        1 => Names::Negated(codes),
        _ => Names::Listed(codes),
    });
    (select(&LETTERS[..]), names)
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (
        any::<Index>(),
        proptest::collection::vec(criterium(), 1..4),
        any::<bool>(),
    );
    proptest::collection::vec(line, 0..25).prop_map(|drawn| {
        let mut lines: Vec<Line> = Vec::new();
        for (depth, criteria, has_policies) in drawn {
            let deepest = lines.last().map_or(0, |line| (line.depth + 1).min(5));
            lines.push(Line {
                depth: depth.index(deepest + 1),
                criteria,
                has_policies,
            });
        }
        // What has nothing below it needs policies.
        for place in 0..lines.len() {
            let below = lines.get(place + 1).map_or(0, |next| next.depth);
            lines[place].has_policies |= below <= lines[place].depth;
        }
        lines
    })
}

fn regulations() -> impl Strategy<Value = Vec<Regulation>> {
    let order = Just(LETTERS.to_vec()).prop_shuffle();
    (order, 0..5_u8, any::<bool>()).prop_map(|(order, kind, first)| {
        let letters = Regulation::Letters(order);
        let mut regulations = match kind {
            0 => vec![],
            1 => vec![letters],
            2 => vec![Regulation::Number],
            3 => vec![Regulation::Number, letters],
            _ => vec![letters, Regulation::Number],
        };
        regulations.push(if first {
            Regulation::First
        } else {
            Regulation::Last
        });
        regulations
    })
}

fn texts() -> impl Strategy<Value = Text> {
    (
        regulations(),
        lines(),
        1..5_usize,
        any::<bool>(),
        proptest::collection::vec(any::<bool>(), 25),
    )
        .prop_map(|(regulations, lines, indent, fallback_last, noise)| Text {
            regulations,
            lines,
            indent,
            fallback_last,
            noise,
        })
}

fn values() -> impl Strategy<Value = [Option<&'static str>; 7]> {
    let value = || proptest::option::weighted(0.9, select(&CODES[..]));
    [
        value(),
        value(),
        value(),
        value(),
        value(),
        value(),
        value(),
    ]
}

impl Text {
    /// The text, and the number of each line that was made up.
    fn print(&self) -> (String, Vec<u32>) {
        let regulations: Vec<String> = self
            .regulations
            .iter()
            .map(|regulation| match regulation {
                Regulation::Letters(letters) => {
                    let letters: Vec<String> = letters.iter().map(char::to_string).collect();
                    format!("criterium ({})", letters.join(", "))
                }
                Regulation::Number => "number-of-criteria".into(),
                Regulation::First => "first-line".into(),
                Regulation::Last => "last-line".into(),
            })
            .collect();
        let fallback = "fallback-policy: l none r r n n o o i i".to_owned();
        let mut printed = vec![format!("priority: {}", regulations.join(", "))];
        if !self.fallback_last {
            printed.push(fallback.clone());
        }
        let mut numbers = Vec::new();
        for (place, line) in self.lines.iter().enumerate() {
            if self.noise[place] {
                printed.extend(["# a remark: l x".to_owned(), String::new()]);
            }
            let criteria: Vec<String> = line.criteria.iter().map(print_criterium).collect();
            let mut text = " ".repeat(line.depth * self.indent) + &criteria.join(" + ");
            if line.has_policies {
                text += &format!(": o o l p{place} i i n n r r");
            }
            printed.push(text);
            numbers.push(printed.len() as u32);
        }
        if self.fallback_last {
            printed.push(fallback);
        }
        (printed.join("\n"), numbers)
    }

    /// The line that applies, of those that were made up; `None`: the fallback.
    fn applies(&self, values: &[Option<&str>; 7]) -> Option<usize> {
        let matching: Vec<usize> = (0..self.lines.len())
            .filter(|place| self.lines[*place].has_policies)
            .filter(|place| {
                self.branch(*place)
                    .iter()
                    .all(|(letter, names)| allows(names, value(values, *letter)))
            })
            .collect();
        let mut left = matching;
        for regulation in &self.regulations {
            let best = left
                .iter()
                .map(|place| self.score(regulation, *place))
                .max();
            left.retain(|place| Some(self.score(regulation, *place)) == best);
        }
        left.first().copied()
    }

    /// A line's criteria and, for each smaller depth, those of the last line
    /// before it.
    fn branch(&self, place: usize) -> Vec<Criterium> {
        let mut criteria = self.lines[place].criteria.clone();
        for depth in 0..self.lines[place].depth {
            let above = self.lines[..place]
                .iter()
                .rev()
                .find(|line| line.depth == depth);
            criteria.extend(above.unwrap().criteria.clone());
        }
        criteria
    }

    fn score(&self, regulation: &Regulation, place: usize) -> i64 {
        let branch = self.branch(place);
        match regulation {
            Regulation::First => -(place as i64),
            Regulation::Last => place as i64,
            Regulation::Letters(order) => branch
                .iter()
                .map(|(letter, _)| {
                    7 - order.iter().position(|other| other == letter).unwrap() as i64
                })
                .max()
                .unwrap(),
            Regulation::Number => {
                let mut kinds: Vec<char> = branch
                    .iter()
                    .map(|(letter, _)| {
                        if "abcs".contains(*letter) {
                            's'
                        } else {
                            *letter
                        }
                    })
                    .collect();
                kinds.sort_unstable();
                kinds.dedup();
                kinds.len() as i64
            }
        }
    }
}

fn print_criterium((letter, names): &Criterium) -> String {
    match names {
        Names::All => format!("{letter} all"),
        Names::Listed(codes) => format!("{letter} {}", codes.join(" ")),
        Names::Negated(codes) => format!("{letter} !{}", codes.join(" !")),
    }
}

fn value<'a>(values: &[Option<&'a str>; 7], letter: char) -> Option<&'a str> {
    values[LETTERS.iter().position(|other| *other == letter).unwrap()]
}

fn allows(names: &Names, value: Option<&str>) -> bool {
    match (names, value) {
        (Names::All, _) | (Names::Negated(_), None) => true,
        (Names::Listed(_), None) => false,
        (Names::Listed(codes), Some(value)) => codes.contains(&value),
        (Names::Negated(codes), Some(value)) => !codes.contains(&value),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_chosen_is_what_the_documentation_says(
        text in texts(),
        asked in proptest::collection::vec(values(), 10),
    ) {
        let (printed, numbers) = text.print();
        let rules = parse(&printed).unwrap();
        let with_policies = text.lines.iter().filter(|line| line.has_policies).count();
        prop_assert_eq!(rules.rules().len(), with_policies);
        for values in &asked {
            let combination = Combination {
                loan_type: value(values, 't'),
                location: value(values, 's'),
                library: value(values, 'c'),
                campus: value(values, 'b'),
                institution: value(values, 'a'),
                material_type: value(values, 'm'),
                patron_group: value(values, 'g'),
            };
            let chosen = rules.choose(&combination);
            let expected = text.applies(values);
            let line = expected.map_or(rules.fallback.line, |place| numbers[place]);
            prop_assert_eq!(chosen.line, line, "{}\n{:?}", printed, combination);
            if let Some(place) = expected {
                let policy = format!("p{place}");
                prop_assert_eq!(&chosen.policies.loan.code, &policy);
            }
            prop_assert_eq!(rules.outcome(&combination).rule, chosen);
            prop_assert_eq!(rules.matches(&combination)[0].rule, chosen);
        }
    }
}
