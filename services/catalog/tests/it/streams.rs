//! Stories of a load's stream: broken off, resumed, doubled, malformed.

use std::time::Duration;

use carrel_proto::catalog::v1::{GetImportRequest, Import, ImportHeader};
use carrel_testkit::eventually;
use tonic::Code;

use crate::desk::{Desk, header, new_id, refusal, refused};
use crate::marc::many_books;

#[tokio::test]
async fn a_stream_that_breaks_off_is_resumed_without_loss_or_doubling() {
    let desk = Desk::open().await;
    let bytes = many_books(1500);
    let whole = ImportHeader {
        byte_count: bytes.len() as i64,
        ..header("books.mrc")
    };
    let mut load = desk.begin_load(whole.clone()).await.unwrap();
    load.send(&bytes[..100_000]).await;
    let committed = load
        .answer()
        .await
        .unwrap()
        .unwrap()
        .import
        .unwrap()
        .committed_offset;
    assert!(committed > 0 && committed < 100_000);
    load.break_off();

    let get = GetImportRequest {
        id: whole.import_id.clone(),
    };
    let resumed = eventually("the load is let go", Duration::from_secs(10), async || {
        let import = desk
            .records()
            .get_import(get.clone())
            .await
            .unwrap()
            .into_inner()
            .import
            .unwrap();
        assert!(!import.finished);
        let header = ImportHeader {
            offset: import.committed_offset,
            ..whole.clone()
        };
        match desk.load(header, &bytes).await {
            Ok((import, _)) => Some(import),
            Err(status) => {
                assert_eq!(
                    refused(&status),
                    (Code::Aborted, "IMPORT_IN_PROGRESS".into())
                );
                None
            }
        }
    })
    .await;
    assert!(resumed.finished);
    assert_eq!((resumed.read_count, resumed.created_count), (1500, 1500));
    assert_eq!(resumed.record_bytes, bytes.len() as i64);
    assert_eq!(desk.count("record").await, 1500);
    assert_eq!(
        desk.count("(select distinct import_offset from record) offsets")
            .await,
        1500
    );

    let again = desk
        .load(
            ImportHeader {
                offset: resumed.committed_offset,
                ..whole
            },
            &bytes,
        )
        .await;
    assert_eq!(
        refusal(again),
        (Code::FailedPrecondition, "IMPORT_FINISHED".into())
    );
}

#[tokio::test]
async fn two_streams_never_feed_one_import() {
    let desk = Desk::open().await;
    let bytes = many_books(300);
    let shared = header("books.mrc");
    let mut first = desk.begin_load(shared.clone()).await.unwrap();
    let second = desk.begin_load(shared.clone()).await.map(drop);
    assert_eq!(
        refusal(second),
        (Code::Aborted, "IMPORT_IN_PROGRESS".into())
    );
    first.send(&bytes).await;
    first.finish();
    let mut import = Import::default();
    while let Some(answer) = first.answer().await.unwrap() {
        import = answer.import.unwrap();
    }
    assert!(import.finished && import.read_count == 300);
}

#[tokio::test]
async fn a_stream_that_was_given_up_for_dead_can_commit_nothing_more() {
    let desk = Desk::open().await;
    let bytes = many_books(300);
    let shared = header("books.mrc");
    let mut silent = desk.begin_load(shared.clone()).await.unwrap();
    desk.service
        .clock()
        .set(desk.service.clock().now() + jiff::SignedDuration::from_mins(2))
        .unwrap();
    let (import, _) = desk.load(shared, &bytes).await.unwrap();
    assert!(import.finished);
    silent.send(&bytes).await;
    assert_eq!(
        refused(&silent.refusal().await),
        (Code::Aborted, "IMPORT_IN_PROGRESS".into())
    );
    assert_eq!(desk.count("record").await, 300);
}

#[tokio::test]
async fn a_load_goes_on_only_from_the_byte_that_is_due() {
    let desk = Desk::open().await;
    let bytes = many_books(10);
    let skipping = ImportHeader {
        offset: 5,
        ..header("a")
    };
    let status = desk.load(skipping, &bytes).await.unwrap_err();
    assert_eq!(
        refused(&status),
        (Code::FailedPrecondition, "IMPORT_OFFSET_MISMATCH".into())
    );

    let begun = ImportHeader {
        byte_count: bytes.len() as i64,
        ..header("a")
    };
    let load = desk.begin_load(begun.clone()).await.unwrap();
    load.break_off();
    let other = ImportHeader {
        load_profile: "none".into(),
        ..begun
    };
    let changed = eventually("the load is let go", Duration::from_secs(10), async || {
        let status = desk.load(other.clone(), &bytes).await.unwrap_err();
        let reason = refused(&status);
        (reason.1 != "IMPORT_IN_PROGRESS").then_some(reason)
    })
    .await;
    assert_eq!(
        changed,
        (Code::FailedPrecondition, "IMPORT_HEADER_CHANGED".into())
    );
}

#[tokio::test]
async fn a_stream_that_ends_early_is_not_taken_for_the_whole_file() {
    let desk = Desk::open().await;
    let bytes = many_books(10);
    let cut_off = ImportHeader {
        byte_count: bytes.len() as i64,
        ..header("a")
    };
    let mut load = desk.begin_load(cut_off.clone()).await.unwrap();
    load.send(&bytes[..500]).await;
    load.finish();
    let status = load.refusal().await;
    assert_eq!(
        refused(&status),
        (Code::FailedPrecondition, "IMPORT_SIZE_MISMATCH".into())
    );
    let (import, _) = desk.load(cut_off, &bytes).await.unwrap();
    assert_eq!((import.read_count, import.finished), (10, true));
}

#[tokio::test]
async fn what_is_no_load_is_refused_with_its_reason() {
    let desk = Desk::open().await;
    let invalid = |reason: &str| (Code::InvalidArgument, reason.to_owned());
    let unknown = ImportHeader {
        load_profile: "marc-999".into(),
        ..header("a")
    };
    assert_eq!(
        refusal(desk.load(unknown, b"").await),
        invalid("LOAD_PROFILE_UNKNOWN")
    );
    let unknown = ImportHeader {
        encoding: 9,
        ..header("a")
    };
    assert_eq!(
        refusal(desk.load(unknown, b"").await),
        invalid("FORMAT_UNKNOWN")
    );
    assert_eq!(
        refusal(desk.load(header("a"), b"\x1f\x8b\x08\0").await),
        invalid("FORMAT_UNKNOWN")
    );
    assert_eq!(
        refusal(desk.load(header(""), b"").await),
        invalid("TEXT_LENGTH")
    );
    let nameless = ImportHeader {
        import_id: "7".into(),
        ..header("a")
    };
    assert_eq!(
        refusal(desk.load(nameless, b"").await),
        invalid("ID_MALFORMED")
    );

    let mut load = desk.begin_load(header("a")).await.unwrap();
    load.send(&vec![b' '; (1 << 20) + 1]).await;
    assert_eq!(refused(&load.refusal().await), invalid("CHUNK_TOO_LARGE"));
    let mut load = desk.begin_load(header("a")).await.unwrap();
    load.send_header(header("b")).await;
    assert_eq!(refused(&load.refusal().await), invalid("FIELD_MISSING"));
    let unknown = GetImportRequest { id: new_id() };
    assert_eq!(
        refusal(desk.records().get_import(unknown).await),
        (Code::NotFound, "IMPORT_NOT_FOUND".into())
    );
    // A file of nothing is a load too.
    let (import, _) = desk.load(header("empty"), b"").await.unwrap();
    assert!(import.finished && import.read_count == 0);
}
