//! What decides between lines that match. Pure.

use std::cmp::Ordering;

use super::criterium::Criterium;
use super::model::Rule;

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
        let (left, right) = (first.criteria, second.criteria);
        match self {
            Self::Criterium(order) => left.foremost(order).cmp(&right.foremost(order)),
            Self::NumberOfCriteria => right.count().cmp(&left.count()),
            Self::FirstLine => first.line.cmp(&second.line),
            Self::LastLine => second.line.cmp(&first.line),
        }
    }

    /// Why the first stands before the second.
    fn reason(&self, first: &Rule, second: &Rule) -> String {
        let letter = |order: &[Criterium; 7], rule: &Rule| {
            order
                .get(rule.criteria.foremost(order))
                .map_or('-', |criterium| criterium.letter())
        };
        match self {
            Self::Criterium(order) => format!(
                "criterium {} before {}",
                letter(order, first),
                letter(order, second)
            ),
            Self::NumberOfCriteria => format!(
                "more criteria: {} against {}",
                first.criteria.count(),
                second.criteria.count()
            ),
            Self::FirstLine => format!("earlier line: {} before {}", first.line, second.line),
            Self::LastLine => format!("later line: {} after {}", first.line, second.line),
        }
    }
}

/// By all priorities, the first that decides; `Less` where the first line is
/// to stand before the second.
pub(super) fn compare(priorities: &[Priority], first: &Rule, second: &Rule) -> Ordering {
    priorities
        .iter()
        .map(|priority| priority.compare(first, second))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Why the first line stands before the second.
pub(super) fn reason(priorities: &[Priority], first: &Rule, second: &Rule) -> String {
    priorities
        .iter()
        .find(|priority| priority.compare(first, second).is_ne())
        .map(|priority| priority.reason(first, second))
        .unwrap_or_default()
}
