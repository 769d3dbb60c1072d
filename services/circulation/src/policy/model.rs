//! What a policy says, and the rules that it must keep to. Pure.

use carrel_money::Money;
use carrel_proto::circulation::v1::LoanCategory;
use jiff::civil::Date;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::period::{Period, PeriodUnit};

/// The kinds of policy whose terms circulation keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// `l`.
    Loan,
    /// `o`.
    OverdueFine,
    /// `i`.
    LostItem,
}

impl PolicyKind {
    /// As the database keeps it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loan => "loan",
            Self::OverdueFine => "overdue_fine",
            Self::LostItem => "lost_item",
        }
    }
}

/// One version of a policy. It never changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy<T> {
    /// This version's id.
    pub id: Uuid,
    /// The code by which rules name it.
    pub code: String,
    /// Which version of the code, from 1.
    pub version: i32,
    /// Its name for people.
    pub name: String,
    /// What it says.
    pub terms: T,
}

/// What some kind of policy says.
pub trait Terms: Clone + Send + Sync + Serialize + DeserializeOwned + 'static {
    /// The kind.
    const KIND: PolicyKind;

    /// The rules that the terms must keep to.
    ///
    /// # Errors
    /// [`TermsFault`] for the first one broken.
    fn check(&self) -> Result<(), TermsFault>;
}

/// A field of a policy that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermsFault {
    /// The field, by its name in the contract.
    pub field: &'static str,
    /// What it must be.
    pub expected: &'static str,
}

fn fault<T>(field: &'static str, expected: &'static str) -> Result<T, TermsFault> {
    Err(TermsFault { field, expected })
}

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
    /// How many items one patron may have under this code; 0: no limit.
    pub item_limit: i32,
    /// What kind of lending it is.
    #[serde(default)]
    pub category: Category,
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
        check_schedule(&self.fixed_due_dates)?;
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

fn check_schedule(schedule: &[FixedDueDate]) -> Result<(), TermsFault> {
    if schedule.len() > 100 {
        return fault("fixed_due_dates", "must be at most 100");
    }
    let backwards =
        |span: &FixedDueDate| span.last_date < span.first_date || span.due_date < span.last_date;
    if schedule.iter().any(backwards) {
        return fault(
            "fixed_due_dates",
            "must each end on or after their first date, and be due on or after their last",
        );
    }
    let mut spans: Vec<_> = schedule
        .iter()
        .map(|span| (span.first_date, span.last_date))
        .collect();
    spans.sort_unstable();
    if spans.windows(2).any(|pair| pair[1].0 <= pair[0].1) {
        return fault("fixed_due_dates", "must not overlap");
    }
    Ok(())
}

/// The largest amount that a policy may name, in the main unit. With it no
/// fine of a human life's length passes what the database keeps.
const LARGEST_AMOUNT: i64 = 10_000;

fn check_amount(field: &'static str, amount: Money) -> Result<(), TermsFault> {
    if amount.is_negative() || amount.amount() > LARGEST_AMOUNT.into() {
        return fault(field, "must be 0 to 10,000");
    }
    Ok(())
}

/// What an overdue item costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FineTerms {
    /// The fine for each interval begun.
    #[serde(with = "money_text")]
    pub amount: Money,
    /// The interval.
    pub interval: Period,
    /// The most for one loan.
    #[serde(with = "money_text::optional")]
    pub maximum: Option<Money>,
    /// Whether closed hours or days count.
    pub count_closed: bool,
    /// Whether a loan that becomes lost owes no overdue fine.
    pub forgive_when_lost: bool,
}

impl Terms for FineTerms {
    const KIND: PolicyKind = PolicyKind::OverdueFine;

    fn check(&self) -> Result<(), TermsFault> {
        check_amount("amount", self.amount)?;
        if let Some(maximum) = self.maximum {
            check_amount("maximum", maximum)?;
            if maximum.currency() != self.amount.currency() {
                return fault("maximum", "must have the amount's currency");
            }
        }
        if self.interval.unit == PeriodUnit::Months && !self.count_closed {
            return fault(
                "count_closed",
                "must be set where the interval is in months",
            );
        }
        Ok(())
    }
}

/// What a lost item costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostTerms {
    /// How long after the due date an item is aged to lost; `None`: never.
    pub aged_to_lost_after: Option<Period>,
    /// Charged where the replacement price is unknown, or always.
    #[serde(with = "money_text::optional")]
    pub set_cost: Option<Money>,
    /// Whether the set cost is charged also where the price is known.
    pub charge_set_cost: bool,
    /// The processing fee.
    #[serde(with = "money_text::optional")]
    pub processing_fee: Option<Money>,
    /// How long after it was aged to lost a fee is given back; `None`: never.
    pub refund_within: Option<Period>,
    /// Whether the processing fee is given back too.
    pub refund_processing_fee: bool,
}

impl Terms for LostTerms {
    const KIND: PolicyKind = PolicyKind::LostItem;

    fn check(&self) -> Result<(), TermsFault> {
        for (field, amount) in [
            ("set_cost", self.set_cost),
            ("processing_fee", self.processing_fee),
        ] {
            amount.map_or(Ok(()), |amount| check_amount(field, amount))?;
        }
        if self.charge_set_cost && self.set_cost.is_none() {
            return fault("set_cost", "is needed where it is always charged");
        }
        Ok(())
    }
}

/// The limits of a patron group, whatever the item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatronLimits {
    /// The group, by its code.
    pub patron_group: String,
    /// The most items out at once; 0: no limit.
    pub max_loans: i32,
    /// The most items overdue; 0: no limit.
    pub max_overdue: i32,
    /// The most items lost; 0: no limit.
    pub max_lost: i32,
    /// The most that may be owed.
    pub max_balance: Option<Money>,
}

/// Money inside a policy's terms: "12.50 USD".
mod money_text {
    use carrel_money::{Currency, Decimal, Money};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(money: &Money, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(money)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
        parse(&String::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("not an amount"))
    }

    fn parse(text: &str) -> Option<Money> {
        let (amount, currency) = text.split_once(' ')?;
        let amount: Decimal = amount.parse().ok()?;
        let currency: Currency = currency.parse().ok()?;
        Money::new(amount, currency).ok()
    }

    pub mod optional {
        use super::{Deserialize, Deserializer, Error, Money, Serializer};

        pub fn serialize<S: Serializer>(
            money: &Option<Money>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match money {
                Some(money) => serializer.collect_str(money),
                None => serializer.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Money>, D::Error> {
            let text = Option::<String>::deserialize(deserializer)?;
            text.map(|text| super::parse(&text).ok_or_else(|| D::Error::custom("not an amount")))
                .transpose()
        }
    }
}
