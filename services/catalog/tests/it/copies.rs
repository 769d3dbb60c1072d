//! Stories of the copies that come with their records.

use carrel_proto::catalog::v1::{GetItemByBarcodeRequest, ItemStatus, ListItemsRequest};

use crate::desk::{Desk, header};
use crate::marc::{book, file, of_type};

#[tokio::test]
async fn copies_come_with_their_record() {
    let desk = Desk::open().await;
    let locations = desk.district().await;
    let bytes = file(&[
        book("1", "Walden")
            .copy("11", "ALDM-STK")
            .copy("12", "ALDS-RES"),
        book("2", "Typee")
            .data(
                "852",
                &[
                    ('b', "ALDM"),
                    ('c', "STK"),
                    ('h', "PS2384"),
                    ('i', ".T8"),
                    ('p', "21"),
                    ('t', "1"),
                ],
            )
            .data(
                "852",
                &[
                    ('8', "2"),
                    ('b', "ALDS"),
                    ('c', "ALDS-STK"),
                    ('h', "PS2384"),
                ],
            )
            .data(
                "876",
                &[('8', "2"), ('p', "22"), ('c', "$30.00"), ('j', "Missing")],
            ),
        book("3", "Omoo").data("952", &[('0', "1"), ('a', "ALDM"), ('p', "31")]),
    ]);
    let (import, problems) = desk.load(header("a"), &bytes).await.unwrap();
    assert_eq!(
        (import.item_count, import.item_problem_count),
        (5, 0),
        "{problems:?}"
    );
    let mut items = desk.items();
    let mut get = async |barcode: &str| {
        let request = GetItemByBarcodeRequest {
            barcode: barcode.into(),
        };
        items
            .get_item_by_barcode(request)
            .await
            .unwrap()
            .into_inner()
            .item
            .unwrap()
    };
    let first = get("11").await;
    assert_eq!(
        (first.material_type.as_str(), first.loan_type.as_str()),
        ("bk", "standard")
    );
    assert_eq!(
        (first.call_number.as_str(), first.copy_number.as_str()),
        ("PS1 .A1", "1")
    );
    assert_eq!(first.location_id, locations["ALDM-STK"]);
    let price = first.replacement_price.unwrap();
    assert_eq!(
        (price.units, price.nanos, price.currency_code.as_str()),
        (24, 950_000_000, "USD")
    );
    let in_852 = get("21").await;
    assert_eq!(in_852.location_id, locations["ALDM-STK"]);
    assert_eq!(
        (in_852.call_number.as_str(), in_852.material_type.as_str()),
        ("PS2384 .T8", "book")
    );
    let in_876 = get("22").await;
    assert_eq!(
        (in_876.location_id, in_876.status),
        (locations["ALDS-STK"].clone(), ItemStatus::Missing.into())
    );
    let withdrawn = get("31").await;
    assert_eq!(withdrawn.status(), ItemStatus::Withdrawn);
    assert_eq!(
        withdrawn.location_id, locations["ALDM-RES"],
        "the library's first location"
    );
    assert_eq!(
        desk.count("outbox where type = 'carrel.catalog.v1.ItemChanged'")
            .await,
        5
    );
}

#[tokio::test]
async fn a_copy_that_cannot_be_taken_is_listed_and_its_record_is_loaded() {
    let desk = Desk::open().await;
    desk.district().await;
    let bytes = file(&[
        book("1", "Walden").copy("11", "ALDM-STK"),
        book("2", "Typee")
            .copy("11", "ALDM-STK")
            .copy("12", "TULL-STK")
            .data("952", &[('a', "ALDM"), ('c', "ALDM-STK")])
            .data("952", &[('a', "ALDM"), ('p', "a b")])
            .data("952", &[('a', "ALDM"), ('p', "13"), ('v', "a lot")]),
        of_type(b"00000nx  a2200000n  4500", "3", "").data("852", &[('b', "ALDM"), ('p', "14")]),
    ]);
    let (import, problems) = desk.load(header("a"), &bytes).await.unwrap();
    assert_eq!(
        (
            import.read_count,
            import.item_count,
            import.item_problem_count
        ),
        (3, 2, 6)
    );
    let reasons: Vec<(i64, &str)> = problems
        .iter()
        .map(|problem| (problem.record_number, problem.reason.as_str()))
        .collect();
    assert_eq!(
        reasons,
        [
            (2, "ITEM_BARCODE_TAKEN"),
            (2, "ITEM_LOCATION_UNKNOWN"),
            (2, "ITEM_BARCODE_MISSING"),
            (2, "ITEM_BARCODE_MALFORMED"),
            (2, "ITEM_PRICE_UNREADABLE"),
            (3, "ITEM_IN_HOLDINGS_RECORD"),
        ]
    );
    // The barcode of an item that another load brought is taken too.
    let (_, problems) = desk
        .load(
            header("b"),
            &book("9", "Mardi").copy("11", "ALDM-STK").iso(),
        )
        .await
        .unwrap();
    assert_eq!(problems[0].reason, "ITEM_BARCODE_TAKEN");
}

#[tokio::test]
async fn a_load_again_changes_what_changed_and_keeps_what_staff_know() {
    let desk = Desk::open().await;
    let locations = desk.district().await;
    let bytes = book("1", "Walden")
        .copy("11", "ALDM-STK")
        .copy("12", "ALDM-STK")
        .iso();
    desk.load(header("a"), &bytes).await.unwrap();
    sqlx::query("update item set status = 'missing', loan_type = 'reserve' where barcode = '11'")
        .execute(&desk.database.pool)
        .await
        .unwrap();
    let events = desk.count("outbox").await;
    // Nothing new about the copies: nothing is told.
    let (import, _) = desk.load(header("a"), &bytes).await.unwrap();
    assert_eq!(import.item_count, 2);
    assert_eq!(desk.count("outbox").await, events + 1, "the record only");

    let moved = book("1", "Walden")
        .copy("11", "ALDS-STK")
        .copy("12", "ALDM-STK")
        .iso();
    desk.load(header("b"), &moved).await.unwrap();
    let list = ListItemsRequest {
        page_size: 10,
        ..Default::default()
    };
    let items = desk
        .items()
        .list_items(list)
        .await
        .unwrap()
        .into_inner()
        .items;
    let item = items.iter().find(|item| item.barcode == "11").unwrap();
    assert_eq!(item.location_id, locations["ALDS-STK"]);
    assert_eq!(
        (item.status(), item.loan_type.as_str()),
        (ItemStatus::Missing, "reserve")
    );
    assert_eq!((items.len(), item.revision), (2, 2));
    assert_eq!(desk.count("outbox").await, events + 3);
}

#[tokio::test]
async fn two_loads_of_the_same_records_at_once_end_with_one_of_each() {
    let desk = Desk::open().await;
    desk.district().await;
    let drafts: Vec<_> = (0..400)
        .map(|n| book(&format!("{n:04}"), "Walden").copy(&format!("B{n}"), "ALDM-STK"))
        .collect();
    let forward = file(&drafts);
    let backward: Vec<u8> = drafts.iter().rev().flat_map(|draft| draft.iso()).collect();
    let (first, second) = tokio::join!(
        desk.load(header("a"), &forward),
        desk.load(header("b"), &backward)
    );
    let (first, second) = (first.unwrap().0, second.unwrap().0);
    assert_eq!(first.created_count + second.created_count, 400);
    assert_eq!(first.updated_count + second.updated_count, 400);
    assert_eq!(
        (desk.count("record").await, desk.count("item").await),
        (400, 400)
    );
    assert_eq!(first.item_problem_count + second.item_problem_count, 0);
}

/// The sample district's catalog, as the demonstration loads it.
#[tokio::test]
async fn the_sample_catalog_loads_with_all_its_copies() {
    use carrel_proto::catalog::v1::LocationUnitKind::{Campus, Institution, Library, Location};
    let desk = Desk::open().await;
    let college = desk.unit(Institution, "", "AVC").await;
    let campus = desk.unit(Campus, &college, "ONE").await;
    for library in ["ALDM", "ALDS", "ALDN", "TULL"] {
        let library_id = desk.unit(Library, &campus, library).await;
        for place in ["STK", "RES", "MED", "PER"] {
            desk.unit(Location, &library_id, &format!("{library}-{place}"))
                .await;
        }
    }
    for (name, field) in [("catalog.mrc", "952"), ("catalog.xml", "852 and 876")] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../carrel/samples")
            .join(name);
        let bytes =
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (import, problems) = desk.load(header(name), &bytes).await.unwrap();
        assert_eq!(import.quarantined_count, 0, "{name}");
        assert!(problems.is_empty(), "{name}: {problems:?}");
        assert!(
            import.item_count >= import.read_count,
            "{name}: {} copies in {field}",
            import.item_count
        );
    }
    let types: Vec<String> =
        sqlx::query_scalar("select distinct material_type from item order by 1")
            .fetch_all(&desk.database.pool)
            .await
            .unwrap();
    assert_eq!(types, ["book", "dvd", "periodical", "recording", "score"]);
}
