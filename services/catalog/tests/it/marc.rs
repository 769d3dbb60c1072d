//! Records for the stories, written by the standard.

use carrel_marc::{Leader, Record, Tag};

/// A record that is being written.
pub struct Draft(Record);

/// A book with a control number of the district's.
pub fn book(number: &str, title: &str) -> Draft {
    of_type(b"00000nam a2200000 i 4500", number, title)
}

pub fn of_type(leader: &[u8; 24], number: &str, title: &str) -> Draft {
    let mut record = Record::new(Leader::from_bytes(leader).0);
    if !number.is_empty() {
        record.push_control(tag("001"), number);
        record.push_control(tag("003"), "AVCCD");
    }
    let draft = Draft(record);
    draft.data("245", &[('a', title)])
}

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

impl Draft {
    pub fn data(mut self, name: &str, subfields: &[(char, &str)]) -> Self {
        self.0.push_data(tag(name), [' ', ' '], subfields);
        self
    }

    pub fn control(mut self, name: &str, value: &str) -> Self {
        self.0.push_control(tag(name), value);
        self
    }

    /// A copy as Koha writes it.
    pub fn copy(self, barcode: &str, location: &str) -> Self {
        let library = location.split('-').next().unwrap().to_owned();
        self.data(
            "952",
            &[
                ('0', "0"),
                ('a', &library),
                ('c', location),
                ('o', "PS1 .A1"),
                ('p', barcode),
                ('t', "1"),
                ('v', "24.95"),
                ('y', "BK"),
            ],
        )
    }

    /// As ISO 2709.
    pub fn iso(&self) -> Vec<u8> {
        self.0.to_iso2709().unwrap()
    }

    /// As MARCXML.
    pub fn xml(&self) -> String {
        self.0.to_marcxml()
    }
}

/// A file of these records.
pub fn file(records: &[Draft]) -> Vec<u8> {
    records.iter().flat_map(Draft::iso).collect()
}

/// A file of this many small books, numbered from 1.
pub fn many_books(count: usize) -> Vec<u8> {
    (1..=count)
        .flat_map(|number| book(&format!("N{number:06}"), &format!("Volume {number}")).iso())
        .collect()
}
