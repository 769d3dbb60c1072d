//! `carrel.circulation.v1.CirculationRuleService`.

use carrel_proto::circulation::v1::circulation_rule_service_server::CirculationRuleService;
use carrel_proto::circulation::v1::circulation_rules_source::Source as WireSource;
use carrel_proto::circulation::v1::get_circulation_rules_request::Which as WireWhich;
use carrel_proto::circulation::v1::{
    CirculationRules, CirculationRulesSource, CombinationFilter, CompareCirculationRulesRequest,
    CompareCirculationRulesResponse, ComparedCombination, ExplainCirculationRuleRequest,
    ExplainCirculationRuleResponse, GetCirculationRulesRequest, GetCirculationRulesResponse,
    ListCirculationRulesRequest, ListCirculationRulesResponse, ReplaceCirculationRulesRequest,
    ReplaceCirculationRulesResponse, RuleCombination, RuleMatch, RuleTextError, RuleTextWarning,
    TriedCombination, TryCirculationRulesRequest, TryCirculationRulesResponse,
    ValidateCirculationRulesRequest, ValidateCirculationRulesResponse,
};
use carrel_runtime::{Call, Page, Refusal, page, wire};
use tonic::{Request, Response, Status};

use super::{LARGEST_PAGE, PAGE};
use crate::Circulation;
use crate::rule::occurrence::{Filter, Occurrence};
use crate::rule::trial::{self, Cursor, Source};
use crate::rule::validation;
use crate::rule::{self, Question, Replacement, Version, Which};

/// What a rule text may be at the longest, in bytes.
const LONGEST_TEXT: usize = 1_048_576;
/// Of versions with their texts: an answer stays below the 4 MiB that clients
/// take.
const LARGEST_PAGE_WITH_TEXTS: i32 = 3;
/// Of combinations, each with two lines of the text at the most.
const LARGEST_TRIAL: i32 = 200;

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
        let effective_at = request
            .effective_at
            .map(|at| wire::timestamp("effective_at", &at))
            .transpose()?;
        let replacement = Replacement {
            text: rule_text("text", request.text)?,
            effective_at,
            based_on_version: request.based_on_version,
        };
        let version = rule::replace(&self.0, &key, &replacement).await?;
        Ok(Response::new(ReplaceCirculationRulesResponse {
            circulation_rules: Some(to_rules(version)),
        }))
    }

    async fn get_circulation_rules(
        &self,
        request: Request<GetCirculationRulesRequest>,
    ) -> Result<Response<GetCirculationRulesResponse>, Status> {
        let which = match request.into_inner().which {
            None => Which::InForce,
            Some(WireWhich::Version(version)) => Which::Version(version),
            Some(WireWhich::At(at)) => Which::At(wire::timestamp("at", &at)?),
        };
        let version = rule::get(&self.0, which).await?;
        Ok(Response::new(GetCirculationRulesResponse {
            circulation_rules: Some(to_rules(version)),
        }))
    }

    async fn list_circulation_rules(
        &self,
        request: Request<ListCirculationRulesRequest>,
    ) -> Result<Response<ListCirculationRulesResponse>, Status> {
        let request = request.into_inner();
        let query = ListCirculationRulesRequest {
            with_texts: request.with_texts,
            ..Default::default()
        };
        let (default, largest) = if request.with_texts {
            (LARGEST_PAGE_WITH_TEXTS, LARGEST_PAGE_WITH_TEXTS)
        } else {
            (PAGE, LARGEST_PAGE)
        };
        let (size, token) = (request.page_size, &request.page_token);
        let page: Page<i32> = page(size, token, &query, default, largest)?;
        let mut versions =
            rule::list(&self.0, request.with_texts, page.after, page.limit()).await?;
        let next_page_token = page.cut(&mut versions, |version| version.version);
        Ok(Response::new(ListCirculationRulesResponse {
            circulation_rules: versions.into_iter().map(to_rules).collect(),
            next_page_token,
        }))
    }

    async fn validate_circulation_rules(
        &self,
        request: Request<ValidateCirculationRulesRequest>,
    ) -> Result<Response<ValidateCirculationRulesResponse>, Status> {
        let text = rule_text("text", request.into_inner().text)?;
        let validation = validation::validate(&self.0, &text).await?;
        let errors = validation.errors.into_iter().map(|error| RuleTextError {
            line: number(error.line),
            column: number(error.column),
            expected: error.expected,
        });
        let warnings = validation.warnings.into_iter().map(|odd| RuleTextWarning {
            line: number(odd.line),
            column: number(odd.column),
            message: odd.message,
        });
        Ok(Response::new(ValidateCirculationRulesResponse {
            errors: errors.collect(),
            warnings: warnings.collect(),
        }))
    }

    async fn try_circulation_rules(
        &self,
        request: Request<TryCirculationRulesRequest>,
    ) -> Result<Response<TryCirculationRulesResponse>, Status> {
        let request = request.into_inner();
        let query = TryCirculationRulesRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let (size, token) = (request.page_size, &request.page_token);
        let mut page: Page<Cursor> = page(size, token, &query, PAGE, LARGEST_TRIAL)?;
        let filter = filter(request.filter)?;
        let source = source("rules", request.rules)?;
        let line = u32::try_from(request.line)
            .map_err(|_| Refusal::field("line", "LINE_NEGATIVE", "must not be negative"))?;
        let line = Some(line).filter(|line| *line > 0);
        let after = page.after.take();
        let trial = trial::try_out(&self.0, source, &filter, line, after, page.size).await?;
        let rows = trial.rows.into_iter().map(|row| TriedCombination {
            combination: Some(to_combination(row.occurrence)),
            applied_rule: Some(row.applied.into()),
            reason: row.reason,
        });
        Ok(Response::new(TryCirculationRulesResponse {
            combinations: rows.collect(),
            next_page_token: next_page_token(&page, trial.next),
            rules_version: trial.versions[0],
        }))
    }

    async fn compare_circulation_rules(
        &self,
        request: Request<CompareCirculationRulesRequest>,
    ) -> Result<Response<CompareCirculationRulesResponse>, Status> {
        let request = request.into_inner();
        let query = CompareCirculationRulesRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let (size, token) = (request.page_size, &request.page_token);
        let mut page: Page<Cursor> = page(size, token, &query, PAGE, LARGEST_TRIAL)?;
        let filter = filter(request.filter)?;
        wire::required("after", &request.after)?;
        let sources = [
            source("before", request.before)?,
            source("after", request.after)?,
        ];
        let after = page.after.take();
        let trial = trial::compare(&self.0, sources, &filter, after, page.size).await?;
        let rows = trial.rows.into_iter().map(|row| ComparedCombination {
            combination: Some(to_combination(row.occurrence)),
            before: Some(row.before.into()),
            after: Some(row.after.into()),
        });
        Ok(Response::new(CompareCirculationRulesResponse {
            combinations: rows.collect(),
            next_page_token: next_page_token(&page, trial.next),
            before_version: trial.versions[0],
            after_version: trial.versions[1],
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
                line: number(line),
                text,
                reason,
            });
        Ok(Response::new(ExplainCirculationRuleResponse {
            applied_rule: Some(explanation.applied.into()),
            matches: matches.collect(),
        }))
    }
}

fn number(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn rule_text(field: &str, text: String) -> Result<String, Refusal> {
    if text.len() > LONGEST_TEXT {
        return Err(Refusal::field(
            field,
            "TEXT_LENGTH",
            "must be at most 1 MiB",
        ));
    }
    if text.contains('\0') {
        return Err(Refusal::field(field, "TEXT_MALFORMED", "must not hold NUL"));
    }
    Ok(text)
}

fn source(field: &str, source: Option<CirculationRulesSource>) -> Result<Source, Refusal> {
    Ok(match source.and_then(|source| source.source) {
        None => Source::InForce,
        Some(WireSource::Version(version)) => Source::Version(version),
        Some(WireSource::Text(text)) => Source::Text(rule_text(&format!("{field}.text"), text)?),
    })
}

fn filter(filter: Option<CombinationFilter>) -> Result<Filter, Refusal> {
    let filter = filter.unwrap_or_default();
    let code = |field: &str, code: String| match code.as_str() {
        "" => Ok(code),
        _ => wire::code(&format!("filter.{field}"), &code).map(str::to_owned),
    };
    Ok(Filter {
        patron_group: code("patron_group", filter.patron_group)?,
        material_type: code("material_type", filter.material_type)?,
        loan_type: code("loan_type", filter.loan_type)?,
        location_id: wire::optional_id("filter.location_id", &filter.location_id)?,
    })
}

/// A page of combinations may end before it is full, so where the next one
/// begins is not always after its last row.
fn next_page_token(page: &Page<Cursor>, next: Option<Cursor>) -> String {
    match (next, usize::try_from(page.limit())) {
        (Some(next), Ok(limit)) => page.cut(&mut vec![(); limit], |()| next),
        _ => String::new(),
    }
}

fn to_combination(occurrence: Occurrence) -> RuleCombination {
    let path = occurrence.path;
    RuleCombination {
        patron_group: occurrence.patron_group,
        material_type: occurrence.material_type,
        loan_type: occurrence.loan_type,
        location_id: occurrence
            .location_id
            .map(|id| id.to_string())
            .unwrap_or_default(),
        location_code: path.location_code.unwrap_or_default(),
        library_code: path.library_code.unwrap_or_default(),
        campus_code: path.campus_code.unwrap_or_default(),
        institution_code: path.institution_code.unwrap_or_default(),
        items: occurrence.items,
        patrons: occurrence.patrons,
    }
}

fn to_rules(version: Version) -> CirculationRules {
    CirculationRules {
        id: version.id.to_string(),
        version: version.version,
        text: version.text,
        effective_at: Some(wire::to_timestamp(version.effective_at)),
        author: version.author,
        created_at: Some(wire::to_timestamp(version.created_at)),
        in_force: version.in_force,
    }
}
