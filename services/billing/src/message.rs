//! Values as messages of the contract, for answers and for events.

use carrel_outbox::NewEvent;
use carrel_proto::billing::v1 as pb;
use carrel_runtime::wire;
use jiff::Timestamp;
use prost::Message as _;
use uuid::Uuid;

use crate::account::model::{Account, ActionKind, FeeFineKind, PaymentStatus, Tender};
use crate::account::{Action, Balance};
use crate::columns::money;
use crate::dispute::{Dispute, Outcome};
use crate::error::Error;
use crate::fee_fine::model::{FeeFineType, Owner};
use crate::journal::{LedgerAccount, LedgerBalance, Transaction};
use crate::payment::{Part, Payment};
use crate::posting::Attempt;
use crate::posting::batch::{Batch, BatchState};
use crate::posting::model::{Posting, PostingState};
use crate::posting::policy::Preview;
use crate::posting::policy::model::{Criterion, Policy};
use crate::posting::reconciliation::{Difference, DifferenceKind, Reconciliation};
use crate::route::model::{Period, Route};
use crate::write_off::{WriteOff, WriteOffState};

/// The event of a changed account.
pub(crate) fn account_changed(account: &Account, now: Timestamp) -> NewEvent {
    let message = pb::AccountChanged {
        account: Some(self::account(account, &[])),
    };
    NewEvent::of(account.id, &message, now)
}

/// The event of a changed balance.
pub(crate) fn balance_changed(balance: &Balance, now: Timestamp) -> NewEvent {
    let message = pb::BalanceChanged {
        balance: Some(self::balance(balance)),
    };
    NewEvent::of(balance.patron_id, &message, now)
}

/// The event of a changed posting.
pub(crate) fn posting_changed(posting: &Posting, now: Timestamp) -> NewEvent {
    let message = pb::PostingChanged {
        posting: Some(self::posting(posting, &[])),
    };
    NewEvent::of(posting.id, &message, now)
}

pub(crate) fn account(account: &Account, actions: &[Action]) -> pb::Account {
    let status = if account.is_closed() {
        pb::AccountStatus::Closed
    } else {
        pb::AccountStatus::Open
    };
    pb::Account {
        id: account.id.to_string(),
        reference: account.reference.clone(),
        patron_id: account.patron_id.to_string(),
        fee_fine_owner_id: account.fee_fine_owner_id.to_string(),
        fee_fine_type_id: account.fee_fine_type_id.to_string(),
        kind: kind(account.kind).into(),
        amount: Some(account.amount.into()),
        remaining: Some(account.remaining.into()),
        status: status.into(),
        payment_status: told_status(account).into(),
        loan_id: account.loan_id.map(|id| id.to_string()).unwrap_or_default(),
        charged_at: Some(wire::to_timestamp(account.charged_at)),
        actions: actions.iter().map(action).collect(),
        revision: account.revision,
        is_disputed: account.suspension.is_disputed,
        is_claimed_returned: account.suspension.is_claimed_returned,
        paid: Some(account.paid.into()),
        waived: Some(account.waived.into()),
        credited: Some(account.credited.into()),
        settled: Some(account.settled.into()),
        written_off: Some(account.written_off.into()),
        cancelled: Some(account.cancelled.into()),
        owed_back: Some(account.owed_back.into()),
        tax: Some(account.tax.into()),
    }
}

/// What the patron claims comes before how it stood until then.
fn told_status(account: &Account) -> pb::PaymentStatus {
    if account.suspension.is_claimed_returned && !account.is_closed() {
        pb::PaymentStatus::SuspendedClaimReturned
    } else {
        payment_status(account.payment_status)
    }
}

pub(crate) fn action_kind(kind: ActionKind) -> pb::AccountActionKind {
    match kind {
        ActionKind::Charge => pb::AccountActionKind::Charge,
        ActionKind::Pay => pb::AccountActionKind::Pay,
        ActionKind::Waive => pb::AccountActionKind::Waive,
        ActionKind::Transfer => pb::AccountActionKind::Transfer,
        ActionKind::Credit => pb::AccountActionKind::Credit,
        ActionKind::Settle => pb::AccountActionKind::Settle,
        ActionKind::Refund => pb::AccountActionKind::Refund,
        ActionKind::Cancel => pb::AccountActionKind::Cancel,
        ActionKind::WriteOff => pb::AccountActionKind::WriteOff,
        ActionKind::ReturnCheque => pb::AccountActionKind::ReturnCheque,
        ActionKind::Reverse => pb::AccountActionKind::Reverse,
        ActionKind::OpenDispute => pb::AccountActionKind::OpenDispute,
        ActionKind::DecideDispute => pb::AccountActionKind::DecideDispute,
        ActionKind::ClaimReturned => pb::AccountActionKind::ClaimReturned,
        ActionKind::ResolveClaim => pb::AccountActionKind::ResolveClaim,
    }
}

pub(crate) fn tender(tender: Tender) -> pb::Tender {
    match tender {
        Tender::Cash => pb::Tender::Cash,
        Tender::Cheque => pb::Tender::Cheque,
        Tender::Card => pb::Tender::Card,
    }
}

fn action(action: &Action) -> pb::AccountAction {
    pb::AccountAction {
        id: action.id.to_string(),
        kind: action_kind(action.kind).into(),
        amount: Some(action.amount.into()),
        remaining: Some(action.remaining.into()),
        actor: action.actor.clone(),
        comment: action.comment.clone(),
        occurred_at: Some(wire::to_timestamp(action.occurred_at)),
        journal_transaction_id: text(action.journal_transaction_id),
        payment_id: text(action.payment_id),
        reverses_action_id: text(action.reverses_action_id),
        tender: action.tender.map_or(pb::Tender::Unspecified, tender).into(),
    }
}

/// An id that may be missing.
pub(crate) fn text(id: Option<Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

pub(crate) fn ledger_balance(line: &LedgerBalance) -> pb::TrialBalanceLine {
    pb::TrialBalanceLine {
        ledger_account: ledger_account(line.ledger_account).into(),
        balance: Some(line.closing.into()),
        opening: Some(line.opening.into()),
        debits: Some(line.debits.into()),
        credits: Some(line.credits.into()),
    }
}

pub(crate) fn kind(kind: FeeFineKind) -> pb::FeeFineKind {
    match kind {
        FeeFineKind::OverdueFine => pb::FeeFineKind::OverdueFine,
        FeeFineKind::LostItemFee => pb::FeeFineKind::LostItemFee,
        FeeFineKind::LostItemProcessingFee => pb::FeeFineKind::LostItemProcessingFee,
        FeeFineKind::DamagedItemFee => pb::FeeFineKind::DamagedItemFee,
        FeeFineKind::Manual => pb::FeeFineKind::Manual,
    }
}

/// A kind of the contract.
pub(crate) fn kind_of(value: i32) -> Option<FeeFineKind> {
    match pb::FeeFineKind::try_from(value) {
        Ok(pb::FeeFineKind::OverdueFine) => Some(FeeFineKind::OverdueFine),
        Ok(pb::FeeFineKind::LostItemFee) => Some(FeeFineKind::LostItemFee),
        Ok(pb::FeeFineKind::LostItemProcessingFee) => Some(FeeFineKind::LostItemProcessingFee),
        Ok(pb::FeeFineKind::DamagedItemFee) => Some(FeeFineKind::DamagedItemFee),
        Ok(pb::FeeFineKind::Manual) => Some(FeeFineKind::Manual),
        Ok(pb::FeeFineKind::Unspecified) | Err(_) => None,
    }
}

fn payment_status(status: PaymentStatus) -> pb::PaymentStatus {
    match status {
        PaymentStatus::Outstanding => pb::PaymentStatus::Outstanding,
        PaymentStatus::PaidPartially => pb::PaymentStatus::PaidPartially,
        PaymentStatus::PaidFully => pb::PaymentStatus::PaidFully,
        PaymentStatus::WaivedPartially => pb::PaymentStatus::WaivedPartially,
        PaymentStatus::WaivedFully => pb::PaymentStatus::WaivedFully,
        PaymentStatus::TransferredFully => pb::PaymentStatus::TransferredFully,
        PaymentStatus::CreditedFully => pb::PaymentStatus::CreditedFully,
        PaymentStatus::CancelledItemReturned => pb::PaymentStatus::CancelledItemReturned,
        PaymentStatus::TransferredPartially => pb::PaymentStatus::TransferredPartially,
        PaymentStatus::RefundedPartially => pb::PaymentStatus::RefundedPartially,
        PaymentStatus::RefundedFully => pb::PaymentStatus::RefundedFully,
        PaymentStatus::CreditedPartially => pb::PaymentStatus::CreditedPartially,
        PaymentStatus::CancelledItemRenewed => pb::PaymentStatus::CancelledItemRenewed,
        PaymentStatus::CancelledItemDeclaredLost => pb::PaymentStatus::CancelledItemDeclaredLost,
        PaymentStatus::CancelledAsError => pb::PaymentStatus::CancelledAsError,
        PaymentStatus::WrittenOffPartially => pb::PaymentStatus::WrittenOffPartially,
        PaymentStatus::WrittenOffFully => pb::PaymentStatus::WrittenOffFully,
    }
}

pub(crate) fn balance(balance: &Balance) -> pb::Balance {
    pb::Balance {
        patron_id: balance.patron_id.to_string(),
        outstanding: Some(balance.outstanding.into()),
        revision: balance.revision,
        counted: Some(balance.counted.into()),
    }
}

pub(crate) fn owner(owner: &Owner) -> pb::FeeFineOwner {
    pb::FeeFineOwner {
        id: owner.id.to_string(),
        code: owner.code.clone(),
        name: owner.name.clone(),
        library_codes: owner.library_codes.clone(),
        institution_code: owner.institution_code.clone().unwrap_or_default(),
    }
}

pub(crate) fn fee_fine_type(fee_fine_type: &FeeFineType) -> pb::FeeFineType {
    pb::FeeFineType {
        id: fee_fine_type.id.to_string(),
        code: fee_fine_type.code.clone(),
        kind: kind(fee_fine_type.kind).into(),
        statement_text: fee_fine_type.statement_text.clone(),
        default_amount: fee_fine_type.default_amount.map(Into::into),
    }
}

pub(crate) fn ledger_account(ledger_account: LedgerAccount) -> pb::LedgerAccount {
    match ledger_account {
        LedgerAccount::PatronReceivable => pb::LedgerAccount::PatronReceivable,
        LedgerAccount::SisClearing => pb::LedgerAccount::SisClearing,
        LedgerAccount::Cash => pb::LedgerAccount::Cash,
        LedgerAccount::Revenue => pb::LedgerAccount::Revenue,
        LedgerAccount::Waivers => pb::LedgerAccount::Waivers,
        LedgerAccount::Credits => pb::LedgerAccount::Credits,
        LedgerAccount::SisSettled => pb::LedgerAccount::SisSettled,
        LedgerAccount::RefundsPayable => pb::LedgerAccount::RefundsPayable,
        LedgerAccount::TaxPayable => pb::LedgerAccount::TaxPayable,
        LedgerAccount::WriteOffs => pb::LedgerAccount::WriteOffs,
        LedgerAccount::Deposits => pb::LedgerAccount::Deposits,
        LedgerAccount::CashOverShort => pb::LedgerAccount::CashOverShort,
        LedgerAccount::CopyRevenue => pb::LedgerAccount::CopyRevenue,
    }
}

pub(crate) fn payment(payment: &Payment) -> Result<pb::Payment, Error> {
    Ok(pb::Payment {
        id: payment.id.to_string(),
        receipt_number: payment.receipt_number(),
        patron_id: payment.patron_id.to_string(),
        tender: tender(payment.tender).into(),
        tender_reference: payment.tender_reference.clone(),
        amount: Some(payment.amount.into()),
        tendered: Some(payment.tendered.into()),
        change: Some(payment.tendered.minus(payment.amount)?.into()),
        parts: payment.parts.iter().map(payment_part).collect(),
        taken_by: payment.taken_by.clone(),
        taken_at: Some(wire::to_timestamp(payment.taken_at)),
        returned_at: payment.returned_at.map(wire::to_timestamp),
        drawer_session_id: text(payment.drawer_session_id),
    })
}

fn payment_part(part: &Part) -> pb::PaymentPart {
    pb::PaymentPart {
        account_id: part.account_id.to_string(),
        reference: part.reference.clone(),
        amount: Some(part.amount.into()),
        given_back: Some(part.given_back.into()),
        statement_text: part.statement_text.clone(),
    }
}

pub(crate) fn dispute(dispute: &Dispute) -> pb::Dispute {
    let (outcome, decided_by, decided_at) = match &dispute.decision {
        Some((Outcome::Upheld, by, at)) => (pb::DisputeOutcome::Upheld, by.as_str(), Some(*at)),
        Some((Outcome::Denied, by, at)) => (pb::DisputeOutcome::Denied, by.as_str(), Some(*at)),
        None => (pb::DisputeOutcome::Unspecified, "", None),
    };
    pb::Dispute {
        id: dispute.id.to_string(),
        account_id: dispute.account_id.to_string(),
        opened_by: dispute.opened_by.clone(),
        opened_at: Some(wire::to_timestamp(dispute.opened_at)),
        reason: dispute.reason.clone(),
        outcome: outcome.into(),
        decided_by: decided_by.to_owned(),
        decided_at: decided_at.map(wire::to_timestamp),
        comment: dispute.comment.clone(),
    }
}

pub(crate) fn write_off(write_off: &WriteOff) -> pb::WriteOff {
    let state = match write_off.state {
        WriteOffState::Waiting => pb::WriteOffState::Waiting,
        WriteOffState::Approved => pb::WriteOffState::Approved,
        WriteOffState::Refused => pb::WriteOffState::Refused,
    };
    pb::WriteOff {
        id: write_off.id.to_string(),
        account_id: write_off.account_id.to_string(),
        amount: Some(write_off.amount.into()),
        state: state.into(),
        reason: write_off.reason.clone(),
        requested_by: write_off.requested_by.clone(),
        requested_at: Some(wire::to_timestamp(write_off.requested_at)),
        decided_by: write_off.decided_by.clone().unwrap_or_default(),
        decided_at: write_off.decided_at.map(wire::to_timestamp),
        comment: write_off.comment.clone(),
    }
}

pub(crate) fn journal_transaction(transaction: &Transaction) -> pb::JournalTransaction {
    pb::JournalTransaction {
        id: transaction.id.to_string(),
        account_id: text(transaction.account_id),
        entries: transaction
            .lines
            .iter()
            .map(|line| pb::JournalEntry {
                ledger_account: ledger_account(line.ledger_account).into(),
                amount: Some(line.amount.into()),
            })
            .collect(),
        booked_at: Some(wire::to_timestamp(transaction.booked_at)),
        reverses_transaction_id: text(transaction.reverses),
        subject_id: text(transaction.subject_id),
        adjusts_month: transaction.adjusts_month.map(wire::to_date),
    }
}

pub(crate) fn posting(posting: &Posting, attempts: &[Attempt]) -> pb::Posting {
    pb::Posting {
        id: posting.id.to_string(),
        account_id: posting.account_id.to_string(),
        reference: posting.reference.clone(),
        amount: Some(posting.amount.into()),
        state: posting_state(posting.state).into(),
        reverses_posting_id: posting
            .reverses_posting_id
            .map(|id| id.to_string())
            .unwrap_or_default(),
        sis_charge_id: posting.sis_charge_id.clone().unwrap_or_default(),
        funding_destination_id: posting.funding_destination_id.clone(),
        academic_period_id: posting.academic_period_id.clone(),
        chargeable_on: posting.chargeable_on.map(wire::to_date),
        attempt_count: posting.attempt_count,
        problem: posting.problem.clone(),
        created_at: Some(wire::to_timestamp(posting.created_at)),
        updated_at: Some(wire::to_timestamp(posting.updated_at)),
        attempts: attempts.iter().map(attempt).collect(),
        settlement_basis: posting.settlement_basis.clone(),
    }
}

fn attempt(attempt: &Attempt) -> pb::PostingAttempt {
    pb::PostingAttempt {
        started_at: Some(wire::to_timestamp(attempt.started_at)),
        ended_at: attempt.ended_at.map(wire::to_timestamp),
        kind: attempt.kind.clone(),
        outcome: attempt.outcome.clone(),
        detail: attempt.detail.clone(),
    }
}

fn posting_state(state: PostingState) -> pb::PostingState {
    match state {
        PostingState::Pending => pb::PostingState::Pending,
        PostingState::Submitted => pb::PostingState::Submitted,
        PostingState::Acknowledged => pb::PostingState::Acknowledged,
        PostingState::Rejected => pb::PostingState::Rejected,
        PostingState::Unknown => pb::PostingState::Unknown,
        PostingState::Settled => pb::PostingState::Settled,
        PostingState::Unrouted => pb::PostingState::Unrouted,
        PostingState::Cancelled => pb::PostingState::Cancelled,
    }
}

pub(crate) fn posting_batch(batch: &Batch) -> Result<pb::PostingBatch, Error> {
    let state = match batch.state {
        BatchState::Built => pb::PostingBatchState::Built,
        BatchState::Delivered => pb::PostingBatchState::Delivered,
        BatchState::Acknowledged => pb::PostingBatchState::Acknowledged,
        BatchState::PartlyRejected => pb::PostingBatchState::PartlyRejected,
        BatchState::Refused => pb::PostingBatchState::Refused,
    };
    let digits = batch.fingerprint.iter().map(|byte| format!("{byte:02x}"));
    Ok(pb::PostingBatch {
        id: batch.id.to_string(),
        destination: batch.destination.clone(),
        sequence: batch.sequence,
        file_name: batch.file_name.clone(),
        state: state.into(),
        row_count: batch.row_count,
        charge_total: Some(money(batch.charge_total, &batch.currency)?.into()),
        credit_total: Some(money(batch.credit_total, &batch.currency)?.into()),
        hash_total: batch.hash_total.to_string(),
        fingerprint: digits.collect(),
        problem: batch.problem.clone(),
        built_at: Some(wire::to_timestamp(batch.built_at)),
        delivered_at: batch.delivered_at.map(wire::to_timestamp),
        answered_at: batch.answered_at.map(wire::to_timestamp),
    })
}

pub(crate) fn posting_policy(policy: &Policy) -> pb::PostingPolicy {
    pb::PostingPolicy {
        criterion: policy.criterion.as_ref().map(criterion),
        notice_wait_days: policy.notice_wait_days,
        etag: policy.revision.to_string(),
        changed_by: policy.changed_by.clone(),
        changed_at: policy.changed_at.map(wire::to_timestamp),
    }
}

pub(crate) fn posting_preview(preview: &Preview) -> pb::PostingPreview {
    let (destination, period) = preview.destination.clone().unwrap_or_default();
    pb::PostingPreview {
        account_id: preview.account_id.to_string(),
        reference: preview.reference.clone(),
        amount: Some(preview.amount.into()),
        would_post: preview.held_because.is_empty(),
        held_because: preview.held_because.to_owned(),
        funding_destination_id: destination,
        academic_period_id: period,
    }
}

/// A criterion as it is kept and sent.
pub(crate) fn criterion(value: &Criterion) -> pb::PostingCriterion {
    use pb::posting_criterion::Criterion as Wire;
    let several = |criteria: &[Criterion]| pb::PostingCriteria {
        criteria: criteria.iter().map(criterion).collect(),
    };
    let wire = match value {
        Criterion::All(criteria) => Wire::All(several(criteria)),
        Criterion::Any(criteria) => Wire::Any(several(criteria)),
        Criterion::Not(one) => Wire::Not(Box::new(criterion(one))),
        Criterion::MinimumAgeDays(days) => Wire::MinimumAgeDays(*days),
        Criterion::MinimumAmount(amount) => Wire::MinimumAmount((*amount).into()),
        Criterion::Kind(value) => Wire::Kind(kind(*value).into()),
        Criterion::FeeFineType(id) => Wire::FeeFineTypeId(id.to_string()),
        Criterion::FeeFineOwner(id) => Wire::FeeFineOwnerId(id.to_string()),
        Criterion::Library(code) => Wire::LibraryCode(code.clone()),
        Criterion::Institution(code) => Wire::InstitutionCode(code.clone()),
    };
    pb::PostingCriterion {
        criterion: Some(wire),
    }
}

/// Reads a criterion.
pub(crate) fn criterion_of(wire: &pb::PostingCriterion) -> Result<Criterion, Error> {
    use pb::posting_criterion::Criterion as Wire;
    let several = |criteria: &pb::PostingCriteria| {
        let criteria = criteria.criteria.iter().map(criterion_of);
        criteria.collect::<Result<Vec<_>, _>>()
    };
    let id = |text: &str| {
        carrel_ids::parse(text).map_err(|_| Error::CriterionMalformed("an id is none"))
    };
    let code = |text: &str| {
        wire::code("code", text)
            .map(str::to_owned)
            .map_err(|_| Error::CriterionMalformed("a code is none"))
    };
    Ok(match &wire.criterion {
        None => return Err(Error::CriterionMalformed("one of them is empty")),
        Some(Wire::All(criteria)) => Criterion::All(several(criteria)?),
        Some(Wire::Any(criteria)) => Criterion::Any(several(criteria)?),
        Some(Wire::Not(one)) => Criterion::Not(Box::new(criterion_of(one)?)),
        Some(Wire::MinimumAgeDays(days)) => Criterion::MinimumAgeDays(*days),
        Some(Wire::MinimumAmount(amount)) => Criterion::MinimumAmount(
            wire::money("minimum_amount", amount)
                .map_err(|_| Error::CriterionMalformed("an amount is none"))?,
        ),
        Some(Wire::Kind(value)) => {
            Criterion::Kind(kind_of(*value).ok_or(Error::CriterionMalformed("a kind is none"))?)
        }
        Some(Wire::FeeFineTypeId(text)) => Criterion::FeeFineType(id(text)?),
        Some(Wire::FeeFineOwnerId(text)) => Criterion::FeeFineOwner(id(text)?),
        Some(Wire::LibraryCode(text)) => Criterion::Library(code(text)?),
        Some(Wire::InstitutionCode(text)) => Criterion::Institution(code(text)?),
    })
}

/// Reads a criterion as it is kept; empty: there is none.
pub(crate) fn stored_criterion(bytes: &[u8]) -> Result<Option<Criterion>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let wire = pb::PostingCriterion::decode(bytes)
        .map_err(|_| Error::OutOfBalance("the kept criteria cannot be read"))?;
    criterion_of(&wire).map(Some)
}

pub(crate) fn route(route: &Route) -> pb::PostingRoute {
    pb::PostingRoute {
        id: route.id.to_string(),
        institution_code: route.institution_code.clone(),
        kind: kind(route.kind).into(),
        funding_destination_id: route.funding_destination_id.clone(),
    }
}

pub(crate) fn period(period: &Period) -> pb::AcademicPeriod {
    pb::AcademicPeriod {
        id: period.id.clone(),
        code: period.code.clone(),
        first_date: Some(wire::to_date(period.first_date)),
        last_date: Some(wire::to_date(period.last_date)),
    }
}

pub(crate) fn reconciliation(reconciliation: &Reconciliation) -> pb::ReconcileResponse {
    pb::ReconcileResponse {
        ledger_total: Some(reconciliation.ledger_total.into()),
        posting_total: Some(reconciliation.posting_total.into()),
        sis_total: Some(reconciliation.sis_total.into()),
        posting_count: reconciliation.posting_count,
        differences: reconciliation.differences.iter().map(difference).collect(),
    }
}

fn difference(difference: &Difference) -> pb::ReconciliationDifference {
    use pb::ReconciliationDifferenceKind as Kind;
    let kind = match difference.kind {
        DifferenceKind::Amount => Kind::Amount,
        DifferenceKind::MissingAtSis => Kind::MissingAtSis,
        DifferenceKind::DoubledAtSis => Kind::DoubledAtSis,
        DifferenceKind::UnknownAtSis => Kind::UnknownAtSis,
        DifferenceKind::Ledger => Kind::Ledger,
        DifferenceKind::NotListed => Kind::NotListed,
    };
    pb::ReconciliationDifference {
        kind: kind.into(),
        reference: difference.reference.clone(),
        posting_id: difference
            .posting_id
            .map(|id| id.to_string())
            .unwrap_or_default(),
        ours: Some(difference.ours.into()),
        theirs: Some(difference.theirs.into()),
    }
}
