//! Real files through the program: every file of records, sound and broken,
//! comes to what is in it, to the byte.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use carrel_marc::{Piece, Sniffed, Splitter, sniff};
use carrel_testkit::test_data;

use crate::program::UpSuite;

/// The folders whose files hold ISO 2709 or MARCXML.
const FOLDERS: [&str; 3] = ["marc", "marc_bad", "marcxml"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn content(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return bytes;
    }
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice())
        .read_to_end(&mut plain)
        .unwrap();
    plain
}

/// Pieces of a file that are no separators: what is read and quarantined must
/// add up to. The reader's own tests hold these numbers against the files'
/// index, with the differences explained one by one.
fn records(bytes: &[u8]) -> i64 {
    let Sniffed::Records(format) = sniff(&bytes[..bytes.len().min(512)]) else {
        panic!("still compressed");
    };
    let mut splitter = Splitter::new(format);
    splitter.push(bytes);
    splitter.finish();
    let mut count = 0;
    while let Some(piece) = splitter.next_piece() {
        count += i64::from(matches!(piece, Piece::Record(_) | Piece::Unreadable { .. }));
    }
    count
}

#[tokio::test]
async fn every_real_file_is_loaded_or_quarantined_to_the_byte() {
    let Some(data) = test_data() else { return };
    let mut paths = Vec::new();
    for folder in FOLDERS {
        files(&data.join(folder), &mut paths);
    }
    paths.sort();
    let names: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();

    let suite = UpSuite::start().await;
    let outcomes = suite.import_marc(&names);
    assert_eq!(outcomes.len(), paths.len());
    let (mut read, mut quarantined) = (0, 0);
    for (path, outcome) in paths.iter().zip(&outcomes) {
        let field = |name: &str| {
            outcome[name]
                .as_i64()
                .unwrap_or_else(|| panic!("{outcome}"))
        };
        let bytes = content(path);
        assert_eq!(
            field("record_bytes") + field("quarantined_bytes") + field("separator_bytes"),
            i64::try_from(bytes.len()).unwrap(),
            "{outcome}"
        );
        assert_eq!(
            field("read") + field("quarantined"),
            records(&bytes),
            "{outcome}"
        );
        assert_eq!(
            field("created") + field("updated"),
            field("read"),
            "{outcome}"
        );
        read += field("read");
        quarantined += field("quarantined");
    }
    println!(
        "{} files: {read} records read, {quarantined} quarantined",
        paths.len()
    );
    assert!(read > 10_000 && quarantined > 0);
    assert!(
        !suite.process.log().contains("panicked"),
        "{}",
        suite.process.log()
    );
    suite.stop().await;
}
