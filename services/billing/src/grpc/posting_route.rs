//! `PostingRouteService`.

use carrel_proto::billing::v1 as pb;
use carrel_proto::billing::v1::posting_route_service_server::PostingRouteService;
use carrel_runtime::{Call, Page, page, wire};
use jiff::civil::Date;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Rpcs, kind};
use crate::route::model::{Period, Route};
use crate::{message, route};

/// The longest id of the student-information system.
const LONGEST_SIS_ID: usize = 100;

#[tonic::async_trait]
impl PostingRouteService for Rpcs {
    async fn create_posting_route(
        &self,
        request: Request<pb::CreatePostingRouteRequest>,
    ) -> Result<Response<pb::CreatePostingRouteResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let wanted = wire::required("posting_route", &request.posting_route)?;
        if !wanted.institution_code.is_empty() {
            wire::code("posting_route.institution_code", &wanted.institution_code)?;
        }
        let route = Route {
            id: Uuid::nil(),
            institution_code: wanted.institution_code.clone(),
            kind: kind("posting_route.kind", wanted.kind)?,
            funding_destination_id: wire::text(
                "posting_route.funding_destination_id",
                &wanted.funding_destination_id,
                1,
                LONGEST_SIS_ID,
            )?
            .to_owned(),
        };
        let route = route::create_route(&self.billing, &key, route).await?;
        Ok(Response::new(pb::CreatePostingRouteResponse {
            posting_route: Some(message::route(&route)),
        }))
    }

    async fn list_posting_routes(
        &self,
        request: Request<pb::ListPostingRoutesRequest>,
    ) -> Result<Response<pb::ListPostingRoutesResponse>, Status> {
        let request = request.into_inner();
        let query = pb::ListPostingRoutesRequest::default();
        let page: Page<Uuid> = page(request.page_size, &request.page_token, &query, 100, 1_000)?;
        let mut connection = self.connection().await?;
        let mut routes =
            route::store::list_routes(&mut connection, page.after, page.limit()).await?;
        let next_page_token = page.cut(&mut routes, |route| route.id);
        Ok(Response::new(pb::ListPostingRoutesResponse {
            posting_routes: routes.iter().map(message::route).collect(),
            next_page_token,
        }))
    }

    async fn create_academic_period(
        &self,
        request: Request<pb::CreateAcademicPeriodRequest>,
    ) -> Result<Response<pb::CreateAcademicPeriodResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let wanted = wire::required("academic_period", &request.academic_period)?;
        let date = |field: &str, value| wire::date(field, wire::required(field, value)?);
        let period = Period {
            id: wire::text("academic_period.id", &wanted.id, 1, LONGEST_SIS_ID)?.to_owned(),
            code: wire::text("academic_period.code", &wanted.code, 1, 40)?.to_owned(),
            first_date: date("academic_period.first_date", &wanted.first_date)?,
            last_date: date("academic_period.last_date", &wanted.last_date)?,
        };
        let period = route::create_period(&self.billing, &key, period).await?;
        Ok(Response::new(pb::CreateAcademicPeriodResponse {
            academic_period: Some(message::period(&period)),
        }))
    }

    async fn list_academic_periods(
        &self,
        request: Request<pb::ListAcademicPeriodsRequest>,
    ) -> Result<Response<pb::ListAcademicPeriodsResponse>, Status> {
        let request = request.into_inner();
        let query = pb::ListAcademicPeriodsRequest::default();
        let page: Page<Date> = page(request.page_size, &request.page_token, &query, 100, 1_000)?;
        let mut connection = self.connection().await?;
        let mut periods =
            route::store::list_periods(&mut connection, page.after, page.limit()).await?;
        let next_page_token = page.cut(&mut periods, |period| period.first_date);
        Ok(Response::new(pb::ListAcademicPeriodsResponse {
            academic_periods: periods.iter().map(message::period).collect(),
            next_page_token,
        }))
    }
}
