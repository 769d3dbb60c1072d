//! What is posted, and when.

use carrel_billing::account::model::FeeFineKind;
use carrel_billing::error::Error;
use carrel_billing::posting::policy::model::Criterion;
use carrel_billing::posting::policy::{self, Preview};
use carrel_billing::posting::{self, Run};
use carrel_ids::new_id;
use jiff::{SignedDuration, ToSpan};
use uuid::Uuid;

use crate::office::{Office, desk, new_request, usd};
use crate::site::{LIBRARY_CODE, STUDENT, Site, TERM};

async fn set(office: &Office, criterion: Option<Criterion>, notice_wait_days: Option<i32>) {
    let read = policy::get(&office.billing).await.unwrap().revision;
    policy::update(
        &office.billing,
        &new_request(),
        &desk(),
        read,
        criterion,
        notice_wait_days,
    )
    .await
    .unwrap();
}

async fn preview(office: &Office) -> Vec<Preview> {
    policy::preview(&office.billing, None, None, 100)
        .await
        .unwrap()
}

#[tokio::test]
async fn only_what_the_criteria_choose_is_posted_and_a_dry_run_says_so_first() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let (small, large) = (
        office.fined_student(499).await,
        office.fined_student(500).await,
    );
    let stranger = new_id();
    office.apply(&office.fine(stranger, 900)).await;
    let rule = Criterion::All(vec![
        Criterion::MinimumAmount(usd(500)),
        Criterion::Not(Box::new(Criterion::Kind(FeeFineKind::LostItemFee))),
    ]);
    // A policy is tried before it applies.
    let tried = policy::preview(&office.billing, Some((Some(rule.clone()), None)), None, 100)
        .await
        .unwrap();
    let held: Vec<&str> = tried.iter().map(|preview| preview.held_because).collect();
    assert_eq!(
        held,
        [
            "the criteria do not choose it",
            "",
            "the patron has no student account"
        ]
    );
    assert_eq!(
        tried[1].destination,
        Some((LIBRARY_CODE.into(), TERM.into()))
    );
    assert!(
        preview(&office).await[0].held_because.is_empty(),
        "no policy applies yet"
    );
    assert_eq!(office.posting_count().await, 0, "a dry run changes nothing");

    set(&office, Some(rule), None).await;
    let run = posting::work_queue(&office.billing).await.unwrap();
    assert_eq!((run.created, run.acknowledged), (1, 1));
    assert_eq!(site.amounts(STUDENT).await, ["5.00"]);
    // A credit of what is posted is never held.
    office.waive(&large, 100).await.unwrap();
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(site.amounts(STUDENT).await, ["5.00", "-1.00"]);
    set(&office, None, None).await;
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(office.now(&small).await.at_sis, usd(499));
    office.assert_reconciled().await;
}

#[tokio::test]
async fn what_the_criteria_leave_holds_up_nothing_behind_it() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let patron_id = office.student().await;
    set(&office, Some(Criterion::MinimumAmount(usd(500))), None).await;
    // More than one page of small ones, and then a large one.
    for _ in 0..205 {
        office.apply(&office.fine(patron_id, 1)).await;
    }
    office.apply(&office.fine(patron_id, 500)).await;
    let run = posting::work_queue(&office.billing).await.unwrap();
    assert_eq!((run.created, run.acknowledged), (1, 1));
}

#[tokio::test]
async fn nothing_is_posted_before_its_dated_notice_and_the_waiting_time() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1000).await;
    set(&office, None, Some(30)).await;
    let idle = || async {
        assert_eq!(
            posting::work_queue(&office.billing).await.unwrap(),
            Run::default()
        );
        preview(&office).await[0].held_because
    };
    assert_eq!(idle().await, "there was no dated notice");
    let today = office
        .billing
        .clock
        .now()
        .to_zoned(office.billing.zone.clone())
        .date();
    let notify = async |ids: &[Uuid], on| {
        policy::record_notices(&office.billing, &new_request(), &desk(), ids, on).await
    };
    let refused = notify(&[account.id], today + 1.day()).await;
    assert!(matches!(refused, Err(Error::NoticeInFuture)));
    let refused = notify(&[account.id, new_id()], today).await;
    assert!(
        matches!(refused, Err(Error::AccountNotFound)),
        "{refused:?}"
    );
    assert_eq!(
        idle().await,
        "there was no dated notice",
        "one wrong id, and nothing is recorded"
    );
    notify(&[account.id], today).await.unwrap();
    // A second notice does not begin the time again.
    notify(&[account.id], today - 20.days()).await.unwrap();
    assert_eq!(
        idle().await,
        "the waiting time after its notice is not over"
    );
    let later = office.billing.clock.now() + SignedDuration::from_hours(30 * 24);
    office.billing.clock.set(later).unwrap();
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(site.amounts(STUDENT).await, ["10.00"]);
}

#[tokio::test]
async fn two_who_change_the_policy_at_once_are_told() {
    let office = Office::open().await;
    set(&office, None, Some(7)).await;
    let stale = policy::update(&office.billing, &new_request(), &desk(), 0, None, None).await;
    assert!(matches!(stale, Err(Error::EtagMismatch)), "{stale:?}");
    assert_eq!(
        policy::get(&office.billing).await.unwrap().notice_wait_days,
        Some(7)
    );
    let ahead = policy::update(
        &Office::open().await.billing,
        &new_request(),
        &desk(),
        3,
        None,
        None,
    )
    .await;
    assert!(matches!(ahead, Err(Error::EtagMismatch)), "{ahead:?}");
}
