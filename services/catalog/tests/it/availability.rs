//! Stories of what circulation says: lent, back, lost.
//!
//! A service does not know another service's code, so the circulation here is
//! its contract on the real outbox and feed: an event for each change, and the
//! current state by its List RPC.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carrel_outbox::NewEvent;
use carrel_proto::catalog::v1::{GetItemByBarcodeRequest, ItemAvailability, SearchRecordsRequest};
use carrel_proto::circulation::v1::loan_service_server::{LoanService, LoanServiceServer};
use carrel_proto::circulation::v1::{
    CheckInRequest, CheckInResponse, CheckOutRequest, CheckOutResponse, CirculationItem,
    CirculationItemStatus, GetLoanRequest, GetLoanResponse, ItemAvailabilityChanged,
    ListItemAvailabilitiesRequest, ListItemAvailabilitiesResponse, ListLoansRequest,
    ListLoansResponse, RenewRequest, RenewResponse, RunAgeingRequest, RunAgeingResponse,
};
use carrel_runtime::{Assembly, Context, Definition, Running, bind, start};
use carrel_testkit::{TestDatabase, eventually};
use jiff::Timestamp;
use sqlx::migrate::Migrator;
use tonic::{Request, Response, Status};

use crate::desk::{Desk, Keys, header};
use crate::marc::{book, file};

static FOUNDATION_ONLY: Migrator = Migrator::DEFAULT;
const SOON: Duration = Duration::from_secs(20);

/// Items as circulation has them, by id.
type Items = Arc<Mutex<BTreeMap<String, CirculationItem>>>;

struct Loans(Items);

#[tonic::async_trait]
impl LoanService for Loans {
    async fn list_item_availabilities(
        &self,
        request: Request<ListItemAvailabilitiesRequest>,
    ) -> Result<Response<ListItemAvailabilitiesResponse>, Status> {
        // One item a page, so that a rebuild turns pages.
        let after = request.into_inner().page_token;
        let items = self.0.lock().unwrap();
        let mut rest = items.values().filter(|item| item.item_id > after).cloned();
        let page: Vec<CirculationItem> = rest.by_ref().take(1).collect();
        let next_page_token = match rest.next() {
            Some(_) => page[0].item_id.clone(),
            None => String::new(),
        };
        Ok(Response::new(ListItemAvailabilitiesResponse {
            items: page,
            next_page_token,
        }))
    }

    async fn check_out(
        &self,
        _: Request<CheckOutRequest>,
    ) -> Result<Response<CheckOutResponse>, Status> {
        Err(Status::unimplemented("the catalog never asks this"))
    }

    async fn check_in(
        &self,
        _: Request<CheckInRequest>,
    ) -> Result<Response<CheckInResponse>, Status> {
        Err(Status::unimplemented("the catalog never asks this"))
    }

    async fn renew(&self, _: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        Err(Status::unimplemented("the catalog never asks this"))
    }

    async fn get_loan(
        &self,
        _: Request<GetLoanRequest>,
    ) -> Result<Response<GetLoanResponse>, Status> {
        Err(Status::unimplemented("the catalog never asks this"))
    }

    async fn list_loans(
        &self,
        _: Request<ListLoansRequest>,
    ) -> Result<Response<ListLoansResponse>, Status> {
        Err(Status::unimplemented("the catalog never asks this"))
    }

    async fn run_ageing(
        &self,
        _: Request<RunAgeingRequest>,
    ) -> Result<Response<RunAgeingResponse>, Status> {
        Err(Status::unimplemented("the catalog never asks this"))
    }
}

/// A catalog beside a circulation.
struct Suite {
    desk: Desk,
    items: Items,
    circulation_database: TestDatabase,
    _circulation: Running,
}

impl Suite {
    async fn open() -> Self {
        let keys = Keys::new();
        let items = Items::default();
        let database =
            TestDatabase::create(&carrel_database::with_foundation(&FOUNDATION_ONLY)).await;
        let settings = keys.settings(&database.url, "http://127.0.0.1:1");
        let listener = bind(settings.listen).await.unwrap();
        let loans = Loans(items.clone());
        let definition = Definition {
            name: "circulation",
            migrations: &FOUNDATION_ONLY,
            peer_permissions: &[],
            build: move |_: &Context| Ok(Assembly::new().serve(LoanServiceServer::new(loans))),
        };
        let mut circulation = start(&settings, listener, definition).await.unwrap();
        circulation.ready(SOON).await.unwrap();
        let address = format!("http://{}", circulation.address());
        let desk = Desk::beside(keys, &address).await;
        Self {
            desk,
            items,
            circulation_database: database,
            _circulation: circulation,
        }
    }

    /// Circulation changes an item and tells it.
    async fn say(&self, item_id: &str, status: CirculationItemStatus, revision: i64) {
        let item = CirculationItem {
            item_id: item_id.into(),
            status: status.into(),
            revision,
        };
        self.items
            .lock()
            .unwrap()
            .insert(item_id.into(), item.clone());
        let event = NewEvent::of(
            item_id.parse().unwrap(),
            &ItemAvailabilityChanged { item: Some(item) },
            Timestamp::now(),
        );
        let mut connection = self.circulation_database.pool.acquire().await.unwrap();
        carrel_outbox::append(&mut connection, &[event])
            .await
            .unwrap();
    }

    async fn item_id(&self, barcode: &str) -> String {
        let request = GetItemByBarcodeRequest {
            barcode: barcode.into(),
        };
        self.desk
            .items()
            .get_item_by_barcode(request)
            .await
            .unwrap()
            .into_inner()
            .item
            .unwrap()
            .id
    }

    async fn wait_for(&self, barcode: &str, availability: ItemAvailability) {
        eventually("the catalog hears of it", SOON, async || {
            let request = GetItemByBarcodeRequest {
                barcode: barcode.into(),
            };
            let item = self
                .desk
                .items()
                .get_item_by_barcode(request)
                .await
                .unwrap()
                .into_inner();
            (item.item.unwrap().availability() == availability).then_some(())
        })
        .await;
    }

    /// Titles of which a copy can be lent.
    async fn available(&self) -> Vec<String> {
        let request = SearchRecordsRequest {
            available_only: true,
            ..Default::default()
        };
        let mut titles: Vec<String> = self
            .desk
            .search(request)
            .await
            .into_iter()
            .map(|record| record.title)
            .collect();
        titles.sort();
        titles
    }
}

#[tokio::test]
async fn what_is_lent_is_not_available_until_it_is_back() {
    let suite = Suite::open().await;
    suite.desk.district().await;
    let records = file(&[
        book("1", "Walden").copy("11", "ALDM-STK"),
        book("2", "Typee")
            .copy("21", "ALDM-STK")
            .copy("22", "ALDM-STK"),
    ]);
    suite.desk.load(header("a"), &records).await.unwrap();
    assert_eq!(suite.available().await, ["Typee", "Walden"]);
    let (walden, typee) = (suite.item_id("11").await, suite.item_id("21").await);

    suite
        .say(&walden, CirculationItemStatus::CheckedOut, 1)
        .await;
    suite
        .say(&typee, CirculationItemStatus::CheckedOut, 1)
        .await;
    suite.wait_for("21", ItemAvailability::CheckedOut).await;
    assert_eq!(suite.available().await, ["Typee"]);
    let record = suite.desk.find("typee").await.remove(0);
    assert_eq!((record.item_count, record.available_count), (2, 1));

    suite
        .say(&typee, CirculationItemStatus::AgedToLost, 2)
        .await;
    suite.wait_for("21", ItemAvailability::AgedToLost).await;
    suite.say(&walden, CirculationItemStatus::In, 2).await;
    suite.wait_for("11", ItemAvailability::In).await;
    assert_eq!(suite.available().await, ["Typee", "Walden"]);
    // What circulation says is no change of the item's own.
    let request = GetItemByBarcodeRequest {
        barcode: "11".into(),
    };
    let item = suite
        .desk
        .items()
        .get_item_by_barcode(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(item.item.unwrap().revision, 1);
}

#[tokio::test]
async fn older_news_never_undoes_newer() {
    let suite = Suite::open().await;
    suite.desk.district().await;
    let records = book("1", "Walden")
        .copy("11", "ALDM-STK")
        .copy("12", "ALDM-STK")
        .iso();
    suite.desk.load(header("a"), &records).await.unwrap();
    let (late, mark) = (suite.item_id("11").await, suite.item_id("12").await);
    suite.say(&late, CirculationItemStatus::CheckedOut, 5).await;
    suite.wait_for("11", ItemAvailability::CheckedOut).await;
    suite.say(&late, CirculationItemStatus::In, 4).await;
    suite.say(&mark, CirculationItemStatus::CheckedOut, 1).await;
    suite.wait_for("12", ItemAvailability::CheckedOut).await;
    suite.wait_for("11", ItemAvailability::CheckedOut).await;
}

#[tokio::test]
async fn a_restored_circulation_is_read_anew() {
    let suite = Suite::open().await;
    suite.desk.district().await;
    let records = book("1", "Walden")
        .copy("11", "ALDM-STK")
        .copy("12", "ALDM-STK")
        .copy("13", "ALDM-STK")
        .iso();
    suite.desk.load(header("a"), &records).await.unwrap();
    for barcode in ["11", "12", "13"] {
        let id = suite.item_id(barcode).await;
        suite.say(&id, CirculationItemStatus::CheckedOut, 7).await;
        suite.wait_for(barcode, ItemAvailability::CheckedOut).await;
    }
    // As after a restore: 11 is in, 12 is out, of 13 nothing is known.
    let (first, third) = (suite.item_id("11").await, suite.item_id("13").await);
    {
        let mut items = suite.items.lock().unwrap();
        items.remove(&third);
        let first = items.get_mut(&first).unwrap();
        first.status = CirculationItemStatus::In.into();
        first.revision = 3;
    }
    let database = carrel_database::Database::from_pool(suite.circulation_database.pool.clone());
    carrel_outbox::begin_epoch(&database).await.unwrap();
    suite.circulation_database.cut_connections().await;
    suite.wait_for("11", ItemAvailability::In).await;
    suite.wait_for("13", ItemAvailability::In).await;
    suite.wait_for("12", ItemAvailability::CheckedOut).await;
}
