//! `carrel.circulation.v1.LoanActionService`.

use carrel_proto::circulation::v1::loan_action_service_server::LoanActionService;
use carrel_proto::circulation::v1::{
    AddLoanCommentRequest, AddLoanCommentResponse, ChangeDueDateRequest, ChangeDueDateResponse,
    ChangeDueDatesRequest, ChangeDueDatesResponse, ClaimReturnedRequest, ClaimReturnedResponse,
    DeclareLostRequest, DeclareLostResponse, DueDateChange as WireDueDateChange, DueDateLeft,
    GetDueDateChangeRequest, GetDueDateChangeResponse, ListLoanActionsRequest,
    ListLoanActionsResponse, LoanActionRecord, LoanFilter, LoanSelection, MarkMissingRequest,
    MarkMissingResponse, PreviewDueDateChangeRequest, PreviewDueDateChangeResponse, loan_selection,
};
use carrel_runtime::{Call, Refusal, page, wire};
use jiff::Timestamp;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::loan::to_blocks;
use super::{LARGEST_PAGE, PAGE};
use crate::Circulation;
use crate::loan::{
    self, ActionEntry, ChangeDueDates, DueDateChange, Filter, Selection, StaffAction,
};

/// The default size of a page of loans.
const LOAN_PAGE: i32 = 50;
/// Loans that one selection may name.
const MOST_NAMED: usize = 1_000;
/// Characters of a comment.
const LONGEST_COMMENT: usize = 500;

/// Serves claims, losses, due dates and histories.
#[derive(Debug, Clone)]
pub struct LoanActionRpcs(pub Circulation);

#[tonic::async_trait]
impl LoanActionService for LoanActionRpcs {
    async fn claim_returned(
        &self,
        request: Request<ClaimReturnedRequest>,
    ) -> Result<Response<ClaimReturnedResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let asked = action(
            &request.loan_id,
            &request.service_point_id,
            &request.comment,
            0,
        )?;
        let loan = loan::claim_returned(&self.0, &call, &key, &asked).await?;
        Ok(Response::new(ClaimReturnedResponse {
            loan: Some(loan.into()),
        }))
    }

    async fn mark_missing(
        &self,
        request: Request<MarkMissingRequest>,
    ) -> Result<Response<MarkMissingResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let asked = action(
            &request.loan_id,
            &request.service_point_id,
            &request.comment,
            1,
        )?;
        let loan = loan::mark_missing(&self.0, &call, &key, &asked).await?;
        Ok(Response::new(MarkMissingResponse {
            loan: Some(loan.into()),
        }))
    }

    async fn declare_lost(
        &self,
        request: Request<DeclareLostRequest>,
    ) -> Result<Response<DeclareLostResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let asked = action(
            &request.loan_id,
            &request.service_point_id,
            &request.comment,
            0,
        )?;
        let lost = loan::declare_lost(&self.0, &call, &key, &asked).await?;
        Ok(Response::new(DeclareLostResponse {
            loan: Some(lost.loan.into()),
            lost_item_fee: lost.fees.lost_item_fee.map(Into::into),
            processing_fee: lost.fees.processing_fee.map(Into::into),
            overdue_fine: lost.overdue_fine.map(Into::into),
        }))
    }

    async fn change_due_date(
        &self,
        request: Request<ChangeDueDateRequest>,
    ) -> Result<Response<ChangeDueDateResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let asked = action(
            &request.loan_id,
            &request.service_point_id,
            &request.comment,
            1,
        )?;
        let due_at = due_at(&request.due_at)?;
        let loan = loan::change_due_date(&self.0, &call, &key, &asked, due_at).await?;
        Ok(Response::new(ChangeDueDateResponse {
            loan: Some(loan.into()),
        }))
    }

    async fn preview_due_date_change(
        &self,
        request: Request<PreviewDueDateChangeRequest>,
    ) -> Result<Response<PreviewDueDateChangeResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let query = PreviewDueDateChangeRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page = page::<Uuid>(
            request.page_size,
            &request.page_token,
            &query,
            LOAN_PAGE,
            LARGEST_PAGE,
        )?;
        let selection = selection(request.selection.as_ref())?;
        let point = wire::id("service_point_id", &request.service_point_id)?;
        let (after, limit) = (page.after, page.limit());
        let mut preview =
            loan::preview_due_date_change(&self.0, &call, &selection, point, after, limit).await?;
        let next_page_token = page.cut(&mut preview.loans, |loan| loan.id);
        Ok(Response::new(PreviewDueDateChangeResponse {
            count: preview.count,
            fingerprint: preview.fingerprint,
            loans: preview.loans.into_iter().map(Into::into).collect(),
            next_page_token,
        }))
    }

    async fn change_due_dates(
        &self,
        request: Request<ChangeDueDatesRequest>,
    ) -> Result<Response<ChangeDueDatesResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let selection = selection(request.selection.as_ref())?;
        if request.fingerprint.is_empty() && matches!(selection, Selection::Filter(_)) {
            let needed = "is needed with a filter: the one of its preview";
            return Err(Refusal::field("fingerprint", "FIELD_MISSING", needed).into());
        }
        let asked = ChangeDueDates {
            selection,
            service_point_id: wire::id("service_point_id", &request.service_point_id)?,
            due_at: due_at(&request.due_at)?,
            fingerprint: Some(request.fingerprint.clone()).filter(|text| !text.is_empty()),
            comment: wire::text("comment", &request.comment, 1, LONGEST_COMMENT)?.to_owned(),
        };
        let change = loan::change_due_dates(&self.0, &call, &key, &asked).await?;
        Ok(Response::new(ChangeDueDatesResponse {
            due_date_change: Some(to_change(change)),
        }))
    }

    async fn get_due_date_change(
        &self,
        request: Request<GetDueDateChangeRequest>,
    ) -> Result<Response<GetDueDateChangeResponse>, Status> {
        let id = wire::id("id", &request.get_ref().id)?;
        let change = loan::get_due_date_change(&self.0, id).await?;
        Ok(Response::new(GetDueDateChangeResponse {
            due_date_change: Some(to_change(change)),
        }))
    }

    async fn list_loan_actions(
        &self,
        request: Request<ListLoanActionsRequest>,
    ) -> Result<Response<ListLoanActionsResponse>, Status> {
        let request = request.into_inner();
        let query = ListLoanActionsRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page = page::<Uuid>(
            request.page_size,
            &request.page_token,
            &query,
            PAGE,
            LARGEST_PAGE,
        )?;
        let loan_id = wire::id("loan_id", &request.loan_id)?;
        let mut actions = loan::list_actions(&self.0, loan_id, page.after, page.limit()).await?;
        let next_page_token = page.cut(&mut actions, |entry| entry.id);
        Ok(Response::new(ListLoanActionsResponse {
            actions: actions.into_iter().map(to_record).collect(),
            next_page_token,
        }))
    }

    async fn add_loan_comment(
        &self,
        request: Request<AddLoanCommentRequest>,
    ) -> Result<Response<AddLoanCommentResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let asked = action(
            &request.loan_id,
            &request.service_point_id,
            &request.comment,
            1,
        )?;
        let entry = loan::add_comment(&self.0, &call, &key, &asked).await?;
        Ok(Response::new(AddLoanCommentResponse {
            action: Some(to_record(entry)),
        }))
    }
}

fn action(
    loan_id: &str,
    service_point_id: &str,
    comment: &str,
    shortest_comment: usize,
) -> Result<StaffAction, Refusal> {
    Ok(StaffAction {
        loan_id: wire::id("loan_id", loan_id)?,
        service_point_id: wire::id("service_point_id", service_point_id)?,
        comment: wire::text("comment", comment, shortest_comment, LONGEST_COMMENT)?.to_owned(),
    })
}

fn due_at(given: &Option<prost_types::Timestamp>) -> Result<Timestamp, Refusal> {
    wire::timestamp("due_at", wire::required("due_at", given)?)
}

fn selection(given: Option<&LoanSelection>) -> Result<Selection, Refusal> {
    match given.and_then(|given| given.loans.as_ref()) {
        None => Err(Refusal::field(
            "selection",
            "FIELD_MISSING",
            "is needed: loans that are named, or a filter",
        )),
        Some(loan_selection::Loans::Filter(given)) => Ok(Selection::Filter(filter(given)?)),
        Some(loan_selection::Loans::Named(named)) => {
            if named.ids.is_empty() || named.ids.len() > MOST_NAMED {
                let many = "must be 1 to 1,000";
                return Err(Refusal::field(
                    "selection.named.ids",
                    "TOO_MANY_VALUES",
                    many,
                ));
            }
            let ids = named.ids.iter().enumerate();
            let mut ids: Vec<Uuid> = ids
                .map(|(index, id)| wire::id(&format!("selection.named.ids[{index}]"), id))
                .collect::<Result<_, _>>()?;
            ids.sort_unstable();
            if ids.windows(2).any(|pair| pair[0] == pair[1]) {
                let once = "must name each loan once";
                return Err(Refusal::field(
                    "selection.named.ids",
                    "VALUE_REPEATED",
                    once,
                ));
            }
            Ok(Selection::Named(ids))
        }
    }
}

fn filter(given: &LoanFilter) -> Result<Filter, Refusal> {
    let code = |field: &str, value: &str| match value {
        "" => Ok(None),
        code => wire::code(field, code).map(|code| Some(code.to_owned())),
    };
    let instant = |field: &str, value: &Option<prost_types::Timestamp>| {
        let value = value.as_ref();
        value.map(|value| wire::timestamp(field, value)).transpose()
    };
    if *given == LoanFilter::default() {
        let needed = "needs at least one of its fields";
        return Err(Refusal::field("selection.filter", "FIELD_MISSING", needed));
    }
    Ok(Filter {
        check_out_service_point_id: wire::optional_id(
            "selection.filter.check_out_service_point_id",
            &given.check_out_service_point_id,
        )?,
        due_from: instant("selection.filter.due_from", &given.due_from)?,
        due_before: instant("selection.filter.due_before", &given.due_before)?,
        library_code: code("selection.filter.library_code", &given.library_code)?,
        location_code: code("selection.filter.location_code", &given.location_code)?,
    })
}

fn to_change(change: DueDateChange) -> WireDueDateChange {
    let left = change
        .left
        .into_iter()
        .map(|(loan_id, reason)| DueDateLeft {
            loan_id: loan_id.to_string(),
            reason,
        });
    WireDueDateChange {
        id: change.id.to_string(),
        moved_count: change.moved_count,
        left_count: change.left_count,
        waiting_count: change.waiting_count,
        left: left.collect(),
    }
}

fn to_record(entry: ActionEntry) -> LoanActionRecord {
    LoanActionRecord {
        id: entry.id.to_string(),
        action: entry.action.into(),
        actor: entry.actor,
        occurred_at: Some(wire::to_timestamp(entry.occurred_at)),
        recorded_at: Some(wire::to_timestamp(entry.recorded_at)),
        service_point_id: (entry.service_point_id).map_or_else(String::new, |id| id.to_string()),
        comment: entry.comment,
        overridden_blocks: to_blocks(entry.overridden),
        overdue_fine: entry.overdue_fine.map(Into::into),
        lost_item_fee: entry.fees.lost_item_fee.map(Into::into),
        processing_fee: entry.fees.processing_fee.map(Into::into),
    }
}
