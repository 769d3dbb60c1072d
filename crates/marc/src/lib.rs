//! MARC 21 records in ISO 2709 and MARCXML, sound and broken.
//!
//! Reading is done in two steps, so that nothing of a file can get lost. A [`Splitter`] takes the
//! file's bytes as they arrive and cuts them into [`Piece`]s: records, the separators between them,
//! and what is too large to be a record. The bytes of all pieces, in order, are the file. Then
//! [`decode`] reads one piece: it either gives a [`Record`] with the oddities it had to bridge as
//! [`Warning`]s, or a [`DecodeError`] whose stable `reason()` goes into quarantine beside the
//! untouched bytes.
//!
//! ```
//! use carrel_marc::{Format, Piece, Sniffed, Splitter};
//!
//! # fn main() -> Result<(), carrel_marc::DecodeError> {
//! let file = b"00058nam a2200037   4500245002000000\x1e00\x1faPersuasion /\x1fcJ\x1e\x1d\r\n";
//! let Sniffed::Records(format) = carrel_marc::sniff(file) else { panic!("compressed") };
//! assert_eq!(format, Format::Iso2709);
//!
//! let mut splitter = Splitter::new(format);
//! let mut titles = Vec::new();
//! let mut bytes = 0;
//! for chunk in file.chunks(7) {
//!     splitter.push(chunk);
//!     while let Some(piece) = splitter.next_piece() {
//!         bytes += piece.bytes().len();
//!         if let Piece::Record(piece) = piece {
//!             let decoded = piece.decode()?;
//!             titles.extend(decoded.record.subfields("245", 'a').map(str::to_owned));
//!         }
//!     }
//! }
//! splitter.finish();
//! while let Some(piece) = splitter.next_piece() {
//!     bytes += piece.bytes().len();
//! }
//! assert_eq!(titles, ["Persuasion /"]);
//! assert_eq!(bytes, file.len());
//! # Ok(())
//! # }
//! ```
//!
//! # Why not an existing crate
//! A load needs every byte of a file accounted for, and a bad record handed over with its own bytes
//! while its neighbours are read. mrrc 0.9 and marc-rs 1.0 step by the length in the leader: behind
//! a wrong length, a line break or 1A mrrc ends the file in its most tolerant mode too, and
//! marc-rs, which wants the whole file in memory, gives the same error again. marctk 0.7 goes from
//! 1D to 1D, but takes what stands between records for part of the next one, and a record that lost
//! its 1D together with the one after it. None says where what it refuses begins and ends, and
//! an ill-formed MARCXML record ends all three. Since splitting is the heart of it, the reading around
//! it is our own as well; only the XML inside of one record is left to `quick-xml`.
//!
//! # Limits
//! A piece is at most [`MAX_PIECE_BYTES`], so the memory in use is that and the chunk last pushed.
//! MARC-8 is recognised but not yet converted: see [`WarningKind::Marc8NotConverted`].

mod decoded;
mod error;
mod format;
pub mod iso2709;
pub mod marcxml;
mod piece;
mod record;
mod window;

pub use decoded::{Decoded, Warning, WarningKind};
pub use error::{DecodeError, EncodeError};
pub use format::{Form, Format, Sniffed, Splitter, XmlEncoding, decode, sniff};
pub use piece::{MAX_PIECE_BYTES, Piece, RecordPiece, SEPARATOR_BLOCK_BYTES};
pub use record::{ControlField, DataField, Field, Leader, Record, Subfield, Tag};
