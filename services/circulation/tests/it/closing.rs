//! Emergency closings: looked at first, then done to each loan once.

use std::collections::BTreeMap;
use std::time::Duration;

use carrel_proto::circulation::v1::*;
use carrel_testkit::eventually;
use tokio::task::JoinSet;
use tonic::Status;

use crate::desk::*;
use crate::request::{asking, place, read, title};

const PATIENCE: Duration = Duration::from_secs(20);

/// Open every day from 8:00 to 20:00.
async fn daily_hours(desk: &Desk, service_point_id: &str) {
    let day = |day: i32| WeeklyHours {
        day,
        opens: time(8, 0),
        closes: time(20, 0),
    };
    let hours = SetOpeningHoursRequest {
        service_point_id: service_point_id.into(),
        weekly_hours: (1..=7).map(day).collect(),
        exceptions: vec![],
        request_id: id(),
    };
    desk.points().set_opening_hours(hours).await.unwrap();
}

/// A desk that lends until the next open day, with so many books out at two
/// weeks, due on the 15th.
async fn with_loans(count: usize) -> (Desk, Vec<Loan>) {
    let desk = Desk::open().await;
    daily_hours(&desk, &desk.point).await;
    desk.loan_policy(LoanPolicy {
        closed_library_due_date: ClosedLibraryDueDate::EndOfNextOpenDay.into(),
        ..two_weeks()
    })
    .await;
    desk.student("S1").await;
    let mut loans = Vec::new();
    for number in 0..count {
        let barcode = format!("3{number:04}");
        desk.book(&barcode).await;
        loans.push(desk.check_out(&barcode, "S1").await.unwrap().loan.unwrap());
    }
    (desk, loans)
}

/// Smoke from noon of the 14th until the end of the 17th.
fn smoke(desk: &Desk) -> Closing {
    Closing {
        id: String::new(),
        service_point_ids: vec![desk.point.clone()],
        library_code: String::new(),
        closed_from: wire_time("2026-09-14T12:00:00"),
        last_date: date(2026, 9, 17),
        reason: "smoke of a wildfire".into(),
    }
}

async fn preview(desk: &Desk, closing: Closing) -> Result<PreviewClosingResponse, Status> {
    let request = PreviewClosingRequest {
        closing: Some(closing),
        ..Default::default()
    };
    Ok(desk.points().preview_closing(request).await?.into_inner())
}

fn close_request(closing: Closing, fingerprint: String) -> CloseServicePointsRequest {
    CloseServicePointsRequest {
        closing: Some(closing),
        fingerprint,
        request_id: id(),
    }
}

async fn close(
    desk: &Desk,
    closing: Closing,
    fingerprint: String,
) -> Result<CloseServicePointsResponse, Status> {
    let request = close_request(closing, fingerprint);
    Ok(desk
        .points()
        .close_service_points(request)
        .await?
        .into_inner())
}

async fn progress(desk: &Desk, id: &str) -> (i64, i64, i64) {
    let request = GetClosingRequest { id: id.into() };
    let closing = desk
        .points()
        .get_closing(request)
        .await
        .unwrap()
        .into_inner();
    let progress = closing.progress.unwrap();
    (
        progress.total_count,
        progress.moved_count,
        progress.passed_over_count,
    )
}

async fn loan(desk: &Desk, id: &str) -> Loan {
    let request = GetLoanRequest { id: id.into() };
    desk.loans()
        .get_loan(request)
        .await
        .unwrap()
        .into_inner()
        .loan
        .unwrap()
}

/// How often each loan was told of as moved.
async fn told_moves(desk: &Desk) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    for changed in desk.told::<LoanChanged>().await {
        let loan = changed.loan.unwrap();
        if loan.action() == LoanAction::DueDateChanged {
            *told.entry(loan.id).or_default() += 1;
        }
    }
    told
}

#[tokio::test]
async fn a_closing_is_looked_at_and_then_moves_each_due_date_once() {
    let (desk, loans) = with_loans(5).await;
    // One that is due after it, and one whose policy does not mind.
    desk.loan_policy(two_weeks()).await;
    desk.book("40000").await;
    let kept = desk.check_out("40000", "S1").await.unwrap().loan.unwrap();
    desk.wait_until("2026-09-05T10:00:00");
    desk.book("40001").await;
    let later = desk.check_out("40001", "S1").await.unwrap().loan.unwrap();

    let first_page = PreviewClosingRequest {
        closing: Some(smoke(&desk)),
        page_size: 3,
        page_token: String::new(),
    };
    let first = desk
        .points()
        .preview_closing(first_page.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (first.affected_count, first.moved_count, first.kept_count),
        (6, 5, 1)
    );
    assert_eq!(first.moves.len(), 3);
    let next = PreviewClosingRequest {
        page_token: first.next_page_token.clone(),
        ..first_page
    };
    let second = desk
        .points()
        .preview_closing(next.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (second.moves.len(), second.next_page_token.as_str()),
        (2, "")
    );
    assert_eq!(second.fingerprint, first.fingerprint);
    for one in first.moves.iter().chain(&second.moves) {
        assert!(loans.iter().any(|loan| loan.id == one.loan_id));
        assert_eq!(local(one.due_at), "2026-09-15T23:59:59");
        assert_eq!(local(one.new_due_at), "2026-09-18T23:59:59");
    }
    let other = PreviewClosingRequest {
        closing: Some(Closing {
            reason: "fire".into(),
            ..smoke(&desk)
        }),
        ..next
    };
    let refused = desk.points().preview_closing(other).await;
    assert_eq!(reason(refused), "PAGE_TOKEN_FROM_ANOTHER_QUERY");
    // Looking changes nothing.
    assert_eq!(loan(&desk, &loans[0].id).await, loans[0]);

    let request = close_request(smoke(&desk), first.fingerprint);
    let made = desk
        .points()
        .close_service_points(request.clone())
        .await
        .unwrap()
        .into_inner();
    let closing = made.closing.clone().unwrap();
    assert_eq!(
        Closing {
            id: String::new(),
            ..closing.clone()
        },
        smoke(&desk)
    );
    eventually("all are moved", PATIENCE, async || {
        (progress(&desk, &closing.id).await == (5, 5, 0)).then_some(())
    })
    .await;
    for before in &loans {
        let after = loan(&desk, &before.id).await;
        assert_eq!(local(after.due_at), "2026-09-18T23:59:59");
        assert_eq!(after.action(), LoanAction::DueDateChanged);
        assert_eq!(after.revision, before.revision + 1);
    }
    assert_eq!(loan(&desk, &kept.id).await, kept);
    assert_eq!(loan(&desk, &later.id).await, later);
    let again = desk
        .points()
        .close_service_points(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again.closing.unwrap(), closing);

    // Long after, still once each, in the events and in the history.
    desk.wait_until("2026-09-05T10:10:00");
    eventually("the closing is finished", PATIENCE, async || {
        let finished: bool = sqlx::query_scalar("select finished_at is not null from closing")
            .fetch_one(&desk.database.pool)
            .await
            .unwrap();
        finished.then_some(())
    })
    .await;
    let told = told_moves(&desk).await;
    assert_eq!((told.len(), told.values().sum::<usize>()), (5, 5));
    let history: Vec<(String, String)> =
        sqlx::query_as("select actor, comment from loan_action where action = 11")
            .fetch_all(&desk.database.pool)
            .await
            .unwrap();
    assert_eq!(history.len(), 5);
    assert!(
        history
            .iter()
            .all(|entry| *entry == ("desk-1".into(), "smoke of a wildfire".into()))
    );
}

#[tokio::test]
async fn calendars_know_of_a_closing_and_keep_it_when_hours_change() {
    let (desk, _) = with_loans(1).await;
    let looked = preview(&desk, smoke(&desk)).await.unwrap();
    let made = close(&desk, smoke(&desk), looked.fingerprint)
        .await
        .unwrap();
    daily_hours(&desk, &desk.point).await;
    let read = GetOpeningHoursRequest {
        service_point_id: desk.point.clone(),
    };
    let hours = desk
        .points()
        .get_opening_hours(read)
        .await
        .unwrap()
        .into_inner();
    let [span] = hours.closings.as_slice() else {
        panic!("{hours:?}");
    };
    assert_eq!(span.closing_id, made.closing.unwrap().id);
    assert_eq!(local(span.closed_from), "2026-09-14T12:00:00");
    assert_eq!(local(span.closed_until), "2026-09-18T00:00:00");
    assert_eq!(span.reason, "smoke of a wildfire");
    // The next loan is due with the closing in mind: 2 September and two weeks.
    desk.wait_until("2026-09-02T10:00:00");
    desk.book("40000").await;
    let lent = desk.check_out("40000", "S1").await.unwrap().loan.unwrap();
    assert_eq!(local(lent.due_at), "2026-09-18T23:59:59");
}

#[tokio::test]
async fn a_closing_is_refused_where_its_preview_is_out_of_date() {
    let (desk, loans) = with_loans(2).await;
    let looked = preview(&desk, smoke(&desk)).await.unwrap().fingerprint;
    let changed = "CLOSING_CHANGED";
    let refused = close(&desk, smoke(&desk), String::new()).await;
    assert_eq!(refused.as_ref().unwrap_err().code(), tonic::Code::Aborted);
    assert_eq!(reason(refused), changed);
    // Another closing than the one that was looked at.
    for other in [
        Closing {
            last_date: date(2026, 9, 18),
            ..smoke(&desk)
        },
        Closing {
            reason: "fire".into(),
            ..smoke(&desk)
        },
    ] {
        assert_eq!(reason(close(&desk, other, looked.clone()).await), changed);
    }
    // A loan more, a loan less, other hours.
    desk.book("40000").await;
    desk.check_out("40000", "S1").await.unwrap();
    assert_eq!(
        reason(close(&desk, smoke(&desk), looked.clone()).await),
        changed
    );
    desk.check_in("40000").await.unwrap();
    let looked = preview(&desk, smoke(&desk)).await.unwrap().fingerprint;
    desk.check_in("30000").await.unwrap();
    assert_eq!(
        reason(close(&desk, smoke(&desk), looked.clone()).await),
        changed
    );
    let looked = preview(&desk, smoke(&desk)).await.unwrap();
    assert_eq!(looked.moved_count, 1);
    let hours = SetOpeningHoursRequest {
        service_point_id: desk.point.clone(),
        weekly_hours: vec![WeeklyHours {
            day: DayOfWeek::Monday.into(),
            opens: time(8, 0),
            closes: time(20, 0),
        }],
        exceptions: vec![],
        request_id: id(),
    };
    desk.points().set_opening_hours(hours).await.unwrap();
    let refused = close(&desk, smoke(&desk), looked.fingerprint.clone()).await;
    assert_eq!(reason(refused), changed);
    // Nothing of all that left a trace.
    assert_eq!(loan(&desk, &loans[1].id).await, loans[1]);
    let looked = preview(&desk, smoke(&desk)).await.unwrap();
    assert_eq!(local(looked.moves[0].new_due_at), "2026-09-21T23:59:59");
    close(&desk, smoke(&desk), looked.fingerprint)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_whole_library_closes_and_the_others_stay_open() {
    let (desk, loans) = with_loans(1).await;
    let mut points = Vec::new();
    for (code, library) in [("ALD-MACHINE", "ALD-MAIN"), ("NORTH-DESK", "ALD-NORTH")] {
        let request = CreateServicePointRequest {
            service_point: Some(service_point(code, library)),
            request_id: id(),
        };
        let made = desk.points().create_service_point(request).await.unwrap();
        let point = made.into_inner().service_point.unwrap().id;
        daily_hours(&desk, &point).await;
        points.push(point);
    }
    let mut lent = Vec::new();
    for (number, point) in points.iter().enumerate() {
        let barcode = format!("4000{number}");
        desk.book(&barcode).await;
        let lending = CheckOutRequest {
            service_point_id: point.clone(),
            ..desk.lending(&barcode, "S1")
        };
        let answer = desk.loans().check_out(lending).await.unwrap().into_inner();
        lent.push(answer.loan.unwrap());
    }
    let library = Closing {
        service_point_ids: vec![],
        library_code: "ALD-MAIN".into(),
        ..smoke(&desk)
    };
    let looked = preview(&desk, library.clone()).await.unwrap();
    assert_eq!(looked.moved_count, 2);
    let made = close(&desk, library, looked.fingerprint).await.unwrap();
    let mut closed = made.closing.unwrap().service_point_ids;
    closed.sort();
    let mut expected = vec![desk.point.clone(), points[0].clone()];
    expected.sort();
    assert_eq!(closed, expected);
    for (id, due) in [
        (&loans[0].id, "2026-09-18T23:59:59"),
        (&lent[0].id, "2026-09-18T23:59:59"),
        (&lent[1].id, "2026-09-15T23:59:59"),
    ] {
        assert_eq!(local(loan(&desk, id).await.due_at), due);
    }
}

#[tokio::test]
async fn closings_that_do_not_hold_together_are_refused() {
    let (desk, _) = with_loans(1).await;
    let table = [
        (
            Closing {
                service_point_ids: vec![],
                ..smoke(&desk)
            },
            "CLOSING_MALFORMED",
        ),
        (
            Closing {
                library_code: "ALD-MAIN".into(),
                ..smoke(&desk)
            },
            "CLOSING_MALFORMED",
        ),
        (
            Closing {
                service_point_ids: vec![desk.point.clone(); 101],
                ..smoke(&desk)
            },
            "CLOSING_MALFORMED",
        ),
        (
            Closing {
                service_point_ids: vec![id()],
                ..smoke(&desk)
            },
            "SERVICE_POINT_NOT_FOUND",
        ),
        (
            Closing {
                service_point_ids: vec![desk.point.clone(), id()],
                ..smoke(&desk)
            },
            "SERVICE_POINT_NOT_FOUND",
        ),
        (
            Closing {
                service_point_ids: vec!["7".into()],
                ..smoke(&desk)
            },
            "ID_MALFORMED",
        ),
        (
            Closing {
                service_point_ids: vec![],
                library_code: "NOWHERE".into(),
                ..smoke(&desk)
            },
            "SERVICE_POINT_NOT_FOUND",
        ),
        (
            Closing {
                last_date: date(2026, 9, 13),
                ..smoke(&desk)
            },
            "CLOSING_MALFORMED",
        ),
        (
            Closing {
                last_date: date(2027, 9, 16),
                ..smoke(&desk)
            },
            "CLOSING_MALFORMED",
        ),
        (
            Closing {
                last_date: None,
                ..smoke(&desk)
            },
            "FIELD_MISSING",
        ),
        (
            Closing {
                closed_from: None,
                ..smoke(&desk)
            },
            "FIELD_MISSING",
        ),
        (
            Closing {
                closed_from: wire_time("2026-08-02T09:00:00"),
                ..smoke(&desk)
            },
            "CLOSING_MALFORMED",
        ),
        (
            Closing {
                reason: String::new(),
                ..smoke(&desk)
            },
            "TEXT_LENGTH",
        ),
    ];
    for (closing, expected) in table {
        assert_eq!(
            reason(preview(&desk, closing.clone()).await),
            expected,
            "{closing:?}"
        );
        assert_eq!(
            reason(close(&desk, closing.clone(), String::new()).await),
            expected,
            "{closing:?}"
        );
    }
    let unknown = GetClosingRequest { id: id() };
    assert_eq!(
        reason(desk.points().get_closing(unknown).await),
        "CLOSING_NOT_FOUND"
    );

    let looked = preview(&desk, smoke(&desk)).await.unwrap().fingerprint;
    let nameless = CloseServicePointsRequest {
        request_id: String::new(),
        ..close_request(smoke(&desk), looked.clone())
    };
    assert_eq!(
        reason(desk.points().close_service_points(nameless).await),
        "REQUEST_ID_MISSING"
    );
    close(&desk, smoke(&desk), looked.clone()).await.unwrap();
    let overlapping = Closing {
        closed_from: wire_time("2026-09-17T12:00:00"),
        last_date: date(2026, 9, 20),
        ..smoke(&desk)
    };
    assert_eq!(
        reason(preview(&desk, overlapping.clone()).await),
        "CLOSINGS_OVERLAP"
    );
    assert_eq!(
        reason(close(&desk, overlapping, looked).await),
        "CLOSINGS_OVERLAP"
    );
    // One that follows on it is none.
    let next = Closing {
        closed_from: wire_time("2026-09-18T00:00:00"),
        last_date: date(2026, 9, 18),
        ..smoke(&desk)
    };
    let looked = preview(&desk, next.clone()).await.unwrap();
    assert_eq!(
        local(looked.moves[0].new_due_at),
        "2026-09-19T23:59:59",
        "moved again"
    );
    close(&desk, next, looked.fingerprint).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_desk_holds_meanwhile_is_moved_when_it_lets_go() {
    let (desk, loans) = with_loans(4).await;
    let looked = preview(&desk, smoke(&desk)).await.unwrap().fingerprint;
    // Desks are at work on three of the items while the library closes.
    let mut desks = Vec::new();
    for loan in &loans[..3] {
        let mut held = desk.database.pool.begin().await.unwrap();
        sqlx::query("select from item_circulation where item_id = $1::uuid for update")
            .bind(&loan.item_id)
            .execute(&mut *held)
            .await
            .unwrap();
        desks.push(held);
    }
    let made = close(&desk, smoke(&desk), looked).await.unwrap();
    let closing = made.closing.unwrap().id;
    assert_eq!(progress(&desk, &closing).await, (4, 1, 0));
    // One only looked; one moved the due date out of the closing; one moved it to
    // another day of it, by the hours that it knew.
    for (held, (loan, due_at)) in desks.into_iter().zip(loans.iter().zip([
        None,
        Some("2026-10-01T23:59:59"),
        Some("2026-09-16T23:59:59"),
    ])) {
        let mut held = held;
        if let Some(due_at) = due_at {
            sqlx::query("update loan set due_at = $2, revision = revision + 1 where id = $1::uuid")
                .bind(&loan.id)
                .bind(jiff_sqlx::ToSqlx::to_sqlx(at(due_at)))
                .execute(&mut *held)
                .await
                .unwrap();
        }
        held.commit().await.unwrap();
    }
    eventually("the rest is settled", PATIENCE, async || {
        (progress(&desk, &closing).await == (4, 3, 1)).then_some(())
    })
    .await;
    for (loan_id, due) in [
        (&loans[0].id, "2026-09-18T23:59:59"),
        (&loans[1].id, "2026-10-01T23:59:59"),
        (&loans[2].id, "2026-09-18T23:59:59"),
        (&loans[3].id, "2026-09-18T23:59:59"),
    ] {
        assert_eq!(local(loan(&desk, loan_id).await.due_at), due);
    }
    assert_eq!(told_moves(&desk).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_that_a_stop_cut_short_goes_on_with_any_replica() {
    let (desk, loans) = with_loans(7).await;
    let looked = preview(&desk, smoke(&desk)).await.unwrap().fingerprint;
    let made = close(&desk, smoke(&desk), looked).await.unwrap();
    let closing = made.closing.unwrap().id;
    // As if the call had been cut off after its first transaction.
    sqlx::query("update loan set due_at = '2026-09-16T06:59:59Z'")
        .execute(&desk.database.pool)
        .await
        .unwrap();
    sqlx::query("delete from outbox")
        .execute(&desk.database.pool)
        .await
        .unwrap();
    sqlx::query("update closing_move set outcome = null")
        .execute(&desk.database.pool)
        .await
        .unwrap();
    let (replica, _) = serve(&desk.keys, &desk.database.url, stopped_peers()).await;
    eventually("all are moved", PATIENCE, async || {
        (progress(&desk, &closing).await == (7, 7, 0)).then_some(())
    })
    .await;
    for before in &loans {
        assert_eq!(
            local(loan(&desk, &before.id).await.due_at),
            "2026-09-18T23:59:59"
        );
    }
    let told = told_moves(&desk).await;
    assert_eq!((told.len(), told.values().sum::<usize>()), (7, 7));
    replica.stop().await;
}

#[tokio::test]
async fn a_loan_made_by_the_hours_before_the_closing_is_moved_too() {
    let (desk, loans) = with_loans(2).await;
    // One is due long after; it stands for a loan that is being made meanwhile.
    let straggler = &loans[1].id;
    let set_due = async |due_at: &str| {
        sqlx::query("update loan set due_at = $2 where id = $1::uuid")
            .bind(straggler)
            .bind(jiff_sqlx::ToSqlx::to_sqlx(at(due_at)))
            .execute(&desk.database.pool)
            .await
            .unwrap();
    };
    set_due("2026-11-01T23:59:59").await;
    let looked = preview(&desk, smoke(&desk)).await.unwrap();
    assert_eq!(looked.moved_count, 1);
    close(&desk, smoke(&desk), looked.fingerprint)
        .await
        .unwrap();
    set_due("2026-09-15T23:59:59").await;
    eventually("the straggler is moved", PATIENCE, async || {
        let due_at = loan(&desk, straggler).await.due_at;
        (local(due_at) == "2026-09-18T23:59:59").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_overdue_loan_that_fell_due_in_the_closing_is_overdue_no_more() {
    let (desk, loans) = with_loans(1).await;
    let student_counters = async || {
        let counters: (i32, i32) =
            sqlx::query_as("select open_loans, overdue_loans from patron_circulation")
                .fetch_one(&desk.database.pool)
                .await
                .unwrap();
        counters
    };
    // The library closed on the 14th; staff come to say so on the 16th.
    desk.wait_until("2026-09-16T09:00:00");
    eventually("it is overdue", PATIENCE, async || {
        (student_counters().await == (1, 1)).then_some(())
    })
    .await;
    let looked = preview(&desk, smoke(&desk)).await.unwrap();
    close(&desk, smoke(&desk), looked.fingerprint)
        .await
        .unwrap();
    let moved = loan(&desk, &loans[0].id).await;
    assert_eq!(
        (local(moved.due_at).as_str(), moved.overdue_since),
        ("2026-09-18T23:59:59", None)
    );
    assert_eq!(student_counters().await, (1, 0));
    desk.wait_until("2026-09-18T10:00:00");
    assert_eq!(desk.check_in("30000").await.unwrap().overdue_fine, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_lent_while_a_library_closes_is_due_outside_the_closing() {
    let (desk, _) = with_loans(4).await;
    let mut crowd = JoinSet::new();
    for number in 0..40 {
        let (barcode, patron) = (format!("5{number:04}"), format!("C{number}"));
        desk.book(&barcode).await;
        desk.student(&patron).await;
        let (mut loans, lending) = (desk.loans(), desk.lending(&barcode, &patron));
        crowd.spawn(async move { loans.check_out(lending).await.unwrap() });
    }
    // While the desk goes on lending, no preview holds for long; a second member
    // of staff closes at the same time.
    let close_somehow = async || loop {
        let looked = match preview(&desk, smoke(&desk)).await {
            Ok(looked) => looked.fingerprint,
            Err(refused) => return reason::<()>(Err(refused)),
        };
        match close(&desk, smoke(&desk), looked).await {
            Ok(made) => return made.closing.unwrap().id,
            Err(refused) if refused.code() == tonic::Code::Aborted => {}
            Err(refused) => return reason::<()>(Err(refused)),
        }
    };
    let both = tokio::join!(close_somehow(), close_somehow());
    let (first, second) = both;
    let closing = match (first.as_str(), second.as_str()) {
        ("CLOSINGS_OVERLAP", id) | (id, "CLOSINGS_OVERLAP") => id.to_owned(),
        _ => panic!("{first} {second}"),
    };
    crowd.join_all().await;
    eventually("every due date is outside", PATIENCE, async || {
        let inside: i64 = sqlx::query_scalar(
            "select count(*) from loan
             where due_at >= '2026-09-14T19:00:00Z' and due_at < '2026-09-18T07:00:00Z'",
        )
        .fetch_one(&desk.database.pool)
        .await
        .unwrap();
        let (total, moved, _) = progress(&desk, &closing).await;
        (inside == 0 && total == moved).then_some(())
    })
    .await;
    let told = told_moves(&desk).await;
    assert!(
        told.len() >= 4 && told.values().all(|times| *times == 1),
        "{told:?}"
    );
}

#[tokio::test]
async fn what_waits_on_the_hold_shelf_waits_for_the_library_to_open_again() {
    let (desk, _) = with_loans(0).await;
    let (ann, ben) = (desk.student("S2").await, desk.student("S3").await);
    let mut waiting = Vec::new();
    for (barcode, patron) in [("40001", &ann), ("40002", &ben)] {
        let record = title(&desk, &[barcode]).await;
        desk.check_out(barcode, "S1").await.unwrap();
        waiting.push(place(&desk, asking(&desk, patron, &record)).await.unwrap());
    }
    desk.check_in("40001").await.unwrap();
    desk.wait_until("2026-09-05T10:00:00");
    desk.check_in("40002").await.unwrap();
    let shelf = async |request: &Request| local(read(&desk, request).await.hold_shelf_expires_at);
    assert_eq!(shelf(&waiting[0]).await, "2026-09-08T23:59:59");
    assert_eq!(shelf(&waiting[1]).await, "2026-09-12T23:59:59");

    let strike = Closing {
        closed_from: wire_time("2026-09-07T12:00:00"),
        last_date: date(2026, 9, 9),
        reason: "strike".into(),
        ..smoke(&desk)
    };
    let looked = preview(&desk, strike.clone()).await.unwrap();
    assert_eq!(looked.affected_count, 0);
    close(&desk, strike, looked.fingerprint).await.unwrap();
    eventually("the shelf is kept", PATIENCE, async || {
        (shelf(&waiting[0]).await == "2026-09-10T23:59:59").then_some(())
    })
    .await;
    assert_eq!(shelf(&waiting[1]).await, "2026-09-12T23:59:59");
    // Told once, and not expired on the day on which it was closed.
    desk.wait_until("2026-09-09T10:00:00");
    let age = RunAgeingRequest { request_id: id() };
    desk.loans().run_ageing(age).await.unwrap();
    let request = read(&desk, &waiting[0]).await;
    assert_eq!(request.status(), RequestStatus::OpenAwaitingPickup);
    let told: Vec<RequestChanged> = desk.told().await;
    let moved = told.into_iter().filter_map(|told| told.request);
    let moved = moved.filter(|told| told.id == request.id && told.revision == request.revision);
    assert_eq!(moved.count(), 1);
}
