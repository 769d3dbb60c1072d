//! The levels of the district's places.

use uuid::Uuid;

/// The level of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Institution,
    Campus,
    Library,
    Location,
}

impl Level {
    /// Its number, 1 for the top.
    pub(crate) fn number(self) -> i16 {
        match self {
            Self::Institution => 1,
            Self::Campus => 2,
            Self::Library => 3,
            Self::Location => 4,
        }
    }

    pub(crate) fn from_number(number: i16) -> Option<Self> {
        [
            Self::Institution,
            Self::Campus,
            Self::Library,
            Self::Location,
        ]
        .into_iter()
        .find(|level| level.number() == number)
    }
}

/// A place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocationUnit {
    pub id: Uuid,
    pub level: i16,
    pub parent_id: Option<Uuid>,
    pub code: String,
    pub name: String,
    pub revision: i64,
}

/// A place to be added.
#[derive(Debug, Clone)]
pub(crate) struct NewLocationUnit {
    pub level: Level,
    pub parent_id: Option<Uuid>,
    pub code: String,
    pub name: String,
}
