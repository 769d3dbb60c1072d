//! `FeeFineService`.

use carrel_proto::billing::v1 as pb;
use carrel_proto::billing::v1::fee_fine_service_server::FeeFineService;
use carrel_runtime::{Call, Page, Refusal, page, wire};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Rpcs, kind};
use crate::fee_fine::model::{FeeFineType, Owner};
use crate::{columns, fee_fine, message};

const MOST_LIBRARIES: usize = 100;

#[tonic::async_trait]
impl FeeFineService for Rpcs {
    async fn create_fee_fine_owner(
        &self,
        request: Request<pb::CreateFeeFineOwnerRequest>,
    ) -> Result<Response<pb::CreateFeeFineOwnerResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let wanted = wire::required("fee_fine_owner", &request.fee_fine_owner)?;
        let owner = fee_fine::create_owner(&self.billing, &key, owner(wanted)?).await?;
        Ok(Response::new(pb::CreateFeeFineOwnerResponse {
            fee_fine_owner: Some(message::owner(&owner)),
        }))
    }

    async fn list_fee_fine_owners(
        &self,
        request: Request<pb::ListFeeFineOwnersRequest>,
    ) -> Result<Response<pb::ListFeeFineOwnersResponse>, Status> {
        let request = request.into_inner();
        let query = pb::ListFeeFineOwnersRequest::default();
        let page: Page<String> = page(request.page_size, &request.page_token, &query, 100, 1_000)?;
        let mut connection = self.connection().await?;
        let mut owners =
            fee_fine::store::list_owners(&mut connection, page.after.as_deref(), page.limit())
                .await?;
        let next_page_token = page.cut(&mut owners, |owner| owner.code.clone());
        Ok(Response::new(pb::ListFeeFineOwnersResponse {
            fee_fine_owners: owners.iter().map(message::owner).collect(),
            next_page_token,
        }))
    }

    async fn create_fee_fine_type(
        &self,
        request: Request<pb::CreateFeeFineTypeRequest>,
    ) -> Result<Response<pb::CreateFeeFineTypeResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let wanted = wire::required("fee_fine_type", &request.fee_fine_type)?;
        let fee_fine_type = FeeFineType {
            id: Uuid::nil(),
            code: wire::code("fee_fine_type.code", &wanted.code)?.to_owned(),
            kind: kind("fee_fine_type.kind", wanted.kind)?,
            statement_text: wanted.statement_text.clone(),
            default_amount: wanted
                .default_amount
                .as_ref()
                .map(|value| wire::money("fee_fine_type.default_amount", value))
                .transpose()?,
        };
        let fee_fine_type = fee_fine::create_type(&self.billing, &key, fee_fine_type).await?;
        Ok(Response::new(pb::CreateFeeFineTypeResponse {
            fee_fine_type: Some(message::fee_fine_type(&fee_fine_type)),
        }))
    }

    async fn list_fee_fine_types(
        &self,
        request: Request<pb::ListFeeFineTypesRequest>,
    ) -> Result<Response<pb::ListFeeFineTypesResponse>, Status> {
        let request = request.into_inner();
        let query = pb::ListFeeFineTypesRequest::default();
        let page: Page<String> = page(request.page_size, &request.page_token, &query, 100, 1_000)?;
        let mut connection = self.connection().await?;
        let mut types =
            fee_fine::store::list_types(&mut connection, page.after.as_deref(), page.limit())
                .await?;
        let next_page_token = page.cut(&mut types, |fee_fine_type| fee_fine_type.code.clone());
        Ok(Response::new(pb::ListFeeFineTypesResponse {
            fee_fine_types: types.iter().map(message::fee_fine_type).collect(),
            next_page_token,
        }))
    }
}

fn owner(wanted: &pb::FeeFineOwner) -> Result<Owner, Refusal> {
    if wanted.library_codes.len() > MOST_LIBRARIES {
        return Err(Refusal::field(
            "fee_fine_owner.library_codes",
            "LIST_TOO_LONG",
            format!("must have at most {MOST_LIBRARIES}"),
        ));
    }
    let mut library_codes = Vec::with_capacity(wanted.library_codes.len());
    for library_code in &wanted.library_codes {
        library_codes.push(wire::code("fee_fine_owner.library_codes", library_code)?.to_owned());
    }
    library_codes.sort();
    library_codes.dedup();
    if !wanted.institution_code.is_empty() {
        wire::code("fee_fine_owner.institution_code", &wanted.institution_code)?;
    }
    Ok(Owner {
        id: Uuid::nil(),
        code: wire::code("fee_fine_owner.code", &wanted.code)?.to_owned(),
        name: wire::text("fee_fine_owner.name", &wanted.name, 1, 200)?.to_owned(),
        institution_code: columns::code(&wanted.institution_code),
        library_codes,
    })
}
