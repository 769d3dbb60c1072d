//! Cuts MARCXML into records and the envelope around them.
//!
//! A record runs from a start tag `record`, of whatever prefix, to the next end tag `record`.
//! Envelopes name their elements so as well (OAI-PMH, SRU), therefore the rule is:
//!
//! - A `record` that opens inside of another one, before a `leader`, `controlfield` or `datafield`
//!   came, makes the outer one an envelope.
//! - A `record` that opens after one of these came shows that the outer one was never closed: that
//!   one ends before it.
//! - A `record` that closes without any of these is an envelope if it is empty or has a `header`
//!   (OAI-PMH: deleted, or in another format), else a record that will not decode.
//!
//! Nothing inside of comments, CDATA sections and document types counts.

use memchr::memchr;

use super::encoding;
use super::markup::{self, Mark};
use crate::error::DecodeError;
use crate::format::{Form, XmlEncoding};
use crate::piece::{MAX_PIECE_BYTES, Piece, RecordPiece, SEPARATOR_BLOCK_BYTES};
use crate::window::Window;

/// Enough to tell UTF-16 and UTF-32 from the rest.
const ENCODING_BYTES: usize = 4;

/// Cuts a file in MARCXML into pieces; see [`Splitter`](crate::Splitter) for the protocol.
#[derive(Debug, Default)]
pub struct MarcXmlSplitter {
    window: Window,
    /// Up to here the window was read.
    read: usize,
    /// The `record` that is open.
    open: Option<Candidate>,
    /// A piece that was found, perhaps with a separator before it.
    found: Option<Found>,
    encoding: XmlEncoding,
    /// Whether this is UTF-16, of which no tag can be read.
    utf16: Option<bool>,
    /// Inside of a record too large to be held.
    in_oversize: bool,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    at: usize,
    has_fields: bool,
    has_header: bool,
    is_empty: bool,
}

#[derive(Debug, Clone, Copy)]
struct Found {
    at: usize,
    end: usize,
    readable: bool,
}

impl MarcXmlSplitter {
    /// A splitter at the start of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.window.push(bytes);
    }

    /// Says that the file is complete.
    pub fn finish(&mut self) {
        self.window.finish();
    }

    /// The next piece; `None` until more bytes are pushed, and at the end of the file.
    pub fn next_piece(&mut self) -> Option<Piece<'_>> {
        if self.is_utf16()? {
            let length = self.window.bytes().len().min(MAX_PIECE_BYTES);
            let ready = length == MAX_PIECE_BYTES || (self.window.is_finished() && length > 0);
            return ready
                .then(|| self.take_unreadable(length, DecodeError::XmlEncodingUnsupported));
        }
        loop {
            if let Some(found) = self.found {
                if found.at > 0 {
                    return Some(self.take_separator(found.at.min(SEPARATOR_BLOCK_BYTES)));
                }
                self.found = None;
                return Some(if found.readable {
                    self.take_record(found.end)
                } else {
                    self.take_unreadable(
                        found.end,
                        DecodeError::TooLarge {
                            limit: MAX_PIECE_BYTES,
                        },
                    )
                });
            }
            let separator = if self.in_oversize {
                0
            } else {
                self.open.map_or(self.read, |open| open.at)
            };
            if separator >= SEPARATOR_BLOCK_BYTES {
                return Some(self.take_separator(SEPARATOR_BLOCK_BYTES));
            }
            if !self.read_on() {
                if !self.window.is_finished() {
                    return None;
                }
                if !self.end_of_file() {
                    return (self.read > 0).then(|| self.take_separator(self.read));
                }
            }
        }
    }

    /// `None` until that can be told, and for an empty file.
    fn is_utf16(&mut self) -> Option<bool> {
        if self.utf16.is_none() {
            let bytes = self.window.bytes();
            if bytes.is_empty() || (bytes.len() < ENCODING_BYTES && !self.window.is_finished()) {
                return None;
            }
            self.utf16 = Some(encoding::is_utf16(bytes));
        }
        self.utf16
    }

    /// Reads to the end of the next mark. False if there is none before more bytes come.
    fn read_on(&mut self) -> bool {
        let bytes = self.window.bytes();
        if self.read == bytes.len() {
            return false;
        }
        let at = memchr(b'<', &bytes[self.read..]).map_or(bytes.len(), |text| self.read + text);
        let has_text = !bytes[self.read..at].trim_ascii().is_empty();
        if let Some(open) = &mut self.open {
            open.is_empty &= !has_text;
        }
        let is_end = at == bytes.len();
        self.read = at;
        if self.cut_if_too_large() {
            return true;
        }
        if is_end {
            return false;
        }
        let bytes = self.window.bytes();
        let Some((mark, length)) = markup::read(&bytes[at..], self.window.is_finished()) else {
            return false;
        };
        let end = at + length;
        self.read = end;
        match mark {
            Mark::Open {
                name: b"record",
                empty: false,
            } => self.record_opens(at),
            Mark::Close { name: b"record" } => self.record_closes(end),
            Mark::Declaration => self.encoding = encoding::declared(&bytes[at..end]),
            Mark::Open { name, .. } => {
                if let Some(open) = &mut self.open {
                    open.is_empty = false;
                    open.has_fields |= matches!(name, b"leader" | b"controlfield" | b"datafield");
                    open.has_header |= name == b"header";
                }
            }
            Mark::CharacterData | Mark::Text => {
                if let Some(open) = &mut self.open {
                    open.is_empty = false;
                }
            }
            Mark::Close { .. } | Mark::Other => {}
        }
        self.cut_if_too_large();
        true
    }

    fn record_opens(&mut self, at: usize) {
        if self.in_oversize {
            self.in_oversize = false;
            self.found = (at > 0).then_some(Found {
                at: 0,
                end: at,
                readable: false,
            });
        } else if let Some(open) = self.open.filter(|open| open.has_fields) {
            self.found = Some(Found {
                at: open.at,
                end: at,
                readable: true,
            });
        }
        self.open = Some(Candidate {
            at,
            has_fields: false,
            has_header: false,
            is_empty: true,
        });
    }

    fn record_closes(&mut self, end: usize) {
        if self.in_oversize {
            self.in_oversize = false;
            self.found = Some(Found {
                at: 0,
                end,
                readable: false,
            });
        } else if let Some(open) = self.open.take()
            && (open.has_fields || !(open.is_empty || open.has_header))
        {
            self.found = Some(Found {
                at: open.at,
                end,
                readable: true,
            });
        }
    }

    /// Cuts a record that has become too large, and gives up on an envelope whose record does not
    /// come. Asked after text and after each mark, so that it does not depend on the chunks.
    fn cut_if_too_large(&mut self) -> bool {
        let (at, end) = match (self.found, self.open) {
            (Some(found), _) => (found.at, found.end),
            (None, Some(open)) => (open.at, self.read),
            (None, None) if self.in_oversize => (0, self.read),
            (None, None) => return false,
        };
        if end - at <= MAX_PIECE_BYTES {
            return false;
        }
        let open = self.open.take();
        if self.found.is_none() && open.is_some_and(|open| !open.has_fields) {
            return false;
        }
        self.in_oversize = true;
        self.read = at + MAX_PIECE_BYTES;
        self.found = Some(Found {
            at,
            end: self.read,
            readable: false,
        });
        true
    }

    /// Makes a piece of a record that was still open. False if none was.
    fn end_of_file(&mut self) -> bool {
        let end = self.read;
        if self.in_oversize {
            self.in_oversize = false;
            self.found = (end > 0).then_some(Found {
                at: 0,
                end,
                readable: false,
            });
        } else if let Some(open) = self.open.take()
            && (open.has_fields || !open.has_header)
        {
            self.found = Some(Found {
                at: open.at,
                end,
                readable: true,
            });
        }
        self.found.is_some()
    }

    fn take_separator(&mut self, length: usize) -> Piece<'_> {
        let (bytes, offset) = self.take(length);
        Piece::Separator { bytes, offset }
    }

    fn take_record(&mut self, length: usize) -> Piece<'_> {
        let form = Form::MarcXml(self.encoding);
        let (raw, offset) = self.take(length);
        Piece::Record(RecordPiece { raw, offset, form })
    }

    fn take_unreadable(&mut self, length: usize, error: DecodeError) -> Piece<'_> {
        let (raw, offset) = self.take(length);
        Piece::Unreadable { raw, offset, error }
    }

    /// Takes bytes from the front; all positions move with them.
    fn take(&mut self, length: usize) -> (&[u8], u64) {
        self.read = self.read.saturating_sub(length);
        if let Some(open) = &mut self.open {
            open.at -= length;
        }
        if let Some(found) = &mut self.found {
            found.at -= length;
            found.end -= length;
        }
        self.window.take(length)
    }
}
