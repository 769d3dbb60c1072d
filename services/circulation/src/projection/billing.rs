//! Balances, from billing, and whether anything is owed for a loan: no amounts
//! of single charges, and whose they are is not kept with them.

use carrel_money::Money;
use carrel_outbox::{ApplyError, Page, Projection, StateProjection, decode};
use carrel_proto::billing::v1::account_service_client::AccountServiceClient;
use carrel_proto::billing::v1::{
    Account, AccountChanged, AccountStatus, Balance, BalanceChanged, FeeFineKind,
    ListAccountsRequest, ListBalancesRequest, PaymentStatus,
};
use carrel_proto::events::v1::Event;
use carrel_runtime::PeerChannel;
use prost::Name;
use sqlx::PgConnection;
use tonic::Status;

use super::store::{self, BalanceRow, ChargeRow};
use super::{PAGE_SIZE, asking, id, poison, present, within};

/// What begins the page tokens of accounts; they come after the balances.
const ACCOUNTS: &str = "accounts:";

/// A page of billing's state.
#[derive(Debug)]
pub struct BillingRows {
    balances: Vec<Balance>,
    accounts: Vec<Account>,
}

/// The projection of patrons' balances and of what is owed for loans.
#[derive(Debug, Clone)]
pub struct BillingProjection {
    /// The way to billing, to read its whole state; `None`: there is none.
    pub channel: Option<PeerChannel>,
}

impl Projection for BillingProjection {
    fn types(&self) -> Vec<String> {
        vec![BalanceChanged::full_name(), AccountChanged::full_name()]
    }

    /// 2: whether anything is owed for a loan is kept, too.
    fn edition(&self) -> i64 {
        2
    }

    async fn apply_all(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        events: &[Event],
    ) -> Result<(), ApplyError> {
        let (mut balances, mut charges) = (Vec::new(), Vec::new());
        for event in events {
            if event.r#type == BalanceChanged::full_name() {
                let changed: BalanceChanged = decode(event)?;
                balances.push(balance_row(present("balance", &changed.balance)?)?);
            } else if event.r#type == AccountChanged::full_name() {
                let changed: AccountChanged = decode(event)?;
                charges.extend(charge_row(present("account", &changed.account)?)?);
            } else {
                return Err(ApplyError::unknown_type(event));
            }
        }
        store::put_balances(connection, generation, balances).await?;
        store::put_charges(connection, generation, charges).await?;
        Ok(())
    }
}

impl StateProjection for BillingProjection {
    type Rows = BillingRows;

    async fn fetch_page(&self, page_token: &str) -> Result<Page<BillingRows>, Status> {
        let Some(channel) = self.channel.clone() else {
            return Err(Status::unavailable("no way to billing"));
        };
        let mut client = AccountServiceClient::new(channel);
        if let Some(token) = page_token.strip_prefix(ACCOUNTS) {
            let request = ListAccountsRequest {
                page_size: PAGE_SIZE,
                page_token: token.to_owned(),
                ..Default::default()
            };
            let page = within(client.list_accounts(asking(request))).await?;
            let page = page.into_inner();
            let next = Some(page.next_page_token).filter(|token| !token.is_empty());
            return Ok(Page {
                rows: BillingRows {
                    balances: Vec::new(),
                    accounts: page.accounts,
                },
                next_page_token: next
                    .map_or_else(String::new, |token| ACCOUNTS.to_owned() + &token),
            });
        }
        let request = ListBalancesRequest {
            page_size: PAGE_SIZE,
            page_token: page_token.to_owned(),
        };
        let page = within(client.list_balances(asking(request))).await?;
        let page = page.into_inner();
        let next = Some(page.next_page_token).filter(|token| !token.is_empty());
        Ok(Page {
            rows: BillingRows {
                balances: page.balances,
                accounts: Vec::new(),
            },
            next_page_token: next.unwrap_or_else(|| ACCOUNTS.to_owned()),
        })
    }

    async fn apply_page(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        rows: &BillingRows,
    ) -> Result<(), ApplyError> {
        let balances = rows
            .balances
            .iter()
            .map(balance_row)
            .collect::<Result<_, _>>()?;
        let charges: Vec<Option<ChargeRow>> = rows
            .accounts
            .iter()
            .map(charge_row)
            .collect::<Result<_, _>>()?;
        store::put_balances(connection, generation, balances).await?;
        store::put_charges(
            connection,
            generation,
            charges.into_iter().flatten().collect(),
        )
        .await?;
        Ok(())
    }

    async fn finish_rebuild(
        &self,
        connection: &mut PgConnection,
        generation: i64,
    ) -> Result<(), ApplyError> {
        store::forget_billing_before(connection, generation).await?;
        Ok(())
    }
}

fn balance_row(balance: &Balance) -> Result<BalanceRow, ApplyError> {
    // What counts towards blocks; an older billing does not tell it apart.
    let outstanding = match &balance.counted {
        Some(counted) => counted,
        None => present("balance.outstanding", &balance.outstanding)?,
    };
    Ok(BalanceRow {
        patron_id: id("balance.patron_id", &balance.patron_id)?,
        outstanding: Money::try_from(outstanding).map_err(|_| poison("balance.outstanding"))?,
        revision: balance.revision,
    })
}

/// A charge for a loan; `None` for one by hand, and for one whose link to its
/// loan was cut.
fn charge_row(account: &Account) -> Result<Option<ChargeRow>, ApplyError> {
    if account.loan_id.is_empty() {
        return Ok(None);
    }
    let open = match AccountStatus::try_from(account.status) {
        Ok(AccountStatus::Open) => true,
        Ok(AccountStatus::Closed) => false,
        _ => return Err(poison("account.status")),
    };
    let paid = PaymentStatus::try_from(account.payment_status) == Ok(PaymentStatus::PaidFully);
    let lost = FeeFineKind::try_from(account.kind) == Ok(FeeFineKind::LostItemFee);
    Ok(Some(ChargeRow {
        account_id: id("account.id", &account.id)?,
        loan_id: id("account.loan_id", &account.loan_id)?,
        open,
        ends_loan: lost && paid && !open,
        revision: account.revision,
    }))
}
