//! Requests while many ask at once.

use std::collections::{BTreeSet, HashMap};

use carrel_proto::circulation::v1::*;
use carrel_proto::patrons::v1::PatronStanding;
use tokio::task::JoinSet;
use tonic::Status;

use crate::desk::*;
use crate::request::{asking, asking_for, title};

async fn crowd(desk: &Desk, asked: Vec<CreateRequestRequest>) -> Vec<Result<Request, Status>> {
    let mut crowd = JoinSet::new();
    for asked in asked {
        let mut requests = desk.requests();
        crowd.spawn(async move {
            let placed = requests.create_request(asked).await?;
            Ok(placed.into_inner().request.unwrap())
        });
    }
    crowd.join_all().await
}

async fn students(desk: &Desk, count: usize) -> Vec<PatronStanding> {
    let mut students = Vec::new();
    for number in 0..count {
        students.push(desk.student(&format!("S{number}")).await);
    }
    students
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_at_once_on_one_queue_get_one_place_each_in_the_order_of_commit() {
    let desk = Desk::open().await;
    let record = title(&desk, &["30001", "30002"]).await;
    for (item, patron) in [("30001", "A"), ("30002", "B")] {
        desk.student(patron).await;
        desk.check_out(item, patron).await.unwrap();
    }
    let students = students(&desk, 64).await;
    let asked = students
        .iter()
        .map(|student| asking(&desk, student, &record));
    let outcomes = crowd(&desk, asked.collect()).await;

    let placed: Vec<Request> = outcomes.into_iter().map(Result::unwrap).collect();
    let places: BTreeSet<i64> = placed.iter().map(|request| request.place).collect();
    assert_eq!(places.len(), 64);
    let positions: BTreeSet<i32> = placed
        .iter()
        .map(|request| request.queue_position)
        .collect();
    assert_eq!(positions, (1..=64).collect());

    let by_place: HashMap<&str, i64> = placed
        .iter()
        .map(|request| (request.id.as_str(), request.place))
        .collect();
    let told: Vec<RequestChanged> = desk.told().await;
    let in_feed: Vec<i64> = told
        .iter()
        .map(|told| by_place[told.request.as_ref().unwrap().id.as_str()])
        .collect();
    assert_eq!(
        in_feed,
        Vec::from_iter(places),
        "the feed tells them in the queue's order"
    );
    let queue = desk
        .requests()
        .get_queue(GetQueueRequest { record_id: record })
        .await;
    let queue = queue.unwrap().into_inner().requests;
    assert!(queue.iter().map(|request| request.place).is_sorted());
    sound(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_times_the_same_patron_has_one_request() {
    let desk = Desk::open().await;
    let record = title(&desk, &["30001", "30002"]).await;
    let student = desk.student("S1").await;
    let asked = (0..64).map(|number| match number % 3 {
        0 => asking(&desk, &student, &record),
        1 => asking_for(&desk, &student, "30001"),
        _ => asking_for(&desk, &student, "30002"),
    });
    let outcomes = crowd(&desk, asked.collect()).await;
    let (placed, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((placed.len(), refused.len()), (1, 63));
    for refused in refused {
        assert_eq!(reason(refused), "REQUEST_ALREADY_OPEN");
    }
    sound(&desk).await;
}

/// What must hold whatever happened.
async fn sound(desk: &Desk) {
    for (what, query) in [
        (
            "an open request's copy is kept for it",
            "select count(*) from patron_request r left join item_circulation c on c.item_id = r.held_item_id
             where r.closed_at is null and r.held_item_id is not null and c.held_request_id is distinct from r.id",
        ),
        (
            "an item is kept for a request that has it, or for a closed one",
            "select count(*) from item_circulation c join patron_request r on r.id = c.held_request_id
             where r.closed_at is null and r.held_item_id is distinct from c.item_id",
        ),
        (
            "an item is where its request says",
            "select count(*) from item_circulation c join patron_request r on r.id = c.held_request_id
             where r.closed_at is null and c.status <> case r.status when 1 then 8 when 2 then 6 when 3 then 7 else 11 end",
        ),
        (
            "a request that has no copy is not yet filled",
            "select count(*) from patron_request where held_item_id is null and status not in (1, 6, 7)",
        ),
        (
            "an item that is kept is not out",
            "select count(*) from item_circulation where held_request_id is not null and open_loan_id is not null",
        ),
        (
            "patrons' open requests are counted",
            "select count(*) from patron_circulation p where open_requests <> (
                 select count(*) from patron_request r where r.patron_id = p.patron_id and r.closed_at is null)",
        ),
        (
            "patrons' open loans are counted",
            "select count(*) from patron_circulation p where open_loans <> (
                 select count(*) from loan l where l.patron_id = p.patron_id and l.checked_in_at is null)",
        ),
        (
            "items of titles that somebody waits for are marked",
            "select count(*) from item_circulation c join item_projection p using (item_id)
             where not c.requested and exists (
                 select from patron_request r where r.record_id = p.record_id and r.closed_at is null)",
        ),
        (
            "nobody has a title and waits for it",
            "select count(*) from loan l join item_projection p using (item_id)
             join patron_request r on r.record_id = p.record_id and r.patron_id = l.patron_id
             where l.checked_in_at is null and r.closed_at is null and r.item_id is null",
        ),
    ] {
        let broken: i64 = sqlx::query_scalar(query).fetch_one(&desk.database.pool).await.unwrap();
        assert_eq!(broken, 0, "{what}");
    }
}

/// A small source of numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

const REFUSALS: [&str; 8] = [
    "REQUEST_ALREADY_OPEN",
    "REQUEST_BLOCKED",
    "REQUEST_CLOSED",
    "REQUEST_IN_FULFILMENT",
    "CHECK_OUT_BLOCKED",
    "ITEM_ALREADY_ON_LOAN",
    "RENEWAL_BLOCKED",
    "LOAN_NOT_FOUND",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_requests_loans_and_returns_leaves_everything_sound() {
    let desk = Desk::open().await;
    let north = desk.north_point().await;
    let mut titles = Vec::new();
    for title_number in 0..3 {
        let barcodes: Vec<String> = (0..3)
            .map(|copy| format!("3{title_number}{copy}"))
            .collect();
        let barcodes: Vec<&str> = barcodes.iter().map(String::as_str).collect();
        titles.push(title(&desk, &barcodes).await);
    }
    let students = students(&desk, 8).await;
    let mut storm = JoinSet::new();
    for client in 0..16_u64 {
        let (mut loans, mut requests) = (desk.loans(), desk.requests());
        let (students, titles) = (students.clone(), titles.clone());
        let points = [desk.point.clone(), north.clone()];
        let asked = asking(&desk, &students[0], &titles[0]);
        let (lending, returning) = (desk.lending("", ""), desk.returning(""));
        let renewing = desk.renewing("");
        storm.spawn(async move {
            let mut dice = Dice(client + 1);
            let mut refusals = Vec::new();
            for _ in 0..40 {
                let who = dice.roll(8);
                let barcode = format!("3{}{}", dice.roll(3), dice.roll(3));
                let point = points[dice.roll(2)].clone();
                let refused = match dice.roll(7) {
                    0 | 1 => {
                        let kind = [RequestType::Hold, RequestType::Recall, RequestType::Page]
                            [dice.roll(3)];
                        let by_item = dice.roll(2) == 0;
                        let target = if by_item {
                            create_request_request::Target::ItemBarcode(barcode)
                        } else {
                            create_request_request::Target::RecordId(titles[dice.roll(3)].clone())
                        };
                        let level = if by_item {
                            RequestLevel::Item
                        } else {
                            RequestLevel::Title
                        };
                        let id_of = students[who].patron_id.clone();
                        let asked = CreateRequestRequest {
                            patron: Some(create_request_request::Patron::PatronId(id_of)),
                            target: Some(target),
                            r#type: kind.into(),
                            level: level.into(),
                            pickup_service_point_id: point,
                            request_id: id(),
                            ..asked.clone()
                        };
                        requests.create_request(asked).await.err()
                    }
                    2 | 3 => {
                        let lending = CheckOutRequest {
                            item_barcode: barcode,
                            patron_barcode: format!("S{who}"),
                            service_point_id: point,
                            r#override: overriding(&["ITEM_REQUESTED"])
                                .filter(|_| dice.roll(4) == 0),
                            request_id: id(),
                            ..lending.clone()
                        };
                        loans.check_out(lending).await.err()
                    }
                    4 | 5 => {
                        let returning = CheckInRequest {
                            item_barcode: barcode,
                            service_point_id: point,
                            request_id: id(),
                            ..returning.clone()
                        };
                        loans.check_in(returning).await.err()
                    }
                    _ if dice.roll(4) == 0 => {
                        let renewing = RenewRequest {
                            key: Some(renew_request::Key::ItemBarcode(barcode)),
                            request_id: id(),
                            ..renewing.clone()
                        };
                        loans.renew(renewing).await.err()
                    }
                    _ => {
                        let open = ListRequestsRequest {
                            patron_id: students[who].patron_id.clone(),
                            statuses: vec![1, 2, 3, 4],
                            ..Default::default()
                        };
                        let open = requests
                            .list_requests(open)
                            .await
                            .unwrap()
                            .into_inner()
                            .requests;
                        match open.first() {
                            None => None,
                            Some(request) => {
                                let asked = CancelRequestRequest {
                                    id: request.id.clone(),
                                    reason: "storm".into(),
                                    request_id: id(),
                                    ..Default::default()
                                };
                                requests.cancel_request(asked).await.err()
                            }
                        }
                    }
                };
                refusals.extend(refused);
            }
            refusals
        });
    }
    // Meanwhile the hold shelves empty themselves.
    for day in [
        "2026-09-05T10:00:00",
        "2026-09-10T10:00:00",
        "2026-09-20T10:00:00",
    ] {
        desk.wait_until(day);
        let request_id = id();
        desk.loans()
            .run_ageing(RunAgeingRequest { request_id })
            .await
            .unwrap();
    }
    for refused in storm.join_all().await.into_iter().flatten() {
        let reason = reason::<()>(Err(refused));
        assert!(REFUSALS.contains(&reason.as_str()), "{reason}");
    }
    sound(&desk).await;
    let (requests, closed): (i64, i64) =
        sqlx::query_as("select count(*), count(closed_at) from patron_request")
            .fetch_one(&desk.database.pool)
            .await
            .unwrap();
    assert!(
        requests > 20 && closed > 10,
        "{requests} requests, {closed} closed: no storm"
    );
    // A connection that ends tells all that it counted.
    let Desk {
        database, running, ..
    } = desk;
    running.stop().await;
    let deadlocks: i64 = sqlx::query_scalar(
        "select deadlocks from pg_stat_database where datname = current_database()",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap();
    assert_eq!(deadlocks, 0, "locks are taken in one order");
}
