//! What is learnt from owners: by their feeds, by reading their state, by
//! asking; and that none of these makes anything older.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use carrel_circulation::projection::catalog::CatalogProjection;
use carrel_outbox::{ApplyError, Projection, StateProjection};
use carrel_proto::catalog::v1::{Item, ItemChanged, ItemStatus};
use carrel_runtime::read;
use carrel_testkit::eventually;
use tokio::task::JoinSet;
use tonic_types::StatusExt as _;

use crate::desk::*;
use crate::owner::Owner;

const PATIENCE: Duration = Duration::from_secs(30);

async fn desk_and_owner() -> (Desk, Owner) {
    let keys = Keys::new();
    let owner = Owner::start(&keys).await;
    let peers = owner.peers();
    (Desk::with_keys(keys, peers).await, owner)
}

async fn known(desk: &Desk, item: &Item) -> Option<(String, i64)> {
    sqlx::query_as("select barcode, revision from item_projection where item_id = $1")
        .bind(item.id.parse::<uuid::Uuid>().unwrap())
        .fetch_optional(&desk.database.pool)
        .await
        .unwrap()
}

fn owned(barcode: &str, revision: i64) -> Item {
    Item {
        barcode: barcode.into(),
        revision,
        ..book(&id())
    }
}

#[tokio::test]
async fn the_owners_state_is_read_and_then_its_feed_followed() {
    let keys = Keys::new();
    let owner = Owner::start(&keys).await;
    let old: Vec<Item> = (0..5)
        .map(|number| owned(&format!("O{number}"), 3))
        .collect();
    owner.changes(&old).await;
    let desk = Desk::with_keys(keys, owner.peers()).await;
    for item in &old {
        eventually("the state is read", PATIENCE, async || {
            known(&desk, item).await
        })
        .await;
    }
    let new = owned("N1", 1);
    let changed = Item {
        barcode: "O0b".into(),
        revision: 4,
        ..old[0].clone()
    };
    owner.changes(&[new.clone(), changed.clone()]).await;
    eventually("the feed is followed", PATIENCE, async || {
        let both = (known(&desk, &new).await?.1, known(&desk, &changed).await?.0);
        (both == (1, "O0b".to_owned())).then_some(())
    })
    .await;

    desk.student("S1").await;
    owner.running.stop().await;
    let lent = desk.check_out("O0b", "S1").await.unwrap().loan.unwrap();
    assert_eq!(lent.item_id, changed.id);
}

#[tokio::test]
async fn an_item_added_a_moment_ago_is_asked_for_and_lent() {
    let (desk, owner) = desk_and_owner().await;
    desk.student("S1").await;
    owner.has(owned("30001", 1));
    let lent = desk.check_out("30001", "S1").await.unwrap().loan.unwrap();
    assert_eq!(local(lent.due_at), "2026-09-15T23:59:59");
    assert_eq!(owner.state.asked.load(Ordering::Relaxed), 1);
    desk.check_in("30001").await.unwrap();
    assert_eq!(owner.state.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_miss_is_remembered_for_a_moment() {
    let (desk, owner) = desk_and_owner().await;
    for _ in 0..3 {
        let refused = desk.check_out("30001", "S1").await.unwrap_err();
        let info = refused.get_details_error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.metadata.len()),
            ("ITEM_NOT_FOUND", 0)
        );
    }
    assert_eq!(owner.state.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn nobody_waits_long_for_an_owner_that_does_not_answer() {
    let (desk, owner) = desk_and_owner().await;
    owner.has(owned("30001", 1));
    owner.state.delay_ms.store(20_000, Ordering::Relaxed);
    let began = Instant::now();
    let refused = desk.check_in("30001").await.unwrap_err();
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(read::reason(&refused).as_deref(), Some("ITEM_NOT_FOUND"));
    let info = refused.get_details_error_info().unwrap();
    assert_eq!(
        info.metadata.get("owner").map(String::as_str),
        Some("unreachable")
    );
}

#[tokio::test]
async fn a_look_up_never_makes_an_item_older() {
    let (desk, owner) = desk_and_owner().await;
    desk.student("S1").await;
    // The feed already brought revision 5 with a new barcode; the look-up's
    // answer was on its way since revision 3.
    let older = owned("30001", 3);
    let newer = Item {
        barcode: "30002".into(),
        revision: 5,
        ..older.clone()
    };
    desk.hear(
        &CatalogProjection { channel: None },
        &ItemChanged {
            item: Some(newer.clone()),
        },
    )
    .await;
    owner.has(older);
    assert_eq!(
        reason(desk.check_out("30001", "S1").await),
        "ITEM_NOT_FOUND"
    );
    assert_eq!(known(&desk, &newer).await, Some(("30002".into(), 5)));
}

#[tokio::test]
async fn what_an_owner_said_before_it_was_restored_is_not_kept() {
    let (desk, owner) = desk_and_owner().await;
    desk.student("S1").await;
    let item = owned("30001", 1);
    owner.has(item.clone());
    *owner.state.restored_for.lock().unwrap() = Some(desk.database.pool.clone());
    assert_eq!(
        reason(desk.check_out("30001", "S1").await),
        "ITEM_NOT_FOUND"
    );
    assert_eq!(known(&desk, &item).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_pages_and_look_ups_in_any_order_leave_the_newest() {
    let desk = Desk::open().await;
    let item = owned("30001", 0);
    let mut crowd = JoinSet::new();
    for number in 0..60_i64 {
        let revision = number * 37 % 60 + 1;
        let generation = number % 2;
        let item = Item {
            barcode: format!("B{revision}"),
            revision,
            ..item.clone()
        };
        let pool = desk.database.pool.clone();
        crowd.spawn(async move {
            let projection = CatalogProjection { channel: None };
            let event = event_of(&ItemChanged { item: Some(item) });
            let mut connection = pool.acquire().await.unwrap();
            projection
                .apply(&mut connection, generation, &event)
                .await
                .unwrap();
        });
    }
    crowd.join_all().await;
    let newest: (i64, i64) =
        sqlx::query_as("select generation, revision from item_projection where item_id = $1")
            .bind(item.id.parse::<uuid::Uuid>().unwrap())
            .fetch_one(&desk.database.pool)
            .await
            .unwrap();
    // Of generation 1 came the odd places, whose greatest revision is this.
    let greatest = (0..60_i64)
        .filter(|n| n % 2 == 1)
        .map(|n| n * 37 % 60 + 1)
        .max()
        .unwrap();
    assert_eq!(newest, (1, greatest));
}

#[tokio::test]
async fn a_finished_rebuild_forgets_what_the_owner_has_no_more() {
    let desk = Desk::open().await;
    let (gone, kept) = (owned("30001", 9), owned("30002", 1));
    let projection = CatalogProjection { channel: None };
    let mut connection = desk.database.pool.acquire().await.unwrap();
    for (generation, item) in [(0, &gone), (0, &kept), (1, &kept)] {
        let event = event_of(&ItemChanged {
            item: Some(item.clone()),
        });
        projection
            .apply(&mut connection, generation, &event)
            .await
            .unwrap();
    }
    projection.finish_rebuild(&mut connection, 1).await.unwrap();
    assert_eq!(known(&desk, &gone).await, None);
    assert_eq!(known(&desk, &kept).await, Some(("30002".into(), 1)));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_poison_not_a_default() {
    let desk = Desk::open().await;
    let projection = CatalogProjection { channel: None };
    let mut connection = desk.database.pool.acquire().await.unwrap();
    let unknown_status = Item {
        status: 99,
        ..owned("30001", 1)
    };
    let no_status = Item {
        status: ItemStatus::Unspecified.into(),
        ..owned("30001", 1)
    };
    let no_id = Item {
        id: "7".into(),
        ..owned("30001", 1)
    };
    for item in [unknown_status, no_status, no_id] {
        let event = event_of(&ItemChanged { item: Some(item) });
        let applied = projection.apply(&mut connection, 0, &event).await;
        assert!(matches!(applied, Err(ApplyError::Poison(_))), "{applied:?}");
    }
}

#[tokio::test]
async fn a_barcode_that_moved_to_another_item_finds_the_new_one() {
    let desk = Desk::open().await;
    desk.student("S1").await;
    desk.book("30001").await;
    let second = desk.book("30001").await;
    let lent = desk.check_out("30001", "S1").await.unwrap().loan.unwrap();
    assert_eq!(lent.item_id, second.id);
}
