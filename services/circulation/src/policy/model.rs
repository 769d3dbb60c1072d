//! What a policy says, and the rules that it must keep to. Pure.

use carrel_money::Money;
use carrel_proto::circulation::v1::{LoanCategory, RequestType};
use jiff::civil::Date;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::period::{Period, PeriodUnit};
use crate::request::model::Pickup;

/// The kinds of policy whose terms circulation keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// `l`.
    Loan,
    /// `o`.
    OverdueFine,
    /// `i`.
    LostItem,
    /// `r`.
    Request,
}

impl PolicyKind {
    /// As the database keeps it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loan => "loan",
            Self::OverdueFine => "overdue_fine",
            Self::LostItem => "lost_item",
            Self::Request => "request",
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
    /// The fine for each interval begun of a loan that was recalled; `None`:
    /// the same.
    #[serde(default, with = "money_text::optional")]
    pub recall_amount: Option<Money>,
    /// Its interval; `None`: the same.
    #[serde(default)]
    pub recall_interval: Option<Period>,
    /// Its maximum; `None`: the same.
    #[serde(default, with = "money_text::optional")]
    pub recall_maximum: Option<Money>,
    /// Whether a loan that was recalled has no grace.
    #[serde(default)]
    pub no_grace_for_recalls: bool,
    /// Whether a renewal forgives the fine incurred until then.
    #[serde(default)]
    pub forgive_on_renewal: bool,
}

impl FineTerms {
    /// The terms as they are for a loan that was recalled.
    #[must_use]
    pub fn for_recall(&self) -> Self {
        Self {
            amount: self.recall_amount.unwrap_or(self.amount),
            interval: self.recall_interval.unwrap_or(self.interval),
            maximum: self.recall_maximum.or(self.maximum),
            ..self.clone()
        }
    }
}

impl Terms for FineTerms {
    const KIND: PolicyKind = PolicyKind::OverdueFine;

    fn check(&self) -> Result<(), TermsFault> {
        check_amount("amount", self.amount)?;
        for (field, amount) in [
            ("maximum", self.maximum),
            ("recall_amount", self.recall_amount),
            ("recall_maximum", self.recall_maximum),
        ] {
            let Some(amount) = amount else { continue };
            check_amount(field, amount)?;
            if amount.currency() != self.amount.currency() {
                return fault(field, "must have the amount's currency");
            }
        }
        let in_months = |interval: Period| interval.unit == PeriodUnit::Months;
        if (in_months(self.interval) || self.recall_interval.is_some_and(in_months))
            && !self.count_closed
        {
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
    /// How long after the due date an item is aged to lost that somebody
    /// recalled; `None`: the same.
    #[serde(default)]
    pub recalled_aged_to_lost_after: Option<Period>,
    /// Whether staff set the lost item fee once the actual cost is known.
    #[serde(default)]
    pub actual_cost: bool,
    /// Whether an item declared lost owes neither fee.
    #[serde(default)]
    pub no_fees_when_declared: bool,
    /// The processing fee of an item declared lost; `None`: the same.
    #[serde(default, with = "money_text::optional")]
    pub declared_processing_fee: Option<Money>,
    /// How long after the loss a returned item owes neither fee; `None`: no
    /// time.
    #[serde(default)]
    pub no_fees_within: Option<Period>,
    /// The fee for damage, and for missing parts without a price.
    #[serde(default, with = "money_text::optional")]
    pub damage_fee: Option<Money>,
}

impl LostTerms {
    /// How long after its due date a loan's item is aged to lost; `None`:
    /// never.
    #[must_use]
    pub fn aged_after(&self, is_recalled: bool) -> Option<Period> {
        let recalled = self.recalled_aged_to_lost_after.filter(|_| is_recalled);
        recalled.or(self.aged_to_lost_after)
    }
}

impl Terms for LostTerms {
    const KIND: PolicyKind = PolicyKind::LostItem;

    fn check(&self) -> Result<(), TermsFault> {
        for (field, amount) in [
            ("set_cost", self.set_cost),
            ("processing_fee", self.processing_fee),
            ("declared_processing_fee", self.declared_processing_fee),
            ("damage_fee", self.damage_fee),
        ] {
            amount.map_or(Ok(()), |amount| check_amount(field, amount))?;
        }
        let amounts = [
            self.set_cost,
            self.processing_fee,
            self.declared_processing_fee,
            self.damage_fee,
        ];
        let mut currencies = amounts.iter().flatten().map(|amount| amount.currency());
        if let Some(first) = currencies.next()
            && currencies.any(|currency| currency != first)
        {
            return fault(
                "processing_fee",
                "must have one currency with the other amounts",
            );
        }
        if self.actual_cost && (self.set_cost.is_some() || self.charge_set_cost) {
            return fault(
                "set_cost",
                "must not be set where the actual cost is charged",
            );
        }
        if self.charge_set_cost && self.set_cost.is_none() {
            return fault("set_cost", "is needed where it is always charged");
        }
        Ok(())
    }
}

/// What may be requested, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RequestTerms {
    /// Whether it may be held.
    pub hold: bool,
    /// Whether it may be recalled.
    pub recall: bool,
    /// Whether it may be paged.
    pub page: bool,
    /// Where it may be picked up; empty: anywhere.
    pub pickup_service_point_ids: Vec<Uuid>,
    /// Whether it may be picked up only in the item's own library.
    pub pickup_in_own_library_only: bool,
    /// Whether it may be delivered.
    pub delivery_allowed: bool,
    /// How long a copy waits; `None`: as the service point says.
    pub hold_shelf_period: Option<Period>,
    /// How long a loan lasts at least, whoever recalls it.
    pub minimum_guaranteed_loan_period: Option<Period>,
    /// How long after the recall it is due.
    pub recall_return_interval: Option<Period>,
    /// How many open requests one patron may have under this code; 0: no
    /// limit.
    pub max_requests: i32,
    /// Whether a loan may be renewed although a hold waits for it.
    pub renewal_despite_holds: bool,
}

impl RequestTerms {
    /// Whether it allows requests of a type.
    #[must_use]
    pub fn allows(&self, kind: RequestType) -> bool {
        match kind {
            RequestType::Hold => self.hold,
            RequestType::Recall => self.recall,
            RequestType::Page => self.page,
            RequestType::Unspecified => false,
        }
    }

    /// Whether an item of a library may be picked up there; `None`: delivered.
    #[must_use]
    pub fn allows_pickup(&self, pickup: Option<&Pickup>, item_library: &str) -> bool {
        let Some(pickup) = pickup else {
            return self.delivery_allowed;
        };
        let points = &self.pickup_service_point_ids;
        (points.is_empty() || points.contains(&pickup.service_point_id))
            && (!self.pickup_in_own_library_only || pickup.library_code == item_library)
    }
}

impl Terms for RequestTerms {
    const KIND: PolicyKind = PolicyKind::Request;

    fn check(&self) -> Result<(), TermsFault> {
        if self.pickup_service_point_ids.len() > 200 {
            return fault("pickup_service_point_ids", "must be at most 200");
        }
        if self.max_requests < 0 {
            return fault("max_requests", "must not be negative");
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
    /// The most items overdue that somebody recalled; 0: no limit.
    pub max_overdue_recalls: i32,
    /// The most days that a recalled item may be overdue; 0: no limit.
    pub max_recall_overdue_days: i32,
    /// What each limit blocks once it is exceeded.
    pub blocks: LimitBlocks,
}

/// What each limit of a patron group blocks once it is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitBlocks {
    /// By items out.
    pub loans: BlockedActions,
    /// By items overdue.
    pub overdue: BlockedActions,
    /// By items lost.
    pub lost: BlockedActions,
    /// By what is owed.
    pub balance: BlockedActions,
    /// By recalled items overdue.
    pub overdue_recalls: BlockedActions,
    /// By the days that a recalled item is overdue.
    pub recall_overdue_days: BlockedActions,
}

impl Default for LimitBlocks {
    /// Borrowing and renewals; how many items are out says nothing against
    /// keeping them for longer.
    fn default() -> Self {
        let both = BlockedActions {
            borrowing: true,
            renewals: true,
            requests: false,
        };
        Self {
            loans: BlockedActions {
                renewals: false,
                ..both
            },
            overdue: both,
            lost: both,
            balance: both,
            overdue_recalls: both,
            recall_overdue_days: both,
        }
    }
}

/// What a limit blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockedActions {
    /// Check-outs.
    pub borrowing: bool,
    /// Renewals.
    pub renewals: bool,
    /// Requests.
    pub requests: bool,
}

impl BlockedActions {
    /// As the database keeps it: 1, 2 and 4, added up.
    #[must_use]
    pub fn from_bits(bits: i16) -> Self {
        Self {
            borrowing: bits & 1 != 0,
            renewals: bits & 2 != 0,
            requests: bits & 4 != 0,
        }
    }

    /// As the database keeps it.
    #[must_use]
    pub fn bits(self) -> i16 {
        i16::from(self.borrowing) + 2 * i16::from(self.renewals) + 4 * i16::from(self.requests)
    }
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
