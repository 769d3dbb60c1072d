//! `DisputeService`.

use carrel_proto::billing::v1 as pb;
use carrel_proto::billing::v1::dispute_service_server::DisputeService;
use carrel_runtime::{Call, Page, Refusal, page, wire};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{LONGEST_COMMENT, Rpcs, actor, optional_amount};
use crate::dispute::{self, Outcome};
use crate::message;

#[tonic::async_trait]
impl DisputeService for Rpcs {
    async fn open_dispute(
        &self,
        request: Request<pb::OpenDisputeRequest>,
    ) -> Result<Response<pb::OpenDisputeResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let account_id = wire::id("account_id", &request.account_id)?;
        let reason = wire::text("reason", &request.reason, 1, LONGEST_COMMENT)?;
        let (dispute, account) =
            dispute::open(&self.billing, &key, &actor(&call), account_id, reason).await?;
        Ok(Response::new(pb::OpenDisputeResponse {
            dispute: Some(message::dispute(&dispute)),
            account: Some(message::account(&account, &[])),
        }))
    }

    async fn decide_dispute(
        &self,
        request: Request<pb::DecideDisputeRequest>,
    ) -> Result<Response<pb::DecideDisputeResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let id = wire::id("id", &request.id)?;
        let outcome = match pb::DisputeOutcome::try_from(request.outcome) {
            Ok(pb::DisputeOutcome::Upheld) => Outcome::Upheld,
            Ok(pb::DisputeOutcome::Denied) => Outcome::Denied,
            Ok(pb::DisputeOutcome::Unspecified) | Err(_) => {
                return Err(Refusal::field("outcome", "OUTCOME_MISSING", "is needed").into());
            }
        };
        let credit = optional_amount("credit", &request.credit)?;
        let comment = wire::text("comment", &request.comment, 1, LONGEST_COMMENT)?;
        let actor = actor(&call);
        let (dispute, account) =
            dispute::decide(&self.billing, &key, &actor, id, outcome, credit, comment).await?;
        Ok(Response::new(pb::DecideDisputeResponse {
            dispute: Some(message::dispute(&dispute)),
            account: Some(message::account(&account, &[])),
        }))
    }

    async fn list_disputes(
        &self,
        request: Request<pb::ListDisputesRequest>,
    ) -> Result<Response<pb::ListDisputesResponse>, Status> {
        let request = request.into_inner();
        let query = pb::ListDisputesRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page: Page<Uuid> = page(request.page_size, &request.page_token, &query, 50, 1_000)?;
        let account_id = wire::optional_id("account_id", &request.account_id)?;
        let mut connection = self.connection().await?;
        let mut disputes = dispute::store::list(
            &mut connection,
            account_id,
            request.only_open,
            page.after,
            page.limit(),
        )
        .await?;
        let next_page_token = page.cut(&mut disputes, |dispute| dispute.id);
        Ok(Response::new(pb::ListDisputesResponse {
            disputes: disputes.iter().map(message::dispute).collect(),
            next_page_token,
        }))
    }
}
