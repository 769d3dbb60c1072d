//! Reads a roster's bytes as they arrive: CSV (RFC 4180) in UTF-8, with or
//! without a byte-order mark, lines ended by LF or CRLF.
//!
//! The `csv` crate reads from a blocking source, so this runs on a thread of
//! its own, between two bounded channels.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use csv::ByteRecord;
use tokio::sync::mpsc::{Receiver, Sender};

use super::layout::{CARREL, Layout, Target};
use super::lines::{Arrival, Lines};
use super::model::{Problem, Row, RowRefused};
use crate::Error;
use crate::patron::{Change, Fault, Field, external_id, source};

/// Rows handed on at once.
const BATCH_ROWS: usize = 1_000;
/// The longest row, in bytes. Longer ones are an open quote that swallows the
/// rest of the file.
const LONGEST_ROW: u64 = 65_536;
/// The most rows of one load.
const MOST_ROWS: i64 = 1_000_000;

/// Rows that were read.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// How many, refused ones included.
    pub(crate) read_count: i64,
    /// Those whose form is right.
    pub(crate) rows: Vec<Row>,
    /// Those whose form is not.
    pub(crate) problems: Vec<Problem>,
}

/// Reads until the file ends, or nobody takes what is read.
pub(super) fn read(arrivals: Receiver<Arrival>, batches: &Sender<Result<Batch, Error>>) {
    if let Err(error) = read_rows(arrivals, batches) {
        // Nobody waits for it any more: then nobody needs to know.
        let _ = batches.blocking_send(Err(error));
    }
}

fn read_rows(
    arrivals: Receiver<Arrival>,
    batches: &Sender<Result<Batch, Error>>,
) -> Result<(), Error> {
    let allowance = Rc::new(Cell::new(LONGEST_ROW));
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(Lines::new(arrivals, allowance.clone()));
    let mut record = ByteRecord::new();
    let mut layout: Option<Layout> = None;
    let mut batch = Batch::default();
    let mut total = 0;
    loop {
        allowance.set(LONGEST_ROW);
        let end_line = signed(reader.position().line());
        let more = reader.read_byte_record(&mut record).map_err(|error| {
            let too_long = matches!(error.kind(), csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge);
            if too_long { Error::RosterRowTooLong { line: end_line } } else { Error::RosterInterrupted }
        })?;
        if !more {
            break;
        }
        let line = first_line(&record, signed(reader.position().line()));
        let Some(layout) = &layout else {
            layout = Some(header(&record)?);
            continue;
        };
        total += 1;
        if total > MOST_ROWS {
            return Err(Error::RosterTooLong(MOST_ROWS));
        }
        batch.read_count += 1;
        match row(layout, &record, line) {
            Ok(row) => batch.rows.push(row),
            Err(problem) => batch.problems.push(problem),
        }
        if batch.rows.len() + batch.problems.len() == BATCH_ROWS
            && batches
                .blocking_send(Ok(std::mem::take(&mut batch)))
                .is_err()
        {
            return Ok(());
        }
    }
    if layout.is_none() {
        return Err(Error::RosterColumns("there is none".into()));
    }
    let _ = batches.blocking_send(Ok(batch));
    Ok(())
}

/// The line where a record begins: the reader passes over empty lines before
/// it, so that only the line behind it is sure.
fn first_line(record: &ByteRecord, line_behind: i64) -> i64 {
    let within = record
        .as_slice()
        .iter()
        .filter(|byte| **byte == b'\n')
        .count();
    line_behind - 1 - i64::try_from(within).unwrap_or(i64::MAX)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn header(record: &ByteRecord) -> Result<Layout, Error> {
    let names: Vec<&str> = record
        .iter()
        .map(|name| std::str::from_utf8(name).unwrap_or("\u{fffd}"))
        .collect();
    CARREL.layout(names.into_iter())
}

/// Reads one row. White space around a value is no part of it.
fn row(layout: &Layout, record: &ByteRecord, line: i64) -> Result<Row, Problem> {
    let whole = |refused| Problem::new(line, "", refused);
    let mut values = Vec::with_capacity(record.len());
    for value in record {
        let value = std::str::from_utf8(value).map_err(|_| whole(RowRefused::NotUtf8))?;
        values.push(value.trim());
    }
    if values.len() != layout.targets.len() {
        return Err(whole(RowRefused::ColumnCount));
    }
    let mut row = Row {
        line,
        source: String::new(),
        external_id: String::new(),
        changes: Vec::with_capacity(values.len()),
    };
    for (target, value) in layout.targets.iter().zip(values) {
        take(&mut row, *target, value)
            .map_err(|fault| Problem::new(line, target.name(), RowRefused::Value(fault)))?;
    }
    Ok(row)
}

fn take(row: &mut Row, target: Target, value: &str) -> Result<(), Fault> {
    match target {
        Target::Source => source(value)?.clone_into(&mut row.source),
        Target::ExternalId => external_id(value)?.clone_into(&mut row.external_id),
        // Cards are often issued at the desk: a roster that knows of none does
        // not take one away.
        Target::Field(Field::Barcode) if value.is_empty() => {}
        Target::Field(field) => row.changes.push(Change::read(field, value)?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: &str = "source,external_id,last_name,barcode\n";

    /// What is read of a file that arrives in pieces of this size.
    fn read_in_pieces(file: &[u8], size: usize) -> Result<(Vec<Row>, Vec<Problem>), Error> {
        let (arrivals_in, arrivals) = tokio::sync::mpsc::channel(file.len() + 1);
        for piece in file.chunks(size) {
            arrivals_in
                .try_send(Arrival::Bytes(piece.to_vec()))
                .unwrap();
        }
        arrivals_in.try_send(Arrival::End).unwrap();
        let (batches_in, mut batches) = tokio::sync::mpsc::channel(100);
        read(arrivals, &batches_in);
        drop(batches_in);
        let (mut rows, mut problems) = (Vec::new(), Vec::new());
        while let Some(batch) = batches.blocking_recv() {
            let batch = batch?;
            assert_eq!(
                batch.read_count as usize,
                batch.rows.len() + batch.problems.len()
            );
            rows.extend(batch.rows);
            problems.extend(batch.problems);
        }
        Ok((rows, problems))
    }

    fn read_whole(file: &[u8]) -> (Vec<Row>, Vec<Problem>) {
        read_in_pieces(file, file.len().max(1)).unwrap()
    }

    fn reasons(problems: &[Problem]) -> Vec<(i64, &str, &str)> {
        problems
            .iter()
            .map(|p| (p.line, &*p.column, &*p.reason))
            .collect()
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        let file = format!(
            "{HEADER}sis,A1,Alder,21\n\nsis,A2,\"Fern,\n Jr.\",22\nsis,A3\nsis,A4,Moss,23\n,A5,Reed,24"
        );
        for file in [
            file.clone(),
            file.replace('\n', "\r\n"),
            format!("\u{feff}{file}\n"),
        ] {
            let (rows, problems) = read_whole(file.as_bytes());
            let lines: Vec<i64> = rows.iter().map(|row| row.line).collect();
            assert_eq!(lines, [2, 7], "{file:?}");
            assert_eq!(
                reasons(&problems),
                [
                    (4, "last_name", "TEXT_MALFORMED"),
                    (6, "", "COLUMN_COUNT"),
                    (8, "source", "FIELD_MISSING"),
                ],
                "{file:?}"
            );
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_refuse_their_row_only() {
        let mut file = HEADER.as_bytes().to_vec();
        file.extend(b"sis,A1,Pi\xf1on,21\nsis,A2,Alder,22\n");
        let (rows, problems) = read_whole(&file);
        assert_eq!(rows.len(), 1);
        assert_eq!(reasons(&problems), [(2, "", "NOT_UTF_8")]);
    }

    #[test]
    fn an_open_quote_does_not_swallow_the_file() {
        let row = "sis,A1,Alder,21\n";
        let file = format!("{HEADER}{row}sis,A2,\"Fern,22\n{}", row.repeat(20_000));
        let error = read_in_pieces(file.as_bytes(), 1000).unwrap_err();
        assert!(
            matches!(error, Error::RosterRowTooLong { line: 3 }),
            "{error}"
        );
    }

    #[test]
    fn an_empty_barcode_says_nothing_of_the_card() {
        let (rows, _) = read_whole(format!("{HEADER}sis,A1,Alder,\n").as_bytes());
        assert_eq!(rows[0].changes, [Change::LastName("Alder".into())]);
    }

    #[test]
    fn a_file_without_its_end_is_not_taken() {
        let (arrivals_in, arrivals) = tokio::sync::mpsc::channel(1);
        arrivals_in.try_send(Arrival::Bytes(HEADER.into())).unwrap();
        drop(arrivals_in);
        let (batches_in, mut batches) = tokio::sync::mpsc::channel(1);
        read(arrivals, &batches_in);
        let first = batches.blocking_recv().unwrap();
        assert!(matches!(first, Err(Error::RosterInterrupted)));
    }

    #[test]
    fn a_file_without_a_header_line_is_refused() {
        for file in ["", "\u{feff}", "\n\n", "sis,A1,Alder,21\n"] {
            let error = read_in_pieces(file.as_bytes(), 7).unwrap_err();
            assert!(
                matches!(error, Error::RosterColumns(_)),
                "{file:?}: {error}"
            );
            assert!(!error.to_string().contains("Alder"));
        }
    }

    proptest! {
        #[test]
        fn the_pieces_in_which_a_file_arrives_make_no_difference(
            names in prop::collection::vec("[\"a\r\n,ñ\u{feff} ]{0,6}", 0..5),
            size in 1_usize..9,
            mark in any::<bool>(),
        ) {
            let mut file = if mark { "\u{feff}" } else { "" }.to_owned() + HEADER;
            for (index, name) in names.iter().enumerate() {
                file.push_str(&format!("sis,A{index},{name},\r\n"));
            }
            let whole = read_in_pieces(file.as_bytes(), file.len()).unwrap();
            prop_assert_eq!(read_in_pieces(file.as_bytes(), size).unwrap(), whole);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_in_pieces(&bytes, 16);
            let _ = read_in_pieces(&[HEADER.as_bytes(), &bytes].concat(), 16);
        }
    }
}
