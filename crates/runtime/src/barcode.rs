//! Patron barcodes outside the patrons service: only as an HMAC.

use std::path::Path;

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::key_file::{self, KeyFileError};

/// Length of the key and of an HMAC, in bytes.
const LENGTH: usize = 32;

/// The district's key for barcodes.
#[derive(Clone)]
pub struct BarcodeKey(hmac::Key);

impl BarcodeKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = [0; LENGTH];
        rand::fill(&mut bytes).expect("the system has randomness");
        Self::from_bytes(&bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Reads the key, 32 bytes in base 64, from a file.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let text = key_file::read(path)?;
        match BASE64.decode(text.trim()) {
            Ok(bytes) if bytes.len() == LENGTH => Ok(Self::from_bytes(&bytes)),
            _ => Err(KeyFileError::Malformed {
                path: path.to_owned(),
                expected: "32 bytes in base 64",
            }),
        }
    }

    /// Writes a new random key to a file that only its owner can read.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn create(path: &Path) -> Result<Self, KeyFileError> {
        let mut bytes = [0; LENGTH];
        rand::fill(&mut bytes).expect("the system has randomness");
        key_file::create(path, BASE64.encode(bytes).as_bytes())?;
        Ok(Self::from_bytes(&bytes))
    }

    /// The HMAC-SHA-256 of a barcode.
    #[must_use]
    pub fn hash(&self, barcode: &str) -> [u8; LENGTH] {
        self.sign(barcode.as_bytes())
    }

    /// The fingerprint of a request. Keyed, since a request may hold a barcode
    /// and little else that isn't known: a plain hash of it could be guessed.
    pub(crate) fn fingerprint(&self, request: &[u8]) -> [u8; LENGTH] {
        self.sign(&[b"request\0", request].concat())
    }

    fn sign(&self, bytes: &[u8]) -> [u8; LENGTH] {
        let mut hash = [0; LENGTH];
        hash.copy_from_slice(hmac::sign(&self.0, bytes).as_ref());
        hash
    }
}

impl std::fmt::Debug for BarcodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BarcodeKey(…)")
    }
}
