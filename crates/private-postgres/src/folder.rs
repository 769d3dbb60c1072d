//! The folder of a private server: whose it is, whether the server can reach it, what lies in it.
//!
//! `data/` is PostgreSQL's own, `run/` holds its socket, `server.log` what it says, and `lock` is
//! held by the process that runs it. Everything belongs to the server's account with mode 0700: that
//! is what keeps other users out, so connections over the socket need no password.
//!
//! As root, whatever is written here is written by a command run as the account, so that a link
//! planted by that account never makes root touch another file.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf, absolute};

use tempfile::TempDir;

use crate::account::Account;
use crate::{Error, Place};

/// A socket's path has to fit into `sockaddr_un`: 108 bytes with Linux, 104 elsewhere, NUL included.
const SOCKET_PATH_MAX_BYTES: usize = 103;

/// The port in the socket's file name; the folder is private, so it never collides.
pub(crate) const SOCKET_PORT: u16 = 5432;

/// Run as the account. The lock file comes first: it marks the folder as ours.
const TAKE_FOLDER: &str = r#"umask 077; cd "$1" && : >>lock && chmod 700 . && mkdir -p run"#;

/// A folder that is locked by this process and reachable by its account.
#[derive(Debug)]
pub(crate) struct Folder {
    pub root: PathBuf,
    pub account: Account,
    /// Where the socket lies: `run/`, or elsewhere when that path is too long for a socket.
    pub socket_dir: PathBuf,
    _lock: File,
    /// Removed by the supervisor once the server is gone; they remove themselves where none came.
    temporary: Vec<TempDir>,
}

impl Folder {
    /// Makes or takes the folder, and locks it.
    pub fn take(place: &Place) -> Result<Self, Error> {
        let mut temporary = Vec::new();
        let (root, account) = match place {
            Place::Temporary => {
                let account = Account::for_this_process()?;
                let folder = temporary_folder(&account)?;
                let root = folder.path().to_owned();
                temporary.push(folder);
                (root, account)
            }
            Place::Kept(path) => kept_folder(path)?,
        };
        let lock = lock(&root, &account)?;
        let mut socket_dir = root.join("run");
        let socket = socket_dir.join(format!(".s.PGSQL.{SOCKET_PORT}"));
        if socket.as_os_str().len() > SOCKET_PATH_MAX_BYTES {
            let folder = temporary_folder(&account)?;
            socket_dir = folder.path().to_owned();
            temporary.push(folder);
        }
        Ok(Self {
            root,
            account,
            socket_dir,
            _lock: lock,
            temporary,
        })
    }

    /// PostgreSQL's own data.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// What the server says.
    pub fn log(&self) -> PathBuf {
        self.root.join("server.log")
    }

    /// The folders to remove once the server is gone, empty where there is none: the root or nothing,
    /// and the socket's or nothing.
    pub fn removed_at_end(&self) -> [&OsStr; 2] {
        let path = |number: usize| {
            self.temporary
                .get(number)
                .map_or(OsStr::new(""), |folder| folder.path().as_os_str())
        };
        [path(0), path(1)]
    }

    /// Major version that wrote the data; `None` where there is none yet.
    pub fn data_major(&self) -> Option<String> {
        let version = fs::read_to_string(self.data().join("PG_VERSION")).ok()?;
        Some(version.trim().to_owned())
    }

    /// The process that runs, or ran, a server on this folder.
    pub fn server_process(&self) -> Option<u32> {
        server_process(&self.root)
    }
}

fn server_process(root: &Path) -> Option<u32> {
    let content = fs::read_to_string(root.join("data/postmaster.pid")).ok()?;
    content.lines().next()?.trim().parse().ok()
}

/// Where temporary files go. Root's place may be closed to the account (`TMPDIR=/root/tmp`), hence
/// the others.
fn temporary_place(account: &Account) -> Option<PathBuf> {
    let places = [
        std::env::temp_dir(),
        PathBuf::from("/tmp"),
        PathBuf::from("/var/tmp"),
    ];
    places
        .into_iter()
        .find(|place| !account.is_other() || account.blocked_at(place).is_none())
}

/// A new folder of the account's own.
fn temporary_folder(account: &Account) -> Result<TempDir, Error> {
    let place = temporary_place(account).ok_or_else(|| unreachable(account, Path::new("/tmp")))?;
    let folder = tempfile::Builder::new()
        .prefix("carrel-")
        .tempdir_in(&place)
        .map_err(Error::io(format!("making a temporary folder in {place:?}")))?;
    give_to(folder.path(), account)?;
    Ok(folder)
}

fn kept_folder(path: &Path) -> Result<(PathBuf, Account), Error> {
    let root = canonical(path).map_err(Error::io(format!("looking for {path:?}")))?;
    let account = Account::for_this_process()?;
    if account.is_other() {
        let parent = root.parent().unwrap_or(&root);
        if account.blocked_at(parent).is_some() {
            return Err(unreachable(&account, parent));
        }
    }
    match fs::metadata(&root) {
        Ok(found) => existing_folder(root, &found, account),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder(&root, &account)?;
            Ok((root, account))
        }
        Err(error) => Err(Error::io(format!("reading {root:?}"))(error)),
    }
}

fn existing_folder(
    root: PathBuf,
    found: &fs::Metadata,
    account: Account,
) -> Result<(PathBuf, Account), Error> {
    if !found.is_dir() {
        return Err(Error::ForeignFolder { data_dir: root });
    }
    let owner = found.uid();
    if !account.is_other() && owner != account.uid {
        return Err(Error::OtherOwner {
            data_dir: root,
            owner,
            own: account.uid,
        });
    }
    let mut entries = fs::read_dir(&root).map_err(Error::io(format!("reading {root:?}")))?;
    if entries.next().is_some() && !root.join("lock").exists() {
        return Err(Error::ForeignFolder { data_dir: root });
    }
    if account.is_other() && owner != 0 {
        return Ok((root, Account::owner_of(owner, found.gid())));
    }
    give_to(&root, &account)?;
    Ok((root, account))
}

/// Makes the folder with mode 0700, and what is missing above it with 0755 whatever the umask, so
/// that the account can pass.
fn make_folder(root: &Path, account: &Account) -> Result<(), Error> {
    let missing: Vec<&Path> = root
        .ancestors()
        .skip(1)
        .take_while(|folder| !folder.exists())
        .collect();
    for folder in missing.into_iter().rev() {
        fs::create_dir(folder).map_err(Error::io(format!("making {folder:?}")))?;
        fs::set_permissions(folder, Permissions::from_mode(0o755))
            .map_err(Error::io(format!("opening {folder:?}")))?;
    }
    DirBuilder::new()
        .mode(0o700)
        .create(root)
        .map_err(Error::io(format!("making {root:?}")))?;
    give_to(root, account)
}

fn give_to(folder: &Path, account: &Account) -> Result<(), Error> {
    if account.is_other() {
        let action = format!("giving {folder:?} to the account {}", account.name);
        lchown(folder, Some(account.uid), Some(account.gid)).map_err(Error::io(action))?;
    }
    Ok(())
}

/// Takes the lock, which dies with this process.
fn lock(root: &Path, account: &Account) -> Result<File, Error> {
    let output = account
        .command("/bin/sh")
        .args(["-c", TAKE_FOLDER, "sh"])
        .arg(root)
        .output()
        .map_err(Error::io(format!(
            "running a shell as the account {}",
            account.name
        )))?;
    if !output.status.success() {
        if account.is_other() {
            return Err(unreachable(account, root));
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::io(format!("writing to {root:?}"))(io::Error::other(
            said,
        )));
    }
    let path = root.join("lock");
    let lock = File::open(&path).map_err(Error::io(format!("opening {path:?}")))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::AlreadyRunning {
            data_dir: root.to_owned(),
            process: server_process(root),
        }),
        Err(TryLockError::Error(error)) => Err(Error::io(format!("locking {path:?}"))(error)),
    }
}

fn unreachable(account: &Account, path: &Path) -> Error {
    let blocked = account.blocked_at(path).unwrap_or_else(|| path.to_owned());
    Error::Unreachable {
        account: account.name.clone(),
        blocked,
    }
}

/// The path without links, as far as it exists.
fn canonical(path: &Path) -> io::Result<PathBuf> {
    let path = absolute(path)?;
    for existing in path.ancestors() {
        match existing.canonicalize() {
            Ok(base) => {
                let rest = path.strip_prefix(existing).unwrap_or(Path::new(""));
                return Ok(if rest.as_os_str().is_empty() {
                    base
                } else {
                    base.join(rest)
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(path)
}

/// A folder for cached clusters, named after the account, since it alone may use it.
pub(crate) fn cluster_cache() -> PathBuf {
    let account = Account::for_this_process().ok();
    let place = account
        .as_ref()
        .and_then(temporary_place)
        .unwrap_or_else(std::env::temp_dir);
    let uid = account.map_or_else(|| "none".to_owned(), |account| account.uid.to_string());
    place.join(format!("carrel-clusters-{uid}"))
}
