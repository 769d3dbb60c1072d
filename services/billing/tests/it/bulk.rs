//! A night's charges at once.

use std::time::Instant;

use carrel_billing::posting;

use crate::office::{Office, usd};
use crate::site::{OTHER_STUDENT, STUDENT, Site};

/// How many: the full measure is `CARREL_BULK_CHARGES=10000`, on an optimised build.
fn charges() -> i64 {
    let text = std::env::var("CARREL_BULK_CHARGES").unwrap_or_default();
    text.parse().unwrap_or(500)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nights_charges_are_acknowledged_each_once() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let patrons = [
        office.student_who_is(STUDENT).await,
        office.student_who_is(OTHER_STUDENT).await,
    ];
    let count = charges();
    for number in 0..count {
        office
            .apply(&office.fine(patrons[number as usize % 2], 100 + number % 7))
            .await;
    }
    let started = Instant::now();
    let run = posting::work_queue(&office.billing).await.unwrap();
    let took = started.elapsed();
    assert_eq!((run.created, run.acknowledged), (count, count));
    let per_second = count as f64 / took.as_secs_f64();
    println!("{count} charges acknowledged in {took:.1?}: {per_second:.0} a second");
    let total: i64 = (0..count).map(|number| 100 + number % 7).sum();
    let started = Instant::now();
    assert_eq!(office.assert_reconciled().await, usd(total));
    println!("reconciled in {:.1?}", started.elapsed());
}
