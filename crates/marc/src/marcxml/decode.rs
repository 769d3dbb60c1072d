//! Reads one MARCXML record.
//!
//! Entities are never expanded beyond the five of XML itself, and a document type is no part of a
//! record's bytes, so that no input can grow.

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::encoding;
use crate::decoded::{Decoded, Notes, Warning, WarningKind};
use crate::error::DecodeError;
use crate::format::XmlEncoding;
use crate::record::{ControlField, DataField, Field, Leader, Record, Subfield, Tag};

/// A leader with fewer characters does not tell which positions are missing.
const MIN_LEADER_CHARACTERS: usize = 20;

/// Reads one record: its bytes from `<record` to `</record>`, in the encoding of the document they
/// were cut from.
pub fn decode(raw: &[u8], encoding: XmlEncoding) -> Result<Decoded, DecodeError> {
    let mut notes = Notes::default();
    let text = encoding::text(raw, encoding, &mut notes)?;
    let mut reader = Reader::from_str(&text);
    // "Dogs & cats" comes as text.
    reader.config_mut().allow_dangling_amp = true;
    reader.config_mut().expand_empty_elements = true;
    let record = Decoder {
        reader,
        notes: &mut notes,
    }
    .record()?;
    Ok(Decoded {
        record,
        warnings: notes.into_warnings(),
    })
}

struct Decoder<'a, 'n> {
    reader: Reader<&'a [u8]>,
    notes: &'n mut Notes,
}

impl<'a> Decoder<'a, '_> {
    fn record(mut self) -> Result<Record, DecodeError> {
        let root = self.child()?;
        if root.is_none_or(|start| start.local_name().as_ref() != "record") {
            return Err(DecodeError::NoFields);
        }
        let mut leader = None;
        let mut fields = Vec::new();
        while let Some(start) = self.child()? {
            match start.local_name().as_ref() {
                "leader" if leader.is_none() => {
                    let text = self.value(None)?;
                    leader = Some(self.leader(&text)?);
                }
                name @ ("controlfield" | "datafield") => match self.tag(&start)? {
                    Some(tag) if name == "controlfield" => {
                        let value = self.value(Some(tag))?;
                        fields.push(Field::Control(ControlField { tag, value }));
                    }
                    Some(tag) => fields.push(Field::Data(self.data_field(tag, &start)?)),
                    None => self.skip(&start, WarningKind::FieldLeftOut, None)?,
                },
                _ => self.skip(&start, WarningKind::ElementUnknown, None)?,
            }
        }
        if leader.is_none() && fields.is_empty() {
            return Err(DecodeError::NoFields);
        }
        let leader = leader.ok_or(DecodeError::LeaderMissing)?;
        if fields.is_empty() {
            return Err(DecodeError::NoFields);
        }
        Ok(Record { leader, fields })
    }

    fn leader(&mut self, text: &str) -> Result<Leader, DecodeError> {
        // White space around it is layout, unless it is needed to make 24.
        let lines_off = text.trim_matches(['\n', '\r', '\t']);
        let whole = [text, lines_off, text.trim_ascii()]
            .into_iter()
            .find(|text| text.chars().count() == Leader::BYTES);
        let mut characters: Vec<char> = whole.unwrap_or(lines_off).chars().collect();
        let length = characters.len();
        if length < MIN_LEADER_CHARACTERS {
            return Err(DecodeError::LeaderTooShort { length });
        }
        if length != Leader::BYTES {
            self.notes.record(WarningKind::LeaderLength);
        }
        // Blanks get lost where white space is collapsed: before 4500, or at the end.
        let at = if characters.ends_with(&['4', '5', '0', '0']) {
            length - 4
        } else {
            length
        };
        while characters.len() < Leader::BYTES {
            characters.insert(at, ' ');
        }
        let mut bytes = [0; Leader::BYTES];
        for (byte, character) in bytes.iter_mut().zip(characters) {
            *byte = u8::try_from(character).unwrap_or(0);
        }
        let (leader, replaced) = Leader::from_bytes(&bytes);
        if replaced {
            self.notes.record(WarningKind::LeaderNotAscii);
        }
        Ok(leader)
    }

    fn data_field(&mut self, tag: Tag, start: &BytesStart<'a>) -> Result<DataField, DecodeError> {
        let indicators = [
            self.indicator(start, "ind1", tag)?,
            self.indicator(start, "ind2", tag)?,
        ];
        let mut field = DataField {
            tag,
            indicators,
            subfields: Vec::new(),
        };
        while let Some(start) = self.child()? {
            if start.local_name().as_ref() != "subfield" {
                self.skip(&start, WarningKind::ElementUnknown, Some(tag))?;
                continue;
            }
            let code = self.attribute(&start, "code")?.unwrap_or_default();
            let value = self.value(Some(tag))?;
            let mut characters = code.chars();
            match (characters.next(), characters.next()) {
                (Some(code), None) => {
                    let code = self.notes.code(code, tag);
                    field.subfields.push(Subfield { code, value });
                }
                (None, _) => {
                    self.notes.field(WarningKind::SubfieldMissing, tag);
                    field.subfields.push(Subfield { code: 'a', value });
                }
                (Some(_), Some(_)) => self.notes.field(WarningKind::FieldLeftOut, tag),
            }
        }
        if field.subfields.is_empty() {
            self.notes.field(WarningKind::SubfieldMissing, tag);
        }
        Ok(field)
    }

    /// The tag of a field; `None` for a name that some systems give to fields of their own, such as
    /// `INST`.
    fn tag(&mut self, start: &BytesStart<'a>) -> Result<Option<Tag>, DecodeError> {
        let position = self.position();
        let text = self.attribute(start, "tag")?.unwrap_or_default();
        let text = if text.len() == 3 {
            &text
        } else {
            text.trim_ascii()
        };
        let is_short =
            matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_name = text.len() > 3 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_name {
            return Ok(None);
        }
        let tag = if is_short {
            Tag::new(&format!("{text:0>3}"))
        } else {
            Tag::new(text)
        };
        let tag = tag.ok_or(DecodeError::TagUnreadable { position })?;
        if is_short || !tag.is_alphanumeric() {
            self.notes.field(WarningKind::TagUnusual, tag);
        }
        Ok(Some(tag))
    }

    fn indicator(
        &mut self,
        start: &BytesStart<'a>,
        name: &str,
        tag: Tag,
    ) -> Result<char, DecodeError> {
        let text = self.attribute(start, name)?;
        let mut characters = text.as_deref().unwrap_or_default().chars();
        let indicator = match (characters.next(), characters.next()) {
            (Some(indicator), None) => indicator,
            (indicator, _) => {
                self.notes.field(WarningKind::IndicatorsUnusual, tag);
                indicator.unwrap_or(' ')
            }
        };
        Ok(self.notes.character(indicator, tag))
    }

    fn attribute(
        &mut self,
        start: &BytesStart<'a>,
        name: &str,
    ) -> Result<Option<String>, DecodeError> {
        let mut value = None;
        // The check for doubles compares each attribute with all before it.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| self.malformed_here(&error.to_string()))?;
            if attribute.key.as_ref() == name && value.is_none() {
                value = Some(match attribute.normalized_value(XmlVersion::Implicit1_0) {
                    Ok(value) => value.into_owned(),
                    Err(_) => {
                        self.notes.record(WarningKind::ReferenceUnknown);
                        attribute.value.into_owned()
                    }
                });
            }
        }
        Ok(value)
    }

    /// The next element; `None` at the end of the one that is open. Text here belongs to nothing.
    fn child(&mut self) -> Result<Option<BytesStart<'a>>, DecodeError> {
        loop {
            let position = self.position();
            match self.event()? {
                Event::Start(start) | Event::Empty(start) => return Ok(Some(start)),
                Event::End(_) => return Ok(None),
                Event::Text(text) if text.trim_ascii().is_empty() => {}
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                    return Err(DecodeError::XmlStrayText { position });
                }
                Event::Eof => return Err(self.ends_early()),
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) | Event::DocType(_) => {}
            }
        }
    }

    /// The text of the element that is open, to its end.
    fn value(&mut self, tag: Option<Tag>) -> Result<String, DecodeError> {
        let mut value = String::new();
        loop {
            let position = self.position();
            match self.event()? {
                Event::Text(text) => {
                    if text.contains('&') {
                        self.notes.record(WarningKind::ReferenceUnknown);
                    }
                    value.push_str(&text.xml10_content());
                }
                Event::CData(text) => value.push_str(&text.xml10_content()),
                Event::GeneralRef(reference) => self.push_reference(&reference, &mut value),
                Event::End(_) => break,
                Event::Start(_) | Event::Empty(_) => {
                    return Err(DecodeError::XmlUnexpectedElement { position });
                }
                Event::Eof => return Err(self.ends_early()),
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) | Event::DocType(_) => {}
            }
        }
        Ok(match tag {
            Some(tag) => self.notes.text(&value, tag),
            None => value,
        })
    }

    fn push_reference(&mut self, reference: &BytesRef<'_>, value: &mut String) {
        let character = reference.resolve_char_ref().ok().flatten();
        if let Some(character) = character {
            value.push(character);
        } else if let Some(text) = resolve_predefined_entity(reference) {
            value.push_str(text);
        } else {
            self.notes.record(WarningKind::ReferenceUnknown);
            value.push('&');
            value.push_str(reference);
            value.push(';');
        }
    }

    /// Leaves out an element with all that is in it, and says so.
    fn skip(
        &mut self,
        start: &BytesStart<'a>,
        kind: WarningKind,
        tag: Option<Tag>,
    ) -> Result<(), DecodeError> {
        self.notes.add(Warning { kind, tag });
        self.reader
            .read_to_end(start.name())
            .map_err(|error| self.malformed(&error))?;
        Ok(())
    }

    fn event(&mut self) -> Result<Event<'a>, DecodeError> {
        let event = self
            .reader
            .read_event()
            .map_err(|error| self.malformed(&error))?;
        // The XML reader takes a tag to its quotes, through other tags where one is missing.
        if let Event::Start(start) | Event::Empty(start) = &event
            && start.contains('<')
        {
            return Err(self.malformed_here("a tag inside of a tag"));
        }
        Ok(event)
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    fn malformed(&self, error: &quick_xml::Error) -> DecodeError {
        let position = usize::try_from(self.reader.error_position()).unwrap_or(usize::MAX);
        DecodeError::XmlMalformed {
            position,
            detail: error.to_string(),
        }
    }

    fn malformed_here(&self, detail: &str) -> DecodeError {
        DecodeError::XmlMalformed {
            position: self.position(),
            detail: detail.to_owned(),
        }
    }

    fn ends_early(&self) -> DecodeError {
        self.malformed_here("the record ends inside of an element")
    }
}

#[cfg(test)]
mod tests;
