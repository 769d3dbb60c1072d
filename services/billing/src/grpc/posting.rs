//! `PostingService`.

use carrel_proto::billing::v1 as pb;
use carrel_proto::billing::v1::posting_service_server::PostingService;
use carrel_runtime::{Call, Page, page, wire};
use jiff::Timestamp;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Rpcs, actor, unknown_value};
use crate::message;
use crate::posting::model::PostingState;
use crate::posting::work::{self, Finding};
use crate::posting::{self, reconciliation};

#[tonic::async_trait]
impl PostingService for Rpcs {
    async fn list_postings(
        &self,
        request: Request<pb::ListPostingsRequest>,
    ) -> Result<Response<pb::ListPostingsResponse>, Status> {
        let request = request.into_inner();
        let query = pb::ListPostingsRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page: Page<(Timestamp, Uuid)> =
            page(request.page_size, &request.page_token, &query, 50, 1_000)?;
        let account_id = wire::optional_id("account_id", &request.account_id)?;
        let state = state(request.state)?;
        let mut connection = self.connection().await?;
        let mut postings = posting::store::list_postings(
            &mut connection,
            state,
            account_id,
            page.after,
            page.limit(),
        )
        .await?;
        let next_page_token = page.cut(&mut postings, |posting| (posting.created_at, posting.id));
        Ok(Response::new(pb::ListPostingsResponse {
            postings: postings
                .iter()
                .map(|posting| message::posting(posting, &[]))
                .collect(),
            next_page_token,
        }))
    }

    async fn get_posting(
        &self,
        request: Request<pb::GetPostingRequest>,
    ) -> Result<Response<pb::GetPostingResponse>, Status> {
        let id = wire::id("id", &request.get_ref().id)?;
        let (posting, attempts) = posting::get(&self.billing, id).await?;
        Ok(Response::new(pb::GetPostingResponse {
            posting: Some(message::posting(&posting, &attempts)),
        }))
    }

    async fn run_postings(
        &self,
        request: Request<pb::RunPostingsRequest>,
    ) -> Result<Response<pb::RunPostingsResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let run = posting::run_for(&self.billing, &key).await?;
        Ok(Response::new(pb::RunPostingsResponse {
            created_count: run.created,
            acknowledged_count: run.acknowledged,
            rejected_count: run.rejected,
            unknown_count: run.unknown,
            unrouted_count: run.unrouted,
            settled_count: run.settled,
            batched_count: run.batched,
        }))
    }

    async fn retry_posting(
        &self,
        request: Request<pb::RetryPostingRequest>,
    ) -> Result<Response<pb::RetryPostingResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let id = wire::id("id", &request.id)?;
        let posting = posting::retry(&self.billing, &key, &actor(&call), id).await?;
        Ok(Response::new(pb::RetryPostingResponse {
            posting: Some(message::posting(&posting, &[])),
        }))
    }

    async fn list_posting_work(
        &self,
        request: Request<pb::ListPostingWorkRequest>,
    ) -> Result<Response<pb::ListPostingWorkResponse>, Status> {
        let request = request.into_inner();
        let query = pb::ListPostingWorkRequest::default();
        let page: Page<(Timestamp, Uuid)> =
            page(request.page_size, &request.page_token, &query, 50, 1_000)?;
        let mut postings = work::list(&self.billing, page.after, page.limit()).await?;
        let next_page_token = page.cut(&mut postings, |posting| (posting.updated_at, posting.id));
        Ok(Response::new(pb::ListPostingWorkResponse {
            postings: postings
                .iter()
                .map(|posting| message::posting(posting, &[]))
                .collect(),
            next_page_token,
        }))
    }

    async fn resolve_unknown_posting(
        &self,
        request: Request<pb::ResolveUnknownPostingRequest>,
    ) -> Result<Response<pb::ResolveUnknownPostingResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let id = wire::id("id", &request.id)?;
        let sis_charge_id = wire::text("sis_charge_id", &request.sis_charge_id, 0, 200)?;
        let finding = match pb::PostingFinding::try_from(request.finding) {
            Ok(pb::PostingFinding::Found) => Finding::Found(sis_charge_id.to_owned()),
            Ok(pb::PostingFinding::NotFound) => Finding::NotFound,
            Ok(pb::PostingFinding::Unspecified) | Err(_) => {
                return Err(unknown_value("finding").into());
            }
        };
        let evidence = wire::text("evidence", &request.evidence, 1, 500)?;
        let actor = actor(&call);
        let posting =
            work::resolve_unknown(&self.billing, &key, &actor, id, &finding, evidence).await?;
        Ok(Response::new(pb::ResolveUnknownPostingResponse {
            posting: Some(message::posting(&posting, &[])),
        }))
    }

    async fn return_posting_to_library(
        &self,
        request: Request<pb::ReturnPostingToLibraryRequest>,
    ) -> Result<Response<pb::ReturnPostingToLibraryResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let id = wire::id("id", &request.id)?;
        let comment = wire::text("comment", &request.comment, 1, 500)?;
        let posting =
            work::return_to_library(&self.billing, &key, &actor(&call), id, comment).await?;
        Ok(Response::new(pb::ReturnPostingToLibraryResponse {
            posting: Some(message::posting(&posting, &[])),
        }))
    }

    async fn lift_posting_hold(
        &self,
        request: Request<pb::LiftPostingHoldRequest>,
    ) -> Result<Response<pb::LiftPostingHoldResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let account_id = wire::id("account_id", &request.account_id)?;
        work::lift_hold(&self.billing, &key, account_id).await?;
        Ok(Response::new(pb::LiftPostingHoldResponse {}))
    }

    async fn reconcile(
        &self,
        _request: Request<pb::ReconcileRequest>,
    ) -> Result<Response<pb::ReconcileResponse>, Status> {
        let reconciliation = reconciliation::reconcile(&self.billing).await?;
        Ok(Response::new(message::reconciliation(&reconciliation)))
    }
}

fn state(value: i32) -> Result<Option<PostingState>, Status> {
    match pb::PostingState::try_from(value) {
        Ok(pb::PostingState::Unspecified) => Ok(None),
        Ok(pb::PostingState::Pending) => Ok(Some(PostingState::Pending)),
        Ok(pb::PostingState::Submitted) => Ok(Some(PostingState::Submitted)),
        Ok(pb::PostingState::Acknowledged) => Ok(Some(PostingState::Acknowledged)),
        Ok(pb::PostingState::Rejected) => Ok(Some(PostingState::Rejected)),
        Ok(pb::PostingState::Unknown) => Ok(Some(PostingState::Unknown)),
        Ok(pb::PostingState::Settled) => Ok(Some(PostingState::Settled)),
        Ok(pb::PostingState::Unrouted) => Ok(Some(PostingState::Unrouted)),
        Ok(pb::PostingState::Cancelled) => Ok(Some(PostingState::Cancelled)),
        Err(_) => Err(unknown_value("state").into()),
    }
}
