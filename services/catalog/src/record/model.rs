//! A record as the catalog keeps it, and what kind of thing it is.

use carrel_marc::{Leader, Record as Marc};
use jiff::Timestamp;
use uuid::Uuid;

/// Whose control numbers a record shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Bibliographic,
    Authority,
    Holdings,
    Other,
}

impl Kind {
    /// By leader/06 (MARC 21 formats).
    pub(crate) fn of(leader: &Leader) -> Self {
        match leader.record_type() {
            'z' => Self::Authority,
            'u' | 'v' | 'x' | 'y' => Self::Holdings,
            'q' | 'w' => Self::Other,
            _ => Self::Bibliographic,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bibliographic => "bibliographic",
            Self::Authority => "authority",
            Self::Holdings => "holdings",
            Self::Other => "other",
        }
    }
}

/// What a record describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Book,
    Serial,
    Score,
    Map,
    Video,
    Audio,
    Graphic,
    ComputerFile,
    Object,
    Other,
}

impl Format {
    const ALL: [Self; 10] = [
        Self::Book,
        Self::Serial,
        Self::Score,
        Self::Map,
        Self::Video,
        Self::Audio,
        Self::Graphic,
        Self::ComputerFile,
        Self::Object,
        Self::Other,
    ];

    /// By leader/06 and /07 (MARC 21 bibliographic format).
    pub(crate) fn of(leader: &Leader) -> Self {
        match (leader.record_type(), leader.bibliographic_level()) {
            ('a' | 't', 'b' | 'i' | 's') => Self::Serial,
            ('a' | 't', _) => Self::Book,
            ('c' | 'd', _) => Self::Score,
            ('e' | 'f', _) => Self::Map,
            ('g', _) => Self::Video,
            ('i' | 'j', _) => Self::Audio,
            ('k', _) => Self::Graphic,
            ('m', _) => Self::ComputerFile,
            ('o' | 'p' | 'r', _) => Self::Object,
            _ => Self::Other,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Book => "book",
            Self::Serial => "serial",
            Self::Score => "score",
            Self::Map => "map",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Graphic => "graphic",
            Self::ComputerFile => "computer-file",
            Self::Object => "object",
            Self::Other => "other",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The material type of its items where their fields name none.
    pub(crate) fn material_type(self, record: &Marc) -> &'static str {
        match self {
            Self::Serial => "periodical",
            Self::Audio => "recording",
            // 007/00 v videorecording, /04 v DVD.
            Self::Video if record.control("007").is_some_and(is_dvd) => "dvd",
            other => other.name(),
        }
    }
}

fn is_dvd(physical_description: &str) -> bool {
    let mut characters = physical_description.chars();
    characters.next() == Some('v') && characters.nth(3) == Some('v')
}

/// A record as it is read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub id: Uuid,
    pub control_number: Option<String>,
    pub control_agency: String,
    pub title: String,
    pub contributors: Vec<String>,
    pub identifiers: Vec<String>,
    pub subjects: Vec<String>,
    pub language: String,
    pub publication_year: Option<i16>,
    pub format: String,
    pub warnings: Vec<String>,
    pub raw_form: String,
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub item_count: i32,
    pub available_count: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leader(kind: char, level: char) -> Leader {
        let mut bytes = *b"00000nam a2200000   4500";
        bytes[6] = kind as u8;
        bytes[7] = level as u8;
        Leader::from_bytes(&bytes).0
    }

    #[test]
    fn leader_06_and_07_say_what_it_is() {
        for (kind, level, format, class) in [
            ('a', 'm', Format::Book, Kind::Bibliographic),
            ('a', 's', Format::Serial, Kind::Bibliographic),
            ('a', 'i', Format::Serial, Kind::Bibliographic),
            ('t', 'm', Format::Book, Kind::Bibliographic),
            ('j', 'm', Format::Audio, Kind::Bibliographic),
            ('e', 's', Format::Map, Kind::Bibliographic),
            ('z', ' ', Format::Other, Kind::Authority),
            ('y', ' ', Format::Other, Kind::Holdings),
            ('w', 'n', Format::Other, Kind::Other),
            (' ', ' ', Format::Other, Kind::Bibliographic),
        ] {
            let leader = leader(kind, level);
            assert_eq!(
                (Format::of(&leader), Kind::of(&leader)),
                (format, class),
                "{kind}{level}"
            );
        }
    }

    #[test]
    fn a_format_is_found_again_by_its_name() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.name()), Some(format));
        }
    }
}
