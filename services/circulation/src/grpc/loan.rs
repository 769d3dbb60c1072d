//! `carrel.circulation.v1.LoanService`.

use carrel_proto::circulation::v1::loan_service_server::LoanService;
use carrel_proto::circulation::v1::{
    Block, CheckInRequest, CheckInResponse, CheckOutRequest, CheckOutResponse, CirculationItem,
    ClaimedReturnedResolution, GetLoanRequest, GetLoanResponse, ListItemAvailabilitiesRequest,
    ListItemAvailabilitiesResponse, ListLoansRequest, ListLoansResponse, Override as WireOverride,
    ProjectionAge, RenewRequest, RenewResponse, RunAgeingRequest, RunAgeingResponse, renew_request,
};
use carrel_runtime::{Call, Refusal, page, wire};
use jiff::Timestamp;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{LARGEST_PAGE, PAGE, unspecified};
use crate::error::Error;
use crate::loan::block::{OverriddenBlock, Override};
use crate::loan::{self, CheckIn, CheckOut, Renew};
use crate::{Circulation, ageing, equipment};

/// The default size of a page of loans.
const LOAN_PAGE: i32 = 50;
/// Reasons that one override may name: more than there are.
const MOST_REASONS: usize = 20;

/// Serves loans.
#[derive(Debug, Clone)]
pub struct LoanRpcs(pub Circulation);

#[tonic::async_trait]
impl LoanService for LoanRpcs {
    async fn check_out(
        &self,
        request: Request<CheckOutRequest>,
    ) -> Result<Response<CheckOutResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let asked = CheckOut {
            item_barcode: wire::barcode("item_barcode", &request.item_barcode)?.to_owned(),
            patron_barcode: wire::barcode("patron_barcode", &request.patron_barcode)?.to_owned(),
            service_point_id: wire::id("service_point_id", &request.service_point_id)?,
            occurred_at: occurred_at(request.occurred_at.as_ref())?,
            overriding: overriding(request.r#override)?,
            accepted_agreement: wire::text(
                "accepted_agreement",
                &request.accepted_agreement,
                0,
                80,
            )?
            .to_owned(),
            proxy_barcode: proxy_barcode("proxy_barcode", &request.proxy_barcode)?,
        };
        let lent = loan::check_out(&self.0, &call, &key, asked).await?;
        Ok(Response::new(CheckOutResponse {
            loan: Some(lent.loan.into()),
            overridden_blocks: to_blocks(lent.overridden),
            projection_ages: projection_ages(&self.0),
        }))
    }

    async fn check_in(
        &self,
        request: Request<CheckInRequest>,
    ) -> Result<Response<CheckInResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let asked = CheckIn {
            item_barcode: wire::barcode("item_barcode", &request.item_barcode)?.to_owned(),
            service_point_id: wire::id("service_point_id", &request.service_point_id)?,
            occurred_at: occurred_at(request.occurred_at.as_ref())?,
            found_by_library: found_by_library(request.claimed_returned_resolution)?,
        };
        let taken = loan::check_in(&self.0, &call, &key, &asked).await?;
        let parts_to_check = equipment::kit_to_check(&self.0, taken.item_id).await?;
        Ok(Response::new(CheckInResponse {
            loan: taken.loan.map(Into::into),
            item_id: taken.item_id.to_string(),
            next_step: taken.next_step.into(),
            destination_library_code: taken.destination_library_code,
            in_house_use: taken.in_house_use,
            overdue_fine: taken.overdue_fine.map(Into::into),
            request_id: text(taken.request_id),
            destination_service_point_id: text(taken.destination_service_point_id),
            slip: taken.slip.map(Into::into),
            parts_to_check: parts_to_check.into_iter().map(Into::into).collect(),
        }))
    }

    async fn renew(
        &self,
        request: Request<RenewRequest>,
    ) -> Result<Response<RenewResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let (loan_id, item_barcode) = match &request.key {
            Some(renew_request::Key::LoanId(id)) => (Some(wire::id("loan_id", id)?), None),
            Some(renew_request::Key::ItemBarcode(barcode)) => (
                None,
                Some(wire::barcode("item_barcode", barcode)?.to_owned()),
            ),
            None => {
                let needed = "or item_barcode is needed";
                return Err(Refusal::field("loan_id", "FIELD_MISSING", needed).into());
            }
        };
        let asked = Renew {
            loan_id,
            item_barcode,
            service_point_id: wire::id("service_point_id", &request.service_point_id)?,
            occurred_at: None,
            overriding: overriding(request.r#override)?,
        };
        let renewed = loan::renew(&self.0, &call, &key, &asked).await?;
        Ok(Response::new(RenewResponse {
            loan: Some(renewed.loan.into()),
            overridden_blocks: to_blocks(renewed.overridden),
            overdue_fine: renewed.overdue_fine.map(Into::into),
        }))
    }

    async fn get_loan(
        &self,
        request: Request<GetLoanRequest>,
    ) -> Result<Response<GetLoanResponse>, Status> {
        let id = wire::id("id", &request.get_ref().id)?;
        let loan = loan::get(&self.0, id).await?;
        Ok(Response::new(GetLoanResponse {
            loan: Some(loan.into()),
        }))
    }

    async fn list_loans(
        &self,
        request: Request<ListLoansRequest>,
    ) -> Result<Response<ListLoansResponse>, Status> {
        let request = request.into_inner();
        let query = ListLoansRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page = page::<Uuid>(
            request.page_size,
            &request.page_token,
            &query,
            LOAN_PAGE,
            LARGEST_PAGE,
        )?;
        let patron_id = wire::optional_id("patron_id", &request.patron_id)?;
        let item_id = wire::optional_id("item_id", &request.item_id)?;
        if patron_id.is_none() && item_id.is_none() {
            let needed = "or item_id is needed";
            return Err(Refusal::field("patron_id", "FIELD_MISSING", needed).into());
        }
        let mut loans = loan::list(
            &self.0,
            patron_id,
            item_id,
            request.open_only,
            page.after,
            page.limit(),
        )
        .await?;
        let next_page_token = page.cut(&mut loans, |loan| loan.id);
        Ok(Response::new(ListLoansResponse {
            loans: loans.into_iter().map(Into::into).collect(),
            next_page_token,
        }))
    }

    async fn list_item_availabilities(
        &self,
        request: Request<ListItemAvailabilitiesRequest>,
    ) -> Result<Response<ListItemAvailabilitiesResponse>, Status> {
        let request = request.into_inner();
        let query = ListItemAvailabilitiesRequest::default();
        let page = page::<Uuid>(
            request.page_size,
            &request.page_token,
            &query,
            PAGE,
            LARGEST_PAGE,
        )?;
        let mut items = loan::list_availabilities(&self.0, page.after, page.limit()).await?;
        let next_page_token = page.cut(&mut items, |item| item.item_id);
        let items = items.into_iter().map(|item| CirculationItem {
            item_id: item.item_id.to_string(),
            status: item.status.into(),
            revision: item.revision,
        });
        Ok(Response::new(ListItemAvailabilitiesResponse {
            items: items.collect(),
            next_page_token,
        }))
    }

    async fn run_ageing(
        &self,
        request: Request<RunAgeingRequest>,
    ) -> Result<Response<RunAgeingResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let aged = ageing::run_once(&self.0, &key).await?;
        Ok(Response::new(RunAgeingResponse {
            overdue_count: aged.overdue_count,
            aged_to_lost_count: aged.aged_to_lost_count,
            lost_and_paid_count: aged.lost_and_paid_count,
            anonymised_count: aged.anonymised_count,
        }))
    }
}

fn text(id: Option<Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

fn occurred_at(at: Option<&prost_types::Timestamp>) -> Result<Option<Timestamp>, Refusal> {
    at.map(|at| wire::timestamp("occurred_at", at)).transpose()
}

fn found_by_library(resolution: i32) -> Result<bool, Refusal> {
    match ClaimedReturnedResolution::try_from(resolution) {
        Ok(resolution) => Ok(resolution == ClaimedReturnedResolution::FoundByLibrary),
        Err(_) => Err(unspecified("claimed_returned_resolution")),
    }
}

/// A proxy's barcode; empty where nobody stands for the patron.
pub(super) fn proxy_barcode(field: &str, given: &str) -> Result<String, Refusal> {
    match given {
        "" => Ok(String::new()),
        given => Ok(wire::barcode(field, given)?.to_owned()),
    }
}

pub(super) fn overriding(given: Option<WireOverride>) -> Result<Option<Override>, Error> {
    let Some(given) = given else { return Ok(None) };
    if given.comment.trim().is_empty() {
        return Err(Error::OverrideCommentMissing);
    }
    wire::text("override.comment", &given.comment, 1, 500)?;
    if given.reasons.len() > MOST_REASONS {
        let most = "must be at most 20";
        return Err(Refusal::field("override.reasons", "TOO_MANY_VALUES", most).into());
    }
    Ok(Some(Override {
        reasons: given.reasons,
        comment: given.comment,
    }))
}

pub(super) fn to_blocks(overridden: Vec<OverriddenBlock>) -> Vec<Block> {
    overridden.into_iter().map(Into::into).collect()
}

pub(super) fn projection_ages(circulation: &Circulation) -> Vec<ProjectionAge> {
    let ages = circulation.projection_ages().into_iter();
    ages.map(|(source, age)| ProjectionAge {
        source: source.to_owned(),
        age: age.and_then(|age| age.try_into().ok()),
    })
    .collect()
}
