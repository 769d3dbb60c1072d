//! A file of lines: header, rows and trailer, with control totals that are written and, when read, proved.

use rust_decimal::Decimal;

use crate::batch::Totals;
use crate::batch::field::{Datum, Field, Line, Sign, Source};
use crate::batch::file_name::FileName;
use crate::error::Error;

/// No site takes a batch of that size.
pub(super) const MOST_ROWS: u64 = 1_000_000;
/// The largest file that is read.
const MOST_BYTES: usize = 256 << 20;
/// The digits of a student id that count for the hash total.
const HASH_DIGITS: usize = 12;

/// How the fields of a line are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    FixedWidth,
    Csv { delimiter: u8, always_quoted: bool },
}

/// How characters become bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Ascii,
    Latin1,
    Utf8,
}

/// A kind of file.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) name: FileName,
    pub(super) format: Format,
    pub(super) encoding: Encoding,
    pub(super) line_end: &'static str,
    /// Whether the last line ends like the others.
    pub(super) last_line_ends: bool,
    pub(super) column_names: bool,
    pub(super) header: Vec<Field>,
    pub(super) row: Vec<Field>,
    pub(super) trailer: Vec<Field>,
}

/// A file that was read.
pub(super) struct Read {
    /// The values of header and trailer.
    pub(super) head: Line,
    pub(super) rows: Vec<Line>,
    pub(super) totals: Totals,
}

/// What the rows add up to.
pub(super) fn totals(rows: &[Line]) -> Result<Totals, Error> {
    let mut totals = Totals::default();
    let too_large = || Error::BadFile("the amounts add up to more than can be kept".to_owned());
    for row in rows {
        totals.rows += 1;
        if let Some(amount) = row.get(&Source::Amount).and_then(Datum::amount) {
            if amount.is_sign_negative() {
                totals.credit_rows += 1;
                let sum = totals.credits.checked_sub(amount);
                totals.credits = sum.ok_or_else(too_large)?;
            } else {
                totals.charge_rows += 1;
                let sum = totals.charges.checked_add(amount);
                totals.charges = sum.ok_or_else(too_large)?;
            }
        }
        if let Some(student_id) = row.get(&Source::StudentId).and_then(Datum::text) {
            totals.hash = totals.hash.wrapping_add(hash_of(student_id));
        }
        match row.get(&Source::Verdict).and_then(Datum::text) {
            Some("accepted") => totals.accepted += 1,
            Some(_) => totals.rejected += 1,
            None => {}
        }
    }
    Ok(totals)
}

fn hash_of(student_id: &str) -> u64 {
    let digits: Vec<u64> = student_id
        .chars()
        .filter_map(|c| c.to_digit(10).map(u64::from))
        .collect();
    digits[digits.len().saturating_sub(HASH_DIGITS)..]
        .iter()
        .fold(0, |number, digit| number * 10 + digit)
}

/// The totals as values of a header or trailer.
fn total_line(totals: &Totals) -> Line {
    Line::from([
        (Source::RowCount, Datum::Number(totals.rows)),
        (Source::ChargeCount, Datum::Number(totals.charge_rows)),
        (Source::CreditCount, Datum::Number(totals.credit_rows)),
        (
            Source::Total,
            Datum::Amount(totals.charges - totals.credits),
        ),
        (Source::ChargeTotal, Datum::Amount(totals.charges)),
        (Source::CreditTotal, Datum::Amount(totals.credits)),
        (Source::HashTotal, Datum::Number(totals.hash)),
        (Source::AcceptedCount, Datum::Number(totals.accepted)),
        (Source::RejectedCount, Datum::Number(totals.rejected)),
    ])
}

impl Document {
    /// Whether a row can be written.
    pub(super) fn check_row(&self, line: &Line) -> Result<(), Error> {
        let text = self.line(&self.row, line).map_err(Error::NotWritable)?;
        self.encode(&text).map(drop)
    }

    /// Writes a file: `common` is what header, rows and trailer have in common.
    pub(super) fn write(
        &self,
        common: &Line,
        rows: &[Line],
        totals: &Totals,
    ) -> Result<Vec<u8>, Error> {
        let mut outer = common.clone();
        outer.extend(total_line(totals));
        let mut lines = Vec::with_capacity(rows.len() + 3);
        let at = |place: &'static str| {
            move |problem: String| Error::NotWritable(format!("{place}: {problem}"))
        };
        if !self.header.is_empty() {
            lines.push(self.line(&self.header, &outer).map_err(at("header"))?);
        }
        if self.column_names {
            lines.push(self.names());
        }
        for (index, row) in rows.iter().enumerate() {
            let mut values = common.clone();
            values.extend(row.clone());
            let line = self
                .line(&self.row, &values)
                .map_err(|problem| Error::NotWritable(format!("row {}: {problem}", index + 1)))?;
            lines.push(line);
        }
        if !self.trailer.is_empty() {
            lines.push(self.line(&self.trailer, &outer).map_err(at("trailer"))?);
        }
        let mut text = lines.join(self.line_end);
        if self.last_line_ends && !lines.is_empty() {
            text.push_str(self.line_end);
        }
        self.encode(&text)
    }

    fn line(&self, fields: &[Field], values: &Line) -> Result<String, String> {
        let texts = fields
            .iter()
            .map(|field| field.write(values))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(self.joined(&texts))
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.row.iter().map(|field| field.name.clone()).collect();
        self.joined(&names)
    }

    fn joined(&self, texts: &[String]) -> String {
        let Format::Csv {
            delimiter,
            always_quoted,
        } = self.format
        else {
            return texts.concat();
        };
        let delimiter = char::from(delimiter);
        let quoted: Vec<String> = texts
            .iter()
            .map(|text| {
                if always_quoted || text.contains([delimiter, '"']) {
                    format!("\"{}\"", text.replace('"', "\"\""))
                } else {
                    text.clone()
                }
            })
            .collect();
        quoted.join(&delimiter.to_string())
    }

    fn encode(&self, text: &str) -> Result<Vec<u8>, Error> {
        let lacks =
            || Error::NotWritable("it has a sign that the file's encoding lacks".to_owned());
        match self.encoding {
            Encoding::Utf8 => Ok(text.as_bytes().to_vec()),
            Encoding::Ascii if text.is_ascii() => Ok(text.as_bytes().to_vec()),
            Encoding::Ascii => Err(lacks()),
            Encoding::Latin1 => text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).map_err(|_| lacks()))
                .collect(),
        }
    }

    /// Reads a file; `given` is what each row says without a field for it. One wrong byte in a total, and nothing of
    /// it is taken.
    pub(super) fn read(&self, bytes: &[u8], given: &Line) -> Result<Read, Error> {
        let text = self.decode(bytes)?;
        let mut lines: Vec<&str> = text.split(self.line_end).collect();
        if lines.last() == Some(&"") {
            lines.pop();
        }
        let mut lines = lines.into_iter().enumerate();
        let mut head = Line::new();
        if !self.header.is_empty() {
            let (_, header) = lines
                .next()
                .ok_or_else(|| Error::BadFile("the header is missing".to_owned()))?;
            head = self.values(&self.header, header).map_err(at("header"))?;
        }
        if self.column_names && lines.next().map(|(_, line)| line) != Some(&self.names()) {
            return Err(Error::BadFile(
                "the column names are not those of the layout".to_owned(),
            ));
        }
        if !self.trailer.is_empty() {
            let (_, trailer) = lines
                .next_back()
                .ok_or_else(|| Error::BadFile("the trailer is missing".to_owned()))?;
            let trailer = self.values(&self.trailer, trailer).map_err(at("trailer"))?;
            if trailer
                .iter()
                .any(|(source, value)| head.get(source).is_some_and(|other| other != value))
            {
                return Err(Error::BadFile("header and trailer disagree".to_owned()));
            }
            head.extend(trailer);
        }
        if lines.len() as u64 > MOST_ROWS {
            return Err(Error::BadFile("it has too many rows".to_owned()));
        }
        let all_are_credits = is_credit(&head);
        let mut rows = Vec::with_capacity(lines.len());
        for (index, line) in lines {
            let place = format!("line {}", index + 1);
            let mut row = self
                .values(&self.row, line)
                .map_err(|problem| Error::BadFile(format!("{place}: {problem}")))?;
            row.extend(given.clone());
            self.give_sign(&mut row, all_are_credits);
            rows.push(row);
        }
        let totals = totals(&rows)?;
        self.prove(&head, &totals)?;
        Ok(Read { head, rows, totals })
    }

    /// Where amounts carry no sign, the kind says which they are.
    fn give_sign(&self, row: &mut Line, all_are_credits: bool) {
        let unsigned = self
            .row
            .iter()
            .any(|field| field.source == Source::Amount && field.sign == Sign::None);
        if unsigned
            && (all_are_credits || is_credit(row))
            && let Some(Datum::Amount(amount)) = row.get_mut(&Source::Amount)
        {
            *amount = -*amount;
        }
    }

    /// Every total in header and trailer is what the rows add up to.
    fn prove(&self, head: &Line, totals: &Totals) -> Result<(), Error> {
        let computed = total_line(totals);
        for field in self.header.iter().chain(&self.trailer) {
            let Some(expected) = computed.get(&field.source) else {
                continue;
            };
            // Compared as written: a hash total is cut to its field, an amount may carry no sign.
            let line = Line::from([(field.source, expected.clone())]);
            let expected = field.write(&line).map_err(Error::BadFile)?;
            let said = head
                .get(&field.source)
                .map(|said| field.write(&Line::from([(field.source, said.clone())])));
            if said != Some(Ok(expected)) {
                return Err(Error::BadFile(format!(
                    "its {} is not what its rows add up to",
                    field.source.name()
                )));
            }
        }
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, Error> {
        if bytes.len() > MOST_BYTES {
            return Err(Error::BadFile("it is larger than 256 MiB".to_owned()));
        }
        let lacks = || Error::BadFile("it is not in the layout's encoding".to_owned());
        match self.encoding {
            Encoding::Latin1 => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
            Encoding::Ascii if !bytes.is_ascii() => Err(lacks()),
            Encoding::Ascii | Encoding::Utf8 => {
                String::from_utf8(bytes.to_vec()).map_err(|_| lacks())
            }
        }
    }

    fn values(&self, fields: &[Field], line: &str) -> Result<Line, String> {
        let texts = match self.format {
            Format::FixedWidth => fixed(fields, line)?,
            Format::Csv { delimiter, .. } => separated(delimiter, line)?,
        };
        if texts.len() != fields.len() {
            return Err(format!(
                "{} fields instead of {}",
                texts.len(),
                fields.len()
            ));
        }
        let mut values = Line::new();
        for (field, text) in fields.iter().zip(texts) {
            if let Some(value) = field.read(&text)? {
                values.insert(field.source, value);
            }
        }
        Ok(values)
    }
}

fn at(place: &'static str) -> impl Fn(String) -> Error {
    move |problem| Error::BadFile(format!("{place}: {problem}"))
}

fn is_credit(line: &Line) -> bool {
    line.get(&Source::Kind).and_then(Datum::text) == Some("credit")
}

fn fixed(fields: &[Field], line: &str) -> Result<Vec<String>, String> {
    let mut rest = line.chars();
    let mut texts = Vec::with_capacity(fields.len());
    for field in fields {
        let text: String = match &field.length {
            Some(length) => rest.by_ref().take(length.characters).collect(),
            // A constant says itself how long it is; any other is the last of its line.
            None if field.source == Source::Constant => {
                rest.by_ref().take(field.constant.chars().count()).collect()
            }
            None => rest.by_ref().collect(),
        };
        if let Some(length) = &field.length
            && text.chars().count() < length.characters
        {
            return Err("it is too short".to_owned());
        }
        texts.push(text);
    }
    if rest.next().is_some() {
        return Err("it is too long".to_owned());
    }
    Ok(texts)
}

fn separated(delimiter: u8, line: &str) -> Result<Vec<String>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(line.as_bytes());
    let mut records = reader.records();
    let record = match records.next() {
        Some(record) => record.map_err(|_| "it is not separated as the layout says".to_owned())?,
        None => return Err("it is empty".to_owned()),
    };
    Ok(record.iter().map(str::to_owned).collect())
}

/// The sum of the amounts that may stand in one file.
pub(super) fn gross(totals: &Totals) -> Decimal {
    totals.charges + totals.credits
}
