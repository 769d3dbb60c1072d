//! BudgetCodeService: the structure of codes, and checks against it.

use carrel_proto::budgeting::v1 as pb;
use carrel_proto::budgeting::v1::budget_code_service_server::BudgetCodeService;
use carrel_runtime::{Refusal, wire};
use tonic::{Request, Response, Status};

use super::Budgeting;
use crate::budget_code::{self, Definition, Segment, Structure};
use crate::error::Error;

#[tonic::async_trait]
impl BudgetCodeService for Budgeting {
    async fn set_budget_code_structure(
        &self,
        request: Request<pb::SetBudgetCodeStructureRequest>,
    ) -> Result<Response<pb::SetBudgetCodeStructureResponse>, Status> {
        let change = self.change(&request, &request.get_ref().request_id)?;
        let definition = definition(request.into_inner().structure)?;
        let new = Structure::new(definition).map_err(Error::StructureInvalid)?;
        let structure = budget_code::set(&self.database, &new, &change).await?;
        Ok(Response::new(pb::SetBudgetCodeStructureResponse {
            structure: Some(encode(&structure)),
        }))
    }

    async fn get_budget_code_structure(
        &self,
        _request: Request<pb::GetBudgetCodeStructureRequest>,
    ) -> Result<Response<pb::GetBudgetCodeStructureResponse>, Status> {
        let structure = self.structures.get(&self.database).await?;
        Ok(Response::new(pb::GetBudgetCodeStructureResponse {
            structure: Some(encode(&structure)),
        }))
    }

    async fn check_budget_code(
        &self,
        request: Request<pb::CheckBudgetCodeRequest>,
    ) -> Result<Response<pb::CheckBudgetCodeResponse>, Status> {
        let code = request.into_inner().budget_code;
        let fault = self.structures.find_fault(&self.database, &code).await?;
        Ok(Response::new(match fault {
            None => pb::CheckBudgetCodeResponse {
                valid: true,
                ..Default::default()
            },
            Some(fault) => pb::CheckBudgetCodeResponse {
                valid: false,
                reason: fault.reason().to_owned(),
                segment: fault.segment().to_owned(),
                description: fault.to_string(),
            },
        }))
    }
}

fn definition(structure: Option<pb::BudgetCodeStructure>) -> Result<Definition, Refusal> {
    wire::required("structure", &structure)?;
    let structure = structure.unwrap_or_default();
    let segments = structure.segments.into_iter().map(|segment| Segment {
        name: segment.name,
        // A negative length is as far out of range as none.
        length: usize::try_from(segment.length).unwrap_or(0),
        values: segment.values,
    });
    let combinations = structure.combinations.into_iter();
    Ok(Definition {
        separator: structure.separator,
        segments: segments.collect(),
        combinations: combinations.map(|combination| combination.values).collect(),
    })
}

fn encode(structure: &Structure) -> pb::BudgetCodeStructure {
    let definition = structure.definition();
    let segments = definition
        .segments
        .iter()
        .map(|segment| pb::BudgetCodeSegment {
            name: segment.name.clone(),
            length: i32::try_from(segment.length).expect("segments have at most 20 characters"),
            values: segment.values.clone(),
        });
    let combinations = definition.combinations.iter();
    pb::BudgetCodeStructure {
        separator: definition.separator.clone(),
        segments: segments.collect(),
        combinations: combinations
            .map(|values| pb::BudgetCodeCombination {
                values: values.clone(),
            })
            .collect(),
    }
}
