//! Balances, from billing.

use carrel_money::Money;
use carrel_outbox::{ApplyError, Page, Projection, StateProjection, decode};
use carrel_proto::billing::v1::account_service_client::AccountServiceClient;
use carrel_proto::billing::v1::{Balance, BalanceChanged, ListBalancesRequest};
use carrel_proto::events::v1::Event;
use carrel_runtime::PeerChannel;
use prost::Name;
use sqlx::PgConnection;
use tonic::Status;

use super::store::{self, BalanceRow};
use super::{PAGE_SIZE, asking, id, poison, present, within};

/// The projection of patrons' balances.
#[derive(Debug, Clone)]
pub struct BillingProjection {
    /// The way to billing, to read its whole state; `None`: there is none.
    pub channel: Option<PeerChannel>,
}

impl Projection for BillingProjection {
    fn types(&self) -> Vec<String> {
        vec![BalanceChanged::full_name()]
    }

    async fn apply_all(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        events: &[Event],
    ) -> Result<(), ApplyError> {
        let mut balances = Vec::new();
        for event in events {
            let changed: BalanceChanged = decode(event)?;
            balances.push(balance_row(present("balance", &changed.balance)?)?);
        }
        store::put_balances(connection, generation, balances).await?;
        Ok(())
    }
}

impl StateProjection for BillingProjection {
    type Rows = Vec<Balance>;

    async fn fetch_page(&self, page_token: &str) -> Result<Page<Vec<Balance>>, Status> {
        let Some(channel) = self.channel.clone() else {
            return Err(Status::unavailable("no way to billing"));
        };
        let request = ListBalancesRequest {
            page_size: PAGE_SIZE,
            page_token: page_token.to_owned(),
        };
        let mut accounts = AccountServiceClient::new(channel);
        let page = within(accounts.list_balances(asking(request)))
            .await?
            .into_inner();
        Ok(Page {
            rows: page.balances,
            next_page_token: page.next_page_token,
        })
    }

    async fn apply_page(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        rows: &Vec<Balance>,
    ) -> Result<(), ApplyError> {
        let balances = rows.iter().map(balance_row).collect::<Result<_, _>>()?;
        store::put_balances(connection, generation, balances).await?;
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
    let outstanding = present("balance.outstanding", &balance.outstanding)?;
    Ok(BalanceRow {
        patron_id: id("balance.patron_id", &balance.patron_id)?,
        outstanding: Money::try_from(outstanding).map_err(|_| poison("balance.outstanding"))?,
        revision: balance.revision,
    })
}
