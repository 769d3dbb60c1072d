//! `carrel.circulation.v1.PatronBlockService`.

use carrel_proto::circulation::v1::patron_block_service_server::PatronBlockService;
use carrel_proto::circulation::v1::{
    GetPatronBlocksRequest, GetPatronBlocksResponse, PatronAction,
};
use carrel_runtime::{Call, wire};
use tonic::{Request, Response, Status};

use super::loan::projection_ages;
use super::{known, unspecified};
use crate::loan::block::Action;
use crate::{Circulation, loan};

/// Says what stands against patrons.
#[derive(Debug, Clone)]
pub struct PatronBlockRpcs(pub Circulation);

#[tonic::async_trait]
impl PatronBlockService for PatronBlockRpcs {
    async fn get_patron_blocks(
        &self,
        request: Request<GetPatronBlocksRequest>,
    ) -> Result<Response<GetPatronBlocksResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let action = match known("action", request.action)? {
            PatronAction::Borrow => Action::Borrow,
            PatronAction::Renew => Action::Renew,
            PatronAction::Request => Action::Request,
            PatronAction::Unspecified => return Err(unspecified("action").into()),
        };
        let patron_id = wire::id("patron_id", &request.patron_id)?;
        let point = wire::id("service_point_id", &request.service_point_id)?;
        let blocks = loan::patron_blocks(&self.0, &call, patron_id, action, point).await?;
        Ok(Response::new(GetPatronBlocksResponse {
            blocks: blocks.into_iter().map(Into::into).collect(),
            projection_ages: projection_ages(&self.0),
        }))
    }
}
