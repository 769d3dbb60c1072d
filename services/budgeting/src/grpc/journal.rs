//! BudgetJournalService: what was booked, and whether the totals agree.

use carrel_proto::budgeting::v1 as pb;
use carrel_proto::budgeting::v1::budget_journal_service_server::BudgetJournalService;
use carrel_runtime::wire;
use tonic::{Request, Response, Status};

use super::{Budgeting, page};
use crate::journal::{self, Move, Transaction};

#[tonic::async_trait]
impl BudgetJournalService for Budgeting {
    async fn list_budget_transactions(
        &self,
        request: Request<pb::ListBudgetTransactionsRequest>,
    ) -> Result<Response<pb::ListBudgetTransactionsResponse>, Status> {
        let mut query = request.into_inner();
        let page_size = std::mem::take(&mut query.page_size);
        let page_token = std::mem::take(&mut query.page_token);
        let page = page::<i64>(page_size, &page_token, &query)?;
        let budget_id = wire::id("budget_id", &query.budget_id)?;
        let mut transactions =
            journal::list(&self.database, budget_id, page.after, page.limit()).await?;
        let next_page_token = page.cut(&mut transactions, |transaction| transaction.number);
        Ok(Response::new(pb::ListBudgetTransactionsResponse {
            budget_transactions: transactions.into_iter().map(encode).collect(),
            next_page_token,
        }))
    }

    async fn verify_budgets(
        &self,
        _request: Request<pb::VerifyBudgetsRequest>,
    ) -> Result<Response<pb::VerifyBudgetsResponse>, Status> {
        let found = journal::verify(&self.database).await?;
        let differing = found.differing.iter();
        Ok(Response::new(pb::VerifyBudgetsResponse {
            budget_count: found.budget_count,
            differing_budget_ids: differing.map(ToString::to_string).collect(),
        }))
    }
}

fn encode(transaction: Transaction) -> pb::BudgetTransaction {
    use pb::BudgetTransactionKind as Kind;
    let kind = match transaction.what {
        Move::Allocation => Kind::Allocation,
        Move::Encumbrance(_) => Kind::Encumbrance,
        Move::EncumbranceRelease(_) => Kind::EncumbranceRelease,
    };
    let encumbrance_id = transaction.what.encumbrance_id();
    pb::BudgetTransaction {
        id: transaction.id.to_string(),
        kind: kind.into(),
        amount: Some(transaction.amount.into()),
        encumbrance_id: encumbrance_id.map(|id| id.to_string()).unwrap_or_default(),
        booked_at: Some(wire::to_timestamp(transaction.booked_at)),
        actor: transaction.actor,
        comment: transaction.comment,
    }
}
