//! RecordService.

mod load;
mod search;

use carrel_marc::Form;
use carrel_proto::catalog::v1::record_service_server::RecordService;
use carrel_proto::catalog::v1::{
    GetImportRequest, GetImportResponse, GetRecordRequest, GetRecordResponse, ImportRecordsRequest,
    ImportRecordsResponse, Record as WireRecord, RecordEncoding, RecordFormat,
    SearchRecordsRequest, SearchRecordsResponse,
};
use carrel_runtime::{Call, Page, page, wire};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::Catalog;
use crate::import;
use crate::record::{self, Format, Record};

/// Serves `RecordService`.
pub(crate) struct Records(pub(crate) Catalog);

fn format_to_wire(format: Format) -> RecordFormat {
    match format {
        Format::Book => RecordFormat::Book,
        Format::Serial => RecordFormat::Serial,
        Format::Score => RecordFormat::Score,
        Format::Map => RecordFormat::Map,
        Format::Video => RecordFormat::Video,
        Format::Audio => RecordFormat::Audio,
        Format::Graphic => RecordFormat::Graphic,
        Format::ComputerFile => RecordFormat::ComputerFile,
        Format::Object => RecordFormat::Object,
        Format::Other => RecordFormat::Other,
    }
}

fn to_wire(record: Record, raw: Vec<u8>) -> WireRecord {
    let encoding = match Form::from_name(&record.raw_form) {
        Some(Form::Iso2709) => RecordEncoding::Iso2709,
        Some(Form::MarcXml(_)) => RecordEncoding::Marcxml,
        None => RecordEncoding::Unspecified,
    };
    let format =
        Format::from_name(&record.format).map_or(RecordFormat::Unspecified, format_to_wire);
    let control_number = match record.control_number {
        Some(number) if !record.control_agency.is_empty() => {
            format!("({}){number}", record.control_agency)
        }
        number => number.unwrap_or_default(),
    };
    WireRecord {
        id: record.id.to_string(),
        control_number,
        title: record.title,
        contributors: record.contributors,
        identifiers: record.identifiers,
        subjects: record.subjects,
        language: record.language,
        publication_year: record.publication_year.unwrap_or_default().into(),
        format: format.into(),
        revision: record.revision,
        created_at: Some(wire::to_timestamp(record.created_at)),
        updated_at: Some(wire::to_timestamp(record.updated_at)),
        warnings: record.warnings,
        raw,
        raw_encoding: encoding.into(),
        item_count: record.item_count,
        available_count: record.available_count,
    }
}

#[tonic::async_trait]
impl RecordService for Records {
    async fn get_record(
        &self,
        request: Request<GetRecordRequest>,
    ) -> Result<Response<GetRecordResponse>, Status> {
        let request = request.into_inner();
        let id = wire::id("id", &request.id)?;
        let (record, raw) = record::get(&self.0, id, request.with_raw).await?;
        Ok(Response::new(GetRecordResponse {
            record: Some(to_wire(record, raw)),
        }))
    }

    async fn search_records(
        &self,
        request: Request<SearchRecordsRequest>,
    ) -> Result<Response<SearchRecordsResponse>, Status> {
        let request = request.into_inner();
        let query = SearchRecordsRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        // A rank travels as its bits, so that it comes back the same.
        let page: Page<(u32, Uuid)> =
            page(request.page_size, &request.page_token, &query, 20, 100)?;
        let after = page.after.map(|(rank, id)| (f32::from_bits(rank), id));
        let criteria = search::criteria(&request)?;
        let mut found = record::search(&self.0, &criteria, after, page.limit()).await?;
        let next_page_token = page.cut(&mut found, |found| (found.rank.to_bits(), found.id));
        let records = record::read_found(&self.0, &found).await?;
        Ok(Response::new(SearchRecordsResponse {
            records: records
                .into_iter()
                .map(|record| to_wire(record, Vec::new()))
                .collect(),
            next_page_token,
        }))
    }

    type ImportRecordsStream = ReceiverStream<Result<ImportRecordsResponse, Status>>;

    async fn import_records(
        &self,
        request: Request<Streaming<ImportRecordsRequest>>,
    ) -> Result<Response<Self::ImportRecordsStream>, Status> {
        let call = Call::of(&request)?;
        let mut incoming = request.into_inner();
        let (header, byte_count) = load::header(incoming.message().await?)?;
        let loading = import::begin(&self.0, call.trace_parent, &header).await?;
        let answers = load::feed(loading, incoming, byte_count, self.0.shutdown.clone());
        Ok(Response::new(answers))
    }

    async fn get_import(
        &self,
        request: Request<GetImportRequest>,
    ) -> Result<Response<GetImportResponse>, Status> {
        let id = wire::id("id", &request.into_inner().id)?;
        let import = import::get(&self.0, id).await?;
        Ok(Response::new(GetImportResponse {
            import: Some(load::to_wire(&import)),
        }))
    }
}
