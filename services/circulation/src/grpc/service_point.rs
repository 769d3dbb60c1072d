//! `carrel.circulation.v1.ServicePointService`.

use carrel_proto::circulation::v1::service_point_service_server::ServicePointService;
use carrel_proto::circulation::v1::{
    CloseServicePointsRequest, CloseServicePointsResponse, ClosedSpan, Closing as WireClosing,
    ClosingProgress, CreateServicePointRequest, CreateServicePointResponse, DayOfWeek, DueDateMove,
    GetClosingRequest, GetClosingResponse, GetOpeningHoursRequest, GetOpeningHoursResponse,
    GetServicePointRequest, GetServicePointResponse, HoursException as WireException,
    ListServicePointsRequest, ListServicePointsResponse, PreviewClosingRequest,
    PreviewClosingResponse, ServicePoint as WirePoint, SetOpeningHoursRequest,
    SetOpeningHoursResponse, SetPickupRequest, SetPickupResponse, WeeklyHours as WireWeekly,
};
use carrel_proto::r#type::v1::TimeOfDay;
use carrel_runtime::wire::{self, required};
use carrel_runtime::{Call, Refusal, page};
use jiff::civil::Weekday;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{LARGEST_PAGE, PAGE, known, optional_period, to_period, unspecified};
use crate::Circulation;
use crate::error::Error;
use crate::service_point::calendar::{Closed, Hours, HoursException, OpeningHours, WeeklyHours};
use crate::service_point::closing::{self, Affected, Closing, MadeClosing, Progress, Which};
use crate::service_point::{self, ServicePoint};

/// Serves service points and their hours.
#[derive(Debug, Clone)]
pub struct ServicePointRpcs(pub Circulation);

#[tonic::async_trait]
impl ServicePointService for ServicePointRpcs {
    async fn create_service_point(
        &self,
        request: Request<CreateServicePointRequest>,
    ) -> Result<Response<CreateServicePointResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let point = point(required("service_point", &request.service_point)?)?;
        let point = service_point::create(&self.0, &key, point).await?;
        Ok(Response::new(CreateServicePointResponse {
            service_point: Some(to_point(point)),
        }))
    }

    async fn set_pickup(
        &self,
        request: Request<SetPickupRequest>,
    ) -> Result<Response<SetPickupResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let id = wire::id("service_point_id", &request.service_point_id)?;
        let period = optional_period("hold_shelf_period", request.hold_shelf_period.as_ref())?;
        let pickup = request.pickup_location;
        let point = service_point::set_pickup(&self.0, &key, id, pickup, period).await?;
        Ok(Response::new(SetPickupResponse {
            service_point: Some(to_point(point)),
        }))
    }

    async fn get_service_point(
        &self,
        request: Request<GetServicePointRequest>,
    ) -> Result<Response<GetServicePointResponse>, Status> {
        let id = wire::id("id", &request.get_ref().id)?;
        let point = service_point::get(&self.0, id).await?;
        Ok(Response::new(GetServicePointResponse {
            service_point: Some(to_point(point)),
        }))
    }

    async fn list_service_points(
        &self,
        request: Request<ListServicePointsRequest>,
    ) -> Result<Response<ListServicePointsResponse>, Status> {
        let request = request.into_inner();
        let query = ListServicePointsRequest::default();
        let page = page::<String>(
            request.page_size,
            &request.page_token,
            &query,
            PAGE,
            LARGEST_PAGE,
        )?;
        let mut points = service_point::list(&self.0, page.after.as_deref(), page.limit()).await?;
        let next_page_token = page.cut(&mut points, |point| point.code.clone());
        Ok(Response::new(ListServicePointsResponse {
            service_points: points.into_iter().map(to_point).collect(),
            next_page_token,
        }))
    }

    async fn set_opening_hours(
        &self,
        request: Request<SetOpeningHoursRequest>,
    ) -> Result<Response<SetOpeningHoursResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let id = wire::id("service_point_id", &request.service_point_id)?;
        let hours = opening_hours(&request)?;
        let hours = service_point::set_opening_hours(&self.0, &key, id, &hours).await?;
        let (weekly_hours, exceptions) = to_hours(&hours);
        Ok(Response::new(SetOpeningHoursResponse {
            weekly_hours,
            exceptions,
        }))
    }

    async fn get_opening_hours(
        &self,
        request: Request<GetOpeningHoursRequest>,
    ) -> Result<Response<GetOpeningHoursResponse>, Status> {
        let id = wire::id("service_point_id", &request.get_ref().service_point_id)?;
        let hours = service_point::opening_hours(&self.0, id).await?;
        let (weekly_hours, exceptions) = to_hours(&hours);
        Ok(Response::new(GetOpeningHoursResponse {
            weekly_hours,
            exceptions,
            closings: hours.closings().iter().map(to_closed_span).collect(),
        }))
    }

    async fn preview_closing(
        &self,
        request: Request<PreviewClosingRequest>,
    ) -> Result<Response<PreviewClosingResponse>, Status> {
        let request = request.into_inner();
        let closing = closing_of(required("closing", &request.closing)?)?;
        let query = PreviewClosingRequest {
            closing: request.closing.clone(),
            ..Default::default()
        };
        let page = page::<Uuid>(
            request.page_size,
            &request.page_token,
            &query,
            PAGE,
            LARGEST_PAGE,
        )?;
        let preview = closing::preview(&self.0, &closing).await?;
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let moved = preview.affected.iter().filter_map(to_move);
        let moved_count = count(moved.clone().count());
        let (limit, after) = (page.limit(), page.after);
        let mut moves: Vec<(Uuid, DueDateMove)> = moved
            .filter(|(loan_id, _)| after.is_none_or(|after| *loan_id > after))
            .take(usize::try_from(limit).unwrap_or(0))
            .collect();
        let next_page_token = page.cut(&mut moves, |(loan_id, _)| *loan_id);
        let affected_count = count(preview.affected.len());
        Ok(Response::new(PreviewClosingResponse {
            affected_count,
            moved_count,
            kept_count: affected_count - moved_count,
            moves: moves.into_iter().map(|(_, one)| one).collect(),
            next_page_token,
            fingerprint: preview.fingerprint,
        }))
    }

    async fn close_service_points(
        &self,
        request: Request<CloseServicePointsRequest>,
    ) -> Result<Response<CloseServicePointsResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let closing = closing_of(required("closing", &request.closing)?)?;
        let made = closing::close(&self.0, &key, &closing, &request.fingerprint).await?;
        Ok(Response::new(CloseServicePointsResponse {
            progress: Some(to_progress(made.progress)),
            closing: Some(to_closing(made)),
        }))
    }

    async fn get_closing(
        &self,
        request: Request<GetClosingRequest>,
    ) -> Result<Response<GetClosingResponse>, Status> {
        let id = wire::id("id", &request.get_ref().id)?;
        let made = closing::get(&self.0, id).await?;
        Ok(Response::new(GetClosingResponse {
            progress: Some(to_progress(made.progress)),
            closing: Some(to_closing(made)),
        }))
    }
}

fn point(point: &WirePoint) -> Result<ServicePoint, Refusal> {
    let code = |field: &str, value| wire::code(field, value).map(str::to_owned);
    Ok(ServicePoint {
        id: Uuid::nil(),
        code: code("service_point.code", &point.code)?,
        name: wire::text("service_point.name", &point.name, 1, 200)?.to_owned(),
        library_code: code("service_point.library_code", &point.library_code)?,
        institution_code: code("service_point.institution_code", &point.institution_code)?,
        time_zone: point.time_zone.clone(),
        pickup_location: point.pickup_location,
        hold_shelf_period: optional_period(
            "service_point.hold_shelf_period",
            point.hold_shelf_period.as_ref(),
        )?,
    })
}

fn to_point(point: ServicePoint) -> WirePoint {
    WirePoint {
        id: point.id.to_string(),
        code: point.code,
        name: point.name,
        library_code: point.library_code,
        institution_code: point.institution_code,
        time_zone: point.time_zone,
        pickup_location: point.pickup_location,
        hold_shelf_period: point.hold_shelf_period.map(to_period),
    }
}

fn closing_of(given: &WireClosing) -> Result<Closing, Error> {
    let points = &given.service_point_ids;
    let field = "service_point_ids";
    if points.is_empty() == given.library_code.is_empty() {
        let needed = "or a library is needed, and not both";
        return Err(Error::ClosingMalformed(field, needed));
    }
    if points.len() > 100 {
        return Err(Error::ClosingMalformed(field, "must be at most 100"));
    }
    let which = if points.is_empty() {
        let code = wire::code("closing.library_code", &given.library_code)?;
        Which::Library(code.to_owned())
    } else {
        let point = |(index, id): (usize, &String)| {
            wire::id(&format!("closing.service_point_ids[{index}]"), id)
        };
        let mut ids: Vec<Uuid> = points
            .iter()
            .enumerate()
            .map(point)
            .collect::<Result<_, _>>()?;
        ids.sort_unstable();
        ids.dedup();
        Which::Points(ids)
    };
    let (from, last) = ("closing.closed_from", "closing.last_date");
    Ok(Closing {
        which,
        from: wire::timestamp(from, required(from, &given.closed_from)?)?,
        last_date: wire::date(last, required(last, &given.last_date)?)?,
        reason: wire::text("closing.reason", &given.reason, 1, 200)?.to_owned(),
    })
}

fn to_closing(made: MadeClosing) -> WireClosing {
    let (points, library_code) = match made.closing.which {
        Which::Points(points) => (points, String::new()),
        Which::Library(code) => (Vec::new(), code),
    };
    WireClosing {
        id: made.id.to_string(),
        service_point_ids: points.iter().map(ToString::to_string).collect(),
        library_code,
        closed_from: Some(wire::to_timestamp(made.closing.from)),
        last_date: Some(wire::to_date(made.closing.last_date)),
        reason: made.closing.reason,
    }
}

fn to_progress(progress: Progress) -> ClosingProgress {
    ClosingProgress {
        total_count: progress.total_count,
        moved_count: progress.moved_count,
        passed_over_count: progress.passed_over_count,
    }
}

fn to_move(loan: &Affected) -> Option<(Uuid, DueDateMove)> {
    let one = DueDateMove {
        loan_id: loan.loan_id.to_string(),
        due_at: Some(wire::to_timestamp(loan.due_at)),
        new_due_at: Some(wire::to_timestamp(loan.new_due_at?)),
    };
    Some((loan.loan_id, one))
}

fn to_closed_span(closed: &Closed) -> ClosedSpan {
    ClosedSpan {
        closing_id: closed.closing_id.to_string(),
        closed_from: Some(wire::to_timestamp(closed.from)),
        closed_until: Some(wire::to_timestamp(closed.until)),
        reason: closed.reason.clone(),
    }
}

fn opening_hours(request: &SetOpeningHoursRequest) -> Result<OpeningHours, Error> {
    if request.weekly_hours.len() > 28 {
        return Err(malformed("weekly_hours", "must be at most 28").into());
    }
    if request.exceptions.len() > 500 {
        return Err(malformed("exceptions", "must be at most 500").into());
    }
    let weekly: Vec<WeeklyHours> = (request.weekly_hours.iter().enumerate())
        .map(|(index, hours)| weekly(&format!("weekly_hours[{index}]"), hours))
        .collect::<Result<_, _>>()?;
    let exceptions: Vec<HoursException> = (request.exceptions.iter().enumerate())
        .map(|(index, given)| exception(&format!("exceptions[{index}]"), given))
        .collect::<Result<_, _>>()?;
    OpeningHours::new(weekly, exceptions).map_err(Error::Hours)
}

fn malformed(field: &str, expected: &str) -> Refusal {
    Refusal::field(field, "HOURS_MALFORMED", expected)
}

fn weekly(field: &str, hours: &WireWeekly) -> Result<WeeklyHours, Refusal> {
    let day = match known(&format!("{field}.day"), hours.day)? {
        DayOfWeek::Monday => Weekday::Monday,
        DayOfWeek::Tuesday => Weekday::Tuesday,
        DayOfWeek::Wednesday => Weekday::Wednesday,
        DayOfWeek::Thursday => Weekday::Thursday,
        DayOfWeek::Friday => Weekday::Friday,
        DayOfWeek::Saturday => Weekday::Saturday,
        DayOfWeek::Sunday => Weekday::Sunday,
        DayOfWeek::Unspecified => return Err(unspecified(field)),
    };
    let hours = Hours {
        opens: minutes(&format!("{field}.opens"), hours.opens.as_ref())?,
        closes: minutes(&format!("{field}.closes"), hours.closes.as_ref())?,
    };
    Ok(WeeklyHours { day, hours })
}

fn exception(field: &str, given: &WireException) -> Result<HoursException, Refusal> {
    let (first, last) = (format!("{field}.first_date"), format!("{field}.last_date"));
    let hours = match (&given.opens, &given.closes) {
        (None, None) => None,
        (opens, closes) => Some(Hours {
            opens: minutes(&format!("{field}.opens"), opens.as_ref())?,
            closes: minutes(&format!("{field}.closes"), closes.as_ref())?,
        }),
    };
    Ok(HoursException {
        first_date: wire::date(&first, required(&first, &given.first_date)?)?,
        last_date: wire::date(&last, required(&last, &given.last_date)?)?,
        reason: wire::text(&format!("{field}.reason"), &given.reason, 0, 200)?.to_owned(),
        hours,
    })
}

fn minutes(field: &str, time: Option<&TimeOfDay>) -> Result<u16, Refusal> {
    let time = time.ok_or_else(|| malformed(field, "is needed"))?;
    match (u16::try_from(time.hours), u16::try_from(time.minutes)) {
        (Ok(hours @ 0..=23), Ok(minutes @ 0..=59)) => Ok(hours * 60 + minutes),
        (Ok(24), Ok(0)) => Ok(24 * 60),
        _ => Err(malformed(field, "must be a time from 00:00 to 24:00")),
    }
}

fn to_time(minutes: u16) -> TimeOfDay {
    TimeOfDay {
        hours: i32::from(minutes / 60),
        minutes: i32::from(minutes % 60),
    }
}

fn to_hours(hours: &OpeningHours) -> (Vec<WireWeekly>, Vec<WireException>) {
    let weekly = hours.weekly().iter().map(|weekly| WireWeekly {
        // The contract's days are numbered as ISO 8601 does.
        day: i32::from(weekly.day.to_monday_one_offset()),
        opens: Some(to_time(weekly.hours.opens)),
        closes: Some(to_time(weekly.hours.closes)),
    });
    let exceptions = hours.exceptions().iter().map(|exception| WireException {
        first_date: Some(wire::to_date(exception.first_date)),
        last_date: Some(wire::to_date(exception.last_date)),
        reason: exception.reason.clone(),
        opens: exception.hours.map(|hours| to_time(hours.opens)),
        closes: exception.hours.map(|hours| to_time(hours.closes)),
    });
    (weekly.collect(), exceptions.collect())
}
