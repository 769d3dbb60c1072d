//! A loan and what can happen to it. Pure.

use carrel_money::{Money, MoneyError};
use carrel_proto::catalog::v1::ItemStatus;
use carrel_proto::circulation::v1::{LoanAction, NextStep};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

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
    /// The library that is owed, by its code.
    pub library_code: String,
    /// The college that is owed, by its code.
    pub institution_code: String,
    /// When it was found overdue.
    pub overdue_since: Option<Timestamp>,
    /// When it is to be aged to lost.
    pub lost_due_at: Option<Timestamp>,
    /// When and under which id it was aged to lost.
    pub loss: Option<Loss>,
    /// What was fined so far.
    pub fined: Option<Money>,
    /// Rises with each change.
    pub revision: i64,
}

/// That an item was aged to lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Under this id its charges are made once.
    pub id: Uuid,
    /// When.
    pub aged_to_lost_at: Timestamp,
}

impl Loan {
    /// Whether it is going on.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.checked_in_at.is_none()
    }

    /// Whether it counts as overdue; a lost one counts as lost instead.
    #[must_use]
    pub fn counts_as_overdue(&self) -> bool {
        self.is_open() && self.overdue_since.is_some() && self.loss.is_none()
    }

    /// Whether it counts as lost.
    #[must_use]
    pub fn counts_as_lost(&self) -> bool {
        self.is_open() && self.loss.is_some()
    }

    /// Ends it.
    pub fn check_in(&mut self, at: Timestamp, service_point_id: Uuid) {
        self.action = LoanAction::CheckedIn;
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

    /// Notes a fine.
    ///
    /// # Errors
    /// [`MoneyError`] where it is of another currency than those before.
    pub fn fine(&mut self, fine: Option<Money>) -> Result<(), MoneyError> {
        if let Some(fine) = fine {
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
        ItemStatus::Unspecified
        | ItemStatus::OnOrder
        | ItemStatus::InProcess
        | ItemStatus::InRepair
        | ItemStatus::Missing
        | ItemStatus::Withdrawn => (NextStep::AskCatalog, None),
    }
}
