//! A service whose database is not there, not its own, or newer.

use std::time::Duration;

use carrel_proto::operations::v1::GetClockRequest;
use carrel_proto::operations::v1::clock_service_client::ClockServiceClient;
use carrel_runtime::{Grant, StartError};
use carrel_testkit::{TestDatabase, eventually};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::bare_service::{Keys, connect, reason, start_bare, with_token};

#[tokio::test]
async fn a_service_without_its_database_says_so_and_recovers_by_itself() {
    let database = TestDatabase::empty().await;
    let (proxy, url) = database.behind_proxy().await;
    proxy.cut();
    let keys = Keys::new();
    let mut service = start_bare(&keys.settings(&url)).await.unwrap();
    let channel = connect(&service).await;

    let token = keys.token(&[Grant::everywhere("*")]);
    let mut clock = ClockServiceClient::new(channel.clone());
    let refused = clock
        .get_clock(with_token(GetClockRequest {}, &token))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::Unavailable, "SERVICE_NOT_READY".into())
    );
    let mut health = HealthClient::new(channel);
    let check = |health: &mut HealthClient<_>| {
        let mut health = health.clone();
        async move {
            let answer = health.check(HealthCheckRequest::default()).await.unwrap();
            answer.into_inner().status()
        }
    };
    assert_eq!(check(&mut health).await, ServingStatus::NotServing);
    eventually(
        "the service says why it is not ready",
        Duration::from_secs(10),
        async || {
            let error = service.ready(Duration::ZERO).await.unwrap_err();
            error.to_string().contains("can't be reached").then_some(())
        },
    )
    .await;

    proxy.restore();
    service.ready(Duration::from_secs(20)).await.unwrap();
    assert_eq!(check(&mut health).await, ServingStatus::Serving);
    assert!(
        clock
            .get_clock(with_token(GetClockRequest {}, &token))
            .await
            .is_ok()
    );
    service.stop().await;
}

#[tokio::test]
async fn a_newer_or_altered_database_is_left_alone() {
    for (change, expected) in [
        (
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (9999, 'of the future', true, '', 0)",
            "newer version",
        ),
        (
            "update _sqlx_migrations set checksum = '' where version = 1",
            "differs",
        ),
        (
            "update _sqlx_migrations set success = false where version = 1",
            "interrupted",
        ),
    ] {
        let database = TestDatabase::empty().await;
        let keys = Keys::new();
        let settings = keys.settings(&database.url);
        let mut service = start_bare(&settings).await.unwrap();
        service.ready(Duration::from_secs(20)).await.unwrap();
        service.stop().await;

        sqlx::query(change).execute(&database.pool).await.unwrap();
        let mut service = start_bare(&settings).await.unwrap();
        eventually(
            "the service says what is wrong",
            Duration::from_secs(10),
            async || {
                let error = service.ready(Duration::ZERO).await.unwrap_err();
                error.to_string().contains(expected).then_some(())
            },
        )
        .await;
        service.stop().await;
    }
}

#[tokio::test]
async fn an_old_replica_that_is_refused_holds_up_nobody() {
    let database = TestDatabase::empty().await;
    let keys = Keys::new();
    let settings = keys.settings(&database.url);
    let mut old = start_bare(&settings).await.unwrap();
    old.ready(Duration::from_secs(20)).await.unwrap();
    old.stop().await;
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'of the future', true, '', 0)",
    )
    .execute(&database.pool)
    .await
    .unwrap();
    let mut old = start_bare(&settings).await.unwrap();
    eventually(
        "the old replica is refused",
        Duration::from_secs(10),
        async || {
            let error = old.ready(Duration::ZERO).await.unwrap_err();
            error.to_string().contains("newer version").then_some(())
        },
    )
    .await;

    // It goes on trying; the lock that makes migrations wait must be free.
    eventually(
        "no session holds the migration's lock",
        Duration::from_secs(10),
        async || {
            let held: i64 = sqlx::query_scalar(
                "select count(*) from pg_locks where locktype = 'advisory' and granted
                 and database = (select oid from pg_database where datname = current_database())",
            )
            .fetch_one(&database.pool)
            .await
            .unwrap();
            (held == 0).then_some(())
        },
    )
    .await;
    old.stop().await;
}

#[tokio::test]
async fn a_service_that_ended_by_itself_can_still_be_stopped() {
    let database = TestDatabase::empty().await;
    let keys = Keys::new();
    let mut service = start_bare(&keys.settings(&database.url)).await.unwrap();
    service.ready(Duration::from_secs(20)).await.unwrap();
    service.end_soon();
    service.ended().await;
    service.stop().await;
}

#[tokio::test]
async fn a_service_that_loses_its_database_says_so_and_comes_back() {
    let database = TestDatabase::empty().await;
    let (proxy, url) = database.behind_proxy().await;
    let keys = Keys::new();
    let mut service = start_bare(&keys.settings(&url)).await.unwrap();
    service.ready(Duration::from_secs(20)).await.unwrap();
    let health = HealthClient::new(connect(&service).await);
    let is = async |status: ServingStatus| {
        eventually(
            "health follows the database",
            Duration::from_secs(30),
            async || {
                let answer = health
                    .clone()
                    .check(HealthCheckRequest::default())
                    .await
                    .ok()?;
                (answer.into_inner().status() == status).then_some(())
            },
        )
        .await;
    };
    proxy.cut();
    is(ServingStatus::NotServing).await;
    proxy.restore();
    is(ServingStatus::Serving).await;
    service.stop().await;
}

#[tokio::test]
async fn a_wrong_configuration_is_told_at_once() {
    let database = TestDatabase::empty().await;
    let keys = Keys::new();
    let settings = keys.settings(&database.url);
    let service = start_bare(&settings).await.unwrap();

    let mut taken = settings.clone();
    taken.listen = service.address();
    let error = start_bare(&taken).await.unwrap_err();
    assert!(matches!(error, StartError::PortTaken(_)), "{error}");

    let mut without_key = settings.clone();
    without_key.barcode_key = "/nowhere/barcode.key".into();
    let error = start_bare(&without_key).await.unwrap_err();
    assert!(
        error.to_string().contains("/nowhere/barcode.key"),
        "{error}"
    );

    let error = start_bare(&keys.settings("not a url")).await.unwrap_err();
    assert!(matches!(error, StartError::DatabaseUrl), "{error}");
}
