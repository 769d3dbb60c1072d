//! What this service refuses: one variant a rule.

use carrel_database::{DatabaseFailure, RequestReused};
use carrel_runtime::Refusal;
use tonic::{Code, Status};

use crate::patron::Fault;

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such patron.
    #[error("there is no such patron")]
    PatronNotFound,
    /// There is no such block.
    #[error("there is no such block")]
    ManualBlockNotFound,
    /// A barcode belongs to one patron.
    #[error("this barcode belongs to another patron")]
    BarcodeTaken,
    /// A username belongs to one patron, whatever its case.
    #[error("this username belongs to another patron; case makes no difference")]
    UsernameTaken,
    /// A source's id belongs to one patron.
    #[error("the source's id belongs to another patron")]
    ExternalIdTaken,
    /// A patron is in a group that exists.
    #[error("there is no patron group with this code")]
    GroupUnknown,
    /// A code belongs to one group.
    #[error("another patron group has this code")]
    GroupCodeTaken,
    /// A block blocks something for some time.
    #[error("the block would block nothing: {0}")]
    BlocksNothing(&'static str),
    /// There is no such proxy.
    #[error("there is no such proxy")]
    ProxyNotFound,
    /// Nobody borrows for themselves as somebody else.
    #[error("a patron needs no proxy to borrow for themselves; name another patron")]
    ProxyOfSelf,
    /// A proxy holds for some time.
    #[error("its last day is over; name a later one")]
    ProxyExpired,
    /// One patron is another's proxy once.
    #[error("this patron may already borrow for the sponsor; end that first to change it")]
    ProxyAlreadyExists,
    /// A sponsor has so many proxies and no more.
    #[error("50 patrons may borrow for this sponsor already; end one of them first")]
    TooManyProxies,
    /// Nobody acts on their own account.
    #[error("nobody changes or blocks their own account; ask a colleague")]
    OwnAccount,
    /// Some choices are the patron's alone.
    #[error("only the patron chooses whether a reading history is kept")]
    NotOwnAccount,
    /// A change is made to what the caller saw.
    #[error("the patron was changed meanwhile; read it again")]
    EtagMismatch,
    /// A value has its form.
    #[error("{field}: {fault}")]
    Field {
        /// The field's path in the request.
        field: String,
        /// What is wrong.
        fault: Fault,
    },
    /// A request id stands for one request.
    #[error(transparent)]
    RequestReused(#[from] RequestReused),
    /// A roster has the columns that are needed, and no others.
    #[error("the roster's header line: {0}")]
    RosterColumns(String),
    /// A roster with social-security numbers is not taken.
    #[error(
        "the roster has a column for social-security numbers; leave it out, Carrel never takes them"
    )]
    RosterSocialSecurityNumbers,
    /// A load deactivates no more accounts than it said.
    #[error(
        "the load would deactivate {found} accounts and {allowed} are allowed; nothing of it was kept"
    )]
    TooManyDeactivations {
        /// How many it would deactivate.
        found: i64,
        /// How many are allowed.
        allowed: i64,
    },
    /// A row has an end.
    #[error("the row at line {line} is longer than any roster's row; is a quote left open there?")]
    RosterRowTooLong {
        /// Where the row begins.
        line: i64,
    },
    /// A roster has an end.
    #[error("the roster has more than {0} rows; send it in parts")]
    RosterTooLong(i64),
    /// A load is a header, then chunks.
    #[error("the load's messages: {0}")]
    RosterStream(&'static str),
    /// A load arrives whole.
    #[error("the roster did not arrive whole; nothing of it was kept. Send it again.")]
    RosterInterrupted,
    /// The database refused or can't be reached.
    #[error(transparent)]
    Database(sqlx::Error),
}

impl Error {
    /// A field that is wrong.
    pub(crate) fn field(field: impl Into<String>, fault: Fault) -> Self {
        Self::Field {
            field: field.into(),
            fault,
        }
    }

    fn refusal(self) -> Refusal {
        let text = self.to_string();
        match self {
            Self::PatronNotFound => Refusal::new(Code::NotFound, "PATRON_NOT_FOUND", text),
            Self::ManualBlockNotFound => {
                Refusal::new(Code::NotFound, "MANUAL_BLOCK_NOT_FOUND", text)
            }
            Self::BarcodeTaken => Refusal::new(Code::AlreadyExists, "PATRON_BARCODE_TAKEN", text),
            Self::UsernameTaken => Refusal::new(Code::AlreadyExists, "PATRON_USERNAME_TAKEN", text),
            Self::ExternalIdTaken => {
                Refusal::new(Code::AlreadyExists, "PATRON_EXTERNAL_ID_TAKEN", text)
            }
            Self::GroupUnknown => {
                Refusal::field("patron.patron_group", "PATRON_GROUP_UNKNOWN", text)
            }
            Self::GroupCodeTaken => {
                Refusal::new(Code::AlreadyExists, "PATRON_GROUP_CODE_TAKEN", text)
            }
            Self::BlocksNothing(_) => Refusal::field("manual_block", "BLOCK_BLOCKS_NOTHING", text),
            Self::ProxyNotFound => Refusal::new(Code::NotFound, "PROXY_NOT_FOUND", text),
            Self::ProxyOfSelf => Refusal::field("proxy.proxy_patron_id", "PROXY_OF_SELF", text),
            Self::ProxyExpired => Refusal::field("proxy.expiration_date", "PROXY_EXPIRED", text),
            Self::ProxyAlreadyExists => {
                Refusal::new(Code::AlreadyExists, "PROXY_ALREADY_EXISTS", text)
            }
            Self::TooManyProxies => {
                Refusal::new(Code::FailedPrecondition, "TOO_MANY_PROXIES", text)
            }
            Self::NotOwnAccount => Refusal::new(Code::PermissionDenied, "NOT_OWN_ACCOUNT", text),
            Self::OwnAccount => Refusal::new(Code::PermissionDenied, "OWN_ACCOUNT", text),
            Self::EtagMismatch => Refusal::new(Code::Aborted, "ETAG_MISMATCH", text),
            Self::Field { field, fault } => {
                Refusal::field(&field, fault.reason(), fault.to_string())
            }
            Self::RequestReused(_) => {
                Refusal::new(Code::FailedPrecondition, "REQUEST_ID_REUSED", text)
            }
            Self::RosterColumns(_) => Refusal::new(Code::InvalidArgument, "ROSTER_COLUMNS", text),
            Self::RosterSocialSecurityNumbers => Refusal::new(
                Code::InvalidArgument,
                Fault::SocialSecurityNumber.reason(),
                text,
            ),
            Self::TooManyDeactivations { found, allowed } => Refusal::new(
                Code::FailedPrecondition,
                "ROSTER_TOO_MANY_DEACTIVATIONS",
                text,
            )
            .with_metadata("found", found.to_string())
            .with_metadata("allowed", allowed.to_string()),
            Self::RosterRowTooLong { line } => {
                Refusal::new(Code::InvalidArgument, "ROSTER_ROW_TOO_LONG", text)
                    .with_metadata("line", line.to_string())
            }
            Self::RosterTooLong(_) => Refusal::new(Code::InvalidArgument, "ROSTER_TOO_LONG", text),
            Self::RosterStream(_) => {
                Refusal::new(Code::InvalidArgument, "ROSTER_STREAM_MALFORMED", text)
            }
            Self::RosterInterrupted => Refusal::new(Code::Aborted, "ROSTER_INTERRUPTED", text),
            Self::Database(error) => Refusal::database(&error),
        }
    }
}

impl From<sqlx::Error> for Error {
    /// A constraint is a rule: its name says which.
    fn from(error: sqlx::Error) -> Self {
        let constraint = error
            .as_database_error()
            .and_then(|error| error.constraint());
        match constraint {
            Some("patron_barcode_key" | "patron_barcode_hmac_key") => Self::BarcodeTaken,
            Some("patron_username_key") => Self::UsernameTaken,
            Some("patron_external_id_key") => Self::ExternalIdTaken,
            Some("patron_group_exists") => Self::GroupUnknown,
            Some("patron_group_code_key") => Self::GroupCodeTaken,
            Some("manual_block_patron_exists" | "proxy_sponsor_exists" | "proxy_patron_exists") => {
                Self::PatronNotFound
            }
            Some("proxy_open_key") => Self::ProxyAlreadyExists,
            _ => Self::Database(error),
        }
    }
}

impl DatabaseFailure for Error {
    fn database(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.refusal().into()
    }
}
