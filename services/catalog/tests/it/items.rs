//! Stories of single copies.

use std::collections::HashMap;

use carrel_proto::catalog::v1::{
    CreateItemRequest, GetItemByBarcodeRequest, GetItemRequest, Item, ItemAvailability,
    ItemChanged, ItemStatus, ListItemsRequest, UpdateItemRequest,
};
use carrel_proto::r#type::v1::Money;
use futures::future::join_all;
use prost::Message;
use prost_types::FieldMask;
use tonic::{Code, Status};

use crate::desk::{Desk, header, new_id, refusal};
use crate::marc::book;

struct Shelf {
    desk: Desk,
    locations: HashMap<&'static str, String>,
    record_id: String,
}

impl Shelf {
    async fn with_a_record() -> Self {
        let desk = Desk::open().await;
        let locations = desk.district().await;
        desk.load(header("a"), &book("1", "Walden").iso())
            .await
            .unwrap();
        let record_id = desk.find("walden").await.remove(0).id;
        Self {
            desk,
            locations,
            record_id,
        }
    }

    fn item(&self, barcode: &str) -> Item {
        Item {
            record_id: self.record_id.clone(),
            barcode: barcode.into(),
            material_type: "book".into(),
            location_id: self.locations["ALDM-STK"].clone(),
            call_number: "PS3048 .A1".into(),
            replacement_price: Some(Money {
                currency_code: "USD".into(),
                units: 24,
                nanos: 950_000_000,
            }),
            ..Item::default()
        }
    }

    async fn create(&self, item: Item) -> Result<Item, Status> {
        let request = CreateItemRequest {
            item: Some(item),
            request_id: new_id(),
        };
        let answer = self.desk.items().create_item(request).await?;
        Ok(answer.into_inner().item.unwrap())
    }

    async fn update(&self, item: Item, paths: &[&str]) -> Result<Item, Status> {
        let request = UpdateItemRequest {
            item: Some(item),
            update_mask: Some(FieldMask {
                paths: paths.iter().map(|path| (*path).into()).collect(),
            }),
            request_id: new_id(),
        };
        let answer = self.desk.items().update_item(request).await?;
        Ok(answer.into_inner().item.unwrap())
    }
}

#[tokio::test]
async fn a_new_copy_is_found_by_what_the_scanner_reads() {
    let shelf = Shelf::with_a_record().await;
    let created = shelf.create(shelf.item("30417000001016")).await.unwrap();
    assert_eq!(created.status(), ItemStatus::Available);
    assert_eq!(created.availability(), ItemAvailability::In);
    assert_eq!(
        (created.loan_type.as_str(), created.revision),
        ("standard", 1)
    );
    let mut items = shelf.desk.items();
    let by_barcode = GetItemByBarcodeRequest {
        barcode: "30417000001016".into(),
    };
    let found = items
        .get_item_by_barcode(by_barcode)
        .await
        .unwrap()
        .into_inner()
        .item
        .unwrap();
    assert_eq!(found, created);
    let by_id = GetItemRequest {
        id: created.id.clone(),
    };
    assert_eq!(
        items
            .get_item(by_id)
            .await
            .unwrap()
            .into_inner()
            .item
            .unwrap(),
        created
    );
    let unknown = GetItemByBarcodeRequest {
        barcode: "30417000009999".into(),
    };
    assert_eq!(
        refusal(items.get_item_by_barcode(unknown).await),
        (Code::NotFound, "ITEM_NOT_FOUND".into())
    );
    let record = shelf.desk.find("walden").await.remove(0);
    assert_eq!((record.item_count, record.available_count), (1, 1));
    // The event tells all that others need, and not what circulation says.
    let payload: Vec<u8> =
        sqlx::query_scalar("select payload from outbox where subject_id = $1::uuid")
            .bind(&created.id)
            .fetch_one(&shelf.desk.database.pool)
            .await
            .unwrap();
    let event = ItemChanged::decode(payload.as_slice())
        .unwrap()
        .item
        .unwrap();
    assert_eq!(event.availability(), ItemAvailability::Unspecified);
    assert_eq!((event.barcode, event.revision), (created.barcode, 1));
}

#[tokio::test]
async fn one_barcode_is_on_one_item_also_when_two_desks_stick_it_on_at_once() {
    let shelf = Shelf::with_a_record().await;
    let attempts = (0..8).map(|_| shelf.create(shelf.item("1")));
    let answers = join_all(attempts).await;
    let made = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(made, 1);
    for answer in answers.into_iter().filter(Result::is_err) {
        assert_eq!(
            refusal(answer),
            (Code::AlreadyExists, "ITEM_BARCODE_TAKEN".into())
        );
    }
    let other = shelf.create(shelf.item("2")).await.unwrap();
    let renamed = shelf
        .update(
            Item {
                barcode: "1".into(),
                ..other
            },
            &["barcode"],
        )
        .await;
    assert_eq!(
        refusal(renamed),
        (Code::AlreadyExists, "ITEM_BARCODE_TAKEN".into())
    );
    // Without a barcode there can be many.
    shelf.create(shelf.item("")).await.unwrap();
    shelf.create(shelf.item("")).await.unwrap();
}

#[tokio::test]
async fn a_repeated_request_makes_one_item() {
    let shelf = Shelf::with_a_record().await;
    let request = CreateItemRequest {
        item: Some(shelf.item("1")),
        request_id: new_id(),
    };
    let attempts = (0..6).map(|_| {
        let (mut items, request) = (shelf.desk.items(), request.clone());
        async move { items.create_item(request).await.unwrap().into_inner() }
    });
    let answers = join_all(attempts).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(shelf.desk.count("item").await, 1);
    assert_eq!(
        shelf
            .desk
            .count("outbox where type = 'carrel.catalog.v1.ItemChanged'")
            .await,
        1
    );
    let other = CreateItemRequest {
        item: Some(shelf.item("2")),
        ..request
    };
    assert_eq!(
        refusal(shelf.desk.items().create_item(other).await),
        (Code::FailedPrecondition, "REQUEST_ID_REUSED".into())
    );
}

#[tokio::test]
async fn an_item_needs_a_record_and_a_place_to_stand() {
    let shelf = Shelf::with_a_record().await;
    let nowhere = Item {
        location_id: new_id(),
        ..shelf.item("1")
    };
    assert_eq!(
        refusal(shelf.create(nowhere).await),
        (Code::NotFound, "LOCATION_NOT_FOUND".into())
    );
    let orphan = Item {
        record_id: new_id(),
        ..shelf.item("1")
    };
    assert_eq!(
        refusal(shelf.create(orphan).await),
        (Code::NotFound, "RECORD_NOT_FOUND".into())
    );
    let library = shelf.desk.unit_id("ALDM").await;
    let in_a_library = Item {
        location_id: library,
        ..shelf.item("1")
    };
    assert_eq!(
        refusal(shelf.create(in_a_library).await).1,
        "LOCATION_NOT_FOUND"
    );
    for (item, reason) in [
        (
            Item {
                barcode: "with space".into(),
                ..shelf.item("")
            },
            "BARCODE_MALFORMED",
        ),
        (
            Item {
                material_type: "Book".into(),
                ..shelf.item("1")
            },
            "CODE_MALFORMED",
        ),
        (
            Item {
                location_id: "7".into(),
                ..shelf.item("1")
            },
            "ID_MALFORMED",
        ),
        (
            Item {
                status: 99,
                ..shelf.item("1")
            },
            "ITEM_STATUS_UNKNOWN",
        ),
        (
            Item {
                replacement_price: Some(Money {
                    currency_code: "USD".into(),
                    units: -1,
                    nanos: 0,
                }),
                ..shelf.item("1")
            },
            "MONEY_NEGATIVE",
        ),
    ] {
        assert_eq!(
            refusal(shelf.create(item).await),
            (Code::InvalidArgument, reason.into())
        );
    }
    let request = CreateItemRequest {
        item: Some(shelf.item("1")),
        request_id: new_id(),
    };
    let mut reader = shelf.desk.items_with(&["catalog.items.read"]);
    let nobody = reader.create_item(request);
    assert_eq!(
        refusal(nobody.await),
        (Code::PermissionDenied, "PERMISSION_DENIED".into())
    );
}

#[tokio::test]
async fn a_copy_is_changed_only_where_the_mask_says_and_by_whoever_read_it_last() {
    let shelf = Shelf::with_a_record().await;
    let created = shelf.create(shelf.item("1")).await.unwrap();
    let wanted = Item {
        call_number: "PS3048 .A2".into(),
        copy_number: "c.2".into(),
        material_type: "dvd".into(),
        location_id: shelf.locations["ALDS-RES"].clone(),
        ..created.clone()
    };
    let updated = shelf
        .update(wanted.clone(), &["call_number", "location_id"])
        .await
        .unwrap();
    assert_eq!(updated.call_number, "PS3048 .A2");
    assert_eq!(updated.location_id, shelf.locations["ALDS-RES"]);
    assert_eq!(
        (updated.material_type.as_str(), updated.copy_number.as_str()),
        ("book", "")
    );
    assert_eq!(updated.revision, 2);

    let late = shelf.update(wanted.clone(), &["copy_number"]).await;
    assert_eq!(refusal(late), (Code::Aborted, "ETAG_MISMATCH".into()));
    let without_price = Item {
        replacement_price: None,
        ..updated.clone()
    };
    let cleared = shelf
        .update(without_price, &["replacement_price"])
        .await
        .unwrap();
    assert_eq!(cleared.replacement_price, None);
    for paths in [&[][..], &["title"], &["barcode"; 9]] {
        let item = Item {
            etag: String::new(),
            ..updated.clone()
        };
        assert_eq!(
            refusal(shelf.update(item, paths).await).1,
            "UPDATE_MASK_MALFORMED"
        );
    }
    let unknown = Item {
        id: new_id(),
        ..updated
    };
    assert_eq!(
        refusal(shelf.update(unknown, &["copy_number"]).await),
        (Code::NotFound, "ITEM_NOT_FOUND".into())
    );
}

#[tokio::test]
async fn a_withdrawn_copy_comes_back_through_processing_only() {
    let shelf = Shelf::with_a_record().await;
    let item = shelf.create(shelf.item("1")).await.unwrap();
    let to = |status: ItemStatus, item: Item| Item {
        status: status.into(),
        etag: String::new(),
        ..item
    };
    let withdrawn = shelf
        .update(to(ItemStatus::Withdrawn, item.clone()), &["status"])
        .await
        .unwrap();
    assert_eq!(withdrawn.status(), ItemStatus::Withdrawn);
    let back = shelf
        .update(to(ItemStatus::Available, item.clone()), &["status"])
        .await;
    assert_eq!(
        refusal(back),
        (Code::FailedPrecondition, "ITEM_STATUS_CHANGE".into())
    );

    let list = |include_withdrawn| ListItemsRequest {
        record_id: shelf.record_id.clone(),
        include_withdrawn,
        ..Default::default()
    };
    let mut items = shelf.desk.items();
    assert!(
        items
            .list_items(list(false))
            .await
            .unwrap()
            .into_inner()
            .items
            .is_empty()
    );
    assert_eq!(
        items
            .list_items(list(true))
            .await
            .unwrap()
            .into_inner()
            .items
            .len(),
        1
    );
    let record = shelf.desk.find("walden").await.remove(0);
    assert_eq!((record.item_count, record.available_count), (0, 0));
    shelf
        .update(to(ItemStatus::InProcess, item), &["status"])
        .await
        .unwrap();
}

#[tokio::test]
async fn the_whole_state_is_listed_page_by_page() {
    let shelf = Shelf::with_a_record().await;
    for number in 0..7 {
        shelf
            .create(shelf.item(&format!("{number}")))
            .await
            .unwrap();
    }
    let mut items = shelf.desk.items();
    let mut barcodes = Vec::new();
    let mut request = ListItemsRequest {
        include_withdrawn: true,
        page_size: 3,
        ..Default::default()
    };
    loop {
        let page = items
            .list_items(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert!(page.items.len() <= 3);
        barcodes.extend(page.items.into_iter().map(|item| item.barcode));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(barcodes, ["0", "1", "2", "3", "4", "5", "6"]);
    let other_query = ListItemsRequest {
        include_withdrawn: false,
        ..request
    };
    assert_eq!(
        refusal(items.list_items(other_query).await).1,
        "PAGE_TOKEN_FROM_ANOTHER_QUERY"
    );
}
