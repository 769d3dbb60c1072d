//! `carrel.patrons.v1.PatronGroupService`.

use carrel_proto::patrons::v1 as wire;
use carrel_proto::patrons::v1::patron_group_service_server::PatronGroupService;
use carrel_runtime::wire::required;
use carrel_runtime::{Call, page};
use tonic::{Request, Response, Status};

use crate::group::{self, PatronGroup};
use crate::patron::{group_code, text};
use crate::{Error, Patrons};

pub(super) struct PatronGroupRpcs(pub(super) Patrons);

fn encode(group: PatronGroup) -> wire::PatronGroup {
    wire::PatronGroup {
        id: group.id.to_string(),
        code: group.code,
        name: group.name,
    }
}

#[tonic::async_trait]
impl PatronGroupService for PatronGroupRpcs {
    async fn create_patron_group(
        &self,
        request: Request<wire::CreatePatronGroupRequest>,
    ) -> Result<Response<wire::CreatePatronGroupResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let new = required("patron_group", &request.patron_group)?;
        let code =
            group_code(&new.code).map_err(|fault| Error::field("patron_group.code", fault))?;
        let name =
            text(&new.name, 1, 200).map_err(|fault| Error::field("patron_group.name", fault))?;
        let group = group::create(&self.0, &key, code, name).await?;
        Ok(Response::new(wire::CreatePatronGroupResponse {
            patron_group: Some(encode(group)),
        }))
    }

    async fn list_patron_groups(
        &self,
        request: Request<wire::ListPatronGroupsRequest>,
    ) -> Result<Response<wire::ListPatronGroupsResponse>, Status> {
        let request = request.into_inner();
        let query = wire::ListPatronGroupsRequest::default();
        let page = page(request.page_size, &request.page_token, &query, 100, 1_000)?;
        let (groups, next_page_token) = group::list(&self.0, &page).await?;
        Ok(Response::new(wire::ListPatronGroupsResponse {
            patron_groups: groups.into_iter().map(encode).collect(),
            next_page_token,
        }))
    }
}
