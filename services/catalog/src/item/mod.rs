//! Items: the single copies that stand on a shelf and are lent.

mod model;
pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_money::Money;
use carrel_outbox::NewEvent;
use carrel_proto::catalog::v1 as wire;
use jiff::Timestamp;
use uuid::Uuid;

pub(crate) use model::{Availability, Item, ItemFields, ItemStatus, code_in, is_code, price_in};
pub(crate) use store::{AvailabilityNow, NewItem};

use crate::error::Error;
use crate::{Catalog, location_unit, record};

/// Adds an item to a record.
pub(crate) async fn create(
    catalog: &Catalog,
    key: &RequestKey,
    trace_parent: Option<&str>,
    record_id: Uuid,
    fields: &ItemFields,
) -> Result<Item, Error> {
    let now = catalog.clock.now();
    let id = carrel_ids::new_id();
    let new = NewItem {
        id,
        record_id,
        fields: fields.clone(),
    };
    let created = transact!(catalog.database, "create_item", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
            return Ok::<_, Error>(Err(ids));
        }
        if !record::store::exists(transaction, record_id).await? {
            return Err(Error::RecordNotFound);
        }
        if !location_unit::store::is_location(transaction, fields.location_id).await? {
            return Err(Error::LocationNotFound);
        }
        if store::insert(transaction, std::slice::from_ref(&new), now)
            .await?
            .is_empty()
        {
            return Err(Error::ItemBarcodeTaken);
        }
        let item = Item::added(&new);
        carrel_outbox::append(transaction, &[changed(&item, now, trace_parent)]).await?;
        Ok(Ok(item))
    })?;
    answer(catalog, created).await
}

/// What is changed of an item; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct ItemChange {
    pub barcode: Option<Option<String>>,
    pub status: Option<ItemStatus>,
    pub material_type: Option<String>,
    pub loan_type: Option<String>,
    pub location_id: Option<Uuid>,
    pub call_number: Option<String>,
    pub copy_number: Option<String>,
    pub replacement_price: Option<Option<Money>>,
}

/// Changes an item.
pub(crate) async fn update(
    catalog: &Catalog,
    key: &RequestKey,
    trace_parent: Option<&str>,
    id: Uuid,
    etag: &str,
    change: &ItemChange,
) -> Result<Item, Error> {
    let now = catalog.clock.now();
    let updated = transact!(catalog.database, "update_item", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
            return Ok::<_, Error>(Err(ids));
        }
        let mut item = store::lock(transaction, id)
            .await?
            .ok_or(Error::ItemNotFound)?;
        if !etag.is_empty() && etag != item.etag() {
            return Err(Error::EtagMismatch);
        }
        if let Some(location_id) = change.location_id
            && !location_unit::store::is_location(transaction, location_id).await?
        {
            return Err(Error::LocationNotFound);
        }
        item.change(change)?;
        store::update(transaction, std::slice::from_ref(&item), now).await?;
        item.revision += 1;
        carrel_outbox::append(transaction, &[changed(&item, now, trace_parent)]).await?;
        Ok(Ok(item))
    })?;
    answer(catalog, updated).await
}

/// What was done now, or the item of the same request before.
async fn answer(catalog: &Catalog, outcome: Result<Item, Vec<Uuid>>) -> Result<Item, Error> {
    match outcome {
        Ok(item) => {
            catalog.wake.committed();
            Ok(item)
        }
        Err(ids) => {
            get(
                catalog,
                *ids.first().ok_or(Error::Unsound("a request without ids"))?,
            )
            .await
        }
    }
}

/// Reads an item.
pub(crate) async fn get(catalog: &Catalog, id: Uuid) -> Result<Item, Error> {
    store::find(catalog.database.pool(), id)
        .await?
        .ok_or(Error::ItemNotFound)
}

/// Reads the item that has a barcode.
pub(crate) async fn get_by_barcode(catalog: &Catalog, barcode: &str) -> Result<Item, Error> {
    store::find_by_barcode(catalog.database.pool(), barcode)
        .await?
        .ok_or(Error::ItemNotFound)
}

impl Item {
    /// An item that was just added: nobody can have borrowed it yet.
    pub(crate) fn added(new: &NewItem) -> Self {
        Self {
            id: new.id,
            record_id: new.record_id,
            fields: new.fields.clone(),
            availability: Availability::In,
            revision: 1,
        }
    }

    fn change(&mut self, change: &ItemChange) -> Result<(), Error> {
        let fields = &mut self.fields;
        if let Some(to) = change.status {
            let from = fields.status;
            if !from.may_become(to) {
                return Err(Error::ItemStatusChange { from, to });
            }
            fields.status = to;
        }
        fn set<T: Clone>(field: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                field.clone_from(value);
            }
        }
        set(&mut fields.barcode, change.barcode.as_ref());
        set(&mut fields.material_type, change.material_type.as_ref());
        set(&mut fields.loan_type, change.loan_type.as_ref());
        set(&mut fields.location_id, change.location_id.as_ref());
        set(&mut fields.call_number, change.call_number.as_ref());
        set(&mut fields.copy_number, change.copy_number.as_ref());
        set(
            &mut fields.replacement_price,
            change.replacement_price.as_ref(),
        );
        Ok(())
    }

    pub(crate) fn to_wire(&self) -> wire::Item {
        let fields = &self.fields;
        let status = match fields.status {
            ItemStatus::Available => wire::ItemStatus::Available,
            ItemStatus::OnOrder => wire::ItemStatus::OnOrder,
            ItemStatus::InProcess => wire::ItemStatus::InProcess,
            ItemStatus::InRepair => wire::ItemStatus::InRepair,
            ItemStatus::Missing => wire::ItemStatus::Missing,
            ItemStatus::Restricted => wire::ItemStatus::Restricted,
            ItemStatus::Withdrawn => wire::ItemStatus::Withdrawn,
        };
        let availability = match self.availability {
            Availability::In => wire::ItemAvailability::In,
            Availability::CheckedOut => wire::ItemAvailability::CheckedOut,
            Availability::AgedToLost => wire::ItemAvailability::AgedToLost,
            Availability::ClaimedReturned => wire::ItemAvailability::ClaimedReturned,
            Availability::DeclaredLost => wire::ItemAvailability::DeclaredLost,
            Availability::AwaitingPickup => wire::ItemAvailability::AwaitingPickup,
            Availability::InTransit => wire::ItemAvailability::InTransit,
            Availability::Paged => wire::ItemAvailability::Paged,
            Availability::Missing => wire::ItemAvailability::Missing,
            Availability::LostAndPaid => wire::ItemAvailability::LostAndPaid,
            Availability::AwaitingDelivery => wire::ItemAvailability::AwaitingDelivery,
        };
        wire::Item {
            id: self.id.to_string(),
            record_id: self.record_id.to_string(),
            barcode: fields.barcode.clone().unwrap_or_default(),
            status: status.into(),
            material_type: fields.material_type.clone(),
            loan_type: fields.loan_type.clone(),
            location_id: fields.location_id.to_string(),
            call_number: fields.call_number.clone(),
            copy_number: fields.copy_number.clone(),
            replacement_price: fields.replacement_price.map(Into::into),
            availability: availability.into(),
            revision: self.revision,
            etag: self.etag(),
        }
    }
}

/// The event of an item's change. Availability is circulation's to tell.
pub(crate) fn changed(item: &Item, now: Timestamp, trace_parent: Option<&str>) -> NewEvent {
    let mut item_now = item.to_wire();
    item_now.availability = wire::ItemAvailability::Unspecified.into();
    let message = wire::ItemChanged {
        item: Some(item_now),
    };
    NewEvent::of(item.id, &message, now).caused_by(trace_parent.map(str::to_owned))
}
