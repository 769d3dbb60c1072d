//! Due dates that staff change: one, and many at once.

use std::time::Duration;

use carrel_proto::circulation::v1::*;
use carrel_testkit::eventually;
use tokio::task::JoinSet;
use tonic::Code;
use uuid::Uuid;

use crate::desk::*;

fn change(desk: &Desk, loan_id: &str, due: &str) -> ChangeDueDateRequest {
    ChangeDueDateRequest {
        loan_id: loan_id.into(),
        service_point_id: desk.point.clone(),
        due_at: wire_time(due),
        comment: "in hospital".into(),
        request_id: id(),
    }
}

fn changes(desk: &Desk, selection: LoanSelection, fingerprint: &str) -> ChangeDueDatesRequest {
    ChangeDueDatesRequest {
        selection: Some(selection),
        service_point_id: desk.point.clone(),
        due_at: wire_time("2026-10-30T23:59:59"),
        fingerprint: fingerprint.into(),
        comment: "the campus is closed by smoke".into(),
        request_id: id(),
    }
}

fn named(ids: &[String]) -> LoanSelection {
    LoanSelection {
        loans: Some(loan_selection::Loans::Named(LoanIds { ids: ids.into() })),
    }
}

fn filter(filter: LoanFilter) -> LoanSelection {
    LoanSelection {
        loans: Some(loan_selection::Loans::Filter(filter)),
    }
}

fn preview(desk: &Desk, selection: LoanSelection, page_token: &str) -> PreviewDueDateChangeRequest {
    PreviewDueDateChangeRequest {
        selection: Some(selection),
        service_point_id: desk.point.clone(),
        page_size: 3,
        page_token: page_token.into(),
    }
}

async fn lent(desk: &Desk, barcodes: &[&str]) -> Vec<String> {
    let mut loans = Vec::new();
    for barcode in barcodes {
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
    loans
}

/// How often each of these loans' due dates was changed.
async fn times_changed(desk: &Desk) -> Vec<i64> {
    sqlx::query_scalar(
        "select count(action.id) from loan left join loan_action action
             on action.loan_id = loan.id and action.action = 11
         group by loan.id order by loan.id",
    )
    .fetch_all(&desk.database.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn an_overdue_loan_with_a_new_due_date_is_overdue_no_more() {
    let desk = Desk::open().await;
    let student = desk.student("S1").await;
    let loans = lent(&desk, &["30001", "30002", "30003"]).await;
    desk.wait_until("2026-09-18T09:00:00");
    eventually("all are overdue", Duration::from_secs(20), async || {
        (desk.counters(&student).await == (3, 3, 0)).then_some(())
    })
    .await;
    let mut actions = desk.actions();
    let request = change(&desk, &loans[0], "2026-10-01T17:00:00");
    let changed = actions
        .change_due_date(request.clone())
        .await
        .unwrap()
        .into_inner();
    let again = actions.change_due_date(request).await.unwrap().into_inner();
    assert_eq!(again, changed);
    let changed = changed.loan.unwrap();
    assert_eq!(local(changed.due_at), "2026-10-01T17:00:00");
    assert_eq!(
        (changed.action(), changed.overdue_since),
        (LoanAction::DueDateChanged, None)
    );
    assert_eq!(desk.counters(&student).await, (3, 2, 0));
    let early = actions
        .change_due_date(change(&desk, &loans[0], "2026-09-18T08:00:00"))
        .await;
    assert_eq!(reason(early), "DUE_DATE_NOT_IN_FUTURE");

    desk.claim(&loans[1]).await.unwrap();
    let claimed = actions
        .change_due_date(change(&desk, &loans[1], "2026-10-01T17:00:00"))
        .await;
    assert_eq!(reason(claimed), "LOAN_CLAIMED_RETURNED");
    desk.declare_lost(&loans[2]).await.unwrap();
    let lost = actions
        .change_due_date(change(&desk, &loans[2], "2026-10-01T17:00:00"))
        .await;
    assert_eq!(reason(lost), "LOAN_LOST");

    // Lost four weeks after the new due date, not after the old one.
    desk.wait_until("2026-10-20T09:00:00");
    desk.age().await;
    assert_eq!(desk.counters(&student).await, (3, 1, 1));
    desk.wait_until("2026-10-29T17:00:01");
    desk.age().await;
    assert_eq!(desk.counters(&student).await, (3, 0, 2));
    desk.check_in("30001").await.unwrap();
    let closed = actions
        .change_due_date(change(&desk, &loans[0], "2027-10-01T17:00:00"))
        .await;
    assert_eq!(reason(closed), "LOAN_CLOSED");
    let mute = ChangeDueDateRequest {
        comment: String::new(),
        ..change(&desk, &loans[0], "2027-10-01T17:00:00")
    };
    assert_eq!(reason(actions.change_due_date(mute).await), "TEXT_LENGTH");
}

#[tokio::test]
async fn many_due_dates_change_as_the_preview_showed_or_not_at_all() {
    let desk = Desk::open().await;
    desk.student("S1").await;
    let loans = lent(&desk, &["30001", "30002", "30003", "30004", "30005"]).await;
    let due_that_day = filter(LoanFilter {
        due_from: wire_time("2026-09-15T00:00:00"),
        due_before: wire_time("2026-09-16T00:00:00"),
        library_code: "ALD-MAIN".into(),
        location_code: "STACKS".into(),
        check_out_service_point_id: desk.point.clone(),
    });
    let mut actions = desk.actions();
    let request = preview(&desk, due_that_day.clone(), "");
    let first = actions
        .preview_due_date_change(request)
        .await
        .unwrap()
        .into_inner();
    let request = preview(&desk, due_that_day.clone(), &first.next_page_token);
    let second = actions
        .preview_due_date_change(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (first.count, first.loans.len(), second.loans.len()),
        (5, 3, 2)
    );
    assert_eq!(second.next_page_token, "");
    assert_eq!(first.fingerprint, second.fingerprint);
    let nowhere = filter(LoanFilter {
        location_code: "NORTH-STACKS".into(),
        ..Default::default()
    });
    let none = actions
        .preview_due_date_change(preview(&desk, nowhere, ""))
        .await;
    assert_eq!(none.unwrap().into_inner().count, 0);

    desk.check_in("30005").await.unwrap();
    let stale = changes(&desk, due_that_day.clone(), &first.fingerprint);
    let refused = actions.change_due_dates(stale).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    assert_eq!(
        carrel_runtime::read::reason(&refused).as_deref(),
        Some("LOANS_CHANGED")
    );
    assert_eq!(times_changed(&desk).await, [0; 5]);

    let seen = actions
        .preview_due_date_change(preview(&desk, due_that_day.clone(), ""))
        .await;
    let fingerprint = seen.unwrap().into_inner().fingerprint;
    let request = changes(&desk, due_that_day.clone(), &fingerprint);
    let done = actions
        .change_due_dates(request.clone())
        .await
        .unwrap()
        .into_inner();
    let again = actions
        .change_due_dates(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again, done);
    let done = done.due_date_change.unwrap();
    assert_eq!(
        (done.moved_count, done.left_count, done.waiting_count),
        (4, 0, 0)
    );
    assert_eq!(times_changed(&desk).await, [1, 1, 1, 1, 0]);
    let moved = desk
        .loans()
        .get_loan(GetLoanRequest {
            id: loans[0].clone(),
        })
        .await
        .unwrap();
    assert_eq!(
        local(moved.into_inner().loan.unwrap().due_at),
        "2026-10-30T23:59:59"
    );
    let told = GetDueDateChangeRequest {
        id: done.id.clone(),
    };
    let told = actions
        .get_due_date_change(told)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(told.due_date_change, Some(done));

    let unknown = GetDueDateChangeRequest { id: id() };
    let unknown = actions.get_due_date_change(unknown).await;
    assert_eq!(reason(unknown), "DUE_DATE_CHANGE_NOT_FOUND");
    let sound = changes(&desk, due_that_day.clone(), &fingerprint);
    for (request, expected) in [
        (changes(&desk, due_that_day, ""), "FIELD_MISSING"),
        (
            changes(&desk, filter(LoanFilter::default()), "x"),
            "FIELD_MISSING",
        ),
        (
            ChangeDueDatesRequest {
                due_at: wire_time("2026-09-01T09:00:00"),
                ..sound.clone()
            },
            "DUE_DATE_NOT_IN_FUTURE",
        ),
        (
            ChangeDueDatesRequest {
                service_point_id: id(),
                ..sound.clone()
            },
            "SERVICE_POINT_NOT_FOUND",
        ),
        (
            ChangeDueDatesRequest {
                selection: None,
                ..sound
            },
            "FIELD_MISSING",
        ),
        (changes(&desk, named(&[id()]), ""), "LOAN_NOT_FOUND"),
        (changes(&desk, named(&[]), ""), "TOO_MANY_VALUES"),
        (
            changes(&desk, named(&[loans[0].clone(), loans[0].clone()]), ""),
            "VALUE_REPEATED",
        ),
    ] {
        assert_eq!(
            reason(actions.change_due_dates(request.clone()).await),
            expected,
            "{request:?}"
        );
    }
}

#[tokio::test]
async fn loans_that_are_named_are_moved_or_left_with_the_reason() {
    let desk = Desk::open().await;
    desk.student("S1").await;
    let loans = lent(&desk, &["30001", "30002", "30003", "30004"]).await;
    desk.check_in("30002").await.unwrap();
    desk.claim(&loans[2]).await.unwrap();
    desk.declare_lost(&loans[3]).await.unwrap();
    let request = changes(&desk, named(&loans), "");
    let done = desk
        .actions()
        .change_due_dates(request)
        .await
        .unwrap()
        .into_inner();
    let done = done.due_date_change.unwrap();
    assert_eq!((done.moved_count, done.left_count), (1, 3));
    let left: Vec<(&str, &str)> = done
        .left
        .iter()
        .map(|left| (left.loan_id.as_str(), left.reason.as_str()))
        .collect();
    assert_eq!(
        left,
        [
            (loans[1].as_str(), "LOAN_CLOSED"),
            (loans[2].as_str(), "LOAN_CLAIMED_RETURNED"),
            (loans[3].as_str(), "LOAN_LOST"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_cut_off_goes_on_by_itself_on_any_replica_once() {
    let desk = Desk::open().await;
    let (replica, _channel) = serve(&desk.keys, &desk.database.url, stopped_peers()).await;
    desk.student("S1").await;
    let mut crowd = JoinSet::new();
    for number in 0..250 {
        let barcode = format!("3{number:04}");
        desk.book(&barcode).await;
        let (mut loans, request) = (desk.loans(), desk.lending(&barcode, "S1"));
        crowd.spawn(async move { loans.check_out(request).await.unwrap() });
        if crowd.len() >= 8 {
            crowd.join_next().await.unwrap().unwrap();
        }
    }
    crowd.join_all().await;

    // As a call leaves it that was cut off after it was written down.
    let change_id = Uuid::now_v7();
    let mut transaction = desk.database.pool.begin().await.unwrap();
    for statement in [
        "insert into due_date_change (id, comment, actor, created_at)
         values ($1, 'smoke', 'desk-1', '2026-09-01T17:00:00Z')",
        "insert into due_date_change_loan (due_date_change_id, loan_id, due_at)
         select $1, id, due_at + interval '7 days' from loan",
    ] {
        sqlx::query(statement)
            .bind(change_id)
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    transaction.commit().await.unwrap();
    let change = GetDueDateChangeRequest {
        id: change_id.to_string(),
    };
    eventually("all are moved", Duration::from_secs(30), async || {
        let told = desk
            .actions()
            .get_due_date_change(change.clone())
            .await
            .unwrap();
        let told = told.into_inner().due_date_change.unwrap();
        (told.moved_count == 250 && told.waiting_count == 0).then_some(())
    })
    .await;
    assert_eq!(times_changed(&desk).await, [1; 250]);
    assert_eq!(desk.told::<LoanChanged>().await.len(), 500);
    replica.stop().await;
}
