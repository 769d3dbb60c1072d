//! Real files, sound and broken: all that is in them is read or quarantined, byte for byte.

use std::collections::BTreeMap;
use std::path::Path;

use carrel_marc::{
    Decoded, Format, Piece, Sniffed, Splitter, XmlEncoding, iso2709, marcxml, sniff,
};

use crate::data::{self, Listed};
use crate::explained::EXPLAINED;

/// What a file came to.
#[derive(Default)]
struct Outcome {
    read: Vec<(u64, Decoded)>,
    /// Reasons, and how often.
    quarantined: BTreeMap<&'static str, usize>,
    separator_bytes: usize,
}

impl Outcome {
    fn quarantined(&self) -> usize {
        self.quarantined.values().sum()
    }

    fn values<'o>(&'o self, tag: &str, code: char) -> Vec<&'o str> {
        self.read
            .iter()
            .flat_map(|(_, decoded)| decoded.record.subfields(tag, code).collect::<Vec<_>>())
            .collect()
    }

    fn controls<'o>(&'o self, tag: &str) -> Vec<&'o str> {
        self.read
            .iter()
            .filter_map(|(_, decoded)| decoded.record.control(tag))
            .collect()
    }
}

/// Reads a file as a load does: in chunks, each piece as it comes. Its pieces must add up to the
/// file.
fn load(path: &str, bytes: &[u8]) -> Outcome {
    let Sniffed::Records(format) = sniff(&bytes[..bytes.len().min(512)]) else {
        panic!("{path}: still compressed")
    };
    let mut splitter = Splitter::new(format);
    let mut outcome = Outcome::default();
    let mut end = 0;
    let mut chunks = bytes.chunks(61_001);
    loop {
        while let Some(piece) = splitter.next_piece() {
            assert_eq!(piece.offset(), end, "{path}");
            let from = usize::try_from(end).unwrap();
            assert!(
                piece.bytes() == &bytes[from..from + piece.bytes().len()],
                "{path}: not the bytes of the file"
            );
            end += piece.bytes().len() as u64;
            match piece {
                Piece::Record(piece) => match piece.decode() {
                    Ok(decoded) => outcome.read.push((piece.offset, decoded)),
                    Err(error) => *outcome.quarantined.entry(error.reason()).or_default() += 1,
                },
                Piece::Unreadable { error, .. } => {
                    *outcome.quarantined.entry(error.reason()).or_default() += 1
                }
                Piece::Separator { bytes, .. } => {
                    outcome.separator_bytes += bytes.len();
                    let is_junk = |byte: &u8| byte.is_ascii_graphic() || *byte >= 0x80;
                    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
                    assert!(
                        format == Format::MarcXml || !bytes.iter().any(is_junk),
                        "{path}: {bytes:?}"
                    );
                }
            }
        }
        match chunks.next() {
            Some(chunk) => splitter.push(chunk),
            None if end == bytes.len() as u64 => return outcome,
            None => splitter.finish(),
        }
    }
}

fn load_all(folder: &Path, sides: &[&str]) -> Vec<(Listed, Vec<u8>, Outcome)> {
    let listed = data::listed(folder, sides);
    assert!(!listed.is_empty(), "INDEX.md lists no files of {sides:?}");
    listed
        .into_iter()
        .map(|file| {
            let bytes = data::content(&folder.join(&file.path));
            let outcome = load(&file.path, &bytes);
            (file, bytes, outcome)
        })
        .collect()
}

fn only<'a>(files: &'a [(Listed, Vec<u8>, Outcome)], end: &str) -> &'a Outcome {
    let found: Vec<_> = files
        .iter()
        .filter(|(file, ..)| file.path.ends_with(end))
        .collect();
    assert_eq!(found.len(), 1, "{end}");
    &found[0].2
}

#[test]
fn every_record_that_index_md_counts_is_read_or_quarantined() {
    let Some(folder) = data::folder() else { return };
    let mut differences = Vec::new();
    for side in ["marc", "marc_bad", "marcxml"] {
        let files = load_all(&folder, &[side]);
        let (mut read, mut quarantined, mut records, mut separator, mut size) = (0, 0, 0, 0, 0);
        for (file, bytes, outcome) in &files {
            read += outcome.read.len();
            quarantined += outcome.quarantined();
            records += file.records.unwrap_or(0);
            separator += outcome.separator_bytes;
            size += bytes.len();
            let ours = outcome.read.len() + outcome.quarantined();
            let explained = EXPLAINED.iter().find(|(end, ..)| file.path.ends_with(end));
            match (explained, file.records) {
                (Some((_, number, _)), theirs) if *number == ours && theirs != Some(ours) => {}
                (None, Some(theirs)) if theirs == ours => {}
                // Files without a number are there to be survived.
                (None, None) => {}
                (_, theirs) => differences.push(format!("{}: {ours} for {theirs:?}", file.path)),
            }
            if outcome.quarantined() > 0 {
                println!(
                    "{}: {} read, quarantined {:?}",
                    file.path,
                    outcome.read.len(),
                    outcome.quarantined
                );
            }
        }
        println!(
            "{side}: {} files, INDEX.md counts {records} records; {read} read, {quarantined} quarantined, \
             {separator} of {size} bytes are separators",
            files.len()
        );
    }
    assert!(
        differences.is_empty(),
        "not explained:\n{}",
        differences.join("\n")
    );
}

#[test]
fn nothing_of_the_sound_files_is_quarantined() {
    let Some(folder) = data::folder() else { return };
    for (file, _, outcome) in load_all(&folder, &["marc"]) {
        assert!(
            outcome.quarantined.is_empty(),
            "{}: {:?}",
            file.path,
            outcome.quarantined
        );
    }
}

/// Finds sound records by trying every byte of a file, the slow and certain way: where they begin
/// and end, and how many fields they have.
fn sound_records(bytes: &[u8]) -> Vec<(u64, usize)> {
    let number =
        |digits: &[u8]| -> Option<usize> { std::str::from_utf8(digits).ok()?.parse().ok() };
    let fields_at = |record: &[u8]| -> Option<usize> {
        let record = record.get(..number(record.get(..5)?)?)?;
        let base = number(record.get(12..17)?)?;
        let directory = record.get(24..base)?.strip_suffix(b"\x1e")?;
        let data = record.get(base..)?.strip_suffix(b"\x1d")?;
        let whole = directory.chunks(12).all(|entry| {
            let field = entry.len() == 12 && entry[..3].iter().all(u8::is_ascii_graphic);
            let place = number(&entry[3.min(entry.len())..7.min(entry.len())])
                .zip(number(&entry[7.min(entry.len())..]));
            field
                && place.is_some_and(|(length, start)| {
                    data.get(start..start + length).is_some_and(|field| {
                        field.strip_suffix(b"\x1e").is_some_and(|field| {
                            !field.iter().any(|byte| matches!(byte, 0x1d | 0x1e))
                        })
                    })
                })
        });
        (whole && !directory.is_empty()).then_some(directory.len() / 12)
    };
    (0..bytes.len())
        .filter(|&at| bytes[at].is_ascii_digit())
        .filter_map(|at| Some((at as u64, fields_at(&bytes[at..])?)))
        .collect()
}

#[test]
fn no_good_record_is_lost_beside_a_bad_one() {
    let Some(folder) = data::folder() else { return };
    let mut sound = 0;
    for (file, bytes, outcome) in load_all(&folder, &["marc", "marc_bad"]) {
        for (offset, fields) in sound_records(&bytes) {
            let read = outcome.read.iter().find(|(at, _)| *at == offset);
            let read = read
                .unwrap_or_else(|| panic!("{}: the record at {offset} was not read", file.path));
            assert_eq!(
                read.1.record.fields.len(),
                fields,
                "{}: at {offset}",
                file.path
            );
            sound += 1;
        }
    }
    println!("{sound} sound records found by brute force, all read");
    assert!(sound > 0);
}

#[test]
fn what_was_read_can_be_written_and_read_again() {
    let Some(folder) = data::folder() else { return };
    let (mut as_iso, mut too_long) = (0, 0);
    for (file, _, outcome) in load_all(&folder, &["marc", "marc_bad", "marcxml"]) {
        for (offset, Decoded { record, .. }) in outcome.read {
            let place = || format!("{} at {offset}", file.path);
            match record.to_iso2709() {
                Ok(raw) => {
                    let again = iso2709::decode(&raw)
                        .unwrap_or_else(|error| panic!("{}: {error}", place()));
                    let unlike = again.record.fields != record.fields;
                    // A data field without subfields looks like a control field or has indicators
                    // that are not digits.
                    let is_bare = |field: &carrel_marc::Field| matches!(field, carrel_marc::Field::Data(field) if field.subfields.is_empty());
                    assert!(!unlike || record.fields.iter().any(is_bare), "{}", place());
                    as_iso += 1;
                }
                Err(error) => {
                    assert!(
                        matches!(
                            error.reason(),
                            "MARC_RECORD_TOO_LONG" | "MARC_FIELD_TOO_LONG"
                        ),
                        "{}: {error}",
                        place()
                    );
                    too_long += 1;
                }
            }
            let xml = record.to_marcxml();
            let again = marcxml::decode(xml.as_bytes(), XmlEncoding::Utf8)
                .unwrap_or_else(|error| panic!("{}: {error}", place()));
            assert_eq!(
                again.record.fields.len(),
                record.fields.len(),
                "{}",
                place()
            );
            let has_control = |xml: &str| xml.contains(char::REPLACEMENT_CHARACTER);
            assert!(
                again.record.fields == record.fields || has_control(&xml),
                "{}",
                place()
            );
        }
    }
    println!(
        "{as_iso} records written in ISO 2709 and MARCXML, {too_long} too long for ISO 2709 in MARCXML only"
    );
}

/// What others state about these files in their own tests.
#[test]
fn known_bad_files_are_read_as_others_expect() {
    let Some(folder) = data::folder() else { return };
    let files = load_all(&folder, &["marc_bad"]);
    let file = |end: &str| only(&files, end);

    assert!(
        file("test__bad_indicator.dat")
            .values("245", 'a')
            .contains(&"Aristocrats of color :")
    );
    assert_eq!(
        file("test__bad_subfield_code.dat").values("245", 'a'),
        ["ActivePerl with ASP and ADO /"]
    );
    assert!(
        file("test__regression45.dat")
            .values("752", 'a')
            .contains(&"Russian Federation")
    );
    assert!(
        file("test__regression45.dat")
            .values("752", 'b')
            .contains(&"Kostroma Oblast")
    );
    assert_eq!(
        file("test__utf8_without_leader_flag.dat").values("240", 'a'),
        ["De la solitude a\u{300} la communaute\u{301}."]
    );
    assert!(
        file("tests__bad_example.mrc")
            .controls("001")
            .contains(&"0000000044")
    );
    assert_eq!(
        file("test__non-numeric.dat").values("ISB", 'a'),
        ["9780061317842"]
    );
    assert_eq!(file("test__non-numeric.dat").values("LOC", '9'), ["1"]);
    assert_eq!(
        file("bin_input__wrapped_lines.mrc")
            .values("520", 'a')
            .len(),
        4
    );
    assert!(
        file("bin_input__upei_short_008.mrc")
            .values("651", 'a')
            .contains(&"Charlottetown (P.E.I.)")
    );
    assert_eq!(file("880_with_no_6.utf8.marc").controls("001"), ["3468569"]);
    assert_eq!(file("marc-record__t__filler.usmarc").read.len(), 3);
    assert_eq!(file("marc-record__t__cameleof.usmarc").read.len(), 10);
    assert_eq!(file("resources__bad_leaders_10_11.mrc").read.len(), 1);
    assert_eq!(
        file("mod-data-import/src__test__resources__0.mrc")
            .read
            .len(),
        0
    );
    assert_eq!(file("resources__invalidMarcFile.mrc").read.len(), 0);

    let bad_records = file("test__bad_records.mrc");
    assert_eq!((bad_records.read.len(), bad_records.quarantined()), (5, 3));
    assert_eq!(
        file("bad_too_long_plus_2.mrc").controls("001"),
        ["360944", "360945", "360946"]
    );
    assert_eq!(
        file("datos-20161010-slice.mrc").read[0]
            .1
            .record
            .fields("952")
            .count(),
        965
    );
    let pride = file("pride-and-prejudice-with-many-errors.mrc");
    assert_eq!((pride.read.len(), pride.quarantined()), (383, 0));
    assert!(pride.values("852", 'a').contains(&"Vadstena"));
}
