//! BudgetService: fiscal years, ledgers, funds, budgets.

use carrel_proto::budgeting::v1 as pb;
use carrel_proto::budgeting::v1::budget_service_server::BudgetService;
use carrel_runtime::{Refusal, wire};
use jiff::civil::Date;
use tonic::{Request, Response, Status};

use super::{Budgeting, amount, page, structure};
use crate::budget::{self, After, BudgetStatus, NewBudget, Percent};
use crate::{fiscal_year, fund, ledger, message};

#[tonic::async_trait]
impl BudgetService for Budgeting {
    async fn create_fiscal_year(
        &self,
        request: Request<pb::CreateFiscalYearRequest>,
    ) -> Result<Response<pb::CreateFiscalYearResponse>, Status> {
        let change = self.change(&request, &request.get_ref().request_id)?;
        let new = structure::new_fiscal_year(&request.get_ref().fiscal_year)?;
        let year = fiscal_year::create(&self.database, &new, &change).await?;
        Ok(Response::new(pb::CreateFiscalYearResponse {
            fiscal_year: Some(structure::fiscal_year(year)),
        }))
    }

    async fn list_fiscal_years(
        &self,
        request: Request<pb::ListFiscalYearsRequest>,
    ) -> Result<Response<pb::ListFiscalYearsResponse>, Status> {
        let pb::ListFiscalYearsRequest {
            page_size,
            page_token,
        } = request.into_inner();
        let query = pb::ListFiscalYearsRequest::default();
        let page = page::<Date>(page_size, &page_token, &query)?;
        let mut years = fiscal_year::list(&self.database, page.after, page.limit()).await?;
        let next_page_token = page.cut(&mut years, |year| year.first_date);
        Ok(Response::new(pb::ListFiscalYearsResponse {
            fiscal_years: years.into_iter().map(structure::fiscal_year).collect(),
            next_page_token,
        }))
    }

    async fn create_ledger(
        &self,
        request: Request<pb::CreateLedgerRequest>,
    ) -> Result<Response<pb::CreateLedgerResponse>, Status> {
        let change = self.change(&request, &request.get_ref().request_id)?;
        let new = structure::new_ledger(&request.get_ref().ledger)?;
        let ledger = ledger::create(&self.database, &new, &change).await?;
        Ok(Response::new(pb::CreateLedgerResponse {
            ledger: Some(structure::ledger(ledger)),
        }))
    }

    async fn list_ledgers(
        &self,
        request: Request<pb::ListLedgersRequest>,
    ) -> Result<Response<pb::ListLedgersResponse>, Status> {
        let pb::ListLedgersRequest {
            page_size,
            page_token,
        } = request.into_inner();
        let query = pb::ListLedgersRequest::default();
        let page = page::<String>(page_size, &page_token, &query)?;
        let after = page.after.as_deref();
        let mut ledgers = ledger::list(&self.database, after, page.limit()).await?;
        let next_page_token = page.cut(&mut ledgers, |ledger| ledger.code.clone());
        Ok(Response::new(pb::ListLedgersResponse {
            ledgers: ledgers.into_iter().map(structure::ledger).collect(),
            next_page_token,
        }))
    }

    async fn create_fund(
        &self,
        request: Request<pb::CreateFundRequest>,
    ) -> Result<Response<pb::CreateFundResponse>, Status> {
        let change = self.change(&request, &request.get_ref().request_id)?;
        let new = structure::new_fund(&request.get_ref().fund)?;
        let fund = fund::create(&self.database, &new, &change).await?;
        Ok(Response::new(pb::CreateFundResponse {
            fund: Some(structure::fund(fund)),
        }))
    }

    async fn list_funds(
        &self,
        request: Request<pb::ListFundsRequest>,
    ) -> Result<Response<pb::ListFundsResponse>, Status> {
        let mut query = request.into_inner();
        let page_size = std::mem::take(&mut query.page_size);
        let page_token = std::mem::take(&mut query.page_token);
        let page = page::<String>(page_size, &page_token, &query)?;
        let ledger_id = wire::optional_id("ledger_id", &query.ledger_id)?;
        let after = page.after.as_deref();
        let mut funds = fund::list(&self.database, ledger_id, after, page.limit()).await?;
        let next_page_token = page.cut(&mut funds, |fund| fund.code.clone());
        Ok(Response::new(pb::ListFundsResponse {
            funds: funds.into_iter().map(structure::fund).collect(),
            next_page_token,
        }))
    }

    async fn create_budget(
        &self,
        request: Request<pb::CreateBudgetRequest>,
    ) -> Result<Response<pb::CreateBudgetResponse>, Status> {
        let change = self.change(&request, &request.get_ref().request_id)?;
        let new = new_budget(&request.get_ref().budget)?;
        let budget = budget::create(&self.database, &new, &change).await?;
        self.wake.committed();
        Ok(Response::new(pb::CreateBudgetResponse {
            budget: Some(message::budget(&budget)?),
        }))
    }

    async fn get_budget(
        &self,
        request: Request<pb::GetBudgetRequest>,
    ) -> Result<Response<pb::GetBudgetResponse>, Status> {
        let id = wire::id("id", &request.get_ref().id)?;
        let budget = budget::read(&self.database, id).await?;
        Ok(Response::new(pb::GetBudgetResponse {
            budget: Some(message::budget(&budget)?),
        }))
    }

    async fn list_budgets(
        &self,
        request: Request<pb::ListBudgetsRequest>,
    ) -> Result<Response<pb::ListBudgetsResponse>, Status> {
        let mut query = request.into_inner();
        let page_size = std::mem::take(&mut query.page_size);
        let page_token = std::mem::take(&mut query.page_token);
        let page = page::<After>(page_size, &page_token, &query)?;
        let year = wire::optional_id("fiscal_year_id", &query.fiscal_year_id)?;
        let after = page.after.as_ref();
        let mut budgets = budget::list(&self.database, year, after, page.limit()).await?;
        let next_page_token = page.cut(&mut budgets, |(budget, fund_code)| After {
            fund_code: fund_code.clone(),
            id: budget.id,
        });
        let budgets: Result<_, _> = budgets
            .iter()
            .map(|(row, _)| message::budget(row))
            .collect();
        Ok(Response::new(pb::ListBudgetsResponse {
            budgets: budgets?,
            next_page_token,
        }))
    }

    async fn allocate(
        &self,
        request: Request<pb::AllocateRequest>,
    ) -> Result<Response<pb::AllocateResponse>, Status> {
        let change = self.change(&request, &request.get_ref().request_id)?;
        let asked = request.into_inner();
        let budget_id = wire::id("budget_id", &asked.budget_id)?;
        let amount = amount(&asked.amount)?;
        let comment = wire::text("comment", &asked.comment, 0, 500)?;
        let budget = budget::allocate(&self.database, budget_id, amount, comment, &change).await?;
        self.wake.committed();
        Ok(Response::new(pb::AllocateResponse {
            budget: Some(message::budget(&budget)?),
        }))
    }
}

fn new_budget(budget: &Option<pb::Budget>) -> Result<NewBudget, Refusal> {
    let budget = wire::required("budget", budget)?;
    let encumbrance = budget.allowable_encumbrance_percent;
    let expenditure = budget.allowable_expenditure_percent;
    Ok(NewBudget {
        id: carrel_ids::new_id(),
        fund_id: wire::id("budget.fund_id", &budget.fund_id)?,
        fiscal_year_id: wire::id("budget.fiscal_year_id", &budget.fiscal_year_id)?,
        status: new_status(budget.status)?,
        allowable_encumbrance: percent("budget.allowable_encumbrance_percent", encumbrance)?,
        allowable_expenditure: percent("budget.allowable_expenditure_percent", expenditure)?,
    })
}

fn new_status(status: i32) -> Result<BudgetStatus, Refusal> {
    match pb::BudgetStatus::try_from(status) {
        Ok(pb::BudgetStatus::Unspecified | pb::BudgetStatus::Active) => Ok(BudgetStatus::Active),
        Ok(pb::BudgetStatus::Frozen) => Ok(BudgetStatus::Frozen),
        Ok(pb::BudgetStatus::Inactive) => Ok(BudgetStatus::Inactive),
        Ok(pb::BudgetStatus::Planned) => Ok(BudgetStatus::Planned),
        Ok(pb::BudgetStatus::Closed) => Ok(BudgetStatus::Closed),
        Err(_) => Err(Refusal::field(
            "budget.status",
            "BUDGET_STATUS_UNKNOWN",
            "is not a status that this version knows",
        )),
    }
}

fn percent(field: &str, percent: Option<i32>) -> Result<Percent, Refusal> {
    percent.map_or(Ok(Percent::HUNDRED), |percent| {
        Percent::new(percent)
            .ok_or_else(|| Refusal::field(field, "PERCENT_OUT_OF_RANGE", "must be 0 to 1,000"))
    })
}
