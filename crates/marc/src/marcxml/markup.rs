//! Tells the marks of XML apart, byte by byte, in documents that need not be well-formed.
//!
//! Each mark ends as early as it can be seen to be broken, so that one that is never closed costs
//! no record behind it. No search goes beyond the next mark of its kind, so that many broken ones
//! do not cost the square of their number.

use memchr::{memchr, memchr2, memmem};

/// A mark longer than this is taken for text.
pub(super) const MAX_MARK_BYTES: usize = 1 << 20;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mark<'a> {
    /// A start tag; the name is without prefix.
    Open { name: &'a [u8], empty: bool },
    /// An end tag.
    Close { name: &'a [u8] },
    /// `<?xml …?>`
    Declaration,
    /// A section of text.
    CharacterData,
    /// A comment, another processing instruction, or a document type.
    Other,
    /// A `<` that begins none of these.
    Text,
}

/// Reads the mark that begins with the `<` at the start of `bytes`, and gives its length. `None` if
/// it may go on behind the end of `bytes`; then `complete`, or enough bytes, make it end there.
pub(super) fn read(bytes: &[u8], complete: bool) -> Option<(Mark<'_>, usize)> {
    let within = &bytes[..bytes.len().min(MAX_MARK_BYTES)];
    let complete = complete || within.len() == MAX_MARK_BYTES;
    const TEXT: (Mark<'_>, usize) = (Mark::Text, 1);
    const COMMENT: &[u8] = b"<!--";
    const CHARACTER_DATA: &[u8] = b"<![CDATA[";
    const DOCUMENT_TYPE: &[u8] = b"<!DOCTYPE";
    // "<!-" may become a comment.
    if !complete
        && [COMMENT, CHARACTER_DATA, DOCUMENT_TYPE]
            .iter()
            .any(|start| start.starts_with(within))
    {
        return None;
    }
    let begins_with = |start: &[u8]| within.starts_with(start);
    let found = if begins_with(COMMENT) {
        section(within, COMMENT, b"-->").map(|end| end.map(|end| (Mark::Other, end)))
    } else if begins_with(CHARACTER_DATA) {
        section(within, CHARACTER_DATA, b"]]>").map(|end| end.map(|end| (Mark::CharacterData, end)))
    } else if begins_with(DOCUMENT_TYPE) {
        document_type(within, DOCUMENT_TYPE).map(|end| end.map(|end| (Mark::Other, end)))
    } else if begins_with(b"<?") {
        instruction(within).map(|end| {
            let declaration =
                begins_with(b"<?xml") && within.get(5).is_some_and(u8::is_ascii_whitespace);
            end.map(|end| {
                (
                    if declaration {
                        Mark::Declaration
                    } else {
                        Mark::Other
                    },
                    end,
                )
            })
        })
    } else if begins_with(b"</") {
        tag_end(within, complete).map(|end| {
            Some((
                Mark::Close {
                    name: local_name(&within[2..end]),
                },
                end,
            ))
        })
    } else if within
        .get(1)
        .is_some_and(|&first| first.is_ascii_alphabetic() || first == b'_' || first >= 0x80)
    {
        tag_end(within, complete).map(|end| {
            let empty = within[..end].ends_with(b"/>");
            Some((
                Mark::Open {
                    name: local_name(&within[1..end]),
                    empty,
                },
                end,
            ))
        })
    } else {
        (within.len() > 1).then_some(None)
    };
    match found {
        Some(mark) => Some(mark.unwrap_or(TEXT)),
        None if complete => Some(TEXT),
        None => None,
    }
}

/// The end of a comment or CDATA section: `Some(None)` if another one begins before it ends, which
/// neither may.
fn section(bytes: &[u8], start: &[u8], end: &[u8]) -> Option<Option<usize>> {
    let body = &bytes[start.len()..];
    let again = memmem::find(body, start);
    // They may overlap: "<!-->".
    let before = again.map_or(body.len(), |at| body.len().min(at + end.len() - 1));
    match memmem::find(&body[..before], end) {
        Some(at) => Some(Some(start.len() + at + end.len())),
        None => again.map(|_| None),
    }
}

/// The end of a processing instruction: `Some(None)` if another mark begins before it ends.
fn instruction(bytes: &[u8]) -> Option<Option<usize>> {
    let again = memchr(b'<', &bytes[1..]).map(|at| at + 1);
    match memmem::find(&bytes[..again.unwrap_or(bytes.len())], b"?>") {
        Some(at) => Some(Some(at + 2)),
        None => again.map(|_| None),
    }
}

/// The end of a document type, with the declarations it may hold in brackets: `Some(None)` if
/// another one begins before it ends.
fn document_type(bytes: &[u8], start: &[u8]) -> Option<Option<usize>> {
    let again = memmem::find(&bytes[1..], start).map(|at| at + 1);
    let body = &bytes[..again.unwrap_or(bytes.len())];
    document_type_end(body)
        .map(Some)
        .or_else(|| again.map(|_| None))
}

fn document_type_end(bytes: &[u8]) -> Option<usize> {
    let first = memchr2(b'>', b'[', bytes)?;
    if bytes[first] == b'>' {
        return Some(first + 1);
    }
    let mut from = first;
    loop {
        from += memchr(b']', &bytes[from..])? + 1;
        let blanks = bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        if *bytes.get(from + blanks)? == b'>' {
            return Some(from + blanks + 1);
        }
    }
}

/// The end of a start or end tag. A `<` ends it as well, even in an attribute: it is not allowed
/// there, and stands where a quote or `>` was forgotten.
fn tag_end(bytes: &[u8], complete: bool) -> Option<usize> {
    let mut quote = None;
    for (at, &byte) in bytes.iter().enumerate().skip(1) {
        match (byte, quote) {
            (b'<', _) => return Some(at),
            (b'>', None) => return Some(at + 1),
            (b'"' | b'\'', None) => quote = Some(byte),
            (_, Some(open)) if byte == open => quote = None,
            _ => {}
        }
    }
    complete.then_some(bytes.len())
}

fn local_name(tag: &[u8]) -> &[u8] {
    let end = tag
        .iter()
        .position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>' | b'<'));
    let name = &tag[..end.unwrap_or(tag.len())];
    let prefix = name.iter().rposition(|&byte| byte == b':');
    &name[prefix.map_or(0, |colon| colon + 1)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(name: &str, empty: bool) -> Mark<'_> {
        Mark::Open {
            name: name.as_bytes(),
            empty,
        }
    }

    #[test]
    fn each_mark_is_told_with_its_length() {
        for (text, mark, length) in [
            ("<record>x", open("record", false), 8),
            ("<marc:record xmlns:marc='a>b'>x", open("record", false), 30),
            ("<record\n/>", open("record", true), 10),
            ("</srw:record >x", Mark::Close { name: b"record" }, 14),
            ("<?xml version='1.0'?><a>", Mark::Declaration, 21),
            ("<?xml-stylesheet href='a'?><a>", Mark::Other, 27),
            ("<!-- <record> -->x", Mark::Other, 17),
            ("<![CDATA[<record>]]>x", Mark::CharacterData, 20),
            (
                "<!DOCTYPE a [<!ENTITY b \"<record>\"> ] >x",
                Mark::Other,
                39,
            ),
            ("< 5", Mark::Text, 1),
            // Broken ones end where that shows.
            (
                "<subfield code=\"a>text</subfield>",
                open("subfield", false),
                22,
            ),
            ("<record <leader>", open("record", false), 8),
            ("<!-- never closed <!-- closed -->", Mark::Text, 1),
            ("<!-- <record><!-->", Mark::Text, 1),
            ("<![CDATA[ never closed <![CDATA[ closed ]]>", Mark::Text, 1),
            ("<!DOCTYPE a [ <!DOCTYPE b>", Mark::Text, 1),
            ("<!ELEMENT a>", Mark::Text, 1),
            ("<?php never closed <record>?>", Mark::Text, 1),
        ] {
            assert_eq!(read(text.as_bytes(), false), Some((mark, length)), "{text}");
        }
    }

    #[test]
    fn an_unfinished_mark_waits_for_more_or_for_the_end() {
        for (text, at_end) in [
            ("<", Mark::Text),
            ("<!", Mark::Text),
            ("<!-", Mark::Text),
            ("<!-- <record>", Mark::Text),
            ("<![CDATA[ ]]", Mark::Text),
            ("<!DOCTYPE a [ ]", Mark::Text),
            ("<?xml version", Mark::Text),
            ("<record a=\"b>", open("record", false)),
            ("</recor", Mark::Close { name: b"recor" }),
        ] {
            assert_eq!(read(text.as_bytes(), false), None, "{text}");
            assert_eq!(read(text.as_bytes(), true).unwrap().0, at_end, "{text}");
        }
    }
}
