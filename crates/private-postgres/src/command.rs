//! The server's command line, which holds all its settings: `postgresql.conf` stays as `initdb` made it.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::binaries::Server;
use crate::folder::{Folder, SOCKET_PORT};
use crate::{Durability, Options};

/// `name` becomes the `cluster_name`, by which a client knows which server answers.
pub(crate) fn server_command(
    folder: &Folder,
    server: &Server,
    options: &Options,
    name: &str,
) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec![
        server.bin.join("postgres").into(),
        "-D".into(),
        folder.data().into(),
    ];
    let mut set = |name: &str, value: &str| {
        command.extend([OsString::from("-c"), format!("{name}={value}").into()])
    };
    set("listen_addresses", "");
    set("port", &SOCKET_PORT.to_string());
    set("unix_socket_permissions", "0700");
    set("cluster_name", name);
    set("max_connections", &options.max_connections.to_string());
    set(
        "shared_buffers",
        &format!("{}MB", options.shared_buffers_mb),
    );
    set("timezone", "UTC");
    set("log_timezone", "UTC");
    set("lc_messages", "C");
    // Statements and their values are patrons' business: the log tells of the server only.
    set("log_min_messages", "log");
    set("log_min_error_statement", "panic");
    set("log_error_verbosity", "terse");
    set("max_logical_replication_workers", "0");
    if options.durability == Durability::Fast {
        set("fsync", "off");
        set("full_page_writes", "off");
        set("wal_level", "minimal");
        set("max_wal_senders", "0");
    }
    let mut sockets = OsString::from("unix_socket_directories=");
    sockets.push(quoted_list_entry(&folder.socket_dir));
    command.extend(["-c".into(), sockets]);
    command
}

/// The setting is a list: in quotes, a path keeps commas and blanks; a quote is doubled.
fn quoted_list_entry(path: &Path) -> OsString {
    let mut entry = vec![b'"'];
    for byte in path.as_os_str().as_bytes() {
        entry.push(*byte);
        if *byte == b'"' {
            entry.push(b'"');
        }
    }
    entry.push(b'"');
    OsString::from_vec(entry)
}
