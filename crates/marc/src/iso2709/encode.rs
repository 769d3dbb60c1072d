//! Writes a record in ISO 2709.

use super::{DELIMITER, DIRECTORY_ENTRY_BYTES, FIELD_TERMINATOR, LEADER_BYTES, RECORD_TERMINATOR};
use crate::error::EncodeError;
use crate::record::{Field, Record, Tag};

const MAX_RECORD_BYTES: usize = 99_999;
const MAX_FIELD_BYTES: usize = 9_999;

impl Record {
    /// The record in ISO 2709, as UTF-8: leader 09 is `a`, lengths and the leader's constants are
    /// those of what is written.
    ///
    /// ```
    /// use carrel_marc::{Leader, Record, Tag, iso2709};
    ///
    /// let mut record = Record::new(Leader::default());
    /// record.push_data(Tag::new("245").unwrap(), ['1', '0'], &[('a', "Persuasion /"), ('c', "Jane Austen.")]);
    /// let raw = record.to_iso2709().unwrap();
    /// assert_eq!(iso2709::decode(&raw).unwrap().record.fields, record.fields);
    /// ```
    pub fn to_iso2709(&self) -> Result<Vec<u8>, EncodeError> {
        let mut directory = Vec::with_capacity(self.fields.len() * DIRECTORY_ENTRY_BYTES);
        let mut data = Vec::new();
        for field in &self.fields {
            let start = data.len();
            write_field(field, &mut data)?;
            let bytes = data.len() - start;
            if bytes > MAX_FIELD_BYTES {
                return Err(EncodeError::FieldTooLong {
                    tag: field.tag(),
                    bytes,
                });
            }
            directory.extend(field.tag().as_bytes());
            directory.extend(format!("{bytes:04}{start:05}").bytes());
        }
        directory.push(FIELD_TERMINATOR);
        data.push(RECORD_TERMINATOR);

        let base_address = LEADER_BYTES + directory.len();
        let bytes = base_address + data.len();
        if bytes > MAX_RECORD_BYTES {
            return Err(EncodeError::RecordTooLong { bytes });
        }
        let mut leader = *self.leader.as_bytes();
        leader[..5].copy_from_slice(format!("{bytes:05}").as_bytes());
        leader[9] = b'a';
        leader[10..12].copy_from_slice(b"22");
        leader[12..17].copy_from_slice(format!("{base_address:05}").as_bytes());
        leader[20..].copy_from_slice(b"4500");
        Ok([leader.as_slice(), &directory, &data].concat())
    }
}

fn write_field(field: &Field, data: &mut Vec<u8>) -> Result<(), EncodeError> {
    match field {
        Field::Control(control) => write_text(&control.value, control.tag, data)?,
        Field::Data(field) => {
            for indicator in field.indicators {
                write_char(indicator, field.tag, data)?;
            }
            for subfield in &field.subfields {
                data.push(DELIMITER);
                write_char(subfield.code, field.tag, data)?;
                write_text(&subfield.value, field.tag, data)?;
            }
        }
    }
    data.push(FIELD_TERMINATOR);
    Ok(())
}

fn write_char(character: char, tag: Tag, data: &mut Vec<u8>) -> Result<(), EncodeError> {
    write_text(character.encode_utf8(&mut [0; 4]), tag, data)
}

fn write_text(text: &str, tag: Tag, data: &mut Vec<u8>) -> Result<(), EncodeError> {
    if text
        .bytes()
        .any(|byte| matches!(byte, RECORD_TERMINATOR..=DELIMITER))
    {
        return Err(EncodeError::ReservedCharacter { tag });
    }
    data.extend(text.as_bytes());
    Ok(())
}
