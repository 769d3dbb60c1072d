//! `carrel.circulation.v1.EquipmentService`.

use carrel_proto::circulation::v1::equipment_service_server::EquipmentService;
use carrel_proto::circulation::v1::{
    GetItemKitRequest, GetItemKitResponse, ItemDamage as WireDamage, KitPart as WirePart,
    MissingPart as WireMissing, ReportItemDamageRequest, ReportItemDamageResponse,
    SetItemKitRequest, SetItemKitResponse,
};
use carrel_runtime::wire::{self, to_timestamp};
use carrel_runtime::{Call, Refusal};
use tonic::{Request, Response, Status};

use super::optional_money;
use crate::Circulation;
use crate::equipment::model::{ItemDamage, KitPart, MissingPart};
use crate::equipment::{self, Report};

/// Parts that one message may name: more than a kit has.
const MOST_NAMED: usize = 100;

/// Serves kits and damage.
#[derive(Debug, Clone)]
pub struct EquipmentRpcs(pub Circulation);

#[tonic::async_trait]
impl EquipmentService for EquipmentRpcs {
    async fn set_item_kit(
        &self,
        request: Request<SetItemKitRequest>,
    ) -> Result<Response<SetItemKitResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let item_id = wire::id("item_id", &request.item_id)?;
        few("parts", request.parts.len())?;
        let parts = request.parts.iter().enumerate();
        let parts: Vec<KitPart> = parts
            .map(|(index, given)| part(&format!("parts[{index}]"), given))
            .collect::<Result<_, _>>()?;
        let parts = equipment::set_kit(&self.0, &key, item_id, &parts).await?;
        Ok(Response::new(SetItemKitResponse {
            parts: parts.into_iter().map(Into::into).collect(),
        }))
    }

    async fn get_item_kit(
        &self,
        request: Request<GetItemKitRequest>,
    ) -> Result<Response<GetItemKitResponse>, Status> {
        let item_id = wire::id("item_id", &request.get_ref().item_id)?;
        let parts = equipment::kit(&self.0, item_id).await?;
        Ok(Response::new(GetItemKitResponse {
            parts: parts.into_iter().map(Into::into).collect(),
        }))
    }

    async fn report_item_damage(
        &self,
        request: Request<ReportItemDamageRequest>,
    ) -> Result<Response<ReportItemDamageResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        few("missing_parts", request.missing_parts.len())?;
        let missing = |part: &WireMissing| MissingPart {
            name: part.name.clone(),
            count: part.count,
        };
        let report = Report {
            loan_id: wire::id("loan_id", &request.loan_id)?,
            service_point_id: wire::id("service_point_id", &request.service_point_id)?,
            missing_parts: request.missing_parts.iter().map(missing).collect(),
            damaged: request.damaged,
            comment: wire::text("comment", &request.comment, 1, 500)?.to_owned(),
        };
        let damage = equipment::report_damage(&self.0, &call, &key, &report).await?;
        Ok(Response::new(ReportItemDamageResponse {
            item_damage: Some(damage.into()),
        }))
    }
}

fn few(field: &str, count: usize) -> Result<(), Refusal> {
    if count > MOST_NAMED {
        return Err(Refusal::field(field, "KIT_MALFORMED", "must be fewer"));
    }
    Ok(())
}

fn part(field: &str, given: &WirePart) -> Result<KitPart, Refusal> {
    Ok(KitPart {
        name: wire::text(&format!("{field}.name"), &given.name, 1, 100)?.to_owned(),
        count: given.count,
        price: optional_money(&format!("{field}.price"), given.price.as_ref())?,
    })
}

impl From<KitPart> for WirePart {
    fn from(part: KitPart) -> Self {
        Self {
            name: part.name,
            count: part.count,
            price: part.price.map(Into::into),
        }
    }
}

impl From<ItemDamage> for WireDamage {
    fn from(damage: ItemDamage) -> Self {
        let missing = |part: MissingPart| WireMissing {
            name: part.name,
            count: part.count,
        };
        Self {
            id: damage.id.to_string(),
            loan_id: damage.loan_id.to_string(),
            item_id: damage.item_id.to_string(),
            missing_parts: damage.missing_parts.into_iter().map(missing).collect(),
            damaged: damage.damaged,
            comment: damage.comment,
            fee: damage.fee.map(Into::into),
            reported_at: Some(to_timestamp(damage.reported_at)),
        }
    }
}
