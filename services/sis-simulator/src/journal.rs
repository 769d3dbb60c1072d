//! The durable store: one file of JSON lines, appended and synced before anything is answered, replayed at start.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::books::{Books, Record};
use crate::error::Error;

/// Requests that share one fsync.
const MOST_JOBS_PER_SYNC: usize = 256;

/// Where the journal of a store folder is.
fn journal_path(folder: &Path) -> PathBuf {
    folder.join("journal.jsonl")
}

enum Job {
    Append {
        records: Vec<Record>,
        done: oneshot::Sender<Result<(), Error>>,
    },
    Close,
}

/// A store that is open.
pub(crate) struct Opened {
    pub(crate) journal: Journal,
    /// What was in the store, and what the journal has appended since.
    pub(crate) books: Arc<RwLock<Books>>,
    /// Ends after [`Journal::close`], and with it the lock on the store.
    pub(crate) writer: JoinHandle<()>,
}

/// Appends records to the file and, once they are on the disk, to the books.
#[derive(Clone)]
pub(crate) struct Journal {
    jobs: mpsc::Sender<Job>,
}

impl Journal {
    /// Opens and replays the store in `folder`, and starts its writer.
    pub(crate) fn open(folder: &Path) -> Result<Opened, Error> {
        let path = journal_path(folder);
        let unusable = |source| Error::StoreUnusable {
            path: path.clone(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(unusable)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(unusable)?;
        // The lock goes with the process, so a kill leaves nothing to clean up.
        file.try_lock().map_err(|refused| match refused {
            TryLockError::WouldBlock => Error::StoreInUse { path: path.clone() },
            TryLockError::Error(source) => unusable(source),
        })?;
        // A file that was just created is durable only when its folder is.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(unusable)?;

        let mut tail = Tail {
            file,
            good_bytes: 0,
            broken: false,
        };
        let books = Arc::new(RwLock::new(tail.replay(&path)?));
        let (jobs, queue) = mpsc::channel();
        let writer = std::thread::Builder::new()
            .name("sis-journal".to_owned())
            .spawn({
                let books = Arc::clone(&books);
                move || write_until_closed(&queue, &mut tail, &books)
            })
            .map_err(unusable)?;
        let journal = Self { jobs };
        Ok(Opened {
            journal,
            books,
            writer,
        })
    }

    /// Returns when the records are durable and in the books, or with the reason why none of them is.
    pub(crate) async fn append(&self, records: Vec<Record>) -> Result<(), Error> {
        let (done, answer) = oneshot::channel();
        self.jobs
            .send(Job::Append { records, done })
            .map_err(|_| Error::StoreClosed)?;
        answer.await.map_err(|_| Error::StoreClosed)?
    }

    /// Lets the writer finish what was handed in before.
    pub(crate) fn close(&self) {
        // A writer that is already gone is closed.
        let _ = self.jobs.send(Job::Close);
    }
}

fn write_until_closed(queue: &mpsc::Receiver<Job>, tail: &mut Tail, books: &RwLock<Books>) {
    while let Ok(first) = queue.recv() {
        // Whatever waited behind the last fsync shares the next one.
        let mut closing = false;
        let mut batch = Vec::new();
        let waiting = std::iter::from_fn(|| queue.try_recv().ok()).take(MOST_JOBS_PER_SYNC - 1);
        for job in std::iter::once(first).chain(waiting) {
            match job {
                Job::Append { records, done } => batch.push((records, done)),
                Job::Close => closing = true,
            }
        }
        let written = tail.append(batch.iter().flat_map(|(records, _)| records));
        for (records, done) in batch {
            let answer = match &written {
                Ok(()) => {
                    let mut books = books.write().unwrap_or_else(PoisonError::into_inner);
                    records.into_iter().for_each(|record| books.apply(record));
                    Ok(())
                }
                Err(reason) => Err(Error::NotWritten(reason.clone())),
            };
            // A requester that went away does not undo its record.
            let _ = done.send(answer);
        }
        if closing {
            return;
        }
    }
}

/// The file, and how much of it is known to be whole.
struct Tail {
    file: File,
    good_bytes: u64,
    /// An fsync failed: what the disk holds is no longer known.
    broken: bool,
}

impl Tail {
    fn replay(&mut self, path: &Path) -> Result<Books, Error> {
        let unusable = |source| Error::StoreUnusable {
            path: path.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes).map_err(unusable)?;

        let mut books = Books::default();
        let mut whole = 0;
        for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let is_last = whole + line.len() == bytes.len();
            let read = if line.ends_with(b"\n") {
                serde_json::from_slice(line).map_err(|error| error.to_string())
            } else {
                Err("it has no end".to_owned())
            };
            match read {
                Ok(record) => books.apply(record),
                // A crash in the middle of a write; nobody was answered for this line.
                Err(reason) if is_last => {
                    let torn_bytes = line.len();
                    tracing::warn!(
                        line = index + 1,
                        torn_bytes,
                        reason,
                        "cut the torn last line of the store"
                    );
                    break;
                }
                Err(reason) => {
                    return Err(Error::StoreDamaged {
                        path: path.to_owned(),
                        line: index + 1,
                        reason,
                    });
                }
            }
            whole += line.len();
        }
        self.good_bytes = whole as u64;
        self.cut_back().map_err(unusable)?;
        Ok(books)
    }

    fn append<'a>(&mut self, records: impl Iterator<Item = &'a Record>) -> Result<(), String> {
        if self.broken {
            return Err("an earlier fsync failed; restart the simulator".to_owned());
        }
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record).map_err(|error| error.to_string())?;
            lines.push(b'\n');
        }
        if let Err(error) = self.file.write_all(&lines) {
            // A full disk: the half-written lines go, so that the next one does not join them.
            self.broken = self.cut_back().is_err();
            return Err(error.to_string());
        }
        if let Err(error) = self.file.sync_data() {
            self.broken = true;
            return Err(error.to_string());
        }
        self.good_bytes += lines.len() as u64;
        Ok(())
    }

    fn cut_back(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.good_bytes)?;
        self.file.seek(SeekFrom::Start(self.good_bytes))?;
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn move_clock(offset_ms: i64) -> Vec<Record> {
        vec![Record::ClockMoved { offset_ms }]
    }

    fn offset_ms(books: &RwLock<Books>) -> i64 {
        books.read().unwrap().clock_offset_ms
    }

    #[tokio::test]
    async fn what_was_appended_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let Opened {
            journal,
            books,
            writer,
        } = Journal::open(folder.path()).unwrap();
        journal.append(move_clock(1)).await.unwrap();
        journal.append(move_clock(2)).await.unwrap();
        assert_eq!(offset_ms(&books), 2);
        journal.close();
        writer.join().unwrap();
        assert!(matches!(
            journal.append(move_clock(3)).await,
            Err(Error::StoreClosed)
        ));

        let books = Journal::open(folder.path()).unwrap().books;
        assert_eq!(offset_ms(&books), 2);
    }

    #[tokio::test]
    async fn a_torn_last_line_is_cut_and_the_next_record_follows_cleanly() {
        for torn in ["{\"record\":\"clock-mo", "{\"record\":\"clock-mo\n"] {
            let folder = tempfile::tempdir().unwrap();
            let good = "{\"record\":\"clock-moved\",\"offset_ms\":7}\n";
            std::fs::write(journal_path(folder.path()), format!("{good}{torn}")).unwrap();

            let Opened {
                journal,
                books,
                writer,
            } = Journal::open(folder.path()).unwrap();
            assert_eq!(offset_ms(&books), 7);
            journal.append(move_clock(8)).await.unwrap();
            journal.close();
            writer.join().unwrap();

            let stored = std::fs::read_to_string(journal_path(folder.path())).unwrap();
            assert_eq!(stored, format!("{good}{}", good.replace('7', "8")));
        }
    }

    #[test]
    fn damage_in_the_middle_is_refused_by_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let good = "{\"record\":\"clock-moved\",\"offset_ms\":7}\n";
        std::fs::write(
            journal_path(folder.path()),
            format!("{good}nonsense\n{good}"),
        )
        .unwrap();
        let refused = Journal::open(folder.path()).err().unwrap();
        assert!(
            matches!(refused, Error::StoreDamaged { line: 2, .. }),
            "{refused}"
        );
    }

    #[test]
    fn a_second_simulator_may_not_share_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Journal::open(folder.path()).unwrap();
        let refused = Journal::open(folder.path()).err().unwrap();
        assert!(matches!(refused, Error::StoreInUse { .. }), "{refused}");
    }
}
