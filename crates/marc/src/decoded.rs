//! What decoding gives: the record, and what had to be bridged to read it.

use unicode_normalization::UnicodeNormalization;

use crate::record::{Record, Tag};

/// A record that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The record.
    pub record: Record,
    /// What was wrong with it, each kind at most once for each tag. Empty for a sound record.
    pub warnings: Vec<Warning>,
}

impl Decoded {
    /// Whether a warning of this kind was given.
    pub fn has(&self, kind: WarningKind) -> bool {
        self.warnings.iter().any(|warning| warning.kind == kind)
    }

    /// Whether the text of the record is not all that its bytes say, so that only the raw bytes are
    /// the whole record.
    pub fn is_lossy(&self) -> bool {
        self.warnings.iter().any(|warning| warning.kind.is_lossy())
    }
}

/// Something that was wrong with a record and could be bridged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warning {
    /// What was wrong.
    pub kind: WarningKind,
    /// The field it was found in; `None` where it concerns the whole record.
    pub tag: Option<Tag>,
}

/// The kinds of oddity a record can have and still be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WarningKind {
    /// The leader's record length is not the number of bytes found (also where it cannot be: more
    /// than 99,999 bytes).
    LengthMismatch,
    /// The base address, or the terminator of the directory, is not where the leader says; the
    /// directory was found.
    BaseAddressWrong,
    /// Lengths or addresses in the directory are wrong; fields were taken in order, from one
    /// terminator to the next.
    DirectoryWrong,
    /// The directory leaves out some of the data, as after a deletion; that data is not in the
    /// record.
    DataOutsideDirectory,
    /// A field holds a field or record terminator, or XML names a delimiter; each is shown as
    /// U+FFFD.
    StrayTerminator,
    /// The record does not end in 1D.
    RecordTerminatorMissing,
    /// The leader has bytes that are not printable ASCII; they became blanks.
    LeaderNotAscii,
    /// The leader (MARCXML) is not 24 characters; it was filled up or cut.
    LeaderLength,
    /// Declared as MARC-8 (or an 8-bit XML encoding) while the text is UTF-8; read as UTF-8.
    EncodingMismatch,
    /// Declared as UTF-8 and not valid; the bytes that are wrong are shown as U+FFFD.
    InvalidUtf8,
    /// MARC-8 with non-ASCII characters or escape sequences, not yet converted: bytes that are not
    /// UTF-8 are shown as U+FFFD and escape sequences stand in the text.
    Marc8NotConverted,
    /// A tag that is not letters and digits, or (MARCXML) was filled up with zeros on the left.
    TagUnusual,
    /// A data field without two indicators before its first subfield, or with more.
    IndicatorsUnusual,
    /// A data field without subfields, or with text before the first one, which became its $a.
    SubfieldMissing,
    /// A subfield code that is not ASCII; a letter with an accent became the letter.
    SubfieldCodeUnusual,
    /// A subfield delimiter with nothing behind it; left out.
    SubfieldEmpty,
    /// A control field with indicators and subfields was read as a data field.
    ControlFieldWithSubfields,
    /// An ampersand, entity or character reference that XML does not know; kept as it was written.
    ReferenceUnknown,
    /// A field whose tag, or a subfield whose code, has too many characters (MARCXML of some
    /// systems); left out.
    FieldLeftOut,
    /// An element that does not belong into a MARC record; left out.
    ElementUnknown,
}

impl WarningKind {
    /// A stable name, for counts and clients.
    pub fn reason(self) -> &'static str {
        match self {
            Self::LengthMismatch => "MARC_LENGTH_MISMATCH",
            Self::BaseAddressWrong => "MARC_BASE_ADDRESS_WRONG",
            Self::DirectoryWrong => "MARC_DIRECTORY_WRONG",
            Self::DataOutsideDirectory => "MARC_DATA_OUTSIDE_DIRECTORY",
            Self::StrayTerminator => "MARC_STRAY_TERMINATOR",
            Self::RecordTerminatorMissing => "MARC_RECORD_TERMINATOR_MISSING",
            Self::LeaderNotAscii => "MARC_LEADER_NOT_ASCII",
            Self::LeaderLength => "MARC_LEADER_LENGTH",
            Self::EncodingMismatch => "MARC_ENCODING_MISMATCH",
            Self::InvalidUtf8 => "MARC_INVALID_UTF8",
            Self::Marc8NotConverted => "MARC_MARC8_NOT_CONVERTED",
            Self::TagUnusual => "MARC_TAG_UNUSUAL",
            Self::IndicatorsUnusual => "MARC_INDICATORS_UNUSUAL",
            Self::SubfieldMissing => "MARC_SUBFIELD_MISSING",
            Self::SubfieldCodeUnusual => "MARC_SUBFIELD_CODE_UNUSUAL",
            Self::SubfieldEmpty => "MARC_SUBFIELD_EMPTY",
            Self::ControlFieldWithSubfields => "MARC_CONTROL_FIELD_WITH_SUBFIELDS",
            Self::ReferenceUnknown => "MARC_REFERENCE_UNKNOWN",
            Self::FieldLeftOut => "MARC_FIELD_LEFT_OUT",
            Self::ElementUnknown => "MARC_ELEMENT_UNKNOWN",
        }
    }

    /// Whether the record's text lacks something that the raw bytes have.
    pub fn is_lossy(self) -> bool {
        match self {
            Self::DataOutsideDirectory
            | Self::StrayTerminator
            | Self::InvalidUtf8
            | Self::Marc8NotConverted
            | Self::SubfieldCodeUnusual
            | Self::FieldLeftOut
            | Self::ElementUnknown => true,
            Self::LengthMismatch
            | Self::BaseAddressWrong
            | Self::DirectoryWrong
            | Self::RecordTerminatorMissing
            | Self::LeaderNotAscii
            | Self::LeaderLength
            | Self::EncodingMismatch
            | Self::TagUnusual
            | Self::IndicatorsUnusual
            | Self::SubfieldMissing
            | Self::SubfieldEmpty
            | Self::ControlFieldWithSubfields
            | Self::ReferenceUnknown => false,
        }
    }
}

/// The warnings of the record being read.
#[derive(Default)]
pub(crate) struct Notes(Vec<Warning>);

impl Notes {
    pub(crate) fn record(&mut self, kind: WarningKind) {
        self.add(Warning { kind, tag: None });
    }

    pub(crate) fn field(&mut self, kind: WarningKind, tag: Tag) {
        self.add(Warning {
            kind,
            tag: Some(tag),
        });
    }

    /// A record with a thousand bad fields says so once for each tag, and at some point only once
    /// for each kind.
    pub(crate) fn add(&mut self, warning: Warning) {
        const ENOUGH: usize = 100;
        let known = |known: &Warning| {
            *known == warning || (self.0.len() >= ENOUGH && known.kind == warning.kind)
        };
        if !self.0.iter().any(known) {
            self.0.push(warning);
        }
    }

    /// A subfield code as MARC 21 has them: ASCII, and none of the marks of ISO 2709.
    pub(crate) fn code(&mut self, code: char, tag: Tag) -> char {
        if code.is_ascii() {
            return self.character(code, tag);
        }
        self.field(WarningKind::SubfieldCodeUnusual, tag);
        std::iter::once(code)
            .nfd()
            .next()
            .filter(char::is_ascii_graphic)
            .unwrap_or(code)
    }

    /// A character of a field, which never is one of the marks of ISO 2709, so that every record
    /// can be written again.
    pub(crate) fn character(&mut self, character: char, tag: Tag) -> char {
        if is_mark(character) {
            self.field(WarningKind::StrayTerminator, tag);
            return char::REPLACEMENT_CHARACTER;
        }
        character
    }

    /// The text of a field, likewise.
    pub(crate) fn text(&mut self, text: &str, tag: Tag) -> String {
        if !text.bytes().any(|byte| is_mark(char::from(byte))) {
            return text.to_owned();
        }
        text.chars()
            .map(|character| self.character(character, tag))
            .collect()
    }

    pub(crate) fn into_warnings(self) -> Vec<Warning> {
        self.0
    }
}

/// Whether this ends a subfield, field or record in ISO 2709.
fn is_mark(character: char) -> bool {
    matches!(character, '\u{1d}'..='\u{1f}')
}
