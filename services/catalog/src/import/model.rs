//! A load: how far it has come, and what happened in it.

use carrel_marc::{Form, Format};
use uuid::Uuid;

use super::profile::LoadProfile;

/// What a load is begun with.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub import_id: Uuid,
    pub source: String,
    /// `None`: to be found out from the first bytes.
    pub format: Option<Format>,
    pub profile: LoadProfile,
    /// Where the bytes that follow begin in the file.
    pub offset: i64,
}

/// Where a load stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Import {
    pub id: Uuid,
    pub source: String,
    pub committed_offset: i64,
    pub read_count: i64,
    pub created_count: i64,
    pub updated_count: i64,
    pub quarantined_count: i64,
    pub item_count: i64,
    pub item_problem_count: i64,
    pub record_bytes: i64,
    pub quarantined_bytes: i64,
    pub separator_bytes: i64,
    pub finished: bool,
}

/// What a reader that goes on in the middle of a file has to know of the bytes
/// before. Batches end behind a record, so it is little.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ResumePoint {
    /// The form of the records so far; it holds the encoding that an XML
    /// declaration named.
    pub form: Option<Form>,
    pub inside: Inside,
}

/// What the place to resume is inside of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Inside {
    #[default]
    Nothing,
    /// XML in UTF-16, of which nothing can be read.
    Utf16,
    /// A MARCXML record that is too large, of which pieces went before.
    Oversize,
}

impl Inside {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Utf16 => "utf16",
            Self::Oversize => "oversize",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Nothing, Self::Utf16, Self::Oversize]
            .into_iter()
            .find(|inside| inside.name() == name)
    }
}

/// A format's name in the database.
pub(crate) fn format_name(format: Format) -> &'static str {
    match format {
        Format::Iso2709 => "iso2709",
        Format::MarcXml => "marcxml",
    }
}

pub(crate) fn format_from_name(name: &str) -> Option<Format> {
    [Format::Iso2709, Format::MarcXml]
        .into_iter()
        .find(|format| format_name(*format) == name)
}

/// Something about one record that is worth a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub offset: i64,
    pub record_number: i64,
    pub reason: &'static str,
    pub description: String,
}
