//! What a caller hears who does something wrong.

use std::time::Duration;

use carrel_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use carrel_proto::events::v1::{GetHeadRequest, SubscribeRequest};
use carrel_proto::operations::v1::clock_service_client::ClockServiceClient;
use carrel_proto::operations::v1::{GetClockRequest, SetClockRequest};
use carrel_runtime::{Grant, Running, Scope, wire};
use carrel_testkit::TestDatabase;
use jiff::{SignedDuration, Timestamp};
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::bare_service::{Keys, connect, reason, start_bare, with_token};

async fn ready_service() -> (Keys, Running, Channel) {
    let database = TestDatabase::empty().await;
    let keys = Keys::new();
    let mut service = start_bare(&keys.settings(&database.url)).await.unwrap();
    service.ready(Duration::from_secs(20)).await.unwrap();
    let channel = connect(&service).await;
    (keys, service, channel)
}

#[tokio::test]
async fn who_has_no_valid_token_learns_nothing() {
    let (keys, _service, channel) = ready_service().await;
    let mut clock = ClockServiceClient::new(channel);
    let now = Timestamp::now();
    let everything = [Grant::everywhere("*")];

    let missing = clock
        .get_clock(Request::new(GetClockRequest {}))
        .await
        .unwrap_err();
    assert_eq!(
        (missing.code(), reason(&missing)),
        (Code::Unauthenticated, "TOKEN_MISSING".into())
    );

    let hour_ago = now - SignedDuration::from_hours(1);
    let expired = keys.issuer.issue(
        "tester",
        &everything,
        hour_ago,
        SignedDuration::from_mins(5),
    );
    let refused = clock
        .get_clock(with_token(GetClockRequest {}, &expired))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::Unauthenticated, "TOKEN_EXPIRED".into())
    );

    let foreign = Keys::new().token(&everything);
    for wrong in [foreign.as_str(), "nonsense"] {
        let refused = clock
            .get_clock(with_token(GetClockRequest {}, wrong))
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused)),
            (Code::Unauthenticated, "TOKEN_INVALID".into())
        );
    }

    for grants in [
        vec![],
        vec![Grant::everywhere("catalog.items.read")],
        vec![Grant::new(
            "operations.clock.read",
            Scope::Library("MAIN".into()),
        )],
    ] {
        let token = keys.token(&grants);
        let refused = clock
            .get_clock(with_token(GetClockRequest {}, &token))
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused)),
            (Code::PermissionDenied, "PERMISSION_DENIED".into())
        );
    }

    let token = keys.token(&[Grant::everywhere("operations.clock.read")]);
    assert!(
        clock
            .get_clock(with_token(GetClockRequest {}, &token))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_message_that_is_too_large_or_no_message_has_its_reason() {
    let (keys, _service, channel) = ready_service().await;
    let token = keys.token(&[Grant::everywhere("*")]);
    let mut clock = ClockServiceClient::new(channel.clone());

    let request = SetClockRequest {
        now: None,
        request_id: "x".repeat(5 * 1024 * 1024),
    };
    let refused = clock
        .set_clock(with_token(request, &token))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".into())
    );

    let mut raw = tonic::client::Grpc::new(channel);
    raw.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<prost_types::Value, prost_types::Value>::default();
    let path = http::uri::PathAndQuery::from_static("/carrel.operations.v1.ClockService/SetClock");
    // A number where the contract has a text.
    let nonsense = prost_types::Value {
        kind: Some(prost_types::value::Kind::NumberValue(1.0)),
    };
    let refused = raw
        .unary(with_token(nonsense, &token), path, codec)
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::InvalidArgument, "MESSAGE_MALFORMED".into())
    );
}

#[tokio::test]
async fn the_clock_moves_once_for_each_request_and_never_back() {
    let (keys, service, channel) = ready_service().await;
    let token = keys.token(&[Grant::everywhere("*")]);
    let mut clock = ClockServiceClient::new(channel);
    let later = Timestamp::now() + SignedDuration::from_hours(24 * 30);
    let request = SetClockRequest {
        now: Some(wire::to_timestamp(later)),
        request_id: carrel_ids::new_id().to_string(),
    };
    clock
        .set_clock(with_token(request.clone(), &token))
        .await
        .unwrap();
    assert!(service.clock().now() >= later);
    clock
        .set_clock(with_token(request.clone(), &token))
        .await
        .unwrap();

    let mut back = request.clone();
    back.request_id = carrel_ids::new_id().to_string();
    back.now = Some(wire::to_timestamp(Timestamp::now()));
    let refused = clock.set_clock(with_token(back, &token)).await.unwrap_err();
    assert_eq!(reason(&refused), "CLOCK_BACKWARDS");

    for (request_id, expected) in [("", "REQUEST_ID_MISSING"), ("7", "ID_MALFORMED")] {
        let mut wrong = request.clone();
        wrong.request_id = request_id.into();
        let refused = clock
            .set_clock(with_token(wrong, &token))
            .await
            .unwrap_err();
        assert_eq!(reason(&refused), expected);
    }
}

#[tokio::test]
async fn the_feed_is_there_and_each_type_has_its_permission() {
    let (keys, _service, channel) = ready_service().await;
    let mut feed = EventFeedServiceClient::new(channel);
    let token = keys.token(&[
        Grant::everywhere("events.subscribe"),
        Grant::everywhere("catalog.items.read"),
    ]);
    let head = feed
        .get_head(with_token(GetHeadRequest {}, &token))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(head.head.unwrap().number, 0);

    for (event_type, expected) in [
        ("carrel.catalog.v1.ItemChanged", None),
        (
            "carrel.circulation.v1.LoanChanged",
            Some("EVENT_TYPE_DENIED"),
        ),
        ("carrel.nothing.v1.Nothing", Some("EVENT_TYPE_DENIED")),
    ] {
        let request = SubscribeRequest {
            cursor: None,
            types: vec![event_type.into()],
        };
        let answer = feed.subscribe(with_token(request, &token)).await;
        assert_eq!(
            answer.err().map(|status| reason(&status)).as_deref(),
            expected
        );
    }
}
