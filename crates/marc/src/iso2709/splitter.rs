//! Cuts ISO 2709 into records and what stands between them, without trust in any length.
//!
//! The mark 1D decides. The length in the leader is only used where a record has a 1D inside. Where
//! it does not lead to the next 1D, or fields are missing, the bytes before that are searched for
//! the beginning of another record, which a record that lost its 1D would otherwise swallow.

use memchr::{memchr, memchr_iter};

use super::{
    DIRECTORY_ENTRY_BYTES, FIELD_TERMINATOR, LEADER_BYTES, RECORD_TERMINATOR, number,
    stated_base_address, stated_length,
};
use crate::error::DecodeError;
use crate::format::Form;
use crate::piece::{MAX_PIECE_BYTES, Piece, RecordPiece, SEPARATOR_BLOCK_BYTES};
use crate::window::Window;

const BOM: &[u8] = b"\xef\xbb\xbf";
/// A leader may begin with up to this many blanks, where its record length was left out.
const BLANK_LENGTH: usize = 5;
/// What is looked at behind a 1D that the leader does not expect.
const LOOK_AHEAD_BYTES: usize = 64;

/// Cuts a file in ISO 2709 into pieces; see [`Splitter`](crate::Splitter) for the protocol.
#[derive(Debug, Default)]
pub struct Iso2709Splitter {
    window: Window,
    /// How much of the window is known to have no 1D, so that small chunks do not make the search
    /// quadratic.
    searched: usize,
}

enum Cut {
    Separator(usize),
    Record(usize),
    TooLarge(usize),
}

impl Iso2709Splitter {
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
        let cut = self.cut()?;
        self.searched = 0;
        Some(match cut {
            Cut::Separator(length) => {
                let (bytes, offset) = self.window.take(length);
                Piece::Separator { bytes, offset }
            }
            Cut::Record(length) => {
                let (raw, offset) = self.window.take(length);
                Piece::Record(RecordPiece {
                    raw,
                    offset,
                    form: Form::Iso2709,
                })
            }
            Cut::TooLarge(length) => {
                let (raw, offset) = self.window.take(length);
                Piece::Unreadable {
                    raw,
                    offset,
                    error: DecodeError::TooLarge {
                        limit: MAX_PIECE_BYTES,
                    },
                }
            }
        })
    }

    fn cut(&mut self) -> Option<Cut> {
        let bytes = self.window.bytes();
        if bytes.is_empty() {
            return None;
        }
        match separator_length(bytes, self.window.is_finished())? {
            0 => self.cut_record(),
            length => Some(Cut::Separator(length)),
        }
    }

    fn cut_record(&mut self) -> Option<Cut> {
        let bytes = self.window.bytes();
        let finished = self.window.is_finished();
        let within = &bytes[..bytes.len().min(MAX_PIECE_BYTES)];
        let Some(terminator) = memchr(RECORD_TERMINATOR, &within[self.searched..]) else {
            if within.len() == MAX_PIECE_BYTES {
                return Some(
                    record_start_inside(within).map_or(Cut::TooLarge(MAX_PIECE_BYTES), Cut::Record),
                );
            }
            if finished {
                return Some(Cut::Record(
                    record_start_inside(bytes).unwrap_or(bytes.len()),
                ));
            }
            self.searched = bytes.len();
            return None;
        };
        let end = self.searched + terminator + 1;
        self.searched = end - 1;

        let stated = stated_length(bytes).unwrap_or(0);
        if stated == end && has_its_fields(&bytes[..end]) {
            return Some(Cut::Record(end));
        }
        if stated > end {
            // Either the length is wrong or there is a 1D inside of a field.
            if bytes.len() < stated.max(end + LOOK_AHEAD_BYTES) && !finished {
                return None;
            }
            let behind = &bytes[end..bytes.len().min(end + LOOK_AHEAD_BYTES)];
            if bytes.get(stated - 1) == Some(&RECORD_TERMINATOR)
                && !begins_like_a_record(behind)
                && record_start_inside(&bytes[..stated]).is_none()
            {
                return Some(Cut::Record(stated));
            }
        }
        Some(Cut::Record(
            record_start_inside(&bytes[..end]).unwrap_or(end),
        ))
    }
}

/// How many bytes before the next record are none of its own; `None` until that can be told.
fn separator_length(bytes: &[u8], finished: bool) -> Option<usize> {
    let mut blank = 0;
    let ended = loop {
        match bytes.get(blank).copied() {
            Some(0 | b'\t'..=b'\r' | 0x1a | b' ' | RECORD_TERMINATOR | FIELD_TERMINATOR) => {
                blank += 1
            }
            Some(byte) if byte == BOM[0] => {
                let rest = &bytes[blank..bytes.len().min(blank + BOM.len())];
                if rest == BOM {
                    blank += BOM.len();
                } else {
                    // Part of a mark at the end of a chunk is waited for.
                    break finished || !BOM.starts_with(rest);
                }
            }
            Some(_) => break true,
            None => break finished,
        }
    };
    if !ended || (!finished && bytes.len() < blank + LEADER_BYTES) {
        // A disk image padded with NULs is handed on without waiting for its end.
        return (blank >= SEPARATOR_BLOCK_BYTES + BLANK_LENGTH).then_some(SEPARATOR_BLOCK_BYTES);
    }
    Some((blank - blanks_of_leader(bytes, blank)).min(SEPARATOR_BLOCK_BYTES))
}

/// How many of the blanks before `at` belong to a leader whose record length is blank.
fn blanks_of_leader(bytes: &[u8], at: usize) -> usize {
    if bytes[at..].iter().take(5).all(u8::is_ascii_digit) {
        return 0;
    }
    let blanks = bytes[..at]
        .iter()
        .rev()
        .take(BLANK_LENGTH)
        .take_while(|&&byte| byte == b' ')
        .count();
    (1..=blanks)
        .find(|blanks| {
            let leader = &bytes[at - blanks..];
            leader.get(10..12) == Some(b"22") && leader.get(20..22) == Some(b"45")
        })
        .unwrap_or(0)
}

/// Whether a record seems to begin here, behind line breaks and the like.
fn begins_like_a_record(bytes: &[u8]) -> bool {
    separator_length(bytes, true).is_some_and(|separator| {
        let leader = &bytes[separator..];
        stated_length(leader).is_some() && stated_base_address(leader).is_some()
    })
}

/// Whether each field ends where the directory says and there are no others. If not, the length may
/// only seem right because as many bytes are missing as the next record has.
fn has_its_fields(record: &[u8]) -> bool {
    let Some(base) = stated_base_address(record).filter(|base| *base > LEADER_BYTES) else {
        return false;
    };
    let (Some(directory), Some(data)) = (record.get(LEADER_BYTES..base - 1), record.get(base..))
    else {
        return false;
    };
    let entries = directory.chunks_exact(DIRECTORY_ENTRY_BYTES);
    entries.len() == memchr_iter(FIELD_TERMINATOR, data).count()
        && entries.into_iter().all(|entry| {
            let place = number(&entry[3..7]).zip(number(&entry[7..]));
            place.is_some_and(|(length, start)| {
                data.get((start + length).wrapping_sub(1)) == Some(&FIELD_TERMINATOR)
            })
        })
}

/// Finds a record that begins inside of another one, or behind junk: a leader with a type of record
/// whose base address leads to the end of a directory of digits. Nothing else looks like that by
/// accident.
fn record_start_inside(bytes: &[u8]) -> Option<usize> {
    let last = bytes
        .len()
        .checked_sub(LEADER_BYTES + DIRECTORY_ENTRY_BYTES)?;
    (1..=last).find(|&at| is_record_start(&bytes[at..]))
}

fn is_record_start(bytes: &[u8]) -> bool {
    if !bytes[0].is_ascii_digit()
        || !bytes[6].is_ascii_alphabetic()
        || stated_length(bytes).is_none()
    {
        return false;
    }
    let Some(directory) = stated_base_address(bytes).and_then(|base| bytes.get(LEADER_BYTES..base))
    else {
        return false;
    };
    let Some((&FIELD_TERMINATOR, directory)) = directory.split_last() else {
        return false;
    };
    let entries = directory.chunks_exact(DIRECTORY_ENTRY_BYTES);
    !directory.is_empty()
        && entries.remainder().is_empty()
        && entries
            .into_iter()
            .all(|entry| number(&entry[3..]).is_some())
}
