//! Counts for the library, the college and agencies: never of whom.

use carrel_proto::circulation::v1::statistic_service_client::StatisticServiceClient;
use carrel_proto::circulation::v1::*;
use carrel_proto::r#type::v1::Date;
use carrel_runtime::Grant;
use tonic::Status;

use crate::desk::*;
use CirculationDimension as By;

impl Desk {
    async fn count(
        &self,
        request: CountCirculationRequest,
    ) -> Result<CountCirculationResponse, Status> {
        let caller = self.caller(
            "reports",
            &[Grant::everywhere("circulation.statistics.read")],
        );
        let answer = StatisticServiceClient::new(caller)
            .count_circulation(request)
            .await?;
        Ok(answer.into_inner())
    }

    async fn counts(&self, by: &[By]) -> Vec<CirculationCount> {
        let request = asking(date(2026, 1, 1), date(2026, 12, 31), by);
        self.count(request).await.unwrap().counts
    }
}

fn asking(from: Option<Date>, to: Option<Date>, by: &[By]) -> CountCirculationRequest {
    CountCirculationRequest {
        from,
        to,
        group_by: by.iter().map(|by| (*by).into()).collect(),
        ..Default::default()
    }
}

/// Two loans on 1 September at ten, one of them renewed on the 5th at 20:30,
/// a use in house in October; the loans have lost their patron since.
async fn some_weeks(desk: &Desk) {
    let student = desk.student("S1").await;
    desk.patron(carrel_proto::patrons::v1::PatronStanding {
        patron_group: "guest".into(),
        ..desk.student("G1").await
    })
    .await;
    let classed = |call_number: &str, barcode: &str| carrel_proto::catalog::v1::Item {
        barcode: barcode.into(),
        call_number: call_number.into(),
        ..book(&desk.stacks)
    };
    desk.item(classed("QA 76.9 D3", "30001")).await;
    desk.item(classed("516.3 B42", "30002")).await;
    desk.check_out("30001", "S1").await.unwrap();
    desk.check_out("30002", "G1").await.unwrap();
    desk.wait_until("2026-09-05T20:30:00");
    desk.renew("30001").await.unwrap();
    desk.check_in("30001").await.unwrap();
    desk.check_in("30002").await.unwrap();
    desk.wait_until("2026-10-31T23:45:00");
    assert!(desk.check_in("30001").await.unwrap().in_house_use);
    desk.age().await;
    let left: i64 = sqlx::query_scalar("select count(*) from loan where patron_id is not null")
        .fetch_one(&desk.database.pool)
        .await
        .unwrap();
    assert_eq!(left, 0, "{}", student.patron_id);
}

#[tokio::test]
async fn counts_outlive_the_link_to_the_patron() {
    let desk = Desk::open().await;
    some_weeks(&desk).await;
    let counts = desk.counts(&[]).await;
    assert_eq!(counts.len(), 1);
    assert_eq!(
        counts[0],
        CirculationCount {
            count: 4,
            ..Default::default()
        }
    );

    let by_kind = desk.counts(&[By::Kind, By::PatronGroup]).await;
    let told: Vec<(&str, CirculationKind, i64)> = by_kind
        .iter()
        .map(|count| (count.patron_group.as_str(), count.kind(), count.count))
        .collect();
    assert_eq!(
        told,
        [
            ("", CirculationKind::InHouse, 1),
            ("guest", CirculationKind::Initial, 1),
            ("student", CirculationKind::Initial, 1),
            ("student", CirculationKind::Renewal, 1),
        ]
    );

    let by_all = desk
        .counts(&[
            By::Institution,
            By::Library,
            By::Location,
            By::PatronGroup,
            By::MaterialType,
            By::CallNumberClass,
            By::Category,
            By::Kind,
            By::Hour,
            By::Month,
        ])
        .await;
    assert_eq!(by_all.len(), 4);
    let in_house = CirculationCount {
        count: 1,
        institution_code: "ALD".into(),
        library_code: "ALD-MAIN".into(),
        location_code: "STACKS".into(),
        material_type: "book".into(),
        call_number_class: "QA".into(),
        kind: CirculationKind::InHouse.into(),
        hour: Some(23),
        month: date(2026, 10, 1),
        ..Default::default()
    };
    assert!(by_all.contains(&in_house), "{by_all:?}");
    let renewal = CirculationCount {
        patron_group: "student".into(),
        category: LoanCategory::General.into(),
        kind: CirculationKind::Renewal.into(),
        hour: Some(20),
        month: date(2026, 9, 1),
        ..in_house
    };
    assert!(by_all.contains(&renewal), "{by_all:?}");
}

#[tokio::test]
async fn days_are_those_of_the_service_point_and_both_count() {
    let desk = Desk::open().await;
    some_weeks(&desk).await;
    for (from, to, wanted) in [
        (date(2026, 9, 1), date(2026, 9, 1), 2),
        (date(2026, 8, 1), date(2026, 8, 31), 0),
        // At 20:30 it is the 6th in Greenwich, and in October's last night November.
        (date(2026, 9, 5), date(2026, 9, 5), 1),
        (date(2026, 9, 6), date(2026, 9, 30), 0),
        (date(2026, 10, 31), date(2026, 10, 31), 1),
        (date(2026, 11, 1), date(2026, 11, 30), 0),
        (date(2026, 9, 2), date(2026, 11, 30), 2),
    ] {
        let counts = desk.count(asking(from, to, &[])).await.unwrap().counts;
        assert_eq!(
            counts.iter().map(|count| count.count).sum::<i64>(),
            wanted,
            "{from:?} {to:?}"
        );
    }
}

#[tokio::test]
async fn many_counts_come_in_pages() {
    let desk = Desk::open().await;
    some_weeks(&desk).await;
    let by = [By::Kind, By::CallNumberClass, By::Month];
    let all = desk.counts(&by).await;
    assert_eq!(all.len(), 4);
    let mut request = CountCirculationRequest {
        page_size: 1,
        ..asking(date(2026, 1, 1), date(2026, 12, 31), &by)
    };
    let mut paged = Vec::new();
    loop {
        let page = desk.count(request.clone()).await.unwrap();
        paged.extend(page.counts);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(paged, all);
    request.group_by.pop();
    request.page_token = "x".into();
    assert_eq!(reason(desk.count(request).await), "PAGE_TOKEN_MALFORMED");
}

#[tokio::test]
async fn what_cannot_be_counted_is_refused() {
    let desk = Desk::open().await;
    let (from, to) = (date(2026, 1, 1), date(2026, 12, 31));
    for (request, expected) in [
        (asking(None, to, &[]), "FIELD_MISSING"),
        (asking(to, from, &[]), "DATES_OUT_OF_ORDER"),
        (asking(date(2020, 12, 31), to, &[]), "SPAN_TOO_LONG"),
        (asking(from, date(2026, 13, 1), &[]), "DATE_MALFORMED"),
        (
            asking(from, to, &[By::Hour, By::Unspecified]),
            "VALUE_UNKNOWN",
        ),
        (asking(from, to, &[By::Hour, By::Hour]), "VALUE_TWICE"),
    ] {
        assert_eq!(
            reason(desk.count(request.clone()).await),
            expected,
            "{request:?}"
        );
    }
    let clerk = desk.caller("clerk", &[Grant::everywhere("circulation.loans.read")]);
    let refused = StatisticServiceClient::new(clerk)
        .count_circulation(asking(from, to, &[]))
        .await;
    assert_eq!(reason(refused), "PERMISSION_DENIED");
}
