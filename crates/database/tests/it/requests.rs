//! A repeated call has one effect and one answer.

use carrel_database::{Claim, RequestKey, claim, forget_before, transact};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::database;

fn key(request_id: Uuid, content: u8) -> RequestKey {
    RequestKey {
        caller: "desk-1".into(),
        rpc: "/carrel.circulation.v1.LoanService/CheckOut",
        request_id,
        fingerprint: [content; 32],
    }
}

#[tokio::test]
async fn a_duplicate_waits_for_the_first_and_learns_what_it_made() {
    let (_kept, database) = database().await;
    let request_id = Uuid::now_v7();
    let now = Timestamp::now();
    let mut first = database.pool().begin().await.unwrap();
    let loan = Uuid::now_v7();
    let claimed = claim(&mut first, &key(request_id, 1), &[loan], now)
        .await
        .unwrap();
    assert_eq!(claimed, Ok(Claim::New));

    let other = database.clone();
    let duplicate = tokio::spawn(async move {
        transact!(other, "duplicate", |connection| {
            claim(connection, &key(request_id, 1), &[Uuid::now_v7()], now).await
        })
    });
    // It waits on the first one's row: PostgreSQL says so.
    carrel_testkit::eventually("the duplicate waits", std::time::Duration::from_secs(10), async || {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
        )
        .fetch_one(database.pool())
        .await
        .unwrap();
        (waiting == 1).then_some(())
    })
    .await;
    first.commit().await.unwrap();
    assert_eq!(
        duplicate.await.unwrap().unwrap(),
        Ok(Claim::Done(vec![loan]))
    );
}

#[tokio::test]
async fn a_request_that_failed_leaves_its_id_free() {
    let (_kept, database) = database().await;
    let request_id = Uuid::now_v7();
    let now = Timestamp::now();
    let failed: Result<(), sqlx::Error> = transact!(database, "fails", |connection| {
        claim(connection, &key(request_id, 1), &[], now)
            .await?
            .unwrap();
        Err(sqlx::Error::RowNotFound)
    });
    assert!(failed.is_err());
    let again = transact!(database, "again", |connection| {
        claim(connection, &key(request_id, 1), &[], now).await
    });
    assert_eq!(again.unwrap(), Ok(Claim::New));
}

#[tokio::test]
async fn the_same_id_for_another_request_is_refused_and_for_another_caller_is_its_own() {
    let (_kept, database) = database().await;
    let request_id = Uuid::now_v7();
    let now = Timestamp::now();
    let mut connection = database.pool().acquire().await.unwrap();
    let first = claim(&mut connection, &key(request_id, 1), &[], now)
        .await
        .unwrap();
    assert_eq!(first, Ok(Claim::New));
    let other_content = claim(&mut connection, &key(request_id, 2), &[], now)
        .await
        .unwrap();
    assert!(other_content.is_err());
    let mut other_caller = key(request_id, 2);
    other_caller.caller = "desk-2".into();
    let claimed = claim(&mut connection, &other_caller, &[], now)
        .await
        .unwrap();
    assert_eq!(claimed, Ok(Claim::New));
}

#[tokio::test]
async fn old_requests_are_forgotten_and_new_ones_kept() {
    let (_kept, database) = database().await;
    let now = Timestamp::now();
    let week_ago = now - SignedDuration::from_hours(24 * 8);
    let mut connection = database.pool().acquire().await.unwrap();
    let (old, new) = (Uuid::now_v7(), Uuid::now_v7());
    claim(&mut connection, &key(old, 1), &[], week_ago)
        .await
        .unwrap()
        .unwrap();
    claim(&mut connection, &key(new, 1), &[], now)
        .await
        .unwrap()
        .unwrap();
    let horizon = now - SignedDuration::from_hours(24 * 7);
    assert_eq!(forget_before(&mut connection, horizon).await.unwrap(), 1);
    let claimed = claim(&mut connection, &key(new, 1), &[], now)
        .await
        .unwrap();
    assert_eq!(claimed, Ok(Claim::Done(vec![])));
}
