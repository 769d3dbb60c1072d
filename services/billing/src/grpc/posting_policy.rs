//! `PostingPolicyService`.

use carrel_proto::billing::v1 as pb;
use carrel_proto::billing::v1::posting_policy_service_server::PostingPolicyService;
use carrel_runtime::{Call, Page, Refusal, page, wire};
use jiff::Timestamp;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Rpcs, actor};
use crate::error::Error;
use crate::message;
use crate::posting::policy;
use crate::posting::policy::model::Criterion;

/// The most notices that one call records.
const MOST_NOTICES: usize = 1_000;

#[tonic::async_trait]
impl PostingPolicyService for Rpcs {
    async fn get_posting_policy(
        &self,
        _request: Request<pb::GetPostingPolicyRequest>,
    ) -> Result<Response<pb::GetPostingPolicyResponse>, Status> {
        let policy = policy::get(&self.billing).await?;
        Ok(Response::new(pb::GetPostingPolicyResponse {
            posting_policy: Some(message::posting_policy(&policy)),
        }))
    }

    async fn update_posting_policy(
        &self,
        request: Request<pb::UpdatePostingPolicyRequest>,
    ) -> Result<Response<pb::UpdatePostingPolicyResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let wanted = wire::required("posting_policy", &request.posting_policy)?;
        let (criterion, notice_wait_days) = rules(wanted)?;
        let revision = wanted
            .etag
            .parse::<i64>()
            .map_err(|_| Error::EtagMismatch)?;
        let actor = actor(&call);
        let policy = policy::update(
            &self.billing,
            &key,
            &actor,
            revision,
            criterion,
            notice_wait_days,
        )
        .await?;
        Ok(Response::new(pb::UpdatePostingPolicyResponse {
            posting_policy: Some(message::posting_policy(&policy)),
        }))
    }

    async fn preview_postings(
        &self,
        request: Request<pb::PreviewPostingsRequest>,
    ) -> Result<Response<pb::PreviewPostingsResponse>, Status> {
        let request = request.into_inner();
        let query = pb::PreviewPostingsRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page: Page<(Timestamp, Uuid)> =
            page(request.page_size, &request.page_token, &query, 100, 1_000)?;
        let other = request.posting_policy.as_ref().map(rules).transpose()?;
        let mut previews = policy::preview(&self.billing, other, page.after, page.limit()).await?;
        let next_page_token = page.cut(&mut previews, |preview| {
            (preview.charged_at, preview.account_id)
        });
        Ok(Response::new(pb::PreviewPostingsResponse {
            previews: previews.iter().map(message::posting_preview).collect(),
            next_page_token,
        }))
    }

    async fn record_posting_notices(
        &self,
        request: Request<pb::RecordPostingNoticesRequest>,
    ) -> Result<Response<pb::RecordPostingNoticesResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let noticed_on = wire::date(
            "noticed_on",
            wire::required("noticed_on", &request.noticed_on)?,
        )?;
        if !(1..=MOST_NOTICES).contains(&request.account_ids.len()) {
            return Err(Refusal::field(
                "account_ids",
                "COUNT_OUT_OF_RANGE",
                "has to name 1 to 1,000 accounts",
            )
            .into());
        }
        let account_ids = request
            .account_ids
            .iter()
            .map(|id| wire::id("account_ids", id))
            .collect::<Result<Vec<Uuid>, _>>()?;
        let actor = actor(&call);
        policy::record_notices(&self.billing, &key, &actor, &account_ids, noticed_on).await?;
        Ok(Response::new(pb::RecordPostingNoticesResponse {}))
    }
}

fn rules(policy: &pb::PostingPolicy) -> Result<(Option<Criterion>, Option<i32>), Status> {
    let criterion = policy
        .criterion
        .as_ref()
        .map(message::criterion_of)
        .transpose()?;
    let days = policy.notice_wait_days;
    if days.is_some_and(|days| !(0..=3650).contains(&days)) {
        return Err(Refusal::field(
            "posting_policy.notice_wait_days",
            "NUMBER_OUT_OF_RANGE",
            "has to be 0 to 3,650",
        )
        .into());
    }
    Ok((criterion, days))
}
