//! Lending for longer.

use carrel_proto::circulation::v1::*;
use carrel_testkit::eventually;
use std::time::Duration;

use crate::desk::*;

#[tokio::test]
async fn a_renewal_counts_from_the_due_date_until_they_are_used_up() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    desk.student("S1").await;
    let loan = desk.check_out("30001", "S1").await.unwrap().loan.unwrap();

    let request = desk.renewing("30001");
    let renewed = desk
        .loans()
        .renew(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        local(renewed.loan.clone().unwrap().due_at),
        "2026-09-29T23:59:59"
    );
    assert_eq!(
        desk.loans().renew(request).await.unwrap().into_inner(),
        renewed
    );
    let by_id = RenewRequest {
        key: Some(renew_request::Key::LoanId(loan.id)),
        ..desk.renewing("")
    };
    let renewed = desk
        .loans()
        .renew(by_id.clone())
        .await
        .unwrap()
        .into_inner()
        .loan
        .unwrap();
    assert_eq!(
        (renewed.renewal_count, renewed.action()),
        (2, LoanAction::Renewed)
    );

    assert_eq!(
        blocks(desk.renew("30001").await),
        [("RENEWALS_EXHAUSTED".into(), true)]
    );
    let by_override = RenewRequest {
        r#override: overriding(&["RENEWALS_EXHAUSTED"]),
        ..desk.renewing("30001")
    };
    let renewed = desk.loans().renew(by_override).await.unwrap().into_inner();
    assert_eq!(
        renewed.loan.unwrap().action(),
        LoanAction::RenewedThroughOverride
    );
    assert_eq!(renewed.overridden_blocks.len(), 1);

    desk.check_in("30001").await.unwrap();
    let again = RenewRequest {
        request_id: id(),
        ..by_id
    };
    assert_eq!(reason(desk.loans().renew(again).await), "LOAN_CLOSED");
    assert_eq!(reason(desk.renew("30001").await), "LOAN_NOT_FOUND");
}

#[tokio::test]
async fn a_late_renewal_owes_what_was_late_and_is_late_no_more() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    let student = desk.student("S1").await;
    desk.check_out("30001", "S1").await.unwrap();
    desk.wait_until("2026-09-18T09:00:00");
    eventually("the loan is overdue", Duration::from_secs(20), async || {
        (desk.counters(&student).await == (1, 1, 0)).then_some(())
    })
    .await;
    let renewed = desk.renew("30001").await.unwrap();
    assert_eq!(renewed.overdue_fine, Some(usd(75)));
    let loan = renewed.loan.unwrap();
    assert_eq!(
        (loan.overdue_since, local(loan.due_at).as_str()),
        (None, "2026-09-29T23:59:59")
    );
    assert_eq!(desk.counters(&student).await, (1, 0, 0));
    assert_eq!(desk.told::<OverdueFineIncurred>().await.len(), 1);
}

#[tokio::test]
async fn a_renewal_that_would_not_be_later_is_refused() {
    let desk = Desk::open().await;
    desk.loan_policy(LoanPolicy {
        renew_from: RenewFrom::Now.into(),
        ..two_weeks()
    })
    .await;
    desk.book("30001").await;
    desk.student("S1").await;
    desk.check_out("30001", "S1").await.unwrap();
    assert_eq!(
        blocks(desk.renew("30001").await),
        [("RENEWAL_NOT_LATER".into(), false)]
    );
}

#[tokio::test]
async fn a_loan_keeps_the_policies_it_was_made_under() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    desk.book("30002").await;
    desk.student("S1").await;
    desk.check_out("30001", "S1").await.unwrap();
    let newer = LoanPolicy {
        period: Some(period(3, PeriodUnit::Days)),
        ..two_weeks()
    };
    assert_eq!(desk.loan_policy(newer).await.version, 2);
    let renewed = desk.renew("30001").await.unwrap().loan.unwrap();
    assert_eq!(local(renewed.due_at), "2026-09-29T23:59:59");
    let lent = desk.check_out("30002", "S1").await.unwrap().loan.unwrap();
    assert_eq!(local(lent.due_at), "2026-09-04T23:59:59");
}
