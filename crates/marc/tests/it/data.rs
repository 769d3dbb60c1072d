//! Where the real files are, and what is known of each.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

/// A file that INDEX.md lists.
pub struct Listed {
    /// Its path from the data folder.
    pub path: String,
    /// The number of records that INDEX.md gives, if any.
    pub records: Option<usize>,
}

/// The folder with real files; `None`, said aloud, where it is missing and not required.
pub fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("CARREL_TEST_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    if folder.join("INDEX.md").is_file() {
        return Some(folder);
    }
    let required = std::env::var("CARREL_REQUIRE_DATA").is_ok_and(|required| required == "1");
    assert!(
        !required,
        "CARREL_REQUIRE_DATA=1, but there is no INDEX.md in {}",
        folder.display()
    );
    println!(
        "SKIPPED: no real files in {}; set CARREL_TEST_DATA",
        folder.display()
    );
    None
}

/// All files of these folders that a table of INDEX.md lists. The tables have different columns: a
/// row begins with what the heading calls `file`, and the number of records stands as far behind it
/// as the heading says.
pub fn listed(folder: &Path, sides: &[&str]) -> Vec<Listed> {
    let index = std::fs::read_to_string(folder.join("INDEX.md")).unwrap();
    let mut files = Vec::new();
    let mut columns: Vec<String> = Vec::new();
    for line in index.lines() {
        let Some(row) = line.strip_prefix('|') else {
            columns.clear();
            continue;
        };
        let cells: Vec<&str> = row
            .trim_end_matches('|')
            .split('|')
            .map(str::trim)
            .collect();
        if columns.is_empty() {
            columns = cells.iter().map(|&cell| cell.to_owned()).collect();
            continue;
        }
        let column = |name| columns.iter().position(|column| column == name);
        let (Some(file), Some(records)) = (column("file"), column("records")) else {
            continue;
        };
        let path = cells[0];
        if sides
            .iter()
            .any(|side| path.starts_with(&format!("{side}/")))
        {
            let records = cells
                .get(records - file)
                .and_then(|records| records.parse().ok());
            files.push(Listed {
                path: path.to_owned(),
                records,
            });
        }
    }
    files
}

/// The bytes of a file, without its compression.
pub fn content(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_some_and(|extension| extension == "gz") {
        MultiGzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    } else {
        file.read_to_end(&mut bytes).unwrap();
    }
    bytes
}
