//! Circulation rules: which line applies to a combination, and why. Pure.
//!
//! The rule text is in the style that FOLIO documents; [`crate::rule::parse`]
//! reads it.

use super::criterium::{Branches, CriteriaSet};
use super::finder::Finder;
use super::priority::{self, Priority};

pub use super::criterium::Combination;

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

impl PolicyNames {
    fn codes(&self) -> [&str; 5] {
        [
            &self.loan.code,
            &self.request.code,
            &self.notice.code,
            &self.overdue_fine.code,
            &self.lost_item.code,
        ]
    }

    /// Whether both name the same policies.
    #[must_use]
    pub fn are_those_of(&self, other: &Self) -> bool {
        self.codes() == other.codes()
    }
}

/// A line that names policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The line's number in the text, from 1.
    pub line: u32,
    /// The line as written.
    pub text: String,
    /// Where its own conditions are, and through them those of the lines that
    /// it stands under. `None`: the fallback policy.
    pub(super) branch: Option<usize>,
    /// Its own criteria and those of the lines that it stands under.
    pub criteria: CriteriaSet,
    /// The policies.
    pub policies: PolicyNames,
}

/// A rule text that was read.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What decides, first to last.
    priorities: Vec<Priority>,
    /// The line that applies where no other does.
    pub fallback: Rule,
    /// All other lines with policies, by priority. That order is the same for
    /// every combination, so the first line that matches is the one.
    rules: Vec<Rule>,
    branches: Branches,
    finder: Finder,
}

/// A line that matches, and why it stands where it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match<'a> {
    /// The line.
    pub rule: &'a Rule,
    /// Why it stands before the next one, or lost against the one before it.
    pub reason: String,
}

const NO_LINE: &str = "the fallback policy: no line matches";
const ONLY_LINE: &str = "the only line that matches";

impl Rules {
    /// Rules from the lines of a text.
    pub(super) fn new(
        priorities: Vec<Priority>,
        fallback: Rule,
        mut rules: Vec<Rule>,
        branches: Branches,
    ) -> Self {
        rules.sort_by(|first, second| priority::compare(&priorities, first, second));
        let finder = Finder::new(&branches, &rules);
        Self {
            priorities,
            fallback,
            rules,
            branches,
            finder,
        }
    }

    /// All lines with policies but the fallback policy, by priority.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The line that applies. It is asked at each check-out: nothing is
    /// allocated, and few lines are looked at.
    #[must_use]
    pub fn choose(&self, combination: &Combination<'_>) -> &Rule {
        self.finder
            .first(combination, |rank| {
                self.allows(&self.rules[rank], combination)
            })
            .map_or(&self.fallback, |rank| &self.rules[rank])
    }

    fn allows(&self, rule: &Rule, combination: &Combination<'_>) -> bool {
        rule.branch
            .is_none_or(|branch| self.branches.allow(branch, combination))
    }

    /// Whether a line is the fallback policy.
    #[must_use]
    pub fn is_fallback(&self, rule: &Rule) -> bool {
        rule.line == self.fallback.line
    }

    fn reason(&self, first: &Rule, second: &Rule) -> String {
        priority::reason(&self.priorities, first, second)
    }

    fn matching(&self, combination: &Combination<'_>) -> impl Iterator<Item = &Rule> {
        self.rules
            .iter()
            .filter(|rule| self.allows(rule, combination))
    }

    /// The line that applies, and why it stands before the others that match.
    #[must_use]
    pub fn outcome(&self, combination: &Combination<'_>) -> Match<'_> {
        let mut matching = self.matching(combination);
        let (rule, reason) = match (matching.next(), matching.next()) {
            (None, _) => (&self.fallback, NO_LINE.to_owned()),
            (Some(rule), None) => (rule, ONLY_LINE.to_owned()),
            (Some(rule), Some(next)) => (rule, self.reason(rule, next)),
        };
        Match { rule, reason }
    }

    /// All lines that match, the applying one first, the fallback last.
    #[must_use]
    pub fn matches(&self, combination: &Combination<'_>) -> Vec<Match<'_>> {
        let rules: Vec<&Rule> = self.matching(combination).collect();
        let mut matches: Vec<Match<'_>> = Vec::with_capacity(rules.len() + 1);
        for (place, rule) in rules.iter().enumerate() {
            let reason = match (place.checked_sub(1), rules.get(place + 1)) {
                (None, None) => ONLY_LINE.to_owned(),
                (None, Some(next)) => self.reason(rule, next),
                (Some(before), _) => format!("lost: {}", self.reason(rules[before], rule)),
            };
            matches.push(Match { rule, reason });
        }
        matches.push(Match {
            rule: &self.fallback,
            reason: if rules.is_empty() {
                NO_LINE.to_owned()
            } else {
                "lost: the fallback policy applies only where no line matches".to_owned()
            },
        });
        matches
    }
}
