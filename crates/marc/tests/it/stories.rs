//! Small files written by us: what a load meets, one trouble at a time.

use carrel_marc::{
    DecodeError, Format, Leader, MAX_PIECE_BYTES, Piece, Record, SEPARATOR_BLOCK_BYTES, Splitter,
    Tag,
};

/// A piece, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    Record(Vec<u8>, carrel_marc::Form),
    Unreadable(Vec<u8>, DecodeError),
    Separator(Vec<u8>),
}

impl Kept {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Record(bytes, _) | Self::Unreadable(bytes, _) | Self::Separator(bytes) => bytes,
        }
    }
}

/// All pieces of a file that arrives in chunks of this size. Offsets and bytes must add up to the
/// file.
pub fn split(format: Format, file: &[u8], chunk: usize) -> Vec<Kept> {
    let mut splitter = Splitter::new(format);
    let mut pieces = Vec::new();
    let mut offset = 0;
    let mut drain = |splitter: &mut Splitter| {
        while let Some(piece) = splitter.next_piece() {
            assert_eq!(piece.offset(), offset);
            assert!(!piece.bytes().is_empty() && piece.bytes().len() <= MAX_PIECE_BYTES);
            offset += piece.bytes().len() as u64;
            pieces.push(match piece {
                Piece::Record(piece) => Kept::Record(piece.raw.to_vec(), piece.form),
                Piece::Unreadable { raw, error, .. } => Kept::Unreadable(raw.to_vec(), error),
                Piece::Separator { bytes, .. } => {
                    assert!(bytes.len() <= SEPARATOR_BLOCK_BYTES);
                    Kept::Separator(bytes.to_vec())
                }
            });
        }
    };
    for chunk in file.chunks(chunk.max(1)) {
        splitter.push(chunk);
        drain(&mut splitter);
    }
    splitter.finish();
    drain(&mut splitter);
    let bytes: Vec<u8> = pieces.iter().flat_map(Kept::bytes).copied().collect();
    assert!(bytes == file, "the pieces are not the file");
    pieces
}

/// What became of each record piece, in order: its 001 if it was read, the reason if not.
fn outcome(format: Format, file: &[u8]) -> Vec<String> {
    let whole = split(format, file, file.len());
    for chunk in [1, 7, 1000] {
        assert_eq!(split(format, file, chunk), whole, "in chunks of {chunk}");
    }
    whole
        .into_iter()
        .filter_map(|piece| match piece {
            Kept::Record(raw, form) => Some(match carrel_marc::decode(form, &raw) {
                Ok(decoded) => decoded.record.control("001").unwrap_or("no 001").to_owned(),
                Err(error) => error.reason().to_owned(),
            }),
            Kept::Unreadable(_, error) => Some(error.reason().to_owned()),
            Kept::Separator(_) => None,
        })
        .collect()
}

fn book(id: &str) -> Record {
    let mut record = Record::new(Leader::default());
    record.push_control(Tag::new("001").unwrap(), id);
    record.push_data(
        Tag::new("245").unwrap(),
        ['1', '0'],
        &[('a', "Persuasion /"), ('c', "Jane Austen.")],
    );
    record.push_data(
        Tag::new("500").unwrap(),
        [' ', ' '],
        &[('a', "Ça coûte 3 €.")],
    );
    record
}

fn iso(id: &str) -> Vec<u8> {
    book(id).to_iso2709().unwrap()
}

fn xml(id: &str) -> String {
    book(id).to_marcxml()
}

#[test]
fn junk_between_records_is_no_record() {
    let file = [
        b"\xef\xbb\xbf\r\n".as_slice(),
        &iso("a"),
        b"\n",
        &iso("b"),
        b"\0\0\x1a   \r\n",
        &iso("c"),
        b"\x1e\x1d\xef\xbb\xbf",
        &iso("d"),
        b"\x1a\x1a\n",
    ]
    .concat();
    assert_eq!(outcome(Format::Iso2709, &file), ["a", "b", "c", "d"]);
    assert_eq!(outcome(Format::Iso2709, b""), Vec::<String>::new());
    assert_eq!(
        outcome(Format::Iso2709, b"\r\n \x1a\xef\xbb\xbf"),
        Vec::<String>::new()
    );
}

#[test]
fn a_wrong_record_length_costs_no_record() {
    for length in [
        "00001", "99999", "     ", "abcde", "00150", "00151", "00302",
    ] {
        let mut wrong = iso("wrong");
        wrong[..5].copy_from_slice(length.as_bytes());
        let file = [iso("before"), wrong, iso("after"), iso("last")].concat();
        assert_eq!(
            outcome(Format::Iso2709, &file),
            ["before", "wrong", "after", "last"],
            "length {length}"
        );
    }
}

#[test]
fn a_length_that_leads_to_the_end_of_a_later_record_swallows_none() {
    let mut wrong = iso("wrong");
    let length = format!("{:05}", wrong.len() + iso("after").len());
    wrong[..5].copy_from_slice(length.as_bytes());
    let file = [wrong, iso("after"), iso("last")].concat();
    assert_eq!(outcome(Format::Iso2709, &file), ["wrong", "after", "last"]);
}

#[test]
fn a_record_terminator_inside_of_a_record_does_not_end_it() {
    let mut inside = iso("inside");
    let at = inside
        .windows(4)
        .position(|window| window == b"Jane")
        .unwrap();
    inside[at] = 0x1d;
    let file = [iso("before"), inside, iso("after")].concat();
    assert_eq!(
        outcome(Format::Iso2709, &file),
        ["before", "inside", "after"]
    );
}

#[test]
fn a_record_that_breaks_off_does_not_swallow_the_next() {
    let whole = iso("broken");
    for kept in [3, 24, 40, 61, 70, whole.len() - 20, whole.len() - 2] {
        let file = [
            &iso("before")[..],
            &whole[..kept],
            &iso("after"),
            &iso("last"),
        ]
        .concat();
        let outcome = outcome(Format::Iso2709, &file);
        assert_eq!(outcome.len(), 4, "{kept}: {outcome:?}");
        assert!(outcome[1].starts_with("MARC_"), "{kept}: {outcome:?}");
        assert_eq!(
            (&*outcome[0], &*outcome[2], &*outcome[3]),
            ("before", "after", "last"),
            "{kept}"
        );
    }
    // As many bytes are missing as the next record has, so that its length leads to the end of that
    // one.
    let mut long = book("broken");
    long.push_data(
        Tag::new("520").unwrap(),
        [' ', ' '],
        &[('a', &"x".repeat(500))],
    );
    let long = long.to_iso2709().unwrap();
    let file = [
        &long[..long.len() - iso("after").len()],
        &iso("after"),
        &iso("last"),
    ]
    .concat();
    assert_eq!(
        outcome(Format::Iso2709, &file),
        ["MARC_RECORD_TRUNCATED", "after", "last"]
    );
    // All that is missing is 1D: then the record is whole.
    let file = [&whole[..whole.len() - 1], &iso("after")].concat();
    assert_eq!(outcome(Format::Iso2709, &file), ["broken", "after"]);
}

#[test]
fn text_before_a_record_goes_to_quarantine_and_the_record_is_read() {
    let file = [
        b"Content-Type: application/marc\r\n\r\n".as_slice(),
        &iso("a"),
        b"-- end of file --",
    ]
    .concat();
    let reasons = outcome(Format::Iso2709, &file);
    assert_eq!(
        reasons,
        ["MARC_DIRECTORY_UNREADABLE", "a", "MARC_LEADER_TOO_SHORT"]
    );
}

#[test]
fn a_leader_may_begin_with_blanks() {
    let mut blank = iso("blank");
    blank[..5].copy_from_slice(b"     ");
    let file = [&iso("before")[..], b"\r\n  ", &blank, b"   ", &iso("after")].concat();
    assert_eq!(
        outcome(Format::Iso2709, &file),
        ["before", "blank", "after"]
    );
}

#[test]
fn a_record_of_more_than_99_999_bytes_is_read() {
    // As systems write it: all five digits of the length are 9, starts begin again at 0 behind
    // 99,999.
    let item = b"  \x1fp30000000000000\x1fcStacks level 2\x1e";
    let directory: String = (0..4000)
        .map(|n| format!("952{:04}{:05}", item.len(), n * item.len() % 100_000))
        .collect();
    let base = 24 + directory.len() + 1;
    let large = [
        format!("99999nam a22{base:05} a 4500{directory}\x1e").as_bytes(),
        &item.repeat(4000),
        b"\x1d",
    ]
    .concat();
    assert!(large.len() > 150_000);
    let file = [iso("before"), large, iso("after")].concat();
    assert_eq!(
        outcome(Format::Iso2709, &file),
        ["before", "no 001", "after"]
    );
    let Kept::Record(raw, form) = &split(Format::Iso2709, &file, 4096)[1] else {
        panic!()
    };
    let record = carrel_marc::decode(*form, raw).unwrap().record;
    assert_eq!(
        record
            .subfields("952", 'p')
            .filter(|barcode| *barcode == "30000000000000")
            .count(),
        4000
    );
    // ISO 2709 cannot hold it again, MARCXML can.
    assert_eq!(
        record.to_iso2709().unwrap_err().reason(),
        "MARC_RECORD_TOO_LONG"
    );
    let xml = record.to_marcxml();
    assert_eq!(
        carrel_marc::marcxml::decode(xml.as_bytes(), Default::default())
            .unwrap()
            .record
            .fields,
        record.fields
    );
}

#[test]
fn what_never_ends_is_cut_and_what_follows_is_read() {
    let endless = vec![b'x'; MAX_PIECE_BYTES + 1000];
    let file = [&iso("before")[..], &endless, &iso("after")].concat();
    let pieces = split(Format::Iso2709, &file, 64 << 10);
    assert_eq!(
        pieces[1],
        Kept::Unreadable(
            endless[..MAX_PIECE_BYTES].to_vec(),
            DecodeError::TooLarge {
                limit: MAX_PIECE_BYTES
            }
        )
    );
    assert_eq!(pieces[2].bytes(), &endless[MAX_PIECE_BYTES..]);
    assert_eq!(pieces[3].bytes(), iso("after"));
    assert_eq!(split(Format::Iso2709, &file, file.len()), pieces);

    let nuls = [
        &iso("before")[..],
        &vec![0; 3 * SEPARATOR_BLOCK_BYTES + 5],
        &iso("after"),
    ]
    .concat();
    let pieces = split(Format::Iso2709, &nuls, 1000);
    assert_eq!(pieces.len(), 6);
    assert_eq!(split(Format::Iso2709, &nuls, nuls.len()), pieces);
}

#[test]
fn marcxml_is_found_in_any_envelope() {
    let marc = |id: &str| {
        xml(id)
            .replace("<record xmlns=", "<marc:record xmlns:marc=")
            .replace("</", "</marc:")
            .replace("<leader", "<marc:leader")
    };
    let marc = |id: &str| {
        marc(id)
            .replace("<controlfield", "<marc:controlfield")
            .replace("<datafield", "<marc:datafield")
            .replace("<subfield", "<marc:subfield")
    };
    let oai = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<OAI-PMH><ListRecords>\
         <record><header><identifier>1</identifier></header><metadata>{}</metadata></record>\
         <record><header status=\"deleted\"><identifier>2</identifier></header></record>\
         <record><header/><metadata>{}</metadata><about><record/></about></record>\
         </ListRecords></OAI-PMH>",
        marc("a"),
        xml("b")
    );
    assert_eq!(outcome(Format::MarcXml, oai.as_bytes()), ["a", "b"]);

    let sru = format!(
        "<searchRetrieveResponse><records><srw:record><srw:recordSchema>marcxml</srw:recordSchema><srw:recordData>{}\
         </srw:recordData><srw:recordPosition>1</srw:recordPosition></srw:record></records></searchRetrieveResponse>",
        xml("a")
    );
    assert_eq!(outcome(Format::MarcXml, sru.as_bytes()), ["a"]);

    let concatenated = format!(
        "<collection>{}</collection>\n<?xml version='1.0'?><collection>{}</collection>",
        xml("a"),
        xml("b")
    );
    assert_eq!(
        outcome(Format::MarcXml, concatenated.as_bytes()),
        ["a", "b"]
    );
    assert_eq!(outcome(Format::MarcXml, xml("bare").as_bytes()), ["bare"]);
    assert_eq!(
        outcome(Format::MarcXml, b"<collection/>"),
        Vec::<String>::new()
    );
    assert_eq!(
        outcome(
            Format::MarcXml,
            b"<r><records/><record/><record>\n</record></r>"
        ),
        Vec::<String>::new()
    );
}

#[test]
fn records_in_comments_and_sections_do_not_count() {
    let file = format!(
        "<!DOCTYPE collection [<!ENTITY x \"<record><leader/></record>\">]><collection><!-- {} --><![CDATA[{}]]>{}</collection>",
        xml("comment"),
        xml("section"),
        xml("a")
    );
    assert_eq!(outcome(Format::MarcXml, file.as_bytes()), ["a"]);
    let inside = xml("a").replace("Jane", "<!-- </record> --><![CDATA[</record><record>]]>");
    assert_eq!(outcome(Format::MarcXml, inside.as_bytes()), ["a"]);
}

#[test]
fn a_bad_marcxml_record_costs_no_other() {
    let good = xml("x");
    for (bad, reason) in [
        (good.replace("</leader>", "</header>"), "MARC_XML_MALFORMED"),
        (good.replace("</record>", ""), "MARC_XML_MALFORMED"),
        (
            good.replace("</datafield></record>", ""),
            "MARC_XML_MALFORMED",
        ),
        (good[..good.len() / 2].to_owned(), "MARC_XML_MALFORMED"),
        (
            good.replace("tag=\"245\"", "tag=\"245"),
            "MARC_XML_MALFORMED",
        ),
        (
            good.replace("code=\"a\">", "code=\"a>"),
            "MARC_XML_MALFORMED",
        ),
        (good.replace("Jane", "<!-- Jane"), "MARC_XML_MALFORMED"),
        (good.replace("Jane", "<![CDATA[Jane"), "MARC_XML_MALFORMED"),
        (good.replace("Jane", "<? Jane"), "MARC_XML_MALFORMED"),
        (good.replace("Jane", "< Jane"), "MARC_XML_MALFORMED"),
        (
            good.replace("Jane", "<b>Jane</b>"),
            "MARC_XML_UNEXPECTED_ELEMENT",
        ),
        (
            good.replace("</leader>", "</leader>stray"),
            "MARC_XML_STRAY_TEXT",
        ),
        (
            good.replace("tag=\"245\"", "tag=\"\""),
            "MARC_TAG_UNREADABLE",
        ),
        (good.replace("leader>", "ledear>"), "MARC_LEADER_MISSING"),
        (
            "<record><title>Emma</title></record>".to_owned(),
            "MARC_NO_FIELDS",
        ),
        ("<record>Emma</record>".to_owned(), "MARC_XML_STRAY_TEXT"),
    ] {
        // The section behind it tempts a reader that looks for the next "]]>" or "-->".
        let last = xml("last").replace("Jane", "<![CDATA[Jane]]><!-- A. -->");
        let file = format!(
            "<collection>\n{}\n{bad}\n{}{last}</collection>\n",
            xml("before"),
            xml("after")
        );
        assert_eq!(
            outcome(Format::MarcXml, file.as_bytes()),
            ["before", reason, "after", "last"],
            "{bad}"
        );
    }
}

#[test]
fn marcxml_that_breaks_off_is_kept() {
    let file = format!("<collection>{}{}", xml("a"), &xml("b")[..100]);
    assert_eq!(
        outcome(Format::MarcXml, file.as_bytes()),
        ["a", "MARC_XML_MALFORMED"]
    );
    let file = format!("<collection>{}<record xmlns=\"http", xml("a"));
    assert_eq!(
        outcome(Format::MarcXml, file.as_bytes()),
        ["a", "MARC_XML_MALFORMED"]
    );
}

#[test]
fn marcxml_in_other_encodings_is_read_or_refused_with_its_bytes() {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><collection>{}</collection>",
        xml("a")
    );
    let latin1: Vec<u8> = text
        .replace('€', "E")
        .chars()
        .map(|character| character as u8)
        .collect();
    let pieces = split(Format::MarcXml, &latin1, 10);
    let Kept::Record(raw, form) = &pieces[1] else {
        panic!("{pieces:?}")
    };
    let record = carrel_marc::decode(*form, raw).unwrap().record;
    assert_eq!(record.subfields("500", 'a').next(), Some("Ça coûte 3 E."));

    let other =
        String::from_utf8_lossy(b"<?xml version=\"1.0\" encoding=\"KOI8-R\"?>").into_owned();
    let file = [other.as_bytes(), &raw[..], xml("utf-8").as_bytes()].concat();
    assert_eq!(
        outcome(Format::MarcXml, &file),
        ["MARC_XML_ENCODING_UNSUPPORTED", "utf-8"]
    );

    let utf16: Vec<u8> = std::iter::once(0xfeff)
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(
        outcome(Format::MarcXml, &utf16),
        ["MARC_XML_ENCODING_UNSUPPORTED"]
    );
}

#[test]
fn a_marcxml_record_too_large_to_hold_is_cut_and_the_next_is_read() {
    let huge = xml("huge").replace("Jane", &"Jane ".repeat(MAX_PIECE_BYTES / 4));
    let filler = "<note>no record here</note>".repeat(MAX_PIECE_BYTES / 20);
    let file = format!(
        "<collection>{}{huge}{}<record><header/>{filler}</record>{}</collection>",
        xml("a"),
        xml("b"),
        xml("c")
    );
    let pieces = split(Format::MarcXml, file.as_bytes(), 64 << 10);
    assert_eq!(split(Format::MarcXml, file.as_bytes(), file.len()), pieces);
    let kinds: Vec<(bool, usize)> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Kept::Record(raw, _) => Some((true, raw.len())),
            Kept::Unreadable(raw, _) => Some((false, raw.len())),
            Kept::Separator(_) => None,
        })
        .collect();
    let good = (true, xml("a").len());
    assert_eq!(
        kinds,
        [
            good,
            (false, MAX_PIECE_BYTES),
            (false, huge.len() - MAX_PIECE_BYTES),
            good,
            good
        ]
    );
}

#[test]
fn many_broken_marks_take_no_longer_than_sound_ones() {
    for mark in [
        "<!-- x ",
        "<![CDATA[ x ",
        "<!DOCTYPE [",
        "<? x ",
        "<a '",
        "<record>",
        "<record><leader>",
        "&",
        "<",
    ] {
        let file = mark.repeat((1 << 20) / mark.len());
        let started = std::time::Instant::now();
        split(Format::MarcXml, file.as_bytes(), 64 << 10);
        // Each search to the end of the file, from each mark, would take hours.
        assert!(started.elapsed().as_secs() < 60, "{mark}");
    }
}

#[test]
fn a_record_is_written_as_utf_8_with_lengths_of_its_own() {
    let mut record = book("a");
    record.leader = Leader::from_bytes(b"99999cas  3x99999 i 45  ").0;
    let raw = record.to_iso2709().unwrap();
    assert_eq!(&raw[..5], format!("{:05}", raw.len()).as_bytes());
    assert_eq!(&raw[5..12], b"cas a22");
    assert_eq!(&raw[12..17], b"00061");
    assert_eq!(&raw[17..24], b" i 4500");
    let decoded = carrel_marc::iso2709::decode(&raw).unwrap();
    assert!(decoded.warnings.is_empty());
    assert_eq!(decoded.record.fields, record.fields);
}

#[test]
fn what_iso_2709_cannot_hold_is_refused() {
    let with = |value: &str| {
        let mut record = book("a");
        record.push_data(Tag::new("505").unwrap(), ['0', ' '], &[('a', value)]);
        record
            .to_iso2709()
            .map(|_| ())
            .map_err(|error| error.reason())
    };
    assert_eq!(with(&"x".repeat(9_994)), Ok(()));
    assert_eq!(with(&"x".repeat(9_995)), Err("MARC_FIELD_TOO_LONG"));
    assert_eq!(with("a\u{1e}b"), Err("MARC_RESERVED_CHARACTER"));
    let mut record = book("a");
    for _ in 0..11 {
        record.push_data(
            Tag::new("505").unwrap(),
            ['0', ' '],
            &[('a', &"x".repeat(9_000))],
        );
    }
    assert!(record.to_iso2709().is_ok());
    record.push_control(Tag::new("009").unwrap(), "x".repeat(900));
    assert_eq!(
        record.to_iso2709().unwrap_err().reason(),
        "MARC_RECORD_TOO_LONG"
    );
}
