//! Every rule of circulation that a call can break, and how it is told.

use carrel_database::{DatabaseFailure, RequestReused};
use carrel_money::MoneyError;
use carrel_proto::circulation::v1 as wire;
use carrel_runtime::Refusal;
use tonic::{Code, Status};

use crate::loan::block::Block;
use crate::policy::model::TermsFault;
use crate::rule::token::Malformed;
use crate::service_point::calendar::HoursFault;

/// Why circulation refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another service point has the code.
    #[error("another service point has this code; choose another one")]
    ServicePointCodeTaken,
    /// There is no such service point.
    #[error("there is no such service point")]
    ServicePointNotFound,
    /// The time zone is not an IANA name.
    #[error("is not an IANA time zone such as America/Los_Angeles")]
    TimeZoneUnknown,
    /// Opening hours that do not hold together.
    #[error("the opening hours do not hold together")]
    Hours(HoursFault),
    /// A policy's terms break a rule.
    #[error("the policy breaks a rule")]
    PolicyMalformed(TermsFault),
    /// The rule text has errors.
    #[error("the circulation rules have errors")]
    RulesMalformed(Vec<Malformed>),
    /// No rules were ever brought in.
    #[error("there are no circulation rules yet; bring them in with ReplaceCirculationRules")]
    RulesMissing,
    /// There is no such location, or the catalog has not told of it yet.
    #[error("there is no such location, or the catalog has not told of it yet")]
    LocationNotFound,
    /// No item has that barcode, as far as circulation knows.
    #[error("no item has this barcode")]
    ItemNotFound {
        /// Whether the catalog could be asked.
        owner_reached: bool,
    },
    /// No patron has that barcode, as far as circulation knows.
    #[error("no patron has this barcode")]
    PatronNotFound {
        /// Whether the patrons service could be asked.
        owner_reached: bool,
    },
    /// There is no such loan.
    #[error("there is no such loan")]
    LoanNotFound,
    /// The loan has ended.
    #[error("the loan has ended")]
    LoanClosed,
    /// A claim that was made before.
    #[error("the loan is claimed returned already")]
    AlreadyClaimedReturned,
    /// There is no claim to end.
    #[error("nobody claims to have returned it")]
    NotClaimedReturned,
    /// The item was lost before.
    #[error("the item is lost already")]
    AlreadyLost,
    /// A lost item has no due date.
    #[error("the item is lost; check it in first")]
    LoanLost,
    /// What is claimed returned has no due date.
    #[error("the loan is claimed returned; settle that first")]
    LoanClaimedReturned,
    /// A due date that has passed.
    #[error("must be in the future")]
    DueDateNotInFuture,
    /// The selection is not what the preview showed.
    #[error("the loans are not those of the preview any more; preview them again")]
    LoansChanged,
    /// More loans than one change may have.
    #[error("more than 100,000 loans are selected; select fewer")]
    TooManyLoans,
    /// There is no such change of due dates.
    #[error("there is no such change of due dates")]
    DueDateChangeNotFound,
    /// A check-out from before the item came back.
    #[error("is before the item last came back")]
    OccurredBeforeCheckIn,
    /// The item is out.
    #[error("the item is on loan; check it in first")]
    ItemAlreadyOnLoan,
    /// Reasons against a check-out.
    #[error("the check-out is blocked")]
    CheckOutBlocked(Vec<Block>),
    /// Reasons against a renewal.
    #[error("the renewal is blocked")]
    RenewalBlocked(Vec<Block>),
    /// Overriding needs its own permission.
    #[error("overriding a block needs the permission circulation.loans.override in this library")]
    OverrideDenied,
    /// An override says why.
    #[error("is needed: an override says why")]
    OverrideCommentMissing,
    /// Backdating needs its own permission.
    #[error("a time of its own needs the permission circulation.loans.backdate in this library")]
    BackdatingDenied,
    /// A transaction that has not happened yet.
    #[error("is in the future")]
    OccurredInFuture,
    /// A transaction from too long ago.
    #[error("is more than 30 days ago")]
    OccurredTooLongAgo,
    /// A return from before its loan.
    #[error("is before the item was lent")]
    OccurredBeforeCheckOut,
    /// Nobody acts on their own account.
    #[error("nobody acts on their own account; ask a colleague")]
    OwnAccount,
    /// The request id was used before.
    #[error(transparent)]
    RequestReused(#[from] RequestReused),
    /// The call itself was refused: a field, or the permission.
    #[error("the call was refused")]
    Call(Box<Refusal>),
    /// A rule of money.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// Kept data that this program can't read.
    #[error("kept data can't be read: {0}")]
    Unreadable(String),
    /// The database failed.
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let constraint = error
            .as_database_error()
            .and_then(|error| error.constraint());
        match constraint {
            Some("service_point_code_key") => Self::ServicePointCodeTaken,
            Some("loan_open_item_key") => Self::ItemAlreadyOnLoan,
            _ => Self::Database(error),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Call(Box::new(refusal))
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

impl Error {
    /// How it is told: a code, a stable reason, what to do.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        let text = self.to_string();
        let state = |reason| Refusal::new(Code::FailedPrecondition, reason, text.clone());
        let missing = |reason| Refusal::new(Code::NotFound, reason, text.clone());
        let denied = |reason| Refusal::new(Code::PermissionDenied, reason, text.clone());
        match self {
            Self::ServicePointCodeTaken => {
                Refusal::new(Code::AlreadyExists, "SERVICE_POINT_CODE_TAKEN", text)
            }
            Self::ServicePointNotFound => missing("SERVICE_POINT_NOT_FOUND"),
            Self::TimeZoneUnknown => {
                Refusal::field("service_point.time_zone", "TIME_ZONE_UNKNOWN", text)
            }
            Self::Hours(fault) => hours_refusal(&fault),
            Self::PolicyMalformed(TermsFault { field, expected }) => {
                Refusal::field(field, "POLICY_MALFORMED", expected)
            }
            Self::RulesMalformed(errors) => rules_refusal(&errors),
            Self::RulesMissing => state("CIRCULATION_RULES_MISSING"),
            Self::LocationNotFound => missing("LOCATION_NOT_FOUND"),
            Self::ItemNotFound { owner_reached } => {
                with_owner(missing("ITEM_NOT_FOUND"), "catalog", owner_reached)
            }
            Self::PatronNotFound { owner_reached } => {
                with_owner(missing("PATRON_NOT_FOUND"), "patrons", owner_reached)
            }
            Self::LoanNotFound => missing("LOAN_NOT_FOUND"),
            Self::LoanClosed => state("LOAN_CLOSED"),
            Self::AlreadyClaimedReturned => state("ALREADY_CLAIMED_RETURNED"),
            Self::NotClaimedReturned => state("NOT_CLAIMED_RETURNED"),
            Self::AlreadyLost => state("ALREADY_LOST"),
            Self::LoanLost => state("LOAN_LOST"),
            Self::LoanClaimedReturned => state("LOAN_CLAIMED_RETURNED"),
            Self::DueDateNotInFuture => Refusal::field("due_at", "DUE_DATE_NOT_IN_FUTURE", text),
            Self::LoansChanged => Refusal::new(Code::Aborted, "LOANS_CHANGED", text),
            Self::TooManyLoans => state("TOO_MANY_LOANS"),
            Self::DueDateChangeNotFound => missing("DUE_DATE_CHANGE_NOT_FOUND"),
            Self::OccurredBeforeCheckIn => {
                Refusal::field("occurred_at", "OCCURRED_BEFORE_CHECK_IN", text)
            }
            Self::ItemAlreadyOnLoan => state("ITEM_ALREADY_ON_LOAN"),
            Self::CheckOutBlocked(blocks) => blocked("CHECK_OUT_BLOCKED", text, blocks),
            Self::RenewalBlocked(blocks) => blocked("RENEWAL_BLOCKED", text, blocks),
            Self::OverrideDenied => denied("OVERRIDE_DENIED"),
            Self::OverrideCommentMissing => {
                Refusal::field("override.comment", "OVERRIDE_COMMENT_MISSING", text)
            }
            Self::BackdatingDenied => denied("BACKDATING_DENIED"),
            Self::OccurredInFuture => Refusal::field("occurred_at", "OCCURRED_IN_FUTURE", text),
            Self::OccurredTooLongAgo => {
                Refusal::field("occurred_at", "OCCURRED_TOO_LONG_AGO", text)
            }
            Self::OccurredBeforeCheckOut => {
                Refusal::field("occurred_at", "OCCURRED_BEFORE_CHECK_OUT", text)
            }
            Self::OwnAccount => denied("OWN_ACCOUNT"),
            Self::RequestReused(_) => state("REQUEST_ID_REUSED"),
            Self::Call(refusal) => *refusal,
            Self::Money(ref error) => Refusal::internal(error),
            Self::Unreadable(_) => Refusal::internal(&self),
            Self::Database(ref error) => Refusal::database(error),
        }
    }
}

/// Says in the metadata that the answer may only mean that the owner of what
/// was not found could not be asked.
fn with_owner(refusal: Refusal, owner: &str, reached: bool) -> Refusal {
    if reached {
        return refusal;
    }
    refusal
        .with_metadata("owner", "unreachable")
        .with_metadata("owner_service", owner)
}

fn hours_refusal(fault: &HoursFault) -> Refusal {
    match fault {
        HoursFault::Overlap(field, index) => Refusal::field(
            &format!("{field}[{index}]"),
            "HOURS_OVERLAP",
            "overlaps another one",
        ),
        HoursFault::Malformed(field, index, expected) => {
            Refusal::field(&format!("{field}[{index}]"), "HOURS_MALFORMED", *expected)
        }
    }
}

fn rules_refusal(errors: &[Malformed]) -> Refusal {
    let first = errors.first().map(ToString::to_string).unwrap_or_default();
    let refusal = Refusal::new(
        Code::InvalidArgument,
        "CIRCULATION_RULES_MALFORMED",
        format!(
            "the circulation rules have {} error(s); {first}",
            errors.len()
        ),
    );
    errors.iter().fold(refusal, |refusal, error| {
        refusal.with_violation("text", error.to_string())
    })
}

fn blocked(reason: &'static str, text: String, blocks: Vec<Block>) -> Refusal {
    let names: Vec<&str> = blocks.iter().map(|block| block.reason).collect();
    Refusal::new(
        Code::FailedPrecondition,
        reason,
        format!("{text}: {}", names.join(", ")),
    )
    .with_detail(&wire::Blocks {
        blocks: blocks.into_iter().map(Into::into).collect(),
    })
}
