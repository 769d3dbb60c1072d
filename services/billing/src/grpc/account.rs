//! `AccountService`.

use carrel_ids::Reference;
use carrel_proto::billing::v1 as pb;
use carrel_proto::billing::v1::account_service_server::AccountService;
use carrel_runtime::{Call, Page, Refusal, page, wire};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    LONGEST_COMMENT, LONGEST_TENDER_REFERENCE, Rpcs, actor, amount, tender, unknown_value,
};
use crate::account::correction::CancelReason;
use crate::account::{self, ManualCharge, Note};
use crate::message;

#[tonic::async_trait]
impl AccountService for Rpcs {
    async fn create_account(
        &self,
        request: Request<pb::CreateAccountRequest>,
    ) -> Result<Response<pb::CreateAccountResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let manual = ManualCharge {
            patron_id: wire::id("patron_id", &request.patron_id)?,
            fee_fine_owner_id: wire::id("fee_fine_owner_id", &request.fee_fine_owner_id)?,
            fee_fine_type_id: wire::id("fee_fine_type_id", &request.fee_fine_type_id)?,
            amount: request
                .amount
                .as_ref()
                .map(|value| wire::money("amount", value))
                .transpose()?,
            comment: wire::text("comment", &request.comment, 0, LONGEST_COMMENT)?.to_owned(),
        };
        let account = account::charge_by_hand(&self.billing, &key, &actor(&call), &manual).await?;
        Ok(Response::new(pb::CreateAccountResponse {
            account: Some(message::account(&account, &[])),
        }))
    }

    async fn get_account(
        &self,
        request: Request<pb::GetAccountRequest>,
    ) -> Result<Response<pb::GetAccountResponse>, Status> {
        let id = wire::id("id", &request.get_ref().id)?;
        let (account, actions) = account::get(&self.billing, id).await?;
        Ok(Response::new(pb::GetAccountResponse {
            account: Some(message::account(&account, &actions)),
        }))
    }

    async fn get_account_by_reference(
        &self,
        request: Request<pb::GetAccountByReferenceRequest>,
    ) -> Result<Response<pb::GetAccountByReferenceResponse>, Status> {
        let text = request.get_ref().reference.trim();
        let reference: Reference =
            text.parse()
                .map_err(|error: carrel_ids::InvalidReference| {
                    Refusal::field("reference", "REFERENCE_MALFORMED", error.to_string())
                })?;
        let (account, actions) = account::get_by_reference(&self.billing, reference).await?;
        Ok(Response::new(pb::GetAccountByReferenceResponse {
            account: Some(message::account(&account, &actions)),
        }))
    }

    async fn list_accounts(
        &self,
        request: Request<pb::ListAccountsRequest>,
    ) -> Result<Response<pb::ListAccountsResponse>, Status> {
        let request = request.into_inner();
        let query = pb::ListAccountsRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page: Page<Uuid> = page(request.page_size, &request.page_token, &query, 50, 1_000)?;
        let patron_id = wire::optional_id("patron_id", &request.patron_id)?;
        let is_open = match pb::AccountStatus::try_from(request.status) {
            Ok(pb::AccountStatus::Unspecified) => None,
            Ok(pb::AccountStatus::Open) => Some(true),
            Ok(pb::AccountStatus::Closed) => Some(false),
            Err(_) => return Err(unknown_value("status").into()),
        };
        let mut connection = self.connection().await?;
        let mut accounts = account::store::list_accounts(
            &mut connection,
            patron_id,
            is_open,
            page.after,
            page.limit(),
        )
        .await?;
        let next_page_token = page.cut(&mut accounts, |account| account.id);
        Ok(Response::new(pb::ListAccountsResponse {
            accounts: accounts
                .iter()
                .map(|account| message::account(account, &[]))
                .collect(),
            next_page_token,
        }))
    }

    async fn pay_account(
        &self,
        request: Request<pb::PayAccountRequest>,
    ) -> Result<Response<pb::PayAccountResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let id = wire::id("id", &request.id)?;
        let amount = amount("amount", &request.amount)?;
        let tender = tender(request.tender)?;
        let tender_reference = wire::text(
            "tender_reference",
            &request.tender_reference,
            0,
            LONGEST_TENDER_REFERENCE,
        )?;
        let note = Note {
            comment: wire::text("comment", &request.comment, 0, LONGEST_COMMENT)?.to_owned(),
            tender: Some((tender, tender_reference.to_owned())),
        };
        let account = account::pay(&self.billing, &key, &actor(&call), id, amount, &note).await?;
        Ok(Response::new(pb::PayAccountResponse {
            account: Some(message::account(&account, &[])),
        }))
    }

    async fn waive_account(
        &self,
        request: Request<pb::WaiveAccountRequest>,
    ) -> Result<Response<pb::WaiveAccountResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let id = wire::id("id", &request.id)?;
        let amount = amount("amount", &request.amount)?;
        let comment = wire::text("comment", &request.comment, 1, LONGEST_COMMENT)?;
        let account =
            account::waive(&self.billing, &key, &actor(&call), id, amount, comment).await?;
        Ok(Response::new(pb::WaiveAccountResponse {
            account: Some(message::account(&account, &[])),
        }))
    }

    async fn credit_account(
        &self,
        request: Request<pb::CreditAccountRequest>,
    ) -> Result<Response<pb::CreditAccountResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let id = wire::id("id", &request.id)?;
        let amount = amount("amount", &request.amount)?;
        let comment = wire::text("comment", &request.comment, 1, LONGEST_COMMENT)?;
        let actor = actor(&call);
        let account =
            account::credit_by_hand(&self.billing, &key, &actor, id, amount, comment).await?;
        Ok(Response::new(pb::CreditAccountResponse {
            account: Some(message::account(&account, &[])),
        }))
    }

    async fn cancel_account(
        &self,
        request: Request<pb::CancelAccountRequest>,
    ) -> Result<Response<pb::CancelAccountResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let id = wire::id("id", &request.id)?;
        let reason = match pb::CancelReason::try_from(request.reason) {
            Ok(pb::CancelReason::Error) => CancelReason::Error,
            Ok(pb::CancelReason::ItemReturned) => CancelReason::ItemReturned,
            Ok(pb::CancelReason::ItemRenewed) => CancelReason::ItemRenewed,
            Ok(pb::CancelReason::ItemDeclaredLost) => CancelReason::ItemDeclaredLost,
            Ok(pb::CancelReason::Unspecified) | Err(_) => {
                return Err(unknown_value("reason").into());
            }
        };
        let comment = wire::text("comment", &request.comment, 1, LONGEST_COMMENT)?;
        let actor = actor(&call);
        let account = account::cancel(&self.billing, &key, &actor, id, reason, comment).await?;
        Ok(Response::new(pb::CancelAccountResponse {
            account: Some(message::account(&account, &[])),
        }))
    }

    async fn reverse_account_action(
        &self,
        request: Request<pb::ReverseAccountActionRequest>,
    ) -> Result<Response<pb::ReverseAccountActionResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let id = wire::id("id", &request.id)?;
        let action_id = wire::id("action_id", &request.action_id)?;
        let comment = wire::text("comment", &request.comment, 1, LONGEST_COMMENT)?;
        let actor = actor(&call);
        let account = account::reverse(&self.billing, &key, &actor, id, action_id, comment).await?;
        Ok(Response::new(pb::ReverseAccountActionResponse {
            account: Some(message::account(&account, &[])),
        }))
    }

    async fn get_balance(
        &self,
        request: Request<pb::GetBalanceRequest>,
    ) -> Result<Response<pb::GetBalanceResponse>, Status> {
        let patron_id = wire::id("patron_id", &request.get_ref().patron_id)?;
        let balance = account::get_balance(&self.billing, patron_id).await?;
        Ok(Response::new(pb::GetBalanceResponse {
            balance: Some(message::balance(&balance)),
        }))
    }

    async fn list_balances(
        &self,
        request: Request<pb::ListBalancesRequest>,
    ) -> Result<Response<pb::ListBalancesResponse>, Status> {
        let request = request.into_inner();
        let query = pb::ListBalancesRequest::default();
        let page: Page<Uuid> = page(request.page_size, &request.page_token, &query, 100, 1_000)?;
        let mut connection = self.connection().await?;
        let mut balances =
            account::store::list_balances(&mut connection, page.after, page.limit()).await?;
        let next_page_token = page.cut(&mut balances, |balance| balance.patron_id);
        Ok(Response::new(pb::ListBalancesResponse {
            balances: balances.iter().map(message::balance).collect(),
            next_page_token,
        }))
    }
}
