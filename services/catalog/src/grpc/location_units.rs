//! LocationUnitService.

use carrel_proto::catalog::v1::location_unit_service_server::LocationUnitService;
use carrel_proto::catalog::v1::{
    CreateLocationUnitRequest, CreateLocationUnitResponse, GetLocationUnitRequest,
    GetLocationUnitResponse, ListLocationUnitsRequest, ListLocationUnitsResponse, LocationUnitKind,
    UpdateLocationUnitRequest, UpdateLocationUnitResponse,
};
use carrel_runtime::{Call, Page, Refusal, page, wire};
use tonic::{Request, Response, Status};

use super::{DEFAULT_PAGE, LARGEST_PAGE};
use crate::Catalog;
use crate::error::Error;
use crate::location_unit::{self, Level, NewLocationUnit};

/// Serves `LocationUnitService`.
pub(crate) struct LocationUnits(pub(crate) Catalog);

fn level(field: &str, kind: i32) -> Result<Level, Refusal> {
    match LocationUnitKind::try_from(kind) {
        Ok(LocationUnitKind::Institution) => Ok(Level::Institution),
        Ok(LocationUnitKind::Campus) => Ok(Level::Campus),
        Ok(LocationUnitKind::Library) => Ok(Level::Library),
        Ok(LocationUnitKind::Location) => Ok(Level::Location),
        Ok(LocationUnitKind::Unspecified) | Err(_) => Err(Refusal::field(
            field,
            "LOCATION_UNIT_KIND_UNKNOWN",
            "is needed, one of the four",
        )),
    }
}

#[tonic::async_trait]
impl LocationUnitService for LocationUnits {
    async fn create_location_unit(
        &self,
        request: Request<CreateLocationUnitRequest>,
    ) -> Result<Response<CreateLocationUnitResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let unit = wire::required("location_unit", &request.location_unit)?;
        let new = NewLocationUnit {
            level: level("location_unit.kind", unit.kind)?,
            parent_id: wire::optional_id("location_unit.parent_id", &unit.parent_id)?,
            code: wire::code("location_unit.code", &unit.code)?.to_owned(),
            name: wire::text("location_unit.name", &unit.name, 1, 200)?.to_owned(),
        };
        let unit = location_unit::create(&self.0, &key, call.trace_parent.as_deref(), &new).await?;
        Ok(Response::new(CreateLocationUnitResponse {
            location_unit: Some(unit.to_wire()),
        }))
    }

    async fn get_location_unit(
        &self,
        request: Request<GetLocationUnitRequest>,
    ) -> Result<Response<GetLocationUnitResponse>, Status> {
        let id = wire::id("id", &request.into_inner().id)?;
        let unit = location_unit::get(&self.0, id).await?;
        Ok(Response::new(GetLocationUnitResponse {
            location_unit: Some(unit.to_wire()),
        }))
    }

    async fn list_location_units(
        &self,
        request: Request<ListLocationUnitsRequest>,
    ) -> Result<Response<ListLocationUnitsResponse>, Status> {
        let request = request.into_inner();
        let query = ListLocationUnitsRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page: Page<(i16, String)> = page(
            request.page_size,
            &request.page_token,
            &query,
            DEFAULT_PAGE,
            LARGEST_PAGE,
        )?;
        let any_kind = request.kind == i32::from(LocationUnitKind::Unspecified);
        let level = if any_kind {
            None
        } else {
            Some(level("kind", request.kind)?.number())
        };
        let parent_id = wire::optional_id("parent_id", &request.parent_id)?;
        let pool = self.0.database.pool();
        let mut units =
            location_unit::store::list(pool, level, parent_id, page.after.clone(), page.limit())
                .await
                .map_err(Error::from)?;
        let next_page_token = page.cut(&mut units, |unit| (unit.level, unit.code.clone()));
        Ok(Response::new(ListLocationUnitsResponse {
            location_units: units
                .iter()
                .map(location_unit::LocationUnit::to_wire)
                .collect(),
            next_page_token,
        }))
    }

    async fn update_location_unit(
        &self,
        request: Request<UpdateLocationUnitRequest>,
    ) -> Result<Response<UpdateLocationUnitResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let unit = wire::required("location_unit", &request.location_unit)?;
        let id = wire::id("location_unit.id", &unit.id)?;
        let name = wire::text("location_unit.name", &unit.name, 1, 200)?;
        let trace_parent = call.trace_parent.as_deref();
        let unit = location_unit::rename(&self.0, &key, trace_parent, id, &unit.etag, name).await?;
        Ok(Response::new(UpdateLocationUnitResponse {
            location_unit: Some(unit.to_wire()),
        }))
    }
}
