//! `JournalService`.

use carrel_proto::billing::v1 as pb;
use carrel_proto::billing::v1::journal_service_server::JournalService;
use carrel_runtime::{Page, page, wire};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::Rpcs;
use crate::{journal, message};

#[tonic::async_trait]
impl JournalService for Rpcs {
    async fn get_trial_balance(
        &self,
        _request: Request<pb::GetTrialBalanceRequest>,
    ) -> Result<Response<pb::GetTrialBalanceResponse>, Status> {
        let (balances, sum) = journal::trial_balance(&self.billing).await?;
        let lines = balances
            .into_iter()
            .map(|(ledger_account, balance)| pb::TrialBalanceLine {
                ledger_account: message::ledger_account(ledger_account).into(),
                balance: Some(balance.into()),
            })
            .collect();
        Ok(Response::new(pb::GetTrialBalanceResponse {
            lines,
            sum: Some(sum.into()),
        }))
    }

    async fn list_journal_transactions(
        &self,
        request: Request<pb::ListJournalTransactionsRequest>,
    ) -> Result<Response<pb::ListJournalTransactionsResponse>, Status> {
        let request = request.into_inner();
        let query = pb::ListJournalTransactionsRequest {
            account_id: request.account_id.clone(),
            ..Default::default()
        };
        let page: Page<Uuid> = page(request.page_size, &request.page_token, &query, 100, 1_000)?;
        let account_id = wire::optional_id("account_id", &request.account_id)?;
        let mut connection = self.connection().await?;
        let mut transactions = journal::store::list_transactions(
            &mut connection,
            account_id,
            page.after,
            page.limit(),
        )
        .await?;
        let next_page_token = page.cut(&mut transactions, |transaction| transaction.id);
        Ok(Response::new(pb::ListJournalTransactionsResponse {
            journal_transactions: transactions
                .iter()
                .map(message::journal_transaction)
                .collect(),
            next_page_token,
        }))
    }
}
