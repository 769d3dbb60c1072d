//! The sample district, as it stands in `samples/`.

use serde::Deserialize;

/// A district: its places, what it charges, what its other systems know.
#[derive(Debug, Deserialize)]
pub struct District {
    pub district: Header,
    pub institution: Vec<Named>,
    pub campus: Vec<Campus>,
    pub library: Vec<Library>,
    pub location: Vec<Location>,
    pub patron_group: Vec<Named>,
    pub service_point: Vec<ServicePoint>,
    pub opening_hours: Vec<OpeningHours>,
    pub hours_exception: Vec<HoursException>,
    pub academic_period: Vec<AcademicPeriod>,
    pub funding_destination: Vec<FundingDestination>,
    pub fee_fine_owner: Vec<FeeFineOwner>,
    pub fee_fine_type: Vec<FeeFineType>,
    pub posting_route: Vec<PostingRoute>,
    pub fiscal_year: Vec<FiscalYear>,
    pub ledger: Vec<Named>,
    pub fund: Vec<Fund>,
    pub budget_code_structure: BudgetCodeStructure,
}

#[derive(Debug, Deserialize)]
pub struct Header {
    pub name: String,
    pub time_zone: String,
    pub currency_code: String,
}

#[derive(Debug, Deserialize)]
pub struct Named {
    pub code: String,
    pub name: String,
}

#[derive(Debug, Deserialize)]
pub struct Campus {
    pub code: String,
    pub name: String,
    pub institution: String,
}

#[derive(Debug, Deserialize)]
pub struct Library {
    pub code: String,
    pub name: String,
    pub campus: String,
}

#[derive(Debug, Deserialize)]
pub struct Location {
    pub code: String,
    pub name: String,
    pub library: String,
}

#[derive(Debug, Deserialize)]
pub struct ServicePoint {
    pub code: String,
    pub name: String,
    pub library: String,
    /// How long requests wait on its hold shelf; left out where none are
    /// picked up there.
    pub hold_shelf_period: Option<Period>,
}

/// The week of a library: hours such as "07:45-20:00", closed where left out.
#[derive(Debug, Deserialize)]
pub struct OpeningHours {
    pub library: String,
    pub monday: Option<String>,
    pub tuesday: Option<String>,
    pub wednesday: Option<String>,
    pub thursday: Option<String>,
    pub friday: Option<String>,
    pub saturday: Option<String>,
    pub sunday: Option<String>,
}

impl OpeningHours {
    /// The hours from Monday on.
    pub fn week(&self) -> [Option<&str>; 7] {
        [
            &self.monday,
            &self.tuesday,
            &self.wednesday,
            &self.thursday,
            &self.friday,
            &self.saturday,
            &self.sunday,
        ]
        .map(Option::as_deref)
    }
}

#[derive(Debug, Deserialize)]
pub struct HoursException {
    pub first_date: jiff::civil::Date,
    pub last_date: Option<jiff::civil::Date>,
    pub reason: String,
    pub hours: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct AcademicPeriod {
    pub code: String,
    pub id: String,
    pub first_date: jiff::civil::Date,
    pub last_date: jiff::civil::Date,
}

#[derive(Debug, Deserialize)]
pub struct FundingDestination {
    pub code: String,
    pub name: String,
    pub id: String,
}

#[derive(Debug, Deserialize)]
pub struct FeeFineOwner {
    pub code: String,
    pub name: String,
    pub institution: String,
    pub libraries: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct FeeFineType {
    pub code: String,
    pub kind: String,
    pub statement_text: String,
    pub default_amount: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct PostingRoute {
    pub institution: String,
    pub kind: String,
    pub funding_destination: String,
}

#[derive(Debug, Deserialize)]
pub struct FiscalYear {
    pub code: String,
    pub first_date: jiff::civil::Date,
    pub last_date: jiff::civil::Date,
}

#[derive(Debug, Deserialize)]
pub struct Fund {
    pub code: String,
    pub name: String,
    pub ledger: String,
    pub allocation: String,
    pub allowable_encumbrance_percent: Option<i32>,
}

#[derive(Debug, Deserialize)]
pub struct BudgetCodeStructure {
    pub separator: String,
    pub segment: Vec<Segment>,
    pub combination: Vec<Combination>,
}

#[derive(Debug, Deserialize)]
pub struct Segment {
    pub name: String,
    pub length: i32,
    pub values: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct Combination {
    pub values: Vec<String>,
}

/// The policies that the sample rules name.
#[derive(Debug, Deserialize)]
pub struct Policies {
    pub loan_policy: Vec<LoanPolicy>,
    pub overdue_fine_policy: Vec<OverdueFinePolicy>,
    pub lost_item_policy: Vec<LostItemPolicy>,
    pub request_policy: Vec<RequestPolicy>,
    pub patron_limits: Vec<PatronLimits>,
}

#[derive(Debug, Deserialize)]
pub struct Period {
    pub count: i32,
    pub unit: String,
}

#[derive(Debug, Deserialize)]
pub struct FixedDueDate {
    pub first_date: jiff::civil::Date,
    pub last_date: jiff::civil::Date,
    pub due_date: jiff::civil::Date,
}

#[derive(Debug, Deserialize)]
pub struct LoanPolicy {
    pub code: String,
    pub name: String,
    pub loanable: bool,
    pub profile: Option<String>,
    pub period: Option<Period>,
    #[serde(default)]
    pub fixed_due_dates: Vec<FixedDueDate>,
    pub closed_library_due_date: Option<String>,
    pub opening_offset: Option<Period>,
    pub grace: Option<Period>,
    #[serde(default)]
    pub renewals_allowed: i32,
    pub renew_from: Option<String>,
    #[serde(default)]
    pub item_limit: i32,
}

#[derive(Debug, Deserialize)]
pub struct OverdueFinePolicy {
    pub code: String,
    pub name: String,
    pub amount: String,
    pub interval: Period,
    pub maximum: Option<String>,
    pub count_closed: bool,
    pub forgive_when_lost: bool,
}

#[derive(Debug, Deserialize)]
pub struct LostItemPolicy {
    pub code: String,
    pub name: String,
    pub aged_to_lost_after: Option<Period>,
    pub set_cost: String,
    pub charge_set_cost: bool,
    pub processing_fee: String,
    pub refund_within: Option<Period>,
    pub refund_processing_fee: bool,
}

#[derive(Debug, Deserialize)]
pub struct RequestPolicy {
    pub code: String,
    pub name: String,
    pub types: Vec<String>,
    pub minimum_guaranteed_loan_period: Option<Period>,
    pub recall_return_interval: Option<Period>,
    #[serde(default)]
    pub max_requests: i32,
}

#[derive(Debug, Deserialize)]
pub struct PatronLimits {
    pub patron_group: String,
    pub max_loans: i32,
    pub max_overdue: i32,
    pub max_lost: i32,
    pub max_balance: String,
}

/// The sample rules.
pub const RULES: &str = include_str!("../../samples/circulation-rules.txt");
/// The sample records, ISO 2709.
pub const RECORDS: &[u8] = include_bytes!("../../samples/catalog.mrc");
/// The sample records, MARCXML.
pub const RECORDS_XML: &[u8] = include_bytes!("../../samples/catalog.xml");
/// Sample records of which three are broken.
pub const RECORDS_DAMAGED: &[u8] = include_bytes!("../../samples/catalog-damaged.mrc");
/// The sample roster.
pub const PATRONS: &[u8] = include_bytes!("../../samples/patrons.csv");
/// A sample roster in which every row but a few has a mistake.
pub const PATRONS_WITH_ERRORS: &[u8] = include_bytes!("../../samples/patrons-with-errors.csv");

/// The sample district.
pub fn district() -> District {
    toml::from_str(include_str!("../../samples/district.toml")).expect("a test reads it")
}

/// The sample policies.
pub fn policies() -> Policies {
    toml::from_str(include_str!("../../samples/policies.toml")).expect("a test reads it")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_sample_district_can_be_read() {
        assert_eq!(super::district().library.len(), 4);
        assert!(!super::policies().loan_policy.is_empty());
    }
}
