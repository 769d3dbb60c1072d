//! Both formats behind one door: telling them apart, splitting and decoding.

use memchr::memmem;

use crate::decoded::Decoded;
use crate::error::DecodeError;
use crate::piece::Piece;
use crate::{iso2709, marcxml};

/// How records follow one another in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// ISO 2709, the exchange format of MARC 21 (`.mrc`).
    Iso2709,
    /// MARCXML: `collection`, a bare `record`, or records inside of other XML such as OAI-PMH and
    /// SRU answers.
    MarcXml,
}

/// What the first bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniffed {
    /// Records in this format.
    Records(Format),
    /// Compressed with gzip: decompress it and sniff again.
    Gzip,
}

/// Tells the format from the first bytes of a file; a few hundred are enough.
///
/// What is neither XML nor gzip is taken for ISO 2709, so that a file that is nothing of all this
/// ends in quarantine, byte for byte, instead of being passed over.
pub fn sniff(first_bytes: &[u8]) -> Sniffed {
    const FIELD_TERMINATOR: u8 = 0x1e;
    if first_bytes.starts_with(b"\x1f\x8b") {
        return Sniffed::Gzip;
    }
    let text = first_bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(first_bytes)
        .trim_ascii_start();
    let xml = text.starts_with(b"<") || marcxml::is_utf16(first_bytes) || {
        // Something before the document, such as the headers of an HTTP answer.
        let head = &text[..text.len().min(4096)];
        !head.contains(&FIELD_TERMINATOR)
            && (memmem::find(head, b"<?xml").is_some()
                || memmem::find(head, b"http://www.loc.gov/MARC21/slim").is_some())
    };
    Sniffed::Records(if xml {
        Format::MarcXml
    } else {
        Format::Iso2709
    })
}

/// What has to be known of a file to read one of its records alone, later as well: keep its
/// [`name`](Form::name) beside the raw bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// ISO 2709.
    Iso2709,
    /// MARCXML in the encoding that the document declared.
    MarcXml(XmlEncoding),
}

/// The encoding an XML declaration names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum XmlEncoding {
    /// UTF-8, ASCII, or nothing declared.
    #[default]
    Utf8,
    /// Windows-1252, and ISO 8859-1 of which it is a superset in print.
    Windows1252,
    /// Any other: read only as far as it is UTF-8 all the same.
    Unsupported,
}

impl Form {
    /// A stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iso2709 => "iso2709",
            Self::MarcXml(XmlEncoding::Utf8) => "marcxml",
            Self::MarcXml(XmlEncoding::Windows1252) => "marcxml-windows-1252",
            Self::MarcXml(XmlEncoding::Unsupported) => "marcxml-unsupported-encoding",
        }
    }

    /// The form with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Iso2709,
            Self::MarcXml(XmlEncoding::Utf8),
            Self::MarcXml(XmlEncoding::Windows1252),
            Self::MarcXml(XmlEncoding::Unsupported),
        ]
        .into_iter()
        .find(|form| form.name() == name)
    }
}

/// Reads the record that a piece holds.
pub fn decode(form: Form, raw: &[u8]) -> Result<Decoded, DecodeError> {
    match form {
        Form::Iso2709 => iso2709::decode(raw),
        Form::MarcXml(encoding) => marcxml::decode(raw, encoding),
    }
}

/// Cuts a file of either format into pieces, as its bytes arrive.
///
/// After each [`push`](Self::push), and after [`finish`](Self::finish), call
/// [`next_piece`](Self::next_piece) until it gives `None`. How the bytes were cut into chunks makes
/// no difference to the pieces.
#[derive(Debug)]
pub enum Splitter {
    /// For ISO 2709.
    Iso2709(iso2709::Iso2709Splitter),
    /// For MARCXML.
    MarcXml(Box<marcxml::MarcXmlSplitter>),
}

impl Splitter {
    /// A splitter for a file in this format.
    pub fn new(format: Format) -> Self {
        match format {
            Format::Iso2709 => Self::Iso2709(iso2709::Iso2709Splitter::new()),
            Format::MarcXml => Self::MarcXml(Box::default()),
        }
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Iso2709(splitter) => splitter.push(bytes),
            Self::MarcXml(splitter) => splitter.push(bytes),
        }
    }

    /// Says that the file is complete, so that its tail becomes a piece.
    pub fn finish(&mut self) {
        match self {
            Self::Iso2709(splitter) => splitter.finish(),
            Self::MarcXml(splitter) => splitter.finish(),
        }
    }

    /// The next piece; `None` until more bytes are pushed, and at the end of the file.
    pub fn next_piece(&mut self) -> Option<Piece<'_>> {
        match self {
            Self::Iso2709(splitter) => splitter.next_piece(),
            Self::MarcXml(splitter) => splitter.next_piece(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_format() {
        const ISO: Sniffed = Sniffed::Records(Format::Iso2709);
        const XML: Sniffed = Sniffed::Records(Format::MarcXml);
        for (bytes, expected) in [
            (&b"00714cam a2200205 a 4500"[..], ISO),
            (b"\r\n     cam a2200205 a 4500", ISO),
            (b"\xef\xbb\xbf00714cam a2200205 a 4500", ISO),
            (b"", ISO),
            (b"=LDR  00714cam a2200205 a 4500", ISO),
            (b"<?xml version=\"1.0\"?><collection>", XML),
            (b"\xef\xbb\xbf\r\n <record>", XML),
            (b"\xff\xfe<\0r\0", XML),
            (b"\0<\0r", XML),
            (b"HTTP/1.1 200 OK\r\n\r\n<?xml version=\"1.0\"?>", XML),
            (
                b"00714cam a2200205 a 4500245\x1e10\x1faWriting <?xml by hand",
                ISO,
            ),
            (b"\x1f\x8b\x08\0", Sniffed::Gzip),
        ] {
            assert_eq!(
                sniff(bytes),
                expected,
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    #[test]
    fn a_form_is_found_again_by_its_name() {
        for encoding in [
            XmlEncoding::Utf8,
            XmlEncoding::Windows1252,
            XmlEncoding::Unsupported,
        ] {
            assert_eq!(
                Form::from_name(Form::MarcXml(encoding).name()),
                Some(Form::MarcXml(encoding))
            );
        }
        assert_eq!(Form::from_name("iso2709"), Some(Form::Iso2709));
        assert_eq!(Form::from_name("marcjson"), None);
    }
}
