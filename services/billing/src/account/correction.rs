//! The rules of taking back, in whole or in part: refund, credit, cancel, write off, a cheque returned, a mistake
//! reversed; and of suspending a charge.

use carrel_money::{Decimal, Money};
use jiff::Timestamp;

use super::model::{Account, ActionKind, PaymentStatus, Step, Suspension, booked, less, positive};
use crate::error::Error;
use crate::journal::{LedgerAccount, Line};

/// Why a charge is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// It was charged in error.
    Error,
    /// The item came back.
    ItemReturned,
    /// The item was renewed.
    ItemRenewed,
    /// The item was declared lost.
    ItemDeclaredLost,
}

/// What a charge is suspended for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspendedFor {
    /// A dispute.
    Dispute,
    /// The claim that the item was returned.
    Claim,
}

impl Account {
    /// Gives money back that was paid at the desk: first what the library owes
    /// back, then what was paid, by which the charge is credited. What was paid
    /// at the student account is never given back here.
    ///
    /// # Errors
    /// [`Error::AmountNotPositive`], [`Error::CurrencyNotKept`], [`Error::RefundExceedsPayment`].
    pub fn refund(&mut self, amount: Money) -> Result<Step, Error> {
        let amount = self.accepts(amount)?;
        let of_owed_back = least(amount, self.owed_back);
        let of_paid = amount.minus(of_owed_back)?;
        self.paid = less(self.paid, of_paid, || Error::RefundExceedsPayment)?;
        self.owed_back = self.owed_back.minus(of_owed_back)?;
        self.credited = self.credited.plus(of_paid)?;
        self.payment_status = if self.is_closed() && self.paid.is_zero() && self.owed_back.is_zero()
        {
            PaymentStatus::RefundedFully
        } else {
            PaymentStatus::RefundedPartially
        };
        Ok(Step {
            kind: ActionKind::Refund,
            amount,
            owed_change: nothing(amount),
            lines: booked([
                Line::debit(LedgerAccount::RefundsPayable, of_owed_back),
                Line::debit(LedgerAccount::Credits, of_paid),
                Line::credit(LedgerAccount::Cash, amount),
            ]),
        })
    }

    /// Credits part of a charge: what is owed first, then what was paid at the
    /// desk, which the library owes back.
    ///
    /// # Errors
    /// [`Error::AmountNotPositive`], [`Error::CurrencyNotKept`], [`Error::CreditExceedsCharge`].
    pub fn credit_by_hand(&mut self, amount: Money) -> Result<Step, Error> {
        let amount = self.accepts(amount)?;
        let of_owed = least(amount, self.remaining);
        let of_paid = amount.minus(of_owed)?;
        self.paid = less(self.paid, of_paid, || Error::CreditExceedsCharge)?;
        self.remaining = self.remaining.minus(of_owed)?;
        self.owed_back = self.owed_back.plus(of_paid)?;
        self.credited = self.credited.plus(amount)?;
        self.forget_loan();
        self.payment_status = if self.is_closed() {
            PaymentStatus::CreditedFully
        } else {
            PaymentStatus::CreditedPartially
        };
        Ok(Step {
            kind: ActionKind::Credit,
            amount,
            owed_change: of_owed.negated(),
            lines: booked([
                Line::debit(LedgerAccount::Credits, amount),
                Line::credit(LedgerAccount::PatronReceivable, of_owed),
                Line::credit(LedgerAccount::RefundsPayable, of_paid),
            ]),
        })
    }

    /// Takes the whole charge back, with all that was waived, written off or
    /// credited of it. What was paid at the desk is owed back; what was paid at
    /// the student account is credited there, and the bursar decides who gets it.
    ///
    /// # Errors
    /// [`Error::ChargeTakenBack`].
    pub fn cancel(&mut self, reason: CancelReason) -> Result<Step, Error> {
        if !self.cancelled.is_zero() {
            return Err(Error::ChargeTakenBack);
        }
        let none = nothing(self.amount);
        let step = Step {
            kind: ActionKind::Cancel,
            amount: self.amount,
            owed_change: self.remaining.negated(),
            lines: booked([
                Line::debit(LedgerAccount::Revenue, self.amount.minus(self.tax)?),
                Line::debit(LedgerAccount::TaxPayable, self.tax),
                Line::credit(
                    LedgerAccount::PatronReceivable,
                    self.remaining.plus(self.settled)?,
                ),
                Line::credit(LedgerAccount::Waivers, self.waived),
                Line::credit(LedgerAccount::WriteOffs, self.written_off),
                Line::credit(LedgerAccount::Credits, self.credited),
                Line::credit(LedgerAccount::RefundsPayable, self.paid),
                Line::debit(LedgerAccount::SisClearing, self.settled),
                Line::credit(LedgerAccount::SisSettled, self.settled),
            ]),
        };
        self.owed_back = self.owed_back.plus(self.paid)?;
        self.at_sis = self.at_sis.plus(self.settled)?;
        self.cancelled = self.amount;
        for part in [
            &mut self.remaining,
            &mut self.paid,
            &mut self.waived,
            &mut self.written_off,
            &mut self.credited,
            &mut self.settled,
        ] {
            *part = none;
        }
        self.forget_loan();
        self.payment_status = match reason {
            CancelReason::Error => PaymentStatus::CancelledAsError,
            CancelReason::ItemReturned => PaymentStatus::CancelledItemReturned,
            CancelReason::ItemRenewed => PaymentStatus::CancelledItemRenewed,
            CancelReason::ItemDeclaredLost => PaymentStatus::CancelledItemDeclaredLost,
        };
        Ok(step)
    }

    /// Writes off what nobody expects to be paid. What the student account
    /// bears of it is taken back there by a posting of its own.
    ///
    /// # Errors
    /// [`Error::AmountNotPositive`], [`Error::CurrencyNotKept`], [`Error::AccountClosed`],
    /// [`Error::WriteOffExceedsRemaining`].
    pub fn write_off(&mut self, amount: Money) -> Result<Step, Error> {
        let amount = self.takes(amount)?;
        self.remaining = less(self.remaining, amount, || Error::WriteOffExceedsRemaining)?;
        self.written_off = self.written_off.plus(amount)?;
        self.forget_loan();
        self.payment_status = if self.is_closed() {
            PaymentStatus::WrittenOffFully
        } else {
            PaymentStatus::WrittenOffPartially
        };
        Ok(Step {
            kind: ActionKind::WriteOff,
            amount,
            owed_change: amount.negated(),
            lines: vec![
                Line::debit(LedgerAccount::WriteOffs, amount),
                Line::credit(LedgerAccount::PatronReceivable, amount),
            ],
        })
    }

    /// The bank returned a cheque, or a payment was a mistake: what it paid is
    /// owed again. What the library owed back of it, it owes no more.
    ///
    /// # Errors
    /// [`Error::PaymentSpent`] where less than this is left of what was paid.
    pub fn unpay(&mut self, kind: ActionKind, amount: Money) -> Result<Step, Error> {
        let amount = self.accepts(amount)?;
        let of_paid = least(amount, self.paid);
        let of_owed_back = amount.minus(of_paid)?;
        self.owed_back = less(self.owed_back, of_owed_back, || Error::PaymentSpent)?;
        self.paid = self.paid.minus(of_paid)?;
        self.remaining = self.remaining.plus(of_paid)?;
        self.payment_status = self.status_when_reopened();
        Ok(Step {
            kind,
            amount,
            owed_change: of_paid,
            lines: booked([
                Line::debit(LedgerAccount::PatronReceivable, of_paid),
                Line::debit(LedgerAccount::RefundsPayable, of_owed_back),
                Line::credit(LedgerAccount::Cash, amount),
            ]),
        })
    }

    /// A waiver or a write-off was a mistake: it is owed again.
    ///
    /// # Errors
    /// [`Error::ActionNotReversible`] for any other action,
    /// [`Error::ChargeTakenBack`] where the charge was cancelled since.
    pub fn take_back(&mut self, kind: ActionKind, amount: Money) -> Result<Step, Error> {
        let amount = self.accepts(amount)?;
        let (part, ledger_account) = match kind {
            ActionKind::Waive => (&mut self.waived, LedgerAccount::Waivers),
            ActionKind::WriteOff => (&mut self.written_off, LedgerAccount::WriteOffs),
            _ => return Err(Error::ActionNotReversible),
        };
        *part = less(*part, amount, || Error::ChargeTakenBack)?;
        self.remaining = self.remaining.plus(amount)?;
        self.payment_status = self.status_when_reopened();
        Ok(Step {
            kind: ActionKind::Reverse,
            amount,
            owed_change: amount,
            lines: vec![
                Line::debit(LedgerAccount::PatronReceivable, amount),
                Line::credit(ledger_account, amount),
            ],
        })
    }

    /// Suspends the charge, or lets it go on; what counts towards blocks
    /// changes by what is returned. Its age does not grow meanwhile.
    ///
    /// # Errors
    /// None in practice: the age is within the range of instants.
    pub fn suspend(
        &mut self,
        what_for: SuspendedFor,
        is_suspended: bool,
        now: Timestamp,
    ) -> Result<Money, Error> {
        let was_suspended = self.suspension.is_suspended();
        match what_for {
            SuspendedFor::Dispute => self.suspension.is_disputed = is_suspended,
            SuspendedFor::Claim => self.suspension.is_claimed_returned = is_suspended,
        }
        match (was_suspended, self.suspension.is_suspended()) {
            (false, true) => {
                self.suspension.since = Some(now);
                Ok(self.remaining)
            }
            (true, false) => {
                if let Some(since) = self.suspension.since.take() {
                    let waited = now.duration_since(since).max(jiff::SignedDuration::ZERO);
                    self.suspension.ages_from = self
                        .suspension
                        .ages_from
                        .checked_add(waited)
                        .map_err(|_| Error::OutOfBalance("a charge older than time"))?;
                }
                Ok(self.remaining.negated())
            }
            (true, true) | (false, false) => Ok(nothing(self.amount)),
        }
    }

    fn status_when_reopened(&self) -> PaymentStatus {
        if self.is_closed() {
            // Only what the library owed back changed.
            self.payment_status
        } else if self.paid.is_positive() || self.settled.is_positive() {
            PaymentStatus::PaidPartially
        } else if self.at_sis.is_positive() && self.at_sis == self.remaining {
            PaymentStatus::TransferredFully
        } else if self.at_sis.is_positive() {
            PaymentStatus::TransferredPartially
        } else if self.waived.is_positive() {
            PaymentStatus::WaivedPartially
        } else if self.credited.is_positive() {
            PaymentStatus::CreditedPartially
        } else if self.written_off.is_positive() {
            PaymentStatus::WrittenOffPartially
        } else {
            PaymentStatus::Outstanding
        }
    }

    /// An amount that a closed account may take too.
    fn accepts(&self, amount: Money) -> Result<Money, Error> {
        if amount.currency() != self.amount.currency() {
            return Err(Error::CurrencyNotKept);
        }
        positive(amount)
    }
}

impl Suspension {
    /// Whether it waits for anything.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.is_disputed || self.is_claimed_returned
    }
}

fn nothing(like: Money) -> Money {
    Money::zero(like.currency())
}

fn least(a: Money, b: Money) -> Money {
    if a.amount() < b.amount() { a } else { b }
}

/// What counts towards balance blocks: not what is suspended, and nothing below
/// the district's minimum.
#[must_use]
pub fn counted(outstanding: Decimal, suspended: Decimal, minimum: Decimal) -> Decimal {
    let counted = outstanding - suspended;
    if counted < minimum {
        Decimal::ZERO
    } else {
        counted
    }
}
