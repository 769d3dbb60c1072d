//! `carrel.circulation.v1.LoanBatchService`.

use carrel_database::RequestKey;
use carrel_proto::circulation::v1::loan_batch_service_server::LoanBatchService;
use carrel_proto::circulation::v1::{
    Block, CheckOutBatchRequest, CheckOutBatchResponse, CheckOutOutcome, OfflineOutcome,
    OfflineTransaction as WireOffline, TransactionRefusal, UploadOfflineTransactionsRequest,
    UploadOfflineTransactionsResponse, check_out_outcome, offline_transaction,
};
use carrel_runtime::{Call, Refusal, wire};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::loan::{overriding, projection_ages, proxy_barcode, to_blocks};
use crate::Circulation;
use crate::error::Error;
use crate::loan::{self, CheckOutBatch, CheckedOut, OfflineDone, OfflineTransaction, OfflineWhat};

/// Items of one pile.
const LARGEST_PILE: usize = 100;
/// Transactions of one upload.
const LARGEST_UPLOAD: usize = 1_000;

/// Serves many transactions at once.
#[derive(Debug, Clone)]
pub struct LoanBatchRpcs(pub Circulation);

#[tonic::async_trait]
impl LoanBatchService for LoanBatchRpcs {
    async fn check_out_batch(
        &self,
        request: Request<CheckOutBatchRequest>,
    ) -> Result<Response<CheckOutBatchResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        count("item_barcodes", request.item_barcodes.len(), LARGEST_PILE)?;
        for (index, barcode) in request.item_barcodes.iter().enumerate() {
            wire::barcode(&format!("item_barcodes[{index}]"), barcode)?;
        }
        let patron_barcode = wire::barcode("patron_barcode", &request.patron_barcode)?;
        let pile = CheckOutBatch {
            item_barcodes: request.item_barcodes.clone(),
            patron_barcode: patron_barcode.to_owned(),
            service_point_id: wire::id("service_point_id", &request.service_point_id)?,
            accepted_agreement: agreement("accepted_agreement", &request.accepted_agreement)?,
            proxy_barcode: proxy_barcode("proxy_barcode", &request.proxy_barcode)?,
            overriding: overriding(request.r#override)?,
        };
        let outcomes = loan::check_out_batch(&self.0, &call, &key, pile).await?;
        let outcomes = request.item_barcodes.into_iter().zip(outcomes);
        Ok(Response::new(CheckOutBatchResponse {
            outcomes: outcomes.map(to_check_out_outcome).collect(),
            projection_ages: projection_ages(&self.0),
        }))
    }

    async fn upload_offline_transactions(
        &self,
        request: Request<UploadOfflineTransactionsRequest>,
    ) -> Result<Response<UploadOfflineTransactionsResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        // That there is one; each transaction is claimed by its own id.
        call.request_key(&request.request_id, &request)?;
        let point = wire::id("service_point_id", &request.service_point_id)?;
        count("transactions", request.transactions.len(), LARGEST_UPLOAD)?;
        let noted = request.transactions.iter().enumerate();
        let noted: Vec<OfflineTransaction> = noted
            .map(|(index, noted)| offline(&call, point, index, noted))
            .collect::<Result<_, _>>()?;
        let outcomes = loan::upload_offline_transactions(&self.0, &call, point, &noted).await?;
        let outcomes = request.transactions.into_iter().zip(outcomes);
        Ok(Response::new(UploadOfflineTransactionsResponse {
            outcomes: outcomes.map(to_offline_outcome).collect(),
        }))
    }
}

fn count(field: &str, count: usize, most: usize) -> Result<(), Refusal> {
    if (1..=most).contains(&count) {
        return Ok(());
    }
    let many = format!("must be 1 to {most}");
    Err(Refusal::field(field, "TOO_MANY_VALUES", many))
}

fn agreement(field: &str, accepted: &str) -> Result<String, Refusal> {
    Ok(wire::text(field, accepted, 0, 80)?.to_owned())
}

fn offline(
    call: &Call,
    service_point_id: Uuid,
    index: usize,
    given: &WireOffline,
) -> Result<OfflineTransaction, Refusal> {
    use offline_transaction::Transaction;
    let field = |name: &str| format!("transactions[{index}].{name}");
    wire::id(&field("id"), &given.id)?;
    let (item_barcode, what) = match wire::required(&field("transaction"), &given.transaction)? {
        Transaction::CheckOut(lent) => {
            let patron = &lent.patron_barcode;
            let patron_barcode = wire::barcode(&field("check_out.patron_barcode"), patron)?;
            let accepted = &lent.accepted_agreement;
            let what = OfflineWhat::CheckOut {
                patron_barcode: patron_barcode.to_owned(),
                accepted_agreement: agreement(&field("check_out.accepted_agreement"), accepted)?,
                proxy_barcode: proxy_barcode(
                    &field("check_out.proxy_barcode"),
                    &lent.proxy_barcode,
                )?,
            };
            (&lent.item_barcode, what)
        }
        Transaction::CheckIn(taken) => (&taken.item_barcode, OfflineWhat::CheckIn),
        Transaction::Renewal(renewed) => (&renewed.item_barcode, OfflineWhat::Renewal),
    };
    let occurred_at = wire::required(&field("occurred_at"), &given.occurred_at)?;
    Ok(OfflineTransaction {
        key: RequestKey {
            caller: format!("offline:{service_point_id}"),
            ..call.request_key(&given.id, given)?
        },
        occurred_at: wire::timestamp(&field("occurred_at"), occurred_at)?,
        item_barcode: wire::barcode(&field("item_barcode"), item_barcode)?.to_owned(),
        what,
    })
}

/// Why a transaction was refused, as its own RPC would tell it.
fn to_refusal(error: Error) -> TransactionRefusal {
    let message = error.to_string();
    let blocks = match &error {
        Error::CheckOutBlocked(blocks) | Error::RenewalBlocked(blocks) => {
            blocks.iter().cloned().map(Block::from).collect()
        }
        _ => Vec::new(),
    };
    TransactionRefusal {
        reason: error.refusal().reason().to_owned(),
        message,
        blocks,
    }
}

fn to_check_out_outcome(
    (item_barcode, outcome): (String, Result<CheckedOut, Error>),
) -> CheckOutOutcome {
    let (outcome, overridden) = match outcome {
        Ok(CheckedOut { loan, overridden }) => {
            (check_out_outcome::Outcome::Loan(loan.into()), overridden)
        }
        Err(error) => {
            let refusal = check_out_outcome::Outcome::Refusal(to_refusal(error));
            (refusal, Vec::new())
        }
    };
    CheckOutOutcome {
        item_barcode,
        outcome: Some(outcome),
        overridden_blocks: to_blocks(overridden),
    }
}

fn to_offline_outcome(
    (given, outcome): (WireOffline, Result<OfflineDone, Error>),
) -> OfflineOutcome {
    let text = |id: Option<Uuid>| id.map_or_else(String::new, |id| id.to_string());
    let (done, refusal) = match outcome {
        Ok(done) => (done, None),
        Err(error) => (OfflineDone::default(), Some(to_refusal(error))),
    };
    OfflineOutcome {
        id: given.id,
        refusal,
        loan_id: text(done.loan_id),
        item_id: text(done.item_id),
        overdue_fine: done.overdue_fine.map(Into::into),
        overridden_blocks: to_blocks(done.overridden),
        ended_loan_id: text(done.ended_loan_id),
    }
}
