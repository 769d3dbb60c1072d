//! Check-outs that come at the same moment share a transaction, and nobody
//! notices: each is told what it would be told alone.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use carrel_proto::circulation::v1::*;
use carrel_runtime::read;
use carrel_testkit::eventually;
use tokio::task::JoinSet;
use tonic::Status;

use crate::desk::*;

/// Everybody at once, each over a connection of their own; the outcomes by
/// the item asked for.
async fn all_at_once(
    desk: &Desk,
    requests: Vec<CheckOutRequest>,
) -> Vec<(String, Result<Loan, Status>)> {
    let mut crowd = JoinSet::new();
    for request in requests {
        let mut loans = desk.another_client();
        crowd.spawn(async move {
            let item = request.item_barcode.clone();
            let answer = loans.check_out(request).await;
            (item, answer.map(|lent| lent.into_inner().loan.unwrap()))
        });
    }
    crowd.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_all_kinds_is_told_each_its_own() {
    let desk = Desk::open().await;
    let mut requests = Vec::new();
    for number in 0..40 {
        let (item, patron) = (format!("3000{number}"), format!("S{number}"));
        desk.book(&item).await;
        let student = desk.student(&patron).await;
        if number % 10 == 3 {
            desk.block(&student, None, false).await;
        }
        if number % 10 == 4 {
            desk.check_out(&item, &patron).await.unwrap();
        }
        let unknown = number % 10 == 5;
        let asked_for = if unknown { format!("9{item}") } else { item };
        requests.push(desk.lending(&asked_for, &patron));
    }
    let first = all_at_once(&desk, requests.clone()).await;
    let mut told: BTreeMap<String, u32> = BTreeMap::new();
    for (_, outcome) in &first {
        let outcome = match outcome {
            Ok(_) => "lent".to_owned(),
            Err(status) => read::reason(status).unwrap(),
        };
        *told.entry(outcome).or_default() += 1;
    }
    let expected = [
        ("CHECK_OUT_BLOCKED", 4),
        ("ITEM_ALREADY_ON_LOAN", 4),
        ("ITEM_NOT_FOUND", 4),
        ("lent", 28),
    ];
    assert_eq!(
        told,
        expected.map(|(told, count)| (told.into(), count)).into()
    );

    // The same requests again get the same loans, whoever they meet this time.
    let of = |outcomes: Vec<(String, Result<Loan, Status>)>| -> BTreeMap<String, String> {
        let lent = outcomes
            .into_iter()
            .filter_map(|(item, outcome)| Some((item, outcome.ok()?.id)));
        lent.collect()
    };
    let first = of(first);
    let again = of(all_at_once(&desk, requests).await);
    assert_eq!(again, first);
    assert_eq!(first.values().collect::<HashSet<_>>().len(), 28);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_at_once_is_one_loan_and_another_under_its_id_is_refused() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    desk.book("30002").await;
    desk.student("S1").await;
    desk.student("S2").await;
    let asked = desk.lending("30001", "S1");
    let another = CheckOutRequest {
        request_id: asked.request_id.clone(),
        ..desk.lending("30002", "S2")
    };
    let mut requests = vec![asked; 16];
    requests.push(another);
    let outcomes = all_at_once(&desk, requests).await;
    let (of_first, of_other): (Vec<_>, Vec<_>) =
        outcomes.into_iter().partition(|(item, _)| item == "30001");
    let (_, other) = of_other.into_iter().next().unwrap();
    let (lent, refused) = match other {
        // Whichever came first holds the id.
        Ok(loan) => (vec![loan], of_first),
        Err(refused) => {
            assert_eq!(read::reason(&refused).unwrap(), "REQUEST_ID_REUSED");
            let lent = of_first.into_iter().map(|(_, loan)| loan.unwrap());
            (lent.collect(), Vec::new())
        }
    };
    let ids: HashSet<_> = lent.iter().map(|loan| &loan.id).collect();
    assert_eq!(ids.len(), 1);
    for (_, refused) in refused {
        let refused = refused.unwrap_err();
        assert_eq!(read::reason(&refused).unwrap(), "REQUEST_ID_REUSED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_behind_anothers_item() {
    let desk = Desk::open().await;
    for number in 0..12 {
        desk.book(&format!("3000{number}")).await;
        desk.student(&format!("S{number}")).await;
    }
    // Somebody is busy with the first item, for as long as we like.
    let mut busy = desk.database.pool.begin().await.unwrap();
    sqlx::query(
        "select from item_circulation join item_projection using (item_id) where barcode = '30000'
         for update of item_circulation",
    )
    .execute(&mut *busy)
    .await
    .unwrap();
    let held = {
        let (mut loans, lending) = (desk.another_client(), desk.lending("30000", "S0"));
        tokio::spawn(async move { loans.check_out(lending).await })
    };
    let others =
        (1..12).map(|number| desk.lending(&format!("3000{number}"), &format!("S{number}")));
    for (item, lent) in all_at_once(&desk, others.collect()).await {
        assert!(lent.is_ok(), "{item}: {lent:?}");
    }
    eventually("the held one waits", Duration::from_secs(20), async || {
        let waiting: bool = sqlx::query_scalar(
            "select exists (select from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock')",
        )
        .fetch_one(&desk.database.pool)
        .await
        .unwrap();
        waiting.then_some(())
    })
    .await;
    assert!(!held.is_finished());
    busy.rollback().await.unwrap();
    held.await.unwrap().unwrap();
}
