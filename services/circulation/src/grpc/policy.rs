//! `carrel.circulation.v1.PolicyService`.

use carrel_proto::circulation::v1::policy_service_server::PolicyService;
use carrel_proto::circulation::v1::{
    ClosedLibraryDueDate as WireClosed, CreateLoanPolicyRequest, CreateLoanPolicyResponse,
    CreateLostItemPolicyRequest, CreateLostItemPolicyResponse, CreateOverdueFinePolicyRequest,
    CreateOverdueFinePolicyResponse, FixedDueDate as WireFixed, ListLoanPoliciesRequest,
    ListLoanPoliciesResponse, ListLostItemPoliciesRequest, ListLostItemPoliciesResponse,
    ListOverdueFinePoliciesRequest, ListOverdueFinePoliciesResponse, ListPatronLimitsRequest,
    ListPatronLimitsResponse, LoanCategory, LoanPolicy as WireLoan, LoanProfile as WireProfile,
    LostItemPolicy as WireLost, OverdueFinePolicy as WireFine, PatronLimits as WireLimits,
    RenewFrom as WireRenewFrom, SetPatronLimitsRequest, SetPatronLimitsResponse,
};
use carrel_runtime::wire::{self, required};
use carrel_runtime::{Call, Refusal, page};
use tonic::{Request, Response, Status};

use super::{LARGEST_PAGE, PAGE, optional_money, optional_period, period, to_period, unspecified};
use crate::Circulation;
use crate::policy;
use crate::policy::model::{
    Category, ClosedLibraryDueDate, FineTerms, FixedDueDate, LoanProfile, LoanTerms, LostTerms,
    PatronLimits, Policy, RenewFrom,
};

/// Serves policies and patron limits.
#[derive(Debug, Clone)]
pub struct PolicyRpcs(pub Circulation);

#[tonic::async_trait]
impl PolicyService for PolicyRpcs {
    async fn create_loan_policy(
        &self,
        request: Request<CreateLoanPolicyRequest>,
    ) -> Result<Response<CreateLoanPolicyResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let given = required("loan_policy", &request.loan_policy)?;
        let (code, name) = code_and_name("loan_policy", &given.code, &given.name)?;
        let made = policy::create(&self.0, &key, code, name, &loan_terms(given)?).await?;
        Ok(Response::new(CreateLoanPolicyResponse {
            loan_policy: Some(to_loan_policy(made)),
        }))
    }

    async fn list_loan_policies(
        &self,
        request: Request<ListLoanPoliciesRequest>,
    ) -> Result<Response<ListLoanPoliciesResponse>, Status> {
        let request = request.into_inner();
        let query = ListLoanPoliciesRequest::default();
        let page = page::<String>(
            request.page_size,
            &request.page_token,
            &query,
            PAGE,
            LARGEST_PAGE,
        )?;
        let mut policies = policy::list(&self.0, page.after.as_deref(), page.limit()).await?;
        let next_page_token = page.cut(&mut policies, |policy| policy.code.clone());
        Ok(Response::new(ListLoanPoliciesResponse {
            loan_policies: policies.into_iter().map(to_loan_policy).collect(),
            next_page_token,
        }))
    }

    async fn create_overdue_fine_policy(
        &self,
        request: Request<CreateOverdueFinePolicyRequest>,
    ) -> Result<Response<CreateOverdueFinePolicyResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let given = required("overdue_fine_policy", &request.overdue_fine_policy)?;
        let (code, name) = code_and_name("overdue_fine_policy", &given.code, &given.name)?;
        let made = policy::create(&self.0, &key, code, name, &fine_terms(given)?).await?;
        Ok(Response::new(CreateOverdueFinePolicyResponse {
            overdue_fine_policy: Some(to_fine_policy(made)),
        }))
    }

    async fn list_overdue_fine_policies(
        &self,
        request: Request<ListOverdueFinePoliciesRequest>,
    ) -> Result<Response<ListOverdueFinePoliciesResponse>, Status> {
        let request = request.into_inner();
        let query = ListOverdueFinePoliciesRequest::default();
        let page = page::<String>(
            request.page_size,
            &request.page_token,
            &query,
            PAGE,
            LARGEST_PAGE,
        )?;
        let mut policies = policy::list(&self.0, page.after.as_deref(), page.limit()).await?;
        let next_page_token = page.cut(&mut policies, |policy| policy.code.clone());
        Ok(Response::new(ListOverdueFinePoliciesResponse {
            overdue_fine_policies: policies.into_iter().map(to_fine_policy).collect(),
            next_page_token,
        }))
    }

    async fn create_lost_item_policy(
        &self,
        request: Request<CreateLostItemPolicyRequest>,
    ) -> Result<Response<CreateLostItemPolicyResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let given = required("lost_item_policy", &request.lost_item_policy)?;
        let (code, name) = code_and_name("lost_item_policy", &given.code, &given.name)?;
        let made = policy::create(&self.0, &key, code, name, &lost_terms(given)?).await?;
        Ok(Response::new(CreateLostItemPolicyResponse {
            lost_item_policy: Some(to_lost_policy(made)),
        }))
    }

    async fn list_lost_item_policies(
        &self,
        request: Request<ListLostItemPoliciesRequest>,
    ) -> Result<Response<ListLostItemPoliciesResponse>, Status> {
        let request = request.into_inner();
        let query = ListLostItemPoliciesRequest::default();
        let page = page::<String>(
            request.page_size,
            &request.page_token,
            &query,
            PAGE,
            LARGEST_PAGE,
        )?;
        let mut policies = policy::list(&self.0, page.after.as_deref(), page.limit()).await?;
        let next_page_token = page.cut(&mut policies, |policy| policy.code.clone());
        Ok(Response::new(ListLostItemPoliciesResponse {
            lost_item_policies: policies.into_iter().map(to_lost_policy).collect(),
            next_page_token,
        }))
    }

    async fn set_patron_limits(
        &self,
        request: Request<SetPatronLimitsRequest>,
    ) -> Result<Response<SetPatronLimitsResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let limits = limits(required("patron_limits", &request.patron_limits)?)?;
        let limits = policy::set_limits(&self.0, &key, &limits).await?;
        Ok(Response::new(SetPatronLimitsResponse {
            patron_limits: Some(to_limits(limits)),
        }))
    }

    async fn list_patron_limits(
        &self,
        request: Request<ListPatronLimitsRequest>,
    ) -> Result<Response<ListPatronLimitsResponse>, Status> {
        let request = request.into_inner();
        let query = ListPatronLimitsRequest::default();
        let page = page::<String>(
            request.page_size,
            &request.page_token,
            &query,
            PAGE,
            LARGEST_PAGE,
        )?;
        let mut limits = policy::list_limits(&self.0, page.after.as_deref(), page.limit()).await?;
        let next_page_token = page.cut(&mut limits, |limits| limits.patron_group.clone());
        Ok(Response::new(ListPatronLimitsResponse {
            patron_limits: limits.into_iter().map(to_limits).collect(),
            next_page_token,
        }))
    }
}

/// A policy's code is a word of the rule text: a-z 0-9 - only.
fn code_and_name<'a>(
    field: &str,
    code: &'a str,
    name: &'a str,
) -> Result<(&'a str, &'a str), Refusal> {
    let sound = (1..=40).contains(&code.len())
        && code
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !sound {
        return Err(Refusal::field(
            &format!("{field}.code"),
            "CODE_MALFORMED",
            "must be 1 to 40 characters of a-z, 0-9 and '-'",
        ));
    }
    Ok((code, wire::text(&format!("{field}.name"), name, 1, 200)?))
}

fn loan_terms(given: &WireLoan) -> Result<LoanTerms, Refusal> {
    let profile = match WireProfile::try_from(given.profile) {
        Ok(WireProfile::Rolling) => {
            let given = required("loan_policy.period", &given.period)?;
            Some(LoanProfile::Rolling(period(
                "loan_policy.period",
                given,
                1,
            )?))
        }
        Ok(WireProfile::Fixed) => Some(LoanProfile::Fixed),
        // A policy that lends nothing need not say for how long.
        Ok(WireProfile::Unspecified) if !given.loanable => None,
        _ => return Err(unspecified("loan_policy.profile")),
    };
    let schedule = given.fixed_due_dates.iter().enumerate();
    Ok(LoanTerms {
        loanable: given.loanable,
        profile,
        fixed_due_dates: schedule
            .map(|(index, span)| {
                fixed_due_date(&format!("loan_policy.fixed_due_dates[{index}]"), span)
            })
            .collect::<Result<_, _>>()?,
        closed_library_due_date: closed_library_due_date(given, profile)?,
        grace: optional_period("loan_policy.grace", given.grace.as_ref())?,
        renewals_allowed: given.renewals_allowed,
        renew_from: match WireRenewFrom::try_from(given.renew_from) {
            Ok(WireRenewFrom::DueDate) => RenewFrom::DueDate,
            Ok(WireRenewFrom::Now) => RenewFrom::Now,
            Ok(WireRenewFrom::Unspecified) if given.renewals_allowed == 0 => RenewFrom::Now,
            _ => return Err(unspecified("loan_policy.renew_from")),
        },
        item_limit: given.item_limit,
        category: match LoanCategory::try_from(given.category) {
            Ok(LoanCategory::Unspecified | LoanCategory::General) => Category::General,
            Ok(LoanCategory::Reserve) => Category::Reserve,
            Ok(LoanCategory::Equipment) => Category::Equipment,
            Err(_) => return Err(unspecified("loan_policy.category")),
        },
        renew_automatically: given.renew_automatically,
        renew_automatically_before: optional_period(
            "loan_policy.renew_automatically_before",
            given.renew_automatically_before.as_ref(),
        )?,
    })
}

fn closed_library_due_date(
    given: &WireLoan,
    profile: Option<LoanProfile>,
) -> Result<ClosedLibraryDueDate, Refusal> {
    let field = "loan_policy.closed_library_due_date";
    Ok(match WireClosed::try_from(given.closed_library_due_date) {
        Ok(WireClosed::Keep) => ClosedLibraryDueDate::Keep,
        Ok(WireClosed::EndOfPreviousOpenDay) => ClosedLibraryDueDate::EndOfPreviousOpenDay,
        Ok(WireClosed::EndOfNextOpenDay) => ClosedLibraryDueDate::EndOfNextOpenDay,
        Ok(WireClosed::EndOfCurrentHours) => ClosedLibraryDueDate::EndOfCurrentHours,
        Ok(WireClosed::BeginningOfNextHours) => {
            let offset = required("loan_policy.opening_offset", &given.opening_offset)?;
            ClosedLibraryDueDate::BeginningOfNextHours {
                offset: period("loan_policy.opening_offset", offset, 0)?,
            }
        }
        Ok(WireClosed::Unspecified) if profile.is_none() => ClosedLibraryDueDate::Keep,
        _ => return Err(unspecified(field)),
    })
}

fn fixed_due_date(field: &str, span: &WireFixed) -> Result<FixedDueDate, Refusal> {
    let date = |name: &str, value| {
        let field = format!("{field}.{name}");
        wire::date(&field, required(&field, value)?)
    };
    Ok(FixedDueDate {
        first_date: date("first_date", &span.first_date)?,
        last_date: date("last_date", &span.last_date)?,
        due_date: date("due_date", &span.due_date)?,
    })
}

fn to_loan_policy(policy: Policy<LoanTerms>) -> WireLoan {
    let terms = policy.terms;
    let (profile, period) = match terms.profile {
        None => (WireProfile::Unspecified, None),
        Some(LoanProfile::Fixed) => (WireProfile::Fixed, None),
        Some(LoanProfile::Rolling(period)) => (WireProfile::Rolling, Some(to_period(period))),
    };
    let (closed, opening_offset) = match terms.closed_library_due_date {
        ClosedLibraryDueDate::Keep => (WireClosed::Keep, None),
        ClosedLibraryDueDate::EndOfPreviousOpenDay => (WireClosed::EndOfPreviousOpenDay, None),
        ClosedLibraryDueDate::EndOfNextOpenDay => (WireClosed::EndOfNextOpenDay, None),
        ClosedLibraryDueDate::EndOfCurrentHours => (WireClosed::EndOfCurrentHours, None),
        ClosedLibraryDueDate::BeginningOfNextHours { offset } => {
            (WireClosed::BeginningOfNextHours, Some(to_period(offset)))
        }
    };
    let renew_from = match terms.renew_from {
        RenewFrom::DueDate => WireRenewFrom::DueDate,
        RenewFrom::Now => WireRenewFrom::Now,
    };
    let fixed = terms.fixed_due_dates.into_iter().map(|span| WireFixed {
        first_date: Some(wire::to_date(span.first_date)),
        last_date: Some(wire::to_date(span.last_date)),
        due_date: Some(wire::to_date(span.due_date)),
    });
    WireLoan {
        id: policy.id.to_string(),
        code: policy.code,
        version: policy.version,
        name: policy.name,
        loanable: terms.loanable,
        profile: profile.into(),
        period,
        fixed_due_dates: fixed.collect(),
        closed_library_due_date: closed.into(),
        opening_offset,
        grace: terms.grace.map(to_period),
        renewals_allowed: terms.renewals_allowed,
        renew_from: renew_from.into(),
        item_limit: terms.item_limit,
        category: LoanCategory::from(terms.category).into(),
        renew_automatically: terms.renew_automatically,
        renew_automatically_before: terms.renew_automatically_before.map(to_period),
    }
}

fn fine_terms(given: &WireFine) -> Result<FineTerms, Refusal> {
    let (amount, interval) = ("overdue_fine_policy.amount", "overdue_fine_policy.interval");
    Ok(FineTerms {
        amount: wire::money(amount, required(amount, &given.amount)?)?,
        interval: period(interval, required(interval, &given.interval)?, 1)?,
        maximum: optional_money("overdue_fine_policy.maximum", given.maximum.as_ref())?,
        count_closed: given.count_closed,
        forgive_when_lost: given.forgive_when_lost,
    })
}

fn to_fine_policy(policy: Policy<FineTerms>) -> WireFine {
    WireFine {
        id: policy.id.to_string(),
        code: policy.code,
        version: policy.version,
        name: policy.name,
        amount: Some(policy.terms.amount.into()),
        interval: Some(to_period(policy.terms.interval)),
        maximum: policy.terms.maximum.map(Into::into),
        count_closed: policy.terms.count_closed,
        forgive_when_lost: policy.terms.forgive_when_lost,
    }
}

fn lost_terms(given: &WireLost) -> Result<LostTerms, Refusal> {
    let periods = |name: &str, value: Option<&_>| {
        let field = format!("lost_item_policy.{name}");
        value.map(|value| period(&field, value, 1)).transpose()
    };
    let amounts =
        |name: &str, value: Option<&_>| optional_money(&format!("lost_item_policy.{name}"), value);
    Ok(LostTerms {
        aged_to_lost_after: periods("aged_to_lost_after", given.aged_to_lost_after.as_ref())?,
        set_cost: amounts("set_cost", given.set_cost.as_ref())?,
        charge_set_cost: given.charge_set_cost,
        processing_fee: amounts("processing_fee", given.processing_fee.as_ref())?,
        refund_within: periods("refund_within", given.refund_within.as_ref())?,
        refund_processing_fee: given.refund_processing_fee,
    })
}

fn to_lost_policy(policy: Policy<LostTerms>) -> WireLost {
    WireLost {
        id: policy.id.to_string(),
        code: policy.code,
        version: policy.version,
        name: policy.name,
        aged_to_lost_after: policy.terms.aged_to_lost_after.map(to_period),
        set_cost: policy.terms.set_cost.map(Into::into),
        charge_set_cost: policy.terms.charge_set_cost,
        processing_fee: policy.terms.processing_fee.map(Into::into),
        refund_within: policy.terms.refund_within.map(to_period),
        refund_processing_fee: policy.terms.refund_processing_fee,
    }
}

fn limits(given: &WireLimits) -> Result<PatronLimits, Refusal> {
    let counts = [
        ("max_loans", given.max_loans),
        ("max_overdue", given.max_overdue),
        ("max_lost", given.max_lost),
    ];
    for (name, count) in counts {
        if count < 0 {
            let field = format!("patron_limits.{name}");
            return Err(Refusal::field(
                &field,
                "LIMIT_NEGATIVE",
                "must not be negative",
            ));
        }
    }
    let balance = "patron_limits.max_balance";
    let max_balance = optional_money(balance, given.max_balance.as_ref())?;
    if max_balance.is_some_and(|most| most.is_negative()) {
        return Err(Refusal::field(
            balance,
            "LIMIT_NEGATIVE",
            "must not be negative",
        ));
    }
    Ok(PatronLimits {
        patron_group: wire::code("patron_limits.patron_group", &given.patron_group)?.to_owned(),
        max_loans: given.max_loans,
        max_overdue: given.max_overdue,
        max_lost: given.max_lost,
        max_balance,
    })
}

fn to_limits(limits: PatronLimits) -> WireLimits {
    WireLimits {
        patron_group: limits.patron_group,
        max_loans: limits.max_loans,
        max_overdue: limits.max_overdue,
        max_lost: limits.max_lost,
        max_balance: limits.max_balance.map(Into::into),
    }
}
