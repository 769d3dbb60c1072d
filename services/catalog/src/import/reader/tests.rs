//! However a file is cut and wherever its reading is resumed, the same comes
//! out, and every byte of it.

use super::*;
use proptest::prelude::*;

/// What was read of a file: offsets of records and of bad pieces with their
/// reasons, and bytes by kind.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    records: Vec<(i64, Form)>,
    bad: Vec<(i64, &'static str)>,
    record_bytes: i64,
    quarantined_bytes: i64,
    separator_bytes: i64,
}

impl Outcome {
    fn add(&mut self, batch: &Batch) {
        self.records.extend(
            batch
                .records
                .iter()
                .map(|record| (record.offset, record.form)),
        );
        self.bad.extend(
            batch
                .bad_pieces
                .iter()
                .map(|piece| (piece.offset, piece.reason)),
        );
        self.record_bytes += batch.record_bytes;
        self.quarantined_bytes += batch.quarantined_bytes;
        self.separator_bytes += batch.separator_bytes;
    }

    fn bytes(&self) -> i64 {
        self.record_bytes + self.quarantined_bytes + self.separator_bytes
    }
}

/// Reads a file; breaks off after each batch and begins a new reader where
/// `resuming`.
fn read(file: &[u8], chunk: usize, resuming: bool) -> Outcome {
    let mut outcome = Outcome::default();
    let mut format = None;
    let mut resume = ResumePoint::default();
    'resumed: loop {
        let start = outcome.bytes();
        let mut reader = FileReader::new(LoadProfile::Auto, format, start, resume);
        let mut chunks = file[usize::try_from(start).unwrap()..].chunks(chunk);
        loop {
            while let Some(batch) = reader.next_batch() {
                outcome.add(&batch);
                if batch.is_last {
                    return outcome;
                }
                if resuming {
                    (format, resume) = (batch.format, batch.resume);
                    continue 'resumed;
                }
            }
            match chunks.next() {
                Some(bytes) => reader.push(bytes).unwrap(),
                None => reader.finish().unwrap(),
            }
        }
    }
}

const ISO: &[u8] = b"00058nam a2200037   4500245002000000\x1e00\x1faPersuasion /\x1fcJ\x1e\x1d";

fn xml_record(title: &str) -> String {
    format!(
        "<record><leader>00000nam a2200000   4500</leader><datafield tag=\"245\" ind1=\"0\" ind2=\"0\">\
         <subfield code=\"a\">{title}</subfield></datafield></record>\n"
    )
}

fn assert_same_however_read(file: &[u8]) -> Outcome {
    let whole = read(file, file.len().max(1), false);
    assert_eq!(whole.bytes(), file.len() as i64);
    assert_eq!(read(file, 60_001, false), whole);
    assert_eq!(read(file, 60_001, true), whole);
    whole
}

#[test]
fn a_file_of_many_batches_reads_the_same_when_it_is_resumed_after_each() {
    let mut file = Vec::new();
    for number in 0..950 {
        file.extend_from_slice(if number % 7 == 0 {
            b"junk junk junk junk junk junk\x1d"
        } else {
            ISO
        });
        file.extend_from_slice(b"\r\n");
    }
    let outcome = assert_same_however_read(&file);
    assert_eq!((outcome.records.len(), outcome.bad.len()), (814, 136));
}

#[test]
fn marcxml_is_resumed_in_its_own_encoding() {
    let mut file = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<collection>".to_vec();
    for _ in 0..500 {
        file.extend(
            xml_record("X")
                .bytes()
                .map(|byte| if byte == b'X' { 0xc9 } else { byte }),
        );
        file.extend_from_slice(b"<!-- <record> \xc9 -->");
    }
    file.extend_from_slice(b"</collection>");
    let outcome = assert_same_however_read(&file);
    assert_eq!(outcome.records.len(), 500);
    assert!(
        outcome
            .records
            .iter()
            .all(|(_, form)| *form == Form::MarcXml(XmlEncoding::Windows1252))
    );
}

#[test]
fn a_record_too_large_is_quarantined_whole_also_when_resumed_inside_of_it() {
    let mut file = b"<collection>".to_vec();
    file.extend(xml_record("before").bytes());
    let large = xml_record(&"large ".repeat(1_700_000));
    file.extend(large.bytes());
    file.extend(xml_record("after").bytes());
    file.extend_from_slice(b"</collection>");
    let outcome = assert_same_however_read(&file);
    assert_eq!(outcome.records.len(), 2);
    assert_eq!(outcome.quarantined_bytes, large.trim_end().len() as i64);
    assert_eq!(outcome.bad.len(), 3);
}

#[test]
fn xml_in_utf_16_is_quarantined_to_its_end() {
    let text = xml_record("sixteen bits").repeat(20_000);
    let file: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let outcome = read(&file, 100_000, true);
    assert_eq!(outcome.quarantined_bytes, file.len() as i64);
    assert!(
        outcome
            .bad
            .iter()
            .all(|(_, reason)| *reason == "MARC_XML_ENCODING_UNSUPPORTED")
    );
}

#[test]
fn a_compressed_file_is_refused() {
    let mut reader = FileReader::new(LoadProfile::Auto, None, 0, ResumePoint::default());
    reader.push(b"\x1f\x8b\x08\0").unwrap();
    assert!(matches!(reader.finish(), Err(Error::FormatUnknown)));
}

#[test]
fn an_empty_file_has_one_empty_batch() {
    let mut reader = FileReader::new(LoadProfile::Auto, None, 0, ResumePoint::default());
    reader.finish().unwrap();
    let batch = reader.next_batch().unwrap();
    assert!(batch.is_last && batch.bytes() == 0);
    assert!(reader.next_batch().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_accounted_for(parts in prop::collection::vec(0usize..7, 0..600), chunk in 1usize..5000) {
        let xml = xml_record("x");
        let parts: Vec<&[u8]> = parts.iter().map(|part| match part {
            0 => &b"\x1d\x1e\x1f"[..],
            1 => b"<?xml version=\"1.0\"?><collection>",
            2 => b"<record>",
            3 => b"\0\r\n",
            4 => b"12345",
            5 => xml.as_bytes(),
            _ => ISO,
        }).collect();
        let file = parts.concat();
        let whole = read(&file, chunk, false);
        prop_assert_eq!(whole.bytes(), file.len() as i64);
        prop_assert_eq!(read(&file, chunk, true), whole);
    }
}
