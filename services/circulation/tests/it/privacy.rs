//! Whose a loan was is forgotten once nothing is owed for it.

use std::time::Duration;

use carrel_proto::billing::v1::{FeeFineKind, PaymentStatus};
use carrel_proto::circulation::v1::loan_service_client::LoanServiceClient;
use carrel_proto::circulation::v1::privacy_service_client::PrivacyServiceClient;
use carrel_proto::circulation::v1::request_service_client::RequestServiceClient;
use carrel_proto::circulation::v1::*;
use carrel_proto::patrons::v1::PatronStanding;
use carrel_runtime::Grant;
use carrel_testkit::eventually;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::desk::*;
use crate::request::{asking, cancel, read, title};

/// What circulation must know of whoever has an account now.
const CURRENT_STATE: [&str; 5] = [
    "patron_projection",
    "patron_circulation",
    "block_projection",
    "proxy_projection",
    "balance_projection",
];

impl Desk {
    fn privacy(&self) -> PrivacyServiceClient<Caller> {
        PrivacyServiceClient::new(self.caller("desk-1", &[Grant::everywhere("*")]))
    }

    async fn cut_after(&self, cut_after_days: i32) {
        let request = SetPrivacySettingsRequest {
            privacy_settings: Some(PrivacySettings { cut_after_days }),
            request_id: id(),
        };
        self.privacy().set_privacy_settings(request).await.unwrap();
    }

    /// Lends a book and takes it back, at once or on another day.
    async fn a_loan_that_ended(&self, barcode: &str, patron: &str, on: Option<&str>) -> String {
        self.book(barcode).await;
        let loan = self.check_out(barcode, patron).await.unwrap().loan.unwrap();
        if let Some(day) = on {
            self.wait_until(day);
        }
        self.check_in(barcode).await.unwrap();
        loan.id
    }

    async fn is_cut(&self, loan_id: &str) {
        eventually("the patron is cut", Duration::from_secs(20), async || {
            self.loan(loan_id).await.patron_id.is_empty().then_some(())
        })
        .await;
    }

    async fn stays(&self, loan_id: &str) {
        self.age().await;
        assert_ne!(self.loan(loan_id).await.patron_id, "");
    }

    /// The tables that hold a patron's id in any column, in any notation.
    async fn tables_with(&self, patron: &PatronStanding) -> Vec<String> {
        let id: Uuid = patron.patron_id.parse().unwrap();
        let in_text: String = patron
            .patron_id
            .bytes()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let notations = [patron.patron_id.clone(), id.simple().to_string(), in_text];
        let tables: Vec<String> = sqlx::query_scalar(
            "select table_name::text from information_schema.tables
             where table_schema = 'public' and table_type = 'BASE TABLE' order by 1",
        )
        .fetch_all(&self.database.pool)
        .await
        .unwrap();
        assert!(tables.len() > 15, "{tables:?}");
        let mut found = Vec::new();
        for table in tables {
            let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
                "select to_jsonb(t)::text from \"{table}\" t"
            )))
            .fetch_all(&self.database.pool)
            .await
            .unwrap();
            let holds = |row: &String| notations.iter().any(|notation| row.contains(notation));
            if rows.iter().any(holds) {
                found.push(table);
            }
        }
        found
    }
}

#[tokio::test]
async fn after_the_return_nothing_tells_who_had_it() {
    let desk = Desk::open().await;
    let student = desk.student("S1").await;
    desk.owes(&student, 0).await;
    desk.block(&student, None, true).await;
    desk.book("30001").await;
    let loan = desk.check_out("30001", "S1").await.unwrap().loan.unwrap();
    // Renewed from home, under the patron's own name.
    desk.wait_until("2026-09-05T10:00:00");
    let own = format!("patron:{}", student.patron_id);
    let mut own = LoanServiceClient::new(desk.caller(&own, &[Grant::everywhere("*")]));
    let renewing = desk.renewing("30001");
    own.renew(renewing.clone()).await.unwrap();
    let proxy = desk.student("S2").await;
    sqlx::query("update loan set proxy_patron_id = $1")
        .bind(proxy.patron_id.parse::<Uuid>().unwrap())
        .execute(&desk.database.pool)
        .await
        .unwrap();
    let before = desk.tables_with(&student).await;
    for table in [
        "loan",
        "loan_action",
        "request",
        "outbox",
        "patron_circulation",
    ] {
        assert!(
            before.iter().any(|found| found == table),
            "{table}: {before:?}"
        );
    }

    desk.check_in("30001").await.unwrap();
    desk.is_cut(&loan.id).await;
    for patron in [&student, &proxy] {
        let mut left = desk.tables_with(patron).await;
        // What the feed told stays for its retention, for whoever is behind.
        left.retain(|table| table != "outbox" && !CURRENT_STATE.contains(&table.as_str()));
        assert_eq!(left, [""; 0]);
    }
    let actors: Vec<String> = sqlx::query_scalar("select actor from loan_action order by id")
        .fetch_all(&desk.database.pool)
        .await
        .unwrap();
    assert_eq!(actors, ["desk-1", "patron", "desk-1"]);

    let kept = desk.loan(&loan.id).await;
    assert_eq!((kept.proxy_patron_id.as_str(), kept.revision), ("", 4));
    let facts = kept.facts.unwrap();
    assert_eq!(
        (facts.patron_group.as_str(), facts.library_code.as_str()),
        ("student", "ALD-MAIN")
    );
    let told: Vec<LoanAnonymised> = desk.told().await;
    assert_eq!(
        told,
        [LoanAnonymised {
            loan_id: loan.id.clone(),
            revision: 4
        }]
    );
    // A desk that repeats its call still gets its first answer.
    desk.age().await;
    assert_eq!(desk.counters(&student).await, (0, 0, 0));
    let listed = ListLoansRequest {
        patron_id: student.patron_id,
        ..Default::default()
    };
    assert_eq!(
        desk.loans()
            .list_loans(listed)
            .await
            .unwrap()
            .into_inner()
            .loans,
        []
    );
}

#[tokio::test]
async fn a_closed_request_forgets_who_asked_unless_they_keep_a_history() {
    let desk = Desk::open().await;
    let (student, reader) = (desk.student("S1").await, desk.student("S2").await);
    let reader = desk
        .patron(PatronStanding {
            keeps_history: true,
            ..reader
        })
        .await;
    let record = title(&desk, &["30001"]).await;
    let mut asked = Vec::new();
    for patron in [&student, &reader] {
        // From home, under the patron's own name.
        let own = format!("patron:{}", patron.patron_id);
        let own = desk.caller(&own, &[Grant::everywhere("*")]);
        let mut own = RequestServiceClient::new(own);
        let placed = own.create_request(asking(&desk, patron, &record)).await;
        asked.push(placed.unwrap().into_inner().request.unwrap());
    }
    for request in &asked {
        cancel(&desk, request).await.unwrap();
    }
    let is_cut = async |place: usize| read(&desk, &asked[place]).await.patron_id.is_empty();
    eventually("it is cut", Duration::from_secs(20), async || {
        is_cut(0).await.then_some(())
    })
    .await;
    let mut left = desk.tables_with(&student).await;
    left.retain(|table| table != "outbox" && !CURRENT_STATE.contains(&table.as_str()));
    assert_eq!(left, [""; 0]);
    desk.age().await;
    assert!(!is_cut(1).await);
    desk.patron(PatronStanding {
        keeps_history: false,
        ..reader
    })
    .await;
    eventually("the history is cut", Duration::from_secs(20), async || {
        is_cut(1).await.then_some(())
    })
    .await;
    let told: Vec<RequestAnonymised> = desk.told().await;
    let told: Vec<&str> = told.iter().map(|told| told.request_id.as_str()).collect();
    assert_eq!(told, [asked[0].id.as_str(), asked[1].id.as_str()]);
}

#[tokio::test]
async fn a_fine_keeps_the_patron_until_billing_says_that_it_is_settled() {
    let desk = Desk::open().await;
    desk.student("S1").await;
    let late = desk
        .a_loan_that_ended("30001", "S1", Some("2026-09-20T10:00:00"))
        .await;
    let fines: Vec<OverdueFineIncurred> = desk.told().await;
    assert_eq!(fines.len(), 1);
    // Billing has told nothing of it yet: it may be behind.
    desk.stays(&late).await;
    let account = id();
    desk.charged(
        &account,
        &late,
        FeeFineKind::OverdueFine,
        PaymentStatus::Outstanding,
    )
    .await;
    desk.stays(&late).await;
    desk.charged(
        &account,
        &late,
        FeeFineKind::OverdueFine,
        PaymentStatus::PaidPartially,
    )
    .await;
    desk.stays(&late).await;
    desk.charged(
        &account,
        &late,
        FeeFineKind::OverdueFine,
        PaymentStatus::WaivedFully,
    )
    .await;
    desk.is_cut(&late).await;
}

#[tokio::test]
async fn both_charges_of_a_loss_must_be_settled() {
    let desk = Desk::open().await;
    let student = desk.student("S1").await;
    desk.book("30001").await;
    let loan = desk
        .check_out("30001", "S1")
        .await
        .unwrap()
        .loan
        .unwrap()
        .id;
    desk.wait_until("2026-10-20T09:00:00");
    eventually("it is lost", Duration::from_secs(20), async || {
        (desk.counters(&student).await == (1, 0, 1)).then_some(())
    })
    .await;
    desk.check_in("30001").await.unwrap();
    let (fee, processing) = (id(), id());
    desk.charged(
        &fee,
        &loan,
        FeeFineKind::LostItemFee,
        PaymentStatus::WaivedFully,
    )
    .await;
    desk.stays(&loan).await;
    desk.charged(
        &processing,
        &loan,
        FeeFineKind::LostItemProcessingFee,
        PaymentStatus::Outstanding,
    )
    .await;
    desk.stays(&loan).await;
    desk.charged(
        &processing,
        &loan,
        FeeFineKind::LostItemProcessingFee,
        PaymentStatus::PaidFully,
    )
    .await;
    desk.is_cut(&loan).await;
    assert_eq!(desk.loan(&loan).await.action(), LoanAction::CheckedIn);
}

#[tokio::test]
async fn who_chose_a_history_keeps_it_until_the_choice_is_withdrawn() {
    let desk = Desk::open().await;
    let reader = desk.student("S1").await;
    desk.student("S2").await;
    let reader = desk
        .patron(PatronStanding {
            keeps_history: true,
            ..reader
        })
        .await;
    let mut kept = Vec::new();
    for barcode in ["30001", "30002"] {
        kept.push(desk.a_loan_that_ended(barcode, "S1", None).await);
    }
    let other = desk.a_loan_that_ended("30003", "S2", None).await;
    desk.is_cut(&other).await;
    for loan in &kept {
        desk.stays(loan).await;
    }
    // A change of something else is no withdrawal.
    let reader = desk
        .patron(PatronStanding {
            patron_group: "guest".into(),
            ..reader
        })
        .await;
    desk.stays(&kept[0]).await;
    desk.patron(PatronStanding {
        keeps_history: false,
        ..reader
    })
    .await;
    for loan in &kept {
        desk.is_cut(loan).await;
    }
}

#[tokio::test]
async fn a_district_may_keep_the_link_for_a_while() {
    let desk = Desk::open().await;
    desk.student("S1").await;
    desk.cut_after(30).await;
    let loan = desk.a_loan_that_ended("30001", "S1", None).await;
    desk.wait_until("2026-10-01T09:59:00");
    desk.stays(&loan).await;
    let answer = desk
        .privacy()
        .get_privacy_settings(GetPrivacySettingsRequest {})
        .await;
    let settings = answer.unwrap().into_inner().privacy_settings.unwrap();
    assert_eq!(settings.cut_after_days, 30);
    desk.wait_until("2026-10-01T10:05:00");
    desk.is_cut(&loan).await;

    // A shorter period counts for what ended before it.
    desk.wait_until("2026-10-02T09:00:00");
    let other = desk.a_loan_that_ended("30002", "S1", None).await;
    desk.stays(&other).await;
    desk.cut_after(0).await;
    desk.is_cut(&other).await;
}

#[tokio::test]
async fn settings_are_set_by_whoever_may_and_within_a_year() {
    let desk = Desk::open().await;
    let request = |cut_after_days| SetPrivacySettingsRequest {
        privacy_settings: Some(PrivacySettings { cut_after_days }),
        request_id: id(),
    };
    for days in [-1, 366] {
        let refused = desk.privacy().set_privacy_settings(request(days)).await;
        assert_eq!(reason(refused), "CUT_AFTER_OUT_OF_RANGE");
    }
    let empty = SetPrivacySettingsRequest {
        privacy_settings: None,
        request_id: id(),
    };
    assert_eq!(
        reason(desk.privacy().set_privacy_settings(empty).await),
        "FIELD_MISSING"
    );
    let nameless = SetPrivacySettingsRequest {
        request_id: String::new(),
        ..request(1)
    };
    assert_eq!(
        reason(desk.privacy().set_privacy_settings(nameless).await),
        "REQUEST_ID_MISSING"
    );
    let first = request(7);
    for _ in 0..2 {
        let answer = desk
            .privacy()
            .set_privacy_settings(first.clone())
            .await
            .unwrap();
        assert_eq!(
            answer.into_inner().privacy_settings.unwrap().cut_after_days,
            7
        );
    }
    let other = SetPrivacySettingsRequest {
        request_id: first.request_id,
        ..request(8)
    };
    assert_eq!(
        reason(desk.privacy().set_privacy_settings(other).await),
        "REQUEST_ID_REUSED"
    );
    let reader = desk.caller("clerk", &[Grant::everywhere("circulation.privacy.read")]);
    let mut reader = PrivacyServiceClient::new(reader);
    reader
        .get_privacy_settings(GetPrivacySettingsRequest {})
        .await
        .unwrap();
    assert_eq!(
        reason(reader.set_privacy_settings(request(9)).await),
        "PERMISSION_DENIED"
    );
}

#[tokio::test]
async fn who_had_an_item_last_is_forgotten_once_they_may_take_it_again() {
    let desk = Desk::open().await;
    let student = desk.student("S1").await;
    desk.a_loan_that_ended("30001", "S1", None).await;
    // As a policy without immediate re-borrowing notes it.
    sqlx::query(
        "update item_circulation set last_patron_id = $1, last_returned_at = '2026-09-01T17:00:00Z',
             reborrow_from = '2026-09-01T19:00:00Z'",
    )
    .bind(student.patron_id.parse::<Uuid>().unwrap())
    .execute(&desk.database.pool)
    .await
    .unwrap();
    desk.age().await;
    let left = async || {
        desk.tables_with(&student)
            .await
            .iter()
            .any(|table| table == "item_circulation")
    };
    assert!(left().await);
    desk.wait_until("2026-09-01T12:00:01");
    eventually("it is forgotten", Duration::from_secs(20), async || {
        (!left().await).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_billing_tells_while_loans_are_looked_at_is_never_missed() {
    let desk = Desk::open().await;
    desk.student("S1").await;
    let mut loans = Vec::new();
    for number in 0..40 {
        let barcode = format!("3000{number}");
        desk.book(&barcode).await;
        loans.push(
            desk.check_out(&barcode, "S1")
                .await
                .unwrap()
                .loan
                .unwrap()
                .id,
        );
    }
    desk.wait_until("2026-09-20T10:00:00");
    for number in 0..40 {
        desk.check_in(&format!("3000{number}")).await.unwrap();
    }
    let (replica, _channel) = serve(&desk.keys, &desk.database.url, stopped_peers()).await;
    replica.clock().set(at("2026-09-20T10:00:00")).unwrap();
    let mut runs = JoinSet::new();
    for _ in 0..3 {
        let mut client = desk.loans();
        runs.spawn(async move {
            for _ in 0..15 {
                let request = RunAgeingRequest { request_id: id() };
                client.run_ageing(request).await.unwrap();
            }
        });
    }
    for loan in &loans {
        let account = id();
        desk.charged(
            &account,
            loan,
            FeeFineKind::OverdueFine,
            PaymentStatus::Outstanding,
        )
        .await;
        desk.charged(
            &account,
            loan,
            FeeFineKind::OverdueFine,
            PaymentStatus::PaidFully,
        )
        .await;
    }
    runs.join_all().await;
    for loan in &loans {
        desk.is_cut(loan).await;
    }
    let told: Vec<LoanAnonymised> = desk.told().await;
    assert_eq!(told.len(), 40, "each once");
    replica.stop().await;
}
