//! Service points: the desks and machines where items are lent and returned,
//! and when somebody is there.

pub mod calendar;
pub mod closing;
pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::error::Error;
use crate::period::Period;
use crate::{Circulation, first_id};
use calendar::OpeningHours;

/// A desk or machine where items are lent and returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePoint {
    /// Its id.
    pub id: Uuid,
    /// Its code.
    pub code: String,
    /// Its name for people.
    pub name: String,
    /// The library it belongs to, by its code.
    pub library_code: String,
    /// The college it belongs to, by its code.
    pub institution_code: String,
    /// Its IANA time zone.
    pub time_zone: String,
    /// Whether requests are picked up there.
    pub pickup_location: bool,
    /// How long they wait on its hold shelf.
    pub hold_shelf_period: Option<Period>,
}

impl ServicePoint {
    fn check_pickup(&self) -> Result<(), Error> {
        if self.pickup_location && self.hold_shelf_period.is_none() {
            return Err(Error::HoldShelfPeriodMissing);
        }
        Ok(())
    }
}

/// A time zone by its IANA name.
///
/// # Errors
/// [`Error::TimeZoneUnknown`].
pub fn time_zone(name: &str) -> Result<TimeZone, Error> {
    TimeZone::get(name).map_err(|_| Error::TimeZoneUnknown)
}

/// Adds a service point; its id is the service's to give.
///
/// # Errors
/// [`Error`].
pub async fn create(
    circulation: &Circulation,
    key: &RequestKey,
    point: ServicePoint,
) -> Result<ServicePoint, Error> {
    let zone = time_zone(&point.time_zone)?;
    point.check_pickup()?;
    let point = ServicePoint {
        id: carrel_ids::new_id(),
        time_zone: zone.iana_name().unwrap_or(&point.time_zone).to_owned(),
        ..point
    };
    let now = circulation.clock.now();
    transact!(
        circulation.database,
        "create_service_point",
        |transaction| {
            if let Claim::Done(ids) = claim(transaction, key, &[point.id], now).await?? {
                return store::find(transaction, first_id(&ids)?)
                    .await?
                    .ok_or(Error::ServicePointNotFound);
            }
            store::insert(transaction, &point, now).await?;
            Ok(point.clone())
        }
    )
}

/// Reads a service point.
///
/// # Errors
/// [`Error::ServicePointNotFound`].
pub async fn get(circulation: &Circulation, id: Uuid) -> Result<ServicePoint, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    store::find(&mut connection, id)
        .await?
        .ok_or(Error::ServicePointNotFound)
}

/// Lists service points by code, after one.
///
/// # Errors
/// The database's.
pub async fn list(
    circulation: &Circulation,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<ServicePoint>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    Ok(store::list(&mut connection, after, limit).await?)
}

/// Says whether requests are picked up at a service point, and how long they
/// wait.
///
/// # Errors
/// [`Error::HoldShelfPeriodMissing`], [`Error::ServicePointNotFound`].
pub async fn set_pickup(
    circulation: &Circulation,
    key: &RequestKey,
    id: Uuid,
    pickup_location: bool,
    hold_shelf_period: Option<Period>,
) -> Result<ServicePoint, Error> {
    if pickup_location && hold_shelf_period.is_none() {
        return Err(Error::HoldShelfPeriodMissing);
    }
    let now = circulation.clock.now();
    transact!(circulation.database, "set_pickup", |transaction| {
        if let Claim::New = claim(transaction, key, &[id], now).await?? {
            store::set_pickup(transaction, id, pickup_location, hold_shelf_period).await?;
        }
        store::find(transaction, id)
            .await?
            .ok_or(Error::ServicePointNotFound)
    })
}

/// Replaces the hours.
///
/// # Errors
/// [`Error`].
pub async fn set_opening_hours(
    circulation: &Circulation,
    key: &RequestKey,
    id: Uuid,
    hours: &OpeningHours,
) -> Result<OpeningHours, Error> {
    let now = circulation.clock.now();
    transact!(circulation.database, "set_opening_hours", |transaction| {
        if let Claim::Done(_) = claim(transaction, key, &[id], now).await?? {
            return store::opening_hours(transaction, id).await;
        }
        if !store::begin_hours(transaction, id).await? {
            return Err(Error::ServicePointNotFound);
        }
        store::replace_weekly_hours(transaction, id, hours.weekly()).await?;
        store::replace_exceptions(transaction, id, hours.exceptions()).await?;
        store::opening_hours(transaction, id).await
    })
}

/// Reads the hours.
///
/// # Errors
/// [`Error`].
pub async fn opening_hours(circulation: &Circulation, id: Uuid) -> Result<OpeningHours, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    if store::find(&mut connection, id).await?.is_none() {
        return Err(Error::ServicePointNotFound);
    }
    store::opening_hours(&mut connection, id).await
}
