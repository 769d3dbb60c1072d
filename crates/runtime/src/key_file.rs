//! Files that hold keys.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Why a key file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It can't be read or written.
    #[error("the key file {} can't be used: {cause}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What hinders.
        cause: io::Error,
    },
    /// It does not hold what it should.
    #[error("the key file {} does not hold a key; expected {expected}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
}

pub(crate) fn read(path: &Path) -> Result<String, KeyFileError> {
    std::fs::read_to_string(path).map_err(|cause| KeyFileError::Unusable {
        path: path.to_owned(),
        cause,
    })
}

/// Writes a file that did not exist, readable by its owner only.
pub(crate) fn create(path: &Path, content: &[u8]) -> Result<(), KeyFileError> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        })
        .map_err(|cause| KeyFileError::Unusable {
            path: path.to_owned(),
            cause,
        })
}
