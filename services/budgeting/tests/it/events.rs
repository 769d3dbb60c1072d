//! What budgeting's feed tells.

use std::time::Duration;

use carrel_proto::budgeting::v1 as pb;
use carrel_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use carrel_proto::events::v1::{Event, SubscribeRequest};
use prost::{Message as _, Name as _};

use crate::office::{Office, usd};

/// The first `count` events of the feed.
async fn feed(office: &Office, count: usize) -> Vec<Event> {
    let caller = office.caller("follower", &["events.subscribe", "budgeting.*"]);
    let request = SubscribeRequest {
        cursor: None,
        types: vec![
            pb::BudgetChanged::full_name(),
            pb::EncumbranceChanged::full_name(),
        ],
    };
    let mut client = EventFeedServiceClient::new(caller);
    let mut stream = client.subscribe(request).await.unwrap().into_inner();
    let mut events = Vec::new();
    let all = async {
        while events.len() < count {
            events.extend(stream.message().await.unwrap().unwrap().events);
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), all).await;
    assert!(
        waited.is_ok(),
        "only {} of {count} events came",
        events.len()
    );
    events
}

fn budget(event: &Event) -> pb::Budget {
    assert_eq!(event.r#type, pb::BudgetChanged::full_name());
    let budget = pb::BudgetChanged::decode(&*event.payload)
        .unwrap()
        .budget
        .unwrap();
    assert_eq!(event.subject_id, budget.id);
    budget
}

fn encumbrance(event: &Event) -> pb::Encumbrance {
    assert_eq!(event.r#type, pb::EncumbranceChanged::full_name());
    let changed = pb::EncumbranceChanged::decode(&*event.payload).unwrap();
    let encumbrance = changed.encumbrance.unwrap();
    assert_eq!(event.subject_id, encumbrance.id);
    encumbrance
}

#[tokio::test]
async fn a_follower_learns_each_change_once_and_nothing_of_what_was_refused() {
    let office = Office::open().await;
    let mut desk = office.desk.clone();
    let id = desk.books_with("100.00").await;
    let made = desk.encumber(&id, "60.00").await.unwrap();
    desk.encumber(&id, "40.01").await.unwrap_err();
    let released = desk.release(&made.id).await.unwrap();
    desk.release(&made.id).await.unwrap();
    let last = desk.allocate(&id, "1.00").await.unwrap();

    let events = feed(&office, 7).await;
    assert_eq!(events.len(), 7);
    assert_eq!(budget(&events[0]).allocated, Some(usd("0.00")));
    assert_eq!(budget(&events[1]).allocated, Some(usd("100.00")));
    assert_eq!(encumbrance(&events[2]), made);
    assert_eq!(budget(&events[3]).available_to_encumber, Some(usd("40.00")));
    assert_eq!(encumbrance(&events[4]), released);
    assert_eq!(budget(&events[5]).encumbered, Some(usd("0.00")));
    assert_eq!(budget(&events[6]), last);
    let revisions: Vec<i64> = [0, 1, 3, 5, 6]
        .map(|n: usize| budget(&events[n]).revision)
        .to_vec();
    assert_eq!(revisions, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn under_a_crowd_a_budgets_events_come_in_the_order_in_which_they_took_effect() {
    let office = Office::open().await;
    let id = office.desk.clone().books_with("1000.00").await;
    let orders = (0..24).map(|_| {
        let mut desk = office.desk.clone();
        let id = id.clone();
        async move { desk.encumber(&id, "1.00").await.unwrap() }
    });
    futures::future::join_all(orders).await;
    let events = feed(&office, 2 + 2 * 24).await;
    let budgets = events.iter().filter(|event| event.subject_id == id);
    let revisions: Vec<i64> = budgets.map(|event| budget(event).revision).collect();
    assert_eq!(revisions, (1..=26).collect::<Vec<_>>());
}
