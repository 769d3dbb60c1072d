//! What a desk noted while it could not reach circulation.

use carrel_proto::catalog::v1::{Item, ItemStatus};
use carrel_proto::circulation::v1::offline_transaction::Transaction;
use carrel_proto::circulation::v1::*;
use carrel_proto::patrons::v1::PatronStanding;
use carrel_runtime::Grant;

use crate::desk::*;

fn noted(at: &str, transaction: Transaction) -> OfflineTransaction {
    OfflineTransaction {
        id: id(),
        occurred_at: wire_time(at),
        transaction: Some(transaction),
    }
}

fn lent(at: &str, item: &str, patron: &str) -> OfflineTransaction {
    let check_out = OfflineCheckOut {
        item_barcode: item.into(),
        patron_barcode: patron.into(),
        ..Default::default()
    };
    noted(at, Transaction::CheckOut(check_out))
}

fn taken(at: &str, item: &str) -> OfflineTransaction {
    let item_barcode = item.into();
    noted(at, Transaction::CheckIn(OfflineCheckIn { item_barcode }))
}

fn renewed(at: &str, item: &str) -> OfflineTransaction {
    let item_barcode = item.into();
    noted(at, Transaction::Renewal(OfflineRenewal { item_barcode }))
}

fn upload(desk: &Desk, transactions: &[OfflineTransaction]) -> UploadOfflineTransactionsRequest {
    UploadOfflineTransactionsRequest {
        service_point_id: desk.point.clone(),
        transactions: transactions.to_vec(),
        request_id: id(),
    }
}

async fn take_in(desk: &Desk, transactions: &[OfflineTransaction]) -> Vec<OfflineOutcome> {
    let request = upload(desk, transactions);
    let answer = desk.batches().upload_offline_transactions(request).await;
    answer.unwrap().into_inner().outcomes
}

/// "" where a transaction was done, else why it was refused.
fn reasons(outcomes: &[OfflineOutcome]) -> Vec<&str> {
    let reason = |outcome: &OfflineOutcome| outcome.refusal.as_ref().map(|r| r.reason.clone());
    assert!(
        outcomes
            .iter()
            .all(|o| reason(o).is_none() || o.loan_id.is_empty())
    );
    let reasons = outcomes.iter().map(|outcome| outcome.refusal.as_ref());
    reasons
        .map(|r| r.map_or("", |r| r.reason.as_str()))
        .collect()
}

#[tokio::test]
async fn a_day_is_taken_in_in_order_and_again_does_nothing_twice() {
    let desk = Desk::open().await;
    let student = desk.student("S1").await;
    for barcode in ["30001", "30002", "30003"] {
        desk.book(barcode).await;
    }
    desk.wait_until("2026-09-02T08:00:00");
    let day = [
        lent("2026-09-01T10:05:00", "30001", "S1"),
        lent("2026-09-01T10:06:00", "unknown", "S1"),
        renewed("2026-09-01T10:30:00", "30001"),
        lent("2026-09-01T11:00:00", "30002", "nobody"),
        taken("2026-09-01T12:00:00", "30002"),
        taken("2026-09-01T13:00:00", "30001"),
        lent("2026-09-01T13:01:00", "30001", "S1"),
        renewed("2026-09-01T14:00:00", "30003"),
    ];
    let outcomes = take_in(&desk, &day).await;
    assert_eq!(
        reasons(&outcomes),
        [
            "",
            "ITEM_NOT_FOUND",
            "",
            "PATRON_NOT_FOUND",
            "",
            "",
            "",
            "LOAN_NOT_FOUND"
        ]
    );
    assert_eq!(outcomes[0].loan_id, outcomes[2].loan_id);
    assert_eq!(outcomes[0].loan_id, outcomes[5].loan_id);
    assert_ne!(outcomes[0].loan_id, outcomes[6].loan_id);
    assert_eq!(outcomes[4].loan_id, "", "used in house");
    let ids: Vec<&str> = outcomes.iter().map(|outcome| outcome.id.as_str()).collect();
    assert_eq!(ids, day.each_ref().map(|noted| noted.id.as_str()));
    let loan = GetLoanRequest {
        id: outcomes[0].loan_id.clone(),
    };
    let loan = desk
        .loans()
        .get_loan(loan)
        .await
        .unwrap()
        .into_inner()
        .loan
        .unwrap();
    assert_eq!(local(loan.checked_out_at), "2026-09-01T10:05:00");
    assert_eq!(local(loan.checked_in_at), "2026-09-01T13:00:00");
    assert_eq!(loan.renewal_count, 1);
    assert_eq!(desk.counters(&student).await, (1, 0, 0));

    let told = desk.told::<LoanChanged>().await.len();
    assert_eq!(take_in(&desk, &day).await, outcomes);
    // By a colleague, too.
    let mut colleague = loan_batch_service_client::LoanBatchServiceClient::new(
        desk.caller("desk-2", &[Grant::everywhere("*")]),
    );
    let again = colleague
        .upload_offline_transactions(upload(&desk, &day))
        .await;
    assert_eq!(again.unwrap().into_inner().outcomes, outcomes);
    assert_eq!(desk.told::<LoanChanged>().await.len(), told);
    let uses: i64 = sqlx::query_scalar("select count(*) from check_in where in_house_use")
        .fetch_one(&desk.database.pool)
        .await
        .unwrap();
    assert_eq!(uses, 1);
    let altered = OfflineTransaction {
        id: day[0].id.clone(),
        ..lent("2026-09-01T10:05:00", "30003", "S1")
    };
    assert_eq!(
        reasons(&take_in(&desk, &[altered]).await),
        ["REQUEST_ID_REUSED"]
    );
}

#[tokio::test]
async fn what_our_books_have_on_loan_ended_when_it_was_lent_again() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    let (first, second) = (desk.student("S1").await, desk.student("S2").await);
    let earlier = desk.check_out("30001", "S1").await.unwrap().loan.unwrap();
    desk.wait_until("2026-09-19T08:00:00");
    let day = [lent("2026-09-18T10:00:00", "30001", "S2")];
    let outcomes = take_in(&desk, &day).await;
    assert_eq!(reasons(&outcomes), [""]);
    assert_eq!(outcomes[0].ended_loan_id, earlier.id);
    assert_eq!(
        outcomes[0].overdue_fine,
        Some(usd(75)),
        "of the loan that ended"
    );
    let ended = desk
        .loans()
        .get_loan(GetLoanRequest { id: earlier.id })
        .await
        .unwrap();
    let ended = ended.into_inner().loan.unwrap();
    assert_eq!(local(ended.checked_in_at), "2026-09-18T10:00:00");
    assert_eq!(desk.counters(&first).await, (0, 0, 0));
    assert_eq!(desk.counters(&second).await, (1, 0, 0));
    assert_eq!(take_in(&desk, &day).await, outcomes);

    // Lent to somebody before it was lent by us: that can't be.
    let impossible = [lent("2026-09-18T09:00:00", "30001", "S1")];
    let outcomes = take_in(&desk, &impossible).await;
    assert_eq!(reasons(&outcomes), ["OCCURRED_BEFORE_CHECK_OUT"]);
    desk.check_in("30001").await.unwrap();
    let outcomes = take_in(&desk, &impossible).await;
    assert_eq!(reasons(&outcomes), ["OCCURRED_BEFORE_CHECK_IN"]);
}

#[tokio::test]
async fn blocks_do_not_undo_what_has_happened_but_are_kept_with_it() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    desk.book("30002").await;
    let withdrawn = Item {
        barcode: "W1".into(),
        status: ItemStatus::Withdrawn.into(),
        ..book(&desk.stacks)
    };
    desk.item(withdrawn).await;
    let student = desk.student("S1").await;
    desk.block(&student, None, false).await;
    let gone = desk.student("S2").await;
    desk.patron(PatronStanding {
        active: false,
        ..gone
    })
    .await;
    desk.wait_until("2026-09-02T08:00:00");
    let outcomes = take_in(
        &desk,
        &[
            lent("2026-09-01T10:05:00", "30001", "S1"),
            renewed("2026-09-01T10:10:00", "30001"),
            lent("2026-09-01T10:15:00", "30002", "S2"),
            lent("2026-09-01T10:20:00", "W1", "S1"),
            lent("2026-09-01T10:25:00", "30002", "S1"),
            taken("2026-06-01T10:25:00", "30002"),
            taken("2026-09-03T10:25:00", "30002"),
        ],
    )
    .await;
    assert_eq!(
        reasons(&outcomes),
        [
            "",
            "",
            "CHECK_OUT_BLOCKED",
            "CHECK_OUT_BLOCKED",
            "",
            "OCCURRED_TOO_LONG_AGO",
            "OCCURRED_IN_FUTURE"
        ]
    );
    for done in [&outcomes[0], &outcomes[1]] {
        assert_eq!(done.overridden_blocks[0].reason, "MANUAL_BLOCK");
    }
    let refusal = outcomes[2].refusal.as_ref().unwrap();
    assert_eq!(refusal.blocks[0].reason, "PATRON_INACTIVE");
    let kept = ListLoanActionsRequest {
        loan_id: outcomes[0].loan_id.clone(),
        ..Default::default()
    };
    let kept = desk
        .actions()
        .list_loan_actions(kept)
        .await
        .unwrap()
        .into_inner()
        .actions;
    assert_eq!(kept[0].action(), LoanAction::CheckedOutThroughOverride);
    assert_eq!(kept[0].comment, "offline upload");
    assert_eq!(local(kept[0].occurred_at), "2026-09-01T10:05:00");
    assert_eq!(kept[1].action(), LoanAction::RenewedThroughOverride);
}

#[tokio::test]
async fn an_upload_needs_more_than_its_own_permission_and_sound_fields() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    let all = ["upload-offline", "backdate", "override"];
    for (permissions, expected) in [
        (&all[..0], "PERMISSION_DENIED"),
        (&all[..1], "BACKDATING_DENIED"),
        (&all[..2], "OVERRIDE_DENIED"),
    ] {
        let grants: Vec<Grant> = permissions
            .iter()
            .map(|permission| Grant::everywhere(&format!("circulation.loans.{permission}")))
            .collect();
        let clerk = desk.caller("clerk", &grants);
        let mut clerk = loan_batch_service_client::LoanBatchServiceClient::new(clerk);
        let request = upload(&desk, &[taken("2026-09-01T09:00:00", "30001")]);
        let refused = clerk.upload_offline_transactions(request).await;
        assert_eq!(reason(refused), expected);
    }
    let sound = taken("2026-09-01T09:00:00", "30001");
    let table = [
        (
            OfflineTransaction {
                id: "7".into(),
                ..sound.clone()
            },
            "ID_MALFORMED",
        ),
        (
            OfflineTransaction {
                occurred_at: None,
                ..sound.clone()
            },
            "FIELD_MISSING",
        ),
        (
            OfflineTransaction {
                transaction: None,
                ..sound.clone()
            },
            "FIELD_MISSING",
        ),
        (taken("2026-09-01T09:00:00", "3 0"), "BARCODE_MALFORMED"),
        (
            lent("2026-09-01T09:00:00", "30001", ""),
            "BARCODE_MALFORMED",
        ),
    ];
    for (transaction, expected) in table {
        let request = upload(&desk, &[transaction]);
        let refused = desk.batches().upload_offline_transactions(request).await;
        assert_eq!(reason(refused), expected);
    }
    let elsewhere = UploadOfflineTransactionsRequest {
        service_point_id: id(),
        ..upload(&desk, &[sound])
    };
    let refused = desk.batches().upload_offline_transactions(elsewhere).await;
    assert_eq!(reason(refused), "SERVICE_POINT_NOT_FOUND");
    let nothing = desk
        .batches()
        .upload_offline_transactions(upload(&desk, &[]))
        .await;
    assert_eq!(reason(nothing), "TOO_MANY_VALUES");
}

#[tokio::test]
async fn a_check_out_told_afterwards_never_overlaps_what_came_before_it() {
    let desk = Desk::open().await;
    desk.book("30001").await;
    desk.student("S1").await;
    desk.student("S2").await;
    desk.check_out("30001", "S1").await.unwrap();
    desk.wait_until("2026-09-08T10:00:00");
    desk.check_in("30001").await.unwrap();
    let told_later = |at: &str| CheckOutRequest {
        occurred_at: wire_time(at),
        ..desk.lending("30001", "S2")
    };
    let overlapping = desk
        .loans()
        .check_out(told_later("2026-09-05T10:00:00"))
        .await;
    assert_eq!(reason(overlapping), "OCCURRED_BEFORE_CHECK_IN");
    desk.wait_until("2026-09-09T10:00:00");
    desk.loans()
        .check_out(told_later("2026-09-09T09:00:00"))
        .await
        .unwrap();
}
