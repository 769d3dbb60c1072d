//! Accounts, one charge each: charge, pay, waive, credit, cancel, reverse. What every step has in common is [`book`].
//!
//! Locks are taken in one order everywhere: accounts by id, then their postings, payments, disputes and write-offs (which
//! change only under their account's lock), then the drawer session, then balances by patron id, then the outbox.

pub(crate) mod card_number;
pub mod correction;
mod desk;
pub mod model;
pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_ids::{Reference, new_id};
use carrel_money::Money;
use carrel_outbox::NewEvent;
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::Error;
use crate::journal::{self, Transaction};
use crate::{Actor, Billing, fee_fine, message, payment, posting};
use correction::SuspendedFor;
use model::{Account, ActionKind, Charge, FeeFineKind, Step, Tender, charge_key};

pub(crate) use desk::belongs_of;
pub use desk::{cancel, credit_by_hand, reverse, waive};

/// How often a reference is drawn again where another charge has it. Among a
/// million charges one draw in a million is taken.
const REFERENCE_DRAWS: usize = 5;

/// Something done to an account. Never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Its id.
    pub id: Uuid,
    /// What kind.
    pub kind: ActionKind,
    /// How much.
    pub amount: Money,
    /// What remained after it.
    pub remaining: Money,
    /// Who did it.
    pub actor: String,
    /// A comment for staff.
    pub comment: String,
    /// How it was paid.
    pub tender: Option<Tender>,
    /// The processor's or the cheque's reference.
    pub tender_reference: Option<String>,
    /// When.
    pub occurred_at: Timestamp,
    /// What it booked; none where no money moved.
    pub journal_transaction_id: Option<Uuid>,
    /// The payment that it is part of, gives back or takes back.
    pub payment_id: Option<Uuid>,
    /// The action that it takes back.
    pub reverses_action_id: Option<Uuid>,
}

/// What a patron owes, here and at the student account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// The patron.
    pub patron_id: Uuid,
    /// What is owed.
    pub outstanding: Money,
    /// What of it counts towards blocks.
    pub counted: Money,
    /// Rises with each change.
    pub revision: i64,
}

/// What stands beside a step: the comment, and how it was paid.
#[derive(Debug, Clone, Default)]
pub struct Note {
    /// For staff.
    pub comment: String,
    /// How it was paid, with the processor's or the cheque's reference.
    pub tender: Option<(Tender, String)>,
}

impl Note {
    pub(crate) fn saying(comment: &str) -> Self {
        Self {
            comment: comment.to_owned(),
            tender: None,
        }
    }
}

/// What a step belongs to beside its account.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Belongs {
    /// The payment.
    pub(crate) payment_id: Option<Uuid>,
    /// The action that it takes back.
    pub(crate) reverses_action_id: Option<Uuid>,
    /// The transaction that it takes back.
    pub(crate) reverses_transaction_id: Option<Uuid>,
}

/// A charge by hand.
#[derive(Debug, Clone)]
pub struct ManualCharge {
    /// Who owes it.
    pub patron_id: Uuid,
    /// Who is owed.
    pub fee_fine_owner_id: Uuid,
    /// What for.
    pub fee_fine_type_id: Uuid,
    /// How much; `None`: the type's default.
    pub amount: Option<Money>,
    /// For staff.
    pub comment: String,
}

/// Charges a patron by hand.
///
/// # Errors
/// [`Error::OwnAccount`], [`Error::TypeNotFound`], [`Error::TypeAutomatic`], [`Error::OwnerNotFound`],
/// [`Error::AmountMissing`], [`Error::AmountNotPositive`], [`Error::CurrencyNotKept`].
pub async fn charge_by_hand(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    manual: &ManualCharge,
) -> Result<Account, Error> {
    refuse_own_account(actor, manual.patron_id)?;
    let now = billing.clock.now();
    let id = new_id();
    let account = transact!(billing.database, "charge_by_hand", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
            return find_first(transaction, &ids).await;
        }
        let (account, events) =
            charge_manually(transaction, billing, id, actor, manual, now).await?;
        carrel_outbox::append(transaction, &events).await?;
        Ok(account)
    })?;
    billing.committed();
    Ok(account)
}

/// Charges by hand within a transaction, for the caller to append the events.
pub(crate) async fn charge_manually(
    connection: &mut PgConnection,
    billing: &Billing,
    id: Uuid,
    actor: &Actor,
    manual: &ManualCharge,
    now: Timestamp,
) -> Result<(Account, Vec<NewEvent>), Error> {
    let fee_fine_type = fee_fine::store::find_type(connection, manual.fee_fine_type_id)
        .await?
        .ok_or(Error::TypeNotFound)?;
    if fee_fine_type.kind != FeeFineKind::Manual {
        return Err(Error::TypeAutomatic);
    }
    let owner = fee_fine::store::find_owner(connection, manual.fee_fine_owner_id)
        .await?
        .ok_or(Error::OwnerNotFound)?;
    let amount = manual
        .amount
        .or(fee_fine_type.default_amount)
        .ok_or(Error::AmountMissing)?;
    let charge = Charge {
        patron_id: manual.patron_id,
        fee_fine_owner_id: owner.id,
        fee_fine_type_id: fee_fine_type.id,
        kind: FeeFineKind::Manual,
        amount,
        tax: Money::zero(amount.currency()),
        source_id: None,
        loan_id: None,
        institution_code: owner.institution_code,
        library_code: None,
        charged_at: now,
    };
    let note = Note::saying(&manual.comment);
    charge_patron(connection, billing, id, charge, actor, &note, now).await
}

/// Takes a payment of one charge at the desk.
///
/// # Errors
/// [`Error::AccountNotFound`], [`Error::OwnAccount`], [`Error::TenderMissing`], [`Error::CardNumberRefused`], and those
/// of [`Account::pay`].
pub async fn pay(
    billing: &Billing,
    key: &RequestKey,
    actor: &Actor,
    id: Uuid,
    amount: Money,
    note: &Note,
) -> Result<Account, Error> {
    let now = billing.clock.now();
    let payment_id = new_id();
    let account = transact!(billing.database, "pay_account", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
            return find_first(transaction, &ids).await;
        }
        let account = lock(transaction, id).await?;
        refuse_own_account(actor, account.patron_id)?;
        let (tender, tender_reference) = note.tender.clone().ok_or(Error::TenderMissing)?;
        let new = payment::NewPayment {
            tender,
            tender_reference,
            tendered: None,
            comment: note.comment.clone(),
            drawer_session_id: None,
        };
        let mut parts = vec![(account, amount)];
        let events =
            payment::take_parts(transaction, payment_id, actor, &mut parts, &new, now).await?;
        carrel_outbox::append(transaction, &events).await?;
        parts
            .pop()
            .map(|(account, _)| account)
            .ok_or(Error::AccountNotFound)
    })?;
    billing.committed();
    Ok(account)
}

/// An account with its actions.
///
/// # Errors
/// [`Error::AccountNotFound`].
pub async fn get(billing: &Billing, id: Uuid) -> Result<(Account, Vec<Action>), Error> {
    let mut connection = billing.database.pool().acquire().await?;
    let account = store::find_account(&mut connection, id)
        .await?
        .ok_or(Error::AccountNotFound)?;
    let actions = store::list_actions(&mut connection, id).await?;
    Ok((account, actions))
}

/// The account whose charge, or a credit of it, bears a reference.
///
/// # Errors
/// [`Error::AccountNotFound`].
pub async fn get_by_reference(
    billing: &Billing,
    reference: Reference,
) -> Result<(Account, Vec<Action>), Error> {
    let mut connection = billing.database.pool().acquire().await?;
    let id = store::find_account_id_by_reference(&mut connection, reference.as_str())
        .await?
        .ok_or(Error::AccountNotFound)?;
    drop(connection);
    get(billing, id).await
}

/// What a patron owes; zero for one who was never charged.
///
/// # Errors
/// The database's.
pub async fn get_balance(billing: &Billing, patron_id: Uuid) -> Result<Balance, Error> {
    let mut connection = billing.database.pool().acquire().await?;
    let balance = store::find_balance(&mut connection, patron_id).await?;
    Ok(balance.unwrap_or_else(|| Balance {
        patron_id,
        outstanding: Money::zero(billing.currency),
        counted: Money::zero(billing.currency),
        revision: 0,
    }))
}

/// Makes a charge within a transaction, for the caller to append its events.
pub(crate) async fn charge_patron(
    connection: &mut PgConnection,
    billing: &Billing,
    id: Uuid,
    charge: Charge,
    actor: &Actor,
    note: &Note,
    now: Timestamp,
) -> Result<(Account, Vec<NewEvent>), Error> {
    if charge.amount.currency() != billing.currency {
        return Err(Error::CurrencyNotKept);
    }
    let key = charge_key(id, charge.source_id, charge.kind);
    let reference = draw_reference(connection, key, id).await?;
    let (account, step) = Account::charge(id, reference, charge)?;
    if !store::insert_account(connection, &account).await? {
        // Whoever charges for a source looks first and is alone in it.
        return Err(Error::OutOfBalance("a source was charged twice at once"));
    }
    let none = Belongs::default();
    let events = write(connection, &account, step, none, actor, note, now).await?;
    Ok((account, events))
}

/// Gives back what the policy gives back, once: the credit names the charge
/// that it takes back.
pub(crate) async fn credit_returned_item(
    connection: &mut PgConnection,
    id: Uuid,
    actor: &Actor,
    now: Timestamp,
) -> Result<Vec<NewEvent>, Error> {
    let mut account = lock(connection, id).await?;
    let Some(step) = account.credit()? else {
        return Ok(Vec::new());
    };
    let charge = store::charge_transaction(connection, id).await?;
    account.revision += 1;
    store::update_account(connection, &account).await?;
    let note = Note::saying("The item came back");
    let belongs = Belongs {
        reverses_transaction_id: Some(charge),
        ..Belongs::default()
    };
    write(connection, &account, step, belongs, actor, &note, now).await
}

/// Writes a step on a locked account: the row, the journal, the action, the
/// balance, and the posting that waits for it; gives the events to append.
pub(crate) async fn book(
    connection: &mut PgConnection,
    account: &mut Account,
    step: Step,
    actor: &Actor,
    note: &Note,
    now: Timestamp,
) -> Result<Vec<NewEvent>, Error> {
    let none = Belongs::default();
    book_as(connection, account, step, none, actor, note, now).await
}

/// Books a step that belongs to something beside its account.
pub(crate) async fn book_as(
    connection: &mut PgConnection,
    account: &mut Account,
    step: Step,
    belongs: Belongs,
    actor: &Actor,
    note: &Note,
    now: Timestamp,
) -> Result<Vec<NewEvent>, Error> {
    account.revision += 1;
    store::update_account(connection, account).await?;
    write(connection, account, step, belongs, actor, note, now).await
}

/// Suspends a locked charge, or lets it go on; its posting follows. Nothing
/// where it was so before.
pub(crate) async fn suspend(
    connection: &mut PgConnection,
    account: &mut Account,
    what_for: SuspendedFor,
    is_suspended: bool,
    actor: &Actor,
    comment: &str,
    now: Timestamp,
) -> Result<Vec<NewEvent>, Error> {
    let suspended_change = account.suspend(what_for, is_suspended, now)?;
    account.revision += 1;
    store::update_account(connection, account).await?;
    let kind = match (what_for, is_suspended) {
        (SuspendedFor::Dispute, true) => ActionKind::OpenDispute,
        (SuspendedFor::Dispute, false) => ActionKind::DecideDispute,
        (SuspendedFor::Claim, true) => ActionKind::ClaimReturned,
        (SuspendedFor::Claim, false) => ActionKind::ResolveClaim,
    };
    let action = Action {
        id: new_id(),
        kind,
        amount: account.remaining,
        remaining: account.remaining,
        actor: actor.subject.clone(),
        comment: comment.to_owned(),
        tender: None,
        tender_reference: None,
        occurred_at: now,
        journal_transaction_id: None,
        payment_id: None,
        reverses_action_id: None,
    };
    store::insert_action(connection, account.id, &action).await?;
    let none = Money::zero(account.amount.currency());
    let changes = (none, suspended_change);
    let events = tell(connection, account, changes, now).await?;
    Ok(actor.caused(events))
}

async fn write(
    connection: &mut PgConnection,
    account: &Account,
    step: Step,
    belongs: Belongs,
    actor: &Actor,
    note: &Note,
    now: Timestamp,
) -> Result<Vec<NewEvent>, Error> {
    let transaction = Transaction {
        id: new_id(),
        account_id: Some(account.id),
        subject_id: None,
        lines: step.lines,
        booked_at: now,
        reverses: belongs.reverses_transaction_id,
        adjusts_month: None,
    };
    journal::store::insert_transaction(connection, &transaction).await?;
    let (tender, tender_reference) = note.tender.clone().unzip();
    let action = Action {
        id: new_id(),
        kind: step.kind,
        amount: step.amount,
        remaining: account.remaining,
        actor: actor.subject.clone(),
        comment: note.comment.clone(),
        tender,
        tender_reference,
        occurred_at: now,
        journal_transaction_id: Some(transaction.id),
        payment_id: belongs.payment_id,
        reverses_action_id: belongs.reverses_action_id,
    };
    store::insert_action(connection, account.id, &action).await?;
    if step.kind == ActionKind::Pay
        && let Some(payment_id) = belongs.payment_id
    {
        payment::store::insert_part(connection, payment_id, account.id, action.id, step.amount)
            .await?;
    }
    let suspended_change = if account.suspension.is_suspended() {
        step.owed_change
    } else {
        Money::zero(step.owed_change.currency())
    };
    let changes = (step.owed_change, suspended_change);
    let events = tell(connection, account, changes, now).await?;
    Ok(actor.caused(events))
}

/// Lets the posting that waits follow a changed account, and the balance;
/// gives the events. `changes`: of what is owed, and of what is suspended.
async fn tell(
    connection: &mut PgConnection,
    account: &Account,
    changes: (Money, Money),
    now: Timestamp,
) -> Result<Vec<NewEvent>, Error> {
    let mut events = vec![message::account_changed(account, now)];
    if let Some(posting) = posting::follow_account(connection, account, now).await? {
        events.push(message::posting_changed(&posting, now));
    }
    // The balance last: it is the row that others wait for.
    let (owed_change, suspended_change) = changes;
    if !owed_change.is_zero() || !suspended_change.is_zero() {
        let balance =
            store::change_balance(connection, account.patron_id, owed_change, suspended_change)
                .await?;
        events.push(message::balance_changed(&balance, now));
    }
    Ok(events)
}

/// Takes a reference that no charge and no credit has: the one that derives
/// from a key, else another.
pub(crate) async fn draw_reference(
    connection: &mut PgConnection,
    key: Uuid,
    account_id: Uuid,
) -> Result<String, Error> {
    let mut drawn = key;
    for _ in 0..REFERENCE_DRAWS {
        let reference = Reference::of(drawn);
        if store::take_reference(connection, reference.as_str(), account_id).await? {
            return Ok(reference.to_string());
        }
        drawn = new_id();
    }
    Err(Error::NoFreeReference)
}

pub(crate) async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Account, Error> {
    store::lock_account(connection, id)
        .await?
        .ok_or(Error::AccountNotFound)
}

/// Locks several accounts, in the order of their ids; given back in the order
/// asked for.
pub(crate) async fn lock_all(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Account>, Error> {
    let mut locked: std::collections::HashMap<Uuid, Account> =
        store::lock_accounts(connection, ids)
            .await?
            .into_iter()
            .map(|account| (account.id, account))
            .collect();
    ids.iter()
        .map(|id| locked.remove(id).ok_or(Error::AccountNotFound))
        .collect()
}

pub(crate) async fn find_first(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Account, Error> {
    let id = ids.first().copied().ok_or(Error::AccountNotFound)?;
    store::find_account(connection, id)
        .await?
        .ok_or(Error::AccountNotFound)
}

/// Nobody acts on their own account (DOMAIN §2): a patron who works at the
/// desk holds a token whose subject names the patron.
pub(crate) fn refuse_own_account(actor: &Actor, patron_id: Uuid) -> Result<(), Error> {
    match actor.subject.strip_prefix("patron:") {
        Some(own) if own.eq_ignore_ascii_case(&patron_id.to_string()) => Err(Error::OwnAccount),
        Some(_) | None => Ok(()),
    }
}
