//! The record itself: leader, control fields and data fields, in the order of the file.

use std::fmt;

/// One MARC 21 record. All text is Unicode, whatever the file was in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The leader.
    pub leader: Leader,
    /// The fields, in the order of the directory (ISO 2709) or the document (MARCXML), which need
    /// not be that of the tags.
    pub fields: Vec<Field>,
}

impl Record {
    /// A record without fields.
    pub fn new(leader: Leader) -> Self {
        Self {
            leader,
            fields: Vec::new(),
        }
    }

    /// The value of the first control field with this tag, such as `001`.
    pub fn control(&self, tag: &str) -> Option<&str> {
        self.fields.iter().find_map(|field| match field {
            Field::Control(field) if field.tag == *tag => Some(field.value.as_str()),
            _ => None,
        })
    }

    /// The data fields with this tag, in order.
    pub fn fields<'r>(&'r self, tag: &str) -> impl Iterator<Item = &'r DataField> {
        self.fields.iter().filter_map(move |field| match field {
            Field::Data(field) if field.tag == *tag => Some(field),
            _ => None,
        })
    }

    /// The values of this subfield in all data fields with this tag, in order.
    pub fn subfields<'r>(&'r self, tag: &str, code: char) -> impl Iterator<Item = &'r str> {
        self.fields(tag).flat_map(move |field| field.values(code))
    }

    /// Adds a control field at the end.
    pub fn push_control(&mut self, tag: Tag, value: impl Into<String>) {
        self.fields.push(Field::Control(ControlField {
            tag,
            value: value.into(),
        }));
    }

    /// Adds a data field at the end.
    pub fn push_data(&mut self, tag: Tag, indicators: [char; 2], subfields: &[(char, &str)]) {
        let subfields = subfields
            .iter()
            .map(|&(code, value)| Subfield {
                code,
                value: value.to_owned(),
            })
            .collect();
        self.fields.push(Field::Data(DataField {
            tag,
            indicators,
            subfields,
        }));
    }
}

/// A field: a control field or a data field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// Tag and value only.
    Control(ControlField),
    /// Indicators and subfields.
    Data(DataField),
}

impl Field {
    /// The tag of either kind.
    pub fn tag(&self) -> Tag {
        match self {
            Self::Control(field) => field.tag,
            Self::Data(field) => field.tag,
        }
    }
}

/// A field without indicators and subfields: 001 to 009, and local ones such as the `FMT` of some
/// systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlField {
    /// The tag.
    pub tag: Tag,
    /// The value; positions count in it, so blanks at its end are kept.
    pub value: String,
}

/// A field with two indicators and subfields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataField {
    /// The tag.
    pub tag: Tag,
    /// Both indicators; a blank is a space.
    pub indicators: [char; 2],
    /// The subfields in order; a code may repeat.
    pub subfields: Vec<Subfield>,
}

impl DataField {
    /// The values of this subfield, in order.
    pub fn values(&self, code: char) -> impl Iterator<Item = &str> {
        self.subfields
            .iter()
            .filter(move |subfield| subfield.code == code)
            .map(|subfield| subfield.value.as_str())
    }

    /// The value of the first subfield with this code.
    pub fn value(&self, code: char) -> Option<&str> {
        self.values(code).next()
    }
}

/// One subfield.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subfield {
    /// The code, usually a lower-case letter or a digit.
    pub code: char,
    /// The value.
    pub value: String,
}

/// A tag: three printable ASCII characters, nearly always digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag([u8; 3]);

impl Tag {
    /// The tag of this text; `None` unless it is three printable ASCII characters that are not all
    /// blank.
    pub fn new(text: &str) -> Option<Self> {
        Self::from_bytes(text.as_bytes())
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let tag: [u8; 3] = bytes.try_into().ok()?;
        let printable = tag.iter().all(|byte| matches!(byte, b' '..=b'~'));
        (printable && tag != *b"   ").then_some(Self(tag))
    }

    /// The three characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a tag is made of ASCII only")
    }

    pub(crate) fn as_bytes(self) -> [u8; 3] {
        self.0
    }

    /// Whether MARC 21 makes it a control field (00X).
    pub fn is_control(self) -> bool {
        self.0.starts_with(b"00")
    }

    pub(crate) fn is_numeric(self) -> bool {
        self.0.iter().all(u8::is_ascii_digit)
    }

    /// Whether it is made of letters and digits, as ISO 2709 wants it.
    pub(crate) fn is_alphanumeric(self) -> bool {
        self.0.iter().all(u8::is_ascii_alphanumeric)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Tag({})", self.as_str())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl PartialEq<str> for Tag {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

/// The leader: 24 positions of printable ASCII. Lengths and addresses in it are those of the file
/// it came from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Leader([u8; 24]);

impl Leader {
    /// Its length.
    pub const BYTES: usize = 24;

    /// A leader from its 24 bytes; what is not printable ASCII becomes a blank. The flag says
    /// whether that happened.
    pub fn from_bytes(bytes: &[u8; 24]) -> (Self, bool) {
        let mut leader = *bytes;
        let mut replaced = false;
        for byte in &mut leader {
            if !matches!(byte, b' '..=b'~') {
                *byte = b' ';
                replaced = true;
            }
        }
        (Self(leader), replaced)
    }

    /// All 24 positions.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a leader is made of ASCII only")
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 24] {
        &self.0
    }

    /// The character at a position, 0 to 23; a blank beyond.
    pub fn at(&self, position: usize) -> char {
        self.0.get(position).map_or(' ', |&byte| char::from(byte))
    }

    /// 05: n new, c corrected, d deleted …
    pub fn status(&self) -> char {
        self.at(5)
    }

    /// 06: a language material, j musical sound recording, z authority …
    pub fn record_type(&self) -> char {
        self.at(6)
    }

    /// 07: m monograph, s serial, a component part …
    pub fn bibliographic_level(&self) -> char {
        self.at(7)
    }
}

impl Default for Leader {
    /// A new printed book.
    fn default() -> Self {
        Self(*b"00000nam a2200000   4500")
    }
}

impl fmt::Debug for Leader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Leader({})", self.as_str())
    }
}

impl fmt::Display for Leader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_tag_and_code_in_their_order() {
        let mut record = Record::new(Leader::default());
        record.push_control(Tag::new("001").unwrap(), "ocm1");
        record.push_data(
            Tag::new("650").unwrap(),
            [' ', '0'],
            &[('a', "Whales"), ('x', "Songs"), ('x', "Music")],
        );
        record.push_data(Tag::new("245").unwrap(), ['1', '0'], &[('a', "Moby Dick")]);
        record.push_data(Tag::new("650").unwrap(), [' ', '0'], &[('a', "Ships")]);
        assert_eq!(record.control("001"), Some("ocm1"));
        assert_eq!(record.control("245"), None);
        assert_eq!(
            record.subfields("650", 'a').collect::<Vec<_>>(),
            ["Whales", "Ships"]
        );
        assert_eq!(
            record
                .fields("650")
                .next()
                .unwrap()
                .values('x')
                .collect::<Vec<_>>(),
            ["Songs", "Music"]
        );
        assert_eq!(record.fields("245").next().unwrap().value('b'), None);
    }

    #[test]
    fn a_tag_is_three_printable_characters() {
        for good in ["001", "245", "FMT", "30-", "9 9"] {
            assert_eq!(Tag::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "1", "24", "2450", "24é", "é5", "\u{1}45", "   "] {
            assert_eq!(Tag::new(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_not_ascii_in_a_leader_becomes_blank() {
        let (leader, replaced) = Leader::from_bytes(b"00191nam a22000734a 45\xed0");
        assert!(replaced);
        assert_eq!(leader.as_str(), "00191nam a22000734a 45 0");
        assert_eq!(
            (
                leader.status(),
                leader.record_type(),
                leader.bibliographic_level()
            ),
            ('n', 'a', 'm')
        );
    }
}
