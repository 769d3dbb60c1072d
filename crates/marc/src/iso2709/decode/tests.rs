//! Records written by hand, one oddity each.

use super::*;

/// A sound record of these fields; `|` stands for the delimiter.
fn record(coding: char, fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut directory = String::new();
    let mut data = Vec::new();
    for (tag, body) in fields {
        directory.push_str(&format!("{tag}{:04}{:05}", body.len() + 1, data.len()));
        data.extend(
            body.iter()
                .map(|&byte| if byte == b'|' { DELIMITER } else { byte }),
        );
        data.push(FIELD_TERMINATOR);
    }
    let base = LEADER_BYTES + directory.len() + 1;
    let leader = format!("{:05}nam {coding}22{base:05} a 4500", base + data.len() + 1);
    [
        leader.as_bytes(),
        directory.as_bytes(),
        b"\x1e",
        &data,
        b"\x1d",
    ]
    .concat()
}

fn sound() -> Vec<u8> {
    record(
        'a',
        &[
            ("001", b"ocm1"),
            ("245", b"10|aPersuasion /|cJane Austen."),
            ("650", b" 0|aLove stories."),
        ],
    )
}

fn warnings(raw: &[u8]) -> Vec<WarningKind> {
    decode(raw)
        .unwrap()
        .warnings
        .into_iter()
        .map(|warning| warning.kind)
        .collect()
}

/// The record is read with this warning, and the fields are those of the sound record.
fn assert_bridged(raw: &[u8], kinds: &[WarningKind]) {
    let decoded = decode(raw).unwrap_or_else(|error| panic!("{kinds:?}: {error}"));
    let fields = decode(&sound()).unwrap().record.fields;
    assert_eq!(decoded.record.fields, fields, "{kinds:?}");
    assert_eq!(warnings(raw), kinds);
}

#[test]
fn a_sound_record_is_read_without_warning() {
    let raw = sound();
    let decoded = decode(&raw).unwrap();
    assert!(decoded.warnings.is_empty());
    assert_eq!(decoded.record.leader.as_str().as_bytes(), &raw[..24]);
    assert_eq!(decoded.record.control("001"), Some("ocm1"));
    assert_eq!(
        decoded.record.subfields("245", 'c').collect::<Vec<_>>(),
        ["Jane Austen."]
    );
    assert_eq!(
        decoded.record.fields("650").next().unwrap().indicators,
        [' ', '0']
    );
}

#[test]
fn the_constants_of_the_leader_are_not_looked_at() {
    let mut raw = sound();
    raw[10..12].copy_from_slice(b"3x");
    raw[20..24].copy_from_slice(b"    ");
    assert_bridged(&raw, &[]);
}

#[test]
fn wrong_lengths_and_addresses_are_bridged() {
    let change = |at: usize, bytes: &[u8]| {
        let mut raw = sound();
        raw[at..at + bytes.len()].copy_from_slice(bytes);
        raw
    };
    assert_bridged(&change(0, b"00001"), &[WarningKind::LengthMismatch]);
    assert_bridged(&change(0, b"     "), &[WarningKind::LengthMismatch]);
    assert_bridged(&change(12, b"99937"), &[WarningKind::BaseAddressWrong]);
    assert_bridged(&change(12, b"f0061"), &[WarningKind::BaseAddressWrong]);
    assert_bridged(&change(27, b"0006"), &[WarningKind::DirectoryWrong]);
    assert_bridged(&change(39, b"00x2"), &[WarningKind::DirectoryWrong]);
    assert_bridged(&change(55, b"99999"), &[WarningKind::DirectoryWrong]);
    // The terminator of the directory is overwritten.
    assert_bridged(&change(60, b"0"), &[WarningKind::BaseAddressWrong]);
    assert_bridged(&change(5, b"\xed"), &[WarningKind::LeaderNotAscii]);
}

#[test]
fn lengths_counted_in_characters_are_bridged() {
    let raw = record(
        'a',
        &[
            ("100", "1 |aBrontë, Emily".as_bytes()),
            ("245", "10|aStürme".as_bytes()),
        ],
    );
    let mut wrong = raw.clone();
    wrong[27..36].copy_from_slice(b"001700000");
    wrong[39..48].copy_from_slice(b"001000017");
    assert_eq!(
        decode(&wrong).unwrap().record.fields,
        decode(&raw).unwrap().record.fields
    );
    assert_eq!(warnings(&wrong), [WarningKind::DirectoryWrong]);
}

#[test]
fn entries_out_of_order_keep_the_order_of_the_directory() {
    let mut raw = sound();
    let entries: Vec<u8> = raw[24..60].to_vec();
    raw[24..36].copy_from_slice(&entries[24..36]);
    raw[36..48].copy_from_slice(&entries[..12]);
    raw[48..60].copy_from_slice(&entries[12..24]);
    let tags = |raw: &[u8]| -> Vec<String> {
        decode(raw)
            .unwrap()
            .record
            .fields
            .iter()
            .map(|field| field.tag().to_string())
            .collect()
    };
    assert_eq!(tags(&raw), ["650", "001", "245"]);
    assert_eq!(warnings(&raw), []);
    assert_eq!(decode(&raw).unwrap().record.control("001"), Some("ocm1"));

    // The starts are still what tells fields and tags together where one length is wrong.
    raw[39..43].copy_from_slice(b"0009");
    assert_eq!(tags(&raw), ["650", "001", "245"]);
    assert_eq!(decode(&raw).unwrap().record.control("001"), Some("ocm1"));
    assert_eq!(warnings(&raw), [WarningKind::DirectoryWrong]);
}

#[test]
fn starts_of_six_digits_are_read() {
    // 2,000 items of 60 bytes: the last entries have 13 bytes, the base address counts 12 for each.
    let body = format!("  \u{1f}p{:055}\u{1e}", 7);
    let directory: String = (0..2000)
        .map(|item| format!("9520060{:05}", item * 60))
        .collect();
    let raw = [
        b"99999nam a2224025   4500".as_slice(),
        directory.as_bytes(),
        b"\x1e",
        body.repeat(2000).as_bytes(),
        b"\x1d",
    ]
    .concat();
    assert_eq!(body.len(), 60);
    assert_eq!(directory.len(), 2000 * 12 + 333);
    let decoded = decode(&raw).unwrap();
    assert_eq!(decoded.record.fields("952").count(), 2000);
    assert!(
        decoded
            .record
            .subfields("952", 'p')
            .all(|barcode| barcode.len() == 55)
    );
    assert!(decoded.has(WarningKind::DirectoryWrong));
}

#[test]
fn a_stray_terminator_stays_in_its_field() {
    let stray = record(
        'a',
        &[("245", b"10|aPersu\x1easion"), ("500", b"  |aA note")],
    );
    let decoded = decode(&stray).unwrap();
    assert_eq!(
        decoded.record.subfields("245", 'a').collect::<Vec<_>>(),
        ["Persu\u{fffd}asion"]
    );
    assert!(decoded.has(WarningKind::StrayTerminator) && decoded.is_lossy());

    // With lengths off as well, the lengths still tell which two belong together.
    let mut off = stray.clone();
    off[39..43].copy_from_slice(b"0012");
    let decoded = decode(&off).unwrap();
    assert_eq!(
        decoded.record.subfields("245", 'a').collect::<Vec<_>>(),
        ["Persu\u{fffd}asion"]
    );
    assert_eq!(
        decoded.record.subfields("500", 'a').collect::<Vec<_>>(),
        ["A note"]
    );

    let doubled = record('a', &[("245", b"10|aEmma"), ("500", b"  |aA note\x1e")]);
    let mut doubled_and_off = doubled.clone();
    doubled_and_off[27..31].copy_from_slice(b"0001");
    let decoded = decode(&doubled_and_off).unwrap();
    assert_eq!(
        decoded.record.subfields("500", 'a').collect::<Vec<_>>(),
        ["A note"]
    );
}

#[test]
fn data_that_the_directory_leaves_out_is_marked() {
    let mut raw = sound();
    // A deletion that only takes the entry away: directory and base address are shorter, the data
    // is not.
    raw.drain(36..48);
    let length = format!("{:05}", raw.len());
    raw[..5].copy_from_slice(length.as_bytes());
    raw[12..17].copy_from_slice(b"00049");
    let decoded = decode(&raw).unwrap();
    assert_eq!(decoded.record.fields.len(), 2);
    assert!(decoded.has(WarningKind::DataOutsideDirectory) && decoded.is_lossy());
}

#[test]
fn a_record_without_its_terminator_is_read_if_it_is_whole() {
    let raw = sound();
    let open = &raw[..raw.len() - 1];
    let decoded = decode(open).unwrap();
    assert!(decoded.has(WarningKind::RecordTerminatorMissing));
    assert_eq!(decoded.record.fields.len(), 3);

    let broken = &raw[..raw.len() - 6];
    assert_eq!(
        decode(broken),
        Err(DecodeError::Truncated {
            stated: raw.len(),
            found: raw.len() - 6
        })
    );
    assert_eq!(
        decode(broken).unwrap_err().reason(),
        "MARC_RECORD_TRUNCATED"
    );
    assert!(decode(&raw[..40]).is_err());
    assert_eq!(
        decode(&raw[..20]),
        Err(DecodeError::LeaderTooShort { length: 20 })
    );
    assert_eq!(decode(b""), Err(DecodeError::LeaderTooShort { length: 0 }));
}

#[test]
fn what_cannot_be_told_is_an_error_with_its_place() {
    let no_fields = b"00026nam a2200025   4500\x1e\x1d";
    assert_eq!(decode(no_fields), Err(DecodeError::NoFields));

    let mut no_directory = sound();
    no_directory[30] = b'x';
    no_directory[12] = b'x';
    no_directory.remove(44);
    assert_eq!(
        decode(&no_directory),
        Err(DecodeError::DirectoryUnreadable { position: 24 })
    );

    let mut bad_tag = sound();
    bad_tag[37] = 0xd0;
    assert_eq!(
        decode(&bad_tag),
        Err(DecodeError::TagUnreadable { position: 36 })
    );

    let mut missing_field = sound();
    missing_field[65] = b'-';
    assert_eq!(
        decode(&missing_field),
        Err(DecodeError::DirectoryMismatch {
            entries: 3,
            fields: 2,
            position: 61
        })
    );
}

#[test]
fn utf_8_is_tried_before_what_the_leader_says() {
    let title = "10|aDe la solitude à la communauté.".as_bytes();
    let marked = decode(&record('a', &[("245", title)])).unwrap();
    assert!(marked.warnings.is_empty());
    let unmarked = decode(&record(' ', &[("245", title)])).unwrap();
    assert_eq!(unmarked.record.fields, marked.record.fields);
    assert!(unmarked.has(WarningKind::EncodingMismatch) && !unmarked.is_lossy());
}

#[test]
fn marc_8_and_broken_utf_8_are_read_and_marked() {
    let accents = b"10|aDe la solitude \xe1a la communaut\xe2e.";
    let decoded = decode(&record(' ', &[("001", b"1"), ("245", accents)])).unwrap();
    assert!(decoded.has(WarningKind::Marc8NotConverted) && decoded.is_lossy());
    assert_eq!(
        decoded.record.subfields("245", 'a').next(),
        Some("De la solitude \u{fffd}a la communaut\u{fffd}e.")
    );
    assert_eq!(decoded.record.control("001"), Some("1"));

    let escaped = decode(&record(' ', &[("245", b"10|a\x1b(NFUHK\x1b(B")])).unwrap();
    assert!(escaped.has(WarningKind::Marc8NotConverted));
    let ascii = decode(&record(' ', &[("245", b"10|aEmma")])).unwrap();
    assert!(ascii.warnings.is_empty());

    let claimed = decode(&record('a', &[("245", accents)])).unwrap();
    assert!(claimed.has(WarningKind::InvalidUtf8) && claimed.is_lossy());
    assert_eq!(
        claimed.record.subfields("245", 'a').next(),
        Some("De la solitude \u{fffd}a la communaut\u{fffd}e.")
    );
}

#[test]
fn odd_fields_keep_their_text() {
    use WarningKind::{
        ControlFieldWithSubfields, IndicatorsUnusual, StrayTerminator, SubfieldCodeUnusual,
        SubfieldEmpty, SubfieldMissing, TagUnusual,
    };
    let data = |tag: &str, indicators: &str, subfields: &[(char, &str)]| {
        let mut record = Record::new(Leader::default());
        let indicators: Vec<char> = indicators.chars().collect();
        record.push_data(
            Tag::new(tag).unwrap(),
            [indicators[0], indicators[1]],
            subfields,
        );
        record.fields.remove(0)
    };
    let control = |tag: &str, value: &str| {
        Field::Control(ControlField {
            tag: Tag::new(tag).unwrap(),
            value: value.to_owned(),
        })
    };
    for (tag, body, field, kinds) in [
        (
            "245",
            "|aEmma",
            data("245", "  ", &[('a', "Emma")]),
            &[IndicatorsUnusual][..],
        ),
        (
            "245",
            "1|aEmma",
            data("245", "1 ", &[('a', "Emma")]),
            &[IndicatorsUnusual],
        ),
        (
            "245",
            "10 |aEmma",
            data("245", "10", &[('a', "Emma")]),
            &[IndicatorsUnusual],
        ),
        (
            "245",
            "000|aEmma",
            data("245", "00", &[('a', "Emma")]),
            &[IndicatorsUnusual],
        ),
        ("245", " á|aEmma", data("245", " á", &[('a', "Emma")]), &[]),
        (
            "245",
            "10Emma|bby",
            data("245", "10", &[('a', "Emma"), ('b', "by")]),
            &[SubfieldMissing],
        ),
        (
            "245",
            "10Emma",
            data("245", "10", &[('a', "Emma")]),
            &[SubfieldMissing],
        ),
        (
            "245",
            "Emma",
            data("245", "  ", &[('a', "Emma")]),
            &[IndicatorsUnusual, SubfieldMissing],
        ),
        ("245", "10", data("245", "10", &[]), &[SubfieldMissing]),
        (
            "245",
            "10||aEmma|",
            data("245", "10", &[('a', "Emma")]),
            &[SubfieldEmpty],
        ),
        (
            "245",
            "10|áEmma|c",
            data("245", "10", &[('a', "Emma"), ('c', "")]),
            &[SubfieldCodeUnusual],
        ),
        (
            "245",
            "10|中Emma",
            data("245", "10", &[('中', "Emma")]),
            &[SubfieldCodeUnusual],
        ),
        (
            "30-",
            "  |aEmma",
            data("30-", "  ", &[('a', "Emma")]),
            &[TagUnusual],
        ),
        ("FMT", "BK", control("FMT", "BK"), &[]),
        ("LOC", "  |9x", data("LOC", "  ", &[('9', "x")]), &[]),
        (
            "001",
            "  |a12",
            data("001", "  ", &[('a', "12")]),
            &[ControlFieldWithSubfields],
        ),
        (
            "001",
            "|a12",
            control("001", "\u{fffd}a12"),
            &[StrayTerminator],
        ),
        ("008", "", control("008", ""), &[]),
    ] {
        let decoded = decode(&record('a', &[(tag, body.as_bytes())])).unwrap();
        assert_eq!(decoded.record.fields, [field], "{tag} {body}");
        let found: Vec<WarningKind> = decoded
            .warnings
            .iter()
            .map(|warning| warning.kind)
            .collect();
        assert_eq!(found, kinds, "{tag} {body}");
    }
}

#[test]
fn fields_that_overlap_do_not_grow() {
    // 2,000 entries that all name the same field of 9,000 bytes.
    let entry = "500900000000";
    let base = 24 + 2000 * 12 + 1;
    let body = format!("  \u{1f}a{}\u{1e}", "x".repeat(8995));
    let raw = format!(
        "{:05}nam a22{base:05} a 4500{}\u{1e}{body}\u{1d}",
        base + body.len() + 1,
        entry.repeat(2000)
    );
    assert_eq!(
        decode(raw.as_bytes()).unwrap_err().reason(),
        "MARC_DIRECTORY_MISMATCH"
    );
}
