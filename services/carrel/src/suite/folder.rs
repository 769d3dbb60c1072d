//! The folder in which a suite keeps its data and tells where it listens.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::access::{ENDPOINTS_FILE, TOKEN_FILE};

/// The file with the databases' addresses, for operators.
pub const DATABASES_FILE: &str = "databases.json";

/// A suite's data folder.
#[derive(Debug, Clone)]
pub struct DataFolder(PathBuf);

impl DataFolder {
    /// Makes the folder where it does not exist.
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
        Ok(Self(path))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
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
            let _ = std::fs::remove_file(self.0.join(name));
        }
    }

    /// Writes a file whole or not at all, readable by its owner only.
    fn write_private(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let path = self.0.join(name);
        let draft = self.0.join(format!("{name}.new"));
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
