//! Who was told what about whom.

use carrel_proto::patrons::v1::get_patron_standing_request::Key;
use carrel_proto::patrons::v1::{
    CreateManualBlockRequest, GetPatronByBarcodeRequest, GetPatronStandingRequest,
    LiftManualBlockRequest, ListManualBlocksRequest, ListPatronsRequest, ManualBlock,
};
use uuid::Uuid;

use crate::desk::{Desk, new_id, reason, student};

async fn log(desk: &Desk) -> Vec<(String, String, Vec<Uuid>)> {
    sqlx::query_as("select accessed_by, rpc, patron_ids from access_log order by place")
        .fetch_all(desk.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn every_answer_with_a_patron_is_logged_with_who_and_whom() {
    let desk = Desk::open().await;
    let first = desk.create(student("Alderleaf", "21")).await.unwrap();
    let second = desk.create(student("Alderseed", "22")).await.unwrap();
    let before = log(&desk).await.len();
    let mut reader = desk.caller("desk-7", &["patrons.patrons.*", "patrons.standings.read"]);

    reader.get(&first.id).await.unwrap();
    let request = GetPatronByBarcodeRequest {
        barcode: "22".into(),
    };
    reader.patrons.get_patron_by_barcode(request).await.unwrap();
    reader.find("alder").await.unwrap();
    reader
        .update(first.clone(), &["phone"], &new_id())
        .await
        .unwrap();
    // Those tell nothing of a patron: nobody found, and no name in it.
    assert_eq!(reason(reader.get(&new_id()).await), "PATRON_NOT_FOUND");
    assert!(reader.find("zebra").await.unwrap().is_empty());
    let request = GetPatronStandingRequest {
        key: Some(Key::PatronId(first.id.clone())),
    };
    reader.patrons.get_patron_standing(request).await.unwrap();

    let id = |patron: &carrel_proto::patrons::v1::Patron| patron.id.parse::<Uuid>().unwrap();
    let entry = |rpc: &str, ids: &[Uuid]| {
        let rpc = format!("/carrel.patrons.v1.PatronService/{rpc}");
        ("desk-7".to_owned(), rpc, ids.to_vec())
    };
    assert_eq!(
        log(&desk).await[before..],
        [
            entry("GetPatron", &[id(&first)]),
            entry("GetPatronByBarcode", &[id(&second)]),
            entry("ListPatrons", &[id(&first), id(&second)]),
            entry("UpdatePatron", &[id(&first)]),
        ]
    );
}

#[tokio::test]
async fn who_reads_or_sets_somebodys_blocks_is_logged() {
    let desk = Desk::open().await;
    let patron = desk.create(student("Alderleaf", "21")).await.unwrap();
    let before = log(&desk).await.len();
    let mut clerk = desk.caller("desk-7", &["patrons.blocks.*"]);
    let list = ListManualBlocksRequest {
        patron_id: patron.id.clone(),
        ..Default::default()
    };
    // That somebody has no block is told about them too.
    clerk.blocks.list_manual_blocks(list).await.unwrap();
    let set = CreateManualBlockRequest {
        manual_block: Some(ManualBlock {
            patron_id: patron.id.clone(),
            patron_message: "Please see the desk".into(),
            blocks_borrowing: true,
            ..Default::default()
        }),
        request_id: new_id(),
    };
    let set = clerk.blocks.create_manual_block(set).await.unwrap();
    let lift = LiftManualBlockRequest {
        id: set.into_inner().manual_block.unwrap().id,
        request_id: new_id(),
    };
    clerk.blocks.lift_manual_block(lift).await.unwrap();

    let patron_id: Uuid = patron.id.parse().unwrap();
    let entry = |rpc: &str| {
        let rpc = format!("/carrel.patrons.v1.ManualBlockService/{rpc}");
        ("desk-7".to_owned(), rpc, vec![patron_id])
    };
    assert_eq!(
        log(&desk).await[before..],
        [
            entry("ListManualBlocks"),
            entry("CreateManualBlock"),
            entry("LiftManualBlock")
        ]
    );
}

#[tokio::test]
async fn a_page_logs_those_on_it_only() {
    let desk = Desk::open().await;
    for name in ["Alderleaf", "Fernbough", "Mosswort"] {
        desk.create(student(name, "")).await.unwrap();
    }
    let request = ListPatronsRequest {
        page_size: 2,
        ..Default::default()
    };
    desk.technician()
        .patrons
        .list_patrons(request)
        .await
        .unwrap();
    assert_eq!(log(&desk).await.last().unwrap().2.len(), 2);
}

#[tokio::test]
async fn the_log_is_only_ever_added_to() {
    let desk = Desk::open().await;
    desk.create(student("Alderleaf", "21")).await.unwrap();
    let before = log(&desk).await;
    assert_eq!(before.len(), 1);
    for statement in [
        "update access_log set accessed_by = 'nobody'",
        "delete from access_log",
        "delete from access_log where false",
        "truncate access_log",
    ] {
        let error = sqlx::query(statement)
            .execute(desk.pool())
            .await
            .unwrap_err();
        let constraint = error
            .as_database_error()
            .and_then(|error| error.constraint());
        assert_eq!(
            constraint,
            Some("access_log_is_append_only"),
            "{statement}: {error}"
        );
    }
    assert_eq!(log(&desk).await, before);
}
