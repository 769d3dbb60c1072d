//! Finds the first line that matches among thousands without looking at all.
//!
//! A line that wants one of certain codes can only match a combination that
//! has one of them. So each line is filed under the codes of that one of its
//! conditions whose codes are the rarest, and a combination looks under its
//! own seven codes and at the few lines that want no code in particular.

use std::collections::HashMap;
use std::iter::once;

use super::criterium::{Branches, Combination, Condition, Criterium, Selection};
use super::model::Rule;

/// A line that would have to be filed under more codes is not filed under any.
const MOST_CODES: usize = 64;

/// Ranks of lines, the smallest first.
type Ranks = Vec<usize>;

#[derive(Debug, Clone, Default)]
pub(super) struct Finder {
    /// By criterium and code.
    by_code: [HashMap<Box<str>, Ranks>; 7],
    others: Ranks,
}

impl Finder {
    /// Files lines that are in the order of their priority.
    pub(super) fn new(branches: &Branches, rules: &[Rule]) -> Self {
        let rarest = rarest_conditions(branches, rules);
        let mut finder = Self::default();
        for (rank, rule) in rules.iter().enumerate() {
            match rule.branch.and_then(|branch| rarest[branch]) {
                Some((_, condition)) => {
                    let by_code = &mut finder.by_code[condition.criterium.place()];
                    for code in wanted(condition).into_iter().flatten() {
                        by_code.entry(Box::from(code)).or_default().push(rank);
                    }
                }
                None => finder.others.push(rank),
            }
        }
        finder
    }

    /// The smallest rank that could match and does.
    pub(super) fn first(
        &self,
        combination: &Combination<'_>,
        matches: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let by_code = Criterium::ALL.into_iter().filter_map(|criterium| {
            let value = combination.value(criterium)?;
            self.by_code[criterium.place()].get(value)
        });
        let mut best: Option<usize> = None;
        for ranks in by_code.chain(once(&self.others)) {
            best = ranks
                .iter()
                .copied()
                .take_while(|rank| best.is_none_or(|best| *rank < best))
                .find(|rank| matches(*rank))
                .or(best);
        }
        best
    }
}

/// The codes of which a condition wants one, where they are not too many.
fn wanted(condition: &Condition) -> Option<impl ExactSizeIterator<Item = &str>> {
    match &condition.selection {
        Selection::AnyOf(codes) if codes.iter().len() <= MOST_CODES => Some(codes.iter()),
        Selection::AnyOf(_) | Selection::NoneOf(_) | Selection::All => None,
    }
}

type Rarest<'a> = Option<(usize, &'a Condition)>;

/// For each branch the condition, its own or one above, under whose codes the
/// fewest lines would be filed, with that number.
fn rarest_conditions<'a>(branches: &'a Branches, rules: &[Rule]) -> Vec<Rarest<'a>> {
    let branches = branches.all();
    // How many lines stand on and under each; those below come later.
    let mut lines = vec![0_usize; branches.len()];
    for branch in rules.iter().filter_map(|rule| rule.branch) {
        lines[branch] += 1;
    }
    for (place, branch) in branches.iter().enumerate().rev() {
        if let Some(above) = branch.above {
            lines[above] += lines[place];
        }
    }

    let mut uses: HashMap<(Criterium, &str), usize> = HashMap::new();
    for (place, branch) in branches.iter().enumerate() {
        for condition in &branch.conditions {
            for code in wanted(condition).into_iter().flatten() {
                *uses.entry((condition.criterium, code)).or_default() += lines[place];
            }
        }
    }
    let mut rarest: Vec<Rarest<'a>> = Vec::with_capacity(branches.len());
    for branch in branches {
        let own = branch.conditions.iter().filter_map(|condition| {
            let uses = wanted(condition)?.map(|code| uses[&(condition.criterium, code)]);
            Some((uses.sum(), condition))
        });
        let above = branch.above.and_then(|above| rarest[above]);
        rarest.push(own.chain(above).min_by_key(|(uses, _)| *uses));
    }
    rarest
}
