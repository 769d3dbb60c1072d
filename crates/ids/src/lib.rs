//! Identifiers: UUIDv7 for rows, short references for people.

mod reference;

pub use reference::{InvalidReference, Reference};

use uuid::Uuid;

/// A text that should have been an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier; expected a UUID such as 01932c07-6a3e-7c4e-9b1f-2f4c8f0f7a11")]
pub struct InvalidId;

/// Reads an identifier from the wire: a UUID in its hyphenated form.
///
/// # Errors
/// [`InvalidId`] where the text is anything else; the text itself is not
/// repeated, since it may be a patron's barcode in the wrong field.
pub fn parse(text: &str) -> Result<Uuid, InvalidId> {
    if text.len() != 36 {
        return Err(InvalidId);
    }
    Uuid::try_parse(text).map_err(|_| InvalidId)
}

/// A new identifier, rising with time (UUIDv7, RFC 9562).
#[must_use]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_is_an_identifier() {
        let id = new_id();
        assert_eq!(parse(&id.to_string()), Ok(id));
        for wrong in ["", "7", "3000100012345", &id.simple().to_string()] {
            assert_eq!(parse(wrong), Err(InvalidId), "{wrong:?}");
        }
    }
}
