//! ISO 2709, the exchange format: leader, directory, data, with 1E, 1F and 1D as marks.

mod decode;
mod directory;
mod encode;
mod splitter;

pub use decode::decode;
pub use splitter::Iso2709Splitter;

/// Ends a record.
const RECORD_TERMINATOR: u8 = 0x1d;
/// Ends the directory and each field.
const FIELD_TERMINATOR: u8 = 0x1e;
/// Begins each subfield, followed by its code.
const DELIMITER: u8 = 0x1f;
/// Tag, length and start of a field.
const DIRECTORY_ENTRY_BYTES: usize = 12;
const LEADER_BYTES: usize = crate::record::Leader::BYTES;

/// A number of decimal digits only.
fn number(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0_usize, |number, &digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + usize::from(digit - b'0'))
    })
}

/// The record length that a leader states.
fn stated_length(leader: &[u8]) -> Option<usize> {
    number(leader.get(..5)?)
}

/// The base address of the data that a leader states.
fn stated_base_address(leader: &[u8]) -> Option<usize> {
    number(leader.get(12..17)?)
}
