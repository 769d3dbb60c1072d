//! Setting the sample district up over gRPC, as an operator would.

use std::collections::HashMap;

use anyhow::{Context as _, anyhow, bail};
use carrel_proto::billing::v1 as billing;
use carrel_proto::budgeting::v1 as budgeting;
use carrel_proto::catalog::v1 as catalog;
use carrel_proto::circulation::v1 as circulation;
use carrel_proto::patrons::v1 as patrons;
use carrel_proto::r#type::v1::{Money, TimeOfDay};
use carrel_runtime::wire::to_date;
use serde_json::json;

use super::district::{District, Period, Policies, RULES};
use crate::clients::{Clients, money, request_id};

/// What the scenes need to know of the district as set up.
#[derive(Debug, Default)]
pub struct Seeded {
    /// Service points by code.
    pub service_points: HashMap<String, String>,
    /// Fee/fine owners by code.
    pub fee_fine_owners: HashMap<String, String>,
    /// Fee/fine types by code.
    pub fee_fine_types: HashMap<String, String>,
    /// Budgets by the fund's code.
    pub budgets: HashMap<String, String>,
}

/// Sets the district up.
pub async fn seed(
    clients: &mut Clients,
    district: &District,
    policies: &Policies,
) -> anyhow::Result<Seeded> {
    let mut seeded = Seeded::default();
    location_units(clients, district).await?;
    patron_groups(clients, district).await?;
    service_points(clients, district, &mut seeded).await?;
    self::policies(clients, policies, &district.district.currency_code).await?;
    fees(clients, district, &mut seeded).await?;
    student_information_system(clients, district).await?;
    budgets(clients, district, &mut seeded).await?;
    Ok(seeded)
}

async fn location_units(clients: &mut Clients, district: &District) -> anyhow::Result<()> {
    use catalog::LocationUnitKind::{Campus, Institution, Library, Location};
    let mut ids: HashMap<String, String> = HashMap::new();
    let institutions = district
        .institution
        .iter()
        .map(|unit| (Institution, &unit.code, &unit.name, ""));
    let campuses = district
        .campus
        .iter()
        .map(|unit| (Campus, &unit.code, &unit.name, unit.institution.as_str()));
    let libraries = district
        .library
        .iter()
        .map(|unit| (Library, &unit.code, &unit.name, unit.campus.as_str()));
    let locations = district
        .location
        .iter()
        .map(|unit| (Location, &unit.code, &unit.name, unit.library.as_str()));
    for (kind, code, name, parent) in institutions
        .chain(campuses)
        .chain(libraries)
        .chain(locations)
    {
        let parent_id = if parent.is_empty() {
            String::new()
        } else {
            ids.get(parent)
                .with_context(|| format!("no unit {parent}"))?
                .clone()
        };
        let unit = clients
            .location_units
            .create_location_unit(catalog::CreateLocationUnitRequest {
                location_unit: Some(catalog::LocationUnit {
                    kind: kind.into(),
                    parent_id,
                    code: code.clone(),
                    name: name.clone(),
                    ..Default::default()
                }),
                request_id: request_id(),
            })
            .await?
            .into_inner()
            .location_unit
            .context("the answer has no unit")?;
        ids.insert(code.clone(), unit.id);
    }
    Ok(())
}

async fn patron_groups(clients: &mut Clients, district: &District) -> anyhow::Result<()> {
    for group in &district.patron_group {
        clients
            .patron_groups
            .create_patron_group(patrons::CreatePatronGroupRequest {
                patron_group: Some(patrons::PatronGroup {
                    code: group.code.clone(),
                    name: group.name.clone(),
                    ..Default::default()
                }),
                request_id: request_id(),
            })
            .await?;
    }
    Ok(())
}

/// "07:45-20:00" as two times of day.
fn hours(text: &str) -> anyhow::Result<(TimeOfDay, TimeOfDay)> {
    let time = |text: &str| {
        let (hours, minutes) = text.split_once(':')?;
        Some(TimeOfDay {
            hours: hours.parse().ok()?,
            minutes: minutes.parse().ok()?,
        })
    };
    text.split_once('-')
        .and_then(|(opens, closes)| Some((time(opens)?, time(closes)?)))
        .ok_or_else(|| anyhow!("{text} are no hours"))
}

async fn service_points(
    clients: &mut Clients,
    district: &District,
    seeded: &mut Seeded,
) -> anyhow::Result<()> {
    let mut exceptions = Vec::new();
    for exception in &district.hours_exception {
        let times = exception.hours.as_deref().map(hours).transpose()?;
        exceptions.push(circulation::HoursException {
            first_date: Some(to_date(exception.first_date)),
            last_date: Some(to_date(exception.last_date.unwrap_or(exception.first_date))),
            reason: exception.reason.clone(),
            opens: times.map(|(opens, _)| opens),
            closes: times.map(|(_, closes)| closes),
        });
    }
    for point in &district.service_point {
        let id = clients
            .service_points
            .create_service_point(circulation::CreateServicePointRequest {
                service_point: Some(circulation::ServicePoint {
                    code: point.code.clone(),
                    name: point.name.clone(),
                    library_code: point.library.clone(),
                    institution_code: institution_of(district, &point.library)?,
                    time_zone: district.district.time_zone.clone(),
                    pickup_location: point.hold_shelf_period.is_some(),
                    hold_shelf_period: point.hold_shelf_period.as_ref().map(period).transpose()?,
                    ..Default::default()
                }),
                request_id: request_id(),
            })
            .await?
            .into_inner()
            .service_point
            .context("the answer has no service point")?
            .id;
        clients
            .service_points
            .set_opening_hours(circulation::SetOpeningHoursRequest {
                service_point_id: id.clone(),
                weekly_hours: weekly_hours(district, &point.library)?,
                exceptions: exceptions.clone(),
                request_id: request_id(),
            })
            .await?;
        seeded.service_points.insert(point.code.clone(), id);
    }
    Ok(())
}

fn weekly_hours(
    district: &District,
    library: &str,
) -> anyhow::Result<Vec<circulation::WeeklyHours>> {
    let Some(week) = district
        .opening_hours
        .iter()
        .find(|hours| hours.library == library)
    else {
        bail!("{library} has no opening hours");
    };
    (1..)
        .zip(week.week())
        .filter_map(|(day, open)| Some((day, open?)))
        .map(|(day, open)| {
            let (opens, closes) = hours(open)?;
            Ok(circulation::WeeklyHours {
                day,
                opens: Some(opens),
                closes: Some(closes),
            })
        })
        .collect()
}

fn institution_of(district: &District, library: &str) -> anyhow::Result<String> {
    let campus = district
        .library
        .iter()
        .find(|unit| unit.code == library)
        .map(|unit| &unit.campus);
    district
        .campus
        .iter()
        .find(|unit| Some(&unit.code) == campus)
        .map(|unit| unit.institution.clone())
        .with_context(|| format!("no library {library}"))
}

fn period(period: &Period) -> anyhow::Result<circulation::Period> {
    let unit = circulation::PeriodUnit::from_str_name(&format!(
        "PERIOD_UNIT_{}",
        period.unit.to_uppercase()
    ))
    .with_context(|| format!("no unit {}", period.unit))?;
    Ok(circulation::Period {
        count: period.count,
        unit: unit.into(),
    })
}

/// An enum's value from the name that the samples give it, such as
/// "end-of-next-open-day".
fn enum_name(prefix: &str, name: Option<&str>) -> String {
    let name = name
        .unwrap_or("unspecified")
        .to_uppercase()
        .replace('-', "_");
    format!("{prefix}_{name}")
}

async fn policies(
    clients: &mut Clients,
    policies: &Policies,
    currency: &str,
) -> anyhow::Result<()> {
    for policy in &policies.loan_policy {
        clients
            .policies
            .create_loan_policy(circulation::CreateLoanPolicyRequest {
                loan_policy: Some(loan_policy(policy)?),
                request_id: request_id(),
            })
            .await?;
    }
    for policy in &policies.overdue_fine_policy {
        let maximum = policy
            .maximum
            .as_deref()
            .map(|text| money(text, currency))
            .transpose()?;
        clients
            .policies
            .create_overdue_fine_policy(circulation::CreateOverdueFinePolicyRequest {
                overdue_fine_policy: Some(circulation::OverdueFinePolicy {
                    code: policy.code.clone(),
                    name: policy.name.clone(),
                    amount: Some(money(&policy.amount, currency)?),
                    interval: Some(period(&policy.interval)?),
                    maximum,
                    count_closed: policy.count_closed,
                    forgive_when_lost: policy.forgive_when_lost,
                    ..Default::default()
                }),
                request_id: request_id(),
            })
            .await?;
    }
    for policy in &policies.lost_item_policy {
        clients
            .policies
            .create_lost_item_policy(circulation::CreateLostItemPolicyRequest {
                lost_item_policy: Some(circulation::LostItemPolicy {
                    code: policy.code.clone(),
                    name: policy.name.clone(),
                    aged_to_lost_after: policy
                        .aged_to_lost_after
                        .as_ref()
                        .map(period)
                        .transpose()?,
                    set_cost: Some(money(&policy.set_cost, currency)?),
                    charge_set_cost: policy.charge_set_cost,
                    processing_fee: Some(money(&policy.processing_fee, currency)?),
                    refund_within: policy.refund_within.as_ref().map(period).transpose()?,
                    refund_processing_fee: policy.refund_processing_fee,
                    ..Default::default()
                }),
                request_id: request_id(),
            })
            .await?;
    }
    for policy in &policies.request_policy {
        clients
            .policies
            .create_request_policy(circulation::CreateRequestPolicyRequest {
                request_policy: Some(request_policy(policy)?),
                request_id: request_id(),
            })
            .await?;
    }
    for limits in &policies.patron_limits {
        clients
            .policies
            .set_patron_limits(circulation::SetPatronLimitsRequest {
                patron_limits: Some(circulation::PatronLimits {
                    patron_group: limits.patron_group.clone(),
                    max_loans: limits.max_loans,
                    max_overdue: limits.max_overdue,
                    max_lost: limits.max_lost,
                    max_balance: Some(money(&limits.max_balance, currency)?),
                    ..Default::default()
                }),
                request_id: request_id(),
            })
            .await?;
    }
    clients
        .rules
        .replace_circulation_rules(circulation::ReplaceCirculationRulesRequest {
            text: RULES.to_owned(),
            request_id: request_id(),
            ..Default::default()
        })
        .await?;
    Ok(())
}

fn loan_policy(policy: &super::district::LoanPolicy) -> anyhow::Result<circulation::LoanPolicy> {
    use circulation::{ClosedLibraryDueDate, LoanProfile, RenewFrom};
    let unknown = || format!("the loan policy {} names something unknown", policy.code);
    let profile = enum_name("LOAN_PROFILE", policy.profile.as_deref());
    let closed = enum_name(
        "CLOSED_LIBRARY_DUE_DATE",
        policy.closed_library_due_date.as_deref(),
    );
    let renew_from = enum_name("RENEW_FROM", policy.renew_from.as_deref());
    Ok(circulation::LoanPolicy {
        code: policy.code.clone(),
        name: policy.name.clone(),
        loanable: policy.loanable,
        profile: LoanProfile::from_str_name(&profile)
            .with_context(unknown)?
            .into(),
        period: policy.period.as_ref().map(period).transpose()?,
        fixed_due_dates: policy
            .fixed_due_dates
            .iter()
            .map(|span| circulation::FixedDueDate {
                first_date: Some(to_date(span.first_date)),
                last_date: Some(to_date(span.last_date)),
                due_date: Some(to_date(span.due_date)),
            })
            .collect(),
        closed_library_due_date: ClosedLibraryDueDate::from_str_name(&closed)
            .with_context(unknown)?
            .into(),
        opening_offset: policy.opening_offset.as_ref().map(period).transpose()?,
        grace: policy.grace.as_ref().map(period).transpose()?,
        renewals_allowed: policy.renewals_allowed,
        renew_from: RenewFrom::from_str_name(&renew_from)
            .with_context(unknown)?
            .into(),
        item_limit: policy.item_limit,
        ..Default::default()
    })
}

fn request_policy(
    policy: &super::district::RequestPolicy,
) -> anyhow::Result<circulation::RequestPolicy> {
    let kind = |name: &String| {
        let kind = enum_name("REQUEST_TYPE", Some(name));
        let kind = circulation::RequestType::from_str_name(&kind);
        Ok(kind
            .with_context(|| format!("no type of request {name}"))?
            .into())
    };
    let guaranteed = policy.minimum_guaranteed_loan_period.as_ref();
    let interval = policy.recall_return_interval.as_ref();
    Ok(circulation::RequestPolicy {
        code: policy.code.clone(),
        name: policy.name.clone(),
        allowed_types: (policy.types.iter())
            .map(kind)
            .collect::<anyhow::Result<_>>()?,
        minimum_guaranteed_loan_period: guaranteed.map(period).transpose()?,
        recall_return_interval: interval.map(period).transpose()?,
        max_requests: policy.max_requests,
        ..Default::default()
    })
}

fn fee_fine_kind(name: &str) -> anyhow::Result<i32> {
    let kind = enum_name("FEE_FINE_KIND", Some(name));
    let kind = billing::FeeFineKind::from_str_name(&kind);
    Ok(kind
        .with_context(|| format!("no kind of charge {name}"))?
        .into())
}

async fn fees(
    clients: &mut Clients,
    district: &District,
    seeded: &mut Seeded,
) -> anyhow::Result<()> {
    for owner in &district.fee_fine_owner {
        let made = clients
            .fee_fines
            .create_fee_fine_owner(billing::CreateFeeFineOwnerRequest {
                fee_fine_owner: Some(billing::FeeFineOwner {
                    code: owner.code.clone(),
                    name: owner.name.clone(),
                    institution_code: owner.institution.clone(),
                    library_codes: owner.libraries.clone(),
                    ..Default::default()
                }),
                request_id: request_id(),
            })
            .await?
            .into_inner();
        let made = made.fee_fine_owner.context("the answer has no owner")?;
        seeded.fee_fine_owners.insert(owner.code.clone(), made.id);
    }
    let currency = &district.district.currency_code;
    for fee_type in &district.fee_fine_type {
        let default_amount = fee_type.default_amount.as_deref();
        let made = clients
            .fee_fines
            .create_fee_fine_type(billing::CreateFeeFineTypeRequest {
                fee_fine_type: Some(billing::FeeFineType {
                    code: fee_type.code.clone(),
                    kind: fee_fine_kind(&fee_type.kind)?,
                    statement_text: fee_type.statement_text.clone(),
                    default_amount: default_amount
                        .map(|text| money(text, currency))
                        .transpose()?,
                    ..Default::default()
                }),
                request_id: request_id(),
            })
            .await?
            .into_inner();
        let made = made.fee_fine_type.context("the answer has no type")?;
        seeded.fee_fine_types.insert(fee_type.code.clone(), made.id);
    }
    for route in &district.posting_route {
        let destination = district
            .funding_destination
            .iter()
            .find(|destination| destination.code == route.funding_destination)
            .with_context(|| format!("no destination {}", route.funding_destination))?;
        clients
            .posting_routes
            .create_posting_route(billing::CreatePostingRouteRequest {
                posting_route: Some(billing::PostingRoute {
                    institution_code: route.institution.clone(),
                    kind: fee_fine_kind(&route.kind)?,
                    funding_destination_id: destination.id.clone(),
                    ..Default::default()
                }),
                request_id: request_id(),
            })
            .await?;
    }
    for period in &district.academic_period {
        clients
            .posting_routes
            .create_academic_period(billing::CreateAcademicPeriodRequest {
                academic_period: Some(billing::AcademicPeriod {
                    id: period.id.clone(),
                    code: period.code.clone(),
                    first_date: Some(to_date(period.first_date)),
                    last_date: Some(to_date(period.last_date)),
                }),
                request_id: request_id(),
            })
            .await?;
    }
    Ok(())
}

/// Tells the student-account system what the district's real one would know.
async fn student_information_system(clients: &Clients, district: &District) -> anyhow::Result<()> {
    let periods: Vec<_> = district
        .academic_period
        .iter()
        .map(|period| {
            json!({
                "id": period.id, "code": period.code, "open": true,
                "startOn": period.first_date, "endOn": period.last_date,
            })
        })
        .collect();
    clients
        .sis
        .put("/admin/academic-periods", &json!(periods))
        .await?;
    let destinations: Vec<_> = district
        .funding_destination
        .iter()
        .map(|destination| {
            json!({"id": destination.id, "code": destination.code, "title": destination.name})
        })
        .collect();
    clients
        .sis
        .put("/admin/funding-destinations", &json!(destinations))
        .await
}

async fn budgets(
    clients: &mut Clients,
    district: &District,
    seeded: &mut Seeded,
) -> anyhow::Result<()> {
    let currency = &district.district.currency_code;
    let year = district
        .fiscal_year
        .first()
        .context("the district has no fiscal year")?;
    let year_id = clients
        .budgets
        .create_fiscal_year(budgeting::CreateFiscalYearRequest {
            fiscal_year: Some(budgeting::FiscalYear {
                code: year.code.clone(),
                first_date: Some(to_date(year.first_date)),
                last_date: Some(to_date(year.last_date)),
                currency_code: currency.clone(),
                ..Default::default()
            }),
            request_id: request_id(),
        })
        .await?
        .into_inner()
        .fiscal_year
        .context("the answer has no fiscal year")?
        .id;
    let structure = &district.budget_code_structure;
    clients
        .budget_codes
        .set_budget_code_structure(budgeting::SetBudgetCodeStructureRequest {
            structure: Some(budgeting::BudgetCodeStructure {
                separator: structure.separator.clone(),
                segments: structure
                    .segment
                    .iter()
                    .map(|segment| budgeting::BudgetCodeSegment {
                        name: segment.name.clone(),
                        length: segment.length,
                        values: segment.values.clone(),
                    })
                    .collect(),
                combinations: structure
                    .combination
                    .iter()
                    .map(|combination| budgeting::BudgetCodeCombination {
                        values: combination.values.clone(),
                    })
                    .collect(),
            }),
            request_id: request_id(),
        })
        .await?;
    let mut ledgers = HashMap::new();
    for ledger in &district.ledger {
        let made = clients
            .budgets
            .create_ledger(budgeting::CreateLedgerRequest {
                ledger: Some(budgeting::Ledger {
                    code: ledger.code.clone(),
                    name: ledger.name.clone(),
                    ..Default::default()
                }),
                request_id: request_id(),
            })
            .await?
            .into_inner();
        ledgers.insert(
            &ledger.code,
            made.ledger.context("the answer has no ledger")?.id,
        );
    }
    for fund in &district.fund {
        let ledger_id = ledgers
            .get(&fund.ledger)
            .with_context(|| format!("no ledger {}", fund.ledger))?;
        let allocation = money(&fund.allocation, currency)?;
        let budget = budget(clients, fund, ledger_id, &year_id, allocation).await?;
        seeded.budgets.insert(fund.code.clone(), budget);
    }
    Ok(())
}

/// A fund, its budget in the year, and what the board gave it.
async fn budget(
    clients: &mut Clients,
    fund: &super::district::Fund,
    ledger_id: &str,
    fiscal_year_id: &str,
    allocation: Money,
) -> anyhow::Result<String> {
    let fund_id = clients
        .budgets
        .create_fund(budgeting::CreateFundRequest {
            fund: Some(budgeting::Fund {
                ledger_id: ledger_id.to_owned(),
                code: fund.code.clone(),
                name: fund.name.clone(),
                ..Default::default()
            }),
            request_id: request_id(),
        })
        .await?
        .into_inner()
        .fund
        .context("the answer has no fund")?
        .id;
    let budget_id = clients
        .budgets
        .create_budget(budgeting::CreateBudgetRequest {
            budget: Some(budgeting::Budget {
                fund_id,
                fiscal_year_id: fiscal_year_id.to_owned(),
                allowable_encumbrance_percent: fund.allowable_encumbrance_percent,
                ..Default::default()
            }),
            request_id: request_id(),
        })
        .await?
        .into_inner()
        .budget
        .context("the answer has no budget")?
        .id;
    clients
        .budgets
        .allocate(budgeting::AllocateRequest {
            budget_id: budget_id.clone(),
            amount: Some(allocation),
            comment: "Adopted budget".into(),
            request_id: request_id(),
        })
        .await?;
    Ok(budget_id)
}
