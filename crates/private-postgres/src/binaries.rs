//! Finding the PostgreSQL server that the machine already has.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::Error;

/// The oldest major version that Carrel's SQL runs on.
pub const MINIMUM_MAJOR: u32 = 15;

/// Names the folder of the server binaries, before any search.
pub const BIN_VARIABLE: &str = "CARREL_POSTGRES_BIN";

/// Folders in which packages put one version each: prefix, then the version, then suffix.
const VERSIONED_FOLDERS: [(&str, &str, &str); 6] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// A server on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// The folder of `postgres` and `initdb`.
    pub bin: PathBuf,
    pub major: u32,
    /// As `postgres --version` prints it, minor version and packager included.
    pub version: String,
}

/// The folder of the newest PostgreSQL server (15 or later) on this machine.
///
/// Looks at `CARREL_POSTGRES_BIN`, then `pg_config --bindir` and the versioned folders of the usual
/// packages, then `PATH`.
///
/// # Errors
/// Where there is none, or only older ones.
pub fn find_server_binaries() -> Result<PathBuf, Error> {
    find_server(None).map(|server| server.bin)
}

/// The server to use: of `wanted_major` where there is one (old data needs its own version), else
/// the newest.
pub(crate) fn find_server(wanted_major: Option<u32>) -> Result<Server, Error> {
    if let Some(named) = env::var_os(BIN_VARIABLE).filter(|value| !value.is_empty()) {
        let path = PathBuf::from(named);
        let server =
            inspect(&path).map_err(|reason| Error::NamedFolderUnusable { path, reason })?;
        return accept(vec![server], None);
    }
    let installed = inspect_all(installed_folders());
    // PATH comes last: there `postgres` is often a wrapper or a client-only installation.
    let servers = if installed.is_empty() {
        inspect_all(path_folders())
    } else {
        installed
    };
    accept(servers, wanted_major)
}

fn accept(mut servers: Vec<Server>, wanted_major: Option<u32>) -> Result<Server, Error> {
    servers.sort_by_key(|server| {
        std::cmp::Reverse((Some(server.major) == wanted_major, server.major))
    });
    let Some(best) = servers.into_iter().next() else {
        return Err(Error::ServerNotFound {
            looked_in: format!("{BIN_VARIABLE}, pg_config, /usr/lib/postgresql and the like, PATH"),
        });
    };
    if best.major < MINIMUM_MAJOR {
        return Err(Error::ServerTooOld {
            found: best.version,
            path: best.bin,
        });
    }
    Ok(best)
}

fn inspect_all(folders: Vec<PathBuf>) -> Vec<Server> {
    folders
        .iter()
        .filter_map(|folder| inspect(folder).ok())
        .collect()
}

fn installed_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = pg_config_folder().into_iter().collect();
    for (parent, prefix, suffix) in VERSIONED_FOLDERS {
        let Ok(entries) = fs::read_dir(parent) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let version = name.to_str().and_then(|name| name.strip_prefix(prefix));
            if version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit())) {
                folders.push(entry.path().join(suffix));
            }
        }
    }
    #[cfg(feature = "fetch")]
    folders.extend(crate::fetch::installed_folder());
    folders.extend(["/usr/local/pgsql/bin", "/run/current-system/sw/bin"].map(PathBuf::from));
    folders.sort();
    folders.dedup();
    folders
}

fn pg_config_folder() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let folder = String::from_utf8(output.stdout).ok()?;
    output
        .status
        .success()
        .then(|| PathBuf::from(folder.trim()))
}

fn path_folders() -> Vec<PathBuf> {
    env::var_os("PATH").map_or_else(Vec::new, |path| env::split_paths(&path).collect())
}

/// The server in a folder, or what is missing there.
pub(crate) fn inspect(folder: &Path) -> Result<Server, String> {
    let postgres = folder.join("postgres");
    for program in [&postgres, &folder.join("initdb")] {
        if !program.is_file() {
            return Err(format!("{program:?} does not exist"));
        }
    }
    let output = Command::new(&postgres)
        .arg("--version")
        .output()
        .map_err(|error| error.to_string())?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match parse_major(&version) {
        Some(major) => Ok(Server {
            bin: folder.to_owned(),
            major,
            version,
        }),
        None => Err(format!(
            "`{} --version` answered {version:?}",
            postgres.display()
        )),
    }
}

/// The major version in what `postgres --version` prints, `postgres (PostgreSQL) 15.9 (Debian ...)`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.strip_prefix("postgres (PostgreSQL) ")?;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(major: u32) -> Server {
        Server {
            bin: PathBuf::from(format!("/pg/{major}")),
            major,
            version: format!("{major}.1"),
        }
    }

    #[test]
    fn the_major_version_is_read_from_what_servers_print() {
        let answers = [
            (
                "postgres (PostgreSQL) 15.9 (Debian 15.9-0+deb12u1)",
                Some(15),
            ),
            ("postgres (PostgreSQL) 18.0", Some(18)),
            ("postgres (PostgreSQL) 17beta1", Some(17)),
            ("postgres (PostgreSQL) 9.6.24", Some(9)),
            ("psql 15", None),
            ("", None),
        ];
        for (answer, major) in answers {
            assert_eq!(parse_major(answer), major, "{answer:?}");
        }
    }

    #[test]
    fn the_newest_server_is_taken_unless_old_data_needs_its_own() {
        let servers = || vec![server(15), server(17), server(16)];
        assert_eq!(accept(servers(), None).unwrap().major, 17);
        assert_eq!(accept(servers(), Some(15)).unwrap().major, 15);
        assert_eq!(accept(servers(), Some(18)).unwrap().major, 17);
    }

    #[test]
    fn an_old_server_is_refused_with_the_version_that_is_needed() {
        let message = accept(vec![server(13)], None).unwrap_err().to_string();
        assert!(
            message.contains("13.1") && message.contains("version 15 or later"),
            "{message}"
        );
    }

    #[test]
    fn a_machine_without_a_server_is_told_the_package() {
        let message = accept(Vec::new(), None).unwrap_err().to_string();
        assert!(message.contains("apt-get install postgresql"), "{message}");
    }

    #[test]
    fn a_folder_without_a_server_is_refused() {
        let reason = inspect(Path::new("/nonexistent")).unwrap_err();
        assert!(reason.contains("/nonexistent/postgres"), "{reason}");
    }
}
