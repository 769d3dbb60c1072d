//! What MARCXML is encoded in.

use std::borrow::Cow;

use crate::decoded::{Notes, WarningKind};
use crate::error::DecodeError;
use crate::format::XmlEncoding;

/// Whether the first bytes are those of XML in UTF-16 or UTF-32, with or without a byte order mark.
pub(crate) fn is_utf16(first_bytes: &[u8]) -> bool {
    matches!(
        first_bytes,
        [0xff, 0xfe, ..]
            | [0xfe, 0xff, ..]
            | [b'<', 0, ..]
            | [0, b'<', ..]
            | [0, 0, b'<' | 0xfe, ..]
    )
}

/// The encoding that an XML declaration (`<?xml … encoding="…"?>`) names.
pub(super) fn declared(declaration: &[u8]) -> XmlEncoding {
    let Some(at) = memchr::memmem::find(declaration, b"encoding") else {
        return XmlEncoding::Utf8;
    };
    let is_quote = |byte: &u8| matches!(byte, b'"' | b'\'');
    let mut quoted = declaration[at..].split(is_quote).skip(1);
    match quoted
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
        .as_slice()
    {
        b"utf-8" | b"utf8" | b"us-ascii" | b"ascii" | b"" => XmlEncoding::Utf8,
        b"iso-8859-1" | b"iso8859-1" | b"latin1" | b"latin-1" | b"windows-1252" | b"cp1252" => {
            XmlEncoding::Windows1252
        }
        _ => XmlEncoding::Unsupported,
    }
}

/// The text of a record. UTF-8 is tried first whatever was declared: text in another encoding is
/// not UTF-8 by accident.
pub(super) fn text<'a>(
    raw: &'a [u8],
    encoding: XmlEncoding,
    notes: &mut Notes,
) -> Result<Cow<'a, str>, DecodeError> {
    match (std::str::from_utf8(raw), encoding) {
        (Ok(text), XmlEncoding::Utf8) => Ok(Cow::Borrowed(text)),
        (Ok(text), _) => {
            if !text.is_ascii() {
                notes.record(WarningKind::EncodingMismatch);
            }
            Ok(Cow::Borrowed(text))
        }
        (Err(_), XmlEncoding::Utf8) => {
            notes.record(WarningKind::InvalidUtf8);
            Ok(String::from_utf8_lossy(raw))
        }
        (Err(_), XmlEncoding::Windows1252) => Ok(Cow::Owned(
            raw.iter().map(|&byte| windows_1252(byte)).collect(),
        )),
        (Err(_), XmlEncoding::Unsupported) => Err(DecodeError::XmlEncodingUnsupported),
    }
}

fn windows_1252(byte: u8) -> char {
    /// 80 to 9F; five of them mean nothing.
    const UPPER: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => UPPER[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declaration_names_the_encoding() {
        for (declaration, expected) in [
            (&b"<?xml version=\"1.0\"?>"[..], XmlEncoding::Utf8),
            (
                b"<?xml version='1.0' encoding='utf-8' standalone='no'?>",
                XmlEncoding::Utf8,
            ),
            (
                b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>",
                XmlEncoding::Windows1252,
            ),
            (
                b"<?xml version=\"1.0\" encoding = \"Windows-1252\" ?>",
                XmlEncoding::Windows1252,
            ),
            (
                b"<?xml version=\"1.0\" encoding=\"GB18030\"?>",
                XmlEncoding::Unsupported,
            ),
            (b"<?xml version=\"1.0\" encoding", XmlEncoding::Utf8),
        ] {
            assert_eq!(
                declared(declaration),
                expected,
                "{}",
                String::from_utf8_lossy(declaration)
            );
        }
    }

    #[test]
    fn utf_8_is_tried_before_what_was_declared() {
        let mut notes = Notes::default();
        assert_eq!(
            text("é".as_bytes(), XmlEncoding::Windows1252, &mut notes).unwrap(),
            "é"
        );
        assert_eq!(notes.into_warnings()[0].kind, WarningKind::EncodingMismatch);

        let mut notes = Notes::default();
        assert_eq!(
            text(b"caf\xe9 \x96 \x80", XmlEncoding::Windows1252, &mut notes).unwrap(),
            "café – €"
        );
        assert!(notes.into_warnings().is_empty());

        let mut notes = Notes::default();
        assert_eq!(
            text(b"caf\xe9", XmlEncoding::Utf8, &mut notes).unwrap(),
            "caf\u{fffd}"
        );
        assert_eq!(notes.into_warnings()[0].kind, WarningKind::InvalidUtf8);

        let refused = text(b"caf\xe9", XmlEncoding::Unsupported, &mut Notes::default());
        assert_eq!(refused, Err(DecodeError::XmlEncodingUnsupported));
    }
}
