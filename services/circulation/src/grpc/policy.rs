//! `carrel.circulation.v1.PolicyService`.

use carrel_proto::circulation::v1::policy_service_server::PolicyService;
use carrel_proto::circulation::v1::{
    CreateLoanPolicyRequest, CreateLoanPolicyResponse, CreateLostItemPolicyRequest,
    CreateLostItemPolicyResponse, CreateOverdueFinePolicyRequest, CreateOverdueFinePolicyResponse,
    CreateRequestPolicyRequest, CreateRequestPolicyResponse, GetLoanPolicyRequest,
    GetLoanPolicyResponse, GetLostItemPolicyRequest, GetLostItemPolicyResponse,
    GetOverdueFinePolicyRequest, GetOverdueFinePolicyResponse, ListLoanPoliciesRequest,
    ListLoanPoliciesResponse, ListLostItemPoliciesRequest, ListLostItemPoliciesResponse,
    ListOverdueFinePoliciesRequest, ListOverdueFinePoliciesResponse, ListPatronLimitsRequest,
    ListPatronLimitsResponse, ListRequestPoliciesRequest, ListRequestPoliciesResponse,
    SetPatronLimitsRequest, SetPatronLimitsResponse,
};
use carrel_runtime::wire::{self, required};
use carrel_runtime::{Call, page};
use prost::Message;
use tonic::{Request, Response, Status};

use super::policy_terms::{
    code_and_name, fine_terms, limits, loan_terms, lost_terms, request_terms, to_fine_policy,
    to_limits, to_loan_policy, to_lost_policy, to_request_policy,
};
use super::{LARGEST_PAGE, PAGE};
use crate::Circulation;
use crate::policy;
use crate::policy::model::{Policy, Terms};

/// Serves policies and patron limits.
#[derive(Debug, Clone)]
pub struct PolicyRpcs(pub Circulation);

#[tonic::async_trait]
impl PolicyService for PolicyRpcs {
    async fn create_loan_policy(
        &self,
        request: Request<CreateLoanPolicyRequest>,
    ) -> Result<Response<CreateLoanPolicyResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let given = required("loan_policy", &request.loan_policy)?;
        let (code, name) = code_and_name("loan_policy", &given.code, &given.name)?;
        let made = policy::create(&self.0, &key, code, name, &loan_terms(given)?).await?;
        Ok(Response::new(CreateLoanPolicyResponse {
            loan_policy: Some(to_loan_policy(made)),
        }))
    }

    async fn get_loan_policy(
        &self,
        request: Request<GetLoanPolicyRequest>,
    ) -> Result<Response<GetLoanPolicyResponse>, Status> {
        let id = wire::id("id", &request.get_ref().id)?;
        let policy = policy::get(&self.0, id).await?;
        Ok(Response::new(GetLoanPolicyResponse {
            loan_policy: Some(to_loan_policy(policy)),
        }))
    }

    async fn list_loan_policies(
        &self,
        request: Request<ListLoanPoliciesRequest>,
    ) -> Result<Response<ListLoanPoliciesResponse>, Status> {
        let request = request.into_inner();
        let asked = (request.page_size, request.page_token.as_str());
        let query = ListLoanPoliciesRequest {
            page_size: 0,
            page_token: String::new(),
            code: request.code.clone(),
        };
        let (policies, next_page_token) = list(&self.0, &request.code, asked, &query).await?;
        Ok(Response::new(ListLoanPoliciesResponse {
            loan_policies: policies.into_iter().map(to_loan_policy).collect(),
            next_page_token,
        }))
    }

    async fn create_overdue_fine_policy(
        &self,
        request: Request<CreateOverdueFinePolicyRequest>,
    ) -> Result<Response<CreateOverdueFinePolicyResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let given = required("overdue_fine_policy", &request.overdue_fine_policy)?;
        let (code, name) = code_and_name("overdue_fine_policy", &given.code, &given.name)?;
        let made = policy::create(&self.0, &key, code, name, &fine_terms(given)?).await?;
        Ok(Response::new(CreateOverdueFinePolicyResponse {
            overdue_fine_policy: Some(to_fine_policy(made)),
        }))
    }

    async fn get_overdue_fine_policy(
        &self,
        request: Request<GetOverdueFinePolicyRequest>,
    ) -> Result<Response<GetOverdueFinePolicyResponse>, Status> {
        let id = wire::id("id", &request.get_ref().id)?;
        let policy = policy::get(&self.0, id).await?;
        Ok(Response::new(GetOverdueFinePolicyResponse {
            overdue_fine_policy: Some(to_fine_policy(policy)),
        }))
    }

    async fn list_overdue_fine_policies(
        &self,
        request: Request<ListOverdueFinePoliciesRequest>,
    ) -> Result<Response<ListOverdueFinePoliciesResponse>, Status> {
        let request = request.into_inner();
        let asked = (request.page_size, request.page_token.as_str());
        let query = ListOverdueFinePoliciesRequest {
            page_size: 0,
            page_token: String::new(),
            code: request.code.clone(),
        };
        let (policies, next_page_token) = list(&self.0, &request.code, asked, &query).await?;
        Ok(Response::new(ListOverdueFinePoliciesResponse {
            overdue_fine_policies: policies.into_iter().map(to_fine_policy).collect(),
            next_page_token,
        }))
    }

    async fn create_lost_item_policy(
        &self,
        request: Request<CreateLostItemPolicyRequest>,
    ) -> Result<Response<CreateLostItemPolicyResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let given = required("lost_item_policy", &request.lost_item_policy)?;
        let (code, name) = code_and_name("lost_item_policy", &given.code, &given.name)?;
        let made = policy::create(&self.0, &key, code, name, &lost_terms(given)?).await?;
        Ok(Response::new(CreateLostItemPolicyResponse {
            lost_item_policy: Some(to_lost_policy(made)),
        }))
    }

    async fn get_lost_item_policy(
        &self,
        request: Request<GetLostItemPolicyRequest>,
    ) -> Result<Response<GetLostItemPolicyResponse>, Status> {
        let id = wire::id("id", &request.get_ref().id)?;
        let policy = policy::get(&self.0, id).await?;
        Ok(Response::new(GetLostItemPolicyResponse {
            lost_item_policy: Some(to_lost_policy(policy)),
        }))
    }

    async fn list_lost_item_policies(
        &self,
        request: Request<ListLostItemPoliciesRequest>,
    ) -> Result<Response<ListLostItemPoliciesResponse>, Status> {
        let request = request.into_inner();
        let asked = (request.page_size, request.page_token.as_str());
        let query = ListLostItemPoliciesRequest {
            page_size: 0,
            page_token: String::new(),
            code: request.code.clone(),
        };
        let (policies, next_page_token) = list(&self.0, &request.code, asked, &query).await?;
        Ok(Response::new(ListLostItemPoliciesResponse {
            lost_item_policies: policies.into_iter().map(to_lost_policy).collect(),
            next_page_token,
        }))
    }

    async fn create_request_policy(
        &self,
        request: Request<CreateRequestPolicyRequest>,
    ) -> Result<Response<CreateRequestPolicyResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let given = required("request_policy", &request.request_policy)?;
        let (code, name) = code_and_name("request_policy", &given.code, &given.name)?;
        let made = policy::create(&self.0, &key, code, name, &request_terms(given)?).await?;
        Ok(Response::new(CreateRequestPolicyResponse {
            request_policy: Some(to_request_policy(made)),
        }))
    }

    async fn list_request_policies(
        &self,
        request: Request<ListRequestPoliciesRequest>,
    ) -> Result<Response<ListRequestPoliciesResponse>, Status> {
        let request = request.into_inner();
        let query = ListRequestPoliciesRequest::default();
        let page = page::<String>(
            request.page_size,
            &request.page_token,
            &query,
            PAGE,
            LARGEST_PAGE,
        )?;
        let mut policies = policy::list(&self.0, page.after.as_deref(), page.limit()).await?;
        let next_page_token = page.cut(&mut policies, |policy| policy.code.clone());
        Ok(Response::new(ListRequestPoliciesResponse {
            request_policies: policies.into_iter().map(to_request_policy).collect(),
            next_page_token,
        }))
    }

    async fn set_patron_limits(
        &self,
        request: Request<SetPatronLimitsRequest>,
    ) -> Result<Response<SetPatronLimitsResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let limits = limits(required("patron_limits", &request.patron_limits)?)?;
        let limits = policy::set_limits(&self.0, &key, &limits).await?;
        Ok(Response::new(SetPatronLimitsResponse {
            patron_limits: Some(to_limits(limits)),
        }))
    }

    async fn list_patron_limits(
        &self,
        request: Request<ListPatronLimitsRequest>,
    ) -> Result<Response<ListPatronLimitsResponse>, Status> {
        let request = request.into_inner();
        let query = ListPatronLimitsRequest::default();
        let page = page::<String>(
            request.page_size,
            &request.page_token,
            &query,
            PAGE,
            LARGEST_PAGE,
        )?;
        let mut limits = policy::list_limits(&self.0, page.after.as_deref(), page.limit()).await?;
        let next_page_token = page.cut(&mut limits, |limits| limits.patron_group.clone());
        Ok(Response::new(ListPatronLimitsResponse {
            patron_limits: limits.into_iter().map(to_limits).collect(),
            next_page_token,
        }))
    }
}

/// A page of the newest version of each code, or of all versions of one.
async fn list<T: Terms>(
    circulation: &Circulation,
    code: &str,
    (page_size, page_token): (i32, &str),
    query: &impl Message,
) -> Result<(Vec<Policy<T>>, String), Status> {
    if code.is_empty() {
        let page = page::<String>(page_size, page_token, query, PAGE, LARGEST_PAGE)?;
        let mut policies = policy::list(circulation, page.after.as_deref(), page.limit()).await?;
        let next = page.cut(&mut policies, |policy| policy.code.clone());
        return Ok((policies, next));
    }
    let page = page::<i32>(page_size, page_token, query, PAGE, LARGEST_PAGE)?;
    let mut policies = policy::list_versions(circulation, code, page.after, page.limit()).await?;
    let next = page.cut(&mut policies, |policy| policy.version);
    Ok((policies, next))
}
