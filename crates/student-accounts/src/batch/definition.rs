//! The layout file, and the checks that it passes before anything is written by it.

use std::collections::BTreeMap;

use jiff::civil::date;
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::batch::Totals;
use crate::batch::answer::{AnswerLayout, Unlisted};
use crate::batch::document::{Document, Encoding, Format, MOST_ROWS, gross};
use crate::batch::field::{AmountForm, Datum, Field, Length, Line, Side, Sign, Source};
use crate::batch::file_name::{FileName, is_plain};
use crate::error::Error;

/// How one site's batch files look, and what they may hold.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The destination's name: batches are numbered by it.
    pub name: String,
    /// What the other side calls the sending system.
    pub system: String,
    /// Whether charges and credits share a file.
    pub kinds: Kinds,
    /// Whether the charges of a student, period and destination become one row.
    pub group_by_student: bool,
    /// Whether the text carries the reference, for sites whose files have no other place for it.
    pub(super) reference_in_text: bool,
    /// What a file may hold.
    pub limits: Limits,
    /// When a credit may follow its charge.
    pub reversals: Reversals,
    pub(super) document: Document,
    pub(super) answers: Vec<AnswerLayout>,
}

/// Whether charges and credits share a file.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Kinds {
    /// They do.
    #[default]
    Together,
    /// One transaction type a file.
    Apart,
}

/// What a file may hold.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Rows at the most.
    pub rows: u64,
    /// Charges and credits, added without their signs, at the most.
    pub total: Option<Decimal>,
}

/// When a credit may follow its charge.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Reversals {
    /// Days after the date of the charge.
    pub after_days: u16,
    /// Whether only the exact original amount is taken back.
    pub whole: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows: 10_000,
            total: None,
        }
    }
}

impl Limits {
    pub(super) fn check(&self, totals: &Totals) -> Result<(), Error> {
        if totals.rows > self.rows {
            return Err(Error::NotWritable(format!(
                "the file would have more than {} rows",
                self.rows
            )));
        }
        match self.total {
            Some(most) if gross(totals) > most => Err(Error::NotWritable(format!(
                "the file would hold more than {most}"
            ))),
            Some(_) | None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LayoutFile {
    name: String,
    system: String,
    #[serde(default)]
    kinds: Kinds,
    #[serde(default)]
    group: Group,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    reversals: Reversals,
    file: DocumentFile,
    #[serde(default)]
    answer: Vec<AnswerFile>,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Group {
    #[default]
    None,
    Student,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerFile {
    #[serde(default)]
    unlisted: Unlisted,
    /// What every row of the file is, where no field says it.
    verdict: Option<String>,
    file: DocumentFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentFile {
    name: String,
    format: FormatName,
    #[serde(default)]
    delimiter: Option<char>,
    #[serde(default)]
    quote: Quote,
    #[serde(default)]
    column_names: bool,
    #[serde(default)]
    encoding: EncodingName,
    #[serde(default)]
    line_end: LineEnd,
    #[serde(default = "yes")]
    last_line_ends: bool,
    #[serde(default)]
    header: Vec<FieldFile>,
    row: Vec<FieldFile>,
    #[serde(default)]
    trailer: Vec<FieldFile>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum FormatName {
    FixedWidth,
    Csv,
}

#[derive(Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Quote {
    #[default]
    WhereNeeded,
    Always,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EncodingName {
    #[default]
    Ascii,
    Latin1,
    Utf8,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LineEnd {
    #[default]
    Lf,
    Crlf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldFile {
    is: Source,
    text: Option<String>,
    date: Option<String>,
    form: Option<AmountForm>,
    sign: Option<Sign>,
    #[serde(default)]
    codes: BTreeMap<String, Codes>,
    length: Option<usize>,
    fill: Option<char>,
    side: Option<Side>,
    #[serde(default)]
    truncate: bool,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Codes {
    One(String),
    Several(Vec<String>),
}

impl Layout {
    /// Reads a layout file.
    ///
    /// # Errors
    /// [`Error::BadLayout`] says where and what.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let file: LayoutFile =
            toml::from_str(text).map_err(|error| Error::BadLayout(error.to_string()))?;
        for (what, value) in [("name", &file.name), ("system", &file.system)] {
            if value.is_empty() || value.len() > 40 || !is_plain(value) {
                return Err(Error::BadLayout(format!(
                    "{what} has to be 1 to 40 letters, digits or . _ -"
                )));
            }
        }
        if !(1..=MOST_ROWS).contains(&file.limits.rows) {
            return Err(Error::BadLayout(
                "limits.rows has to be 1 to 1,000,000".to_owned(),
            ));
        }
        let document = document("file", file.file)?;
        check_batch(&document, file.kinds)?;
        let answers = file
            .answer
            .into_iter()
            .map(|answer| {
                let document = self::document("answer.file", answer.file)?;
                AnswerLayout::new(document, &file.system, answer.unlisted, answer.verdict)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let has = |source| document.row.iter().any(|field| field.source == source);
        let bears_reference = has(Source::Reference) || has(Source::Text);
        if !bears_reference && !answers.iter().all(AnswerLayout::names_rows) {
            return Err(Error::BadLayout(
                "without reference or text in the rows, answers have to name rows by row-number"
                    .to_owned(),
            ));
        }
        let reference_in_text = !has(Source::Reference);
        Ok(Self {
            name: file.name,
            system: file.system,
            kinds: file.kinds,
            group_by_student: file.group == Group::Student,
            reference_in_text,
            limits: file.limits,
            reversals: file.reversals,
            document,
            answers,
        })
    }
}

fn document(place: &str, file: DocumentFile) -> Result<Document, Error> {
    let bad = |problem: &str| Error::BadLayout(format!("{place}: {problem}"));
    let format = match (file.format, file.delimiter) {
        (FormatName::FixedWidth, None) => Format::FixedWidth,
        (FormatName::FixedWidth, Some(_)) => return Err(bad("only csv has a delimiter")),
        (FormatName::Csv, delimiter) => {
            let delimiter = delimiter.unwrap_or(',');
            if !(delimiter.is_ascii_punctuation() || delimiter == '\t') || delimiter == '"' {
                return Err(bad(
                    "the delimiter has to be an ASCII sign other than a quote",
                ));
            }
            Format::Csv {
                delimiter: delimiter as u8,
                always_quoted: file.quote == Quote::Always,
            }
        }
    };
    let fields = |name: &str, fields: Vec<FieldFile>| -> Result<Vec<Field>, Error> {
        fields
            .into_iter()
            .enumerate()
            .map(|(index, field)| {
                let place = format!("{place}.{name}, field {}", index + 1);
                self::field(&place, field, format)
            })
            .collect()
    };
    let document = Document {
        name: FileName::parse(&file.name)?,
        format,
        encoding: match file.encoding {
            EncodingName::Ascii => Encoding::Ascii,
            EncodingName::Latin1 => Encoding::Latin1,
            EncodingName::Utf8 => Encoding::Utf8,
        },
        line_end: match file.line_end {
            LineEnd::Lf => "\n",
            LineEnd::Crlf => "\r\n",
        },
        last_line_ends: file.last_line_ends,
        column_names: file.column_names,
        header: fields("header", file.header)?,
        row: fields("row", file.row)?,
        trailer: fields("trailer", file.trailer)?,
    };
    if document.row.is_empty() {
        return Err(bad("row has no field"));
    }
    if document.column_names && document.row.iter().any(|field| field.name.is_empty()) {
        return Err(bad("every column needs a name"));
    }
    for (name, fields) in [("header", &document.header), ("trailer", &document.trailer)] {
        if let Some(field) = fields.iter().find(|field| field.source.is_of_a_row()) {
            let source = field.source.name();
            return Err(bad(&format!("{source} belongs to rows, not to the {name}")));
        }
    }
    let is_total = |field: &&Field| {
        let source = field.source;
        source.is_control_count()
            || source == Source::HashTotal
            || (source.is_amount() && source != Source::Amount)
    };
    if document.row.iter().any(|field| is_total(&field)) {
        return Err(bad("totals belong to header and trailer"));
    }
    check_fixed(&document).map_err(|problem| bad(&problem))?;
    check_provable(&document).map_err(|problem| bad(&problem))?;
    Ok(document)
}

/// In a file without delimiters every field has to say where it ends, or nobody could read it.
fn check_fixed(document: &Document) -> Result<(), String> {
    if document.format != Format::FixedWidth {
        return Ok(());
    }
    for line in [&document.header, &document.row, &document.trailer] {
        for field in line.iter().rev().skip(1) {
            if field.length.is_none() && field.source != Source::Constant {
                return Err(format!("{} needs a length", field.source.name()));
            }
        }
    }
    Ok(())
}

/// A total that the rows cannot prove would be a promise.
fn check_provable(document: &Document) -> Result<(), String> {
    let has = |source| document.row.iter().any(|field| field.source == source);
    for field in document.header.iter().chain(&document.trailer) {
        let needs = match field.source {
            Source::ChargeCount | Source::CreditCount => Source::Amount,
            Source::HashTotal => Source::StudentId,
            source if source.is_amount() => Source::Amount,
            _ => continue,
        };
        if !has(needs) {
            let (total, needs) = (field.source.name(), needs.name());
            return Err(format!("{total} needs {needs} in the rows"));
        }
    }
    Ok(())
}

/// What a batch file needs so that it can be posted from, and its answer be matched.
fn check_batch(document: &Document, kinds: Kinds) -> Result<(), Error> {
    let bad = |problem: &str| Err(Error::BadLayout(format!("file: {problem}")));
    let find = |source| document.row.iter().find(|field| field.source == source);
    if find(Source::StudentId).is_none() {
        return bad("a row needs student-id");
    }
    let Some(amount) = find(Source::Amount) else {
        return bad("a row needs amount");
    };
    let says_kind = |fields: &[Field]| fields.iter().any(|field| field.source == Source::Kind);
    let is_told = says_kind(&document.row)
        || (kinds == Kinds::Apart && (says_kind(&document.header) || says_kind(&document.trailer)));
    if amount.sign == Sign::None && !is_told {
        return bad("amounts without a sign need a kind that tells a credit from a charge");
    }
    if !document.name.is_writable() || !document.name.is_unique() {
        return bad("the name needs {sequence} or {time:…}, and no {any}");
    }
    let answers_only = [
        Source::Verdict,
        Source::Reason,
        Source::SisId,
        Source::File,
        Source::AcceptedCount,
        Source::RejectedCount,
    ];
    let all = [&document.header, &document.row, &document.trailer];
    if all
        .into_iter()
        .flatten()
        .any(|field| answers_only.contains(&field.source))
    {
        return bad("verdict, reason, sis-id, file and their counts belong to answers");
    }
    Ok(())
}

fn field(place: &str, file: FieldFile, format: Format) -> Result<Field, Error> {
    let source = file.is;
    let bad = |problem: &str| Error::BadLayout(format!("{place} ({}): {problem}", source.name()));
    if file.text.is_some() != (source == Source::Constant) {
        return Err(bad("a constant, and nothing else, has a text"));
    }
    if file.date.is_some() != source.is_date() {
        return Err(bad(
            "today and chargeable-on, and nothing else, have a date format",
        ));
    }
    if (file.form.is_some() || file.sign.is_some()) && !source.is_amount() {
        return Err(bad("only amounts have a form and a sign"));
    }
    if file.truncate && !source.may_be_cut() {
        return Err(bad("only texts may be truncated"));
    }
    let length = match file.length {
        Some(characters @ 1..=1_000) => Some(Length {
            characters,
            // Between delimiters a length is the most that fits, unless the layout says with what to fill.
            fill: file.fill.or((format == Format::FixedWidth).then_some(' ')),
            side: file.side.unwrap_or_default(),
            truncate: file.truncate,
        }),
        Some(_) => return Err(bad("length has to be 1 to 1,000")),
        None if file.fill.is_some() || file.side.is_some() || file.truncate => {
            return Err(bad("fill, side and truncate need a length"));
        }
        None => None,
    };
    let mut codes = BTreeMap::new();
    for (value, written) in file.codes {
        let written = match written {
            Codes::One(code) => vec![code],
            Codes::Several(codes) if codes.is_empty() => {
                return Err(bad("a value needs at least one code"));
            }
            Codes::Several(codes) => codes,
        };
        if codes
            .values()
            .flatten()
            .any(|other| written.contains(other))
        {
            return Err(bad("two values have the same code"));
        }
        codes.insert(value, written);
    }
    let values: &[&str] = match source {
        Source::Kind => &["charge", "credit"],
        Source::Verdict => &["accepted", "rejected"],
        _ => &[],
    };
    if !values.is_empty() && !codes.keys().map(String::as_str).eq(values.iter().copied()) {
        return Err(bad(&format!("needs codes for {}", values.join(" and "))));
    }
    let field = Field {
        source,
        constant: file.text.unwrap_or_default(),
        date: file.date.unwrap_or_default(),
        form: file.form.unwrap_or_default(),
        sign: file.sign.unwrap_or_default(),
        codes,
        length,
        name: file.name.unwrap_or_default(),
    };
    check_date(&field).map_err(|problem| bad(&problem))?;
    if source == Source::Constant {
        field.write(&Line::new()).map_err(|problem| bad(&problem))?;
    }
    Ok(field)
}

/// A date has to be the same day when it is read back.
fn check_date(field: &Field) -> Result<(), String> {
    let day = date(2026, 11, 30);
    let datum = match field.source {
        Source::Today => Datum::Moment(day.at(21, 5, 9, 0)),
        Source::ChargeableOn => Datum::Date(day),
        _ => return Ok(()),
    };
    let wrong = || "the date format is not one".to_owned();
    if jiff::fmt::strtime::format(&field.date, day.at(21, 5, 9, 0)).is_err() {
        return Err(wrong());
    }
    let written = field.write(&Line::from([(field.source, datum.clone())]))?;
    match field.read(&written)? {
        Some(read) if read != datum => Err("the date format loses the date".to_owned()),
        Some(_) | None => Ok(()),
    }
}
