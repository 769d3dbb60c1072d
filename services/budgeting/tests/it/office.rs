//! The business office: a running service, somebody who works with it, and
//! the books of a small district.

use std::time::Duration;

use carrel_budgeting::{MIGRATIONS, Settings, definition};
use carrel_database::with_foundation;
use carrel_ids::new_id;
use carrel_money::{Currency, Money};
use carrel_proto::budgeting::v1 as pb;
use carrel_proto::budgeting::v1::budget_code_service_client::BudgetCodeServiceClient;
use carrel_proto::budgeting::v1::budget_journal_service_client::BudgetJournalServiceClient;
use carrel_proto::budgeting::v1::budget_service_client::BudgetServiceClient;
use carrel_proto::budgeting::v1::encumbrance_service_client::EncumbranceServiceClient;
use carrel_proto::r#type::v1 as wire;
use carrel_runtime::{BarcodeKey, Grant, Running, TokenIssuer};
use carrel_testkit::TestDatabase;
use clap::Parser;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

pub type Caller = InterceptedService<Channel, Bearer>;

/// Sends a token with each call.
#[derive(Clone)]
pub struct Bearer(AsciiMetadataValue);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    settings: Settings,
}

/// A running service, and clients of it that may do everything.
pub struct Office {
    pub database: TestDatabase,
    pub desk: Desk,
    channel: Channel,
    issuer: TokenIssuer,
    keys: TempDir,
    _running: Running,
}

/// Clients with one token.
#[derive(Clone)]
pub struct Desk {
    pub budgets: BudgetServiceClient<Caller>,
    pub encumbrances: EncumbranceServiceClient<Caller>,
    pub codes: BudgetCodeServiceClient<Caller>,
    pub journal: BudgetJournalServiceClient<Caller>,
}

impl Office {
    pub async fn open() -> Self {
        // Shown where a test fails: the cause of an internal error is only there.
        carrel_runtime::log_to_stderr();
        let database = TestDatabase::create(&with_foundation(&MIGRATIONS)).await;
        let keys = tempfile::tempdir().unwrap();
        let issuer = TokenIssuer::create(&keys.path().join("service.pem")).unwrap();
        BarcodeKey::create(&keys.path().join("barcode.key")).unwrap();
        let trusted = serde_json::to_string(&issuer.jwks()).unwrap();
        std::fs::write(keys.path().join("trusted.json"), trusted).unwrap();

        let (running, channel) = start(&database, &keys).await;
        let desk = bursar(&channel, &issuer);
        Self {
            database,
            desk,
            channel,
            issuer,
            keys,
            _running: running,
        }
    }

    /// Somebody else at the same service.
    pub fn desk_of(&self, subject: &str, permissions: &[&str]) -> Desk {
        Desk::new(self.caller(subject, permissions))
    }

    /// A caller with a token of their own.
    pub fn caller(&self, subject: &str, permissions: &[&str]) -> Caller {
        let grants: Vec<Grant> = permissions
            .iter()
            .map(|name| Grant::everywhere(name))
            .collect();
        caller(&self.channel, &self.issuer, subject, &grants)
    }

    /// A second process of the service on the same database.
    pub async fn replica(&self) -> (Running, Desk) {
        let (running, channel) = start(&self.database, &self.keys).await;
        let desk = bursar(&channel, &self.issuer);
        (running, desk)
    }

    /// Runs SQL as the owner of the database; its error is the constraint's
    /// name, or else the SQLSTATE.
    pub async fn sql(&self, statement: &'static str) -> Result<u64, String> {
        match sqlx::raw_sql(statement).execute(&self.database.pool).await {
            Ok(done) => Ok(done.rows_affected()),
            Err(error) => {
                let error = error.into_database_error().unwrap();
                let code = error.code().unwrap().into_owned();
                Err(error.constraint().map_or(code, ToOwned::to_owned))
            }
        }
    }
}

async fn start(database: &TestDatabase, keys: &TempDir) -> (Running, Channel) {
    let key = |name: &str| keys.path().join(name).display().to_string();
    let settings = Program::parse_from([
        "carrel-budgeting",
        "--database-url",
        &database.url,
        "--trusted-keys",
        &key("trusted.json"),
        "--service-key",
        &key("service.pem"),
        "--barcode-key",
        &key("barcode.key"),
    ])
    .settings;
    let listener = carrel_runtime::bind(settings.runtime.listen).await.unwrap();
    let mut running =
        carrel_runtime::start(&settings.runtime.clone(), listener, definition(settings))
            .await
            .unwrap();
    running.ready(Duration::from_secs(20)).await.unwrap();
    let url = format!("http://{}", running.address());
    let channel = Channel::from_shared(url).unwrap().connect_lazy();
    (running, channel)
}

fn bursar(channel: &Channel, issuer: &TokenIssuer) -> Desk {
    let grants = [Grant::everywhere("budgeting.*")];
    Desk::new(caller(channel, issuer, "bursar", &grants))
}

fn caller(channel: &Channel, issuer: &TokenIssuer, subject: &str, grants: &[Grant]) -> Caller {
    let token = issuer.issue(
        subject,
        grants,
        Timestamp::now(),
        SignedDuration::from_hours(1),
    );
    let bearer = Bearer(format!("Bearer {token}").parse().unwrap());
    InterceptedService::new(channel.clone(), bearer)
}

impl Desk {
    fn new(caller: Caller) -> Self {
        Self {
            budgets: BudgetServiceClient::new(caller.clone()),
            encumbrances: EncumbranceServiceClient::new(caller.clone()),
            codes: BudgetCodeServiceClient::new(caller.clone()),
            journal: BudgetJournalServiceClient::new(caller),
        }
    }

    pub async fn fiscal_year(
        &mut self,
        code: &str,
        first: &str,
        last: &str,
        currency: &str,
    ) -> Result<pb::FiscalYear, Status> {
        let year = pb::FiscalYear {
            code: code.into(),
            first_date: Some(date(first)),
            last_date: Some(date(last)),
            currency_code: currency.into(),
            ..Default::default()
        };
        let request = pb::CreateFiscalYearRequest {
            fiscal_year: Some(year),
            request_id: request_id(),
        };
        let answer = self.budgets.create_fiscal_year(request).await?;
        Ok(answer.into_inner().fiscal_year.unwrap())
    }

    pub async fn ledger(&mut self, code: &str) -> Result<pb::Ledger, Status> {
        let ledger = pb::Ledger {
            code: code.into(),
            name: "Library".into(),
            ..Default::default()
        };
        let request = pb::CreateLedgerRequest {
            ledger: Some(ledger),
            request_id: request_id(),
        };
        Ok(self
            .budgets
            .create_ledger(request)
            .await?
            .into_inner()
            .ledger
            .unwrap())
    }

    pub async fn fund(&mut self, ledger_id: &str, code: &str) -> Result<pb::Fund, Status> {
        let fund = pb::Fund {
            ledger_id: ledger_id.into(),
            code: code.into(),
            name: "Books".into(),
            external_account_number: "11-6310".into(),
            ..Default::default()
        };
        let request = pb::CreateFundRequest {
            fund: Some(fund),
            request_id: request_id(),
        };
        Ok(self
            .budgets
            .create_fund(request)
            .await?
            .into_inner()
            .fund
            .unwrap())
    }

    pub async fn budget(&mut self, budget: pb::Budget) -> Result<pb::Budget, Status> {
        let request = pb::CreateBudgetRequest {
            budget: Some(budget),
            request_id: request_id(),
        };
        Ok(self
            .budgets
            .create_budget(request)
            .await?
            .into_inner()
            .budget
            .unwrap())
    }

    pub async fn allocate(&mut self, budget_id: &str, amount: &str) -> Result<pb::Budget, Status> {
        let request = pb::AllocateRequest {
            budget_id: budget_id.into(),
            amount: Some(usd(amount)),
            comment: "adopted budget".into(),
            request_id: request_id(),
        };
        Ok(self
            .budgets
            .allocate(request)
            .await?
            .into_inner()
            .budget
            .unwrap())
    }

    pub async fn encumber(
        &mut self,
        budget_id: &str,
        amount: &str,
    ) -> Result<pb::Encumbrance, Status> {
        let answer = self
            .encumbrances
            .create_encumbrance(order(budget_id, amount))
            .await?;
        Ok(answer.into_inner().encumbrance.unwrap())
    }

    pub async fn release(&mut self, id: &str) -> Result<pb::Encumbrance, Status> {
        let request = pb::ReleaseEncumbranceRequest {
            id: id.into(),
            request_id: request_id(),
        };
        let answer = self.encumbrances.release_encumbrance(request).await?;
        Ok(answer.into_inner().encumbrance.unwrap())
    }

    pub async fn read_budget(&mut self, id: &str) -> pb::Budget {
        let request = pb::GetBudgetRequest { id: id.into() };
        self.budgets
            .get_budget(request)
            .await
            .unwrap()
            .into_inner()
            .budget
            .unwrap()
    }

    pub async fn verify(&mut self) -> pb::VerifyBudgetsResponse {
        let request = pb::VerifyBudgetsRequest {};
        self.journal
            .verify_budgets(request)
            .await
            .unwrap()
            .into_inner()
    }

    /// Sets codes of the form 11-100-6310, where the fund is 11 or 12.
    pub async fn set_codes(&mut self) {
        let request = pb::SetBudgetCodeStructureRequest {
            structure: Some(codes()),
            request_id: request_id(),
        };
        self.codes.set_budget_code_structure(request).await.unwrap();
    }

    /// A fund's active budget for the year, codes included.
    pub async fn books(&mut self) -> pb::Budget {
        self.set_codes().await;
        let year = self
            .fiscal_year("FY2027", "2026-07-01", "2027-06-30", "USD")
            .await
            .unwrap();
        let ledger = self.ledger("LIB").await.unwrap();
        let fund = self.fund(&ledger.id, "BOOKS").await.unwrap();
        self.budget(of(&fund, &year)).await.unwrap()
    }

    /// The same with an allocation.
    pub async fn books_with(&mut self, amount: &str) -> String {
        let budget = self.books().await;
        self.allocate(&budget.id, amount).await.unwrap();
        budget.id
    }
}

/// A budget to add: a fund in a year.
pub fn of(fund: &pb::Fund, year: &pb::FiscalYear) -> pb::Budget {
    pb::Budget {
        fund_id: fund.id.clone(),
        fiscal_year_id: year.id.clone(),
        ..Default::default()
    }
}

pub fn order(budget_id: &str, amount: &str) -> pb::CreateEncumbranceRequest {
    pb::CreateEncumbranceRequest {
        budget_id: budget_id.into(),
        budget_code: "11-100-6310".into(),
        amount: Some(usd(amount)),
        description: "order 4711".into(),
        request_id: request_id(),
    }
}

pub fn codes() -> pb::BudgetCodeStructure {
    let segment = |name: &str, length, values: &[&str]| pb::BudgetCodeSegment {
        name: name.into(),
        length,
        values: values.iter().map(|value| (*value).into()).collect(),
    };
    let combination = |values: [&str; 3]| pb::BudgetCodeCombination {
        values: values.map(Into::into).to_vec(),
    };
    pb::BudgetCodeStructure {
        separator: "-".into(),
        segments: vec![
            segment("fund", 2, &["11", "12"]),
            segment("location", 3, &[]),
            segment("object", 4, &["6300", "6310"]),
        ],
        combinations: vec![
            combination(["11", "*", "*"]),
            combination(["12", "LIB", "6300"]),
        ],
    }
}

pub fn request_id() -> String {
    new_id().to_string()
}

pub fn usd(amount: &str) -> wire::Money {
    Money::new(amount.parse().unwrap(), Currency::USD)
        .unwrap()
        .into()
}

pub fn date(text: &str) -> wire::Date {
    carrel_runtime::wire::to_date(text.parse().unwrap())
}

/// The stable reason of a refusal.
pub fn reason<T>(outcome: Result<T, Status>) -> String {
    let Err(status) = outcome else {
        panic!("it was not refused");
    };
    carrel_runtime::read::reason(&status).unwrap()
}

/// A value that comes with a refusal.
pub fn metadata(status: &Status, key: &str) -> String {
    status.get_details_error_info().unwrap().metadata[key].clone()
}
