//! Making a new database cluster with `initdb`, or copying one made earlier.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::account::Account;
use crate::binaries::Server;
use crate::folder::Folder;
use crate::{ADMINISTRATOR, Durability, Error};

/// Names of a UTF-8 character classification, the first that the system knows is taken. Sorting is
/// by code point everywhere ("C"), so that no update of the system's locales corrupts an index; only
/// upper and lower case need a locale.
const CHARACTER_LOCALES: [&str; 4] = ["C.UTF-8", "en_US.UTF-8", "UTF-8", "C"];

/// Temporary folders are swept file by file after ten days on many systems.
const CACHE_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Sees to it that the folder has a cluster that this server can run.
pub(crate) fn ensure(
    folder: &Folder,
    server: &Server,
    durability: Durability,
    cache: Option<&Path>,
) -> Result<(), Error> {
    if let Some(data_major) = folder.data_major() {
        if data_major == server.major.to_string() {
            return Ok(());
        }
        return Err(Error::VersionMismatch {
            data_dir: folder.root.clone(),
            data_major,
            server_major: server.major,
        });
    }
    // Renamed into place when complete: a crash on the way leaves nothing half-made to start on.
    let unfinished = folder.root.join("data.new");
    discard(&unfinished)?;
    match cache.and_then(|cache| Cache::open(cache, &folder.account)) {
        Some(cache) => cache.copy_to(&unfinished, server)?,
        None => initialise(&unfinished, server, &folder.account, durability)?,
    }
    rename(&unfinished, &folder.data())
}

/// Runs `initdb`. Whoever reaches the socket is trusted (the folder's mode decides who does), and
/// nothing connects over the network.
fn initialise(
    target: &Path,
    server: &Server,
    account: &Account,
    durability: Durability,
) -> Result<(), Error> {
    let mut output = String::new();
    for locale in CHARACTER_LOCALES {
        let mut command = account.command(server.bin.join("initdb"));
        command.arg("--pgdata").arg(target);
        command.args([
            "--username",
            ADMINISTRATOR,
            "--encoding",
            "UTF8",
            "--locale",
            "C",
            "--lc-ctype",
            locale,
        ]);
        command.args([
            "--auth-local",
            "trust",
            "--auth-host",
            "reject",
            "--no-instructions",
        ]);
        match durability {
            Durability::Durable => command.arg("--data-checksums"),
            Durability::Fast => command.arg("--no-sync"),
        };
        let ended = command.output().map_err(Error::io("running initdb"))?;
        if ended.status.success() {
            return Ok(());
        }
        output = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
        discard(target)?;
        if !output.contains("locale") {
            break;
        }
    }
    Err(Error::Initialise {
        data_dir: target.to_owned(),
        output,
    })
}

/// Clusters made earlier, one a server version: copying one takes a tenth of `initdb`'s time.
struct Cache<'a> {
    root: &'a Path,
    account: &'a Account,
    lock: File,
}

impl<'a> Cache<'a> {
    /// `None` where the folder is not the account's own: another user may have put it there.
    fn open(root: &'a Path, account: &'a Account) -> Option<Self> {
        let script = r#"umask 077; mkdir -p "$1" && : >>"$1/lock""#;
        let made = account
            .command("/bin/sh")
            .args(["-c", script, "sh"])
            .arg(root)
            .output()
            .ok()?;
        let found = fs::symlink_metadata(root).ok()?;
        let private =
            found.is_dir() && found.uid() == account.uid && found.permissions().mode() & 0o077 == 0;
        if !made.status.success() || !private {
            tracing::warn!(folder = ?root, "the cache of database clusters is not usable and is left alone");
            return None;
        }
        let lock = File::open(root.join("lock")).ok()?;
        Some(Self {
            root,
            account,
            lock,
        })
    }

    fn copy_to(&self, target: &Path, server: &Server) -> Result<(), Error> {
        let template = self.root.join(
            server
                .version
                .replace(|c: char| !c.is_ascii_alphanumeric(), "-"),
        );
        self.lock
            .lock_shared()
            .map_err(Error::io("locking the cache"))?;
        if !is_fresh(&template) {
            self.lock
                .unlock()
                .map_err(Error::io("unlocking the cache"))?;
            self.lock.lock().map_err(Error::io("locking the cache"))?;
            if !is_fresh(&template) {
                self.make(&template, server)?;
            }
        }
        let copied = self
            .account
            .command("cp")
            .arg("-R")
            .args([&template, target])
            .output()
            .map_err(Error::io("running cp"))?;
        if copied.status.success() {
            return Ok(());
        }
        let output = String::from_utf8_lossy(&copied.stderr).trim().to_owned();
        Err(Error::Initialise {
            data_dir: target.to_owned(),
            output,
        })
    }

    fn make(&self, template: &Path, server: &Server) -> Result<(), Error> {
        let unfinished = template.with_extension("new");
        discard(&unfinished)?;
        initialise(&unfinished, server, self.account, Durability::Fast)?;
        discard(template)?;
        rename(&unfinished, template)
    }
}

fn is_fresh(template: &Path) -> bool {
    let made = fs::metadata(template.join("PG_VERSION")).and_then(|found| found.modified());
    made.is_ok_and(|made| {
        SystemTime::now()
            .duration_since(made)
            .is_ok_and(|age| age < CACHE_MAX_AGE)
    })
}

fn discard(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("removing {folder:?}"))(error))
        }
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(Error::io(format!("renaming {from:?} to {to:?}")))
}
