//! QuarantineService.

use carrel_proto::catalog::v1::quarantine_service_server::QuarantineService;
use carrel_proto::catalog::v1::{
    GetQuarantinedRecordRequest, GetQuarantinedRecordResponse, ListQuarantinedRecordsRequest,
    ListQuarantinedRecordsResponse, QuarantinedRecord as WireQuarantined,
};
use carrel_runtime::{Page, page, wire};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{DEFAULT_PAGE, LARGEST_PAGE};
use crate::Catalog;
use crate::error::Error;
use crate::quarantine::{self, QuarantinedRecord};

/// Serves `QuarantineService`.
pub(crate) struct Quarantine(pub(crate) Catalog);

fn to_wire(piece: QuarantinedRecord) -> WireQuarantined {
    WireQuarantined {
        id: piece.id.to_string(),
        import_id: piece.import_id.to_string(),
        offset: piece.file_offset,
        byte_count: piece.byte_count,
        reason: piece.reason,
        description: piece.description,
        created_at: Some(wire::to_timestamp(piece.created_at)),
        raw: piece.raw,
    }
}

#[tonic::async_trait]
impl QuarantineService for Quarantine {
    async fn list_quarantined_records(
        &self,
        request: Request<ListQuarantinedRecordsRequest>,
    ) -> Result<Response<ListQuarantinedRecordsResponse>, Status> {
        let request = request.into_inner();
        let query = ListQuarantinedRecordsRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page: Page<Uuid> = page(
            request.page_size,
            &request.page_token,
            &query,
            DEFAULT_PAGE,
            LARGEST_PAGE,
        )?;
        let import_id = wire::optional_id("import_id", &request.import_id)?;
        let pool = self.0.database.pool();
        let mut pieces = quarantine::store::list(pool, import_id, page.after, page.limit())
            .await
            .map_err(Error::from)?;
        let next_page_token = page.cut(&mut pieces, |piece| piece.id);
        Ok(Response::new(ListQuarantinedRecordsResponse {
            quarantined_records: pieces.into_iter().map(to_wire).collect(),
            next_page_token,
        }))
    }

    async fn get_quarantined_record(
        &self,
        request: Request<GetQuarantinedRecordRequest>,
    ) -> Result<Response<GetQuarantinedRecordResponse>, Status> {
        let id = wire::id("id", &request.into_inner().id)?;
        let piece = quarantine::get(&self.0, id).await?;
        Ok(Response::new(GetQuarantinedRecordResponse {
            quarantined_record: Some(to_wire(piece)),
        }))
    }
}
