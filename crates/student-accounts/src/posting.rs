//! What may leave for the student-information system (ARCHITECTURE §5.6), and nothing else.

use std::fmt;

use carrel_ids::Reference;
use carrel_money::Money;
use jiff::civil::Date;
use uuid::Uuid;

use crate::error::Error;

/// The longest description; with the reference behind it the line still fits a printed statement.
const MOST_CHARACTERS: usize = 40;
/// More digits in a row than this could be a barcode or a date.
const MOST_DIGITS: usize = 2;

/// One charge or credit on its way to a student account.
///
/// There is no place in it for a name, a barcode or a title.
#[derive(Clone, Debug)]
pub struct Posting {
    /// Ours; derived from the charge, so that the same charge has it again after a restart.
    pub posting_id: Uuid,
    /// What the student reads on the statement and the desk can look up.
    pub reference: Reference,
    /// The student's id in the SIS (a GUID for Ethos).
    pub student_id: String,
    /// The academic period's id in the SIS.
    pub academic_period_id: String,
    /// The accounting code's id in the SIS.
    pub funding_destination_id: String,
    /// The receivable type's id in the SIS; without it the site's default applies.
    pub funding_source_id: Option<String>,
    /// What is charged; negative for a credit.
    pub amount: Money,
    /// The day on which the student becomes liable, by the college's calendar.
    pub chargeable_on: Date,
    /// A neutral text such as "Library lost-item fee".
    pub description: Description,
    /// The posting that this one takes back.
    pub reversal_of: Option<Reversal>,
}

/// Which posting a reversal takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reversal {
    /// The original's id.
    pub posting_id: Uuid,
    /// The original's reference, which the statement names.
    pub reference: Reference,
}

impl Posting {
    /// The line on the statement: "Library lost-item fee, ref 7K3QX09B".
    pub fn statement_text(&self) -> String {
        let text = format!("{}, ref {}", self.description, self.reference);
        match &self.reversal_of {
            None => text,
            // Not "ref": that word stands before a line's own reference only.
            Some(original) => format!("{text}, reverses {}", original.reference),
        }
    }
}

/// What a look-up goes by. The same values as the posting's, kept by billing with each attempt.
#[derive(Clone, Debug)]
pub struct PostingLookup {
    /// The posting's id.
    pub posting_id: Uuid,
    /// The posting's reference.
    pub reference: Reference,
    /// The student's id in the SIS.
    pub student_id: String,
    /// The academic period's id in the SIS.
    pub academic_period_id: String,
    /// The accounting code's id in the SIS.
    pub funding_destination_id: String,
    /// The amount that was posted.
    pub amount: Money,
    /// The date that was posted; `None` where it is not known any more.
    pub chargeable_on: Option<Date>,
}

impl From<&Posting> for PostingLookup {
    fn from(posting: &Posting) -> Self {
        Self {
            posting_id: posting.posting_id,
            reference: posting.reference,
            student_id: posting.student_id.clone(),
            academic_period_id: posting.academic_period_id.clone(),
            funding_destination_id: posting.funding_destination_id.clone(),
            amount: posting.amount,
            chargeable_on: Some(posting.chargeable_on),
        }
    }
}

/// Which charges or payments to list; what is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct AccountFilter {
    /// The student's id in the SIS.
    pub student_id: Option<String>,
    /// The academic period's id in the SIS.
    pub academic_period_id: Option<String>,
    /// The accounting code's id in the SIS.
    pub funding_destination_id: Option<String>,
}

/// A neutral text: the kind of a fee, not what was borrowed.
///
/// At most 40 letters, single or double digits, blanks and `- / & ( ) . '`; so no barcode fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description(String);

impl Description {
    /// Takes a text that is neutral by its form.
    ///
    /// # Errors
    /// [`Error::NotNeutral`] says which rule it breaks; the text itself is not repeated.
    pub fn new(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::NotNeutral("it is empty"));
        }
        if text.chars().count() > MOST_CHARACTERS {
            return Err(Error::NotNeutral("it is longer than 40 characters"));
        }
        let is_allowed = |c: char| c.is_alphanumeric() || " -/&().'".contains(c);
        if !text.chars().all(is_allowed) {
            return Err(Error::NotNeutral(
                "it has other signs than letters, digits, blanks and - / & ( ) . '",
            ));
        }
        let mut digits = text
            .split(|c: char| !c.is_numeric())
            .map(|run| run.chars().count());
        if digits.any(|count| count > MOST_DIGITS) {
            return Err(Error::NotNeutral("it has more than two digits in a row"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_fee_is_neutral_and_a_barcode_is_not() {
        for neutral in [
            "Library lost-item fee",
            "3D printing fee",
            "Frais de bibliothèque",
            "Overdue fine (recall)",
        ] {
            assert!(Description::new(neutral).is_ok(), "{neutral}");
        }
        for telling in [
            "",
            "   ",
            "Lost item 31234000123456",
            "Overdue fine 2026-03-02",
            "Lost: Moby Dick; or, The Whale",
            "Library fee\nJ. Doe",
            "Library lost-item fee for something with a long title",
        ] {
            assert!(Description::new(telling).is_err(), "{telling}");
        }
    }
}
