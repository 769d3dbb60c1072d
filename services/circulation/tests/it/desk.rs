//! A college library's circulation desk to tell stories at: the service on a
//! database and a port of its own, its peers stopped, at ten in the morning
//! of Tuesday, 1 September 2026.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use carrel_circulation::projection::billing::BillingProjection;
use carrel_circulation::projection::catalog::CatalogProjection;
use carrel_circulation::projection::patrons::PatronsProjection;
use carrel_circulation::{MIGRATIONS, Settings};
use carrel_money::{Currency, Money};
use carrel_outbox::{NewEvent, Projection};
use carrel_proto::billing::v1::{
    Account, AccountChanged, AccountStatus, Balance, BalanceChanged, FeeFineKind, PaymentStatus,
};
use carrel_proto::catalog::v1::{
    Item, ItemChanged, ItemStatus, LocationUnit, LocationUnitChanged, LocationUnitKind,
};
use carrel_proto::circulation::v1::circulation_rule_service_client::CirculationRuleServiceClient;
use carrel_proto::circulation::v1::loan_action_service_client::LoanActionServiceClient;
use carrel_proto::circulation::v1::loan_batch_service_client::LoanBatchServiceClient;
use carrel_proto::circulation::v1::loan_service_client::LoanServiceClient;
use carrel_proto::circulation::v1::policy_service_client::PolicyServiceClient;
use carrel_proto::circulation::v1::request_service_client::RequestServiceClient;
use carrel_proto::circulation::v1::service_point_service_client::ServicePointServiceClient;
use carrel_proto::circulation::v1::*;
use carrel_proto::events::v1::Event;
use carrel_proto::patrons::v1::{
    BlockStanding, ManualBlockChanged, PatronStanding, PatronStandingChanged,
};
use carrel_proto::r#type::v1::{Date, TimeOfDay};
use carrel_runtime::{BarcodeKey, Grant, Peer, Running, Scope, TokenIssuer, bind, read, start};
use carrel_testkit::TestDatabase;
use jiff::{SignedDuration, Timestamp};
use prost::{Message, Name};
use tempfile::TempDir;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use uuid::Uuid;

pub const MORNING: &str = "2026-09-01T10:00:00-07:00[America/Los_Angeles]";

pub type Caller = InterceptedService<Channel, Bearer>;

/// Puts a token on each call.
#[derive(Clone)]
pub struct Bearer(String);

impl Bearer {
    pub fn new(token: String) -> Self {
        Self(token)
    }
}

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if !self.0.is_empty() {
            let value = MetadataValue::try_from(format!("Bearer {}", self.0)).unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

/// The keys that a suite of services shares.
pub struct Keys {
    folder: TempDir,
    pub issuer: TokenIssuer,
    pub barcodes: BarcodeKey,
}

impl Keys {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issuer = TokenIssuer::create(&folder.path().join("service.pem")).unwrap();
        let jwks = serde_json::to_string(&issuer.jwks()).unwrap();
        std::fs::write(folder.path().join("trusted.json"), jwks).unwrap();
        let barcodes = BarcodeKey::create(&folder.path().join("barcode.key")).unwrap();
        Self {
            folder,
            issuer,
            barcodes,
        }
    }

    pub fn settings(&self, database_url: &str, peers: Vec<Peer>) -> carrel_runtime::Settings {
        let morning: jiff::Zoned = MORNING.parse().unwrap();
        let offset = morning.timestamp().duration_since(Timestamp::now());
        carrel_runtime::Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            database_url: database_url.to_owned(),
            database_connections: 64,
            trusted_keys: self.folder.path().join("trusted.json"),
            service_key: self.folder.path().join("service.pem"),
            barcode_key: self.folder.path().join("barcode.key"),
            peers,
            movable_clock: true,
            end_with_input: false,
            clock_offset: offset.as_secs(),
        }
    }

    pub fn token(&self, subject: &str, grants: &[Grant]) -> String {
        self.issuer.issue(
            subject,
            grants,
            Timestamp::now(),
            SignedDuration::from_mins(30),
        )
    }
}

/// Where nobody listens: every peer is stopped.
pub fn stopped_peers() -> Vec<Peer> {
    let peer = |service: &str| Peer {
        service: service.to_owned(),
        url: "http://127.0.0.1:9".to_owned(),
    };
    ["catalog", "patrons", "billing"].map(peer).to_vec()
}

/// The desk.
pub struct Desk {
    pub database: TestDatabase,
    pub keys: Keys,
    pub running: Running,
    channel: Channel,
    /// The service point "ALD-DESK" of library ALD-MAIN in college ALD.
    pub point: String,
    /// The location "STACKS" of the same library.
    pub stacks: String,
    /// The location "NORTH-STACKS" of library ALD-NORTH.
    pub north_stacks: String,
    revision: AtomicU64,
}

impl Desk {
    /// Opens with the rules below.
    pub async fn open() -> Self {
        Self::with_peers(stopped_peers()).await
    }

    pub async fn with_peers(peers: Vec<Peer>) -> Self {
        Self::with_keys(Keys::new(), peers).await
    }

    pub async fn with_keys(keys: Keys, peers: Vec<Peer>) -> Self {
        let database = TestDatabase::create(&carrel_database::with_foundation(&MIGRATIONS)).await;
        let (running, channel) = serve(&keys, &database.url, peers).await;
        let mut desk = Self {
            database,
            keys,
            running,
            channel,
            point: String::new(),
            stacks: Uuid::now_v7().to_string(),
            north_stacks: Uuid::now_v7().to_string(),
            revision: AtomicU64::new(1),
        };
        desk.furnish().await;
        desk
    }

    async fn furnish(&mut self) {
        let point = service_point("ALD-DESK", "ALD-MAIN");
        let request = CreateServicePointRequest {
            service_point: Some(point),
            request_id: id(),
        };
        let made = self.points().create_service_point(request).await.unwrap();
        self.point = made.into_inner().service_point.unwrap().id;
        self.places().await;
        self.policies_and_rules().await;
    }

    /// A second desk, in library ALD-NORTH.
    pub async fn north_point(&self) -> String {
        let request = CreateServicePointRequest {
            service_point: Some(service_point("ALD-NORTH-DESK", "ALD-NORTH")),
            request_id: id(),
        };
        let made = self.points().create_service_point(request).await.unwrap();
        made.into_inner().service_point.unwrap().id
    }

    /// College ALD with libraries ALD-MAIN and ALD-NORTH.
    async fn places(&self) {
        use LocationUnitKind::{Campus, Institution, Library, Location};
        let ids: Vec<String> = (0..4).map(|_| Uuid::now_v7().to_string()).collect();
        for (id, kind, parent, code) in [
            (&ids[0], Institution, "", "ALD"),
            (&ids[1], Campus, ids[0].as_str(), "ALD-CAMPUS"),
            (&ids[2], Library, &ids[1], "ALD-MAIN"),
            (&ids[3], Library, &ids[1], "ALD-NORTH"),
            (&self.stacks, Location, &ids[2], "STACKS"),
            (&self.north_stacks, Location, &ids[3], "NORTH-STACKS"),
        ] {
            let unit = LocationUnit {
                id: id.clone(),
                kind: kind.into(),
                parent_id: parent.to_owned(),
                code: code.to_owned(),
                name: code.to_owned(),
                revision: 1,
                etag: String::new(),
            };
            self.hear(
                &CatalogProjection { channel: None },
                &LocationUnitChanged {
                    location_unit: Some(unit),
                },
            )
            .await;
        }
    }

    async fn policies_and_rules(&self) {
        self.loan_policy(two_weeks()).await;
        self.loan_policy(LoanPolicy {
            code: "no-loan".into(),
            loanable: false,
            ..two_weeks()
        })
        .await;
        self.loan_policy(LoanPolicy {
            code: "three-books".into(),
            item_limit: 3,
            ..two_weeks()
        })
        .await;
        self.fine_policy(daily()).await;
        self.lost_policy(standard()).await;
        self.request_policy(all_requests()).await;
        self.request_policy(no_requests()).await;
        self.rules(RULES).await.unwrap();
    }

    pub async fn loan_policy(&self, policy: LoanPolicy) -> LoanPolicy {
        let request = CreateLoanPolicyRequest {
            loan_policy: Some(policy),
            request_id: id(),
        };
        let made = self.policies().create_loan_policy(request).await.unwrap();
        made.into_inner().loan_policy.unwrap()
    }

    pub async fn fine_policy(&self, policy: OverdueFinePolicy) {
        let request = CreateOverdueFinePolicyRequest {
            overdue_fine_policy: Some(policy),
            request_id: id(),
        };
        self.policies()
            .create_overdue_fine_policy(request)
            .await
            .unwrap();
    }

    pub async fn lost_policy(&self, policy: LostItemPolicy) {
        let request = CreateLostItemPolicyRequest {
            lost_item_policy: Some(policy),
            request_id: id(),
        };
        self.policies()
            .create_lost_item_policy(request)
            .await
            .unwrap();
    }

    pub async fn request_policy(&self, policy: RequestPolicy) -> RequestPolicy {
        let request = CreateRequestPolicyRequest {
            request_policy: Some(policy),
            request_id: id(),
        };
        let made = self
            .policies()
            .create_request_policy(request)
            .await
            .unwrap();
        made.into_inner().request_policy.unwrap()
    }

    pub async fn rules(&self, text: &str) -> Result<CirculationRules, Status> {
        let request = ReplaceCirculationRulesRequest {
            text: text.into(),
            request_id: id(),
            ..Default::default()
        };
        let made = self.rule_book().replace_circulation_rules(request).await?;
        Ok(made.into_inner().circulation_rules.unwrap())
    }

    pub async fn limits(&self, limits: PatronLimits) {
        let request = SetPatronLimitsRequest {
            patron_limits: Some(limits),
            request_id: id(),
        };
        self.policies().set_patron_limits(request).await.unwrap();
    }

    fn everything(&self) -> Caller {
        self.caller("desk-1", &[Grant::everywhere("*")])
    }

    pub fn caller(&self, subject: &str, grants: &[Grant]) -> Caller {
        InterceptedService::new(
            self.channel.clone(),
            Bearer(self.keys.token(subject, grants)),
        )
    }

    pub fn without_token(&self) -> Caller {
        InterceptedService::new(self.channel.clone(), Bearer(String::new()))
    }

    /// Someone who may do these things in library ALD-MAIN only.
    pub fn clerk(&self, permissions: &[&str]) -> LoanServiceClient<Caller> {
        let here = |permission: &&str| Grant::new(permission, Scope::Library("ALD-MAIN".into()));
        let grants: Vec<Grant> = permissions.iter().map(here).collect();
        LoanServiceClient::new(self.caller("clerk", &grants))
    }

    pub fn loans(&self) -> LoanServiceClient<Caller> {
        LoanServiceClient::new(self.everything())
    }

    /// Somebody else at a desk, with a connection of their own.
    pub fn another_client(&self) -> LoanServiceClient<Caller> {
        let channel = connect(&self.running);
        let bearer = Bearer(self.keys.token("desk-1", &[Grant::everywhere("*")]));
        LoanServiceClient::new(InterceptedService::new(channel, bearer))
    }

    pub fn requests(&self) -> RequestServiceClient<Caller> {
        RequestServiceClient::new(self.everything())
    }

    pub fn actions(&self) -> LoanActionServiceClient<Caller> {
        LoanActionServiceClient::new(self.everything())
    }

    pub fn batches(&self) -> LoanBatchServiceClient<Caller> {
        LoanBatchServiceClient::new(self.everything())
    }

    pub async fn claim(&self, loan_id: &str) -> Result<Loan, Status> {
        let request = ClaimReturnedRequest {
            loan_id: loan_id.into(),
            service_point_id: self.point.clone(),
            comment: "in the book drop on Monday".into(),
            request_id: id(),
        };
        let answer = self.actions().claim_returned(request).await?;
        Ok(answer.into_inner().loan.unwrap())
    }

    pub fn losing(&self, loan_id: &str) -> DeclareLostRequest {
        DeclareLostRequest {
            loan_id: loan_id.into(),
            service_point_id: self.point.clone(),
            comment: "left on the bus".into(),
            request_id: id(),
        }
    }

    pub async fn declare_lost(&self, loan_id: &str) -> Result<DeclareLostResponse, Status> {
        let answer = self.actions().declare_lost(self.losing(loan_id)).await?;
        Ok(answer.into_inner())
    }

    pub fn points(&self) -> ServicePointServiceClient<Caller> {
        ServicePointServiceClient::new(self.everything())
    }

    pub fn policies(&self) -> PolicyServiceClient<Caller> {
        PolicyServiceClient::new(self.everything())
    }

    pub fn rule_book(&self) -> CirculationRuleServiceClient<Caller> {
        CirculationRuleServiceClient::new(self.everything())
    }

    /// Moves the clock on.
    pub fn wait_until(&self, local: &str) {
        self.running.clock().set(at(local)).unwrap();
    }

    /// The projections hear an event of another service's feed.
    pub async fn hear<P: Projection, M: Name>(&self, projection: &P, message: &M) {
        let event = event_of(message);
        let mut connection = self.database.pool.acquire().await.unwrap();
        let generation: i64 =
            sqlx::query_scalar("select coalesce(max(generation), 0) from feed_cursor")
                .fetch_one(&mut *connection)
                .await
                .unwrap();
        projection
            .apply(&mut connection, generation, &event)
            .await
            .unwrap();
    }

    pub fn next_revision(&self) -> i64 {
        self.revision.fetch_add(1, Ordering::Relaxed) as i64
    }

    /// A book in the stacks.
    pub async fn book(&self, barcode: &str) -> Item {
        self.item(Item {
            barcode: barcode.into(),
            ..book(&self.stacks)
        })
        .await
    }

    pub async fn item(&self, item: Item) -> Item {
        let item = Item {
            revision: self.next_revision(),
            ..item
        };
        self.hear(
            &CatalogProjection { channel: None },
            &ItemChanged {
                item: Some(item.clone()),
            },
        )
        .await;
        item
    }

    /// A student with this barcode.
    pub async fn student(&self, barcode: &str) -> PatronStanding {
        self.patron(PatronStanding {
            patron_id: id(),
            barcode_hmac: self.keys.barcodes.hash(barcode).to_vec(),
            patron_group: "student".into(),
            expiration_date: None,
            active: true,
            ..Default::default()
        })
        .await
    }

    pub async fn patron(&self, standing: PatronStanding) -> PatronStanding {
        let standing = PatronStanding {
            revision: self.next_revision(),
            ..standing
        };
        let message = PatronStandingChanged {
            standing: Some(standing.clone()),
        };
        self.hear(&PatronsProjection { channel: None }, &message)
            .await;
        standing
    }

    pub async fn block(
        &self,
        patron: &PatronStanding,
        expiration_date: Option<Date>,
        lifted: bool,
    ) {
        let block = BlockStanding {
            block_id: patron.patron_id.clone(),
            patron_id: patron.patron_id.clone(),
            blocks_borrowing: true,
            blocks_renewals: true,
            blocks_requests: false,
            expiration_date,
            lifted,
            revision: self.next_revision(),
        };
        self.hear(
            &PatronsProjection { channel: None },
            &ManualBlockChanged { block: Some(block) },
        )
        .await;
    }

    pub async fn owes(&self, patron: &PatronStanding, cents: i64) {
        let balance = Balance {
            patron_id: patron.patron_id.clone(),
            outstanding: Some(usd(cents)),
            // Billing counts what is not disputed.
            counted: Some(usd(cents)),
            revision: self.next_revision(),
        };
        self.hear(
            &BillingProjection { channel: None },
            &BalanceChanged {
                balance: Some(balance),
            },
        )
        .await;
    }

    /// Billing tells of a charge for a loan.
    pub async fn charged(
        &self,
        account_id: &str,
        loan_id: &str,
        kind: FeeFineKind,
        how: PaymentStatus,
    ) {
        let status = match how {
            PaymentStatus::PaidFully | PaymentStatus::WaivedFully => AccountStatus::Closed,
            _ => AccountStatus::Open,
        };
        let account = Account {
            id: account_id.to_owned(),
            loan_id: loan_id.to_owned(),
            kind: kind.into(),
            status: status.into(),
            payment_status: how.into(),
            revision: self.next_revision(),
            ..Default::default()
        };
        let told = AccountChanged {
            account: Some(account),
        };
        self.hear(&BillingProjection { channel: None }, &told).await;
    }

    /// Ages what is due, once.
    pub async fn age(&self) -> RunAgeingResponse {
        let request = RunAgeingRequest { request_id: id() };
        self.loans().run_ageing(request).await.unwrap().into_inner()
    }

    /// A loan as it is kept.
    pub async fn loan(&self, id: &str) -> Loan {
        let request = GetLoanRequest { id: id.to_owned() };
        let answer = self.loans().get_loan(request).await.unwrap();
        answer.into_inner().loan.unwrap()
    }

    pub async fn check_out(&self, item: &str, patron: &str) -> Result<CheckOutResponse, Status> {
        let answer = self.loans().check_out(self.lending(item, patron)).await?;
        Ok(answer.into_inner())
    }

    pub fn lending(&self, item: &str, patron: &str) -> CheckOutRequest {
        CheckOutRequest {
            item_barcode: item.into(),
            patron_barcode: patron.into(),
            service_point_id: self.point.clone(),
            request_id: id(),
            ..Default::default()
        }
    }

    pub async fn check_in(&self, item: &str) -> Result<CheckInResponse, Status> {
        let answer = self.loans().check_in(self.returning(item)).await?;
        Ok(answer.into_inner())
    }

    pub fn returning(&self, item: &str) -> CheckInRequest {
        CheckInRequest {
            item_barcode: item.into(),
            service_point_id: self.point.clone(),
            request_id: id(),
            ..Default::default()
        }
    }

    pub async fn renew(&self, item: &str) -> Result<RenewResponse, Status> {
        Ok(self.loans().renew(self.renewing(item)).await?.into_inner())
    }

    pub fn renewing(&self, item: &str) -> RenewRequest {
        RenewRequest {
            key: Some(renew_request::Key::ItemBarcode(item.into())),
            service_point_id: self.point.clone(),
            r#override: None,
            request_id: id(),
        }
    }

    /// The events of one type in the feed's outbox, oldest first.
    pub async fn told<M: Name + Default>(&self) -> Vec<M> {
        let payloads: Vec<Vec<u8>> =
            sqlx::query_scalar("select payload from outbox where type = $1 order by position")
                .bind(M::full_name())
                .fetch_all(&self.database.pool)
                .await
                .unwrap();
        payloads
            .iter()
            .map(|payload| M::decode(payload.as_slice()).unwrap())
            .collect()
    }

    /// A patron's counters: open, overdue, lost.
    pub async fn counters(&self, patron: &PatronStanding) -> (i32, i32, i32) {
        sqlx::query_as(
            "select open_loans, overdue_loans, lost_loans from patron_circulation where patron_id = $1",
        )
        .bind(patron.patron_id.parse::<Uuid>().unwrap())
        .fetch_one(&self.database.pool)
        .await
        .unwrap()
    }
}

/// Starts circulation and waits until it is ready.
pub async fn serve(keys: &Keys, url: &str, peers: Vec<Peer>) -> (Running, Channel) {
    let settings = Settings {
        runtime: keys.settings(url, peers),
    };
    let listener = bind(settings.runtime.listen).await.unwrap();
    let runtime = settings.runtime.clone();
    let definition = carrel_circulation::definition(settings);
    let mut running = start(&runtime, listener, definition).await.unwrap();
    running.ready(Duration::from_secs(20)).await.unwrap();
    let channel = connect(&running);
    (running, channel)
}

/// A connection of its own, made when it is first used.
fn connect(running: &Running) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", running.address())).unwrap();
    endpoint.connect_lazy()
}

pub const RULES: &str = "\
priority: number-of-criteria, criterium (t, s, c, b, a, m, g), last-line
fallback-policy: l no-loan r none n none o daily i standard
m book: l two-weeks r all n standard o daily i standard
m book + g guest: l three-books r all n standard o daily i standard
";

pub fn service_point(code: &str, library: &str) -> ServicePoint {
    ServicePoint {
        id: String::new(),
        code: code.into(),
        name: format!("The desk {code}"),
        library_code: library.into(),
        institution_code: "ALD".into(),
        time_zone: "America/Los_Angeles".into(),
        pickup_location: true,
        hold_shelf_period: Some(period(7, PeriodUnit::Days)),
    }
}

pub fn all_requests() -> RequestPolicy {
    let types = [RequestType::Hold, RequestType::Recall, RequestType::Page];
    RequestPolicy {
        code: "all".into(),
        name: "Holds, recalls and pages".into(),
        allowed_types: types.map(Into::into).to_vec(),
        delivery_allowed: true,
        minimum_guaranteed_loan_period: Some(period(7, PeriodUnit::Days)),
        recall_return_interval: Some(period(3, PeriodUnit::Days)),
        ..Default::default()
    }
}

pub fn no_requests() -> RequestPolicy {
    RequestPolicy {
        code: "none".into(),
        name: "No requests".into(),
        ..Default::default()
    }
}

pub fn book(location: &str) -> Item {
    Item {
        id: id(),
        record_id: id(),
        barcode: String::new(),
        status: ItemStatus::Available.into(),
        material_type: "book".into(),
        loan_type: "standard".into(),
        location_id: location.into(),
        replacement_price: Some(usd(4_250)),
        ..Default::default()
    }
}

pub fn two_weeks() -> LoanPolicy {
    LoanPolicy {
        code: "two-weeks".into(),
        name: "Two weeks".into(),
        loanable: true,
        profile: LoanProfile::Rolling.into(),
        period: Some(period(14, PeriodUnit::Days)),
        closed_library_due_date: ClosedLibraryDueDate::Keep.into(),
        renewals_allowed: 2,
        renew_from: RenewFrom::DueDate.into(),
        category: LoanCategory::General.into(),
        item_limit_scope: ItemLimitScope::Policy.into(),
        ..Default::default()
    }
}

pub fn daily() -> OverdueFinePolicy {
    OverdueFinePolicy {
        code: "daily".into(),
        name: "25 cents a day".into(),
        amount: Some(usd(25)),
        interval: Some(period(1, PeriodUnit::Days)),
        maximum: Some(usd(1_000)),
        count_closed: true,
        forgive_when_lost: true,
        ..Default::default()
    }
}

pub fn standard() -> LostItemPolicy {
    LostItemPolicy {
        code: "standard".into(),
        name: "Lost after four weeks".into(),
        aged_to_lost_after: Some(period(28, PeriodUnit::Days)),
        set_cost: Some(usd(9_000)),
        processing_fee: Some(usd(1_000)),
        refund_within: Some(period(6, PeriodUnit::Months)),
        ..Default::default()
    }
}

pub fn period(count: i32, unit: PeriodUnit) -> Period {
    Period {
        count,
        unit: unit.into(),
    }
}

pub fn usd(cents: i64) -> carrel_proto::r#type::v1::Money {
    Money::from_minor(cents, Currency::USD).unwrap().into()
}

pub fn id() -> String {
    Uuid::now_v7().to_string()
}

pub fn at(local: &str) -> Timestamp {
    let local: jiff::civil::DateTime = local.parse().unwrap();
    local.in_tz("America/Los_Angeles").unwrap().timestamp()
}

/// An instant as the desk's clock on the wall shows it.
pub fn local(instant: Option<prost_types::Timestamp>) -> String {
    let instant = carrel_runtime::wire::timestamp("t", &instant.unwrap()).unwrap();
    instant
        .in_tz("America/Los_Angeles")
        .unwrap()
        .datetime()
        .to_string()
}

pub fn wire_time(local: &str) -> Option<prost_types::Timestamp> {
    Some(carrel_runtime::wire::to_timestamp(at(local)))
}

pub fn time(hours: i32, minutes: i32) -> Option<TimeOfDay> {
    Some(TimeOfDay { hours, minutes })
}

pub fn date(year: i32, month: i32, day: i32) -> Option<Date> {
    Some(Date { year, month, day })
}

pub fn event_of<M: Name>(message: &M) -> Event {
    let new = NewEvent::of(Uuid::now_v7(), message, Timestamp::UNIX_EPOCH);
    Event {
        number: 1,
        event_id: new.event_id.to_string(),
        r#type: new.event_type,
        subject_id: new.subject_id.to_string(),
        payload: Message::encode_to_vec(message).into(),
        occurred_at: None,
        trace_parent: String::new(),
    }
}

/// The reason of a refusal.
pub fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    read::reason(&answer.unwrap_err()).unwrap()
}

/// The reasons of the blocks of a refusal, and whether each can be overridden.
pub fn blocks<T: std::fmt::Debug>(answer: Result<T, Status>) -> Vec<(String, bool)> {
    let blocks: Blocks = read::detail(&answer.unwrap_err()).unwrap();
    blocks
        .blocks
        .into_iter()
        .map(|block| (block.reason, block.overridable))
        .collect()
}

/// Overriding these reasons.
pub fn overriding(reasons: &[&str]) -> Option<Override> {
    Some(Override {
        reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        comment: "the dean called".into(),
    })
}
