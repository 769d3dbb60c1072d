//! `PostingBatchService`.

use carrel_proto::billing::v1 as pb;
use carrel_proto::billing::v1::posting_batch_service_server::PostingBatchService;
use carrel_runtime::{Page, page, wire};
use jiff::Timestamp;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Rpcs, unknown_value};
use crate::message;
use crate::posting::batch::{self, BatchState};

#[tonic::async_trait]
impl PostingBatchService for Rpcs {
    async fn list_posting_batches(
        &self,
        request: Request<pb::ListPostingBatchesRequest>,
    ) -> Result<Response<pb::ListPostingBatchesResponse>, Status> {
        let request = request.into_inner();
        let query = pb::ListPostingBatchesRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page: Page<(Timestamp, Uuid)> =
            page(request.page_size, &request.page_token, &query, 50, 1_000)?;
        let state = state(request.state)?;
        let mut batches = batch::list(&self.billing, state, page.after, page.limit()).await?;
        let next_page_token = page.cut(&mut batches, |batch| (batch.built_at, batch.id));
        let batches = batches.iter().map(message::posting_batch);
        Ok(Response::new(pb::ListPostingBatchesResponse {
            posting_batches: batches.collect::<Result<_, _>>()?,
            next_page_token,
        }))
    }

    async fn get_posting_batch(
        &self,
        request: Request<pb::GetPostingBatchRequest>,
    ) -> Result<Response<pb::GetPostingBatchResponse>, Status> {
        let id = wire::id("id", &request.get_ref().id)?;
        let batch = batch::get(&self.billing, id).await?;
        Ok(Response::new(pb::GetPostingBatchResponse {
            posting_batch: Some(message::posting_batch(&batch)?),
        }))
    }
}

fn state(value: i32) -> Result<Option<BatchState>, Status> {
    match pb::PostingBatchState::try_from(value) {
        Ok(pb::PostingBatchState::Unspecified) => Ok(None),
        Ok(pb::PostingBatchState::Built) => Ok(Some(BatchState::Built)),
        Ok(pb::PostingBatchState::Delivered) => Ok(Some(BatchState::Delivered)),
        Ok(pb::PostingBatchState::Acknowledged) => Ok(Some(BatchState::Acknowledged)),
        Ok(pb::PostingBatchState::PartlyRejected) => Ok(Some(BatchState::PartlyRejected)),
        Ok(pb::PostingBatchState::Refused) => Ok(Some(BatchState::Refused)),
        Err(_) => Err(unknown_value("state").into()),
    }
}
