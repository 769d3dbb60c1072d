//! How long something is lent: the terms of a loan policy.

use carrel_proto::circulation::v1::LoanCategory;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{PolicyKind, Terms, TermsFault, fault};
use crate::period::Period;

/// How a loan's due date is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoanProfile {
    /// A period after the check-out.
    Rolling(Period),
    /// The date of a schedule.
    Fixed,
}

/// What happens to a due date that falls into closed hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedLibraryDueDate {
    /// It stays.
    Keep,
    /// Back to the end of the last open day.
    EndOfPreviousOpenDay,
    /// On to the end of the next open day.
    EndOfNextOpenDay,
    /// Back to the end of the hours.
    EndOfCurrentHours,
    /// On to the next opening plus an offset.
    BeginningOfNextHours {
        /// How long after the opening.
        offset: Period,
    },
}

/// From when a renewed loan's period counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RenewFrom {
    /// From the due date.
    DueDate,
    /// From the moment of renewal.
    Now,
}

/// One span of a fixed due-date schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedDueDate {
    /// Loans made on or after this date …
    pub first_date: Date,
    /// … and on or before this one …
    pub last_date: Date,
    /// … are due at the end of this one.
    pub due_date: Date,
}

/// What kind of lending a policy is for, for statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// From the general collection.
    #[default]
    General,
    /// Course reserves.
    Reserve,
    /// Equipment.
    Equipment,
}

impl From<Category> for LoanCategory {
    fn from(category: Category) -> Self {
        match category {
            Category::General => Self::General,
            Category::Reserve => Self::Reserve,
            Category::Equipment => Self::Equipment,
        }
    }
}

/// What an item limit counts of the loans that a patron has out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemLimitScope {
    /// Those under the policy's code.
    #[default]
    Policy,
    /// Those of the item's material type.
    MaterialType,
    /// Those of the item's loan type.
    LoanType,
}

/// Short loans that begin shortly before closing time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overnight {
    /// How long before closing time, or less.
    pub window: Period,
    /// How long after the next opening they are due.
    pub offset: Period,
}

/// How long something is lent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoanTerms {
    /// Whether anything is lent at all.
    pub loanable: bool,
    /// How the due date is found. A policy that lends nothing may still have
    /// one, for the loans that staff make by override.
    pub profile: Option<LoanProfile>,
    /// The schedule.
    pub fixed_due_dates: Vec<FixedDueDate>,
    /// What happens to a due date in closed hours.
    pub closed_library_due_date: ClosedLibraryDueDate,
    /// How long after the due date nothing is owed.
    pub grace: Option<Period>,
    /// How many renewals.
    pub renewals_allowed: i32,
    /// From when a renewal counts.
    pub renew_from: RenewFrom,
    /// How many items one patron may have of those that its scope counts; 0:
    /// no limit.
    pub item_limit: i32,
    /// What kind of lending it is.
    #[serde(default)]
    pub category: Category,
    /// What the item limit counts.
    #[serde(default)]
    pub item_limit_scope: ItemLimitScope,
    /// The period instead while others wait for the item.
    #[serde(default)]
    pub alternate_period_when_requested: Option<Period>,
    /// The period of a renewal, where it is another one.
    #[serde(default)]
    pub renewal_period: Option<Period>,
    /// The schedule of renewals, where it is another one.
    #[serde(default)]
    pub renewal_fixed_due_dates: Vec<FixedDueDate>,
    /// What becomes of short loans that begin shortly before closing time.
    #[serde(default)]
    pub overnight: Option<Overnight>,
    /// Whether the item must stay in the building.
    #[serde(default)]
    pub building_use: bool,
    /// How long after its return the same patron may not have the item again.
    #[serde(default)]
    pub reborrow_after: Option<Period>,
    /// The borrowing agreement, by code and version; "": none.
    #[serde(default)]
    pub agreement: String,
    /// The least that a loan lasts.
    #[serde(default)]
    pub minimum_period: Option<Period>,
    /// Whether loans renew themselves shortly before they are due.
    #[serde(default)]
    pub renew_automatically: bool,
    /// How long before; `None`: a day.
    #[serde(default)]
    pub renew_automatically_before: Option<Period>,
}

impl Terms for LoanTerms {
    const KIND: PolicyKind = PolicyKind::Loan;

    fn check(&self) -> Result<(), TermsFault> {
        let is_short = match self.profile {
            None if self.loanable => return fault("profile", "is needed where anything is lent"),
            None => false,
            Some(LoanProfile::Fixed) if self.fixed_due_dates.is_empty() => {
                return fault("fixed_due_dates", "are needed for a fixed profile");
            }
            Some(LoanProfile::Fixed) => false,
            Some(LoanProfile::Rolling(period)) => period.is_short(),
        };
        let misfit = match self.closed_library_due_date {
            ClosedLibraryDueDate::Keep => false,
            ClosedLibraryDueDate::EndOfPreviousOpenDay | ClosedLibraryDueDate::EndOfNextOpenDay => {
                is_short
            }
            ClosedLibraryDueDate::EndOfCurrentHours
            | ClosedLibraryDueDate::BeginningOfNextHours { .. } => !is_short,
        };
        if misfit {
            return fault(
                "closed_library_due_date",
                "must be one for short loans where the period is in minutes or hours, else one for long loans",
            );
        }
        check_schedule("fixed_due_dates", &self.fixed_due_dates)?;
        check_schedule("renewal_fixed_due_dates", &self.renewal_fixed_due_dates)?;
        self.check_periods(is_short)?;
        self.check_desk_rules(is_short)?;
        if !(0..=1_000).contains(&self.renewals_allowed) {
            return fault("renewals_allowed", "must be 0 to 1,000");
        }
        if self.item_limit < 0 {
            return fault("item_limit", "must not be negative");
        }
        if self.renew_automatically && self.renewals_allowed == 0 {
            return fault(
                "renew_automatically",
                "must not be set where no renewal is allowed",
            );
        }
        Ok(())
    }
}

impl LoanTerms {
    /// Other periods run as the policy's own does: by the clock or by days.
    fn check_periods(&self, is_short: bool) -> Result<(), TermsFault> {
        for (field, period) in [
            (
                "alternate_period_when_requested",
                self.alternate_period_when_requested,
            ),
            ("renewal_period", self.renewal_period),
            ("minimum_period", self.minimum_period),
        ] {
            if period.is_some_and(|period| period.is_short() != is_short) {
                return fault(
                    field,
                    "must be in minutes or hours where the period is, else in days or longer",
                );
            }
        }
        if self.renewal_period.is_some() && self.profile == Some(LoanProfile::Fixed) {
            return fault("renewal_period", "is for a rolling profile");
        }
        Ok(())
    }

    fn check_desk_rules(&self, is_short: bool) -> Result<(), TermsFault> {
        if let Some(overnight) = self.overnight {
            if !is_short {
                return fault("overnight_window", "is for loans in minutes or hours");
            }
            if !overnight.window.is_short() {
                return fault("overnight_window", "must be in minutes or hours");
            }
            if !overnight.offset.is_short() {
                return fault("overnight_offset", "must be in minutes or hours");
            }
        }
        let leaves_by_night = !is_short
            || self.overnight.is_some()
            || self.closed_library_due_date != ClosedLibraryDueDate::EndOfCurrentHours;
        if self.building_use && leaves_by_night {
            return fault(
                "building_use",
                "needs a short period, due dates at the end of current hours and no overnight window",
            );
        }
        Ok(())
    }

    /// Whether it lends by the clock rather than by the calendar.
    #[must_use]
    pub fn is_short(&self) -> bool {
        matches!(self.profile, Some(LoanProfile::Rolling(period)) if period.is_short())
    }

    /// The key of the patron's counter that the item limit is held against.
    #[must_use]
    pub fn limited_kind(&self, kinds: [String; 3]) -> String {
        let [policy, material_type, loan_type] = kinds;
        match self.item_limit_scope {
            ItemLimitScope::Policy => policy,
            ItemLimitScope::MaterialType => material_type,
            ItemLimitScope::LoanType => loan_type,
        }
    }
}

fn check_schedule(field: &'static str, schedule: &[FixedDueDate]) -> Result<(), TermsFault> {
    if schedule.len() > 100 {
        return fault(field, "must be at most 100");
    }
    let backwards =
        |span: &FixedDueDate| span.last_date < span.first_date || span.due_date < span.last_date;
    if schedule.iter().any(backwards) {
        return fault(
            field,
            "must each end on or after their first date, and be due on or after their last",
        );
    }
    let mut spans: Vec<_> = schedule
        .iter()
        .map(|span| (span.first_date, span.last_date))
        .collect();
    spans.sort_unstable();
    if spans.windows(2).any(|pair| pair[1].0 <= pair[0].1) {
        return fault(field, "must not overlap");
    }
    Ok(())
}
