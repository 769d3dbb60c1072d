//! What is indexed of a MARC record (MARC 21 bibliographic format).
//!
//! The record itself is kept whole beside it, so nothing here has to be
//! complete: values that can't be used are left out, long ones are cut.

use carrel_marc::{DataField, Decoded, Field, Record as Marc};

use super::identifier;
use super::model::{Format, Kind};
use super::words::push_words;

/// Limits of one value, in characters, and of how many there are; what real
/// records have is far below.
const MOST_CHARACTERS: usize = 1_000;
const MOST_VALUES: usize = 300;
/// Limit of the words of one weight.
const MOST_WORD_BYTES: usize = 100 << 10;
/// A control number and an agency are keys, of which PostgreSQL's indexes take
/// some 2,700 bytes together.
const MOST_CONTROL_BYTES: usize = 200;

/// What is kept beside the bytes of a record.
#[derive(Debug, Clone)]
pub(crate) struct Indexed {
    pub kind: Kind,
    pub control_number: Option<String>,
    /// 003; empty where there is none.
    pub control_agency: String,
    pub title: String,
    pub contributors: Vec<String>,
    pub identifiers: Vec<String>,
    pub subjects: Vec<String>,
    pub language: String,
    pub publication_year: Option<i16>,
    pub format: Format,
    pub warnings: Vec<String>,
    pub title_words: String,
    pub contributor_words: String,
    pub subject_words: String,
}

/// Reads what is indexed of a record.
pub(crate) fn index(decoded: &Decoded) -> Indexed {
    let record = &decoded.record;
    let mut warnings: Vec<String> = Vec::new();
    for warning in &decoded.warnings {
        let reason = warning.kind.reason();
        if !warnings.iter().any(|known| known == reason) {
            warnings.push(reason.to_owned());
        }
    }
    if record.leader.status() == 'd' {
        warnings.push("RECORD_MARKED_DELETED".into());
    }
    let control_number = control(record, "001");
    if control_number.is_none()
        && record
            .control("001")
            .is_some_and(|text| !text.trim().is_empty())
    {
        warnings.push("CONTROL_NUMBER_UNUSABLE".into());
    }
    let contributors = values(contributor_fields(record), contributor);
    let subjects = values(subject_fields(record), subject);
    let title = title(record);
    let words = Words::of(record, &title, &contributors, &subjects);
    Indexed {
        kind: Kind::of(&record.leader),
        control_number,
        control_agency: control(record, "003").unwrap_or_default(),
        identifiers: identifiers(record),
        language: language(record),
        publication_year: publication_year(record),
        format: Format::of(&record.leader),
        title_words: words.title,
        contributor_words: words.contributors,
        subject_words: words.subjects,
        title,
        contributors,
        subjects,
        warnings,
    }
}

/// A text that PostgreSQL can keep: it has no U+0000.
pub(crate) fn storable(text: &str) -> String {
    let mut text: String = text
        .chars()
        .filter(|c| *c != '\0')
        .take(MOST_CHARACTERS)
        .collect();
    text.truncate(text.trim_end().len());
    text
}

fn control(record: &Marc, tag: &str) -> Option<String> {
    let text = storable(record.control(tag)?);
    let text = text.trim();
    (1..=MOST_CONTROL_BYTES)
        .contains(&text.len())
        .then(|| text.to_owned())
}

/// Fields whose tag has one of these beginnings.
fn fields<'a>(
    record: &'a Marc,
    beginnings: &'static [&'static str],
) -> impl Iterator<Item = &'a DataField> {
    record.fields.iter().filter_map(move |field| match field {
        Field::Data(field)
            if beginnings
                .iter()
                .any(|tag| field.tag.as_str().starts_with(tag)) =>
        {
            Some(field)
        }
        _ => None,
    })
}

fn contributor_fields(record: &Marc) -> impl Iterator<Item = &DataField> {
    fields(record, &["100", "110", "111"]).chain(fields(record, &["700", "710", "711", "720"]))
}

fn subject_fields(record: &Marc) -> impl Iterator<Item = &DataField> {
    fields(record, &["60", "61", "63", "64", "65"])
}

fn values<'a>(
    fields: impl Iterator<Item = &'a DataField>,
    read: fn(&DataField) -> String,
) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for field in fields {
        let value = read(field);
        if !value.is_empty() && !values.contains(&value) {
            values.push(value);
        }
        if values.len() == MOST_VALUES {
            break;
        }
    }
    values
}

/// The values of these subfields, joined by blanks.
fn joined(field: &DataField, codes: &str) -> String {
    let mut text = String::new();
    for subfield in field
        .subfields
        .iter()
        .filter(|subfield| codes.contains(subfield.code))
    {
        let value = subfield.value.trim();
        if !text.is_empty() && !value.is_empty() {
            text.push(' ');
        }
        text.push_str(value);
    }
    storable(&text)
}

/// Without the marks that ISBD puts before the next element.
fn without_mark(text: &str) -> String {
    text.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '/' | ':' | ';' | ',' | '='))
        .to_owned()
}

/// Without the full stop that ends a heading, but with those of initials and
/// abbreviations: "Jr.", "W. E. B."
fn without_stop(text: &str) -> String {
    let text = without_mark(text);
    match text.strip_suffix('.') {
        Some(rest) => {
            let last = rest.rsplit([' ', '.', '-']).next().unwrap_or_default();
            if last.chars().count() > 3 {
                rest.to_owned()
            } else {
                text
            }
        }
        None => text,
    }
}

/// 245, else the uniform title, else the heading of an authority.
fn title(record: &Marc) -> String {
    let title = fields(record, &["245"])
        .map(|field| without_mark(&joined(field, "abnp")))
        .find(|title| !title.is_empty());
    title
        .or_else(|| {
            fields(record, &["130", "240"])
                .map(|field| without_stop(&joined(field, "anp")))
                .next()
        })
        .or_else(|| {
            let is_authority = Kind::of(&record.leader) == Kind::Authority;
            fields(record, &["1"])
                .map(|field| without_stop(&joined(field, "abcdqtxyz")))
                .find(|_| is_authority)
        })
        .unwrap_or_default()
}

fn contributor(field: &DataField) -> String {
    without_stop(&joined(field, "abcdqn"))
}

fn subject(field: &DataField) -> String {
    let mut heading = joined(field, "abcdqtnp");
    for subfield in field
        .subfields
        .iter()
        .filter(|subfield| "vxyz".contains(subfield.code))
    {
        heading = format!("{}--{}", without_stop(&heading), subfield.value.trim());
    }
    storable(&without_stop(&heading))
}

fn identifiers(record: &Marc) -> Vec<String> {
    let mut identifiers = Vec::new();
    let mut add = |scheme: &str, value: &str| {
        if let Some(identifier) = identifier::normalized(scheme, value)
            && !identifiers.contains(&identifier)
            && identifiers.len() < MOST_VALUES
        {
            identifiers.push(identifier);
        }
    };
    for (tag, scheme) in [("020", "isbn"), ("022", "issn"), ("010", "lccn")] {
        record
            .subfields(tag, 'a')
            .for_each(|value| add(scheme, value));
    }
    let is_oclc =
        |value: &&str| identifier::strip_prefix_ignoring_case(value.trim(), "(ocolc)").is_some();
    record
        .subfields("035", 'a')
        .filter(is_oclc)
        .for_each(|value| add("oclc", value));
    if record
        .control("003")
        .is_some_and(|agency| agency.trim().eq_ignore_ascii_case("ocolc"))
        && let Some(number) = record.control("001")
    {
        add("oclc", number);
    }
    identifiers
}

/// Characters of 008 from position `from` up to `to`.
fn fixed(record: &Marc, from: usize, to: usize) -> Option<String> {
    let text: String = record
        .control("008")?
        .chars()
        .skip(from)
        .take(to - from)
        .collect();
    (text.len() == to - from).then_some(text)
}

/// 008/35-37, else the first code of 041.
fn language(record: &Marc) -> String {
    let is_code =
        |code: &String| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_lowercase());
    let declared = fixed(record, 35, 38).filter(is_code);
    let coded = || {
        record
            .subfields("041", 'a')
            .next()
            .map(|code| code.chars().take(3).collect())
            .filter(is_code)
    };
    declared.or_else(coded).unwrap_or_default()
}

/// 008/07-10, else the first year in 264 or 260 $c.
fn publication_year(record: &Marc) -> Option<i16> {
    let is_authority = Kind::of(&record.leader) == Kind::Authority;
    // 008 of an authority record holds other things there.
    if is_authority {
        return None;
    }
    fixed(record, 7, 11)
        .as_deref()
        .and_then(year_in)
        .or_else(|| {
            ["264", "260"]
                .iter()
                .flat_map(|tag| record.subfields(tag, 'c'))
                .find_map(year_in)
        })
}

/// The first run of exactly four digits that can be a year.
fn year_in(text: &str) -> Option<i16> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter(|digits| digits.len() == 4)
        .filter_map(|digits| digits.parse().ok())
        .find(|year| (1000..=2999).contains(year))
}

/// The words of a record by weight.
#[derive(Default)]
struct Words {
    title: String,
    contributors: String,
    subjects: String,
}

impl Words {
    fn of(record: &Marc, title: &str, contributors: &[String], subjects: &[String]) -> Self {
        let mut words = Self::default();
        words.add(Self::title, title);
        for field in fields(record, &["130", "240", "246"]) {
            words.add(Self::title, &joined(field, "abnp"));
        }
        // Who is named on the title page, in the form of the title page.
        for value in record.subfields("245", 'c') {
            words.add(Self::contributors, value);
        }
        contributors
            .iter()
            .for_each(|value| words.add(Self::contributors, value));
        subjects
            .iter()
            .for_each(|value| words.add(Self::subjects, value));
        // The same in its own script; $6 names the field it belongs to.
        for field in record.fields("880") {
            match field.value('6').and_then(|link| link.get(..3)) {
                Some("130" | "240" | "245" | "246") => {
                    words.add(Self::title, &joined(field, "abnp"))
                }
                Some(tag) if tag.starts_with('1') || tag.starts_with('7') => {
                    words.add(Self::contributors, &contributor(field));
                }
                Some(tag) if tag.starts_with('6') => words.add(Self::subjects, &subject(field)),
                _ => {}
            }
        }
        words
    }

    fn title(&mut self) -> &mut String {
        &mut self.title
    }

    fn contributors(&mut self) -> &mut String {
        &mut self.contributors
    }

    fn subjects(&mut self) -> &mut String {
        &mut self.subjects
    }

    fn add(&mut self, weight: fn(&mut Self) -> &mut String, text: &str) {
        push_words(weight(self), text, MOST_WORD_BYTES);
    }
}

#[cfg(test)]
mod tests;
