//! `carrel.circulation.v1.CirculationRuleService`.

use carrel_proto::circulation::v1::circulation_rule_service_server::CirculationRuleService;
use carrel_proto::circulation::v1::{
    CirculationRules, ExplainCirculationRuleRequest, ExplainCirculationRuleResponse,
    GetCirculationRulesRequest, GetCirculationRulesResponse, ReplaceCirculationRulesRequest,
    ReplaceCirculationRulesResponse, RuleMatch,
};
use carrel_runtime::{Call, Refusal, wire};
use tonic::{Request, Response, Status};

use crate::Circulation;
use crate::rule::{self, Question, RulesVersion};

/// What a rule text may be at the longest, in bytes.
const LONGEST_TEXT: usize = 1_048_576;

/// Serves circulation rules.
#[derive(Debug, Clone)]
pub struct CirculationRuleRpcs(pub Circulation);

#[tonic::async_trait]
impl CirculationRuleService for CirculationRuleRpcs {
    async fn replace_circulation_rules(
        &self,
        request: Request<ReplaceCirculationRulesRequest>,
    ) -> Result<Response<ReplaceCirculationRulesResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        if request.text.len() > LONGEST_TEXT {
            return Err(Refusal::field("text", "TEXT_LENGTH", "must be at most 1 MiB").into());
        }
        if request.text.contains('\0') {
            return Err(Refusal::field("text", "TEXT_MALFORMED", "must not hold NUL").into());
        }
        let rules = rule::replace(&self.0, &key, &request.text).await?;
        Ok(Response::new(ReplaceCirculationRulesResponse {
            circulation_rules: Some(to_rules(rules)),
        }))
    }

    async fn get_circulation_rules(
        &self,
        _request: Request<GetCirculationRulesRequest>,
    ) -> Result<Response<GetCirculationRulesResponse>, Status> {
        let rules = rule::get(&self.0).await?;
        Ok(Response::new(GetCirculationRulesResponse {
            circulation_rules: Some(to_rules(rules)),
        }))
    }

    async fn explain_circulation_rule(
        &self,
        request: Request<ExplainCirculationRuleRequest>,
    ) -> Result<Response<ExplainCirculationRuleResponse>, Status> {
        let request = request.into_inner();
        let question = Question {
            location_id: wire::optional_id("location_id", &request.location_id)?,
            patron_group: request.patron_group,
            material_type: request.material_type,
            loan_type: request.loan_type,
        };
        let explanation = rule::explain(&self.0, &question).await?;
        let matches = explanation
            .matches
            .into_iter()
            .map(|(line, text, reason)| RuleMatch {
                line: i32::try_from(line).unwrap_or(i32::MAX),
                text,
                reason,
            });
        Ok(Response::new(ExplainCirculationRuleResponse {
            applied_rule: Some(explanation.applied.into()),
            matches: matches.collect(),
        }))
    }
}

fn to_rules(rules: RulesVersion) -> CirculationRules {
    CirculationRules {
        id: rules.id.to_string(),
        version: rules.version,
        text: rules.text,
        effective_at: Some(wire::to_timestamp(rules.effective_at)),
        author: rules.author,
    }
}
