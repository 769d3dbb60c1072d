//! The folder of real files (MARC records and the like) that some tests read.

use std::env;
use std::path::{Path, PathBuf};

/// Names the folder of real files.
pub const DATA_VARIABLE: &str = "CARREL_TEST_DATA";

/// `1` makes a missing folder a failure, for a machine that is known to have it.
pub const REQUIRE_DATA_VARIABLE: &str = "CARREL_REQUIRE_DATA";

/// The folder of real files: what [`DATA_VARIABLE`] names, else `../shared/data` beside the checkout.
///
/// Where there is none, says so on standard error and returns `None`: the test is to skip.
///
/// # Panics
/// Where there is none and [`REQUIRE_DATA_VARIABLE`] is `1`.
pub fn test_data() -> Option<PathBuf> {
    let named = env::var_os(DATA_VARIABLE).map(PathBuf::from);
    let required = env::var_os(REQUIRE_DATA_VARIABLE).is_some_and(|value| value == "1");
    find(named, required)
}

fn find(named: Option<PathBuf>, required: bool) -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = named.unwrap_or_else(|| workspace.join("../shared/data"));
    if let Ok(found) = folder.canonicalize() {
        return Some(found);
    }
    assert!(
        !required,
        "{REQUIRE_DATA_VARIABLE} is 1, but there is no folder of real data at {folder:?}"
    );
    eprintln!("SKIPPED: no real data at {folder:?} (name its folder in {DATA_VARIABLE})");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_folder_is_taken() {
        let folder = env::temp_dir();
        assert_eq!(find(Some(folder.clone()), true), folder.canonicalize().ok());
    }

    #[test]
    fn a_missing_folder_is_a_skip() {
        assert_eq!(find(Some(PathBuf::from("/nonexistent/data")), false), None);
    }

    #[test]
    #[should_panic(expected = "/nonexistent/data")]
    fn a_missing_folder_is_a_failure_where_it_is_required() {
        find(Some(PathBuf::from("/nonexistent/data")), true);
    }
}
