//! `offset`, `limit` and `criteria`, and the page that comes of them.

use axum::http::{HeaderValue, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::form::is_guid;
use crate::http::{Refusal, ethos_answer};
use crate::settings::Filters;

/// Ethos: the default and the most.
const PAGE: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    offset: Option<usize>,
    limit: Option<usize>,
    criteria: Option<String>,
}

/// What a query asks for.
pub(super) struct Query {
    offset: usize,
    limit: usize,
    criteria: Criteria,
}

/// Ids that a resource must have, where given.
#[derive(Default)]
pub(super) struct Criteria {
    pub(super) student_id: Option<String>,
    academic_period_id: Option<String>,
    funding_destination_id: Option<String>,
    funding_source_id: Option<String>,
}

/// The ids of a resource that a query can ask for.
pub(super) struct References<'a> {
    pub(super) academic_period_id: &'a str,
    pub(super) funding_destination_id: &'a str,
    pub(super) funding_source_id: Option<&'a str>,
}

impl Query {
    pub(super) fn read(uri: &Uri, filters: Filters) -> Result<Self, Refusal> {
        let parameters = axum::extract::Query::<Parameters>::try_from_uri(uri)
            .map_err(|rejection| Refusal::bad_request(rejection.body_text()))?
            .0;
        let criteria = match &parameters.criteria {
            None => Criteria::default(),
            Some(text) => Criteria::read(text, filters)?,
        };
        let limit = parameters.limit.unwrap_or(PAGE).clamp(1, PAGE);
        Ok(Self {
            offset: parameters.offset.unwrap_or(0),
            limit,
            criteria,
        })
    }

    pub(super) fn student_id(&self) -> Option<&str> {
        self.criteria.student_id.as_deref()
    }

    /// The page of those among `resources` that fit, with the count of all that fit.
    pub(super) fn page<'a, T>(
        &self,
        resources: Vec<&'a T>,
        references: impl Fn(&'a T) -> References<'a>,
        document: impl Fn(&'a T) -> Value,
    ) -> Result<Response, Refusal> {
        let fitting = resources
            .into_iter()
            .filter(|resource| self.criteria.fits(&references(resource)))
            .collect::<Vec<_>>();
        let page = fitting.iter().skip(self.offset).take(self.limit);
        let mut answer =
            ethos_answer(&page.map(|resource| document(resource)).collect::<Vec<_>>())?;
        answer
            .headers_mut()
            .insert("x-total-count", HeaderValue::from(fitting.len()));
        Ok(answer)
    }
}

impl Criteria {
    fn read(text: &str, filters: Filters) -> Result<Self, Refusal> {
        let given: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            Refusal::bad_request(format!("criteria is not a JSON object: {error}"))
        })?;
        let mut criteria = Self::default();
        for (name, value) in &given {
            let place = match (name.as_str(), filters) {
                ("student", _) => &mut criteria.student_id,
                ("academicPeriod", Filters::All) => &mut criteria.academic_period_id,
                ("fundingDestination", Filters::All) => &mut criteria.funding_destination_id,
                ("fundingSource", Filters::All) => &mut criteria.funding_source_id,
                _ => {
                    return Err(Refusal::bad_request(format!(
                        "criteria {name} is not supported"
                    )));
                }
            };
            let id = value
                .get("id")
                .and_then(Value::as_str)
                .filter(|id| is_guid(id));
            let id = id
                .ok_or_else(|| Refusal::bad_request(format!("criteria {name}.id is not a GUID")))?;
            *place = Some(id.to_owned());
        }
        Ok(criteria)
    }

    /// The student is looked up beforehand.
    fn fits(&self, references: &References<'_>) -> bool {
        let is =
            |wanted: &Option<String>, id: Option<&str>| wanted.is_none() || wanted.as_deref() == id;
        is(
            &self.academic_period_id,
            Some(references.academic_period_id),
        ) && is(
            &self.funding_destination_id,
            Some(references.funding_destination_id),
        ) && is(&self.funding_source_id, references.funding_source_id)
    }
}
