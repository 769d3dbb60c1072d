//! The query data of a service: made by its macros, compared, written.
//!
//! A query macro asks the database that the service's variable names, unless that is unset: then it reads
//! `.sqlx/query-<hash of the statement>.json` beside the manifest. With a database, it also writes that
//! file to `SQLX_OFFLINE_DIR`. So the data are made by compiling every target of the service anew.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::schema::Service;

/// File name to content.
pub type QueryData = BTreeMap<String, Vec<u8>>;

/// The data of all queries in the service's code, asked from the database at `url`.
pub fn query_data(service: &Service, url: &str, workspace: &Path) -> Result<QueryData> {
    let folder = workspace.join("target/dev-database").join(&service.name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {folder:?}"))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {folder:?}"))?;
    touch_sources(&service.folder)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "check",
            "--quiet",
            "--all-targets",
            "--package",
            &format!("carrel-{}", service.name),
        ])
        .current_dir(workspace)
        .env(service.variable(), url)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", &folder)
        .status()
        .context("running cargo")?;
    if !status.success() {
        bail!(
            "carrel-{} does not compile; its query data stay as they are",
            service.name
        );
    }
    read(&folder)
}

/// The data that the service has.
pub fn committed(service: &Service) -> Result<QueryData> {
    read(&service.folder.join(".sqlx"))
}

/// How the committed data differ from those found, in words; `None` where they do not.
pub fn difference(committed: &QueryData, found: &QueryData) -> Option<String> {
    let new = found
        .keys()
        .filter(|name| !committed.contains_key(*name))
        .count();
    let stale = committed
        .keys()
        .filter(|name| !found.contains_key(*name))
        .count();
    let changed = found
        .iter()
        .filter(|(name, data)| committed.get(*name).is_some_and(|old| old != *data))
        .count();
    (new + stale + changed > 0)
        .then(|| format!("{new} new, {changed} changed, {stale} no longer used"))
}

/// Makes the committed data what was found.
pub fn write(service: &Service, committed: &QueryData, found: &QueryData) -> Result<()> {
    let folder = service.folder.join(".sqlx");
    fs::create_dir_all(&folder).with_context(|| format!("making {folder:?}"))?;
    for name in committed.keys().filter(|name| !found.contains_key(*name)) {
        fs::remove_file(folder.join(name))
            .with_context(|| format!("removing {name} from {folder:?}"))?;
    }
    for (name, data) in found {
        if committed.get(name) != Some(data) {
            fs::write(folder.join(name), data)
                .with_context(|| format!("writing {name} to {folder:?}"))?;
        }
    }
    Ok(())
}

fn read(folder: &Path) -> Result<QueryData> {
    let mut data = QueryData::new();
    for path in entries(folder)? {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if name.starts_with("query-") && name.ends_with(".json") {
            data.insert(
                name,
                fs::read(&path).with_context(|| format!("reading {path:?}"))?,
            );
        }
    }
    Ok(data)
}

/// Makes Cargo compile the service again: it does not know that the macros read a variable.
fn touch_sources(folder: &Path) -> Result<()> {
    for path in entries(folder)? {
        if path.is_dir() {
            touch_sources(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let touched = File::options()
                .append(true)
                .open(&path)
                .and_then(|file| file.set_modified(SystemTime::now()));
            touched.with_context(|| format!("touching {path:?}"))?;
        }
    }
    Ok(())
}

/// What lies in a folder; nothing where there is none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let listed = fs::read_dir(folder).and_then(|entries| {
        entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    });
    listed.with_context(|| format!("reading {folder:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(entries: &[(&str, &str)]) -> QueryData {
        entries
            .iter()
            .map(|(name, content)| (format!("query-{name}.json"), content.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn the_same_data_do_not_differ() {
        assert_eq!(difference(&data(&[("a", "1")]), &data(&[("a", "1")])), None);
    }

    #[test]
    fn new_changed_and_stale_queries_are_counted() {
        let committed = data(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let found = data(&[("b", "2"), ("c", "1"), ("d", "1"), ("e", "1")]);
        assert_eq!(
            difference(&committed, &found).as_deref(),
            Some("2 new, 1 changed, 1 no longer used")
        );
    }
}
