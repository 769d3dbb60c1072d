//! Finds out where the fields of a record are, when the directory is right and when it is not.

use std::ops::Range;

use memchr::{memchr, memchr_iter};

use super::{DIRECTORY_ENTRY_BYTES, FIELD_TERMINATOR, LEADER_BYTES, number, stated_base_address};
use crate::decoded::{Notes, WarningKind};
use crate::error::DecodeError;
use crate::record::Tag;

/// A field: its tag and its bytes in the record, without terminator.
pub(super) type Place = (Tag, Range<usize>);

/// Where the directory and the data are.
struct Frame {
    directory: Range<usize>,
    data_at: usize,
}

struct Entry {
    tag: Tag,
    /// With its terminator; `None` where it is not a number.
    length: Option<usize>,
    /// From the start of the data.
    start: Option<usize>,
}

/// The places of all fields in the order of the directory. `record` ends before its 1D.
pub(super) fn read(
    record: &[u8],
    truncated: Option<DecodeError>,
    notes: &mut Notes,
) -> Result<Vec<Place>, DecodeError> {
    let (frame, entries) = find(record, notes)?;
    if entries.is_empty() {
        return Err(DecodeError::NoFields);
    }
    if let Some(places) = by_directory(record, &frame, &entries, notes) {
        return if places.is_empty() {
            Err(DecodeError::NoFields)
        } else {
            Ok(places)
        };
    }
    if let Some(truncated) = truncated {
        return Err(truncated);
    }
    let places = by_terminators(record, &frame, &entries)?;
    notes.record(WarningKind::DirectoryWrong);
    Ok(places)
}

/// The directory normally ends before the base address, with the first 1E. Where that is not so,
/// the frame that makes a whole number of entries counts.
fn find(record: &[u8], notes: &mut Notes) -> Result<(Frame, Vec<Entry>), DecodeError> {
    let base =
        stated_base_address(record).filter(|&base| base > LEADER_BYTES && base <= record.len());
    let terminator = memchr(FIELD_TERMINATOR, &record[LEADER_BYTES..]).map(|at| LEADER_BYTES + at);
    let agree = base.is_some() && base == terminator.map(|terminator| terminator + 1);
    if let (true, Some(terminator)) = (agree, terminator)
        && (terminator - LEADER_BYTES).is_multiple_of(DIRECTORY_ENTRY_BYTES)
    {
        let frame = Frame {
            directory: LEADER_BYTES..terminator,
            data_at: terminator + 1,
        };
        let entries = entries(record, &frame)?;
        return Ok((frame, entries));
    }

    notes.record(if agree {
        WarningKind::DirectoryWrong
    } else {
        WarningKind::BaseAddressWrong
    });
    let regular = |from: usize, end: usize, data_at: usize| {
        let directory = record.get(from..end)?;
        let whole = !directory.is_empty()
            && directory.len().is_multiple_of(DIRECTORY_ENTRY_BYTES)
            && directory
                .chunks_exact(DIRECTORY_ENTRY_BYTES)
                .all(|entry| number(&entry[3..]).is_some());
        whole.then_some(Frame {
            directory: from..end,
            data_at,
        })
    };
    let terminated_base = base.filter(|&base| record[base - 1] == FIELD_TERMINATOR);
    // A 1E inside of the directory; a base address that is wrong; a leader that lacks its last
    // byte.
    let frame = terminated_base
        .and_then(|base| regular(LEADER_BYTES, base - 1, base))
        .or_else(|| terminator.and_then(|end| regular(LEADER_BYTES, end, end + 1)))
        .or_else(|| terminator.and_then(|end| regular(LEADER_BYTES - 1, end, end + 1)));
    if let Some(frame) = frame {
        let entries = entries(record, &frame)?;
        return Ok((frame, entries));
    }
    if let Some(end) = terminator
        && let Some(entries) = running_entries(&record[LEADER_BYTES..end])
    {
        notes.record(WarningKind::DirectoryWrong);
        return Ok((
            Frame {
                directory: LEADER_BYTES..end,
                data_at: end + 1,
            },
            entries,
        ));
    }
    // No 1E behind the directory, overwritten or left out.
    let frame = base
        .and_then(|base| {
            regular(LEADER_BYTES, base - 1, base).or_else(|| regular(LEADER_BYTES, base, base))
        })
        .ok_or(DecodeError::DirectoryUnreadable {
            position: LEADER_BYTES,
        })?;
    let entries = entries(record, &frame)?;
    Ok((frame, entries))
}

fn entries(record: &[u8], frame: &Frame) -> Result<Vec<Entry>, DecodeError> {
    record[frame.directory.clone()]
        .chunks_exact(DIRECTORY_ENTRY_BYTES)
        .enumerate()
        .map(|(index, entry)| {
            let position = frame.directory.start + index * DIRECTORY_ENTRY_BYTES;
            let tag =
                Tag::from_bytes(&entry[..3]).ok_or(DecodeError::TagUnreadable { position })?;
            Ok(Entry {
                tag,
                length: number(&entry[3..7]),
                start: number(&entry[7..12]),
            })
        })
        .collect()
}

/// Some systems write a start beyond 99,999 with six digits, so that entries have 12 or 13 bytes.
/// Fields follow one another there, which tells the two apart.
fn running_entries(mut directory: &[u8]) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut expected = 0;
    while !directory.is_empty() {
        let tag = Tag::from_bytes(directory.get(..3)?)?;
        let length = number(directory.get(3..7)?)?;
        let width =
            (12..=13).find(|&end| directory.get(7..end).and_then(number) == Some(expected))?;
        entries.push(Entry {
            tag,
            length: Some(length),
            start: Some(expected),
        });
        expected += length;
        directory = &directory[width..];
    }
    Some(entries)
}

/// The fields as the directory says, if each begins behind a terminator and ends with one.
fn by_directory(
    record: &[u8],
    frame: &Frame,
    entries: &[Entry],
    notes: &mut Notes,
) -> Option<Vec<Place>> {
    let data = &record[frame.data_at..];
    let mut places = Vec::with_capacity(entries.len());
    let mut covered = 0;
    for entry in entries {
        let (length, start) = (entry.length?, entry.start?);
        if length == 0 {
            continue;
        }
        let last = start + length - 1;
        let begins = start == 0 || data.get(start - 1) == Some(&FIELD_TERMINATOR);
        if !begins || data.get(last) != Some(&FIELD_TERMINATOR) {
            return None;
        }
        covered += length;
        places.push((entry.tag, frame.data_at + start..frame.data_at + last));
    }
    let terminators = memchr_iter(FIELD_TERMINATOR, data).count();
    if covered == data.len() && terminators == entries.len() {
        return Some(places);
    }
    // Fields that overlap would make more of a record than there is in it.
    if places.is_empty() || covered > data.len() {
        return None;
    }
    let stray = places
        .iter()
        .any(|(_, place)| memchr(FIELD_TERMINATOR, &record[place.clone()]).is_some());
    if stray && terminators == entries.len() {
        return None;
    }
    if places.len() < entries.len() {
        notes.record(WarningKind::DirectoryWrong);
    }
    if covered < data.len() {
        notes.record(WarningKind::DataOutsideDirectory);
    }
    Some(places)
}

/// The fields from one terminator to the next, given to the entries in order.
fn by_terminators(
    record: &[u8],
    frame: &Frame,
    entries: &[Entry],
) -> Result<Vec<Place>, DecodeError> {
    let mut fields = Vec::with_capacity(entries.len());
    let mut from = frame.data_at;
    for terminator in memchr_iter(FIELD_TERMINATOR, &record[frame.data_at..]) {
        fields.push(from..frame.data_at + terminator);
        from = frame.data_at + terminator + 1;
    }
    if from < record.len() {
        fields.push(from..record.len());
    }
    while fields.len() > entries.len() && fields.last().is_some_and(|field| field.is_empty()) {
        fields.pop();
    }

    let mismatch = DecodeError::DirectoryMismatch {
        entries: entries.len(),
        fields: fields.len(),
        position: frame.data_at,
    };
    if fields.len() < entries.len() {
        return Err(mismatch);
    }
    if fields.len() > entries.len() {
        return joined(&fields, entries).ok_or(mismatch);
    }
    let order = order_of_data(&fields, entries);
    let mut places: Vec<(usize, Place)> = order
        .into_iter()
        .zip(fields)
        .map(|(index, field)| (index, (entries[index].tag, field)))
        .collect();
    places.sort_by_key(|(index, _)| *index);
    Ok(places.into_iter().map(|(_, place)| place).collect())
}

/// Which entry each field belongs to: entries in the order of the directory, or by their starts
/// where more of the lengths agree so. Starts are no use in an oversize record, where they begin
/// again at 0.
fn order_of_data(fields: &[Range<usize>], entries: &[Entry]) -> Vec<usize> {
    let as_written: Vec<usize> = (0..entries.len()).collect();
    if entries.iter().any(|entry| entry.start.is_none()) {
        return as_written;
    }
    let mut by_start = as_written.clone();
    by_start.sort_by_key(|&index| entries[index].start);
    let agreeing = |order: &[usize]| {
        order
            .iter()
            .zip(fields)
            .filter(|(index, field)| entries[**index].length == Some(field.len() + 1))
            .count()
    };
    if agreeing(&by_start) > agreeing(&as_written) {
        by_start
    } else {
        as_written
    }
}

/// With more terminators than entries, a field that is shorter than its entry says is joined with
/// the next.
fn joined(fields: &[Range<usize>], entries: &[Entry]) -> Option<Vec<Place>> {
    let mut surplus = fields.len() - entries.len();
    let mut fields = fields.iter().cloned();
    let mut places = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut place = fields.next()?;
        let length = entry.length?;
        while surplus > 0 && place.len() + 1 < length {
            place.end = fields.next()?.end;
            surplus -= 1;
        }
        places.push((entry.tag, place));
    }
    (surplus == 0).then_some(places)
}
