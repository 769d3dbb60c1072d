//! Why a record could not be read, or written.

use crate::record::Tag;

/// Why a piece of a file is not a record that can be used. Positions count bytes from the start of
/// the piece; in MARCXML they are those of the text as UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than a leader has, or a MARCXML leader too short to tell its positions.
    #[error("the leader has {length} of 24 characters")]
    LeaderTooShort {
        /// What there is of it.
        length: usize,
    },
    /// A MARCXML record without a leader.
    #[error("the record has no leader")]
    LeaderMissing,
    /// No directory can be made out.
    #[error("the directory cannot be read at byte {position}")]
    DirectoryUnreadable {
        /// Where the directory should be.
        position: usize,
    },
    /// Lengths in the directory are wrong and there are not as many fields as entries, so tags
    /// cannot be told.
    #[error("the directory has {entries} entries, the data {fields} fields")]
    DirectoryMismatch {
        /// Entries of the directory.
        entries: usize,
        /// Fields found by their terminators.
        fields: usize,
        /// Where the data begins.
        position: usize,
    },
    /// The record breaks off.
    #[error("the record breaks off after {found} of {stated} bytes")]
    Truncated {
        /// The leader's record length.
        stated: usize,
        /// Bytes there are.
        found: usize,
    },
    /// A tag is not three printable ASCII characters.
    #[error("a tag cannot be read at byte {position}")]
    TagUnreadable {
        /// Where the tag, or the element that should bear it, is.
        position: usize,
    },
    /// There is not a single field.
    #[error("the record has no fields")]
    NoFields,
    /// More bytes than any record may have.
    #[error("more than {limit} bytes without an end of record")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The XML of the record is not well-formed.
    #[error("not well-formed at byte {position}: {detail}")]
    XmlMalformed {
        /// Where.
        position: usize,
        /// What the XML reader says.
        detail: String,
    },
    /// Text where MARCXML has only elements.
    #[error("text outside of a field at byte {position}")]
    XmlStrayText {
        /// Where.
        position: usize,
    },
    /// An element inside a leader, control field or subfield, where MARCXML has only text.
    #[error("an element inside of a value at byte {position}")]
    XmlUnexpectedElement {
        /// Where.
        position: usize,
    },
    /// The document is in an encoding other than UTF-8, ISO 8859-1 and Windows-1252.
    #[error("the XML is in an encoding that is not supported; convert it to UTF-8")]
    XmlEncodingUnsupported,
}

impl DecodeError {
    /// A stable name, for the quarantine and for clients.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::LeaderTooShort { .. } => "MARC_LEADER_TOO_SHORT",
            Self::LeaderMissing => "MARC_LEADER_MISSING",
            Self::DirectoryUnreadable { .. } => "MARC_DIRECTORY_UNREADABLE",
            Self::DirectoryMismatch { .. } => "MARC_DIRECTORY_MISMATCH",
            Self::Truncated { .. } => "MARC_RECORD_TRUNCATED",
            Self::TagUnreadable { .. } => "MARC_TAG_UNREADABLE",
            Self::NoFields => "MARC_NO_FIELDS",
            Self::TooLarge { .. } => "MARC_RECORD_TOO_LARGE",
            Self::XmlMalformed { .. } => "MARC_XML_MALFORMED",
            Self::XmlStrayText { .. } => "MARC_XML_STRAY_TEXT",
            Self::XmlUnexpectedElement { .. } => "MARC_XML_UNEXPECTED_ELEMENT",
            Self::XmlEncodingUnsupported => "MARC_XML_ENCODING_UNSUPPORTED",
        }
    }

    /// Where in the piece it went wrong, in bytes; 0 where it concerns the whole.
    pub fn position(&self) -> usize {
        match self {
            Self::DirectoryUnreadable { position }
            | Self::DirectoryMismatch { position, .. }
            | Self::TagUnreadable { position }
            | Self::XmlMalformed { position, .. }
            | Self::XmlStrayText { position }
            | Self::XmlUnexpectedElement { position } => *position,
            Self::LeaderTooShort { length } => *length,
            Self::Truncated { found, .. } => *found,
            Self::TooLarge { limit } => *limit,
            Self::LeaderMissing | Self::NoFields | Self::XmlEncodingUnsupported => 0,
        }
    }
}

/// Why a record cannot be written as ISO 2709. MARCXML can hold any record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The length has five digits.
    #[error("the record has {bytes} bytes, ISO 2709 holds 99,999")]
    RecordTooLong {
        /// Its length in ISO 2709.
        bytes: usize,
    },
    /// The length of a field has four digits.
    #[error("field {tag} has {bytes} bytes, ISO 2709 holds 9,999")]
    FieldTooLong {
        /// The field.
        tag: Tag,
        /// Its length with indicators, delimiters and terminator.
        bytes: usize,
    },
    /// A value, code or indicator holds 1D, 1E or 1F, which mean the end of a record, field or
    /// subfield.
    #[error("field {tag} holds a byte that ISO 2709 reserves")]
    ReservedCharacter {
        /// The field.
        tag: Tag,
    },
}

impl EncodeError {
    /// A stable name, for clients.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::RecordTooLong { .. } => "MARC_RECORD_TOO_LONG",
            Self::FieldTooLong { .. } => "MARC_FIELD_TOO_LONG",
            Self::ReservedCharacter { .. } => "MARC_RESERVED_CHARACTER",
        }
    }
}
