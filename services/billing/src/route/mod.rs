//! Routes and academic periods: where charges go in the student-information system.

pub mod model;
pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_ids::new_id;
use sqlx::PgConnection;

use crate::Billing;
use crate::error::Error;
use model::{Period, Route, Routing};

/// Adds a route; its id is given here. Postings that waited for it are worked
/// by `RetryPosting`.
///
/// # Errors
/// [`Error::RouteTaken`].
pub async fn create_route(
    billing: &Billing,
    key: &RequestKey,
    route: Route,
) -> Result<Route, Error> {
    let now = billing.clock.now();
    let route = Route {
        id: new_id(),
        ..route
    };
    transact!(billing.database, "create_posting_route", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[route.id], now).await?? {
            let first = ids.first().copied();
            let routes = store::list_all_routes(transaction).await?;
            return routes
                .into_iter()
                .find(|route| Some(route.id) == first)
                .ok_or(Error::OutOfBalance("a route is gone"));
        }
        store::insert_route(transaction, &route).await?;
        Ok(route.clone())
    })
}

/// Adds a period.
///
/// # Errors
/// [`Error::PeriodTaken`], [`Error::PeriodOverlaps`], [`Error::PeriodEmpty`].
pub async fn create_period(
    billing: &Billing,
    key: &RequestKey,
    period: Period,
) -> Result<Period, Error> {
    period.check()?;
    let now = billing.clock.now();
    let row_id = new_id();
    transact!(billing.database, "create_academic_period", |transaction| {
        if let Claim::New = claim(transaction, key, &[row_id], now).await?? {
            store::insert_period(transaction, row_id, &period).await?;
        }
        // Periods never change, so the first answer is what was asked for.
        Ok(period.clone())
    })
}

/// Every route and period.
pub(crate) async fn routing(connection: &mut PgConnection) -> Result<Routing, Error> {
    Ok(Routing {
        routes: store::list_all_routes(connection).await?,
        periods: store::list_all_periods(connection).await?,
    })
}
