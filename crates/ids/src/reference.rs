//! The short reference that stands on a student's account and that a desk
//! reads back to a student over the telephone.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Crockford's alphabet: no I, L, O or U, so that nothing is misread.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters in a reference: 40 bits, room for a million millions.
const LENGTH: usize = 8;

/// A short reference such as `7K3QX09B`, in Crockford's base 32.
///
/// It is derived from an id's random bits. Two ids can share one, so that a
/// table that keeps references declares them unique and draws again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference([u8; LENGTH]);

/// A text that is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a reference; expected {LENGTH} letters and digits such as 7K3QX09B")]
pub struct InvalidReference;

impl Reference {
    /// The reference of an id: its last 40 bits, which are random in UUIDv7.
    #[must_use]
    pub fn of(id: Uuid) -> Self {
        let mut bits = id.as_u128();
        let mut text = [0; LENGTH];
        for place in text.iter_mut().rev() {
            *place = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
        }
        Self(text)
    }

    /// The reference as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the alphabet is ASCII")
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    /// Reads what a person typed: lower case is taken, and O, I and L are
    /// read as the digits they are mistaken for.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut read = [0; LENGTH];
        if text.len() != LENGTH {
            return Err(InvalidReference);
        }
        for (place, byte) in read.iter_mut().zip(text.bytes()) {
            let byte = match byte.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                other => other,
            };
            if !ALPHABET.contains(&byte) {
                return Err(InvalidReference);
            }
            *place = byte;
        }
        Ok(Self(read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reference_is_read_as_it_is_spoken() {
        let reference: Reference = "7k3qxo9b".parse().unwrap();
        assert_eq!(reference.as_str(), "7K3QX09B");
        assert!("7K3QX0".parse::<Reference>().is_err());
        assert!("7K3QX0U!".parse::<Reference>().is_err());
        assert!("ééé3".parse::<Reference>().is_err());
    }

    proptest! {
        #[test]
        fn every_id_has_a_reference_that_reads_back(bits: u128) {
            let reference = Reference::of(Uuid::from_u128(bits));
            prop_assert_eq!(reference.as_str().parse(), Ok(reference));
        }
    }
}
