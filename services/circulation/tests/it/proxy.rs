//! Who stands at the desk for somebody else.

use std::time::Duration;

use carrel_circulation::projection::patrons::PatronsProjection;
use carrel_proto::circulation::v1::*;
use carrel_proto::patrons::v1::{PatronStanding, ProxyChanged, ProxyStanding};
use carrel_runtime::Grant;
use carrel_testkit::eventually;

use crate::desk::*;

impl Desk {
    /// Patrons tells of a proxy.
    async fn proxy(&self, proxy: ProxyStanding) {
        let proxy = ProxyStanding {
            revision: self.next_revision(),
            ..proxy
        };
        let message = ProxyChanged { proxy: Some(proxy) };
        self.hear(&PatronsProjection { channel: None }, &message)
            .await;
    }

    fn lending_by(&self, item: &str, patron: &str, proxy: &str) -> CheckOutRequest {
        CheckOutRequest {
            proxy_barcode: proxy.into(),
            ..self.lending(item, patron)
        }
    }

    async fn lend_by(&self, item: &str, patron: &str, proxy: &str) -> Result<Loan, tonic::Status> {
        let lending = self.lending_by(item, patron, proxy);
        let lent = self.loans().check_out(lending).await?;
        Ok(lent.into_inner().loan.unwrap())
    }
}

fn standing_for(sponsor: &PatronStanding, proxy: &PatronStanding) -> ProxyStanding {
    ProxyStanding {
        proxy_id: id(),
        sponsor_patron_id: sponsor.patron_id.clone(),
        proxy_patron_id: proxy.patron_id.clone(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_assistant_fetches_is_the_teachers_loan_and_both_are_forgotten() {
    let desk = Desk::open().await;
    let (teacher, assistant) = (desk.student("T1").await, desk.student("A1").await);
    desk.proxy(standing_for(&teacher, &assistant)).await;
    desk.book("30001").await;
    let asked = desk.lending_by("30001", "T1", "A1");
    let lent = desk.loans().check_out(asked.clone()).await.unwrap();
    let loan = lent.into_inner().loan.unwrap();
    assert_eq!(loan.patron_id, teacher.patron_id);
    assert_eq!(loan.proxy_patron_id, assistant.patron_id);
    assert_eq!(desk.counters(&teacher).await, (1, 0, 0));
    assert_eq!(desk.counters(&assistant).await, (0, 0, 0));
    let again = desk.loans().check_out(asked).await.unwrap().into_inner();
    assert_eq!(again.loan.unwrap(), loan);
    let told = desk
        .told::<LoanChanged>()
        .await
        .pop()
        .unwrap()
        .loan
        .unwrap();
    assert_eq!(told.proxy_patron_id, assistant.patron_id);

    desk.check_in("30001").await.unwrap();
    eventually("both are cut", Duration::from_secs(20), async || {
        let loan = desk.loan(&loan.id).await;
        let cut = loan.patron_id.is_empty() && loan.proxy_patron_id.is_empty();
        cut.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_fetch_for_somebody_is_told_why() {
    let desk = Desk::open().await;
    let (teacher, assistant) = (desk.student("T1").await, desk.student("A1").await);
    desk.book("30001").await;
    let refused = async || blocks(desk.lend_by("30001", "T1", "A1").await);
    let block = |reason: &str, overridable| vec![(reason.to_owned(), overridable)];
    assert_eq!(refused().await, block("PROXY_NOT_ALLOWED", false));
    // The other way round is another matter.
    desk.proxy(standing_for(&assistant, &teacher)).await;
    assert_eq!(refused().await, block("PROXY_NOT_ALLOWED", false));

    let allowed = standing_for(&teacher, &assistant);
    let until = ProxyStanding {
        expiration_date: date(2026, 8, 31),
        ..allowed.clone()
    };
    desk.proxy(until).await;
    assert_eq!(refused().await, block("PROXY_EXPIRED", false));
    desk.proxy(allowed.clone()).await;
    desk.block(&assistant, None, false).await;
    assert_eq!(refused().await, block("PROXY_BLOCKED", true));
    desk.block(&assistant, None, true).await;
    desk.patron(PatronStanding {
        expiration_date: date(2026, 8, 31),
        ..assistant.clone()
    })
    .await;
    assert_eq!(refused().await, block("PROXY_ACCOUNT_EXPIRED", true));
    desk.patron(PatronStanding {
        active: false,
        ..assistant.clone()
    })
    .await;
    assert_eq!(refused().await, block("PROXY_ACCOUNT_INACTIVE", false));
    desk.patron(assistant.clone()).await;

    let nobody = desk.lend_by("30001", "T1", "A2").await;
    assert_eq!(reason(nobody), "PROXY_NOT_FOUND");
    let own = desk.caller(
        &format!("patron:{}", assistant.patron_id),
        &[Grant::everywhere("*")],
    );
    let mut own = loan_service_client::LoanServiceClient::new(own);
    let by_herself = own.check_out(desk.lending_by("30001", "T1", "A1")).await;
    assert_eq!(reason(by_herself), "OWN_ACCOUNT");

    desk.proxy(ProxyStanding {
        ended: true,
        ..allowed.clone()
    })
    .await;
    assert_eq!(refused().await, block("PROXY_NOT_ALLOWED", false));
    desk.proxy(standing_for(&teacher, &assistant)).await;
    // What the assistant has out does not count, what the teacher has does.
    desk.lend_by("30001", "T1", "A1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pile_and_what_was_noted_offline_may_be_a_proxys() {
    let desk = Desk::open().await;
    let (teacher, assistant) = (desk.student("T1").await, desk.student("A1").await);
    desk.proxy(standing_for(&teacher, &assistant)).await;
    for barcode in ["30001", "30002", "30003"] {
        desk.book(barcode).await;
    }
    let pile = CheckOutBatchRequest {
        patron_barcode: "T1".into(),
        proxy_barcode: "A1".into(),
        item_barcodes: vec!["30001".into(), "30002".into()],
        service_point_id: desk.point.clone(),
        request_id: id(),
        ..Default::default()
    };
    let pile = desk.batches().check_out_batch(pile).await.unwrap();
    for lent in pile.into_inner().outcomes {
        let Some(check_out_outcome::Outcome::Loan(loan)) = lent.outcome else {
            panic!("{lent:?}");
        };
        assert_eq!(loan.proxy_patron_id, assistant.patron_id);
    }

    let lent = |proxy: &str| OfflineTransaction {
        id: id(),
        occurred_at: wire_time("2026-09-01T09:00:00"),
        transaction: Some(offline_transaction::Transaction::CheckOut(
            OfflineCheckOut {
                item_barcode: "30003".into(),
                patron_barcode: "T1".into(),
                proxy_barcode: proxy.into(),
                ..Default::default()
            },
        )),
    };
    let upload = UploadOfflineTransactionsRequest {
        service_point_id: desk.point.clone(),
        transactions: vec![lent("A9"), lent("A1")],
        request_id: id(),
    };
    let done = desk.batches().upload_offline_transactions(upload).await;
    let done = done.unwrap().into_inner().outcomes;
    assert_eq!(done[0].refusal.as_ref().unwrap().reason, "PROXY_NOT_FOUND");
    let loan = desk.loan(&done[1].loan_id).await;
    assert_eq!(
        (loan.patron_id, loan.proxy_patron_id),
        (teacher.patron_id, assistant.patron_id)
    );
}
