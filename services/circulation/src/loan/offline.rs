//! What a desk noted while it could not reach circulation: taken in
//! afterwards, in order, each with its own outcome.

use carrel_database::RequestKey;
use carrel_money::Money;
use carrel_runtime::Call;
use jiff::Timestamp;
use uuid::Uuid;

use super::batch::is_about_the_transaction;
use super::block::{Block, OverriddenBlock, Override};
use super::{
    CheckIn, CheckOut, CheckedOut, Renew, action_store, check_in, check_out, permit, renew, store,
};
use crate::Circulation;
use crate::error::Error;

/// Why what stands against a transaction that has happened is overridden.
const COMMENT: &str = "offline upload";
/// The key's name for ending the loan that an offline check-out found.
const ENDED: &str = "/carrel.circulation.v1.LoanBatchService/UploadOfflineTransactions#ended";

/// What happened offline.
#[derive(Debug)]
pub enum OfflineWhat {
    /// An item was lent to the patron with this barcode.
    CheckOut {
        /// The patron's barcode.
        patron_barcode: String,
        /// The borrowing agreement that the patron accepted; "": none.
        accepted_agreement: String,
        /// The barcode of who stood at the desk for the patron; "": the patron.
        proxy_barcode: String,
    },
    /// An item was taken back.
    CheckIn,
    /// A loan was renewed.
    Renewal,
}

/// A transaction that was noted offline.
#[derive(Debug)]
pub struct OfflineTransaction {
    /// Under which it is done once. Its caller is the service point, so that
    /// whoever uploads it again does nothing twice.
    pub key: RequestKey,
    /// When.
    pub occurred_at: Timestamp,
    /// The item's barcode.
    pub item_barcode: String,
    /// What.
    pub what: OfflineWhat,
}

/// A transaction as taken in.
#[derive(Debug, Default)]
pub struct OfflineDone {
    /// The loan that it made, ended or renewed.
    pub loan_id: Option<Uuid>,
    /// The item.
    pub item_id: Option<Uuid>,
    /// The overdue fine that it incurred, for the loan that it ended.
    pub overdue_fine: Option<Money>,
    /// What was overridden.
    pub overridden: Vec<OverriddenBlock>,
    /// The loan that ended because the item was lent offline.
    pub ended_loan_id: Option<Uuid>,
}

/// Takes in what was noted offline, strictly in order. Returns what became of
/// each.
///
/// # Errors
/// [`Error`] where it is about the whole upload; what was done by then stays,
/// and the upload may be repeated.
pub async fn upload_offline_transactions(
    circulation: &Circulation,
    call: &Call,
    service_point_id: Uuid,
    transactions: &[OfflineTransaction],
) -> Result<Vec<Result<OfflineDone, Error>>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    let desk = store::find_desk(&mut connection, service_point_id).await?;
    drop(connection);
    let desk = desk.ok_or(Error::ServicePointNotFound)?;
    let nothing = Override {
        reasons: Vec::new(),
        comment: COMMENT.to_owned(),
    };
    permit(call, &desk, Some(circulation.clock.now()), Some(&nothing))?;

    let mut outcomes = Vec::with_capacity(transactions.len());
    for noted in transactions {
        let outcome = match &noted.what {
            OfflineWhat::CheckOut {
                patron_barcode,
                accepted_agreement,
                proxy_barcode,
            } => {
                let request = CheckOut {
                    item_barcode: noted.item_barcode.clone(),
                    patron_barcode: patron_barcode.clone(),
                    service_point_id,
                    occurred_at: Some(noted.occurred_at),
                    overriding: None,
                    accepted_agreement: accepted_agreement.clone(),
                    proxy_barcode: proxy_barcode.clone(),
                };
                take_in_check_out(circulation, call, noted, request).await
            }
            OfflineWhat::CheckIn => {
                take_in_check_in(circulation, call, service_point_id, noted).await
            }
            OfflineWhat::Renewal => {
                take_in_renewal(circulation, call, service_point_id, noted).await
            }
        };
        match outcome {
            Err(error) if !is_about_one(&error) => return Err(error),
            outcome => outcomes.push(outcome),
        }
    }
    Ok(outcomes)
}

fn is_about_one(error: &Error) -> bool {
    is_about_the_transaction(error)
        || matches!(
            error,
            Error::PatronNotFound { .. }
                | Error::ProxyNotFound { .. }
                | Error::OwnAccount
                | Error::RequestReused(_)
        )
}

/// All that staff could override among the reasons against something.
fn overriding(blocks: &[Block]) -> Option<Override> {
    let could = blocks.iter().filter(|block| block.overridable);
    let reasons: Vec<String> = could.map(|block| block.reason.to_owned()).collect();
    (blocks.len() == reasons.len()).then(|| Override {
        reasons,
        comment: COMMENT.to_owned(),
    })
}

/// Lends what was lent. A loan that our books still have ends first; cut off
/// between the two, a repeat goes on with the second.
async fn take_in_check_out(
    circulation: &Circulation,
    call: &Call,
    noted: &OfflineTransaction,
    mut request: CheckOut,
) -> Result<OfflineDone, Error> {
    let mut done = OfflineDone::default();
    let mut has_ended = false;
    loop {
        match check_out(circulation, call, &noted.key, request.clone()).await {
            Ok(CheckedOut { loan, overridden }) => {
                done.loan_id = Some(loan.id);
                done.item_id = Some(loan.item_id);
                done.overridden = overridden;
                note_ended(circulation, noted, &mut done).await?;
                return Ok(done);
            }
            Err(Error::ItemAlreadyOnLoan) if !has_ended => {
                has_ended = true;
                let request = returning(request.service_point_id, noted);
                check_in(circulation, call, &ending(noted), &request).await?;
            }
            Err(Error::CheckOutBlocked(blocks)) if request.overriding.is_none() => {
                request.overriding = overriding(&blocks);
                if request.overriding.is_none() {
                    return Err(Error::CheckOutBlocked(blocks));
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// The request under which the loan ends that an offline check-out finds.
fn ending(noted: &OfflineTransaction) -> RequestKey {
    RequestKey {
        rpc: ENDED,
        ..noted.key.clone()
    }
}

/// Tells which loan ended for an offline check-out, now or when it was first
/// uploaded.
async fn note_ended(
    circulation: &Circulation,
    noted: &OfflineTransaction,
    done: &mut OfflineDone,
) -> Result<(), Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    let ended = action_store::find_outcome(&mut connection, &ending(noted)).await?;
    let Some(check_in_id) = ended else {
        return Ok(());
    };
    let taken = store::find_check_in(&mut connection, check_in_id).await?;
    done.ended_loan_id = taken.and_then(|taken| taken.loan_id);
    let entry = action_store::find_entry(&mut connection, check_in_id).await?;
    done.overdue_fine = entry.and_then(|entry| entry.overdue_fine);
    Ok(())
}

fn returning(service_point_id: Uuid, noted: &OfflineTransaction) -> CheckIn {
    CheckIn {
        item_barcode: noted.item_barcode.clone(),
        service_point_id,
        occurred_at: Some(noted.occurred_at),
        found_by_library: false,
    }
}

async fn take_in_check_in(
    circulation: &Circulation,
    call: &Call,
    service_point_id: Uuid,
    noted: &OfflineTransaction,
) -> Result<OfflineDone, Error> {
    let request = returning(service_point_id, noted);
    let taken = check_in(circulation, call, &noted.key, &request).await?;
    Ok(OfflineDone {
        loan_id: taken.loan.map(|loan| loan.id),
        item_id: Some(taken.item_id),
        overdue_fine: taken.overdue_fine,
        ..OfflineDone::default()
    })
}

async fn take_in_renewal(
    circulation: &Circulation,
    call: &Call,
    service_point_id: Uuid,
    noted: &OfflineTransaction,
) -> Result<OfflineDone, Error> {
    let mut request = Renew {
        loan_id: None,
        item_barcode: Some(noted.item_barcode.clone()),
        service_point_id,
        occurred_at: Some(noted.occurred_at),
        overriding: None,
    };
    loop {
        match renew(circulation, call, &noted.key, &request).await {
            Ok(renewed) => {
                return Ok(OfflineDone {
                    loan_id: Some(renewed.loan.id),
                    item_id: Some(renewed.loan.item_id),
                    overdue_fine: renewed.overdue_fine,
                    overridden: renewed.overridden,
                    ended_loan_id: None,
                });
            }
            Err(Error::RenewalBlocked(blocks)) if request.overriding.is_none() => {
                request.overriding = overriding(&blocks);
                if request.overriding.is_none() {
                    return Err(Error::RenewalBlocked(blocks));
                }
            }
            Err(error) => return Err(error),
        }
    }
}
