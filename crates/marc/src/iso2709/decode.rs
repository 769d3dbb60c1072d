//! Reads one record in ISO 2709.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr_iter};

use super::{
    DELIMITER, FIELD_TERMINATOR, LEADER_BYTES, RECORD_TERMINATOR, directory, stated_length,
};
use crate::decoded::{Decoded, Notes, WarningKind};
use crate::error::DecodeError;
use crate::record::{ControlField, DataField, Field, Leader, Record, Subfield, Tag};

const ESCAPE: u8 = 0x1b;
const DELIMITER_CHAR: char = '\u{1f}';

/// Reads one record: its bytes from the leader to 1D.
///
/// The constants of the leader (10, 11, 20 to 23) are not looked at: they are often wrong, and MARC
/// 21 knows no others.
pub fn decode(raw: &[u8]) -> Result<Decoded, DecodeError> {
    let Some(leader) = raw.first_chunk::<LEADER_BYTES>() else {
        return Err(DecodeError::LeaderTooShort { length: raw.len() });
    };
    let mut notes = Notes::default();
    let (leader, replaced) = Leader::from_bytes(leader);
    if replaced {
        notes.record(WarningKind::LeaderNotAscii);
    }
    let stated = stated_length(raw);
    if stated != Some(raw.len()) {
        notes.record(WarningKind::LengthMismatch);
    }
    let (record, terminated) = without_terminator(raw);
    if !terminated {
        notes.record(WarningKind::RecordTerminatorMissing);
    }
    if record.len() < LEADER_BYTES {
        return Err(DecodeError::LeaderTooShort {
            length: record.len(),
        });
    }
    let truncated = match stated {
        Some(stated) if !terminated && stated > raw.len() => Some(DecodeError::Truncated {
            stated,
            found: raw.len(),
        }),
        _ => None,
    };

    let places = directory::read(record, truncated, &mut notes)?;
    let text = Text::new(record, leader.at(9) == 'a', &mut notes);
    let fields = places
        .into_iter()
        .map(|(tag, place)| field(tag, &text.slice(place), &mut notes))
        .collect();
    Ok(Decoded {
        record: Record { leader, fields },
        warnings: notes.into_warnings(),
    })
}

/// The record without 1D and what follows it, and whether there was one.
fn without_terminator(raw: &[u8]) -> (&[u8], bool) {
    let mut record = raw;
    while let [rest @ .., 0 | b'\n' | b'\r' | 0x1a | b' '] = record {
        record = rest;
    }
    match record {
        [.., RECORD_TERMINATOR] => {
            while let [rest @ .., RECORD_TERMINATOR] = record {
                record = rest;
            }
            (record, true)
        }
        [.., FIELD_TERMINATOR] => (record, false),
        // Blanks at the end of a record that breaks off may be its own.
        _ => (raw, false),
    }
}

/// The bytes of a record as text.
struct Text<'a> {
    bytes: &'a [u8],
    /// All of it, where it is UTF-8, so that it is checked once and not field by field.
    utf8: Option<&'a str>,
}

impl<'a> Text<'a> {
    fn new(record: &'a [u8], declared_utf8: bool, notes: &mut Notes) -> Self {
        let body = &record[LEADER_BYTES..];
        let utf8 = std::str::from_utf8(body).ok();
        if has_marc8_escape(body) || (!declared_utf8 && utf8.is_none()) {
            notes.record(WarningKind::Marc8NotConverted);
        } else if utf8.is_none() {
            notes.record(WarningKind::InvalidUtf8);
        } else if !declared_utf8 && !body.is_ascii() {
            notes.record(WarningKind::EncodingMismatch);
        }
        Self {
            bytes: record,
            utf8,
        }
    }

    fn slice(&self, place: Range<usize>) -> Cow<'a, str> {
        let in_body =
            place.start.saturating_sub(LEADER_BYTES)..place.end.saturating_sub(LEADER_BYTES);
        match self.utf8.and_then(|text| text.get(in_body)) {
            Some(text) => Cow::Borrowed(text),
            None => String::from_utf8_lossy(&self.bytes[place]),
        }
    }
}

/// Whether the text changes its character set as MARC-8 does (ESC and what designates a set).
fn has_marc8_escape(body: &[u8]) -> bool {
    memchr_iter(ESCAPE, body).any(|at| {
        matches!(
            body.get(at + 1),
            Some(b'(' | b')' | b',' | b'-' | b'$' | b'g' | b'b' | b'p' | b's')
        )
    })
}

fn field(tag: Tag, body: &str, notes: &mut Notes) -> Field {
    if !tag.is_alphanumeric() {
        notes.field(WarningKind::TagUnusual, tag);
    }
    let delimiter = memchr(DELIMITER, body.as_bytes());
    let control = match delimiter {
        None => tag.is_control() || !tag.is_numeric(),
        // Some national formats have indicators and subfields in 001.
        Some(at) => tag.is_control() && !(2..=3).contains(&at),
    };
    if control {
        return Field::Control(ControlField {
            tag,
            value: notes.text(body, tag),
        });
    }
    if tag.is_control() {
        notes.field(WarningKind::ControlFieldWithSubfields, tag);
    }
    let (head, subfields) = match delimiter {
        Some(at) => (&body[..at], &body[at + 1..]),
        None => (body, ""),
    };
    let (indicators, text) = indicators(head, delimiter.is_some(), tag, notes);
    let mut field = DataField {
        tag,
        indicators,
        subfields: Vec::new(),
    };
    if !text.is_empty() || delimiter.is_none() {
        notes.field(WarningKind::SubfieldMissing, tag);
    }
    if !text.is_empty() {
        field.subfields.push(Subfield {
            code: 'a',
            value: notes.text(text, tag),
        });
    }
    if delimiter.is_some() {
        for subfield in subfields.split(DELIMITER_CHAR) {
            let mut characters = subfield.chars();
            match characters.next() {
                Some(code) => {
                    let value = notes.text(characters.as_str(), tag);
                    field.subfields.push(Subfield {
                        code: notes.code(code, tag),
                        value,
                    });
                }
                None => notes.field(WarningKind::SubfieldEmpty, tag),
            }
        }
    }
    Field::Data(field)
}

/// The indicators, and text that stands before the first subfield.
fn indicators<'a>(
    head: &'a str,
    delimited: bool,
    tag: Tag,
    notes: &mut Notes,
) -> ([char; 2], &'a str) {
    let mut characters = head.chars();
    let (first, second) = (characters.next(), characters.next());
    let rest = characters.as_str();
    let plausible = |indicator: Option<char>| {
        indicator.is_some_and(|indicator| matches!(indicator, ' ' | '|' | '0'..='9'))
    };
    let are_indicators = delimited || (plausible(first) && plausible(second));
    if !are_indicators {
        notes.field(WarningKind::IndicatorsUnusual, tag);
        return ([' ', ' '], head);
    }
    // A third indicator, as in formats with three of them, or stray blanks.
    let no_text = rest.trim_ascii().is_empty() || (delimited && rest.chars().count() == 1);
    if first.is_none() || second.is_none() || (no_text && !rest.is_empty()) {
        notes.field(WarningKind::IndicatorsUnusual, tag);
    }
    let indicators =
        [first, second].map(|indicator| notes.character(indicator.unwrap_or(' '), tag));
    (indicators, if no_text { "" } else { rest })
}

#[cfg(test)]
mod tests;
