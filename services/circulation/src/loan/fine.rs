//! What a late or lost item costs. Pure.

use carrel_money::{Decimal, Money, MoneyError};
use jiff::{Span, Timestamp};

use super::model::Loan;
use crate::period::{Period, PeriodUnit, second_of};
use crate::policy::model::{FineTerms, LostTerms};
use crate::service_point::calendar::{Calendar, whole_seconds};

/// The fine for a loan that was due and ended later: the amount for each
/// interval begun, less what was fined for the loan before, up to the
/// maximum. `None` where nothing is owed. Within the grace nothing is owed;
/// after it everything since the due date is.
///
/// # Errors
/// [`MoneyError`] where amounts of two currencies meet.
pub fn overdue_fine(
    terms: &FineTerms,
    grace: Option<Period>,
    due_at: Timestamp,
    ended_at: Timestamp,
    fined_before: Option<Money>,
    calendar: &Calendar,
) -> Result<Option<Money>, MoneyError> {
    let ended_at = second_of(ended_at);
    let free_until = grace.map_or(due_at, |grace| grace.after(due_at, &calendar.zone));
    if terms.amount.is_zero() || ended_at <= free_until {
        return Ok(None);
    }
    let intervals = intervals_begun(terms, due_at, ended_at, calendar);
    let currency = terms.amount.currency();
    let mut fine = Money::new(terms.amount.amount() * Decimal::from(intervals), currency)?;
    if let Some(maximum) = terms.maximum {
        let left = maximum.minus(fined_before.unwrap_or(Money::zero(currency)))?;
        fine = if left.amount() < fine.amount() {
            left
        } else {
            fine
        };
    }
    Ok(fine.is_positive().then_some(fine))
}

/// The fine for a loan as it stands, at its rate: another one where it was
/// recalled, which may leave no grace either.
///
/// # Errors
/// [`MoneyError`] where amounts of two currencies meet.
pub fn loan_fine(
    terms: &FineTerms,
    grace: Option<Period>,
    loan: &Loan,
    ended_at: Timestamp,
    calendar: &Calendar,
) -> Result<Option<Money>, MoneyError> {
    let (due_at, fined) = (loan.due_at, loan.fined);
    if loan.recalled_at.is_none() {
        return overdue_fine(terms, grace, due_at, ended_at, fined, calendar);
    }
    let grace = grace.filter(|_| !terms.no_grace_for_recalls);
    overdue_fine(
        &terms.for_recall(),
        grace,
        due_at,
        ended_at,
        fined,
        calendar,
    )
}

/// How many intervals began between two instants.
fn intervals_begun(
    terms: &FineTerms,
    due_at: Timestamp,
    ended_at: Timestamp,
    calendar: &Calendar,
) -> i64 {
    let interval = terms.interval;
    let count = i64::from(interval.count.max(1));
    let seconds = |unit_seconds: i64| {
        let seconds = if terms.count_closed {
            whole_seconds(due_at, ended_at)
        } else {
            calendar.open_seconds(due_at, ended_at)
        };
        begun(seconds, count * unit_seconds)
    };
    match interval.unit {
        PeriodUnit::Minutes => seconds(60),
        PeriodUnit::Hours => seconds(3_600),
        PeriodUnit::Days => begun(days_begun(terms, due_at, ended_at, calendar), count),
        PeriodUnit::Weeks => begun(days_begun(terms, due_at, ended_at, calendar), count * 7),
        PeriodUnit::Months => (1..)
            .find(|times| interval.repeated_after(due_at, *times, &calendar.zone) >= ended_at)
            .unwrap_or(1),
    }
}

fn begun(amount: i64, interval: i64) -> i64 {
    amount.div_euclid(interval) + i64::from(amount % interval > 0)
}

/// Days by the calendar, each counted as the day in which it begins: a loan
/// due at 23:59:59 is one day late through the whole next day.
fn days_begun(
    terms: &FineTerms,
    due_at: Timestamp,
    ended_at: Timestamp,
    calendar: &Calendar,
) -> i64 {
    let day = Period {
        count: 1,
        unit: PeriodUnit::Days,
    };
    let between = calendar.date_of(ended_at) - calendar.date_of(due_at);
    let mut days = i64::from(between.get_days());
    if day.repeated_after(due_at, days, &calendar.zone) < ended_at {
        days += 1;
    }
    if terms.count_closed {
        return days;
    }
    let first = calendar.date_of(due_at + Span::new().seconds(1));
    (0..days)
        .filter_map(|days| first.checked_add(Span::new().days(days)).ok())
        .filter(|date| calendar.is_open_day(*date))
        .count() as i64
}

/// What a lost item costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LostFees {
    /// For the item; `None`: nothing.
    pub lost_item_fee: Option<Money>,
    /// For the work; `None`: nothing.
    pub processing_fee: Option<Money>,
    /// Whether staff set the fee for the item later, by its actual cost.
    pub actual_cost_to_be_set: bool,
}

impl LostFees {
    /// How many charges billing makes of them, now or once their cost is known.
    #[must_use]
    pub fn charges(self) -> i32 {
        i32::from(self.lost_item_fee.is_some() || self.actual_cost_to_be_set)
            + i32::from(self.processing_fee.is_some())
    }
}

/// The fees for an item that is aged to lost. `price` is its replacement price,
/// where the catalog knows it.
#[must_use]
pub fn lost_fees(terms: &LostTerms, price: Option<Money>) -> LostFees {
    let fee = match price {
        _ if terms.actual_cost => None,
        Some(price) if !terms.charge_set_cost => Some(price),
        _ => terms.set_cost,
    };
    LostFees {
        lost_item_fee: fee.filter(|fee| fee.is_positive()),
        processing_fee: terms.processing_fee.filter(|fee| fee.is_positive()),
        actual_cost_to_be_set: terms.actual_cost,
    }
}

/// The fees for an item that the patron declares lost.
#[must_use]
pub fn declared_lost_fees(terms: &LostTerms, price: Option<Money>) -> LostFees {
    if terms.no_fees_when_declared {
        return LostFees::default();
    }
    let processing_fee = terms.declared_processing_fee.or(terms.processing_fee);
    LostFees {
        processing_fee: processing_fee.filter(|fee| fee.is_positive()),
        ..lost_fees(terms, price)
    }
}

/// What is given back when a lost item returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refund {
    /// The lost item fee.
    pub lost_item_fee: bool,
    /// The processing fee.
    pub processing_fee: bool,
}

/// What the policy gives back for an item lost at one instant and returned at
/// another. One that a backdated return shows to have been back before was
/// never lost, and all is given back, as it is for some time after the loss
/// where the policy says so.
#[must_use]
pub fn refund(
    terms: &LostTerms,
    lost_at: Timestamp,
    returned_at: Timestamp,
    calendar: &Calendar,
) -> Refund {
    let is_within = |within: Option<Period>| {
        within.is_some_and(|within| returned_at <= within.after(lost_at, &calendar.zone))
    };
    if returned_at <= lost_at || is_within(terms.no_fees_within) {
        return Refund {
            lost_item_fee: true,
            processing_fee: true,
        };
    }
    let in_time = is_within(terms.refund_within);
    Refund {
        lost_item_fee: in_time,
        processing_fee: in_time && terms.refund_processing_fee,
    }
}

#[cfg(test)]
mod tests;
