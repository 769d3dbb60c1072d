//! The folder in which a suite keeps its data and tells where it listens.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::access::{ENDPOINTS_FILE, TOKEN_FILE};

/// The file with the databases' addresses, for operators.
pub const DATABASES_FILE: &str = "databases.json";

/// The file that a running suite holds locked.
const LOCK_FILE: &str = "lock";

/// A suite's data folder, which one suite at a time may use.
#[derive(Debug, Clone)]
pub struct DataFolder {
    path: PathBuf,
    _lock: Arc<File>,
}

impl DataFolder {
    /// Makes the folder where it does not exist, and locks it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .with_context(|| {
                format!(
                    "the data folder {} can't be made; choose another with --data",
                    path.display()
                )
            })?;
        let path = path
            .canonicalize()
            .with_context(|| format!("{} can't be found", path.display()))?;
        let in_lock = || format!("{} can't be used", path.join(LOCK_FILE).display());
        let lock = File::create(path.join(LOCK_FILE)).with_context(in_lock)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path,
                _lock: Arc::new(lock),
            }),
            Err(TryLockError::WouldBlock) => bail!(
                "{} is already used by another suite; stop that one, or choose another folder with --data",
                path.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(in_lock),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells where the services listen, where their databases are, and a token
    /// with every permission.
    pub fn publish(
        &self,
        endpoints: &BTreeMap<String, String>,
        databases: &BTreeMap<String, String>,
        token: &str,
    ) -> anyhow::Result<()> {
        // The token first: whoever sees the endpoints can go on at once.
        self.write_private(TOKEN_FILE, token.as_bytes())?;
        self.write_private(DATABASES_FILE, &serde_json::to_vec_pretty(databases)?)?;
        self.write_private(ENDPOINTS_FILE, &serde_json::to_vec_pretty(endpoints)?)
    }

    /// Takes back what [`DataFolder::publish`] told.
    pub fn retract(&self) {
        for name in [ENDPOINTS_FILE, DATABASES_FILE, TOKEN_FILE] {
            // A file that is gone already is no harm.
            let _ = std::fs::remove_file(self.path.join(name));
        }
    }

    /// Writes a file whole or not at all, readable by its owner only.
    fn write_private(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let path = self.path.join(name);
        let draft = self.path.join(format!("{name}.new"));
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| file.write_all(content))
            .and_then(|()| std::fs::rename(&draft, &path));
        written.with_context(|| format!("{} can't be written", path.display()))
    }
}
