//! Policies' terms and patron limits, to and from the wire.

use carrel_proto::circulation::v1::{
    BlockedActions as WireActions, ClosedLibraryDueDate as WireClosed, FixedDueDate as WireFixed,
    ItemLimitScope as WireScope, LoanCategory, LoanPolicy as WireLoan, LoanProfile as WireProfile,
    LostItemPolicy as WireLost, OverdueFinePolicy as WireFine, PatronLimits as WireLimits,
    RenewFrom as WireRenewFrom, RequestPolicy as WireRequestPolicy, RequestType,
};
use carrel_runtime::Refusal;
use carrel_runtime::wire::{self, required};

use super::{known, optional_money, optional_period, period, to_period, unspecified};
use crate::policy::model::{
    BlockedActions, Category, ClosedLibraryDueDate, FineTerms, FixedDueDate, ItemLimitScope,
    LimitBlocks, LoanProfile, LoanTerms, LostTerms, Overnight, PatronLimits, Policy, RenewFrom,
    RequestTerms,
};

/// A policy's code is a word of the rule text: a-z 0-9 - only.
pub(super) fn code_and_name<'a>(
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

pub(super) fn request_terms(given: &WireRequestPolicy) -> Result<RequestTerms, Refusal> {
    let mut terms = RequestTerms {
        pickup_in_own_library_only: given.pickup_in_own_library_only,
        delivery_allowed: given.delivery_allowed,
        max_requests: given.max_requests,
        renewal_despite_holds: given.renewal_despite_holds,
        ..RequestTerms::default()
    };
    for (index, kind) in given.allowed_types.iter().enumerate() {
        let field = format!("request_policy.allowed_types[{index}]");
        let allowed = match known(&field, *kind)? {
            RequestType::Hold => &mut terms.hold,
            RequestType::Recall => &mut terms.recall,
            RequestType::Page => &mut terms.page,
            RequestType::Unspecified => return Err(unspecified(&field)),
        };
        if std::mem::replace(allowed, true) {
            let twice = "names a type that was named before";
            return Err(Refusal::field(&field, "POLICY_MALFORMED", twice));
        }
    }
    let points = given.pickup_service_point_ids.iter();
    terms.pickup_service_point_ids = points
        .map(|id| wire::id("request_policy.pickup_service_point_ids", id))
        .collect::<Result<_, _>>()?;
    let period = |name: &str, given| optional_period(&format!("request_policy.{name}"), given);
    terms.hold_shelf_period = period("hold_shelf_period", given.hold_shelf_period.as_ref())?;
    terms.minimum_guaranteed_loan_period = period(
        "minimum_guaranteed_loan_period",
        given.minimum_guaranteed_loan_period.as_ref(),
    )?;
    terms.recall_return_interval = period(
        "recall_return_interval",
        given.recall_return_interval.as_ref(),
    )?;
    Ok(terms)
}

pub(super) fn to_request_policy(policy: Policy<RequestTerms>) -> WireRequestPolicy {
    let terms = policy.terms;
    let types = [RequestType::Hold, RequestType::Recall, RequestType::Page];
    let allowed = types.into_iter().filter(|kind| terms.allows(*kind));
    let points = terms.pickup_service_point_ids.iter();
    WireRequestPolicy {
        id: policy.id.to_string(),
        code: policy.code,
        version: policy.version,
        name: policy.name,
        allowed_types: allowed.map(Into::into).collect(),
        pickup_service_point_ids: points.map(ToString::to_string).collect(),
        pickup_in_own_library_only: terms.pickup_in_own_library_only,
        delivery_allowed: terms.delivery_allowed,
        hold_shelf_period: terms.hold_shelf_period.map(to_period),
        minimum_guaranteed_loan_period: terms.minimum_guaranteed_loan_period.map(to_period),
        recall_return_interval: terms.recall_return_interval.map(to_period),
        max_requests: terms.max_requests,
        renewal_despite_holds: terms.renewal_despite_holds,
    }
}

pub(super) fn loan_terms(given: &WireLoan) -> Result<LoanTerms, Refusal> {
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
    let other_period = |name: &str, value| optional_period(&format!("loan_policy.{name}"), value);
    Ok(LoanTerms {
        loanable: given.loanable,
        profile,
        fixed_due_dates: schedule("fixed_due_dates", &given.fixed_due_dates)?,
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
        item_limit_scope: match WireScope::try_from(given.item_limit_scope) {
            Ok(WireScope::Unspecified | WireScope::Policy) => ItemLimitScope::Policy,
            Ok(WireScope::MaterialType) => ItemLimitScope::MaterialType,
            Ok(WireScope::LoanType) => ItemLimitScope::LoanType,
            Err(_) => return Err(unspecified("loan_policy.item_limit_scope")),
        },
        alternate_period_when_requested: other_period(
            "alternate_period_when_requested",
            given.alternate_period_when_requested.as_ref(),
        )?,
        renewal_period: other_period("renewal_period", given.renewal_period.as_ref())?,
        renewal_fixed_due_dates: schedule(
            "renewal_fixed_due_dates",
            &given.renewal_fixed_due_dates,
        )?,
        overnight: overnight(given)?,
        building_use: given.building_use,
        reborrow_after: other_period("reborrow_after", given.reborrow_after.as_ref())?,
        agreement: wire::text("loan_policy.agreement", &given.agreement, 0, 80)?.to_owned(),
        minimum_period: other_period("minimum_period", given.minimum_period.as_ref())?,
        renew_automatically: given.renew_automatically,
        renew_automatically_before: optional_period(
            "loan_policy.renew_automatically_before",
            given.renew_automatically_before.as_ref(),
        )?,
    })
}

fn schedule(name: &str, spans: &[WireFixed]) -> Result<Vec<FixedDueDate>, Refusal> {
    let span = |(index, span)| fixed_due_date(&format!("loan_policy.{name}[{index}]"), span);
    spans.iter().enumerate().map(span).collect()
}

fn overnight(given: &WireLoan) -> Result<Option<Overnight>, Refusal> {
    let window = optional_period(
        "loan_policy.overnight_window",
        given.overnight_window.as_ref(),
    )?;
    match (window, &given.overnight_offset) {
        (Some(window), Some(offset)) => Ok(Some(Overnight {
            window,
            offset: period("loan_policy.overnight_offset", offset, 0)?,
        })),
        (Some(_), None) => {
            required("loan_policy.overnight_offset", &given.overnight_offset).map(|_| None)
        }
        (None, None) => Ok(None),
        (None, Some(_)) => {
            required("loan_policy.overnight_window", &given.overnight_window).map(|_| None)
        }
    }
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

pub(super) fn to_loan_policy(policy: Policy<LoanTerms>) -> WireLoan {
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
    let scope = match terms.item_limit_scope {
        ItemLimitScope::Policy => WireScope::Policy,
        ItemLimitScope::MaterialType => WireScope::MaterialType,
        ItemLimitScope::LoanType => WireScope::LoanType,
    };
    WireLoan {
        id: policy.id.to_string(),
        code: policy.code,
        version: policy.version,
        name: policy.name,
        loanable: terms.loanable,
        profile: profile.into(),
        period,
        fixed_due_dates: to_schedule(terms.fixed_due_dates),
        closed_library_due_date: closed.into(),
        opening_offset,
        grace: terms.grace.map(to_period),
        renewals_allowed: terms.renewals_allowed,
        renew_from: renew_from.into(),
        item_limit: terms.item_limit,
        category: LoanCategory::from(terms.category).into(),
        item_limit_scope: scope.into(),
        alternate_period_when_requested: terms.alternate_period_when_requested.map(to_period),
        renewal_period: terms.renewal_period.map(to_period),
        renewal_fixed_due_dates: to_schedule(terms.renewal_fixed_due_dates),
        overnight_window: terms.overnight.map(|overnight| to_period(overnight.window)),
        overnight_offset: terms.overnight.map(|overnight| to_period(overnight.offset)),
        building_use: terms.building_use,
        reborrow_after: terms.reborrow_after.map(to_period),
        agreement: terms.agreement,
        minimum_period: terms.minimum_period.map(to_period),
        renew_automatically: terms.renew_automatically,
        renew_automatically_before: terms.renew_automatically_before.map(to_period),
    }
}

fn to_schedule(spans: Vec<FixedDueDate>) -> Vec<WireFixed> {
    let span = |span: FixedDueDate| WireFixed {
        first_date: Some(wire::to_date(span.first_date)),
        last_date: Some(wire::to_date(span.last_date)),
        due_date: Some(wire::to_date(span.due_date)),
    };
    spans.into_iter().map(span).collect()
}

pub(super) fn fine_terms(given: &WireFine) -> Result<FineTerms, Refusal> {
    let recall_interval = "overdue_fine_policy.recall_interval";
    let (amount, interval) = ("overdue_fine_policy.amount", "overdue_fine_policy.interval");
    Ok(FineTerms {
        amount: wire::money(amount, required(amount, &given.amount)?)?,
        interval: period(interval, required(interval, &given.interval)?, 1)?,
        maximum: optional_money("overdue_fine_policy.maximum", given.maximum.as_ref())?,
        count_closed: given.count_closed,
        forgive_when_lost: given.forgive_when_lost,
        recall_amount: optional_money(
            "overdue_fine_policy.recall_amount",
            given.recall_amount.as_ref(),
        )?,
        recall_interval: (given.recall_interval.as_ref())
            .map(|interval| period(recall_interval, interval, 1))
            .transpose()?,
        recall_maximum: optional_money(
            "overdue_fine_policy.recall_maximum",
            given.recall_maximum.as_ref(),
        )?,
        no_grace_for_recalls: given.no_grace_for_recalls,
        forgive_on_renewal: given.forgive_on_renewal,
    })
}

pub(super) fn to_fine_policy(policy: Policy<FineTerms>) -> WireFine {
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
        recall_amount: policy.terms.recall_amount.map(Into::into),
        recall_interval: policy.terms.recall_interval.map(to_period),
        recall_maximum: policy.terms.recall_maximum.map(Into::into),
        no_grace_for_recalls: policy.terms.no_grace_for_recalls,
        forgive_on_renewal: policy.terms.forgive_on_renewal,
    }
}

pub(super) fn lost_terms(given: &WireLost) -> Result<LostTerms, Refusal> {
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
        recalled_aged_to_lost_after: periods(
            "recalled_aged_to_lost_after",
            given.recalled_aged_to_lost_after.as_ref(),
        )?,
        actual_cost: given.actual_cost,
        no_fees_when_declared: given.no_fees_when_declared,
        declared_processing_fee: amounts(
            "declared_processing_fee",
            given.declared_processing_fee.as_ref(),
        )?,
        no_fees_within: periods("no_fees_within", given.no_fees_within.as_ref())?,
        damage_fee: amounts("damage_fee", given.damage_fee.as_ref())?,
    })
}

pub(super) fn to_lost_policy(policy: Policy<LostTerms>) -> WireLost {
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
        recalled_aged_to_lost_after: policy.terms.recalled_aged_to_lost_after.map(to_period),
        actual_cost: policy.terms.actual_cost,
        no_fees_when_declared: policy.terms.no_fees_when_declared,
        declared_processing_fee: policy.terms.declared_processing_fee.map(Into::into),
        no_fees_within: policy.terms.no_fees_within.map(to_period),
        damage_fee: policy.terms.damage_fee.map(Into::into),
    }
}

pub(super) fn limits(given: &WireLimits) -> Result<PatronLimits, Refusal> {
    let counts = [
        ("max_loans", given.max_loans),
        ("max_overdue", given.max_overdue),
        ("max_lost", given.max_lost),
        ("max_overdue_recalls", given.max_overdue_recalls),
        ("max_recall_overdue_days", given.max_recall_overdue_days),
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
        max_overdue_recalls: given.max_overdue_recalls,
        max_recall_overdue_days: given.max_recall_overdue_days,
        blocks: limit_blocks(given),
    })
}

/// What each limit blocks: as told, else as limits usually do.
fn limit_blocks(given: &WireLimits) -> LimitBlocks {
    let usual = LimitBlocks::default();
    let or = |told: Option<WireActions>, usual| {
        told.map_or(usual, |told| BlockedActions {
            borrowing: told.borrowing,
            renewals: told.renewals,
            requests: told.requests,
        })
    };
    LimitBlocks {
        loans: or(given.max_loans_blocks, usual.loans),
        overdue: or(given.max_overdue_blocks, usual.overdue),
        lost: or(given.max_lost_blocks, usual.lost),
        balance: or(given.max_balance_blocks, usual.balance),
        overdue_recalls: or(given.max_overdue_recalls_blocks, usual.overdue_recalls),
        recall_overdue_days: or(
            given.max_recall_overdue_days_blocks,
            usual.recall_overdue_days,
        ),
    }
}

pub(super) fn to_limits(limits: PatronLimits) -> WireLimits {
    let blocks = limits.blocks;
    WireLimits {
        patron_group: limits.patron_group,
        max_loans: limits.max_loans,
        max_overdue: limits.max_overdue,
        max_lost: limits.max_lost,
        max_balance: limits.max_balance.map(Into::into),
        max_overdue_recalls: limits.max_overdue_recalls,
        max_recall_overdue_days: limits.max_recall_overdue_days,
        max_loans_blocks: Some(to_actions(blocks.loans)),
        max_overdue_blocks: Some(to_actions(blocks.overdue)),
        max_lost_blocks: Some(to_actions(blocks.lost)),
        max_balance_blocks: Some(to_actions(blocks.balance)),
        max_overdue_recalls_blocks: Some(to_actions(blocks.overdue_recalls)),
        max_recall_overdue_days_blocks: Some(to_actions(blocks.recall_overdue_days)),
    }
}

fn to_actions(actions: BlockedActions) -> WireActions {
    WireActions {
        borrowing: actions.borrowing,
        renewals: actions.renewals,
        requests: actions.requests,
    }
}
