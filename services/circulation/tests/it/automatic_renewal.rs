//! Loans that renew themselves.

use std::time::Duration;

use carrel_proto::circulation::v1::*;
use carrel_testkit::eventually;

use crate::desk::*;

async fn self_renewing(desk: &Desk) {
    desk.loan_policy(LoanPolicy {
        renew_automatically: true,
        renew_automatically_before: Some(period(2, PeriodUnit::Days)),
        ..two_weeks()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loan_renews_itself_once_before_each_due_date_whatever_the_replicas() {
    let desk = Desk::open().await;
    let (replica, _channel) = serve(&desk.keys, &desk.database.url, stopped_peers()).await;
    self_renewing(&desk).await;
    let student = desk.student("S1").await;
    for number in 0..12 {
        let barcode = format!("3000{number}");
        desk.book(&barcode).await;
        desk.check_out(&barcode, "S1").await.unwrap();
    }
    let renewals = async || -> Vec<(i32, i64)> {
        sqlx::query_as(
            "select loan.renewal_count, count(action.id)
             from loan left join loan_action action
                 on action.loan_id = loan.id and action.actor = 'service:circulation' and action.action = 3
             group by loan.id",
        )
        .fetch_all(&desk.database.pool)
        .await
        .unwrap()
    };
    // Not yet.
    desk.wait_until("2026-09-13T23:00:00");
    desk.age().await;
    assert_eq!(renewals().await, [(0, 0); 12]);
    for (clock, count) in [("2026-09-14T09:00:00", 1), ("2026-09-28T09:00:00", 2)] {
        desk.wait_until(clock);
        replica.clock().set(at(clock)).unwrap();
        eventually("all are renewed", Duration::from_secs(30), async || {
            (renewals().await == [(count, i64::from(count)); 12]).then_some(())
        })
        .await;
    }
    // Twice is all that the policy allows: that is told once for each loan.
    for clock in [
        "2026-10-12T09:00:00",
        "2026-10-12T15:00:00",
        "2026-10-15T09:00:00",
    ] {
        desk.wait_until(clock);
        replica.clock().set(at(clock)).unwrap();
        desk.age().await;
    }
    eventually("all are overdue", Duration::from_secs(30), async || {
        (desk.counters(&student).await == (12, 12, 0)).then_some(())
    })
    .await;
    let failed: Vec<LoanRenewalFailed> = desk.told().await;
    assert_eq!(failed.len(), 12);
    assert_eq!(failed[0].blocks[0].reason, "RENEWALS_EXHAUSTED");
    assert_eq!(renewals().await, [(2, 2); 12]);
    assert!(desk.told::<OverdueFineIncurred>().await.is_empty());
    replica.stop().await;
}

#[tokio::test]
async fn what_stands_against_it_is_told_once_and_staff_may_still_renew() {
    let desk = Desk::open().await;
    self_renewing(&desk).await;
    desk.book("30001").await;
    let student = desk.student("S1").await;
    let loan = desk.check_out("30001", "S1").await.unwrap().loan.unwrap();
    desk.block(&student, None, false).await;
    desk.wait_until("2026-09-14T09:00:00");
    desk.age().await;
    eventually("it is told", Duration::from_secs(20), async || {
        (desk.told::<LoanRenewalFailed>().await.len() == 1).then_some(())
    })
    .await;
    desk.age().await;
    let failed: Vec<LoanRenewalFailed> = desk.told().await;
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].loan.as_ref().unwrap().id, loan.id);
    assert_eq!(failed[0].loan.as_ref().unwrap().due_at, loan.due_at);
    assert_eq!(failed[0].blocks[0].reason, "MANUAL_BLOCK");
    desk.block(&student, None, true).await;
    let renewed = desk.renew("30001").await.unwrap().loan.unwrap();
    assert_eq!(local(renewed.due_at), "2026-09-29T23:59:59");
}

#[tokio::test]
async fn what_is_claimed_lost_or_of_another_policy_does_not_renew_itself() {
    let desk = Desk::open().await;
    desk.student("S1").await;
    desk.book("30001").await;
    desk.check_out("30001", "S1").await.unwrap();
    self_renewing(&desk).await;
    let mut loans = Vec::new();
    for barcode in ["30002", "30003"] {
        desk.book(barcode).await;
        loans.push(
            desk.check_out(barcode, "S1")
                .await
                .unwrap()
                .loan
                .unwrap()
                .id,
        );
    }
    desk.claim(&loans[0]).await.unwrap();
    desk.declare_lost(&loans[1]).await.unwrap();
    desk.wait_until("2026-09-14T09:00:00");
    desk.age().await;
    let told: Vec<LoanChanged> = desk.told().await;
    assert!(
        told.iter()
            .all(|told| told.loan.as_ref().unwrap().renewal_count == 0)
    );
    assert!(desk.told::<LoanRenewalFailed>().await.is_empty());

    let never = CreateLoanPolicyRequest {
        loan_policy: Some(LoanPolicy {
            renew_automatically: true,
            renewals_allowed: 0,
            ..two_weeks()
        }),
        request_id: id(),
    };
    let refused = desk.policies().create_loan_policy(never).await;
    assert_eq!(reason(refused), "POLICY_MALFORMED");
}
