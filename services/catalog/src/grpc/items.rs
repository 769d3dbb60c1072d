//! ItemService.

use carrel_money::Money;
use carrel_proto::catalog::v1::item_service_server::ItemService;
use carrel_proto::catalog::v1::{
    CreateItemRequest, CreateItemResponse, GetItemByBarcodeRequest, GetItemByBarcodeResponse,
    GetItemRequest, GetItemResponse, Item as WireItem, ItemStatus as WireStatus, ListItemsRequest,
    ListItemsResponse, UpdateItemRequest, UpdateItemResponse,
};
use carrel_runtime::{Call, Page, Refusal, page, wire};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{DEFAULT_PAGE, LARGEST_PAGE};
use crate::Catalog;
use crate::error::Error;
use crate::import::STANDARD_LOAN_TYPE;
use crate::item::{self, Item, ItemChange, ItemFields, ItemStatus};

/// Serves `ItemService`.
pub(crate) struct Items(pub(crate) Catalog);

fn status(value: i32) -> Result<Option<ItemStatus>, Refusal> {
    Ok(Some(match WireStatus::try_from(value) {
        Ok(WireStatus::Unspecified) => return Ok(None),
        Ok(WireStatus::Available) => ItemStatus::Available,
        Ok(WireStatus::OnOrder) => ItemStatus::OnOrder,
        Ok(WireStatus::InProcess) => ItemStatus::InProcess,
        Ok(WireStatus::InRepair) => ItemStatus::InRepair,
        Ok(WireStatus::Missing) => ItemStatus::Missing,
        Ok(WireStatus::Restricted) => ItemStatus::Restricted,
        Ok(WireStatus::Withdrawn) => ItemStatus::Withdrawn,
        Err(_) => {
            return Err(Refusal::field(
                "item.status",
                "ITEM_STATUS_UNKNOWN",
                "is not a status of an item",
            ));
        }
    }))
}

fn barcode(item: &WireItem) -> Result<Option<String>, Refusal> {
    if item.barcode.is_empty() {
        return Ok(None);
    }
    Ok(Some(
        wire::barcode("item.barcode", &item.barcode)?.to_owned(),
    ))
}

fn rule_code(field: &str, value: &str) -> Result<String, Refusal> {
    if item::is_code(value) {
        return Ok(value.to_owned());
    }
    Err(Refusal::field(
        field,
        "CODE_MALFORMED",
        "must be 1 to 40 of a-z, 0-9 and '-'",
    ))
}

fn call_number(item: &WireItem) -> Result<String, Refusal> {
    Ok(wire::text("item.call_number", &item.call_number, 0, 500)?.to_owned())
}

fn copy_number(item: &WireItem) -> Result<String, Refusal> {
    Ok(wire::text("item.copy_number", &item.copy_number, 0, 100)?.to_owned())
}

fn replacement_price(item: &WireItem) -> Result<Option<Money>, Refusal> {
    const FIELD: &str = "item.replacement_price";
    let Some(price) = &item.replacement_price else {
        return Ok(None);
    };
    let price = wire::money(FIELD, price)?;
    if price.is_negative() {
        return Err(Refusal::field(
            FIELD,
            "MONEY_NEGATIVE",
            "must not be negative",
        ));
    }
    Ok(Some(price))
}

fn fields(item: &WireItem) -> Result<ItemFields, Refusal> {
    let loan_type = if item.loan_type.is_empty() {
        STANDARD_LOAN_TYPE
    } else {
        &item.loan_type
    };
    Ok(ItemFields {
        barcode: barcode(item)?,
        status: status(item.status)?.unwrap_or(ItemStatus::Available),
        material_type: rule_code("item.material_type", &item.material_type)?,
        loan_type: rule_code("item.loan_type", loan_type)?,
        location_id: wire::id("item.location_id", &item.location_id)?,
        call_number: call_number(item)?,
        copy_number: copy_number(item)?,
        replacement_price: replacement_price(item)?,
    })
}

fn change(item: &WireItem, paths: &[String]) -> Result<ItemChange, Refusal> {
    let malformed =
        |message: String| Refusal::field("update_mask", "UPDATE_MASK_MALFORMED", message);
    if !(1..=8).contains(&paths.len()) {
        return Err(malformed("must name 1 to 8 fields".into()));
    }
    let mut change = ItemChange::default();
    for path in paths {
        match path.as_str() {
            "barcode" => change.barcode = Some(barcode(item)?),
            "status" => {
                change.status = Some(status(item.status)?.ok_or_else(|| {
                    Refusal::field(
                        "item.status",
                        "ITEM_STATUS_UNKNOWN",
                        "is needed where the mask names it",
                    )
                })?);
            }
            "material_type" => {
                change.material_type = Some(rule_code("item.material_type", &item.material_type)?);
            }
            "loan_type" => change.loan_type = Some(rule_code("item.loan_type", &item.loan_type)?),
            "location_id" => {
                change.location_id = Some(wire::id("item.location_id", &item.location_id)?);
            }
            "call_number" => change.call_number = Some(call_number(item)?),
            "copy_number" => change.copy_number = Some(copy_number(item)?),
            "replacement_price" => change.replacement_price = Some(replacement_price(item)?),
            _ => return Err(malformed("names a field that can't be changed".into())),
        }
    }
    Ok(change)
}

#[tonic::async_trait]
impl ItemService for Items {
    async fn create_item(
        &self,
        request: Request<CreateItemRequest>,
    ) -> Result<Response<CreateItemResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let item = wire::required("item", &request.item)?;
        let record_id = wire::id("item.record_id", &item.record_id)?;
        let fields = fields(item)?;
        let trace_parent = call.trace_parent.as_deref();
        let item = item::create(&self.0, &key, trace_parent, record_id, &fields).await?;
        Ok(Response::new(CreateItemResponse {
            item: Some(item.to_wire()),
        }))
    }

    async fn get_item(
        &self,
        request: Request<GetItemRequest>,
    ) -> Result<Response<GetItemResponse>, Status> {
        let item = item::get(&self.0, wire::id("id", &request.into_inner().id)?).await?;
        Ok(Response::new(GetItemResponse {
            item: Some(item.to_wire()),
        }))
    }

    async fn get_item_by_barcode(
        &self,
        request: Request<GetItemByBarcodeRequest>,
    ) -> Result<Response<GetItemByBarcodeResponse>, Status> {
        let request = request.into_inner();
        let barcode = wire::barcode("barcode", &request.barcode)?;
        let item = item::get_by_barcode(&self.0, barcode).await?;
        Ok(Response::new(GetItemByBarcodeResponse {
            item: Some(item.to_wire()),
        }))
    }

    async fn list_items(
        &self,
        request: Request<ListItemsRequest>,
    ) -> Result<Response<ListItemsResponse>, Status> {
        let request = request.into_inner();
        let query = ListItemsRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page: Page<Uuid> = page(
            request.page_size,
            &request.page_token,
            &query,
            DEFAULT_PAGE,
            LARGEST_PAGE,
        )?;
        let record_id = wire::optional_id("record_id", &request.record_id)?;
        let pool = self.0.database.pool();
        let mut items = item::store::list(
            pool,
            record_id,
            request.include_withdrawn,
            page.after,
            page.limit(),
        )
        .await?;
        let next_page_token = page.cut(&mut items, |item| item.id);
        Ok(Response::new(ListItemsResponse {
            items: items.iter().map(Item::to_wire).collect(),
            next_page_token,
        }))
    }

    async fn update_item(
        &self,
        request: Request<UpdateItemRequest>,
    ) -> Result<Response<UpdateItemResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let item = wire::required("item", &request.item)?;
        let id = wire::id("item.id", &item.id)?;
        let mask = wire::required("update_mask", &request.update_mask)?;
        let change = change(item, &mask.paths)?;
        let trace_parent = call.trace_parent.as_deref();
        let item = item::update(&self.0, &key, trace_parent, id, &item.etag, &change)
            .await
            .map_err(Error::refusal)?;
        Ok(Response::new(UpdateItemResponse {
            item: Some(item.to_wire()),
        }))
    }
}
