//! Every real file, sound and broken, loaded into one catalog: all its records
//! are read or quarantined, all its bytes are kept, none is lost.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use carrel_proto::catalog::v1::Import;
use carrel_testkit::test_data;
use flate2::read::MultiGzDecoder;

use crate::desk::{Desk, header};
use crate::explained::EXPLAINED;

/// A file that INDEX.md lists, with the number of records it gives.
struct Listed {
    path: String,
    records: Option<i64>,
}

/// All files of this folder that a table of INDEX.md lists. The tables differ:
/// a row begins with what the heading calls `file`, and the number of records
/// stands as far behind it as the heading says.
fn listed(index: &str, side: &str) -> Vec<Listed> {
    let mut files = Vec::new();
    let mut columns: Vec<&str> = Vec::new();
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
            columns = cells;
            continue;
        }
        let column = |name| columns.iter().position(|column| *column == name);
        if let (Some(file), Some(records)) = (column("file"), column("records"))
            && cells[0].starts_with(&format!("{side}/"))
        {
            let records = cells
                .get(records - file)
                .and_then(|records| records.parse().ok());
            files.push(Listed {
                path: cells[0].to_owned(),
                records,
            });
        }
    }
    files
}

fn content(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_none_or(|extension| extension != "gz") {
        return bytes;
    }
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes.as_slice())
        .read_to_end(&mut plain)
        .unwrap();
    plain
}

/// Sums over files.
#[derive(Default)]
struct Totals {
    files: usize,
    bytes: usize,
    sum: Import,
}

impl Totals {
    fn add(&mut self, import: &Import, bytes: usize) {
        self.files += 1;
        self.bytes += bytes;
        self.sum.read_count += import.read_count;
        self.sum.created_count += import.created_count;
        self.sum.updated_count += import.updated_count;
        self.sum.quarantined_count += import.quarantined_count;
        self.sum.item_count += import.item_count;
        self.sum.item_problem_count += import.item_problem_count;
        self.sum.record_bytes += import.record_bytes;
        self.sum.quarantined_bytes += import.quarantined_bytes;
        self.sum.separator_bytes += import.separator_bytes;
    }

    fn print(&self, side: &str, took: Duration) {
        let sum = &self.sum;
        println!(
            "{side}: {} files, {} bytes = {} of records + {} quarantined + {} between; {} read \
             ({} created, {} updated), {} quarantined, {} items, {} item problems; {:.1} s, {:.0} records/s",
            self.files,
            self.bytes,
            sum.record_bytes,
            sum.quarantined_bytes,
            sum.separator_bytes,
            sum.read_count,
            sum.created_count,
            sum.updated_count,
            sum.quarantined_count,
            sum.item_count,
            sum.item_problem_count,
            took.as_secs_f64(),
            sum.read_count as f64 / took.as_secs_f64(),
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_real_file_is_loaded_without_loss() {
    let Some(folder) = test_data() else { return };
    let index = std::fs::read_to_string(folder.join("INDEX.md")).unwrap();
    let desk = Desk::open().await;
    let mut everything = Totals::default();
    let started = Instant::now();
    let mut differences = Vec::new();
    for side in ["marc", "marc_bad", "marcxml"] {
        let files = listed(&index, side);
        assert!(!files.is_empty(), "INDEX.md lists no files in {side}");
        let began = Instant::now();
        let mut totals = Totals::default();
        for file in files {
            let bytes = content(&folder.join(&file.path));
            let (import, _) = desk.load(header(&file.path), &bytes).await.unwrap();
            assert!(import.finished, "{}", file.path);
            let kept = import.record_bytes + import.quarantined_bytes + import.separator_bytes;
            assert_eq!(kept, bytes.len() as i64, "{}", file.path);
            let ours = import.read_count + import.quarantined_count;
            if let Some(why) = unexplained(&file, ours) {
                differences.push(why);
            }
            assert!(
                side != "marc" || import.quarantined_count == 0,
                "{}: a sound record is quarantined",
                file.path
            );
            totals.add(&import, bytes.len());
            everything.add(&import, bytes.len());
        }
        totals.print(side, began.elapsed());
    }
    everything.print("all", started.elapsed());
    assert!(
        differences.is_empty(),
        "not explained:\n{}",
        differences.join("\n")
    );
    assert_nothing_lost(&desk, &everything).await;
}

/// What was counted is in the database, byte for byte.
async fn assert_nothing_lost(desk: &Desk, totals: &Totals) {
    let sum = &totals.sum;
    assert_eq!(desk.count("record").await, sum.created_count);
    assert_eq!(
        desk.count("quarantined_record").await,
        sum.quarantined_count
    );
    let quarantined: i64 =
        sqlx::query_scalar("select sum(octet_length(raw))::bigint from quarantined_record")
            .fetch_one(&desk.database.pool)
            .await
            .unwrap();
    assert_eq!(quarantined, sum.quarantined_bytes);
    // Replaced versions are counted by their revisions.
    let revisions: i64 = sqlx::query_scalar("select sum(revision)::bigint from record")
        .fetch_one(&desk.database.pool)
        .await
        .unwrap();
    assert!(
        revisions <= sum.read_count,
        "{revisions} revisions of {} records read",
        sum.read_count
    );
    for query in ["mozart", "geschichte", "education", "histoire"] {
        let began = Instant::now();
        let found = desk.find(query).await;
        println!(
            "search '{query}': {} on the first page in {:?}",
            found.len(),
            began.elapsed()
        );
        assert!(!found.is_empty());
    }
}

/// What is said where the number of records is neither INDEX.md's nor explained.
fn unexplained(file: &Listed, ours: i64) -> Option<String> {
    let explained = EXPLAINED.iter().find(|(end, ..)| file.path.ends_with(end));
    let as_expected = match (explained, file.records) {
        (Some((_, number, _)), theirs) => {
            i64::try_from(*number) == Ok(ours) && theirs != Some(ours)
        }
        (None, Some(theirs)) => theirs == ours,
        // Files without a number are there to be survived.
        (None, None) => true,
    };
    (!as_expected).then(|| format!("{}: {ours} for {:?}", file.path, file.records))
}
