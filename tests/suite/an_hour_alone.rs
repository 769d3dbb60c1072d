//! An hour at four desks while every other service is stopped, and what the
//! others make of it on their return.

use std::time::Duration;

use carrel_proto::catalog::v1 as catalog;
use carrel_proto::catalog::v1::item_service_client::ItemServiceClient;
use carrel_proto::catalog::v1::location_unit_service_client::LocationUnitServiceClient;
use carrel_proto::circulation::v1 as circulation;
use carrel_proto::circulation::v1::loan_service_client::LoanServiceClient;
use carrel_proto::operations::v1::clock_service_client::ClockServiceClient;
use carrel_proto::operations::v1::{GetClockRequest, SetClockRequest};
use carrel_testkit::eventually;
use futures::future::join_all;
use tonic::Status;

use crate::apart::ApartSuite;
use crate::known_suite::{Authorized, KnownSuite, reason};

const ROSTER: &str = include_str!("../../services/carrel/samples/patrons.csv");

const DESKS: usize = 4;
/// Copies and patrons of a desk's own.
const PILE: usize = 6;
/// Things done at a desk in a minute.
const DONE_A_MINUTE: usize = 2;
const HOUR: usize = 60;
/// The others, and circulation last, which may need them.
const OTHERS: [&str; 4] = ["catalog", "patrons", "billing", "budgeting"];

/// A desk with its own pile and its own readers.
struct Desk {
    loans: LoanServiceClient<Authorized>,
    service_point_id: String,
    items: Vec<String>,
    patrons: Vec<String>,
    is_out: Vec<bool>,
    done: usize,
    refused: Vec<String>,
}

impl Desk {
    /// Each copy in turn is lent, renewed and taken back; those of the last
    /// turn stay out.
    async fn work_a_minute(&mut self) {
        for _ in 0..DONE_A_MINUTE {
            let place = self.done / 3 % PILE;
            let is_last_turn = self.done + 3 * PILE >= HOUR * DONE_A_MINUTE;
            let outcome = match self.done % 3 {
                0 => self.lend(place).await,
                1 => self.renew(place).await,
                _ if is_last_turn => Ok(()),
                _ => self.take_back(place).await,
            };
            self.refused
                .extend(outcome.err().map(|status| reason(&status)));
            self.done += 1;
        }
    }

    async fn lend(&mut self, place: usize) -> Result<(), Status> {
        let request = circulation::CheckOutRequest {
            item_barcode: self.items[place].clone(),
            patron_barcode: self.patrons[place].clone(),
            service_point_id: self.service_point_id.clone(),
            request_id: carrel_ids::new_id().to_string(),
            ..Default::default()
        };
        self.loans.check_out(request).await?;
        self.is_out[place] = true;
        Ok(())
    }

    async fn renew(&mut self, place: usize) -> Result<(), Status> {
        let barcode = self.items[place].clone();
        let request = circulation::RenewRequest {
            key: Some(circulation::renew_request::Key::ItemBarcode(barcode)),
            service_point_id: self.service_point_id.clone(),
            request_id: carrel_ids::new_id().to_string(),
            ..Default::default()
        };
        self.loans.renew(request).await.map(drop)
    }

    async fn take_back(&mut self, place: usize) -> Result<(), Status> {
        let request = circulation::CheckInRequest {
            item_barcode: self.items[place].clone(),
            service_point_id: self.service_point_id.clone(),
            request_id: carrel_ids::new_id().to_string(),
            ..Default::default()
        };
        let returned = self.loans.check_in(request).await?.into_inner();
        assert!(returned.loan.is_some(), "it was not on loan");
        self.is_out[place] = false;
        Ok(())
    }
}

/// Books in the stacks of the library where the desks are.
async fn books(suite: &KnownSuite) -> Vec<String> {
    let mut units = LocationUnitServiceClient::new(suite.channel("catalog"));
    let request = catalog::ListLocationUnitsRequest {
        page_size: 1000,
        ..Default::default()
    };
    let units = units.list_location_units(request).await.unwrap();
    let units = units.into_inner().location_units;
    let stacks = units.iter().find(|unit| unit.code == "ALDM-STK").unwrap();
    let mut items = ItemServiceClient::new(suite.channel("catalog"));
    let request = catalog::ListItemsRequest {
        page_size: 1000,
        ..Default::default()
    };
    let items = items.list_items(request).await.unwrap().into_inner().items;
    let in_stacks = items.into_iter().filter(|item| {
        item.location_id == stacks.id
            && item.material_type == "book"
            && item.status() == catalog::ItemStatus::Available
    });
    in_stacks.map(|item| item.barcode).collect()
}

/// Undergraduates whose accounts are in use.
fn undergraduates() -> Vec<String> {
    let mut roster = csv::Reader::from_reader(ROSTER.as_bytes());
    let headers = roster.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|header| header == name).unwrap();
    let (barcode, group) = (column("barcode"), column("patron_group"));
    let (expiration, active) = (column("expiration_date"), column("active"));
    roster
        .records()
        .map(Result::unwrap)
        .filter(|row| {
            &row[group] == "undergraduate" && &row[active] == "true" && &row[expiration] >= "2027"
        })
        .map(|row| row[barcode].to_owned())
        .collect()
}

async fn desks(suite: &KnownSuite) -> Vec<Desk> {
    let (books, patrons) = (books(suite).await, undergraduates());
    assert!(books.len() >= DESKS * PILE && patrons.len() >= DESKS * PILE);
    let service_point_id = suite.service_point("ALDM-CIRC").await;
    let piles = books.chunks(PILE).zip(patrons.chunks(PILE)).take(DESKS);
    piles
        .map(|(items, patrons)| Desk {
            loans: LoanServiceClient::new(suite.channel("circulation")),
            service_point_id: service_point_id.clone(),
            items: items.to_vec(),
            patrons: patrons.to_vec(),
            is_out: vec![false; PILE],
            done: 0,
            refused: Vec::new(),
        })
        .collect()
}

/// Moves circulation's clock on by a minute.
async fn next_minute(suite: &KnownSuite) {
    let mut clock = ClockServiceClient::new(suite.channel("circulation"));
    let answer = clock.get_clock(GetClockRequest {}).await.unwrap();
    let mut now = answer.into_inner().now.unwrap();
    now.seconds += 60;
    let request = SetClockRequest {
        now: Some(now),
        request_id: carrel_ids::new_id().to_string(),
    };
    clock.set_clock(request).await.unwrap();
}

/// What catalog tells readers of an item.
async fn availability(suite: &KnownSuite, barcode: &str) -> Option<catalog::ItemAvailability> {
    let mut items = ItemServiceClient::new(suite.channel("catalog"));
    let request = catalog::GetItemByBarcodeRequest {
        barcode: barcode.to_owned(),
    };
    let answer = items.get_item_by_barcode(request).await.ok()?;
    Some(answer.into_inner().item?.availability())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_an_hour_nothing_is_refused_for_want_of_the_others_and_then_all_agree() {
    let mut suite = ApartSuite::start().await;
    suite.known.level("circulation").await;
    let mut desks = desks(&suite.known).await;
    for service in OTHERS {
        suite.kill(service);
    }

    for _ in 0..HOUR {
        next_minute(&suite.known).await;
        join_all(desks.iter_mut().map(Desk::work_a_minute)).await;
    }
    for desk in &desks {
        assert_eq!(desk.refused, Vec::<String>::new());
        assert_eq!(desk.is_out, [true; PILE], "the last turn stays out");
    }

    for service in OTHERS {
        suite.run(service);
    }
    for service in OTHERS {
        suite.ready(service).await;
    }
    desks[0].take_back(0).await.unwrap();
    for desk in &desks {
        for (barcode, is_out) in desk.items.iter().zip(&desk.is_out) {
            let expected = if *is_out {
                catalog::ItemAvailability::CheckedOut
            } else {
                catalog::ItemAvailability::In
            };
            eventually(
                "catalog says what circulation did",
                Duration::from_secs(60),
                async || (availability(&suite.known, barcode).await? == expected).then_some(()),
            )
            .await;
        }
    }
    for service in ["catalog", "circulation", "billing"] {
        suite.known.level(service).await;
    }
}
