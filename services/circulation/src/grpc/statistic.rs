//! `carrel.circulation.v1.StatisticService`.

use carrel_proto::circulation::v1::statistic_service_server::StatisticService;
use carrel_proto::circulation::v1::{
    CirculationCount, CirculationDimension, CirculationKind, CountCirculationRequest,
    CountCirculationResponse, LoanCategory,
};
use carrel_runtime::wire::{self, required};
use carrel_runtime::{Refusal, page};
use tonic::{Request, Response, Status};

use super::{LARGEST_PAGE, PAGE, known};
use crate::Circulation;
use crate::statistic::{self, Count, Dimensions};

/// Serves statistics.
#[derive(Debug, Clone)]
pub struct StatisticRpcs(pub Circulation);

#[tonic::async_trait]
impl StatisticService for StatisticRpcs {
    async fn count_circulation(
        &self,
        request: Request<CountCirculationRequest>,
    ) -> Result<Response<CountCirculationResponse>, Status> {
        let request = request.into_inner();
        let query = CountCirculationRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page = page::<String>(
            request.page_size,
            &request.page_token,
            &query,
            PAGE,
            LARGEST_PAGE,
        )?;
        let from = wire::date("from", required("from", &request.from)?)?;
        let to = wire::date("to", required("to", &request.to)?)?;
        let by = dimensions(&request.group_by)?;
        let after = page.after.as_deref();
        let mut counts = statistic::count(&self.0, (from, to), by, after, page.limit()).await?;
        let next_page_token = page.cut(&mut counts, |count| count.key.clone());
        Ok(Response::new(CountCirculationResponse {
            counts: counts.into_iter().map(to_count).collect(),
            next_page_token,
        }))
    }
}

fn dimensions(group_by: &[i32]) -> Result<Dimensions, Refusal> {
    let mut by = Dimensions::default();
    for (place, dimension) in group_by.iter().enumerate() {
        let field = format!("group_by[{place}]");
        let wanted = match known(&field, *dimension)? {
            CirculationDimension::Institution => &mut by.institution,
            CirculationDimension::Library => &mut by.library,
            CirculationDimension::Location => &mut by.location,
            CirculationDimension::PatronGroup => &mut by.patron_group,
            CirculationDimension::MaterialType => &mut by.material_type,
            CirculationDimension::CallNumberClass => &mut by.call_number_class,
            CirculationDimension::Category => &mut by.category,
            CirculationDimension::Kind => &mut by.kind,
            CirculationDimension::Hour => &mut by.hour,
            CirculationDimension::Month => &mut by.month,
            CirculationDimension::Unspecified => return Err(super::unspecified(&field)),
        };
        if std::mem::replace(wanted, true) {
            return Err(Refusal::field(
                &field,
                "VALUE_TWICE",
                "must not be named twice",
            ));
        }
    }
    Ok(by)
}

fn to_count(count: Count) -> CirculationCount {
    let kind = CirculationKind::try_from(count.kind.unwrap_or_default());
    let category = LoanCategory::try_from(count.category.unwrap_or_default());
    CirculationCount {
        count: count.count,
        institution_code: count.institution_code,
        library_code: count.library_code,
        location_code: count.location_code,
        patron_group: count.patron_group,
        material_type: count.material_type,
        call_number_class: count.call_number_class,
        category: category.unwrap_or_default().into(),
        kind: kind.unwrap_or_default().into(),
        hour: count.hour,
        month: count.month.map(wire::to_date),
    }
}
