//! Which charge of the SIS is which posting.
//!
//! Carrel leaves two traces on a charge: a comment with the posting's id, which decides where comments come back, and
//! the reference in the line's text and in the comments. Sites differ in what they return, so what is missing counts as
//! "may be ours", never as "is not ours".

use carrel_ids::Reference;
use uuid::Uuid;

use crate::outcome::{FindOutcome, SisCharge};
use crate::posting::PostingLookup;

const MARK: &str = "carrel:";
/// Characters of a hyphenated UUID.
const ID_CHARACTERS: usize = 36;

/// The comment that carries a posting's id.
pub(crate) fn mark(posting_id: Uuid) -> String {
    format!("{MARK}{posting_id}")
}

/// Whether a charge bears a posting's id.
pub(crate) fn bears_mark(posting_id: Uuid, charge: &SisCharge) -> bool {
    marks(charge).any(|marked| marked == posting_id)
}

/// Finds a posting among the charges of its student, period and destination.
pub(crate) fn find(lookup: &PostingLookup, charges: Vec<SisCharge>) -> FindOutcome {
    let mut certain = Vec::new();
    let mut possible = Vec::new();
    for charge in charges {
        match likeness(lookup, &charge) {
            Likeness::Same => certain.push(charge),
            Likeness::Possible => possible.push(charge),
            Likeness::Other => {}
        }
    }
    match (certain.len(), possible.is_empty()) {
        (0, true) => FindOutcome::NotFound,
        (0, false) => FindOutcome::Ambiguous(possible),
        (1, _) => FindOutcome::Found(certain.remove(0)),
        (_, _) => FindOutcome::Ambiguous(certain),
    }
}

#[derive(Debug, PartialEq)]
enum Likeness {
    Same,
    Possible,
    Other,
}

fn likeness(lookup: &PostingLookup, charge: &SisCharge) -> Likeness {
    let marks = marks(charge).collect::<Vec<_>>();
    if !marks.is_empty() {
        return if marks.contains(&lookup.posting_id) {
            Likeness::Same
        } else {
            Likeness::Other
        };
    }
    let same_date = lookup.chargeable_on.is_none() || charge.chargeable_on == lookup.chargeable_on;
    let same_values = charge.amount == Some(lookup.amount) && same_date;
    let texts = || charge.description.iter().chain(&charge.comments);
    if texts().any(|text| names_reference(text, lookup.reference)) {
        // References are unique among Carrel's postings; only a reader's typing could put one elsewhere.
        return if same_values {
            Likeness::Same
        } else {
            Likeness::Possible
        };
    }
    let names_another = texts().any(|text| own_reference(text).is_some());
    if same_values && !names_another {
        Likeness::Possible
    } else {
        Likeness::Other
    }
}

/// The ids in a charge's comments. A site may join all comments into one, or add its own around ours.
fn marks(charge: &SisCharge) -> impl Iterator<Item = Uuid> {
    let after_marks = charge
        .comments
        .iter()
        .flat_map(|comment| comment.split(MARK).skip(1));
    after_marks.filter_map(|text| text.get(..ID_CHARACTERS)?.parse().ok())
}

fn names_reference(text: &str, reference: Reference) -> bool {
    own_reference(text) == Some(reference)
}

/// The reference after the word "ref", as [`crate::Posting::statement_text`] writes it.
fn own_reference(text: &str) -> Option<Reference> {
    let (_, after) = text.split_once(", ref ")?;
    after
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use carrel_money::{Currency, Money};
    use jiff::civil::date;

    const OURS: u128 = 0x0199_0000_0000_7000_8000_0000_0000_0001;
    const ANOTHER: u128 = 0x0199_0000_0000_7000_8000_0000_0000_0002;

    fn usd(cents: i64) -> Money {
        Money::from_minor(cents, Currency::USD).unwrap()
    }

    fn lookup() -> PostingLookup {
        let posting_id = Uuid::from_u128(OURS);
        PostingLookup {
            posting_id,
            reference: Reference::of(posting_id),
            student_id: "student".to_owned(),
            academic_period_id: "period".to_owned(),
            funding_destination_id: "destination".to_owned(),
            amount: usd(1735),
            chargeable_on: Some(date(2026, 3, 2)),
        }
    }

    fn charge(cents: i64, description: Option<&str>, comments: &[&str]) -> SisCharge {
        SisCharge {
            sis_id: "sis".to_owned(),
            student_id: None,
            academic_period_id: None,
            funding_destination_id: None,
            amount: Some(usd(cents)),
            chargeable_on: Some(date(2026, 3, 2)),
            description: description.map(str::to_owned),
            comments: comments
                .iter()
                .map(|comment| (*comment).to_owned())
                .collect(),
        }
    }

    #[test]
    fn a_charge_is_matched_by_what_the_site_returns_of_it() {
        let ours = mark(Uuid::from_u128(OURS));
        let anothers = mark(Uuid::from_u128(ANOTHER));
        let text = format!(
            "Library lost-item fee, ref {}",
            Reference::of(Uuid::from_u128(OURS))
        );
        let other_text = format!(
            "Library lost-item fee, ref {}",
            Reference::of(Uuid::from_u128(ANOTHER))
        );
        let reversing = format!(
            "{other_text}, reverses {}",
            Reference::of(Uuid::from_u128(OURS))
        );
        let joined = format!("{text} | {ours} | entered by integration");

        for (name, charge, expected) in [
            (
                "our mark",
                charge(1735, Some(&text), &[&text, &ours]),
                Likeness::Same,
            ),
            (
                "our mark in one long comment",
                charge(1735, None, &[&joined]),
                Likeness::Same,
            ),
            (
                "our mark on a changed amount",
                charge(1736, Some(&text), &[&ours]),
                Likeness::Same,
            ),
            (
                "another's mark, same values",
                charge(1735, None, &[&anothers]),
                Likeness::Other,
            ),
            (
                "no comments, our reference",
                charge(1735, Some(&text), &[]),
                Likeness::Same,
            ),
            (
                "no comments, our reference, changed amount",
                charge(1736, Some(&text), &[]),
                Likeness::Possible,
            ),
            (
                "no comments, another reference",
                charge(1735, Some(&other_text), &[]),
                Likeness::Other,
            ),
            (
                "a reversal that names ours",
                charge(1735, Some(&reversing), &[]),
                Likeness::Other,
            ),
            (
                "nothing but the values",
                charge(1735, Some("LIBRARY"), &[]),
                Likeness::Possible,
            ),
            (
                "nothing but other values",
                charge(500, Some("LIBRARY"), &[]),
                Likeness::Other,
            ),
            (
                "a mark cut short by the site",
                charge(1735, None, &[&ours[..20]]),
                Likeness::Possible,
            ),
        ] {
            assert_eq!(likeness(&lookup(), &charge), expected, "{name}");
        }
    }

    #[test]
    fn where_the_date_is_not_known_any_date_will_do() {
        let undated = PostingLookup {
            chargeable_on: None,
            ..lookup()
        };
        let mut other_day = charge(1735, None, &[]);
        other_day.chargeable_on = Some(date(2026, 2, 27));
        assert_eq!(likeness(&lookup(), &other_day), Likeness::Other);
        assert_eq!(likeness(&undated, &other_day), Likeness::Possible);
        let text = format!("Library fee, ref {}", Reference::of(Uuid::from_u128(OURS)));
        other_day.description = Some(text);
        assert_eq!(likeness(&undated, &other_day), Likeness::Same);
    }

    #[test]
    fn a_double_posting_is_told_apart_from_a_found_one() {
        let ours = mark(Uuid::from_u128(OURS));
        let marked = charge(1735, None, &[&ours]);
        let unmarked = charge(1735, None, &[]);
        assert_eq!(find(&lookup(), vec![]), FindOutcome::NotFound);
        assert_eq!(
            find(&lookup(), vec![charge(500, None, &[])]),
            FindOutcome::NotFound
        );
        assert_eq!(
            find(&lookup(), vec![unmarked.clone(), marked.clone()]),
            FindOutcome::Found(marked.clone())
        );
        assert_eq!(
            find(&lookup(), vec![unmarked.clone()]),
            FindOutcome::Ambiguous(vec![unmarked])
        );
        let twice = vec![marked.clone(), marked];
        assert_eq!(
            find(&lookup(), twice.clone()),
            FindOutcome::Ambiguous(twice)
        );
    }
}
