//! `carrel.patrons.v1.ManualBlockService`.

use carrel_proto::patrons::v1 as wire;
use carrel_proto::patrons::v1::manual_block_service_server::ManualBlockService;
use carrel_runtime::wire::{date, id, required, to_date, to_timestamp};
use carrel_runtime::{Call, page};
use tonic::{Request, Response, Status};

use crate::block::{self, ManualBlock, NewBlock};
use crate::patron::{Fault, text};
use crate::{Error, Patrons};

pub(super) struct ManualBlockRpcs(pub(super) Patrons);

fn decode(block: &wire::ManualBlock) -> Result<NewBlock, Status> {
    let kept = |field: &str, value: &str, least, most| -> Result<String, Status> {
        // A note may have several lines.
        let lines = value.replace(['\n', '\t'], " ");
        text(&lines, least, most)
            .map_err(|fault: Fault| Error::field(format!("manual_block.{field}"), fault))?;
        Ok(value.to_owned())
    };
    let expiration_date = match &block.expiration_date {
        Some(value) => Some(date("manual_block.expiration_date", value)?),
        None => None,
    };
    Ok(NewBlock {
        patron_id: id("manual_block.patron_id", &block.patron_id)?,
        patron_message: kept("patron_message", &block.patron_message, 1, 500)?,
        staff_note: kept("staff_note", &block.staff_note, 0, 2_000)?,
        blocks_borrowing: block.blocks_borrowing,
        blocks_renewals: block.blocks_renewals,
        blocks_requests: block.blocks_requests,
        expiration_date,
    })
}

fn encode(block: ManualBlock) -> wire::ManualBlock {
    wire::ManualBlock {
        id: block.id.to_string(),
        patron_id: block.patron_id.to_string(),
        patron_message: block.patron_message,
        staff_note: block.staff_note,
        blocks_borrowing: block.blocks_borrowing,
        blocks_renewals: block.blocks_renewals,
        blocks_requests: block.blocks_requests,
        expiration_date: block.expiration_date.map(to_date),
        created_at: Some(to_timestamp(block.created_at)),
        created_by: block.created_by,
        lifted_at: block.lifted_at.map(to_timestamp),
    }
}

#[tonic::async_trait]
impl ManualBlockService for ManualBlockRpcs {
    async fn create_manual_block(
        &self,
        request: Request<wire::CreateManualBlockRequest>,
    ) -> Result<Response<wire::CreateManualBlockResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let new = decode(required("manual_block", &request.manual_block)?)?;
        let block = block::create(&self.0, &call, &key, &new).await?;
        Ok(Response::new(wire::CreateManualBlockResponse {
            manual_block: Some(encode(block)),
        }))
    }

    async fn list_manual_blocks(
        &self,
        request: Request<wire::ListManualBlocksRequest>,
    ) -> Result<Response<wire::ListManualBlocksResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let patron_id = id("patron_id", &request.patron_id)?;
        let query = wire::ListManualBlocksRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page = page(request.page_size, &request.page_token, &query, 50, 1_000)?;
        let (blocks, next_page_token) =
            block::list(&self.0, &call, patron_id, request.include_ended, &page).await?;
        Ok(Response::new(wire::ListManualBlocksResponse {
            manual_blocks: blocks.into_iter().map(encode).collect(),
            next_page_token,
        }))
    }

    async fn lift_manual_block(
        &self,
        request: Request<wire::LiftManualBlockRequest>,
    ) -> Result<Response<wire::LiftManualBlockResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let block = block::lift(&self.0, &call, &key, id("id", &request.id)?).await?;
        Ok(Response::new(wire::LiftManualBlockResponse {
            manual_block: Some(encode(block)),
        }))
    }
}
