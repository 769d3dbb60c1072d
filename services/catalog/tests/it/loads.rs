//! Stories of loads: whole files, bad records, the same records again.

use carrel_proto::catalog::v1::{
    GetQuarantinedRecordRequest, GetRecordRequest, ListQuarantinedRecordsRequest, RecordEncoding,
    RecordFormat,
};
use tonic::Code;

use crate::desk::{Desk, header, new_id, refusal};
use crate::marc::{book, file, of_type};

#[tokio::test]
async fn a_file_is_loaded_and_its_records_are_kept_byte_for_byte() {
    let desk = Desk::open().await;
    let walden = book("1", "Walden").data(
        "100",
        &[('a', "Thoreau, Henry David,"), ('d', "1817-1862.")],
    );
    let bytes = [walden.iso(), b"\r\n".to_vec(), book("2", "Typee").iso()].concat();
    let (import, problems) = desk.load(header("catalog.mrc"), &bytes).await.unwrap();
    assert_eq!(
        (
            import.read_count,
            import.created_count,
            import.updated_count
        ),
        (2, 2, 0)
    );
    assert_eq!(
        (import.committed_offset, import.separator_bytes),
        (bytes.len() as i64, 2)
    );
    assert!(import.finished && problems.is_empty());

    let found = desk.find("thoreau walden").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].control_number, "(AVCCD)1");
    assert_eq!(found[0].contributors, ["Thoreau, Henry David, 1817-1862"]);
    let get = GetRecordRequest {
        id: found[0].id.clone(),
        with_raw: true,
    };
    let record = desk
        .records()
        .get_record(get)
        .await
        .unwrap()
        .into_inner()
        .record
        .unwrap();
    assert_eq!(record.raw, walden.iso());
    assert_eq!(record.raw_encoding(), RecordEncoding::Iso2709);
    assert_eq!(
        desk.count("outbox where type = 'carrel.catalog.v1.RecordChanged'")
            .await,
        2
    );
}

#[tokio::test]
async fn marcxml_is_loaded_as_well() {
    let desk = Desk::open().await;
    let records = format!("{}\n{}", book("1", "Émile").xml(), book("2", "Typee").xml());
    let records = records.replace("<?xml version=\"1.0\" encoding=\"UTF-8\"?>", "");
    let bytes =
        format!("<?xml version=\"1.0\"?>\n<collection>{records}</collection>\n").into_bytes();
    let (import, _) = desk.load(header("catalog.xml"), &bytes).await.unwrap();
    assert_eq!((import.read_count, import.quarantined_count), (2, 0));
    assert_eq!(
        import.record_bytes + import.separator_bytes,
        bytes.len() as i64
    );
    let found = desk.find("emile").await.remove(0);
    assert_eq!(
        (found.title.as_str(), found.raw_encoding()),
        ("Émile", RecordEncoding::Marcxml)
    );
}

#[tokio::test]
async fn a_bad_record_never_stops_the_load_and_never_disappears() {
    let desk = Desk::open().await;
    let bad = b"this is no record but has its end\x1d";
    let bytes = [
        book("1", "Walden").iso(),
        bad.to_vec(),
        book("2", "Typee").iso(),
    ]
    .concat();
    let (import, problems) = desk.load(header("mixed"), &bytes).await.unwrap();
    assert_eq!((import.read_count, import.quarantined_count), (2, 1));
    assert_eq!(import.quarantined_bytes, bad.len() as i64);
    assert_eq!((problems.len(), problems[0].record_number), (1, 2));
    assert_eq!(problems[0].offset, book("1", "Walden").iso().len() as i64);

    let mut quarantine = desk.quarantine();
    let list = ListQuarantinedRecordsRequest {
        import_id: import.id.clone(),
        ..Default::default()
    };
    let listed = quarantine
        .list_quarantined_records(list)
        .await
        .unwrap()
        .into_inner();
    let piece = &listed.quarantined_records[0];
    assert_eq!(
        (piece.offset, piece.byte_count),
        (problems[0].offset, bad.len() as i64)
    );
    assert_eq!(
        (piece.reason.as_str(), piece.raw.len()),
        (problems[0].reason.as_str(), 0)
    );
    let get = GetQuarantinedRecordRequest {
        id: piece.id.clone(),
    };
    let piece = quarantine
        .get_quarantined_record(get)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(piece.quarantined_record.unwrap().raw, bad.as_slice());
    let missing = GetQuarantinedRecordRequest { id: new_id() };
    assert_eq!(
        refusal(quarantine.get_quarantined_record(missing).await),
        (Code::NotFound, "QUARANTINED_RECORD_NOT_FOUND".into())
    );
}

#[tokio::test]
async fn the_quarantine_is_listed_newest_first_page_by_page() {
    let desk = Desk::open().await;
    let bytes: Vec<u8> = (0..5)
        .flat_map(|number| format!("no record at all {number}\x1d").into_bytes())
        .collect();
    desk.load(header("junk"), &bytes).await.unwrap();
    let mut offsets = Vec::new();
    let mut request = ListQuarantinedRecordsRequest {
        page_size: 2,
        ..Default::default()
    };
    loop {
        let page = desk
            .quarantine()
            .list_quarantined_records(request.clone())
            .await
            .unwrap()
            .into_inner();
        offsets.extend(page.quarantined_records.iter().map(|piece| piece.offset));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(offsets, [76, 57, 38, 19, 0]);
}

#[tokio::test]
async fn a_record_with_the_same_control_number_is_replaced() {
    let desk = Desk::open().await;
    desk.load(
        header("a"),
        &file(&[book("1", "Walden"), book("2", "Typee")]),
    )
    .await
    .unwrap();
    let before = desk.find("walden").await.remove(0);
    let corrected = file(&[
        book("1", "Walden, or, Life in the woods"),
        book("3", "Omoo"),
    ]);
    let (import, _) = desk.load(header("b"), &corrected).await.unwrap();
    assert_eq!((import.created_count, import.updated_count), (1, 1));
    let after = desk.find("walden").await.remove(0);
    assert_eq!((after.id, after.revision), (before.id, 2));
    assert_eq!(after.title, "Walden, or, Life in the woods");
    assert_eq!(after.created_at, before.created_at);
    assert_eq!(desk.count("record").await, 3);
}

#[tokio::test]
async fn without_an_agency_a_control_number_counts_within_its_source_only() {
    let desk = Desk::open().await;
    let bare = |title: &str| {
        let draft = of_type(b"00000nam a2200000 i 4500", "", title).control("001", "7");
        draft.iso()
    };
    desk.load(header("vendor a"), &bare("Walden"))
        .await
        .unwrap();
    let (other, _) = desk.load(header("vendor b"), &bare("Typee")).await.unwrap();
    assert_eq!(other.created_count, 1);
    let (again, _) = desk
        .load(header("vendor a"), &bare("Walden revised"))
        .await
        .unwrap();
    assert_eq!(again.updated_count, 1);
    // An authority of the same number is another thing.
    let authority = of_type(b"00000nz  a2200000n  4500", "", "")
        .control("001", "7")
        .iso();
    let (authority, _) = desk.load(header("vendor a"), &authority).await.unwrap();
    assert_eq!(authority.created_count, 1);
    assert_eq!(desk.count("record").await, 3);
}

#[tokio::test]
async fn records_without_a_control_number_are_always_new() {
    let desk = Desk::open().await;
    let bytes = [book("", "Walden").iso(), book("", "Walden").iso()].concat();
    let (import, _) = desk.load(header("a"), &bytes).await.unwrap();
    assert_eq!((import.created_count, desk.count("record").await), (2, 2));
}

#[tokio::test]
async fn a_control_number_twice_in_a_file_is_one_record_the_later_one() {
    let desk = Desk::open().await;
    desk.district().await;
    let bytes = file(&[
        book("1", "Walden, first").copy("11", "ALDM-STK"),
        book("2", "Typee"),
        book("1", "Walden, second")
            .copy("12", "ALDM-STK")
            .copy("11", "ALDS-STK"),
    ]);
    let (import, problems) = desk.load(header("a"), &bytes).await.unwrap();
    assert_eq!(
        (
            import.read_count,
            import.created_count,
            import.updated_count
        ),
        (3, 2, 1)
    );
    assert_eq!((import.item_count, problems.len()), (3, 0));
    let walden = desk.find("walden").await;
    assert_eq!(walden.len(), 1);
    assert_eq!(
        (walden[0].title.as_str(), walden[0].item_count),
        ("Walden, second", 2)
    );
    // And against what was loaded before.
    let (again, _) = desk.load(header("b"), &bytes).await.unwrap();
    assert_eq!((again.created_count, again.updated_count), (0, 3));
    assert_eq!(desk.count("record").await, 2);
}

#[tokio::test]
async fn nul_characters_in_a_record_do_not_fail_its_batch() {
    let desk = Desk::open().await;
    let odd = book("1\0", "Wal\0den")
        .data("650", &[('a', "Po\0nds")])
        .data("952", &[('a', "\0"), ('p', "1\u{0}2")]);
    let bytes = [odd.iso(), book("2", "Typee").iso()].concat();
    let (import, _) = desk.load(header("a"), &bytes).await.unwrap();
    assert_eq!(import.read_count, 2);
    let found = desk.find("walden ponds").await.remove(0);
    assert_eq!(found.title, "Walden");
    let get = GetRecordRequest {
        id: found.id,
        with_raw: true,
    };
    let raw = desk
        .records()
        .get_record(get)
        .await
        .unwrap()
        .into_inner()
        .record
        .unwrap()
        .raw;
    assert_eq!(raw, odd.iso());
}

#[tokio::test]
async fn authorities_and_holdings_are_kept_as_other() {
    let desk = Desk::open().await;
    let bytes = [
        of_type(b"00000nz  a2200000n  4500", "1", "")
            .data("100", &[('a', "Twain, Mark,"), ('d', "1835-1910")])
            .iso(),
        of_type(b"00000nx  a2200000n  4500", "1", "").iso(),
    ]
    .concat();
    let (import, _) = desk.load(header("a"), &bytes).await.unwrap();
    assert_eq!(import.created_count, 2);
    let authority = desk.find("twain").await.remove(0);
    assert_eq!(
        (authority.format(), authority.title.as_str()),
        (RecordFormat::Other, "Twain, Mark, 1835-1910")
    );
}
