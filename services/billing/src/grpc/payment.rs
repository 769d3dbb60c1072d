//! `PaymentService`.

use carrel_proto::billing::v1 as pb;
use carrel_proto::billing::v1::payment_service_server::PaymentService;
use carrel_runtime::{Call, Page, Refusal, page, wire};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    LONGEST_COMMENT, LONGEST_TENDER_REFERENCE, Rpcs, actor, amount, optional_amount, tender,
};
use crate::message;
use crate::payment::{self, ChequeFee, MOST_PARTS, NewPayment, Paying, Refund, receipt};

#[tonic::async_trait]
impl PaymentService for Rpcs {
    async fn pay_accounts(
        &self,
        request: Request<pb::PayAccountsRequest>,
    ) -> Result<Response<pb::PayAccountsResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let paying = paying(&request)?;
        let new = NewPayment {
            tender: tender(request.tender)?,
            tender_reference: tender_reference(&request.tender_reference)?,
            tendered: optional_amount("tendered", &request.tendered)?,
            comment: wire::text("comment", &request.comment, 0, LONGEST_COMMENT)?.to_owned(),
            drawer_session_id: wire::optional_id("drawer_session_id", &request.drawer_session_id)?,
        };
        let (payment, accounts) =
            payment::take(&self.billing, &key, &actor(&call), &paying, &new).await?;
        Ok(Response::new(pb::PayAccountsResponse {
            receipt_text: receipt::text(&payment, &self.billing.zone),
            payment: Some(message::payment(&payment)?),
            accounts: accounts
                .iter()
                .map(|account| message::account(account, &[]))
                .collect(),
        }))
    }

    async fn get_payment(
        &self,
        request: Request<pb::GetPaymentRequest>,
    ) -> Result<Response<pb::GetPaymentResponse>, Status> {
        let request = request.into_inner();
        let payment = payment::get(&self.billing, wire::id("id", &request.id)?).await?;
        let zone = &self.billing.zone;
        Ok(Response::new(pb::GetPaymentResponse {
            receipt_text: receipt::text(&payment, zone),
            receipt_pdf: if request.with_pdf {
                receipt::pdf(&payment, zone)
            } else {
                Vec::new()
            },
            payment: Some(message::payment(&payment)?),
        }))
    }

    async fn list_payments(
        &self,
        request: Request<pb::ListPaymentsRequest>,
    ) -> Result<Response<pb::ListPaymentsResponse>, Status> {
        let request = request.into_inner();
        let query = pb::ListPaymentsRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page: Page<Uuid> = page(request.page_size, &request.page_token, &query, 50, 1_000)?;
        let patron_id = wire::optional_id("patron_id", &request.patron_id)?;
        let session_id = wire::optional_id("drawer_session_id", &request.drawer_session_id)?;
        let mut connection = self.connection().await?;
        let mut ids = payment::store::list_ids(
            &mut connection,
            patron_id,
            session_id,
            page.after,
            page.limit(),
        )
        .await?;
        let next_page_token = page.cut(&mut ids, |id| *id);
        let mut payments = Vec::with_capacity(ids.len());
        for payment in payment::store::list_by_ids(&mut connection, &ids).await? {
            payments.push(message::payment(&payment)?);
        }
        Ok(Response::new(pb::ListPaymentsResponse {
            payments,
            next_page_token,
        }))
    }

    async fn refund_payment(
        &self,
        request: Request<pb::RefundPaymentRequest>,
    ) -> Result<Response<pb::RefundPaymentResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let refund = Refund {
            payment_id: wire::id("id", &request.id)?,
            account_id: wire::id("account_id", &request.account_id)?,
            amount: amount("amount", &request.amount)?,
            tender_reference: tender_reference(&request.tender_reference)?,
            comment: wire::text("comment", &request.comment, 1, LONGEST_COMMENT)?.to_owned(),
            drawer_session_id: wire::optional_id("drawer_session_id", &request.drawer_session_id)?,
        };
        let (payment, account) =
            payment::refund(&self.billing, &key, &actor(&call), &refund).await?;
        Ok(Response::new(pb::RefundPaymentResponse {
            payment: Some(message::payment(&payment)?),
            account: Some(message::account(&account, &[])),
        }))
    }

    async fn return_cheque(
        &self,
        request: Request<pb::ReturnChequeRequest>,
    ) -> Result<Response<pb::ReturnChequeResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let id = wire::id("id", &request.id)?;
        let comment = wire::text("comment", &request.comment, 1, LONGEST_COMMENT)?;
        let fee = wire::optional_id("fee_fine_type_id", &request.fee_fine_type_id)?
            .map(|fee_fine_type_id| {
                Ok::<_, Refusal>(ChequeFee {
                    fee_fine_type_id,
                    fee_fine_owner_id: wire::id("fee_fine_owner_id", &request.fee_fine_owner_id)?,
                    amount: optional_amount("fee", &request.fee)?,
                })
            })
            .transpose()?;
        let actor = actor(&call);
        let (payment, accounts) =
            payment::return_cheque(&self.billing, &key, &actor, id, comment, fee.as_ref()).await?;
        Ok(Response::new(pb::ReturnChequeResponse {
            payment: Some(message::payment(&payment)?),
            accounts: accounts
                .iter()
                .map(|account| message::account(account, &[]))
                .collect(),
        }))
    }
}

fn tender_reference(text: &str) -> Result<String, Refusal> {
    let longest = LONGEST_TENDER_REFERENCE;
    Ok(wire::text("tender_reference", text, 0, longest)?.to_owned())
}

/// Parts as given, or the patron's oldest first.
fn paying(request: &pb::PayAccountsRequest) -> Result<Paying, Refusal> {
    if request.parts.is_empty() {
        let patron_id = wire::id("patron_id", &request.patron_id)?;
        return Ok(Paying::OldestFirst(
            patron_id,
            amount("amount", &request.amount)?,
        ));
    }
    if request.parts.len() > MOST_PARTS {
        return Err(Refusal::field(
            "parts",
            "LIST_TOO_LONG",
            format!("must have at most {MOST_PARTS}"),
        ));
    }
    let mut parts = Vec::with_capacity(request.parts.len());
    for part in &request.parts {
        let account_id = wire::id("parts.account_id", &part.account_id)?;
        parts.push((account_id, optional_amount("parts.amount", &part.amount)?));
    }
    let sum = optional_amount("amount", &request.amount)?;
    Ok(Paying::Parts(parts, sum))
}
