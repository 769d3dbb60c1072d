//! Records written by hand, one oddity each.

use super::*;
use WarningKind::{
    ElementUnknown, FieldLeftOut, IndicatorsUnusual, LeaderLength, LeaderNotAscii,
    ReferenceUnknown, StrayTerminator, SubfieldMissing, TagUnusual,
};

const LEADER: &str = "<leader>00714cam a2200205 a 4500</leader>";

fn read(fields: &str) -> Result<Decoded, DecodeError> {
    decode(
        format!("<record>{LEADER}{fields}</record>").as_bytes(),
        XmlEncoding::Utf8,
    )
}

/// The value of the first 245 $a and the kinds of warning.
fn title(fields: &str) -> (String, Vec<WarningKind>) {
    let decoded = read(fields).unwrap_or_else(|error| panic!("{fields}: {error}"));
    let title = decoded
        .record
        .subfields("245", 'a')
        .next()
        .unwrap_or_default()
        .to_owned();
    (
        title,
        decoded
            .warnings
            .into_iter()
            .map(|warning| warning.kind)
            .collect(),
    )
}

fn in_title(text: &str) -> (String, Vec<WarningKind>) {
    title(&format!(
        "<datafield tag='245' ind1='1' ind2='0'><subfield code='a'>{text}</subfield></datafield>"
    ))
}

fn of_leader(leader: &str) -> Result<(String, Vec<WarningKind>), DecodeError> {
    let raw = format!("<record>{leader}<controlfield tag='001'>1</controlfield></record>");
    let decoded = decode(raw.as_bytes(), XmlEncoding::Utf8)?;
    let kinds = decoded
        .warnings
        .iter()
        .map(|warning| warning.kind)
        .collect();
    Ok((decoded.record.leader.to_string(), kinds))
}

#[test]
fn a_sound_record_is_read_whatever_its_prefix() {
    for prefix in ["", "marc:"] {
        let raw = format!(
            "<{prefix}record xmlns='http://www.loc.gov/MARC21/slim' type='Bibliographic'>
              <!-- one --><{prefix}leader>00714cam a2200205 a 4500</{prefix}leader>
              <{prefix}controlfield tag=\"008\">930421s1993    xxu  </{prefix}controlfield>
              <{prefix}datafield tag=\"245\" ind1=\"1\" ind2=\"0\">
                <{prefix}subfield code=\"a\">Emma</{prefix}subfield><{prefix}subfield code='c'/>
              </{prefix}datafield></{prefix}record>"
        );
        let decoded = decode(raw.as_bytes(), XmlEncoding::Utf8).unwrap();
        assert!(decoded.warnings.is_empty(), "{:?}", decoded.warnings);
        assert_eq!(decoded.record.leader.as_str(), "00714cam a2200205 a 4500");
        assert_eq!(decoded.record.control("008"), Some("930421s1993    xxu  "));
        let field = decoded.record.fields("245").next().unwrap();
        assert_eq!(
            (field.indicators, field.value('a'), field.value('c')),
            (['1', '0'], Some("Emma"), Some(""))
        );
    }
}

#[test]
fn text_is_kept_as_it_was_meant() {
    for (text, expected) in [
        (" two  blanks ", " two  blanks "),
        (
            "Dombey &amp; Son &lt;1848&gt; &quot;&apos;",
            "Dombey & Son <1848> \"'",
        ),
        ("&#233;&#xE9;", "éé"),
        ("<![CDATA[AT&T <b>]]>", "AT&T <b>"),
        ("line\r\nline", "line\nline"),
        ("be<!-- no -->fore", "before"),
        ("&amp;amp;", "&amp;"),
    ] {
        assert_eq!(in_title(text), (expected.to_owned(), vec![]), "{text}");
    }
}

#[test]
fn references_that_xml_does_not_know_are_kept_as_written() {
    for text in [
        "AT&T",
        "Dogs & cats",
        "a&b;c",
        "&nbsp;",
        "&bomb;",
        "&#xFFFFFFF;",
        "&#0;",
        "&",
    ] {
        assert_eq!(
            in_title(text),
            (text.to_owned(), vec![ReferenceUnknown]),
            "{text}"
        );
    }
    assert_eq!(
        in_title("&#x1F;"),
        ("\u{fffd}".to_owned(), vec![StrayTerminator])
    );
}

#[test]
fn a_leader_is_filled_up_or_cut_but_not_guessed() {
    let leader = |text: &str| of_leader(&format!("<leader>{text}</leader>"));
    for (text, expected, kinds) in [
        (
            "     cam a22     2  4500",
            "     cam a22     2  4500",
            vec![],
        ),
        (
            "\n  00714cam a2200205 a 4500\n  ",
            "00714cam a2200205 a 4500",
            vec![],
        ),
        (
            "\n00714cam a2200205 a 4500\n",
            "00714cam a2200205 a 4500",
            vec![],
        ),
        (
            "00714cam a22002054500",
            "00714cam a2200205   4500",
            vec![LeaderLength],
        ),
        (
            "00714cam a2200205 a 45",
            "00714cam a2200205 a 45  ",
            vec![LeaderLength],
        ),
        (
            "00714cam a2200205 a 4500xx",
            "00714cam a2200205 a 4500",
            vec![LeaderLength],
        ),
        (
            "00714cam a22002058&lt; 4500",
            "00714cam a22002058< 4500",
            vec![],
        ),
        (
            "00714cam a2200205 é 4500",
            "00714cam a2200205   4500",
            vec![LeaderNotAscii],
        ),
    ] {
        assert_eq!(
            leader(text).unwrap(),
            (expected.to_owned(), kinds),
            "{text}"
        );
    }
    assert_eq!(
        leader("      Z   22 4500"),
        Err(DecodeError::LeaderTooShort { length: 17 })
    );
    assert_eq!(
        of_leader("<leader/>"),
        Err(DecodeError::LeaderTooShort { length: 0 })
    );
    assert_eq!(of_leader(""), Err(DecodeError::LeaderMissing));
}

#[test]
fn odd_fields_are_read_and_marked() {
    let emma = "<subfield code='a'>Emma</subfield>";
    for (fields, kind) in [
        (
            format!("<datafield tag='245' ind1='' ind2='0'>{emma}</datafield>"),
            IndicatorsUnusual,
        ),
        (
            format!("<datafield tag='245' ind2='0'>{emma}</datafield>"),
            IndicatorsUnusual,
        ),
        (
            format!("<datafield tag='245' ind1='10' ind2='0'>{emma}</datafield>"),
            IndicatorsUnusual,
        ),
        (
            format!(
                "<datafield tag='30-' ind1=' ' ind2=' '/><datafield tag='245' ind1='1' ind2='0'>{emma}</datafield>"
            ),
            TagUnusual,
        ),
        (
            "<datafield tag='245' ind1='1' ind2='0'><subfield>Emma</subfield></datafield>"
                .to_owned(),
            SubfieldMissing,
        ),
        (
            format!(
                "<datafield tag='245' ind1='1' ind2='0'><subfield code='created'>2020</subfield>{emma}</datafield>"
            ),
            FieldLeftOut,
        ),
        (
            format!(
                "<datafield tag='245' ind1='1' ind2='0'>{emma}</datafield><note><b>x</b></note>"
            ),
            ElementUnknown,
        ),
        (
            format!("<datafield tag='245' ind1='1' ind2='0'><b>x</b>{emma}</datafield>"),
            ElementUnknown,
        ),
        (
            format!(
                "<datafield tag='INST' ind1='1' ind2='0'>{emma}</datafield><datafield tag='245' ind1='1' ind2='0'>{emma}</datafield>"
            ),
            FieldLeftOut,
        ),
    ] {
        let (title, kinds) = title(&fields);
        assert_eq!(title, "Emma", "{fields}");
        assert!(kinds.contains(&kind), "{fields}: {kinds:?}");
    }
    let decoded = read("<controlfield tag='1'>12</controlfield>").unwrap();
    assert_eq!(decoded.record.control("001"), Some("12"));
    assert!(decoded.has(TagUnusual));
}

#[test]
fn what_is_not_marcxml_is_an_error_with_its_place() {
    let reason = |fields: &str| {
        let error = read(fields).unwrap_err();
        assert!(error.position() > 0, "{error}");
        error.reason()
    };
    assert_eq!(reason("stray"), "MARC_XML_STRAY_TEXT");
    assert_eq!(
        reason("<datafield tag='245' ind1='1' ind2='0'>Emma</datafield>"),
        "MARC_XML_STRAY_TEXT"
    );
    assert_eq!(
        reason("<controlfield tag='001'><b>1</b></controlfield>"),
        "MARC_XML_UNEXPECTED_ELEMENT"
    );
    assert_eq!(
        reason("<controlfield tag=''>1</controlfield>"),
        "MARC_TAG_UNREADABLE"
    );
    assert_eq!(
        reason("<controlfield>1</controlfield>"),
        "MARC_TAG_UNREADABLE"
    );
    assert_eq!(reason("<datafield tag='é45'/>"), "MARC_TAG_UNREADABLE");
    assert_eq!(
        reason("<controlfield tag='001'>1</datafield>"),
        "MARC_XML_MALFORMED"
    );
    assert_eq!(
        reason("<controlfield tag=001>1</controlfield>"),
        "MARC_XML_MALFORMED"
    );
    assert_eq!(reason("<controlfield tag='001'>1"), "MARC_XML_MALFORMED");
    assert_eq!(read("").unwrap_err(), DecodeError::NoFields);
    assert_eq!(
        decode(b"<record/>", XmlEncoding::Utf8).unwrap_err(),
        DecodeError::NoFields
    );
}

#[test]
fn entities_do_not_grow() {
    let bomb = "<!DOCTYPE record [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]>";
    let raw = format!("{bomb}<record>{LEADER}<controlfield tag='001'>&b;</controlfield></record>");
    let decoded = decode(raw.as_bytes(), XmlEncoding::Utf8).unwrap();
    assert_eq!(decoded.record.control("001"), Some("&b;"));
    assert!(decoded.has(ReferenceUnknown));
}
