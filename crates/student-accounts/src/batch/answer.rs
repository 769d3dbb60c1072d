//! Acknowledgement and reject files: what the other side says of a batch, row by row.

use carrel_ids::Reference;
use rust_decimal::Decimal;
use serde::Deserialize;
use uuid::Uuid;

use crate::batch::BatchHead;
use crate::batch::document::{Document, totals};
use crate::batch::field::{Datum, Field, Line, Source};
use crate::error::Error;

/// A kind of answer.
#[derive(Clone, Debug)]
pub struct AnswerLayout {
    document: Document,
    system: String,
    unlisted: Unlisted,
    /// Whether every row that is listed was accepted; `None`: a field says it.
    accepted: Option<bool>,
}

/// What an answer says of rows that it does not list.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Unlisted {
    /// Nothing; another answer will.
    #[default]
    Unanswered,
    /// They are accepted: the file lists what was not.
    Accepted,
    /// They are rejected: the file lists what was not, or the whole batch was refused.
    Rejected,
}

/// What an answer says of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowVerdict {
    /// The row's number in the batch, from 1, where the answer says it.
    pub row: Option<u32>,
    /// The row's reference, where the answer says it.
    pub reference: Option<Reference>,
    /// Whether the row was taken.
    pub accepted: bool,
    /// Why not.
    pub reason: String,
    /// What the other side calls the charge.
    pub sis_id: Option<String>,
    /// The amount that it took, where it says so.
    pub amount: Option<Decimal>,
}

/// An answer that was read, and whose totals agree with its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The batch's id, where the answer says it.
    pub batch_id: Option<Uuid>,
    /// The batch's number, where the answer says it.
    pub sequence: Option<u64>,
    /// The batch's file name, where the answer says it.
    pub file_name: Option<String>,
    /// Row by row.
    pub verdicts: Vec<RowVerdict>,
    /// What it says of the other rows.
    pub unlisted: Unlisted,
}

impl AnswerLayout {
    pub(super) fn new(
        document: Document,
        system: &str,
        unlisted: Unlisted,
        verdict: Option<String>,
    ) -> Result<Self, Error> {
        let bad = |problem: &str| Error::BadLayout(format!("answer: {problem}"));
        let has = |source| {
            document
                .row
                .iter()
                .any(|field: &Field| field.source == source)
        };
        let accepted = match verdict.as_deref() {
            None => None,
            Some("accepted") => Some(true),
            Some("rejected") => Some(false),
            Some(_) => return Err(bad("the verdict has to be accepted or rejected")),
        };
        if has(Source::Verdict) == accepted.is_some() {
            return Err(bad(
                "either a field is the verdict, or the whole file has one",
            ));
        }
        if !has(Source::Reference) && !has(Source::RowNumber) {
            return Err(bad("a row needs reference or row-number"));
        }
        let outer = document.header.iter().chain(&document.trailer);
        let names_batch = outer
            .map(|field| field.source)
            .any(|source| matches!(source, Source::Batch | Source::Sequence | Source::File));
        if !names_batch && !document.name.names_a_batch() {
            return Err(bad(
                "header, trailer or name need batch, sequence or file, so that its batch is found",
            ));
        }
        Ok(Self {
            document,
            system: system.to_owned(),
            unlisted,
            accepted,
        })
    }

    /// Whether each row is named by its number in the batch.
    pub(super) fn names_rows(&self) -> bool {
        let mut row = self.document.row.iter();
        row.any(|field| field.source == Source::RowNumber)
    }

    pub(super) fn is_named(&self, file_name: &str) -> bool {
        self.document.name.read(file_name, &self.system).is_some()
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`Error::BadFile`] for the whole file where anything is not as the layout says, a total among it.
    pub fn read(&self, file_name: &str, bytes: &[u8]) -> Result<Answer, Error> {
        let named = self
            .document
            .name
            .read(file_name, &self.system)
            .ok_or_else(|| Error::BadFile("it is not named as the layout says".to_owned()))?;
        let given = self.accepted.map(verdict_of);
        let read = self.document.read(bytes, &given.into_iter().collect())?;
        let text = |source| read.head.get(&source).and_then(Datum::text);
        let batch_id = text(Source::Batch)
            .map(|id| id.parse::<Uuid>())
            .transpose()
            .map_err(|_| Error::BadFile("its batch is no id".to_owned()))?;
        let file_name = text(Source::File).map(str::to_owned).or(named.file);
        let sequence = read.head.get(&Source::Sequence).and_then(Datum::number);
        let verdicts = read
            .rows
            .iter()
            .map(|row| self.verdict(row))
            .collect::<Result<_, _>>()?;
        Ok(Answer {
            batch_id,
            sequence: sequence.or(named.sequence),
            file_name,
            verdicts,
            unlisted: self.unlisted,
        })
    }

    fn verdict(&self, row: &Line) -> Result<RowVerdict, Error> {
        let text = |source| row.get(&source).and_then(Datum::text);
        let number = row.get(&Source::RowNumber).and_then(Datum::number);
        let reference = text(Source::Reference)
            .map(str::parse)
            .transpose()
            .map_err(|_| Error::BadFile("a reference is none of ours".to_owned()))?;
        Ok(RowVerdict {
            row: number.and_then(|number| number.try_into().ok()),
            reference,
            accepted: text(Source::Verdict) == Some("accepted"),
            reason: text(Source::Reason).unwrap_or_default().to_owned(),
            sis_id: text(Source::SisId).map(str::to_owned),
            amount: row.get(&Source::Amount).and_then(Datum::amount),
        })
    }

    /// Writes an answer, as the other side does: for simulators and tests.
    ///
    /// # Errors
    /// [`Error::NotWritable`].
    pub fn write(
        &self,
        head: &BatchHead,
        batch_file: &str,
        verdicts: &[RowVerdict],
    ) -> Result<(String, Vec<u8>), Error> {
        let listed = verdicts.iter().filter(|verdict| {
            self.accepted
                .is_none_or(|accepted| accepted == verdict.accepted)
        });
        let rows: Vec<Line> = listed.map(row_line).collect();
        let common = Line::from([
            (Source::Batch, Datum::Text(head.id.to_string())),
            (Source::Sequence, Datum::Number(head.sequence)),
            (Source::System, Datum::Text(self.system.clone())),
            (Source::Today, Datum::Moment(head.at)),
            (Source::File, Datum::Text(batch_file.to_owned())),
        ]);
        let bytes = self.document.write(&common, &rows, &totals(&rows)?)?;
        let name = self.document.name.write(head, &self.system, batch_file)?;
        Ok((name, bytes))
    }
}

fn verdict_of(accepted: bool) -> (Source, Datum) {
    let name = if accepted { "accepted" } else { "rejected" };
    (Source::Verdict, Datum::Text(name.to_owned()))
}

fn row_line(verdict: &RowVerdict) -> Line {
    let mut line = Line::from([
        verdict_of(verdict.accepted),
        (Source::Reason, Datum::Text(verdict.reason.clone())),
    ]);
    if let Some(row) = verdict.row {
        line.insert(Source::RowNumber, Datum::Number(row.into()));
    }
    if let Some(reference) = verdict.reference {
        line.insert(Source::Reference, Datum::Text(reference.to_string()));
    }
    if let Some(sis_id) = &verdict.sis_id {
        line.insert(Source::SisId, Datum::Text(sis_id.clone()));
    }
    if let Some(amount) = verdict.amount {
        line.insert(Source::Amount, Datum::Amount(amount));
    }
    line
}
