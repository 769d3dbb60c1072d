//! Many transactions at once: a pile of items for one patron.

use carrel_database::RequestKey;
use carrel_runtime::Call;
use uuid::Uuid;

use super::block::Override;
use super::{CheckOut, CheckedOut, check_out};
use crate::Circulation;
use crate::error::Error;

/// A pile of items for one patron.
#[derive(Debug)]
pub struct CheckOutBatch {
    /// The items, by their barcodes.
    pub item_barcodes: Vec<String>,
    /// The patron's barcode.
    pub patron_barcode: String,
    /// Where.
    pub service_point_id: Uuid,
    /// The borrowing agreement that the patron accepted; "": none.
    pub accepted_agreement: String,
    /// The barcode of who stands at the desk for the patron; "": the patron.
    pub proxy_barcode: String,
    /// What is overridden for each of them.
    pub overriding: Option<Override>,
}

/// Lends a pile, one item after the other: each is a transaction of its own
/// under a request id derived from the pile's, so that a repeat finds what was
/// done. Returns what became of each item, in order.
///
/// # Errors
/// [`Error`] where it is not about a single item; what was lent by then stays.
pub async fn check_out_batch(
    circulation: &Circulation,
    call: &Call,
    key: &RequestKey,
    pile: CheckOutBatch,
) -> Result<Vec<Result<CheckedOut, Error>>, Error> {
    let mut outcomes = Vec::with_capacity(pile.item_barcodes.len());
    for (index, item_barcode) in pile.item_barcodes.into_iter().enumerate() {
        let place = index.to_string();
        let key = RequestKey {
            request_id: Uuid::new_v5(&key.request_id, place.as_bytes()),
            ..key.clone()
        };
        let request = CheckOut {
            item_barcode,
            patron_barcode: pile.patron_barcode.clone(),
            service_point_id: pile.service_point_id,
            occurred_at: None,
            overriding: pile.overriding.clone(),
            accepted_agreement: pile.accepted_agreement.clone(),
            proxy_barcode: pile.proxy_barcode.clone(),
        };
        match check_out(circulation, call, &key, request).await {
            Err(error) if !is_about_the_transaction(&error) => return Err(error),
            outcome => outcomes.push(outcome),
        }
    }
    Ok(outcomes)
}

/// Whether an error is about the one item or patron of a transaction, rather
/// than about who calls, from where, or the state of circulation.
pub(super) fn is_about_the_transaction(error: &Error) -> bool {
    matches!(
        error,
        Error::ItemNotFound { .. }
            | Error::LoanNotFound
            | Error::LoanClosed
            | Error::ItemAlreadyOnLoan
            | Error::CheckOutBlocked(_)
            | Error::RenewalBlocked(_)
            | Error::OccurredInFuture
            | Error::OccurredTooLongAgo
            | Error::OccurredBeforeCheckIn
            | Error::OccurredBeforeCheckOut
    )
}
