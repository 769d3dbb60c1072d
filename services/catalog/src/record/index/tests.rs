//! What is indexed of records like those of real libraries.

use carrel_marc::{Leader, Tag};

use super::*;

type Data<'a> = (&'a str, [char; 2], &'a [(char, &'a str)]);

fn record(leader: &[u8; 24], controls: &[(&str, &str)], data: &[Data<'_>]) -> Indexed {
    let mut record = Marc::new(Leader::from_bytes(leader).0);
    for (tag, value) in controls {
        record.push_control(Tag::new(tag).unwrap(), *value);
    }
    for (tag, indicators, subfields) in data {
        record.push_data(Tag::new(tag).unwrap(), *indicators, subfields);
    }
    index(&Decoded {
        record,
        warnings: Vec::new(),
    })
}

const BOOK: &[u8; 24] = b"00000nam a2200000 i 4500";

#[test]
fn a_book_is_indexed_as_the_technician_knows_it() {
    let indexed = record(
        BOOK,
        &[
            ("001", " AVC000001 "),
            ("003", "AVCCD"),
            ("008", "250818s1762    fr            000 0 fre d"),
        ],
        &[
            ("020", [' ', ' '], &[('a', "0-393-04002-X (pbk.)")]),
            ("020", [' ', ' '], &[('a', "9780393040029")]),
            ("035", [' ', ' '], &[('a', "(OCoLC)ocm00012345")]),
            ("035", [' ', ' '], &[('a', "(CStRLIN)NYCX1604275S")]),
            (
                "100",
                ['1', ' '],
                &[
                    ('a', "Rousseau, Jean-Jacques,"),
                    ('d', "1712-1778."),
                    ('e', "author."),
                ],
            ),
            (
                "245",
                ['1', '0'],
                &[
                    ('6', "880-01"),
                    ('a', "Émile :"),
                    ('b', "ou De l'éducation /"),
                    ('c', "J. J. Rousseau."),
                ],
            ),
            ("246", ['3', ' '], &[('a', "De l'éducation")]),
            (
                "650",
                [' ', '0'],
                &[
                    ('a', "Education"),
                    ('x', "Philosophy"),
                    ('v', "Early works to 1800."),
                ],
            ),
            (
                "650",
                [' ', '0'],
                &[
                    ('a', "Education"),
                    ('x', "Philosophy"),
                    ('v', "Early works to 1800."),
                ],
            ),
            ("700", ['1', ' '], &[('a', "Du Bois, W. E. B.")]),
            ("880", ['1', '0'], &[('6', "245-01/(N"), ('a', "Эмиль")]),
        ],
    );
    assert_eq!(indexed.control_number.as_deref(), Some("AVC000001"));
    assert_eq!(indexed.control_agency, "AVCCD");
    assert_eq!(indexed.title, "Émile : ou De l'éducation");
    assert_eq!(
        indexed.contributors,
        ["Rousseau, Jean-Jacques, 1712-1778", "Du Bois, W. E. B."]
    );
    assert_eq!(indexed.identifiers, ["isbn:9780393040029", "oclc:12345"]);
    assert_eq!(
        indexed.subjects,
        ["Education--Philosophy--Early works to 1800"]
    );
    assert_eq!(
        (indexed.language.as_str(), indexed.publication_year),
        ("fre", Some(1762))
    );
    assert_eq!(
        (indexed.format, indexed.kind),
        (Format::Book, Kind::Bibliographic)
    );
    assert_eq!(
        indexed.title_words,
        "emile ou de l education de l education эмиль"
    );
    assert!(
        indexed
            .contributor_words
            .starts_with("j j rousseau rousseau jean jacques")
    );
    assert!(indexed.warnings.is_empty());
}

#[test]
fn what_is_missing_in_008_is_taken_from_the_fields() {
    let indexed = record(
        BOOK,
        &[("008", "250818q19uu19uuxx ")],
        &[
            ("041", ['1', ' '], &[('a', "spaeng")]),
            ("264", [' ', '1'], &[('c', "[between 1923 and 1936]")]),
            ("245", ['0', '0'], &[('a', "Revista /"), ('c', "X.")]),
        ],
    );
    assert_eq!(
        (indexed.language.as_str(), indexed.publication_year),
        ("spa", Some(1923))
    );
    assert_eq!(indexed.control_number, None);
}

#[test]
fn an_authority_is_kept_by_its_heading() {
    let indexed = record(
        b"00000nz  a2200000n  4500",
        &[
            ("001", "n 79021164"),
            ("008", "800316n| azannaabn          |b aaa      "),
        ],
        &[(
            "100",
            ['1', ' '],
            &[('a', "Twain, Mark,"), ('d', "1835-1910")],
        )],
    );
    assert_eq!(indexed.title, "Twain, Mark, 1835-1910");
    assert_eq!(
        (indexed.kind, indexed.format),
        (Kind::Authority, Format::Other)
    );
    assert_eq!(indexed.publication_year, None);
}

#[test]
fn nul_characters_and_endless_values_do_no_harm() {
    let long = "x\0y ".repeat(100_000);
    let indexed = record(
        b"00000dam a2200000 i 4500",
        &[("001", &long), ("008", "\0\0\0\0\0\0\0\0\0")],
        &[
            ("245", ['0', '0'], &[('a', &long)]),
            ("650", [' ', '0'], &[('a', "a\0b")]),
        ],
    );
    assert_eq!(indexed.title.chars().count(), MOST_CHARACTERS);
    assert!(!indexed.title.contains('\0') && !indexed.title_words.contains('\0'));
    assert_eq!(indexed.subjects, ["ab"]);
    assert_eq!(indexed.control_number, None);
    assert_eq!(
        indexed.warnings,
        ["RECORD_MARKED_DELETED", "CONTROL_NUMBER_UNUSABLE"]
    );
    assert!(indexed.title_words.len() <= MOST_WORD_BYTES);
}
