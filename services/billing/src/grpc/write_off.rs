//! `WriteOffService`.

use carrel_proto::billing::v1 as pb;
use carrel_proto::billing::v1::write_off_service_server::WriteOffService;
use carrel_runtime::{Call, Page, page, wire};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{LONGEST_COMMENT, Rpcs, actor, optional_amount};
use crate::{message, write_off};

#[tonic::async_trait]
impl WriteOffService for Rpcs {
    async fn request_write_off(
        &self,
        request: Request<pb::RequestWriteOffRequest>,
    ) -> Result<Response<pb::RequestWriteOffResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let account_id = wire::id("account_id", &request.account_id)?;
        let amount = optional_amount("amount", &request.amount)?;
        let reason = wire::text("reason", &request.reason, 1, LONGEST_COMMENT)?;
        let actor = actor(&call);
        let (write_off, account) =
            write_off::request(&self.billing, &key, &actor, account_id, amount, reason).await?;
        Ok(Response::new(pb::RequestWriteOffResponse {
            write_off: Some(message::write_off(&write_off)),
            account: Some(message::account(&account, &[])),
        }))
    }

    async fn decide_write_off(
        &self,
        request: Request<pb::DecideWriteOffRequest>,
    ) -> Result<Response<pb::DecideWriteOffResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let id = wire::id("id", &request.id)?;
        let comment = wire::text("comment", &request.comment, 1, LONGEST_COMMENT)?;
        let actor = actor(&call);
        let is_approved = request.is_approved;
        let (write_off, account) =
            write_off::decide(&self.billing, &key, &actor, id, is_approved, comment).await?;
        Ok(Response::new(pb::DecideWriteOffResponse {
            write_off: Some(message::write_off(&write_off)),
            account: Some(message::account(&account, &[])),
        }))
    }

    async fn list_write_offs(
        &self,
        request: Request<pb::ListWriteOffsRequest>,
    ) -> Result<Response<pb::ListWriteOffsResponse>, Status> {
        let request = request.into_inner();
        let query = pb::ListWriteOffsRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page: Page<Uuid> = page(request.page_size, &request.page_token, &query, 50, 1_000)?;
        let mut connection = self.connection().await?;
        let only_waiting = request.only_waiting;
        let mut write_offs =
            write_off::store::list(&mut connection, only_waiting, page.after, page.limit()).await?;
        let next_page_token = page.cut(&mut write_offs, |write_off| write_off.id);
        Ok(Response::new(pb::ListWriteOffsResponse {
            write_offs: write_offs.iter().map(message::write_off).collect(),
            next_page_token,
        }))
    }
}
