//! Statistics: counts of what was kept with loans, renewals and uses in house
//! for good. They outlive the link to the patron, and never need it.

mod store;

use jiff::civil::Date;

use crate::Circulation;
use crate::error::Error;

/// The longest span that is counted at once.
const LONGEST_SPAN_YEARS: i16 = 5;

/// By what counts are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "each is what its name says")]
pub struct Dimensions {
    pub institution: bool,
    pub library: bool,
    pub location: bool,
    pub patron_group: bool,
    pub material_type: bool,
    pub call_number_class: bool,
    pub category: bool,
    pub kind: bool,
    pub hour: bool,
    pub month: bool,
}

/// One count; what was not asked for is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// All its values, by which counts are ordered and pages go on.
    pub key: String,
    /// How many.
    pub count: i64,
    /// The item's college.
    pub institution_code: String,
    /// The item's library.
    pub library_code: String,
    /// The item's location.
    pub location_code: String,
    /// The patron group.
    pub patron_group: String,
    /// The material type.
    pub material_type: String,
    /// The class of the call number.
    pub call_number_class: String,
    /// The number in carrel.circulation.v1.LoanCategory.
    pub category: Option<i32>,
    /// The number in carrel.circulation.v1.CirculationKind.
    pub kind: Option<i32>,
    /// The hour of the day at the service point.
    pub hour: Option<i32>,
    /// The first day of the month at the service point.
    pub month: Option<Date>,
}

/// Counts what happened between two days, both included, by the calendar of
/// the service point where each happened; by their values, after one.
///
/// # Errors
/// [`Error::DatesOutOfOrder`], [`Error::SpanTooLong`].
pub async fn count(
    circulation: &Circulation,
    (from, to): (Date, Date),
    by: Dimensions,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Count>, Error> {
    if to < from {
        return Err(Error::DatesOutOfOrder);
    }
    if to.year() - from.year() > LONGEST_SPAN_YEARS {
        return Err(Error::SpanTooLong);
    }
    let mut connection = circulation.database.pool().acquire().await?;
    Ok(store::count(&mut connection, (from, to), by, after, limit).await?)
}
