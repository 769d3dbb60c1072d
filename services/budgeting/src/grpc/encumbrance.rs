//! EncumbranceService: money set aside and given back.

use carrel_proto::budgeting::v1 as pb;
use carrel_proto::budgeting::v1::encumbrance_service_server::EncumbranceService;
use carrel_runtime::{Refusal, wire};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Budgeting, amount, page};
use crate::encumbrance::{self, NewEncumbrance};
use crate::message;

#[tonic::async_trait]
impl EncumbranceService for Budgeting {
    async fn create_encumbrance(
        &self,
        request: Request<pb::CreateEncumbranceRequest>,
    ) -> Result<Response<pb::CreateEncumbranceResponse>, Status> {
        let change = self.change(&request, &request.get_ref().request_id)?;
        let new = new_encumbrance(request.into_inner())?;
        let (encumbrance, budget) =
            encumbrance::create(&self.database, &self.structures, &new, &change).await?;
        self.wake.committed();
        Ok(Response::new(pb::CreateEncumbranceResponse {
            encumbrance: Some(message::encumbrance(&encumbrance)),
            budget: Some(message::budget(&budget)?),
        }))
    }

    async fn release_encumbrance(
        &self,
        request: Request<pb::ReleaseEncumbranceRequest>,
    ) -> Result<Response<pb::ReleaseEncumbranceResponse>, Status> {
        let change = self.change(&request, &request.get_ref().request_id)?;
        let id = wire::id("id", &request.get_ref().id)?;
        let encumbrance = encumbrance::release(&self.database, id, &change).await?;
        self.wake.committed();
        Ok(Response::new(pb::ReleaseEncumbranceResponse {
            encumbrance: Some(message::encumbrance(&encumbrance)),
        }))
    }

    async fn get_encumbrance(
        &self,
        request: Request<pb::GetEncumbranceRequest>,
    ) -> Result<Response<pb::GetEncumbranceResponse>, Status> {
        let id = wire::id("id", &request.get_ref().id)?;
        let encumbrance = encumbrance::read(&self.database, id).await?;
        Ok(Response::new(pb::GetEncumbranceResponse {
            encumbrance: Some(message::encumbrance(&encumbrance)),
        }))
    }

    async fn list_encumbrances(
        &self,
        request: Request<pb::ListEncumbrancesRequest>,
    ) -> Result<Response<pb::ListEncumbrancesResponse>, Status> {
        let mut query = request.into_inner();
        let page_size = std::mem::take(&mut query.page_size);
        let page_token = std::mem::take(&mut query.page_token);
        let page = page::<Uuid>(page_size, &page_token, &query)?;
        let budget_id = wire::id("budget_id", &query.budget_id)?;
        let mut encumbrances =
            encumbrance::list(&self.database, budget_id, page.after, page.limit()).await?;
        let next_page_token = page.cut(&mut encumbrances, |encumbrance| encumbrance.id);
        Ok(Response::new(pb::ListEncumbrancesResponse {
            encumbrances: encumbrances.iter().map(message::encumbrance).collect(),
            next_page_token,
        }))
    }
}

fn new_encumbrance(asked: pb::CreateEncumbranceRequest) -> Result<NewEncumbrance, Refusal> {
    Ok(NewEncumbrance {
        id: carrel_ids::new_id(),
        budget_id: wire::id("budget_id", &asked.budget_id)?,
        amount: amount(&asked.amount)?,
        description: wire::text("description", &asked.description, 1, 200)?.to_owned(),
        budget_code: asked.budget_code,
    })
}
