//! Items and places, from catalog.

use carrel_money::Money;
use carrel_outbox::{ApplyError, Page, Projection, StateProjection, decode, known};
use carrel_proto::catalog::v1::item_service_client::ItemServiceClient;
use carrel_proto::catalog::v1::location_unit_service_client::LocationUnitServiceClient;
use carrel_proto::catalog::v1::{
    Item, ItemChanged, ItemStatus, ListItemsRequest, ListLocationUnitsRequest, LocationUnit,
    LocationUnitChanged, LocationUnitKind,
};
use carrel_proto::events::v1::Event;
use carrel_runtime::PeerChannel;
use prost::Name;
use sqlx::PgConnection;
use tonic::Status;

use super::store::{self, ItemRow, UnitRow};
use super::{PAGE_SIZE, asking, id, poison, present, within};

/// The pages of items have tokens with this before them; those without come
/// first and are of location units.
const ITEMS: &str = "items:";

/// The projection of catalog's items and places.
#[derive(Debug, Clone)]
pub struct CatalogProjection {
    /// The way to catalog, to read its whole state; `None`: there is none.
    pub channel: Option<PeerChannel>,
}

/// A page of catalog's state.
#[derive(Debug)]
pub enum CatalogRows {
    /// Places.
    Units(Vec<LocationUnit>),
    /// Items.
    Items(Vec<Item>),
}

impl Projection for CatalogProjection {
    fn types(&self) -> Vec<String> {
        vec![ItemChanged::full_name(), LocationUnitChanged::full_name()]
    }

    /// 2: an item's title and the class of its call number are kept, too.
    fn edition(&self) -> i64 {
        2
    }

    async fn apply_all(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        events: &[Event],
    ) -> Result<(), ApplyError> {
        let (mut items, mut units) = (Vec::new(), Vec::new());
        for event in events {
            if event.r#type == ItemChanged::full_name() {
                let changed: ItemChanged = decode(event)?;
                items.push(item_row(present("item", &changed.item)?)?);
            } else if event.r#type == LocationUnitChanged::full_name() {
                let changed: LocationUnitChanged = decode(event)?;
                units.push(unit_row(present("location_unit", &changed.location_unit)?)?);
            } else {
                return Err(ApplyError::unknown_type(event));
            }
        }
        store::put_units(connection, generation, units).await?;
        store::put_items(connection, generation, items).await?;
        Ok(())
    }
}

impl StateProjection for CatalogProjection {
    type Rows = CatalogRows;

    async fn fetch_page(&self, page_token: &str) -> Result<Page<CatalogRows>, Status> {
        let Some(channel) = self.channel.clone() else {
            return Err(Status::unavailable("no way to catalog"));
        };
        if let Some(token) = page_token.strip_prefix(ITEMS) {
            let request = ListItemsRequest {
                include_withdrawn: true,
                page_size: PAGE_SIZE,
                page_token: token.to_owned(),
                ..Default::default()
            };
            let mut items = ItemServiceClient::new(channel);
            let page = within(items.list_items(asking(request)))
                .await?
                .into_inner();
            return Ok(Page {
                rows: CatalogRows::Items(page.items),
                next_page_token: match page.next_page_token {
                    token if token.is_empty() => token,
                    token => format!("{ITEMS}{token}"),
                },
            });
        }
        let request = ListLocationUnitsRequest {
            page_size: PAGE_SIZE,
            page_token: page_token.to_owned(),
            ..Default::default()
        };
        let mut units = LocationUnitServiceClient::new(channel);
        let page = within(units.list_location_units(asking(request)))
            .await?
            .into_inner();
        Ok(Page {
            rows: CatalogRows::Units(page.location_units),
            // After the last page of places come the items.
            next_page_token: match page.next_page_token {
                token if token.is_empty() => ITEMS.to_owned(),
                token => token,
            },
        })
    }

    async fn apply_page(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        rows: &CatalogRows,
    ) -> Result<(), ApplyError> {
        match rows {
            CatalogRows::Units(units) => {
                let units = units.iter().map(unit_row).collect::<Result<_, _>>()?;
                store::put_units(connection, generation, units).await?;
            }
            CatalogRows::Items(items) => {
                let items = items.iter().map(item_row).collect::<Result<_, _>>()?;
                store::put_items(connection, generation, items).await?;
            }
        }
        Ok(())
    }

    async fn finish_rebuild(
        &self,
        connection: &mut PgConnection,
        generation: i64,
    ) -> Result<(), ApplyError> {
        store::forget_catalog_before(connection, generation).await?;
        Ok(())
    }
}

/// An item as catalog tells it.
pub(super) fn item_row(item: &Item) -> Result<ItemRow, ApplyError> {
    let status: ItemStatus = known(item.status, "status")?;
    let price = item
        .replacement_price
        .as_ref()
        .map(Money::try_from)
        .transpose();
    Ok(ItemRow {
        item_id: id("item.id", &item.id)?,
        record_id: id("item.record_id", &item.record_id)?,
        barcode: item.barcode.clone(),
        status,
        material_type: item.material_type.clone(),
        loan_type: item.loan_type.clone(),
        location_id: match item.location_id.as_str() {
            "" => None,
            location => Some(id("item.location_id", location)?),
        },
        call_number_class: call_number_class(&item.call_number),
        price: price.map_err(|_| poison("item.replacement_price"))?,
        revision: item.revision,
    })
}

/// The class of a call number, by which statistics count: the letters of a
/// Library of Congress number, the hundred of a Dewey number, else nothing.
fn call_number_class(call_number: &str) -> String {
    let number = call_number.trim_start();
    let letters = number
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect::<String>();
    let follows_digit = |at: usize| {
        number[at..]
            .trim_start()
            .starts_with(|c: char| c.is_ascii_digit())
    };
    match letters.len() {
        // Library of Congress classes have one to three letters, then a number.
        1..=3 if follows_digit(letters.len()) => letters.to_ascii_uppercase(),
        0 => {
            let digits: Vec<char> = number.chars().take_while(char::is_ascii_digit).collect();
            match digits[..] {
                // Dewey classes have three digits.
                [hundred, _, _] => format!("{hundred}00"),
                _ => String::new(),
            }
        }
        _ => String::new(),
    }
}

fn unit_row(unit: &LocationUnit) -> Result<UnitRow, ApplyError> {
    Ok(UnitRow {
        unit_id: id("location_unit.id", &unit.id)?,
        kind: known::<LocationUnitKind>(unit.kind, "location_unit.kind")?,
        parent_id: match unit.parent_id.as_str() {
            "" => None,
            parent => Some(id("location_unit.parent_id", parent)?),
        },
        code: unit.code.clone(),
        revision: unit.revision,
    })
}

#[cfg(test)]
mod tests {
    use super::call_number_class;

    #[test]
    fn a_call_number_is_counted_under_its_class() {
        for (number, class) in [
            ("QA76.73 .R87 2024", "QA"),
            ("ps 3545 .E6", "PS"),
            ("KFC30.5 .C2", "KFC"),
            ("E184", "E"),
            ("004.678 SMI", "000"),
            ("813", "800"),
            ("DVD 1042", "DVD"),
            ("FIC Morrison", ""),
            ("Fiction 12", ""),
            ("12 monkeys", ""),
            ("", ""),
        ] {
            assert_eq!(call_number_class(number), class, "{number}");
        }
    }
}
