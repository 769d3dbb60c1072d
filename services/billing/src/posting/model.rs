//! The states of a posting and what leads from one to the next. Pure: the time is passed in.
//!
//! ```text
//!            ┌──────────────── not sent; looked up and certainly not there ───────────────┐
//!            ▼                                                                            │
//! Unrouted ⇄ Pending ──▶ Submitted ──▶ Acknowledged ──▶ Settled                           │
//!    │ ▲       │  ▲           ├──────▶ Rejected ──(a person retries)──▶ Pending           │
//!    │ └───────┘  └───────    └──────▶ Unknown ──▶ Acknowledged | Rejected ───────────────┘
//!    └──────────┴─────────▶ Cancelled: nothing is left to post, or nobody to post it to
//! ```
//!
//! After a database was restored, what waits and what is under way is doubted: it becomes Unknown and is looked up.

use carrel_money::Money;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::error::Error;
use crate::route::model::Destination;

/// The longest problem text that is kept, in characters.
const LONGEST_PROBLEM: usize = 500;
/// Tries in a row that were not sent before a person looks; some hours.
const MOST_ATTEMPTS: i32 = 100;
/// The longest time between two tries.
const LONGEST_BACK_OFF: SignedDuration = SignedDuration::from_mins(5);

/// Where a posting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum PostingState {
    /// To be submitted.
    Pending,
    /// Handed over, no answer yet.
    Submitted,
    /// On the student account.
    Acknowledged,
    /// Refused; a person decides.
    Rejected,
    /// The answer is lost.
    Unknown,
    /// Paid at the student account.
    Settled,
    /// No route or no period; a person decides.
    Unrouted,
    /// Nothing was left to post, or its patron has no student account any more.
    Cancelled,
}

impl PostingState {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Submitted => "submitted",
            Self::Acknowledged => "acknowledged",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::Settled => "settled",
            Self::Unrouted => "unrouted",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the student-information system certainly does not have it.
    #[must_use]
    pub fn is_here(self) -> bool {
        matches!(self, Self::Pending | Self::Rejected | Self::Unrouted)
    }
}

/// A charge, or a credit of it, on its way to the student account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// Derived from the charge: the same charge never makes two.
    pub id: Uuid,
    /// The charge.
    pub account_id: Uuid,
    /// 0 for the charge, then its credits.
    pub sequence: i32,
    /// What stands on the student account.
    pub reference: String,
    /// How much; negative for a credit.
    pub amount: Money,
    /// Where it stands.
    pub state: PostingState,
    /// The posting that it takes back.
    pub reverses_posting_id: Option<Uuid>,
    /// The student, by the student-information system's id.
    pub student_id: String,
    /// The destination there.
    pub funding_destination_id: String,
    /// The period there.
    pub academic_period_id: String,
    /// The date it bears there, once it was submitted.
    pub chargeable_on: Option<Date>,
    /// Its id there, once known.
    pub sis_charge_id: Option<String>,
    /// How often it was submitted.
    pub attempt_count: i32,
    /// The attempt that is under way or whose answer is lost.
    pub open_attempt_id: Option<Uuid>,
    /// Until when an answer may be heard.
    pub leased_until: Option<Timestamp>,
    /// When it is looked at again.
    pub next_attempt_at: Timestamp,
    /// From when a look-up that finds nothing proves that the SIS never took
    /// it.
    pub absent_from: Option<Timestamp>,
    /// Why it waits.
    pub problem: String,
    /// The epoch under which it was last looked up for a restore's sake.
    pub looked_up_epoch: Option<Uuid>,
    /// How a settlement was matched.
    pub settlement_basis: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The id of a charge's posting, from its
/// [`charge_key`](crate::account::model::charge_key): the same at every try,
/// after every crash, and when the charge is made again from its event.
#[must_use]
pub fn posting_id(charge_key: Uuid, sequence: i32) -> Uuid {
    Uuid::new_v5(&charge_key, format!("posting {sequence}").as_bytes())
}

/// A moment by both clocks. Dates and periods go by the service's clock, which
/// demonstrations move. Exchanges with other systems go by the machine's, as
/// tokens do: moving ours does not make theirs commit any sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// By the service's clock.
    pub now: Timestamp,
    /// By the machine's clock.
    pub machine: Timestamp,
}

/// How long an exchange with the student-information system may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long we wait for an answer; nothing is sent after that.
    pub deadline: SignedDuration,
    /// How long the student-information system may still commit what it
    /// received.
    pub max_in_flight: SignedDuration,
}

impl Patience {
    /// When what was begun at a time is there, or never will be.
    #[must_use]
    pub fn over_at(self, begun_at: Timestamp) -> Timestamp {
        begun_at + self.deadline + self.max_in_flight
    }
}

impl Posting {
    /// It is handed over: committed before a byte leaves.
    ///
    /// # Errors
    /// [`Error::PostingTransition`].
    pub fn submit(
        &mut self,
        attempt_id: Uuid,
        chargeable_on: Date,
        patience: Patience,
        at: Moment,
    ) -> Result<(), Error> {
        self.go(PostingState::Submitted, &[PostingState::Pending], at.now)?;
        self.attempt_count += 1;
        self.open_attempt_id = Some(attempt_id);
        self.chargeable_on = Some(chargeable_on);
        self.leased_until = Some(at.machine + patience.deadline);
        self.next_attempt_at = at.machine + patience.deadline;
        self.absent_from = Some(patience.over_at(at.machine));
        self.problem.clear();
        Ok(())
    }

    /// The student account has it.
    ///
    /// # Errors
    /// [`Error::PostingTransition`].
    pub fn acknowledge(&mut self, sis_charge_id: String, at: Moment) -> Result<(), Error> {
        let from = [PostingState::Submitted, PostingState::Unknown];
        self.go(PostingState::Acknowledged, &from, at.now)?;
        self.close_attempt();
        self.sis_charge_id = Some(sis_charge_id);
        self.problem.clear();
        Ok(())
    }

    /// The student-information system refuses it.
    ///
    /// # Errors
    /// [`Error::PostingTransition`].
    pub fn reject(&mut self, problem: &str, at: Moment) -> Result<(), Error> {
        let from = [PostingState::Submitted, PostingState::Unknown];
        self.go(PostingState::Rejected, &from, at.now)?;
        self.close_attempt();
        self.say(problem);
        Ok(())
    }

    /// It cannot be sent as it stands, and was not: a person decides.
    ///
    /// # Errors
    /// [`Error::PostingTransition`].
    pub fn refuse(&mut self, problem: &str, at: Moment) -> Result<(), Error> {
        self.go(PostingState::Rejected, &[PostingState::Pending], at.now)?;
        self.say(problem);
        Ok(())
    }

    /// It certainly never arrived, and waits for another try.
    ///
    /// # Errors
    /// [`Error::PostingTransition`].
    pub fn not_sent(&mut self, problem: &str, at: Moment) -> Result<(), Error> {
        let from = [PostingState::Submitted, PostingState::Unknown];
        if self.attempt_count > 0 && self.attempt_count % MOST_ATTEMPTS == 0 {
            self.go(PostingState::Rejected, &from, at.now)?;
            self.close_attempt();
            self.say(&format!(
                "given up after {} tries: {problem}",
                self.attempt_count
            ));
            return Ok(());
        }
        self.go(PostingState::Pending, &from, at.now)?;
        self.close_attempt();
        self.say(problem);
        let pause = spread(back_off(self.attempt_count), self.id, self.attempt_count);
        self.next_attempt_at = at.machine + pause;
        Ok(())
    }

    /// Nobody knows whether it arrived. Looked up next, never sent again
    /// blindly.
    ///
    /// # Errors
    /// [`Error::PostingTransition`].
    pub fn lose(&mut self, problem: &str, at: Moment) -> Result<(), Error> {
        self.go(PostingState::Unknown, &[PostingState::Submitted], at.now)?;
        self.leased_until = None;
        self.say(problem);
        self.next_attempt_at = at.machine;
        Ok(())
    }

    /// The database was restored, and may have forgotten that this was handed
    /// over: it is looked up before anything is sent. A look-up that finds
    /// nothing proves something from `absent_from` on.
    ///
    /// # Errors
    /// [`Error::PostingTransition`].
    pub fn doubt(
        &mut self,
        attempt_id: Uuid,
        epoch: Uuid,
        absent_from: Timestamp,
        at: Moment,
    ) -> Result<(), Error> {
        let from = [
            PostingState::Pending,
            PostingState::Submitted,
            PostingState::Unknown,
        ];
        self.go(PostingState::Unknown, &from, at.now)?;
        self.open_attempt_id.get_or_insert(attempt_id);
        self.looked_up_epoch = Some(epoch);
        // The day on which the forgotten attempt handed it over is not known.
        self.chargeable_on = None;
        self.leased_until = None;
        self.absent_from = self.absent_from.max(Some(absent_from));
        self.say("the database was restored; it may be there already");
        self.next_attempt_at = at.machine;
        Ok(())
    }

    /// Whose student account it goes to, before a charge is sent: that may have
    /// changed since it was made. Without one it is never posted.
    ///
    /// # Errors
    /// [`Error::PostingTransition`] where it may be there already.
    pub fn address_to(&mut self, student_id: Option<String>, now: Timestamp) -> Result<(), Error> {
        match student_id {
            Some(student_id) => self.student_id = student_id,
            None => {
                let from = [
                    PostingState::Pending,
                    PostingState::Rejected,
                    PostingState::Unrouted,
                ];
                self.go(PostingState::Cancelled, &from, now)?;
                self.say("the patron has no student account any more");
            }
        }
        Ok(())
    }

    /// A look-up, begun at `asked_at`, found nothing. Whether that proves
    /// anything depends on how long the student-information system may still
    /// commit what it received.
    ///
    /// # Errors
    /// [`Error::PostingTransition`].
    pub fn not_found(&mut self, asked_at: Timestamp, at: Moment) -> Result<(), Error> {
        if let Some(absent_from) = self.absent_from
            && asked_at < absent_from
        {
            let next = at.machine + back_off(1);
            return self.still_unknown(
                "not there yet; the student-information system may still take it",
                next.min(absent_from),
                at,
            );
        }
        self.go(PostingState::Pending, &[PostingState::Unknown], at.now)?;
        self.close_attempt();
        self.problem.clear();
        self.next_attempt_at = at.machine;
        Ok(())
    }

    /// A person looked, at a time when it would be there, and it is not: it is
    /// posted again.
    ///
    /// # Errors
    /// [`Error::PostingNotUnknown`], [`Error::PostingInFlight`].
    pub fn resolve_absent(&mut self, at: Moment) -> Result<(), Error> {
        if self.state != PostingState::Unknown {
            return Err(Error::PostingNotUnknown);
        }
        if self.absent_from.is_some_and(|from| at.machine < from) {
            return Err(Error::PostingInFlight);
        }
        self.go(PostingState::Pending, &[PostingState::Unknown], at.now)?;
        self.close_attempt();
        self.problem.clear();
        self.next_attempt_at = at.machine;
        Ok(())
    }

    /// A person gives the charge back to the library, where it is paid.
    ///
    /// # Errors
    /// [`Error::PostingNotHere`], [`Error::PostingIsCredit`].
    pub fn return_to_library(&mut self, now: Timestamp) -> Result<(), Error> {
        if self.amount.is_negative() {
            return Err(Error::PostingIsCredit);
        }
        if !self.state.is_here() {
            return Err(Error::PostingNotHere);
        }
        let from = [self.state];
        self.go(PostingState::Cancelled, &from, now)?;
        self.say("returned to the library");
        Ok(())
    }

    /// A look-up did not decide it.
    ///
    /// # Errors
    /// [`Error::PostingTransition`].
    pub fn still_unknown(
        &mut self,
        problem: &str,
        next_attempt_at: Timestamp,
        at: Moment,
    ) -> Result<(), Error> {
        self.go(PostingState::Unknown, &[PostingState::Unknown], at.now)?;
        self.say(problem);
        self.next_attempt_at = next_attempt_at;
        Ok(())
    }

    /// A person has corrected what was wrong: another try, or none while there
    /// is no destination.
    ///
    /// # Errors
    /// [`Error::PostingNotWaiting`].
    pub fn retry(
        &mut self,
        destination: Result<Destination, &'static str>,
        at: Moment,
    ) -> Result<(), Error> {
        let from = [PostingState::Rejected, PostingState::Unrouted];
        if !from.contains(&self.state) {
            return Err(Error::PostingNotWaiting);
        }
        match destination {
            Ok(destination) => {
                self.go(PostingState::Pending, &from, at.now)?;
                self.funding_destination_id = destination.funding_destination_id;
                self.academic_period_id = destination.academic_period_id;
                self.problem.clear();
                self.next_attempt_at = at.machine;
            }
            Err(problem) => {
                self.go(PostingState::Unrouted, &from, at.now)?;
                self.say(problem);
            }
        }
        Ok(())
    }

    /// What is to be posted has changed before it was: the remaining amount is
    /// posted, not the original one, and nothing where nothing remains. False
    /// where nothing changes.
    ///
    /// # Errors
    /// [`Error::PostingTransition`].
    pub fn follow(&mut self, owed_here: Money, now: Timestamp) -> Result<bool, Error> {
        if !self.state.is_here() || self.amount == owed_here {
            return Ok(false);
        }
        if owed_here.is_zero() || owed_here.is_negative() != self.amount.is_negative() {
            let from = [self.state];
            self.go(PostingState::Cancelled, &from, now)?;
            self.say("nothing is left to post");
        } else {
            self.amount = owed_here;
            self.updated_at = now;
        }
        Ok(true)
    }

    /// The charge was paid at the student account.
    ///
    /// # Errors
    /// [`Error::PostingTransition`].
    pub fn settle(&mut self, basis: &str, whole: bool, now: Timestamp) -> Result<(), Error> {
        let from = [PostingState::Acknowledged, PostingState::Settled];
        let to = if whole {
            PostingState::Settled
        } else {
            self.state
        };
        self.go(to, &from, now)?;
        basis.clone_into(&mut self.settlement_basis);
        Ok(())
    }

    fn go(&mut self, to: PostingState, from: &[PostingState], now: Timestamp) -> Result<(), Error> {
        if !from.contains(&self.state) {
            return Err(Error::PostingTransition {
                from: self.state.name(),
                to: to.name(),
            });
        }
        self.state = to;
        self.updated_at = now;
        Ok(())
    }

    fn close_attempt(&mut self) {
        self.open_attempt_id = None;
        self.leased_until = None;
        self.absent_from = None;
    }

    /// Keeps why it waits. The student's id, which the student-information
    /// system likes to repeat, is left out.
    fn say(&mut self, problem: &str) {
        self.problem = without_student(problem, &self.student_id);
    }
}

/// A text of the student-information system without the student's id, and no
/// longer than is kept.
#[must_use]
pub fn without_student(text: &str, student_id: &str) -> String {
    let text = if student_id.is_empty() {
        text.to_owned()
    } else {
        text.replace(student_id, "[student]")
    };
    text.chars().take(LONGEST_PROBLEM).collect()
}

/// 1, 2, 4 … seconds, at most five minutes.
#[must_use]
pub fn back_off(attempts: i32) -> SignedDuration {
    let exponent = attempts.clamp(1, 10) - 1;
    SignedDuration::from_secs(1 << exponent).min(LONGEST_BACK_OFF)
}

/// A pause, shorter by up to a quarter: postings that failed together come
/// back one by one. By the posting and its try, so that a rule stays a rule.
fn spread(pause: SignedDuration, id: Uuid, attempts: i32) -> SignedDuration {
    let seed = Uuid::new_v5(&id, &attempts.to_be_bytes());
    let quarter = (seed.as_u128() % 256) as i32;
    pause - pause / 1024 * quarter
}

/// A posting that waits, for tests of rules.
#[cfg(test)]
pub(crate) fn test_posting(amount: Money) -> Posting {
    let start = Timestamp::UNIX_EPOCH;
    Posting {
        id: Uuid::nil(),
        account_id: Uuid::nil(),
        sequence: 0,
        reference: "7K3QX09B".into(),
        amount,
        state: PostingState::Pending,
        reverses_posting_id: None,
        student_id: "stu-1".into(),
        funding_destination_id: "d".into(),
        academic_period_id: "p".into(),
        chargeable_on: None,
        sis_charge_id: None,
        attempt_count: 0,
        open_attempt_id: None,
        leased_until: None,
        next_attempt_at: start,
        absent_from: None,
        problem: String::new(),
        looked_up_epoch: None,
        settlement_basis: String::new(),
        created_at: start,
        updated_at: start,
    }
}

#[cfg(test)]
mod tests;
