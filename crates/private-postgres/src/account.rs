//! Who runs the server: this user, or as root an unprivileged account, since PostgreSQL refuses root.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::Error;

/// Accounts that root may run the server as, in order of preference.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// The user that runs the server and owns its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// Whether commands must change to this user first: this process is root.
    switch: bool,
}

impl Account {
    /// The account that is to run a server: this user's own, or for root the first of [`ACCOUNTS`].
    pub fn for_this_process() -> Result<Self, Error> {
        let uid = rustix::process::geteuid().as_raw();
        if uid != 0 {
            let gid = rustix::process::getegid().as_raw();
            return Ok(Self {
                name: uid.to_string(),
                uid,
                gid,
                switch: false,
            });
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        ACCOUNTS
            .iter()
            .find_map(|name| in_passwd(&passwd, name))
            .ok_or(Error::NoAccount)
    }

    /// For root: the owner of existing data, who alone may run a server on it.
    pub fn owner_of(uid: u32, gid: u32) -> Self {
        Self {
            name: uid.to_string(),
            uid,
            gid,
            switch: true,
        }
    }

    /// Whether this process must change user to act as the account.
    pub fn is_other(&self) -> bool {
        self.switch
    }

    /// A command run as the account, in `/` and with an environment of its own: no PGDATA, PGPORT
    /// or foreign locale reaches the server.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .current_dir("/")
            .env("LC_ALL", "C")
            .env("TZ", "UTC");
        for variable in ["PATH", "LD_LIBRARY_PATH"] {
            if let Some(value) = env::var_os(variable) {
                command.env(variable, value);
            }
        }
        if self.switch {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// The first existing folder from `/` down to `path` that the account cannot enter.
    pub fn blocked_at(&self, path: &Path) -> Option<PathBuf> {
        let mut ancestors: Vec<&Path> = path.ancestors().collect();
        ancestors.reverse();
        let blocked = ancestors
            .into_iter()
            .find(|folder| fs::metadata(folder).is_ok_and(|found| !self.may_enter(&found)));
        blocked.map(Path::to_owned)
    }

    fn may_enter(&self, folder: &fs::Metadata) -> bool {
        let execute = if folder.uid() == self.uid {
            0o100
        } else if folder.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        folder.permissions().mode() & execute != 0
    }
}

/// An account's line in a passwd file: `name:password:uid:gid:...`.
fn in_passwd(passwd: &str, name: &str) -> Option<Account> {
    let line = passwd
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    let mut ids = line.split(':').skip(2).map(str::parse);
    let (uid, gid) = (ids.next()?.ok()?, ids.next()?.ok()?);
    (uid != 0).then(|| Account {
        name: name.to_owned(),
        uid,
        gid,
        switch: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
                          nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n\
                          postgres2:x:7:7::/:/bin/sh\n";

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let nobody = in_passwd(PASSWD, "nobody").unwrap();
        assert_eq!((nobody.uid, nobody.gid), (65534, 65533));
        assert_eq!(in_passwd(PASSWD, "postgres"), None);
    }

    #[test]
    fn an_account_with_roots_id_does_not_count() {
        assert_eq!(in_passwd(PASSWD, "root"), None);
    }

    #[test]
    fn a_folder_closed_to_others_is_named() {
        let outer = tempfile::tempdir().unwrap();
        let closed = outer.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = Account {
            name: "stranger".into(),
            uid: 4_000_001,
            gid: 4_000_001,
            switch: true,
        };
        assert_eq!(
            stranger.blocked_at(&closed.join("not/yet/there")),
            Some(closed)
        );
        assert_eq!(stranger.blocked_at(outer.path()), None);
    }
}
