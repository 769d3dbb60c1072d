//! Reads what is searched for.

use carrel_proto::catalog::v1::{RecordFormat, SearchRecordsRequest};
use carrel_runtime::{Refusal, wire};

use crate::error::Error;
use crate::record::{Criteria, Format, identifier, web_query};

fn filter(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn format(value: i32) -> Result<Option<&'static str>, Refusal> {
    let format = match RecordFormat::try_from(value) {
        Ok(RecordFormat::Unspecified) => return Ok(None),
        Ok(RecordFormat::Book) => Format::Book,
        Ok(RecordFormat::Serial) => Format::Serial,
        Ok(RecordFormat::Score) => Format::Score,
        Ok(RecordFormat::Map) => Format::Map,
        Ok(RecordFormat::Video) => Format::Video,
        Ok(RecordFormat::Audio) => Format::Audio,
        Ok(RecordFormat::Graphic) => Format::Graphic,
        Ok(RecordFormat::ComputerFile) => Format::ComputerFile,
        Ok(RecordFormat::Object) => Format::Object,
        Ok(RecordFormat::Other) => Format::Other,
        Err(_) => {
            return Err(Refusal::field(
                "format",
                "RECORD_FORMAT_UNKNOWN",
                "is not a format of a record",
            ));
        }
    };
    Ok(Some(format.name()))
}

fn year(field: &str, value: i32) -> Result<Option<i16>, Refusal> {
    match i16::try_from(value) {
        Ok(0) => Ok(None),
        Ok(year @ 1..=9999) => Ok(Some(year)),
        _ => Err(Refusal::field(
            field,
            "YEAR_OUT_OF_RANGE",
            "must be 1 to 9999, or 0 for any",
        )),
    }
}

/// Reads what is searched for.
pub(super) fn criteria(request: &SearchRecordsRequest) -> Result<Criteria, Refusal> {
    if request.query.chars().count() > 500 {
        return Err(Refusal::field(
            "query",
            "TEXT_LENGTH",
            "must have at most 500 characters",
        ));
    }
    let mut criteria = Criteria {
        query: web_query(&request.query),
        language: filter(wire::text("language", &request.language, 0, 3)?),
        format: format(request.format)?,
        year_from: year("year_from", request.year_from)?,
        year_to: year("year_to", request.year_to)?,
        library_code: filter(&request.library_code),
        available_only: request.available_only,
        ..Criteria::default()
    };
    if let Some(code) = &criteria.library_code {
        wire::code("library_code", code)?;
    }
    if !request.identifier.is_empty() {
        let text = wire::text("identifier", &request.identifier, 1, 500)?;
        let wanted = identifier::wanted(text).ok_or_else(|| {
            Refusal::field(
                "identifier",
                "IDENTIFIER_MALFORMED",
                "can't be such an identifier",
            )
        })?;
        criteria.identifier = Some(wanted);
    }
    let has_filter = criteria.language.is_some()
        || criteria.format.is_some()
        || criteria.year_from.is_some()
        || criteria.year_to.is_some()
        || criteria.identifier.is_some()
        || criteria.library_code.is_some()
        || criteria.available_only;
    // Words that come to nothing would find everything.
    let only_marks = criteria.query.is_none() && !request.query.trim().is_empty();
    if only_marks || (criteria.query.is_none() && !has_filter) {
        return Err(Error::SearchEmpty.refusal());
    }
    Ok(criteria)
}
