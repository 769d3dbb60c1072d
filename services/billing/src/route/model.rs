//! Where a charge goes: by college and kind to a destination, by date to a period.

use jiff::civil::Date;
use uuid::Uuid;

use crate::account::model::FeeFineKind;
use crate::error::Error;

/// Where a kind of charge goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its id.
    pub id: Uuid,
    /// The college; empty: any without a route of its own.
    pub institution_code: String,
    /// The kind of charge.
    pub kind: FeeFineKind,
    /// The destination's id in the student-information system.
    pub funding_destination_id: String,
}

/// A term, as the student-information system knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// Its id in the student-information system.
    pub id: String,
    /// Its code.
    pub code: String,
    /// Its first day.
    pub first_date: Date,
    /// Its last day.
    pub last_date: Date,
}

impl Period {
    /// Checks a period before it is added.
    ///
    /// # Errors
    /// [`Error::PeriodEmpty`].
    pub fn check(&self) -> Result<(), Error> {
        if self.first_date <= self.last_date {
            Ok(())
        } else {
            Err(Error::PeriodEmpty)
        }
    }
}

/// Every route and period, as of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routing {
    /// The routes.
    pub routes: Vec<Route>,
    /// The periods.
    pub periods: Vec<Period>,
}

/// Where one charge goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The destination's id in the student-information system.
    pub funding_destination_id: String,
    /// The period's id in the student-information system.
    pub academic_period_id: String,
}

impl Routing {
    /// Where a charge of this college, kind and date goes; else what is
    /// missing, for people.
    ///
    /// # Errors
    /// A text without personal data.
    pub fn destination(
        &self,
        institution_code: &str,
        kind: FeeFineKind,
        charged_on: Date,
    ) -> Result<Destination, &'static str> {
        let route = self
            .route(institution_code, kind)
            .or_else(|| self.route("", kind))
            .ok_or("there is no route for this college and kind of charge")?;
        let period = self
            .period(charged_on)
            .ok_or("no academic period contains the date of the charge or comes after it")?;
        Ok(Destination {
            funding_destination_id: route.funding_destination_id.clone(),
            academic_period_id: period.id.clone(),
        })
    }

    fn route(&self, institution_code: &str, kind: FeeFineKind) -> Option<&Route> {
        self.routes
            .iter()
            .find(|route| route.institution_code == institution_code && route.kind == kind)
    }

    /// The period that contains the date, else the next one: the first that
    /// ends on that date or later.
    fn period(&self, date: Date) -> Option<&Period> {
        self.periods
            .iter()
            .filter(|period| period.last_date >= date)
            .min_by_key(|period| period.first_date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn routing() -> Routing {
        let route = |institution_code: &str, kind, destination: &str| Route {
            id: Uuid::nil(),
            institution_code: institution_code.into(),
            kind,
            funding_destination_id: destination.into(),
        };
        let period = |id: &str, first_date, last_date| Period {
            id: id.into(),
            code: id.into(),
            first_date,
            last_date,
        };
        Routing {
            routes: vec![
                route("", FeeFineKind::OverdueFine, "any"),
                route("ALD", FeeFineKind::OverdueFine, "ald"),
                route("ALD", FeeFineKind::LostItemFee, "ald-lost"),
            ],
            periods: vec![
                period("fall", date(2026, 8, 24), date(2026, 12, 18)),
                period("spring", date(2026, 1, 26), date(2026, 5, 29)),
            ],
        }
    }

    #[test]
    fn a_charge_goes_by_its_college_its_kind_and_its_date() {
        use FeeFineKind::{LostItemFee, OverdueFine};
        for (college, kind, on, expected) in [
            (
                "ALD",
                OverdueFine,
                date(2026, 3, 2),
                Some(("ald", "spring")),
            ),
            (
                "BER",
                OverdueFine,
                date(2026, 3, 2),
                Some(("any", "spring")),
            ),
            ("", OverdueFine, date(2026, 5, 29), Some(("any", "spring"))),
            // The summer gap belongs to the fall.
            (
                "ALD",
                LostItemFee,
                date(2026, 7, 1),
                Some(("ald-lost", "fall")),
            ),
            (
                "ALD",
                OverdueFine,
                date(2025, 1, 1),
                Some(("ald", "spring")),
            ),
            ("BER", LostItemFee, date(2026, 3, 2), None),
            ("ALD", OverdueFine, date(2026, 12, 19), None),
        ] {
            let destination = routing().destination(college, kind, on).ok();
            let found = destination
                .as_ref()
                .map(|found| (&*found.funding_destination_id, &*found.academic_period_id));
            assert_eq!(found, expected, "{college} {kind:?} {on}");
        }
    }
}
