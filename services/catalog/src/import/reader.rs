//! Reads a file as its bytes arrive, and cuts it into batches that are
//! committed one at a time. Every byte of the file is in exactly one batch.

use carrel_marc::{
    DecodeError, Form, Format, MAX_PIECE_BYTES, Piece, Sniffed, Splitter, XmlEncoding, sniff,
};

use super::model::{Inside, ResumePoint};
use super::profile::{self, ItemField, LoadProfile};
use crate::error::Error;
use crate::record::index::{Indexed, index};

/// A batch is committed when it has this many records or bytes.
const BATCH_RECORDS: usize = 200;
const BATCH_BYTES: usize = 1 << 20;
/// Enough of a file to tell its format.
const SNIFFED_BYTES: usize = 4096;

/// A record that was read.
#[derive(Debug)]
pub(crate) struct ReadRecord {
    pub offset: i64,
    /// Its number in the batch, quarantined ones counted, from 0.
    pub place: i64,
    pub raw: Vec<u8>,
    pub form: Form,
    pub indexed: Indexed,
    pub items: Vec<ItemField>,
}

/// A piece that could not be read.
#[derive(Debug)]
pub(crate) struct BadPiece {
    pub offset: i64,
    pub place: i64,
    pub raw: Vec<u8>,
    pub reason: &'static str,
    pub description: String,
}

/// A run of a file's bytes, to be committed together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub records: Vec<ReadRecord>,
    pub bad_pieces: Vec<BadPiece>,
    pub record_bytes: i64,
    pub quarantined_bytes: i64,
    pub separator_bytes: i64,
    /// The file's format, once it is known.
    pub format: Option<Format>,
    /// How to go on behind it.
    pub resume: ResumePoint,
    /// Whether it ends with the file.
    pub is_last: bool,
}

impl Batch {
    /// How many bytes of the file it holds.
    pub(crate) fn bytes(&self) -> i64 {
        self.record_bytes + self.quarantined_bytes + self.separator_bytes
    }

    fn is_full(&self) -> bool {
        self.records.len() + self.bad_pieces.len() >= BATCH_RECORDS
            || self.record_bytes + self.quarantined_bytes >= BATCH_BYTES as i64
    }
}

/// Reads one file, from its beginning or from where an earlier reading was
/// committed.
#[derive(Debug)]
pub(crate) struct FileReader {
    profile: LoadProfile,
    /// Where in the file the reading began.
    start: i64,
    state: State,
    /// Bytes that the splitter was given in place of what stands before
    /// `start`; they are in no batch.
    primer_bytes: usize,
    batch: Batch,
    finished: bool,
    ended: bool,
}

#[derive(Debug)]
enum State {
    /// The format is not known yet.
    Sniffing(Vec<u8>),
    Splitting(Splitter),
}

impl FileReader {
    pub(crate) fn new(
        profile: LoadProfile,
        format: Option<Format>,
        start: i64,
        resume: ResumePoint,
    ) -> Self {
        let mut reader = Self {
            profile,
            start,
            state: State::Sniffing(Vec::new()),
            primer_bytes: 0,
            batch: Batch {
                format,
                resume,
                ..Batch::default()
            },
            finished: false,
            ended: false,
        };
        if let Some(format) = format {
            let primer = if start > 0 {
                primer(format, resume)
            } else {
                Vec::new()
            };
            let mut splitter = Splitter::new(format);
            reader.primer_bytes = primer.len();
            if !primer.is_empty() {
                splitter.push(&primer);
            }
            reader.state = State::Splitting(splitter);
        }
        reader
    }

    /// Takes the next bytes of the file.
    ///
    /// # Errors
    /// [`Error::FormatUnknown`] where the file is compressed.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &mut self.state {
            State::Splitting(splitter) => splitter.push(bytes),
            State::Sniffing(first) => {
                first.extend_from_slice(bytes);
                if first.len() >= SNIFFED_BYTES {
                    self.begin_splitting()?;
                }
            }
        }
        Ok(())
    }

    /// Says that the file is complete.
    ///
    /// # Errors
    /// As [`FileReader::push`].
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.begin_splitting()?;
        if let State::Splitting(splitter) = &mut self.state {
            splitter.finish();
        }
        self.finished = true;
        Ok(())
    }

    fn begin_splitting(&mut self) -> Result<(), Error> {
        let State::Sniffing(first) = &self.state else {
            return Ok(());
        };
        let Sniffed::Records(format) = sniff(first) else {
            return Err(Error::FormatUnknown);
        };
        let mut splitter = Splitter::new(format);
        splitter.push(first);
        self.batch.format = Some(format);
        self.state = State::Splitting(splitter);
        Ok(())
    }

    /// The next batch; `None` until more bytes are pushed, and after the last.
    pub(crate) fn next_batch(&mut self) -> Option<Batch> {
        let State::Splitting(splitter) = &mut self.state else {
            return None;
        };
        while let Some(piece) = splitter.next_piece() {
            let may_end = take(
                &piece,
                self.profile,
                self.start - self.primer_bytes as i64,
                self.start,
                &mut self.batch,
            );
            if may_end && self.batch.is_full() {
                return Some(self.cut(false));
            }
        }
        if self.finished && !self.ended {
            self.ended = true;
            return Some(self.cut(true));
        }
        None
    }

    fn cut(&mut self, is_last: bool) -> Batch {
        let next = Batch {
            format: self.batch.format,
            resume: self.batch.resume,
            ..Batch::default()
        };
        let mut batch = std::mem::replace(&mut self.batch, next);
        batch.is_last = is_last;
        batch
    }
}

/// Takes a piece into a batch. `origin` is where the splitter's first byte
/// would stand in the file; what stands before `start` is the primer. Returns
/// whether the batch may end behind the piece: behind a separator of MARCXML
/// it may not, since that can end in the middle of a comment.
fn take(
    piece: &Piece<'_>,
    profile: LoadProfile,
    origin: i64,
    start: i64,
    batch: &mut Batch,
) -> bool {
    let at = origin + piece.offset() as i64;
    let primer = usize::try_from((start - at).max(0)).unwrap_or(usize::MAX);
    let bytes = piece.bytes().get(primer..).unwrap_or_default();
    if bytes.is_empty() {
        return false;
    }
    let offset = at.max(start);
    let place = (batch.records.len() + batch.bad_pieces.len()) as i64;
    let quarantine = |batch: &mut Batch, error: &DecodeError| {
        batch.quarantined_bytes += bytes.len() as i64;
        batch.bad_pieces.push(BadPiece {
            offset,
            place,
            raw: bytes.to_vec(),
            reason: error.reason(),
            // What an XML reader says may quote the record.
            description: error.to_string().replace('\0', ""),
        });
    };
    match piece {
        Piece::Separator { .. } => {
            batch.separator_bytes += bytes.len() as i64;
            false
        }
        Piece::Unreadable { error, .. } => {
            let whole = piece.bytes().len() >= MAX_PIECE_BYTES;
            batch.resume.inside = match (batch.format, error) {
                (Some(Format::MarcXml), DecodeError::XmlEncodingUnsupported) => Inside::Utf16,
                (Some(Format::MarcXml), _) if whole => Inside::Oversize,
                _ => Inside::Nothing,
            };
            quarantine(batch, error);
            true
        }
        Piece::Record(record) => {
            batch.resume = ResumePoint {
                form: Some(record.form),
                inside: Inside::Nothing,
            };
            match record.decode() {
                Ok(decoded) => {
                    batch.record_bytes += bytes.len() as i64;
                    batch.records.push(ReadRecord {
                        offset,
                        place,
                        raw: bytes.to_vec(),
                        form: record.form,
                        indexed: index(&decoded),
                        items: profile::items(profile, &decoded),
                    });
                }
                Err(error) => quarantine(batch, &error),
            }
            true
        }
    }
}

/// Bytes that bring a new splitter to where an earlier one stood at the place
/// to resume.
fn primer(format: Format, resume: ResumePoint) -> Vec<u8> {
    if format == Format::Iso2709 {
        return Vec::new();
    }
    let mut primer = match resume.form {
        Some(Form::MarcXml(XmlEncoding::Windows1252)) => {
            b"<?xml version=\"1.0\" encoding=\"windows-1252\"?>".to_vec()
        }
        // Any encoding that is not supported will do.
        Some(Form::MarcXml(XmlEncoding::Unsupported)) => {
            b"<?xml version=\"1.0\" encoding=\"x\"?>".to_vec()
        }
        _ => Vec::new(),
    };
    match resume.inside {
        Inside::Nothing => {
            // So that the splitter does not take what follows for the
            // beginning of a file.
            if primer.is_empty() {
                primer.extend_from_slice(b"<!---->");
            }
        }
        Inside::Utf16 => primer = b"\xff\xfe".to_vec(),
        Inside::Oversize => {
            let begin = primer.len();
            primer.extend_from_slice(b"<record><leader/>");
            primer.resize(begin + MAX_PIECE_BYTES, b' ');
        }
    }
    primer
}

#[cfg(test)]
mod tests;
