//! The server's log file: kept from growing without end, and quoted where a start fails.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::Error;

/// A log beyond this size is put aside at the next start, in place of the one before.
const LOG_MAX_BYTES: u64 = 16 * 1024 * 1024;

const LOG_TAIL_LINES: usize = 20;

/// Makes room for the next run's log.
pub(crate) fn put_aside_large_log(log: &Path) -> Result<(), Error> {
    if fs::metadata(log).is_ok_and(|found| found.len() > LOG_MAX_BYTES) {
        fs::rename(log, log.with_extension("log.1"))
            .map_err(Error::io(format!("renaming {log:?}")))?;
    }
    Ok(())
}

/// What was written after the first `start` bytes.
pub(crate) fn log_since(log: &Path, start: u64) -> String {
    let mut bytes = Vec::new();
    let read = File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(start))?;
        file.read_to_end(&mut bytes)
    });
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("(the log cannot be read: {error})"),
    }
}

/// The last lines of that.
pub(crate) fn log_tail(log: &Path, start: u64) -> String {
    let said = log_since(log, start);
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}
