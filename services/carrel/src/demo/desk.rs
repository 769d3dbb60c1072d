//! What the technician does at the desk, in her words.

use anyhow::{Context as _, bail};
use carrel_proto::catalog::v1::{GetItemByBarcodeRequest, GetRecordRequest};
use carrel_proto::circulation::v1 as circulation;
use carrel_proto::patrons::v1::GetPatronByBarcodeRequest;
use tonic::Status;

use crate::clients::{Clients, request_id};
use crate::connect::explain;

/// The desk at one service point.
pub struct Desk {
    /// The service point's id.
    pub service_point_id: String,
}

/// An item as the desk sees it.
pub struct ItemAtDesk {
    pub title: String,
}

impl Desk {
    /// Lends; the status says what is against it.
    pub async fn lend(
        &self,
        clients: &mut Clients,
        item_barcode: &str,
        patron_barcode: &str,
        overriding: Option<circulation::Override>,
    ) -> Result<circulation::CheckOutResponse, Status> {
        let request = circulation::CheckOutRequest {
            item_barcode: item_barcode.into(),
            patron_barcode: patron_barcode.into(),
            service_point_id: self.service_point_id.clone(),
            r#override: overriding,
            request_id: request_id(),
            ..Default::default()
        };
        Ok(clients.loans.check_out(request).await?.into_inner())
    }

    /// Takes back.
    pub async fn take_back(
        &self,
        clients: &mut Clients,
        item_barcode: &str,
    ) -> anyhow::Result<circulation::CheckInResponse> {
        let request = circulation::CheckInRequest {
            item_barcode: item_barcode.into(),
            service_point_id: self.service_point_id.clone(),
            request_id: request_id(),
            ..Default::default()
        };
        let answer = clients.loans.check_in(request).await;
        Ok(answer.map_err(|status| explain(&status))?.into_inner())
    }
}

/// What the title of an item is.
pub async fn item(clients: &mut Clients, barcode: &str) -> anyhow::Result<ItemAtDesk> {
    let found = clients
        .items
        .get_item_by_barcode(GetItemByBarcodeRequest {
            barcode: barcode.into(),
        })
        .await
        .map_err(|status| explain(&status))?
        .into_inner();
    let item = found.item.context("the answer has no item")?;
    let record = clients
        .records
        .get_record(GetRecordRequest {
            id: item.record_id,
            with_raw: false,
        })
        .await
        .map_err(|status| explain(&status))?
        .into_inner();
    Ok(ItemAtDesk {
        title: record.record.context("the answer has no record")?.title,
    })
}

/// Who a patron is: id and first name.
pub async fn patron(clients: &mut Clients, barcode: &str) -> anyhow::Result<(String, String)> {
    let found = clients
        .patrons
        .get_patron_by_barcode(GetPatronByBarcodeRequest {
            barcode: barcode.into(),
        })
        .await
        .map_err(|status| explain(&status))?
        .into_inner();
    let patron = found.patron.context("the answer has no patron")?;
    Ok((patron.id, patron.first_name))
}

/// The reasons against a check-out.
pub fn blocks(status: &Status) -> anyhow::Result<Vec<circulation::Block>> {
    match carrel_runtime::read::detail::<circulation::Blocks>(status) {
        Some(blocks) => Ok(blocks.blocks),
        None => bail!(explain(status)),
    }
}
