//! What circulation tells: fines and losses become charges, returns become credits. Each once: a charge is keyed by
//! (fine or loss, kind), a return by its loss, so that events that come again find their work done.
//!
//! Circulation's state does not tell this again, so it follows the events themselves.

use carrel_ids::new_id;
use carrel_money::Money;
use carrel_outbox::{ApplyError, NewEvent, Projection, decode};
use carrel_proto::circulation::v1::{
    ItemAgedToLost, ItemDamaged, ItemDeclaredLost, LoanChanged, LoanStatus, LostItemReturned,
    OverdueFineIncurred,
};
use carrel_proto::events::v1::Event;
use carrel_proto::r#type::v1 as wire_type;
use carrel_runtime::wire;
use jiff::Timestamp;
use prost::Name as _;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::account::correction::SuspendedFor;
use crate::account::model::{Charge, FeeFineKind};
use crate::account::{self, Note};
use crate::error::Error;
use crate::{Actor, Billing, columns, fee_fine};

/// Charges for what circulation tells.
pub struct CirculationCharges {
    billing: Billing,
}

/// A fine or a loss with what is owed for it.
struct Owed {
    source_id: Uuid,
    loan_id: Uuid,
    patron_id: Uuid,
    library_code: String,
    institution_code: String,
    owed_at: Timestamp,
    fees: Vec<(FeeFineKind, Money)>,
}

impl CirculationCharges {
    /// Charges into these books.
    #[must_use]
    pub fn new(billing: Billing) -> Self {
        Self { billing }
    }

    async fn charge(&self, connection: &mut PgConnection, owed: Owed) -> Result<(), Error> {
        let now = self.billing.clock.now();
        let actor = Actor::circulation();
        let charged = account::store::list_charged(connection, owed.source_id).await?;
        let returned = account::store::find_loss_return(connection, owed.source_id).await?;
        let mut events = Vec::new();
        for (kind, amount) in owed.fees {
            if charged.iter().any(|(_, other)| *other == kind) {
                continue;
            }
            let charge = Charge {
                patron_id: owed.patron_id,
                fee_fine_owner_id: fee_fine::owner_of_library(connection, &owed.library_code)
                    .await?,
                fee_fine_type_id: fee_fine::type_of_kind(connection, kind).await?,
                kind,
                amount,
                tax: Money::zero(amount.currency()),
                source_id: Some(owed.source_id),
                loan_id: Some(owed.loan_id),
                institution_code: columns::code(&owed.institution_code),
                library_code: columns::code(&owed.library_code),
                charged_at: owed.owed_at,
            };
            let id = new_id();
            let note = Note::default();
            let (_, made) =
                account::charge_patron(connection, &self.billing, id, charge, &actor, &note, now)
                    .await?;
            events.extend(made);
            // A return that was set aside and applied first.
            if returned.is_some_and(|returned| is_given_back(kind, returned)) {
                events.extend(account::credit_returned_item(connection, id, &actor, now).await?);
            }
        }
        carrel_outbox::append(connection, &events).await?;
        Ok(())
    }

    /// Suspends a loan's charges while its patron claims to have returned the
    /// item. One look at an index for most changes of loans.
    async fn follow_claim(
        &self,
        connection: &mut PgConnection,
        loan_id: Uuid,
        is_claimed: bool,
    ) -> Result<(), Error> {
        let ids = account::store::list_claim_changes(connection, loan_id, is_claimed).await?;
        if ids.is_empty() {
            return Ok(());
        }
        let now = self.billing.clock.now();
        let actor = Actor::circulation();
        let mut events = Vec::new();
        for mut account in account::lock_all(connection, &ids).await? {
            if account.suspension.is_claimed_returned == is_claimed {
                continue;
            }
            let suspended = account::suspend(
                connection,
                &mut account,
                SuspendedFor::Claim,
                is_claimed,
                &actor,
                "",
                now,
            );
            events.extend(suspended.await?);
        }
        carrel_outbox::append(connection, &events).await?;
        Ok(())
    }

    async fn give_back(
        &self,
        connection: &mut PgConnection,
        loss_id: Uuid,
        refunds: (bool, bool),
        returned_at: Timestamp,
    ) -> Result<(), Error> {
        let now = self.billing.clock.now();
        let actor = Actor::circulation();
        if !account::store::insert_loss_return(
            connection,
            loss_id,
            refunds.0,
            refunds.1,
            returned_at,
        )
        .await?
        {
            return Ok(());
        }
        let mut events: Vec<NewEvent> = Vec::new();
        for (id, kind) in account::store::list_charged(connection, loss_id).await? {
            if is_given_back(kind, refunds) {
                events.extend(account::credit_returned_item(connection, id, &actor, now).await?);
            }
        }
        carrel_outbox::append(connection, &events).await?;
        Ok(())
    }

    async fn take(&self, connection: &mut PgConnection, event: &Event) -> Result<(), ApplyError> {
        let applied = match event.r#type.as_str() {
            name if name == OverdueFineIncurred::full_name() => {
                let fine: OverdueFineIncurred = decode(event)?;
                self.charge(connection, owed_for_fine(&fine)?).await
            }
            name if name == ItemAgedToLost::full_name() => {
                let loss: ItemAgedToLost = decode(event)?;
                self.charge(connection, owed_for_loss(&loss)?).await
            }
            name if name == ItemDeclaredLost::full_name() => {
                let loss: ItemDeclaredLost = decode(event)?;
                self.charge(connection, owed_for_declared_loss(&loss)?)
                    .await
            }
            name if name == ItemDamaged::full_name() => {
                let damage: ItemDamaged = decode(event)?;
                self.charge(connection, owed_for_damage(&damage)?).await
            }
            name if name == LostItemReturned::full_name() => {
                let returned: LostItemReturned = decode(event)?;
                let loss_id = id("loss_id", &returned.loss_id)?;
                let refunds = (
                    returned.refund_lost_item_fee,
                    returned.refund_processing_fee,
                );
                let returned_at = instant("returned_at", returned.returned_at.as_ref())?;
                self.give_back(connection, loss_id, refunds, returned_at)
                    .await
            }
            name if name == LoanChanged::full_name() => {
                let changed: LoanChanged = decode(event)?;
                let Some(loan) = &changed.loan else {
                    return Err(ApplyError::Poison("a change of no loan".into()));
                };
                // A loan that ended has nothing left to claim.
                let is_claimed =
                    loan.claimed_returned_at.is_some() && loan.status() == LoanStatus::Open;
                self.follow_claim(connection, id("loan.id", &loan.id)?, is_claimed)
                    .await
            }
            _ => return Err(ApplyError::unknown_type(event)),
        };
        applied.map_err(apply_error)
    }
}

/// Whether the policy gives a kind of fee back: (lost item fee, processing
/// fee).
fn is_given_back(kind: FeeFineKind, (lost_item_fee, processing_fee): (bool, bool)) -> bool {
    match kind {
        FeeFineKind::LostItemFee => lost_item_fee,
        FeeFineKind::LostItemProcessingFee => processing_fee,
        FeeFineKind::OverdueFine | FeeFineKind::DamagedItemFee | FeeFineKind::Manual => false,
    }
}

impl Projection for CirculationCharges {
    fn types(&self) -> Vec<String> {
        vec![
            OverdueFineIncurred::full_name(),
            ItemAgedToLost::full_name(),
            ItemDeclaredLost::full_name(),
            ItemDamaged::full_name(),
            LostItemReturned::full_name(),
            LoanChanged::full_name(),
        ]
    }

    async fn apply_all(
        &self,
        connection: &mut PgConnection,
        _generation: i64,
        events: &[Event],
    ) -> Result<(), ApplyError> {
        for event in events {
            self.take(&mut *connection, event).await?;
        }
        Ok(())
    }
}

fn owed_for_fine(fine: &OverdueFineIncurred) -> Result<Owed, ApplyError> {
    Ok(Owed {
        source_id: id("fine_id", &fine.fine_id)?,
        loan_id: id("loan_id", &fine.loan_id)?,
        patron_id: id("patron_id", &fine.patron_id)?,
        library_code: fine.library_code.clone(),
        institution_code: fine.institution_code.clone(),
        owed_at: instant("ended_at", fine.ended_at.as_ref())?,
        fees: fees([(FeeFineKind::OverdueFine, fine.amount.as_ref())])?,
    })
}

fn owed_for_loss(loss: &ItemAgedToLost) -> Result<Owed, ApplyError> {
    Ok(Owed {
        source_id: id("loss_id", &loss.loss_id)?,
        loan_id: id("loan_id", &loss.loan_id)?,
        patron_id: id("patron_id", &loss.patron_id)?,
        library_code: loss.library_code.clone(),
        institution_code: loss.institution_code.clone(),
        owed_at: instant("aged_to_lost_at", loss.aged_to_lost_at.as_ref())?,
        fees: fees([
            (FeeFineKind::LostItemFee, loss.lost_item_fee.as_ref()),
            (
                FeeFineKind::LostItemProcessingFee,
                loss.processing_fee.as_ref(),
            ),
        ])?,
    })
}

fn owed_for_declared_loss(loss: &ItemDeclaredLost) -> Result<Owed, ApplyError> {
    Ok(Owed {
        source_id: id("loss_id", &loss.loss_id)?,
        loan_id: id("loan_id", &loss.loan_id)?,
        patron_id: id("patron_id", &loss.patron_id)?,
        library_code: loss.library_code.clone(),
        institution_code: loss.institution_code.clone(),
        owed_at: instant("declared_lost_at", loss.declared_lost_at.as_ref())?,
        fees: fees([
            (FeeFineKind::LostItemFee, loss.lost_item_fee.as_ref()),
            (
                FeeFineKind::LostItemProcessingFee,
                loss.processing_fee.as_ref(),
            ),
        ])?,
    })
}

fn owed_for_damage(damage: &ItemDamaged) -> Result<Owed, ApplyError> {
    Ok(Owed {
        source_id: id("damage_id", &damage.damage_id)?,
        loan_id: id("loan_id", &damage.loan_id)?,
        patron_id: id("patron_id", &damage.patron_id)?,
        library_code: damage.library_code.clone(),
        institution_code: damage.institution_code.clone(),
        owed_at: instant("found_at", damage.found_at.as_ref())?,
        fees: fees([(FeeFineKind::DamagedItemFee, damage.fee.as_ref())])?,
    })
}

/// The fees that are owed; unset and zero are none.
fn fees<const N: usize>(
    fees: [(FeeFineKind, Option<&wire_type::Money>); N],
) -> Result<Vec<(FeeFineKind, Money)>, ApplyError> {
    let mut owed = Vec::with_capacity(N);
    for (kind, amount) in fees {
        let Some(amount) = amount else { continue };
        let amount = Money::try_from(amount).map_err(|error| {
            ApplyError::Poison(format!("an amount that cannot be kept: {error}"))
        })?;
        if amount.is_negative() {
            return Err(ApplyError::Poison("a negative amount".into()));
        }
        if amount.is_positive() {
            owed.push((kind, amount));
        }
    }
    Ok(owed)
}

fn id(field: &str, text: &str) -> Result<Uuid, ApplyError> {
    carrel_ids::parse(text).map_err(|_| ApplyError::Poison(format!("{field} is not an id")))
}

fn instant(field: &str, value: Option<&prost_types::Timestamp>) -> Result<Timestamp, ApplyError> {
    value
        .and_then(|value| wire::timestamp(field, value).ok())
        .ok_or_else(|| ApplyError::Poison(format!("{field} is not an instant")))
}

/// A rule that an event breaks is poison; what the database says is its own.
pub(crate) fn apply_error(error: Error) -> ApplyError {
    match error {
        Error::Database(error) => ApplyError::Database(error),
        rule => ApplyError::Poison(rule.to_string()),
    }
}
