//! The rules of one charge: what may be done to it, and what each step books.
//!
//! A charge's amount is always what remains plus what was paid, waived, credited and settled. What remains is owed
//! here, at the student account, or both; a credit that the student account has not taken yet makes "here" negative.

use carrel_money::Money;
use jiff::Timestamp;
use uuid::Uuid;

use crate::error::Error;
use crate::journal::{LedgerAccount, Line};

/// The automatic and the manual kinds of charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum FeeFineKind {
    /// "Overdue fine".
    OverdueFine,
    /// "Lost item fee".
    LostItemFee,
    /// "Lost item processing fee".
    LostItemProcessingFee,
    /// For damage, or for parts that are missing.
    DamagedItemFee,
    /// By hand.
    Manual,
}

/// How a charge stands with its payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum PaymentStatus {
    /// "Outstanding".
    Outstanding,
    /// "Paid partially".
    PaidPartially,
    /// "Paid fully".
    PaidFully,
    /// "Waived partially".
    WaivedPartially,
    /// "Waived fully".
    WaivedFully,
    /// "Transferred fully".
    TransferredFully,
    /// "Credited fully".
    CreditedFully,
    /// "Cancelled item returned".
    CancelledItemReturned,
    /// "Transferred partially".
    TransferredPartially,
    /// "Refunded partially".
    RefundedPartially,
    /// "Refunded fully".
    RefundedFully,
    /// "Credited partially".
    CreditedPartially,
    /// "Cancelled item renewed".
    CancelledItemRenewed,
    /// "Cancelled item declared lost".
    CancelledItemDeclaredLost,
    /// "Cancelled as error".
    CancelledAsError,
    /// Written off in part.
    WrittenOffPartially,
    /// What remained was written off.
    WrittenOffFully,
}

/// What was done to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum ActionKind {
    /// The charge itself.
    Charge,
    /// A payment at the desk.
    Pay,
    /// A waiver.
    Waive,
    /// The student account took it, or a credit of it (negative).
    Transfer,
    /// Taken back because the item came back, or because it was too high.
    Credit,
    /// Paid at the student account.
    Settle,
    /// Money given back.
    Refund,
    /// The charge was taken back.
    Cancel,
    /// Written off.
    WriteOff,
    /// The bank returned the cheque.
    ReturnCheque,
    /// A mistake at the desk, taken back.
    Reverse,
    /// The patron disputes it.
    OpenDispute,
    /// Somebody else decided.
    DecideDispute,
    /// The patron claims that the item was returned.
    ClaimReturned,
    /// The claim was resolved.
    ResolveClaim,
}

/// How somebody paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Tender {
    /// Coins and notes.
    Cash,
    /// A cheque.
    Cheque,
    /// A card.
    Card,
}

/// One charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: Uuid,
    /// The reference that stands on the student account.
    pub reference: String,
    /// Who owes it.
    pub patron_id: Uuid,
    /// Who is owed.
    pub fee_fine_owner_id: Uuid,
    /// What for.
    pub fee_fine_type_id: Uuid,
    /// Which kind that is.
    pub kind: FeeFineKind,
    /// What was charged.
    pub amount: Money,
    /// What is still owed, here or at the student account.
    pub remaining: Money,
    /// Paid at the desk.
    pub paid: Money,
    /// Waived.
    pub waived: Money,
    /// Taken back.
    pub credited: Money,
    /// Paid at the student account.
    pub settled: Money,
    /// What the student account bears of it and nobody has paid there.
    pub at_sis: Money,
    /// Written off.
    pub written_off: Money,
    /// Cancelled: nothing, or the whole charge.
    pub cancelled: Money,
    /// What the library owes back of what was paid at the desk.
    pub owed_back: Money,
    /// The tax that the amount includes.
    pub tax: Money,
    /// What keeps it from being posted, from ageing and from counting.
    pub suspension: Suspension,
    /// How it stands with its payment.
    pub payment_status: PaymentStatus,
    /// The fine or loss in circulation.
    pub source_id: Option<Uuid>,
    /// The loan.
    pub loan_id: Option<Uuid>,
    /// The college that is owed.
    pub institution_code: Option<String>,
    /// The library that is owed.
    pub library_code: Option<String>,
    /// When it was charged.
    pub charged_at: Timestamp,
    /// Rises with each change.
    pub revision: i64,
}

/// Whether a charge waits: for a decision, or until a claim is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspension {
    /// A dispute is open.
    pub is_disputed: bool,
    /// The patron claims that the item was returned.
    pub is_claimed_returned: bool,
    /// Since when, while it waits for either.
    pub since: Option<Timestamp>,
    /// From when its age counts: later than its charge by as long as it waited.
    pub ages_from: Timestamp,
}

/// Who is charged, for what: a charge before it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Who owes it.
    pub patron_id: Uuid,
    /// Who is owed.
    pub fee_fine_owner_id: Uuid,
    /// What for.
    pub fee_fine_type_id: Uuid,
    /// Which kind that is.
    pub kind: FeeFineKind,
    /// How much.
    pub amount: Money,
    /// The tax that this includes.
    pub tax: Money,
    /// The fine or loss in circulation.
    pub source_id: Option<Uuid>,
    /// The loan.
    pub loan_id: Option<Uuid>,
    /// The college that is owed.
    pub institution_code: Option<String>,
    /// The library that is owed.
    pub library_code: Option<String>,
    /// When it became owed.
    pub charged_at: Timestamp,
}

/// What a charge's references and postings derive from: the fine or loss and
/// the kind, so that a charge that is made again from its event after a
/// database was restored has the same ones; by hand, the account.
#[must_use]
pub fn charge_key(account_id: Uuid, source_id: Option<Uuid>, kind: FeeFineKind) -> Uuid {
    let kind = match kind {
        FeeFineKind::OverdueFine => "overdue_fine",
        FeeFineKind::LostItemFee => "lost_item_fee",
        FeeFineKind::LostItemProcessingFee => "lost_item_processing_fee",
        FeeFineKind::DamagedItemFee => "damaged_item_fee",
        FeeFineKind::Manual => "manual",
    };
    source_id.map_or(account_id, |source_id| {
        Uuid::new_v5(&source_id, kind.as_bytes())
    })
}

/// What one step does: its action, and its lines in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What kind of action.
    pub kind: ActionKind,
    /// How much; of a transfer negative where it is a credit.
    pub amount: Money,
    /// What the patron owes more (or less, negative) in all.
    pub owed_change: Money,
    /// The journal's lines.
    pub lines: Vec<Line>,
}

impl Account {
    /// Makes a charge: the patron owes, revenue is earned.
    ///
    /// # Errors
    /// [`Error::AmountNotPositive`].
    pub fn charge(id: Uuid, reference: String, charge: Charge) -> Result<(Self, Step), Error> {
        let amount = positive(charge.amount)?;
        let none = Money::zero(amount.currency());
        let account = Self {
            id,
            reference,
            patron_id: charge.patron_id,
            fee_fine_owner_id: charge.fee_fine_owner_id,
            fee_fine_type_id: charge.fee_fine_type_id,
            kind: charge.kind,
            amount,
            remaining: amount,
            paid: none,
            waived: none,
            credited: none,
            settled: none,
            at_sis: none,
            written_off: none,
            cancelled: none,
            owed_back: none,
            tax: charge.tax,
            suspension: Suspension {
                is_disputed: false,
                is_claimed_returned: false,
                since: None,
                ages_from: charge.charged_at,
            },
            payment_status: PaymentStatus::Outstanding,
            source_id: charge.source_id,
            loan_id: charge.loan_id,
            institution_code: charge.institution_code,
            library_code: charge.library_code,
            charged_at: charge.charged_at,
            revision: 1,
        };
        let step = Step {
            kind: ActionKind::Charge,
            amount,
            owed_change: amount,
            lines: booked([
                Line::debit(LedgerAccount::PatronReceivable, amount),
                Line::credit(LedgerAccount::Revenue, amount.minus(charge.tax)?),
                Line::credit(LedgerAccount::TaxPayable, charge.tax),
            ]),
        };
        Ok((account, step))
    }

    /// What its references and postings derive from.
    #[must_use]
    pub fn charge_key(&self) -> Uuid {
        charge_key(self.id, self.source_id, self.kind)
    }

    /// Whether nothing is left to pay.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.remaining.is_zero()
    }

    /// What is to be posted to the student account: what it does not bear yet,
    /// nothing while the charge is suspended; negative: what it has to take
    /// back, suspended or not.
    ///
    /// # Errors
    /// None in practice: both parts are of one currency.
    pub fn owed_here(&self) -> Result<Money, Error> {
        let owed_here = self.remaining.minus(self.at_sis)?;
        if self.suspension.is_suspended() && owed_here.is_positive() {
            return Ok(Money::zero(owed_here.currency()));
        }
        Ok(owed_here)
    }

    /// Takes a payment at the desk. `under_way`: whether the charge is on its
    /// way to the student account, where it may be paid too.
    ///
    /// # Errors
    /// [`Error::AmountNotPositive`], [`Error::CurrencyNotKept`], [`Error::AccountClosed`],
    /// [`Error::AtStudentAccount`], [`Error::PaymentExceedsRemaining`].
    pub fn pay(&mut self, amount: Money, under_way: bool) -> Result<Step, Error> {
        let amount = self.takes(amount)?;
        if under_way || self.at_sis.is_positive() {
            return Err(Error::AtStudentAccount);
        }
        self.remaining = less(self.remaining, amount, || Error::PaymentExceedsRemaining)?;
        self.paid = self.paid.plus(amount)?;
        self.forget_loan();
        self.payment_status = if self.is_closed() {
            PaymentStatus::PaidFully
        } else {
            PaymentStatus::PaidPartially
        };
        Ok(Step {
            kind: ActionKind::Pay,
            amount,
            owed_change: amount.negated(),
            lines: vec![
                Line::debit(LedgerAccount::Cash, amount),
                Line::credit(LedgerAccount::PatronReceivable, amount),
            ],
        })
    }

    /// Waives what is owed. What the student account bears of it is taken back
    /// there by a posting of its own.
    ///
    /// # Errors
    /// [`Error::AmountNotPositive`], [`Error::CurrencyNotKept`], [`Error::AccountClosed`],
    /// [`Error::WaiverExceedsRemaining`].
    pub fn waive(&mut self, amount: Money) -> Result<Step, Error> {
        let amount = self.takes(amount)?;
        self.remaining = less(self.remaining, amount, || Error::WaiverExceedsRemaining)?;
        self.waived = self.waived.plus(amount)?;
        self.forget_loan();
        self.payment_status = if self.is_closed() {
            PaymentStatus::WaivedFully
        } else {
            PaymentStatus::WaivedPartially
        };
        Ok(Step {
            kind: ActionKind::Waive,
            amount,
            owed_change: amount.negated(),
            lines: vec![
                Line::debit(LedgerAccount::Waivers, amount),
                Line::credit(LedgerAccount::PatronReceivable, amount),
            ],
        })
    }

    /// Gives everything back that was not waived, because the item came back:
    /// what is owed is owed no more; what was paid at the student account is
    /// credited there, and the bursar decides who gets it; what was paid at the
    /// desk is owed back by the library. `None`: there is nothing to give back.
    ///
    /// # Errors
    /// None in practice: all parts are of one currency.
    pub fn credit(&mut self) -> Result<Option<Step>, Error> {
        let none = Money::zero(self.amount.currency());
        let owed = self.remaining.plus(self.settled)?;
        let given_back = owed.plus(self.paid)?;
        if given_back.is_zero() {
            return Ok(None);
        }
        let untouched = self.paid.is_zero() && self.settled.is_zero() && self.at_sis.is_zero();
        let step = Step {
            kind: ActionKind::Credit,
            amount: given_back,
            owed_change: self.remaining.negated(),
            lines: booked([
                Line::debit(LedgerAccount::Credits, given_back),
                Line::credit(LedgerAccount::PatronReceivable, owed),
                Line::credit(LedgerAccount::RefundsPayable, self.paid),
                // The payment there is no longer this charge's.
                Line::debit(LedgerAccount::SisClearing, self.settled),
                Line::credit(LedgerAccount::SisSettled, self.settled),
            ]),
        };
        self.owed_back = self.owed_back.plus(self.paid)?;
        self.credited = self.credited.plus(given_back)?;
        self.at_sis = self.at_sis.plus(self.settled)?;
        self.remaining = none;
        self.settled = none;
        self.paid = none;
        self.forget_loan();
        self.payment_status = if untouched {
            PaymentStatus::CancelledItemReturned
        } else {
            PaymentStatus::CreditedFully
        };
        Ok(Some(step))
    }

    /// The student account took a posting: a charge, or (negative) a credit.
    /// The charge is still owed, there.
    ///
    /// # Errors
    /// [`Error::OutOfBalance`] for a credit of more than is there.
    pub fn transfer(&mut self, amount: Money) -> Result<Step, Error> {
        let at_sis = self.at_sis.plus(amount)?;
        if at_sis.is_negative() || self.amount.minus(at_sis)?.is_negative() {
            return Err(Error::OutOfBalance(
                "the student account bears less than nothing or more than the charge",
            ));
        }
        self.at_sis = at_sis;
        if self.remaining.is_positive() && self.remaining == at_sis {
            self.payment_status = PaymentStatus::TransferredFully;
        } else if at_sis.is_positive() && self.remaining.amount() > at_sis.amount() {
            self.payment_status = PaymentStatus::TransferredPartially;
        }
        Ok(Step {
            kind: ActionKind::Transfer,
            amount,
            owed_change: Money::zero(amount.currency()),
            lines: vec![
                Line::debit(LedgerAccount::SisClearing, amount),
                Line::credit(LedgerAccount::PatronReceivable, amount),
            ],
        })
    }

    /// Somebody paid at the student account, `settled` in all. What was counted
    /// before counts once, and no more is settled than what remains and is
    /// there. `None`: nothing new.
    ///
    /// # Errors
    /// None in practice: all parts are of one currency.
    pub fn settle(&mut self, settled: Money) -> Result<Option<Step>, Error> {
        let mut amount = settled.minus(self.settled)?;
        for bound in [self.remaining, self.at_sis] {
            if bound.amount() < amount.amount() {
                amount = bound;
            }
        }
        if !amount.is_positive() {
            return Ok(None);
        }
        self.remaining = self.remaining.minus(amount)?;
        self.at_sis = self.at_sis.minus(amount)?;
        self.settled = self.settled.plus(amount)?;
        self.forget_loan();
        self.payment_status = if self.is_closed() {
            PaymentStatus::PaidFully
        } else {
            PaymentStatus::PaidPartially
        };
        Ok(Some(Step {
            kind: ActionKind::Settle,
            amount,
            owed_change: amount.negated(),
            lines: vec![
                Line::debit(LedgerAccount::SisSettled, amount),
                Line::credit(LedgerAccount::SisClearing, amount),
            ],
        }))
    }

    /// The link between patron and loan goes with the last cent
    /// (ARCHITECTURE §5.6).
    pub(super) fn forget_loan(&mut self) {
        if self.is_closed() {
            self.loan_id = None;
        }
    }

    /// An amount that can be taken from what remains.
    pub(super) fn takes(&self, amount: Money) -> Result<Money, Error> {
        if amount.currency() != self.amount.currency() {
            return Err(Error::CurrencyNotKept);
        }
        let amount = positive(amount)?;
        if self.is_closed() {
            return Err(Error::AccountClosed);
        }
        Ok(amount)
    }
}

/// The lines that move something.
pub(super) fn booked<const N: usize>(lines: [Line; N]) -> Vec<Line> {
    lines
        .into_iter()
        .filter(|line| !line.amount.is_zero())
        .collect()
}

pub(super) fn positive(amount: Money) -> Result<Money, Error> {
    if amount.is_positive() {
        Ok(amount)
    } else {
        Err(Error::AmountNotPositive)
    }
}

pub(super) fn less(whole: Money, part: Money, too_much: fn() -> Error) -> Result<Money, Error> {
    let rest = whole.minus(part)?;
    if rest.is_negative() {
        Err(too_much())
    } else {
        Ok(rest)
    }
}

#[cfg(test)]
mod tests;
