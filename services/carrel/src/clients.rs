//! The clients with which the day is played: gRPC for Carrel, HTTP for the
//! student-account system's own side.

use std::time::Duration;

use anyhow::{Context as _, bail};
use carrel_money::{Decimal, Money};
use carrel_proto::billing::v1::account_service_client::AccountServiceClient;
use carrel_proto::billing::v1::fee_fine_service_client::FeeFineServiceClient;
use carrel_proto::billing::v1::journal_service_client::JournalServiceClient;
use carrel_proto::billing::v1::posting_route_service_client::PostingRouteServiceClient;
use carrel_proto::billing::v1::posting_service_client::PostingServiceClient;
use carrel_proto::budgeting::v1::budget_code_service_client::BudgetCodeServiceClient;
use carrel_proto::budgeting::v1::budget_service_client::BudgetServiceClient;
use carrel_proto::budgeting::v1::encumbrance_service_client::EncumbranceServiceClient;
use carrel_proto::catalog::v1::item_service_client::ItemServiceClient;
use carrel_proto::catalog::v1::location_unit_service_client::LocationUnitServiceClient;
use carrel_proto::catalog::v1::record_service_client::RecordServiceClient;
use carrel_proto::circulation::v1::circulation_rule_service_client::CirculationRuleServiceClient;
use carrel_proto::circulation::v1::loan_service_client::LoanServiceClient;
use carrel_proto::circulation::v1::policy_service_client::PolicyServiceClient;
use carrel_proto::circulation::v1::service_point_service_client::ServicePointServiceClient;
use carrel_proto::patrons::v1::patron_group_service_client::PatronGroupServiceClient;
use carrel_proto::patrons::v1::patron_service_client::PatronServiceClient;
use carrel_proto::r#type::v1 as wire;
use serde_json::Value;

use crate::connect::{Authorized, Suite};

/// Between two looks at a condition.
const POLL: Duration = Duration::from_millis(50);

/// Every client that the day needs.
pub struct Clients {
    pub location_units: LocationUnitServiceClient<Authorized>,
    pub records: RecordServiceClient<Authorized>,
    pub items: ItemServiceClient<Authorized>,
    pub patron_groups: PatronGroupServiceClient<Authorized>,
    pub patrons: PatronServiceClient<Authorized>,
    pub service_points: ServicePointServiceClient<Authorized>,
    pub policies: PolicyServiceClient<Authorized>,
    pub rules: CirculationRuleServiceClient<Authorized>,
    pub loans: LoanServiceClient<Authorized>,
    pub fee_fines: FeeFineServiceClient<Authorized>,
    pub accounts: AccountServiceClient<Authorized>,
    pub journal: JournalServiceClient<Authorized>,
    pub postings: PostingServiceClient<Authorized>,
    pub posting_routes: PostingRouteServiceClient<Authorized>,
    pub budgets: BudgetServiceClient<Authorized>,
    pub budget_codes: BudgetCodeServiceClient<Authorized>,
    pub encumbrances: EncumbranceServiceClient<Authorized>,
    pub sis: Sis,
}

impl Clients {
    /// Clients of a running suite.
    pub fn new(suite: &Suite) -> anyhow::Result<Self> {
        let catalog = suite.channel("catalog")?;
        let patrons = suite.channel("patrons")?;
        let circulation = suite.channel("circulation")?;
        let billing = suite.channel("billing")?;
        let budgeting = suite.channel("budgeting")?;
        Ok(Self {
            location_units: LocationUnitServiceClient::new(catalog.clone()),
            records: RecordServiceClient::new(catalog.clone()),
            items: ItemServiceClient::new(catalog),
            patron_groups: PatronGroupServiceClient::new(patrons.clone()),
            patrons: PatronServiceClient::new(patrons),
            service_points: ServicePointServiceClient::new(circulation.clone()),
            policies: PolicyServiceClient::new(circulation.clone()),
            rules: CirculationRuleServiceClient::new(circulation.clone()),
            loans: LoanServiceClient::new(circulation),
            fee_fines: FeeFineServiceClient::new(billing.clone()),
            accounts: AccountServiceClient::new(billing.clone()),
            journal: JournalServiceClient::new(billing.clone()),
            postings: PostingServiceClient::new(billing.clone()),
            posting_routes: PostingRouteServiceClient::new(billing),
            budgets: BudgetServiceClient::new(budgeting.clone()),
            budget_codes: BudgetCodeServiceClient::new(budgeting.clone()),
            encumbrances: EncumbranceServiceClient::new(budgeting),
            sis: Sis {
                url: suite
                    .address("sis")
                    .context("the endpoints name no sis")?
                    .to_owned(),
                http: reqwest::Client::builder().build()?,
            },
        })
    }
}

/// The student-account system's own side: what a cashier sees, and faults.
#[derive(Debug, Clone)]
pub struct Sis {
    url: String,
    http: reqwest::Client,
}

impl Sis {
    /// Reads something.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Sets something.
    pub async fn put(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let request = self.http.put(format!("{}{path}", self.url)).json(body);
        request.send().await?.error_for_status()?;
        Ok(())
    }

    /// Takes something away.
    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let request = self.http.delete(format!("{}{path}", self.url));
        request.send().await?.error_for_status()?;
        Ok(())
    }

    /// Does something.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.http.post(format!("{}{path}", self.url)).json(body);
        let answer = request.send().await?.error_for_status()?;
        let text = answer.text().await?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

/// A new request id.
pub fn request_id() -> String {
    carrel_ids::new_id().to_string()
}

/// An amount such as "12.50" for the wire.
pub fn money(text: &str, currency: &str) -> anyhow::Result<wire::Money> {
    let amount: Decimal = text
        .parse()
        .with_context(|| format!("{text} is no amount"))?;
    Ok(Money::new(amount, currency.parse()?)?.into())
}

/// An amount from the wire; nothing where it is not set.
pub fn amount(money: Option<&wire::Money>) -> anyhow::Result<Decimal> {
    match money {
        Some(money) => Ok(Money::try_from(money)?.amount()),
        None => Ok(Decimal::ZERO),
    }
}

/// Waits for a condition, which services reach by their feeds.
pub async fn until<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let end = tokio::time::Instant::now() + deadline;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if tokio::time::Instant::now() > end {
            bail!("waited {} s in vain until {what}", deadline.as_secs());
        }
        tokio::time::sleep(POLL).await;
    }
}
