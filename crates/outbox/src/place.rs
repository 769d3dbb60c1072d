//! Places in a feed, and the feed's two ends.

use carrel_proto::events::v1::Cursor;
use sqlx::PgPool;
use uuid::Uuid;

/// A place in a feed: after the event with this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The feed's epoch.
    pub epoch: Uuid,
    /// The number of the last event before the place; 0 is the beginning.
    pub number: i64,
    /// That event's id.
    pub event_id: Option<Uuid>,
}

/// A cursor that no feed gave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a feed's cursor: epoch and event id must be UUIDs, the number 0 or more")]
pub struct InvalidCursor;

impl Place {
    /// Reads a place from the wire.
    ///
    /// # Errors
    /// [`InvalidCursor`].
    pub fn read(cursor: &Cursor) -> Result<Self, InvalidCursor> {
        let parse = |text: &str| carrel_ids::parse(text).map_err(|_| InvalidCursor);
        let event_id = match cursor.event_id.as_str() {
            "" => None,
            text => Some(parse(text)?),
        };
        if cursor.number < 0 {
            return Err(InvalidCursor);
        }
        Ok(Self {
            epoch: parse(&cursor.epoch)?,
            number: cursor.number,
            event_id,
        })
    }
}

impl From<Place> for Cursor {
    fn from(place: Place) -> Self {
        Self {
            epoch: place.epoch.to_string(),
            number: place.number,
            event_id: place.event_id.map_or_else(String::new, |id| id.to_string()),
        }
    }
}

/// Both ends of a service's own feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Ends {
    /// The feed's epoch.
    pub epoch: Uuid,
    /// The newest number.
    pub number: i64,
    /// The newest event.
    pub event_id: Option<Uuid>,
    /// The newest number that was deleted for its age.
    pub forgotten_number: i64,
    /// The event that had it.
    pub forgotten_event_id: Option<Uuid>,
}

impl Ends {
    /// After the newest event.
    #[must_use]
    pub fn head(&self) -> Place {
        Place {
            epoch: self.epoch,
            number: self.number,
            event_id: self.event_id,
        }
    }

    /// Before the oldest event that is kept.
    #[must_use]
    pub fn tail(&self) -> Place {
        Place {
            epoch: self.epoch,
            number: self.forgotten_number,
            event_id: self.forgotten_event_id,
        }
    }
}

/// Reads the ends of this database's feed.
///
/// # Errors
/// The database's.
pub async fn ends(pool: &PgPool) -> Result<Ends, sqlx::Error> {
    sqlx::query_as(
        "select epoch, number, event_id, forgotten_number, forgotten_event_id from feed_head",
    )
    .fetch_one(pool)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_as_it_was_sent() {
        for event_id in [None, Some(carrel_ids::new_id())] {
            let place = Place {
                epoch: carrel_ids::new_id(),
                number: 7,
                event_id,
            };
            assert_eq!(Place::read(&Cursor::from(place)), Ok(place));
        }
    }

    #[test]
    fn a_cursor_that_no_feed_gave_out_is_refused() {
        let epoch = carrel_ids::new_id().to_string();
        let cursor = |epoch: &str, number, event_id: &str| Cursor {
            epoch: epoch.to_owned(),
            number,
            event_id: event_id.to_owned(),
        };
        for wrong in [
            cursor("", 1, ""),
            cursor("first", 1, ""),
            cursor(&epoch, -1, ""),
            cursor(&epoch, 1, "last"),
        ] {
            assert_eq!(Place::read(&wrong), Err(InvalidCursor), "{wrong:?}");
        }
    }
}
