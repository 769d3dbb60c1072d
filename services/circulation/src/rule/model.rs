//! Circulation rules: which line applies to a combination, and why. Pure.
//!
//! The rule text is in the style that FOLIO documents; [`crate::rule::parse`]
//! reads it.

use std::cmp::Ordering;

/// What a rule looks at, by the letter that names it in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Criterium {
    /// `t`.
    LoanType,
    /// `s`.
    Location,
    /// `c`.
    Library,
    /// `b`.
    Campus,
    /// `a`.
    Institution,
    /// `m`.
    MaterialType,
    /// `g`.
    PatronGroup,
}

impl Criterium {
    /// All seven, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::LoanType,
        Self::Location,
        Self::Library,
        Self::Campus,
        Self::Institution,
        Self::MaterialType,
        Self::PatronGroup,
    ];

    /// The letter.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::LoanType => 't',
            Self::Location => 's',
            Self::Library => 'c',
            Self::Campus => 'b',
            Self::Institution => 'a',
            Self::MaterialType => 'm',
            Self::PatronGroup => 'g',
        }
    }

    /// The criterium of a letter.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|criterium| text.chars().eq([criterium.letter()]))
    }

    /// Location letters count once: they are one place.
    fn kind(self) -> char {
        match self {
            Self::Location | Self::Library | Self::Campus | Self::Institution => 's',
            other => other.letter(),
        }
    }
}

/// What one criterium allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The criterium.
    pub criterium: Criterium,
    /// Values of which one is enough; empty: any value.
    pub included: Vec<String>,
    /// Values (`!`) of which none may be there.
    pub excluded: Vec<String>,
}

impl Condition {
    fn allows(&self, value: Option<&str>) -> bool {
        let value = value.unwrap_or_default();
        (self.included.is_empty() || self.included.iter().any(|included| included == value))
            && self.excluded.iter().all(|excluded| excluded != value)
    }
}

/// A policy's name as the text has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyName {
    /// The code.
    pub code: String,
    /// Where it stands in its line, from 1.
    pub column: u32,
}

/// The five policies of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyNames {
    /// `l`.
    pub loan: PolicyName,
    /// `r`.
    pub request: PolicyName,
    /// `n`.
    pub notice: PolicyName,
    /// `o`.
    pub overdue_fine: PolicyName,
    /// `i`.
    pub lost_item: PolicyName,
}

/// A line that names policies, with all conditions of its branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The line's number in the text, from 1.
    pub line: u32,
    /// The line as written.
    pub text: String,
    /// Its own conditions and those of the lines that it stands under. None:
    /// the fallback policy.
    pub conditions: Vec<Condition>,
    /// The policies.
    pub policies: PolicyNames,
}

impl Rule {
    fn matches(&self, combination: &Combination<'_>) -> bool {
        self.conditions
            .iter()
            .all(|condition| condition.allows(combination.value(condition.criterium)))
    }

    /// How many criteria, location letters counted once.
    fn criteria_count(&self) -> usize {
        let mut kinds: Vec<char> = self
            .conditions
            .iter()
            .map(|condition| condition.criterium.kind())
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds.len()
    }

    /// The place of its foremost criterium in an order.
    fn foremost(&self, order: &[Criterium; 7]) -> usize {
        let place = |criterium| order.iter().position(|other| *other == criterium);
        self.conditions
            .iter()
            .filter_map(|condition| place(condition.criterium))
            .min()
            .unwrap_or(order.len())
    }
}

/// What decides between lines that match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Priority {
    /// The line with the criterium that stands foremost in this order.
    Criterium([Criterium; 7]),
    /// The line with more criteria.
    NumberOfCriteria,
    /// The earlier line.
    FirstLine,
    /// The later line.
    LastLine,
}

impl Priority {
    /// `Less` where the first is to stand before the second.
    fn compare(&self, first: &Rule, second: &Rule) -> Ordering {
        match self {
            Self::Criterium(order) => first.foremost(order).cmp(&second.foremost(order)),
            Self::NumberOfCriteria => second.criteria_count().cmp(&first.criteria_count()),
            Self::FirstLine => first.line.cmp(&second.line),
            Self::LastLine => second.line.cmp(&first.line),
        }
    }

    /// Why the first stands before the second.
    fn reason(&self, first: &Rule, second: &Rule) -> String {
        match self {
            Self::Criterium(order) => format!(
                "criterium {} before {}",
                order[first.foremost(order)].letter(),
                order[second.foremost(order)].letter()
            ),
            Self::NumberOfCriteria => format!(
                "more criteria: {} against {}",
                first.criteria_count(),
                second.criteria_count()
            ),
            Self::FirstLine => format!("earlier line: {} before {}", first.line, second.line),
            Self::LastLine => format!("later line: {} after {}", first.line, second.line),
        }
    }
}

/// What rules look at, for one loan. `None`: not known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Combination<'a> {
    /// `g`.
    pub patron_group: Option<&'a str>,
    /// `m`.
    pub material_type: Option<&'a str>,
    /// `t`.
    pub loan_type: Option<&'a str>,
    /// `s`.
    pub location: Option<&'a str>,
    /// `c`.
    pub library: Option<&'a str>,
    /// `b`.
    pub campus: Option<&'a str>,
    /// `a`.
    pub institution: Option<&'a str>,
}

impl<'a> Combination<'a> {
    fn value(&self, criterium: Criterium) -> Option<&'a str> {
        match criterium {
            Criterium::LoanType => self.loan_type,
            Criterium::Location => self.location,
            Criterium::Library => self.library,
            Criterium::Campus => self.campus,
            Criterium::Institution => self.institution,
            Criterium::MaterialType => self.material_type,
            Criterium::PatronGroup => self.patron_group,
        }
    }
}

/// A rule text that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// What decides, first to last.
    pub priorities: Vec<Priority>,
    /// The line that applies where no other does.
    pub fallback: Rule,
    /// All other lines with policies.
    pub rules: Vec<Rule>,
}

/// A line that matches, and why it stands where it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match<'a> {
    /// The line.
    pub rule: &'a Rule,
    /// Why it stands before the next one, or lost against the one before it.
    pub reason: String,
}

impl Rules {
    /// The line that applies.
    #[must_use]
    pub fn choose(&self, combination: &Combination<'_>) -> &Rule {
        self.rules
            .iter()
            .filter(|rule| rule.matches(combination))
            .min_by(|first, second| self.compare(first, second))
            .unwrap_or(&self.fallback)
    }

    /// Whether a line is the fallback policy.
    #[must_use]
    pub fn is_fallback(&self, rule: &Rule) -> bool {
        rule.line == self.fallback.line
    }

    fn compare(&self, first: &Rule, second: &Rule) -> Ordering {
        self.priorities
            .iter()
            .map(|priority| priority.compare(first, second))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    fn reason(&self, first: &Rule, second: &Rule) -> String {
        self.priorities
            .iter()
            .find(|priority| priority.compare(first, second).is_ne())
            .map(|priority| priority.reason(first, second))
            .unwrap_or_default()
    }

    /// All lines that match, the applying one first, the fallback last.
    #[must_use]
    pub fn matches(&self, combination: &Combination<'_>) -> Vec<Match<'_>> {
        let mut rules: Vec<&Rule> = self
            .rules
            .iter()
            .filter(|rule| rule.matches(combination))
            .collect();
        rules.sort_by(|first, second| self.compare(first, second));

        let mut matches: Vec<Match<'_>> = Vec::with_capacity(rules.len() + 1);
        for (place, rule) in rules.iter().enumerate() {
            let reason = match (place.checked_sub(1), rules.get(place + 1)) {
                (None, None) => "the only line that matches".to_owned(),
                (None, Some(next)) => self.reason(rule, next),
                (Some(before), _) => format!("lost: {}", self.reason(rules[before], rule)),
            };
            matches.push(Match { rule, reason });
        }
        matches.push(Match {
            rule: &self.fallback,
            reason: if rules.is_empty() {
                "the fallback policy: no line matches".to_owned()
            } else {
                "lost: the fallback policy applies only where no line matches".to_owned()
            },
        });
        matches
    }
}
