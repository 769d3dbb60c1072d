//! `BillingRulesService`.

use carrel_proto::billing::v1 as pb;
use carrel_proto::billing::v1::billing_rules_service_server::BillingRulesService;
use carrel_runtime::{Call, wire};
use tonic::{Request, Response, Status};

use super::{Rpcs, actor, amount};
use crate::columns::money;
use crate::error::Error;
use crate::rules::{self, BillingRules};

#[tonic::async_trait]
impl BillingRulesService for Rpcs {
    async fn get_billing_rules(
        &self,
        _request: Request<pb::GetBillingRulesRequest>,
    ) -> Result<Response<pb::GetBillingRulesResponse>, Status> {
        let rules = rules::get(&self.billing).await?;
        Ok(Response::new(pb::GetBillingRulesResponse {
            billing_rules: Some(self.billing_rules(&rules)?),
        }))
    }

    async fn update_billing_rules(
        &self,
        request: Request<pb::UpdateBillingRulesRequest>,
    ) -> Result<Response<pb::UpdateBillingRulesResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let wanted = wire::required("billing_rules", &request.billing_rules)?;
        let minimum = amount("billing_rules.minimum_counted", &wanted.minimum_counted)?;
        let limit = amount("billing_rules.write_off_limit", &wanted.write_off_limit)?;
        // An etag that is not ours was never read here, and so matches nothing.
        let seen = (!wanted.etag.is_empty()).then(|| wanted.etag.parse().unwrap_or(-1));
        let actor = actor(&call);
        let rules = rules::update(&self.billing, &key, &actor, minimum, limit, seen).await?;
        Ok(Response::new(pb::UpdateBillingRulesResponse {
            billing_rules: Some(self.billing_rules(&rules)?),
        }))
    }
}

impl Rpcs {
    fn billing_rules(&self, rules: &BillingRules) -> Result<pb::BillingRules, Error> {
        let currency = self.billing.currency.code();
        Ok(pb::BillingRules {
            minimum_counted: Some(money(rules.minimum_counted, currency)?.into()),
            write_off_limit: Some(money(rules.write_off_limit, currency)?.into()),
            etag: rules.revision.to_string(),
        })
    }
}
