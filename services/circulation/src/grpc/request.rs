//! `carrel.circulation.v1.RequestService`.

use carrel_proto::circulation::v1::request_service_server::RequestService;
use carrel_proto::circulation::v1::{
    CancelRequestRequest, CancelRequestResponse, ChangeRequestRequest, ChangeRequestResponse,
    CreateRequestRequest, CreateRequestResponse, GetQueueRequest, GetQueueResponse,
    GetRequestRequest, GetRequestResponse, HoldShelfEntry, InTransitEntry, ListHoldShelfRequest,
    ListHoldShelfResponse, ListInTransitRequest, ListInTransitResponse, ListPickListRequest,
    ListPickListResponse, ListRequestsRequest, ListRequestsResponse, PickListEntry,
    ReorderQueueRequest, ReorderQueueResponse, RequestFulfilment, RequestLevel, RequestStatus,
    create_request_request,
};
use carrel_runtime::{Call, Refusal, page, wire};
use jiff::Timestamp;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::loan::{overriding, to_blocks};
use super::{LARGEST_PAGE, PAGE, known};
use crate::Circulation;
use crate::error::Error;
use crate::request::{
    self, Cancel, Change, Changes, CreateRequest, Patron, Queue, Reorder, Sought, Target,
};

/// The default size of a page of requests.
const REQUEST_PAGE: i32 = 50;
/// Characters of what the patron says.
const LONGEST_COMMENT: usize = 500;

/// Serves requests.
#[derive(Debug, Clone)]
pub struct RequestRpcs(pub Circulation);

#[tonic::async_trait]
impl RequestService for RequestRpcs {
    async fn create_request(
        &self,
        request: Request<CreateRequestRequest>,
    ) -> Result<Response<CreateRequestResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let created = request::create(&self.0, &call, &key, &asked(request)?).await?;
        Ok(Response::new(CreateRequestResponse {
            request: Some(created.request.into()),
            overridden_blocks: to_blocks(created.overridden),
        }))
    }

    async fn get_request(
        &self,
        request: Request<GetRequestRequest>,
    ) -> Result<Response<GetRequestResponse>, Status> {
        let id = wire::id("id", &request.get_ref().id)?;
        let request = request::get(&self.0, id).await?;
        Ok(Response::new(GetRequestResponse {
            request: Some(request.into()),
        }))
    }

    async fn list_requests(
        &self,
        request: Request<ListRequestsRequest>,
    ) -> Result<Response<ListRequestsResponse>, Status> {
        let request = request.into_inner();
        let query = ListRequestsRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page = page::<Uuid>(
            request.page_size,
            &request.page_token,
            &query,
            REQUEST_PAGE,
            LARGEST_PAGE,
        )?;
        let sought = sought(&request)?;
        let mut requests = request::list(&self.0, &sought, page.after, page.limit()).await?;
        let next_page_token = page.cut(&mut requests, |request| request.id);
        Ok(Response::new(ListRequestsResponse {
            requests: requests.into_iter().map(Into::into).collect(),
            next_page_token,
        }))
    }

    async fn get_queue(
        &self,
        request: Request<GetQueueRequest>,
    ) -> Result<Response<GetQueueResponse>, Status> {
        let record_id = wire::id("record_id", &request.get_ref().record_id)?;
        let queue = request::get_queue(&self.0, record_id).await?;
        let (requests, etag) = to_queue(queue);
        Ok(Response::new(GetQueueResponse { requests, etag }))
    }

    async fn cancel_request(
        &self,
        request: Request<CancelRequestRequest>,
    ) -> Result<Response<CancelRequestResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let asked = Cancel {
            id: wire::id("id", &request.id)?,
            reason: wire::code("reason", &request.reason)?.to_owned(),
            service_point_id: desk(&request.service_point_id)?,
        };
        let cancelled = request::cancel(&self.0, &call, &key, &asked).await?;
        Ok(Response::new(CancelRequestResponse {
            request: Some(cancelled.into()),
        }))
    }

    async fn change_request(
        &self,
        request: Request<ChangeRequestRequest>,
    ) -> Result<Response<ChangeRequestResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let revision = match request.etag.as_str() {
            "" => None,
            etag => Some(etag.parse().map_err(|_| Error::RequestChanged)?),
        };
        let asked = Change {
            id: wire::id("id", &request.id)?,
            revision,
            changes: changes(&request)?,
            service_point_id: desk(&request.service_point_id)?,
        };
        let changed = request::change(&self.0, &call, &key, &asked).await?;
        Ok(Response::new(ChangeRequestResponse {
            request: Some(changed.into()),
        }))
    }

    async fn reorder_queue(
        &self,
        request: Request<ReorderQueueRequest>,
    ) -> Result<Response<ReorderQueueResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        if request.request_ids.len() > request::MOST_IN_QUEUE {
            return Err(Error::QueueOrderMalformed.into());
        }
        let ids = request
            .request_ids
            .iter()
            .map(|id| wire::id("request_ids", id));
        let asked = Reorder {
            record_id: wire::id("record_id", &request.record_id)?,
            revision: request.etag.parse().map_err(|_| Error::QueueChanged)?,
            request_ids: ids.collect::<Result<_, _>>()?,
            service_point_id: desk(&request.service_point_id)?,
        };
        let queue = request::reorder(&self.0, &call, &key, &asked).await?;
        let (requests, etag) = to_queue(queue);
        Ok(Response::new(ReorderQueueResponse { requests, etag }))
    }

    async fn list_hold_shelf(
        &self,
        request: Request<ListHoldShelfRequest>,
    ) -> Result<Response<ListHoldShelfResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let query = ListHoldShelfRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let (size, token) = (request.page_size, &request.page_token);
        let page = page::<Uuid>(size, token, &query, PAGE, LARGEST_PAGE)?;
        let point = wire::id("service_point_id", &request.service_point_id)?;
        let (clear, after, limit) = (request.clearance_only, page.after, page.limit());
        let listed = request::list_hold_shelf(&self.0, &call, point, clear, after, limit);
        let mut entries = listed.await?;
        let next_page_token = page.cut(&mut entries, |entry| entry.item_id);
        let entries = entries.into_iter().map(|entry| HoldShelfEntry {
            item_id: entry.item_id.to_string(),
            record_id: entry.record_id.to_string(),
            request_id: entry.request_id.to_string(),
            status: entry.status.into(),
            hold_shelf_expires_at: entry.expires_at.map(wire::to_timestamp),
            clear: entry.clear,
        });
        Ok(Response::new(ListHoldShelfResponse {
            entries: entries.collect(),
            next_page_token,
        }))
    }

    async fn list_pick_list(
        &self,
        request: Request<ListPickListRequest>,
    ) -> Result<Response<ListPickListResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let query = ListPickListRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let (size, token) = (request.page_size, &request.page_token);
        let page = page::<Uuid>(size, token, &query, PAGE, LARGEST_PAGE)?;
        let point = wire::id("service_point_id", &request.service_point_id)?;
        let (after, limit) = (page.after, page.limit());
        let listed = request::list_pick_list(&self.0, &call, point, after, limit);
        let mut entries = listed.await?;
        let next_page_token = page.cut(&mut entries, |entry| entry.item_id);
        let entries = entries.into_iter().map(|entry| PickListEntry {
            item_id: entry.item_id.to_string(),
            record_id: entry.record_id.to_string(),
            request_id: entry.request_id.to_string(),
            location_code: entry.location_code,
            call_number_class: entry.call_number_class,
            material_type: entry.material_type,
            pickup_service_point_id: text(entry.pickup_service_point_id),
            requested_at: Some(wire::to_timestamp(entry.requested_at)),
        });
        Ok(Response::new(ListPickListResponse {
            entries: entries.collect(),
            next_page_token,
        }))
    }

    async fn list_in_transit(
        &self,
        request: Request<ListInTransitRequest>,
    ) -> Result<Response<ListInTransitResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let query = ListInTransitRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let (size, token) = (request.page_size, &request.page_token);
        let page = page::<Uuid>(size, token, &query, PAGE, LARGEST_PAGE)?;
        let point = wire::id("service_point_id", &request.service_point_id)?;
        let (after, limit) = (page.after, page.limit());
        let listed = request::list_in_transit(&self.0, &call, point, after, limit);
        let mut entries = listed.await?;
        let next_page_token = page.cut(&mut entries, |entry| entry.item_id);
        let entries = entries.into_iter().map(|entry| InTransitEntry {
            item_id: entry.item_id.to_string(),
            record_id: text(entry.record_id),
            request_id: text(entry.request_id),
            destination_service_point_id: text(entry.destination_service_point_id),
            in_transit_since: entry.since.map(wire::to_timestamp),
        });
        Ok(Response::new(ListInTransitResponse {
            entries: entries.collect(),
            next_page_token,
        }))
    }
}

fn text(id: Option<Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

fn desk(service_point_id: &str) -> Result<Option<Uuid>, Refusal> {
    wire::optional_id("service_point_id", service_point_id)
}

fn to_queue(queue: Queue) -> (Vec<carrel_proto::circulation::v1::Request>, String) {
    let requests = queue.requests.into_iter().map(Into::into);
    (requests.collect(), queue.revision.to_string())
}

fn missing(field: &str, needed: &str) -> Refusal {
    Refusal::field(field, "FIELD_MISSING", needed)
}

fn asked(request: CreateRequestRequest) -> Result<CreateRequest, Error> {
    let patron = match &request.patron {
        Some(create_request_request::Patron::PatronId(id)) => {
            Patron::Id(wire::id("patron_id", id)?)
        }
        Some(create_request_request::Patron::PatronBarcode(barcode)) => {
            Patron::Barcode(wire::barcode("patron_barcode", barcode)?.to_owned())
        }
        None => return Err(missing("patron_id", "or patron_barcode is needed").into()),
    };
    let target = match &request.target {
        Some(create_request_request::Target::ItemBarcode(barcode)) => {
            Target::Item(wire::barcode("item_barcode", barcode)?.to_owned())
        }
        Some(create_request_request::Target::RecordId(id)) => {
            Target::Record(wire::id("record_id", id)?)
        }
        None => return Err(missing("item_barcode", "or record_id is needed").into()),
    };
    let level: RequestLevel = known("level", request.level)?;
    if level == RequestLevel::Item && matches!(target, Target::Record(_)) {
        return Err(missing("item_barcode", "is needed for a request at item level").into());
    }
    let fulfilment: RequestFulfilment = known("fulfilment", request.fulfilment)?;
    let pickup = &request.pickup_service_point_id;
    let pickup_service_point_id = match fulfilment {
        RequestFulfilment::HoldShelf => Some(wire::id("pickup_service_point_id", pickup)?),
        RequestFulfilment::Delivery | RequestFulfilment::Unspecified if pickup.is_empty() => None,
        RequestFulfilment::Delivery | RequestFulfilment::Unspecified => {
            let field = "pickup_service_point_id";
            let told = "must be empty where it is delivered";
            return Err(Refusal::field(field, "FIELD_NOT_EMPTY", told).into());
        }
    };
    let comment = wire::text(
        "patron_comment",
        &request.patron_comment,
        0,
        LONGEST_COMMENT,
    )?;
    Ok(CreateRequest {
        patron,
        target,
        kind: known("type", request.r#type)?,
        level,
        pickup_service_point_id,
        expires_at: instant("expires_at", request.expires_at.as_ref())?,
        patron_comment: comment.to_owned(),
        service_point_id: desk(&request.service_point_id)?,
        overriding: overriding(request.r#override)?,
    })
}

fn instant(field: &str, at: Option<&prost_types::Timestamp>) -> Result<Option<Timestamp>, Refusal> {
    at.map(|at| wire::timestamp(field, at)).transpose()
}

fn sought(request: &ListRequestsRequest) -> Result<Sought, Refusal> {
    let sought = Sought {
        patron_id: wire::optional_id("patron_id", &request.patron_id)?,
        record_id: wire::optional_id("record_id", &request.record_id)?,
        item_id: wire::optional_id("item_id", &request.item_id)?,
        pickup_service_point_id: wire::optional_id(
            "pickup_service_point_id",
            &request.pickup_service_point_id,
        )?,
        statuses: statuses(&request.statuses)?,
    };
    let places = [
        sought.patron_id,
        sought.record_id,
        sought.item_id,
        sought.pickup_service_point_id,
    ];
    if places.iter().all(Option::is_none) {
        let needed = "or record_id, item_id or pickup_service_point_id is needed";
        return Err(missing("patron_id", needed));
    }
    Ok(sought)
}

fn statuses(given: &[i32]) -> Result<Vec<i16>, Refusal> {
    if given.len() > 8 {
        let most = "must be at most 8";
        return Err(Refusal::field("statuses", "TOO_MANY_VALUES", most));
    }
    let status = |status: &i32| -> Result<i16, Refusal> {
        let status: RequestStatus = known("statuses", *status)?;
        Ok(request::store::number(status.into()))
    };
    given.iter().map(status).collect()
}

fn changes(request: &ChangeRequestRequest) -> Result<Changes, Refusal> {
    let malformed = |told: &str| Refusal::field("update_mask", "UPDATE_MASK_MALFORMED", told);
    if request.update_mask.is_empty() || request.update_mask.len() > 4 {
        return Err(malformed("must name 1 to 4 fields"));
    }
    let mut changes = Changes::default();
    for field in &request.update_mask {
        match field.as_str() {
            "pickup_service_point_id" => {
                let id = wire::id(field, &request.pickup_service_point_id)?;
                changes.pickup_service_point_id = Some(id);
            }
            "expires_at" => {
                changes.expires_at = Some(instant(field, request.expires_at.as_ref())?);
            }
            "suspended_from" => {
                changes.suspended_from = Some(instant(field, request.suspended_from.as_ref())?);
            }
            "suspended_until" => {
                changes.suspended_until = Some(instant(field, request.suspended_until.as_ref())?);
            }
            _ => return Err(malformed("names a field that can't be changed")),
        }
    }
    Ok(changes)
}
