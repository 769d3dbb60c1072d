//! Which patron has which student account, as patrons tells it.

use std::collections::BTreeMap;

use carrel_billing::student_link::StudentLinks;
use carrel_ids::new_id;
use carrel_outbox::{Projection, StateProjection};
use carrel_proto::events::v1::Event;
use carrel_proto::patrons::v1::{StudentLink, StudentLinkChanged};
use carrel_runtime::{Peers, ServiceToken, TokenIssuer};
use prost::{Message, Name};

use crate::office::Office;

#[tokio::test]
async fn a_link_is_never_older_than_it_was_and_goes_with_its_patron() {
    let office = Office::open().await;
    let token = ServiceToken::new(TokenIssuer::generate(), "billing", &[]);
    let peers = Peers::new(&BTreeMap::from([("patrons", "http://127.0.0.1:9")]), token).unwrap();
    let links = StudentLinks::new(peers.channel("patrons").unwrap());
    let patron_id = new_id();
    let link = |student_id: &str, revision| StudentLink {
        patron_id: patron_id.to_string(),
        student_id: student_id.into(),
        revision,
        ..Default::default()
    };
    let student = async || -> Option<Option<String>> {
        sqlx::query_scalar("select student_id from student_link where patron_id = $1")
            .bind(patron_id)
            .fetch_optional(&office.pool)
            .await
            .unwrap()
    };
    let mut connection = office.pool.acquire().await.unwrap();
    for (link, generation, expected) in [
        (link("s-1", 2), 1, Some("s-1")),
        (link("s-0", 1), 1, Some("s-1")),
        (link("", 3), 1, None),
        (link("s-2", 1), 2, Some("s-2")),
    ] {
        let changed = StudentLinkChanged {
            student_link: Some(link),
        };
        let event = Event {
            r#type: StudentLinkChanged::full_name(),
            payload: changed.encode_to_vec().into(),
            ..Default::default()
        };
        links
            .apply(&mut connection, generation, &event)
            .await
            .unwrap();
        assert_eq!(student().await, Some(expected.map(str::to_owned)));
    }
    links
        .apply_page(&mut connection, 3, &vec![link("s-3", 1)])
        .await
        .unwrap();
    assert_eq!(student().await, Some(Some("s-3".to_owned())));
    links.finish_rebuild(&mut connection, 4).await.unwrap();
    assert_eq!(student().await, None);
}
