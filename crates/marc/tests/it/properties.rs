//! What holds for every record and every file.

use carrel_marc::{
    DataField, Field, Format, Leader, Record, Subfield, Tag, XmlEncoding, iso2709, marcxml,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::stories::{Kept, split};

/// Text of all planes, without what the format in question cannot hold.
fn text() -> impl Strategy<Value = String> {
    "[ -~\u{a0}-\u{2ff}\u{300}-\u{36f}\u{600}-\u{6ff}\u{4e00}-\u{4eff}\u{1f600}-\u{1f64f}\t\n\r]{0,40}"
}

fn field() -> impl Strategy<Value = Field> {
    let subfield = ("[a-z0-9!%@]", text()).prop_map(|(code, value)| Subfield {
        code: code.chars().next().unwrap(),
        value,
    });
    let data = ("[1-9][0-9]{2}", "[ 0-9a-z|]{2}", vec(subfield, 1..6)).prop_map(
        |(tag, indicators, subfields)| {
            let mut indicators = indicators.chars();
            let indicators = [indicators.next().unwrap(), indicators.next().unwrap()];
            Field::Data(DataField {
                tag: Tag::new(&tag).unwrap(),
                indicators,
                subfields,
            })
        },
    );
    let control = ("00[1-9]", text()).prop_map(|(tag, value)| {
        Field::Control(carrel_marc::ControlField {
            tag: Tag::new(&tag).unwrap(),
            value,
        })
    });
    prop_oneof![1 => control, 4 => data]
}

fn record() -> impl Strategy<Value = Record> {
    (
        "[acdnp][a-z][a-z][ a]",
        "[ 1-8uz][ acinu][ abcr]",
        vec(field(), 1..20),
    )
        .prop_map(|(types, levels, fields)| {
            let leader = format!("00000{types}a2200000{levels}4500");
            let (leader, _) = Leader::from_bytes(leader.as_bytes().try_into().unwrap());
            Record { leader, fields }
        })
}

/// Small changes that files suffer.
#[derive(Debug, Clone)]
enum Damage {
    Overwrite(Index, u8),
    Insert(Index, u8),
    Remove(Index, usize),
    Double(Index, usize),
    CutOff(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = prop_oneof![
        any::<u8>(),
        select(b"\x1d\x1e\x1f\x1b0159 \n<>/\"&![-".to_vec())
    ];
    prop_oneof![
        (any::<Index>(), byte.clone()).prop_map(|(at, byte)| Damage::Overwrite(at, byte)),
        (any::<Index>(), byte).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Damage::Double(at, length)),
        any::<Index>().prop_map(Damage::CutOff),
    ]
}

fn damaged(mut file: Vec<u8>, damages: Vec<Damage>) -> Vec<u8> {
    for damage in damages {
        if file.is_empty() {
            break;
        }
        match damage {
            Damage::Overwrite(at, byte) => *at.get_mut(&mut file) = byte,
            Damage::Insert(at, byte) => file.insert(at.index(file.len()), byte),
            Damage::Remove(at, length) => {
                let at = at.index(file.len());
                file.drain(at..file.len().min(at + length));
            }
            Damage::Double(at, length) => {
                let at = at.index(file.len());
                let again = file[at..file.len().min(at + length)].to_vec();
                file.splice(at..at, again);
            }
            Damage::CutOff(at) => file.truncate(at.index(file.len())),
        }
    }
    file
}

/// Splits in chunks of different sizes with the same result, and decodes without a panic. What is
/// read can be written and read again.
fn survives(
    format: Format,
    file: &[u8],
    chunk: usize,
) -> Result<Vec<Result<Record, &'static str>>, TestCaseError> {
    let whole = split(format, file, file.len());
    for chunk in [1, chunk] {
        prop_assert_eq!(
            &split(format, file, chunk),
            &whole,
            "in chunks of {}",
            chunk
        );
    }
    let mut outcomes = Vec::new();
    for piece in whole {
        let Kept::Record(raw, form) = piece else {
            continue;
        };
        outcomes.push(match carrel_marc::decode(form, &raw) {
            Ok(decoded) => {
                let xml = decoded.record.to_marcxml();
                prop_assert!(marcxml::decode(xml.as_bytes(), XmlEncoding::Utf8).is_ok());
                if let Ok(raw) = decoded.record.to_iso2709() {
                    prop_assert!(iso2709::decode(&raw).is_ok());
                }
                Ok(decoded.record)
            }
            Err(error) => {
                prop_assert!(error.position() <= raw.len().max(carrel_marc::MAX_PIECE_BYTES));
                Err(error.reason())
            }
        });
    }
    Ok(outcomes)
}

fn iso_file(records: &[Record]) -> Vec<u8> {
    records
        .iter()
        .flat_map(|record| record.to_iso2709().unwrap())
        .collect()
}

fn xml_file(records: &[Record]) -> Vec<u8> {
    let records: String = records.iter().map(Record::to_marcxml).collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<collection>{records}</collection>\n")
        .into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_record_written_in_iso_2709_is_read_as_it_was(record in record()) {
        let raw = record.to_iso2709().unwrap();
        let decoded = iso2709::decode(&raw).unwrap();
        prop_assert_eq!(&decoded.record.fields, &record.fields);
        prop_assert!(decoded.warnings.is_empty(), "{:?}", decoded.warnings);
        prop_assert_eq!(decoded.record.to_iso2709().unwrap(), raw);
    }

    #[test]
    fn a_record_written_in_marcxml_is_read_as_it_was(record in record()) {
        let xml = record.to_marcxml();
        let decoded = marcxml::decode(xml.as_bytes(), XmlEncoding::Utf8).unwrap();
        prop_assert_eq!(decoded.record, record);
        prop_assert!(decoded.warnings.is_empty(), "{:?}", decoded.warnings);
    }

    #[test]
    fn sound_files_give_their_records_however_they_arrive(records in vec(record(), 0..6), chunk in 2..300_usize) {
        for (format, file) in [(Format::Iso2709, iso_file(&records)), (Format::MarcXml, xml_file(&records))] {
            let read = survives(format, &file, chunk)?;
            let fields: Vec<_> = read.into_iter().map(|record| record.unwrap().fields).collect();
            let expected: Vec<_> = records.iter().map(|record| record.fields.clone()).collect();
            prop_assert_eq!(fields, expected);
        }
    }

    /// The records before and after the one that is damaged are read as they were, as long as the
    /// damage leaves them alone.
    #[test]
    fn damage_to_one_record_leaves_the_others(
        victim in record(),
        damages in vec(damage(), 1..4),
        chunk in 2..300_usize,
    ) {
        let mut neighbour = Record::new(Leader::default());
        neighbour.push_control(Tag::new("001").unwrap(), "neighbour");
        neighbour.push_data(Tag::new("245").unwrap(), ['0', '0'], &[('a', "Emma")]);

        let good = neighbour.to_iso2709().unwrap();
        let file = [&good[..], &damaged(victim.to_iso2709().unwrap(), damages.clone()), &good, &good].concat();
        let read = survives(Format::Iso2709, &file, chunk)?;
        let whole = |read: &[Result<Record, &str>]| {
            read.iter().filter(|record| record.as_ref().is_ok_and(|record| record.fields == neighbour.fields)).count()
        };
        prop_assert_eq!(whole(&read), 3, "{:?}", read);

        let good = neighbour.to_marcxml();
        let bad = damaged(victim.to_marcxml().into_bytes(), damages);
        let file = [good.as_bytes(), &bad, good.as_bytes(), good.as_bytes()].concat();
        let read = survives(Format::MarcXml, &file, chunk)?;
        prop_assert!(whole(&read) >= 2, "{:?}", read);
    }

    #[test]
    fn any_bytes_are_split_and_refused_without_a_panic(bytes in vec(any::<u8>(), 0..600), chunk in 2..50_usize) {
        survives(Format::Iso2709, &bytes, chunk)?;
        survives(Format::MarcXml, &bytes, chunk)?;
    }

    #[test]
    fn any_marks_are_split_and_refused_without_a_panic(
        marks in vec(select(vec![
            "<record>", "<x:record a='", "</record>", "<leader>", "</leader>", "<datafield tag='245'>", "<header/>", "<!--", "-->",
            "<![CDATA[", "]]>", "<?xml encoding='latin1'?>", "?>", "<!DOCTYPE [", "]>", "'", "\"", ">", "<", "&", ";", "\u{e9}", " ", "text",
            "\u{1d}", "\u{1e}", "00026nam a2200025   4500", "001000500000",
        ]), 0..40),
        chunk in 2..50_usize,
    ) {
        let file = marks.concat().into_bytes();
        survives(Format::Iso2709, &file, chunk)?;
        survives(Format::MarcXml, &file, chunk)?;
    }
}
