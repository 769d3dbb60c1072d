//! `JournalService`.

use carrel_proto::billing::v1 as pb;
use carrel_proto::billing::v1::journal_service_server::JournalService;
use carrel_proto::r#type::v1 as wire_type;
use carrel_runtime::{Call, Page, Refusal, page, wire};
use jiff::Timestamp;
use jiff::civil::Date;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Rpcs, actor};
use crate::columns::money;
use crate::error::Error;
use crate::journal::close::{self, ClosedMonth};
use crate::journal::{Days, statement};
use crate::{journal, message};

#[tonic::async_trait]
impl JournalService for Rpcs {
    async fn get_trial_balance(
        &self,
        request: Request<pb::GetTrialBalanceRequest>,
    ) -> Result<Response<pb::GetTrialBalanceResponse>, Status> {
        let request = request.into_inner();
        let days = days(&request.first_date, &request.last_date)?;
        let (lines, sum) = journal::trial_balance_of(&self.billing, days).await?;
        let lines = lines.iter().map(message::ledger_balance).collect();
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

    async fn get_patron_statement(
        &self,
        request: Request<pb::GetPatronStatementRequest>,
    ) -> Result<Response<pb::GetPatronStatementResponse>, Status> {
        let request = request.into_inner();
        let query = pb::GetPatronStatementRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page: Page<(Timestamp, Uuid)> =
            page(request.page_size, &request.page_token, &query, 100, 1_000)?;
        let patron_id = wire::id("patron_id", &request.patron_id)?;
        let days = days(&request.first_date, &request.last_date)?;
        let (after, limit) = (page.after, page.limit());
        let mut statement =
            statement::patron_statement(&self.billing, patron_id, days, after, limit).await?;
        let next_page_token = page.cut(&mut statement.lines, |line| {
            (line.occurred_at, line.journal_transaction_id)
        });
        let currency = self.billing.currency.code();
        let mut lines = Vec::with_capacity(statement.lines.len());
        for line in statement.lines {
            lines.push(pb::PatronStatementLine {
                occurred_at: Some(wire::to_timestamp(line.occurred_at)),
                account_id: line.account_id.to_string(),
                reference: line.reference,
                kind: message::action_kind(line.kind).into(),
                change: Some(money(line.change, currency)?.into()),
                owed: Some(money(line.owed, currency)?.into()),
                statement_text: line.statement_text,
                journal_transaction_id: line.journal_transaction_id.to_string(),
            });
        }
        Ok(Response::new(pb::GetPatronStatementResponse {
            opening: Some(statement.opening.into()),
            lines,
            closing: Some(statement.closing.into()),
            next_page_token,
        }))
    }

    async fn verify_journal(
        &self,
        _request: Request<pb::VerifyJournalRequest>,
    ) -> Result<Response<pb::VerifyJournalResponse>, Status> {
        let mut disagreements = Vec::new();
        for wrong in journal::verify(&self.billing).await? {
            disagreements.push(pb::JournalDisagreement {
                kept: Some(money(wrong.kept, &wrong.currency)?.into()),
                booked: Some(money(wrong.booked, &wrong.currency)?.into()),
                part: wrong.part,
                row_id: wrong.row_id.to_string(),
                reference: wrong.reference,
            });
        }
        Ok(Response::new(pb::VerifyJournalResponse { disagreements }))
    }

    async fn close_month(
        &self,
        request: Request<pb::CloseMonthRequest>,
    ) -> Result<Response<pb::CloseMonthResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let day = wire::date("month", wire::required("month", &request.month)?)?;
        let closed = close::close_month(&self.billing, &key, &actor(&call), day).await?;
        Ok(Response::new(pb::CloseMonthResponse {
            closed_month: Some(self.closed_month(&closed).await?),
        }))
    }

    async fn list_closed_months(
        &self,
        request: Request<pb::ListClosedMonthsRequest>,
    ) -> Result<Response<pb::ListClosedMonthsResponse>, Status> {
        let request = request.into_inner();
        let query = pb::ListClosedMonthsRequest::default();
        let page: Page<Date> = page(request.page_size, &request.page_token, &query, 12, 120)?;
        let mut connection = self.connection().await?;
        let mut closed =
            journal::store::list_closed_months(&mut connection, page.after, page.limit()).await?;
        drop(connection);
        let next_page_token = page.cut(&mut closed, |closed| closed.month);
        let mut closed_months = Vec::with_capacity(closed.len());
        for closed in &closed {
            closed_months.push(self.closed_month(closed).await?);
        }
        Ok(Response::new(pb::ListClosedMonthsResponse {
            closed_months,
            next_page_token,
        }))
    }
}

impl Rpcs {
    async fn closed_month(&self, closed: &ClosedMonth) -> Result<pb::ClosedMonth, Error> {
        let lines = close::balance_of(&self.billing, closed).await?;
        Ok(pb::ClosedMonth {
            month: Some(wire::to_date(closed.month)),
            closed_by: closed.closed_by.clone(),
            closed_at: Some(wire::to_timestamp(closed.closed_at)),
            lines: lines.iter().map(message::ledger_balance).collect(),
        })
    }
}

/// Days that may be left out.
fn days(first: &Option<wire_type::Date>, last: &Option<wire_type::Date>) -> Result<Days, Refusal> {
    let date = |field: &str, value: &Option<wire_type::Date>| {
        value
            .as_ref()
            .map(|value| wire::date(field, value))
            .transpose()
    };
    Ok(Days {
        first: date("first_date", first)?,
        last: date("last_date", last)?,
    })
}
