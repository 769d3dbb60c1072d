//! A loan and what can happen to it. Pure.

use carrel_money::{Money, MoneyError};
use carrel_proto::catalog::v1::ItemStatus;
use carrel_proto::circulation::v1::{CirculationItemStatus, LoanAction, LoanCategory, NextStep};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::fine::LostFees;
use crate::error::Error;
use crate::rule::AppliedRule;

/// How long ago a transaction may have happened that is told only now.
const LONGEST_BACKDATING: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A loan.
#[derive(Debug, Clone, PartialEq)]
pub struct Loan {
    /// Its id.
    pub id: Uuid,
    /// The item lent.
    pub item_id: Uuid,
    /// Who has it; `None` once the link was cut.
    pub patron_id: Option<Uuid>,
    /// The last thing that happened.
    pub action: LoanAction,
    /// When it was lent.
    pub checked_out_at: Timestamp,
    /// When it is due.
    pub due_at: Timestamp,
    /// When it came back.
    pub checked_in_at: Option<Timestamp>,
    /// How often it was renewed.
    pub renewal_count: i32,
    /// Where it was lent.
    pub check_out_service_point_id: Uuid,
    /// Where it came back.
    pub check_in_service_point_id: Option<Uuid>,
    /// The rule that chose its policies.
    pub applied_rule: AppliedRule,
    /// The versions it was made under: loan, overdue fine, lost item.
    pub policy_ids: [Uuid; 3],
    /// What statistics keep; its library and college are those that are owed.
    pub facts: Facts,
    /// When it was found overdue.
    pub overdue_since: Option<Timestamp>,
    /// When it is to be aged to lost.
    pub lost_due_at: Option<Timestamp>,
    /// When, how and under which id it was lost.
    pub loss: Option<Loss>,
    /// When the patron claimed to have returned it.
    pub claimed_returned_at: Option<Timestamp>,
    /// Since when somebody waits for it, by a recall.
    pub recalled_at: Option<Timestamp>,
    /// What was fined so far.
    pub fined: Option<Money>,
    /// Charges that billing makes for it: whoever tells of a fine or fee counts
    /// it here, since the patron stays until billing has told of as many.
    pub expected_charges: i32,
    /// Who stood at the desk for the patron.
    pub proxy_patron_id: Option<Uuid>,
    /// Whether it must stay in the building.
    pub building_use: bool,
    /// The version of the borrowing agreement that was accepted; "": none.
    pub accepted_agreement: String,
    /// Rises with each change.
    pub revision: i64,
}

/// What statistics keep of a circulation for good: of the item, and of the
/// patron no more than the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The item's college.
    pub institution_code: String,
    /// The item's campus; "" where unknown.
    pub campus_code: String,
    /// The item's library.
    pub library_code: String,
    /// The item's location; "" where unknown.
    pub location_code: String,
    /// The patron group.
    pub patron_group: String,
    /// The material type.
    pub material_type: String,
    /// The loan type.
    pub loan_type: String,
    /// The class of the call number; "" where there is none.
    pub call_number_class: String,
    /// What kind of lending.
    pub category: LoanCategory,
}

/// That an item was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Under this id its charges are made once.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// How.
    pub cause: LossCause,
}

/// How an item was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossCause {
    /// It stayed out too long.
    Aged,
    /// The patron said so.
    Declared,
}

/// What one loan adds to its patron's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Among those that are out.
    pub open: i32,
    /// Among the overdue.
    pub overdue: i32,
    /// Among the overdue that somebody waits for.
    pub overdue_recalls: i32,
    /// Among the lost.
    pub lost: i32,
}

impl Counts {
    /// How the patron's counters change when a loan changes.
    #[must_use]
    pub fn change(before: Self, after: Self) -> Self {
        Self {
            open: after.open - before.open,
            overdue: after.overdue - before.overdue,
            overdue_recalls: after.overdue_recalls - before.overdue_recalls,
            lost: after.lost - before.lost,
        }
    }
}

/// The keys under which a patron's open loans are counted.
#[must_use]
pub fn kinds(loan_policy: &str, material_type: &str, loan_type: &str) -> [String; 3] {
    [
        format!("l:{loan_policy}"),
        format!("m:{material_type}"),
        format!("t:{loan_type}"),
    ]
}

impl Loan {
    /// Whether it is going on.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.checked_in_at.is_none()
    }

    /// Where it counts among its patron's loans. One that is claimed returned
    /// is neither overdue nor lost until that is settled.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let is_open = self.is_open();
        let stands = is_open && self.claimed_returned_at.is_none();
        let overdue = stands && self.overdue_since.is_some() && self.loss.is_none();
        Counts {
            open: is_open.into(),
            overdue: overdue.into(),
            overdue_recalls: (overdue && self.recalled_at.is_some()).into(),
            lost: (stands && self.loss.is_some()).into(),
        }
    }

    /// What its item is while it is open.
    #[must_use]
    pub fn item_status(&self) -> CirculationItemStatus {
        match self.loss {
            _ if !self.is_open() => CirculationItemStatus::In,
            _ if self.claimed_returned_at.is_some() => CirculationItemStatus::ClaimedReturned,
            Some(loss) => match loss.cause {
                LossCause::Aged => CirculationItemStatus::AgedToLost,
                LossCause::Declared => CirculationItemStatus::DeclaredLost,
            },
            None => CirculationItemStatus::CheckedOut,
        }
    }

    /// The kinds by which it is counted: loan policy, material type, loan type.
    #[must_use]
    pub fn kinds(&self) -> [String; 3] {
        kinds(
            &self.applied_rule.loan_policy,
            &self.facts.material_type,
            &self.facts.loan_type,
        )
    }

    /// Ends it.
    pub fn check_in(&mut self, at: Timestamp, service_point_id: Uuid) {
        self.action = LoanAction::CheckedIn;
        self.claimed_returned_at = None;
        self.recalled_at = None;
        self.checked_in_at = Some(at);
        self.check_in_service_point_id = Some(service_point_id);
        self.revision += 1;
    }

    /// Lends it for longer.
    pub fn renew(&mut self, due_at: Timestamp, lost_due_at: Option<Timestamp>, by_override: bool) {
        self.action = if by_override {
            LoanAction::RenewedThroughOverride
        } else {
            LoanAction::Renewed
        };
        self.due_at = due_at;
        self.lost_due_at = lost_due_at;
        self.overdue_since = None;
        self.renewal_count += 1;
        self.revision += 1;
    }

    /// Notes that it is lost since its item stayed out too long.
    pub fn age_to_lost(&mut self, loss: Loss, fees: LostFees) {
        self.action = LoanAction::ItemAgedToLost;
        self.overdue_since = self.overdue_since.or(Some(loss.at));
        self.loss = Some(loss);
        self.expected_charges += fees.charges();
        self.revision += 1;
    }

    /// Ends it without its item, which is lost and paid for.
    pub fn close_paid(&mut self, at: Timestamp) {
        self.action = LoanAction::ClosedLoan;
        self.claimed_returned_at = None;
        self.recalled_at = None;
        self.checked_in_at = Some(at.max(self.checked_out_at));
        self.revision += 1;
    }

    /// Notes that somebody waits for it; its due date was looked after.
    pub fn recall(&mut self, at: Timestamp) {
        self.action = LoanAction::RecallRequested;
        self.recalled_at = self.recalled_at.or(Some(at));
        self.revision += 1;
    }

    /// Notes that the patron says that it was brought back.
    pub fn claim_returned(&mut self, at: Timestamp) {
        self.action = LoanAction::ClaimedReturned;
        self.claimed_returned_at = Some(at);
        self.revision += 1;
    }

    /// Ends it without its item, which was claimed to have been brought back.
    pub fn mark_missing(&mut self, at: Timestamp, service_point_id: Uuid) {
        self.check_in(at, service_point_id);
        self.action = LoanAction::MarkedMissing;
    }

    /// Notes that the patron says that it is lost. One that was lost before it
    /// was claimed returned keeps its loss, and so its charges.
    pub fn declare_lost(&mut self, loss: Loss, fees: LostFees) {
        self.action = LoanAction::DeclaredLost;
        self.claimed_returned_at = None;
        self.loss = Some(Loss {
            cause: LossCause::Declared,
            ..self.loss.unwrap_or(loss)
        });
        self.expected_charges += fees.charges();
        self.revision += 1;
    }

    /// Makes it due at another instant.
    pub fn change_due_date(&mut self, due_at: Timestamp, lost_due_at: Option<Timestamp>) {
        self.action = LoanAction::DueDateChanged;
        self.due_at = due_at;
        self.lost_due_at = lost_due_at;
        self.overdue_since = None;
        self.revision += 1;
    }

    /// Notes a fine.
    ///
    /// # Errors
    /// [`MoneyError`] where it is of another currency than those before.
    pub fn fine(&mut self, fine: Option<Money>) -> Result<(), MoneyError> {
        if let Some(fine) = fine {
            self.expected_charges += 1;
            self.fined = Some(self.fined.map_or(Ok(fine), |fined| fined.plus(fine))?);
        }
        Ok(())
    }
}

/// When a transaction happened: now, or when it was noted offline.
///
/// # Errors
/// [`Error::OccurredInFuture`], [`Error::OccurredTooLongAgo`].
pub fn moment(occurred_at: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Error> {
    match occurred_at {
        None => Ok(now),
        Some(at) if at > now => Err(Error::OccurredInFuture),
        Some(at) if at < now - LONGEST_BACKDATING => Err(Error::OccurredTooLongAgo),
        Some(at) => Ok(at),
    }
}

/// When something happened to a loan, which is after its check-out. What
/// happens now and had to wait for the check-out's lock took its time before
/// that: it is not earlier for it.
///
/// # Errors
/// [`Error::OccurredBeforeCheckOut`] for what is told afterwards.
pub fn since_check_out(
    checked_out_at: Timestamp,
    occurred_at: Option<Timestamp>,
    at: Timestamp,
) -> Result<Timestamp, Error> {
    if at >= checked_out_at {
        return Ok(at);
    }
    match occurred_at {
        None => Ok(checked_out_at),
        Some(_) => Err(Error::OccurredBeforeCheckOut),
    }
}

/// What the desk does with an item that came back, and the library that it
/// goes to. An item whose place is not known stays where it is.
#[must_use]
pub fn next_step(
    status: ItemStatus,
    item_library: Option<&str>,
    here: &str,
) -> (NextStep, Option<String>) {
    match status {
        ItemStatus::Available | ItemStatus::Restricted => match item_library {
            Some(library) if library != here => (NextStep::SendHome, Some(library.to_owned())),
            _ => (NextStep::Shelve, None),
        },
        ItemStatus::InRepair => (NextStep::Repair, None),
        ItemStatus::Unspecified
        | ItemStatus::OnOrder
        | ItemStatus::InProcess
        | ItemStatus::Missing
        | ItemStatus::Withdrawn => (NextStep::AskCatalog, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waited_for_the_check_out_is_not_earlier_than_it() {
        let out = Timestamp::from_second(1_000).unwrap();
        let (before, after) = (out - LONGEST_BACKDATING, out + LONGEST_BACKDATING);
        for (occurred_at, at, expected) in [
            (None, after, Some(after)),
            (None, before, Some(out)),
            (Some(after), after, Some(after)),
            (Some(out), out, Some(out)),
            (Some(before), before, None),
        ] {
            let told = since_check_out(out, occurred_at, at);
            assert_eq!(told.ok(), expected, "{occurred_at:?} {at}");
        }
    }
}
