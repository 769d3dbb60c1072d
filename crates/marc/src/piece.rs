//! The pieces a file is cut into.

use crate::decoded::Decoded;
use crate::error::DecodeError;
use crate::format::{Form, decode};

/// The largest piece: a record of more bytes is cut and cannot be read. ISO 2709 proper ends at
/// 99,999; what is longer has thousands of items in it, in MARCXML at some hundred bytes each.
pub const MAX_PIECE_BYTES: usize = 4 << 20;

/// Separators come in blocks of at most this size.
pub const SEPARATOR_BLOCK_BYTES: usize = 64 << 10;

/// A run of bytes of the file. Pieces follow one another without gap or overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// What should be one record; [`RecordPiece::decode`] tells.
    Record(RecordPiece<'a>),
    /// Bytes that cannot be a record, with the reason: they go to quarantine as they are.
    Unreadable {
        /// The bytes.
        raw: &'a [u8],
        /// Where they begin in the file.
        offset: u64,
        /// [`DecodeError::TooLarge`] or [`DecodeError::XmlEncodingUnsupported`].
        error: DecodeError,
    },
    /// What stands between records: line breaks, NULs, 1A and blanks; in MARCXML the envelope.
    Separator {
        /// The bytes.
        bytes: &'a [u8],
        /// Where they begin in the file.
        offset: u64,
    },
}

impl<'a> Piece<'a> {
    /// The bytes of any kind.
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Record(piece) => piece.raw,
            Self::Unreadable { raw, .. } => raw,
            Self::Separator { bytes, .. } => bytes,
        }
    }

    /// Where it begins in the file.
    pub fn offset(&self) -> u64 {
        match self {
            Self::Record(piece) => piece.offset,
            Self::Unreadable { offset, .. } | Self::Separator { offset, .. } => *offset,
        }
    }
}

/// The bytes of what should be one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPiece<'a> {
    /// The bytes: ISO 2709 up to and with its 1D, MARCXML from `<record` to `</record>`.
    pub raw: &'a [u8],
    /// Where they begin in the file.
    pub offset: u64,
    /// What [`decode`] has to know of the file they came from.
    pub form: Form,
}

impl RecordPiece<'_> {
    /// Reads the record.
    pub fn decode(&self) -> Result<Decoded, DecodeError> {
        decode(self.form, self.raw)
    }
}
