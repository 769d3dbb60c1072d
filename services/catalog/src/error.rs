//! The rules of the catalog, each as the error of breaking it.

use carrel_database::{DatabaseFailure, RequestReused};
use carrel_runtime::Refusal;
use tonic::{Code, Status};

use crate::item::ItemStatus;

/// A rule that was broken, or a database that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    RequestReused(#[from] RequestReused),
    #[error("there is no such place")]
    LocationUnitNotFound,
    #[error("there is already a place with this code on this level")]
    LocationUnitCodeTaken,
    #[error(
        "a campus belongs to an institution, a library to a campus, a location to a library, an institution to nothing"
    )]
    LocationUnitParentKind,
    #[error("there is no such location; items stand in a location of a library")]
    LocationNotFound,
    #[error("there is no such record")]
    RecordNotFound,
    #[error("there is no such item")]
    ItemNotFound,
    #[error("another item has this barcode")]
    ItemBarcodeTaken,
    #[error("an item that is {} can't become {}", .from.name(), .to.name())]
    ItemStatusChange { from: ItemStatus, to: ItemStatus },
    #[error("it was changed meanwhile; read it again")]
    EtagMismatch,
    #[error("name words to look for, or a filter")]
    SearchEmpty,
    #[error("there is no such import")]
    ImportNotFound,
    #[error("another stream feeds this import; wait until it ends")]
    ImportInProgress,
    #[error("this import is finished; begin a new one with a new id")]
    ImportFinished,
    #[error("the bytes from {due} on are due, not those from {sent} on")]
    ImportOffsetMismatch { due: i64, sent: i64 },
    #[error("the file has {stated} bytes by the header, but {sent} were sent")]
    ImportSizeMismatch { stated: i64, sent: i64 },
    #[error("this import was begun with another source, encoding or load profile")]
    ImportHeaderChanged,
    #[error("the file is compressed; decompress it first")]
    FormatUnknown,
    #[error("there is no such quarantined record")]
    QuarantinedRecordNotFound,
    #[error("the service is stopping; go on with the same import id in a moment")]
    Stopping,
    #[error("reading the file failed")]
    ReaderFailed(#[from] tokio::task::JoinError),
    #[error("the catalog's own data is unsound: {0}")]
    Unsound(&'static str),
}

impl DatabaseFailure for Error {
    fn database(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl Error {
    /// What the caller is told.
    pub(crate) fn refusal(self) -> Refusal {
        let message = self.to_string();
        let refuse = |code, reason| Refusal::new(code, reason, message.as_str());
        match self {
            Self::Database(error) => Refusal::database(&error),
            Self::ReaderFailed(_) | Self::Unsound(_) => Refusal::internal(&self),
            Self::RequestReused(_) => refuse(Code::FailedPrecondition, "REQUEST_ID_REUSED"),
            Self::LocationUnitNotFound => refuse(Code::NotFound, "LOCATION_UNIT_NOT_FOUND"),
            Self::LocationUnitCodeTaken => refuse(Code::AlreadyExists, "LOCATION_UNIT_CODE_TAKEN"),
            Self::LocationUnitParentKind => Refusal::field(
                "location_unit.parent_id",
                "LOCATION_UNIT_PARENT_KIND",
                message.as_str(),
            ),
            Self::LocationNotFound => refuse(Code::NotFound, "LOCATION_NOT_FOUND"),
            Self::RecordNotFound => refuse(Code::NotFound, "RECORD_NOT_FOUND"),
            Self::ItemNotFound => refuse(Code::NotFound, "ITEM_NOT_FOUND"),
            Self::ItemBarcodeTaken => refuse(Code::AlreadyExists, "ITEM_BARCODE_TAKEN"),
            Self::ItemStatusChange { .. } => refuse(Code::FailedPrecondition, "ITEM_STATUS_CHANGE"),
            Self::EtagMismatch => refuse(Code::Aborted, "ETAG_MISMATCH"),
            Self::SearchEmpty => refuse(Code::InvalidArgument, "SEARCH_EMPTY"),
            Self::ImportNotFound => refuse(Code::NotFound, "IMPORT_NOT_FOUND"),
            Self::ImportInProgress => refuse(Code::Aborted, "IMPORT_IN_PROGRESS"),
            Self::ImportFinished => refuse(Code::FailedPrecondition, "IMPORT_FINISHED"),
            Self::ImportOffsetMismatch { due, .. } => {
                refuse(Code::FailedPrecondition, "IMPORT_OFFSET_MISMATCH")
                    .with_metadata("committed_offset", due.to_string())
            }
            Self::ImportSizeMismatch { .. } => {
                refuse(Code::FailedPrecondition, "IMPORT_SIZE_MISMATCH")
            }
            Self::ImportHeaderChanged => refuse(Code::FailedPrecondition, "IMPORT_HEADER_CHANGED"),
            Self::FormatUnknown => refuse(Code::InvalidArgument, "FORMAT_UNKNOWN"),
            Self::QuarantinedRecordNotFound => {
                refuse(Code::NotFound, "QUARANTINED_RECORD_NOT_FOUND")
            }
            Self::Stopping => refuse(Code::Unavailable, "SERVICE_STOPPING"),
        }
    }

    /// The rule behind a constraint of the database that was violated.
    pub(crate) fn of_constraint(error: sqlx::Error) -> Self {
        let constraint = error
            .as_database_error()
            .and_then(|error| error.constraint());
        match constraint {
            Some("location_unit_code_key") => Self::LocationUnitCodeTaken,
            Some("location_unit_parent_is_level_above" | "location_unit_institution_is_top") => {
                Self::LocationUnitParentKind
            }
            Some("item_barcode_key") => Self::ItemBarcodeTaken,
            Some("item_record_exists") => Self::RecordNotFound,
            Some("item_location_exists") => Self::LocationNotFound,
            _ => Self::Database(error),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.refusal().into()
    }
}
