//! Writes a record as MARCXML.

use std::fmt::Write;

use crate::record::{Field, Record};

const NAMESPACE: &str = "http://www.loc.gov/MARC21/slim";

impl Record {
    /// The record as a `record` element in the namespace of MARCXML, of any size; leader 09 is `a`.
    /// Characters that XML cannot hold (most controls) become U+FFFD.
    ///
    /// ```
    /// use carrel_marc::{Leader, Record, Tag, XmlEncoding, marcxml};
    ///
    /// let mut record = Record::new(Leader::default());
    /// record.push_data(Tag::new("245").unwrap(), ['1', '0'], &[('a', "Dombey & Son")]);
    /// let xml = record.to_marcxml();
    /// assert!(xml.contains("<subfield code=\"a\">Dombey &amp; Son</subfield>"));
    /// assert_eq!(marcxml::decode(xml.as_bytes(), XmlEncoding::Utf8).unwrap().record.fields, record.fields);
    /// ```
    pub fn to_marcxml(&self) -> String {
        let mut xml = String::new();
        self.write_marcxml(&mut xml)
            .expect("a String takes any text");
        xml
    }

    fn write_marcxml(&self, xml: &mut String) -> std::fmt::Result {
        let leader = self.leader.as_str();
        write!(
            xml,
            "<record xmlns=\"{NAMESPACE}\"><leader>{}a{}</leader>",
            Escaped(&leader[..9]),
            Escaped(&leader[10..])
        )?;
        for field in &self.fields {
            match field {
                Field::Control(field) => {
                    let (tag, value) = (Escaped(field.tag.as_str()), Escaped(&field.value));
                    write!(xml, "<controlfield tag=\"{tag}\">{value}</controlfield>")?;
                }
                Field::Data(field) => {
                    let [first, second] = field.indicators.map(String::from);
                    let (tag, first, second) = (
                        Escaped(field.tag.as_str()),
                        Escaped(&first),
                        Escaped(&second),
                    );
                    write!(
                        xml,
                        "<datafield tag=\"{tag}\" ind1=\"{first}\" ind2=\"{second}\">"
                    )?;
                    for subfield in &field.subfields {
                        let code = subfield.code.to_string();
                        let (code, value) = (Escaped(&code), Escaped(&subfield.value));
                        write!(xml, "<subfield code=\"{code}\">{value}</subfield>")?;
                    }
                    xml.push_str("</datafield>");
                }
            }
        }
        xml.push_str("</record>");
        Ok(())
    }
}

/// Text as it stands in an element or attribute. Line ends are written as references: XML readers
/// normalise bare ones.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\t' => formatter.write_str("&#9;")?,
                '\n' => formatter.write_str("&#10;")?,
                '\r' => formatter.write_str("&#13;")?,
                '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                    formatter.write_char(char::REPLACEMENT_CHARACTER)?
                }
                _ => formatter.write_char(character)?,
            }
        }
        Ok(())
    }
}
