//! Postings as files: what leaves in a batch file, and how its acknowledgement is read.
//!
//! Each site has its own layout, written down in a small TOML file (see `layouts/`), so that a new one needs no new code:
//!
//! - `definition`: the layout file as it stands, checked before anything is written by it; `file_name`: names of files.
//! - `field`: one value in its place; `document`: lines of fields with header, trailer and control totals.
//! - `answer`: acknowledgement and reject files.
//!
//! A layout can only name the values of [`Source`], so a name, a title or a barcode cannot be put into a file.

mod answer;
mod definition;
mod document;
mod field;
mod file_name;

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use carrel_ids::Reference;
use jiff::civil::{Date, DateTime};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::error::Error;
use crate::posting::Posting;

pub use answer::{Answer, AnswerLayout, RowVerdict, Unlisted};
pub use definition::{Kinds, Layout, Limits, Reversals};
pub use field::Source;

use field::{Datum, Line};

/// Layouts to start from, by name: PeopleSoft external file, Banner feeder, a fixed-width file with its totals in the
/// header, FOLIO's bursar file, Banner's delivered load.
pub const EXAMPLES: [(&str, &str); 5] = [
    ("peoplesoft", include_str!("../../layouts/peoplesoft.toml")),
    (
        "banner-feeder",
        include_str!("../../layouts/banner-feeder.toml"),
    ),
    (
        "fixed-width-header-totals",
        include_str!("../../layouts/fixed-width-header-totals.toml"),
    ),
    (
        "folio-bursar",
        include_str!("../../layouts/folio-bursar.toml"),
    ),
    (
        "banner-tspload",
        include_str!("../../layouts/banner-tspload.toml"),
    ),
];

/// What a batch is called.
#[derive(Clone, Copy, Debug)]
pub struct BatchHead {
    /// Its id.
    pub id: Uuid,
    /// Its number at its destination: 1, 2, 3 …
    pub sequence: u64,
    /// When it is built, by the college's clock.
    pub at: DateTime,
}

/// A batch as a file, with what it adds up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchFile {
    /// The file's name, without a folder.
    pub name: String,
    /// The file, byte for byte.
    pub bytes: Vec<u8>,
    /// SHA-256 of the bytes.
    pub fingerprint: [u8; 32],
    /// The row of each posting, counted from 1, in the order in which they were given. Postings that are grouped share
    /// one.
    pub rows: Vec<u32>,
    /// What it adds up to.
    pub totals: Totals,
}

/// Control totals of a file's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows.
    pub rows: u64,
    /// Rows that charge.
    pub charge_rows: u64,
    /// Rows that credit.
    pub credit_rows: u64,
    /// Sum of the charges.
    pub charges: Decimal,
    /// Sum of the credits, as a positive amount.
    pub credits: Decimal,
    /// The digits of the student ids (of each the last 12), read as numbers and added up.
    pub hash: u64,
    /// Rows accepted; in an answer.
    pub accepted: u64,
    /// Rows rejected; in an answer.
    pub rejected: u64,
}

/// One row of a batch file that was read. `None` is what the layout does not carry, or leaves empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRow {
    /// The student's id.
    pub student_id: Option<String>,
    /// The destination, as the district calls it.
    pub funding_destination_id: Option<String>,
    /// The period, as the district calls it.
    pub academic_period_id: Option<String>,
    /// What is charged; negative for a credit.
    pub amount: Option<Decimal>,
    /// The date that it bears.
    pub chargeable_on: Option<Date>,
    /// Its reference.
    pub reference: Option<Reference>,
    /// The reference of what it takes back.
    pub original_reference: Option<Reference>,
    /// The neutral text.
    pub text: Option<String>,
}

/// A batch file that was read, and whose totals agree with its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBatch {
    /// The batch's id, where the file says it.
    pub id: Option<Uuid>,
    /// The batch's number, where the file or its name says it.
    pub sequence: Option<u64>,
    /// Its rows.
    pub rows: Vec<BatchRow>,
    /// What they add up to.
    pub totals: Totals,
}

impl Layout {
    /// Whether a posting can be a row of this layout; what cannot is never cut to fit unless the layout says so.
    ///
    /// # Errors
    /// [`Error::NotWritable`] names the field, without its value.
    pub fn check(&self, posting: &Posting) -> Result<(), Error> {
        if self.reversals.whole && posting.amount.is_negative() && posting.reversal_of.is_none() {
            return Err(Error::NotWritable(
                "this site takes credits only as reversals of a charge".to_owned(),
            ));
        }
        let head = BatchHead {
            id: Uuid::nil(),
            sequence: 1,
            at: posting.chargeable_on.at(0, 0, 0, 0),
        };
        let mut line = self.head_line(&head);
        line.extend(self.row_line(1, posting, posting.amount.amount()));
        self.document.check_row(&line)
    }

    /// Writes a batch. The same postings under the same head give the same bytes.
    ///
    /// # Errors
    /// [`Error::NotWritable`]: a value does not fit its field, or the batch its limits; nothing is cut silently.
    pub fn write(&self, head: &BatchHead, postings: &[Posting]) -> Result<BatchFile, Error> {
        let credits = postings
            .iter()
            .filter(|posting| posting.amount.is_negative())
            .count();
        if self.kinds == Kinds::Apart && credits != 0 && credits != postings.len() {
            return Err(Error::NotWritable(
                "charges and credits go in files of their own".to_owned(),
            ));
        }
        let (lines, rows) = self.row_lines(postings);
        let mut common = self.head_line(head);
        if self.kinds == Kinds::Apart {
            common.insert(Source::Kind, kind(credits == 0));
        }
        let totals = document::totals(&lines)?;
        self.limits.check(&totals)?;
        let bytes = self.document.write(&common, &lines, &totals)?;
        let name = self.document.name.write(head, &self.system, "")?;
        Ok(BatchFile {
            fingerprint: fingerprint(&bytes),
            name,
            bytes,
            rows,
            totals,
        })
    }

    /// Reads a batch file, as the other side does.
    ///
    /// # Errors
    /// [`Error::BadFile`] for the whole file where anything is not as the layout says, a total among it.
    pub fn read(&self, file_name: &str, bytes: &[u8]) -> Result<ReadBatch, Error> {
        let named = self
            .document
            .name
            .read(file_name, &self.system)
            .ok_or_else(|| Error::BadFile("it is not named as the layout says".to_owned()))?;
        let read = self.document.read(bytes, &Line::new())?;
        let id = read.head.get(&Source::Batch).and_then(Datum::text);
        Ok(ReadBatch {
            id: id.and_then(|id| id.parse().ok()),
            sequence: read
                .head
                .get(&Source::Sequence)
                .and_then(Datum::number)
                .or(named.sequence),
            rows: read.rows.iter().map(batch_row).collect(),
            totals: read.totals,
        })
    }

    /// How answers of the other side with this file name are read, where it is one.
    pub fn answer(&self, file_name: &str) -> Option<&AnswerLayout> {
        self.answers
            .iter()
            .find(|answer| answer.is_named(file_name))
    }

    /// The kinds of answers that there are.
    pub fn answers(&self) -> &[AnswerLayout] {
        &self.answers
    }

    fn head_line(&self, head: &BatchHead) -> Line {
        Line::from([
            (Source::Batch, Datum::Text(head.id.to_string())),
            (Source::Sequence, Datum::Number(head.sequence)),
            (Source::System, Datum::Text(self.system.clone())),
            (Source::Today, Datum::Moment(head.at)),
        ])
    }

    /// The rows' values, and for each posting the number of its row.
    fn row_lines(&self, postings: &[Posting]) -> (Vec<Line>, Vec<u32>) {
        let mut groups: Vec<(&Posting, Decimal)> = Vec::new();
        let mut by_key: BTreeMap<(&str, &str, &str, bool), usize> = BTreeMap::new();
        let mut rows = Vec::with_capacity(postings.len());
        for posting in postings {
            let key = (
                posting.student_id.as_str(),
                posting.academic_period_id.as_str(),
                posting.funding_destination_id.as_str(),
                posting.amount.is_negative(),
            );
            let amount = posting.amount.amount();
            let place = match by_key.get(&key) {
                Some(&place) if self.group_by_student => {
                    groups[place].1 += amount;
                    place
                }
                Some(_) | None => {
                    groups.push((posting, amount));
                    by_key.insert(key, groups.len() - 1);
                    groups.len() - 1
                }
            };
            rows.push(place as u32 + 1);
        }
        let lines = groups
            .into_iter()
            .enumerate()
            .map(|(place, (posting, amount))| self.row_line(place as u64 + 1, posting, amount))
            .collect();
        (lines, rows)
    }

    /// What may leave of a posting (ARCHITECTURE §5.6).
    fn row_line(&self, number: u64, posting: &Posting, amount: Decimal) -> Line {
        let text = if self.reference_in_text {
            posting.statement_text()
        } else {
            posting.description.to_string()
        };
        let mut line = Line::from([
            (Source::RowNumber, Datum::Number(number)),
            (Source::StudentId, Datum::Text(posting.student_id.clone())),
            (
                Source::Destination,
                Datum::Text(posting.funding_destination_id.clone()),
            ),
            (
                Source::Period,
                Datum::Text(posting.academic_period_id.clone()),
            ),
            (Source::Amount, Datum::Amount(amount)),
            (Source::ChargeableOn, Datum::Date(posting.chargeable_on)),
            (
                Source::Reference,
                Datum::Text(posting.reference.to_string()),
            ),
            (Source::Text, Datum::Text(text)),
            (Source::Kind, kind(!amount.is_sign_negative())),
        ]);
        if let Some(original) = &posting.reversal_of {
            let reference = Datum::Text(original.reference.to_string());
            line.insert(Source::OriginalReference, reference);
        }
        line
    }
}

fn kind(is_charge: bool) -> Datum {
    Datum::Text(if is_charge { "charge" } else { "credit" }.to_owned())
}

fn batch_row(line: &Line) -> BatchRow {
    let text = |source| {
        let text = line.get(&source).and_then(Datum::text)?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let reference = |source| text(source).and_then(|text| text.parse().ok());
    BatchRow {
        student_id: text(Source::StudentId),
        funding_destination_id: text(Source::Destination),
        academic_period_id: text(Source::Period),
        amount: line.get(&Source::Amount).and_then(Datum::amount),
        chargeable_on: line.get(&Source::ChargeableOn).and_then(Datum::date),
        reference: reference(Source::Reference),
        original_reference: reference(Source::OriginalReference),
        text: text(Source::Text),
    }
}

/// SHA-256 of a file.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, bytes);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest.as_ref());
    fingerprint
}
