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
    /// There is no such policy.
    #[error("there is no policy of this kind with this id")]
    PolicyNotFound,
    /// An emergency closing's terms break a rule: the field, and what it must
    /// be.
    #[error("the closing breaks a rule")]
    ClosingMalformed(&'static str, &'static str),
    /// It overlaps an emergency closing that is there.
    #[error("overlaps an emergency closing of service point {0}")]
    ClosingsOverlap(String),
    /// More loans fall due in it than are moved at once.
    #[error("more than 100,000 loans fall due in this closing; close fewer service points at once")]
    ClosingTooLarge,
    /// Loans or hours are not those of the preview any more.
    #[error("loans or hours changed since the preview; preview again")]
    ClosingChanged,
    /// There is no such closing.
    #[error("there is no such closing")]
    ClosingNotFound,
    /// A kit that breaks a rule: the field, and what it must be.
    #[error("the kit breaks a rule")]
    KitMalformed(String, &'static str),
    /// A part that the kit does not have, or not so often; the field.
    #[error("is no part of the item's kit, or more than the kit has of it")]
    PartUnknown(String),
    /// The loan goes on.
    #[error("the item is still on loan; check it in first")]
    LoanOpen,
    /// The loan's patron is not known any more.
    #[error("the link between this loan and its patron was cut; nobody can be charged")]
    LoanWithoutPatron,
    /// The loan was reported before.
    #[error("damage to this item was reported for this loan already")]
    DamageAlreadyReported,
    /// The rule text has errors.
    #[error("the circulation rules have errors")]
    RulesMalformed(Vec<Malformed>),
    /// No rules were ever brought in.
    #[error("there are no circulation rules yet; bring them in with ReplaceCirculationRules")]
    RulesMissing,
    /// There is no such version of the rules.
    #[error("there is no such version of the circulation rules")]
    RulesNotFound,
    /// Somebody else brought in rules in the meantime.
    #[error(
        "somebody else has brought in version {newest} of the circulation rules; look at it first"
    )]
    RulesChanged {
        /// The newest version.
        newest: i32,
    },
    /// Rules for the past.
    #[error("is in the past; leave it out for rules that hold from now on")]
    EffectiveInPast,
    /// Rules for another generation.
    #[error("is more than five years ahead")]
    EffectiveTooFarAhead,
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
    /// No patron has the proxy's barcode, as far as circulation knows.
    #[error("no patron has the proxy's barcode")]
    ProxyNotFound {
        /// Whether the patrons service could be asked.
        owner_reached: bool,
    },
    /// The patron of a loan is not known here; whoever meets it asks patrons.
    #[error("the loan's patron is not known here")]
    BorrowerNotFound(uuid::Uuid),
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
    /// A loan keeps its patron for a year at most.
    #[error("must be 0 to 365")]
    CutAfterOutOfRange,
    /// A span of days that ends before it begins.
    #[error("must not be before `from`")]
    DatesOutOfOrder,
    /// Statistics of too long a span.
    #[error("must be at most five years after `from`")]
    SpanTooLong,
    /// A service point for pick-ups says how long they wait.
    #[error("is needed where requests are picked up")]
    HoldShelfPeriodMissing,
    /// There is no such request.
    #[error("there is no such request")]
    RequestNotFound,
    /// The request was closed.
    #[error("the request is closed")]
    RequestClosed,
    /// Reasons against a request.
    #[error("the request is blocked")]
    RequestBlocked(Vec<Block>),
    /// The patron has an open request for the title.
    #[error("the patron has an open request for this title")]
    RequestAlreadyOpen,
    /// A copy is kept for the request already.
    #[error("a copy is kept for the request already")]
    RequestInFulfilment,
    /// The request policy names other pick-up points.
    #[error("the request policy does not allow it to be picked up there")]
    PickupNotAllowed,
    /// The request is not the one that was looked at.
    #[error("the request was changed in the meantime; look at it first")]
    RequestChanged,
    /// As many wait for the title as there may.
    #[error("1,000 requests wait for this title; no more are taken")]
    QueueFull,
    /// The queue is not the one that was looked at.
    #[error("the queue was changed in the meantime; look at it first")]
    QueueChanged,
    /// An order that is not one of the whole queue.
    #[error("must name each open request of the title once")]
    QueueOrderMalformed,
    /// The rules name a request policy that was never made.
    #[error("the circulation rules name the request policy \"{0}\", which was never made")]
    RequestPolicyMissing(String),
    /// No item of such a title is known.
    #[error("no item of such a title is known")]
    RecordNotFound,
    /// The service point takes no pick-ups.
    #[error("is not a service point that takes pick-ups")]
    PickupNotOffered,
    /// A request that would end before it begins.
    #[error("is not in the future")]
    ExpiresInPast,
    /// A suspension that ends before it begins.
    #[error("must come after suspended_from, which it needs")]
    SuspensionMalformed,
    /// Overriding a block on a request needs its own permission.
    #[error(
        "overriding a block needs the permission circulation.requests.override in this library"
    )]
    RequestOverrideDenied,
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
            Some("item_damage_loan_key") => Self::DamageAlreadyReported,
            Some("patron_request_open_key") => Self::RequestAlreadyOpen,
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
            Self::PolicyNotFound => missing("POLICY_NOT_FOUND"),
            Self::ClosingMalformed(field, expected) => {
                Refusal::field(&format!("closing.{field}"), "CLOSING_MALFORMED", expected)
            }
            Self::ClosingsOverlap(_) => Refusal::new(Code::AlreadyExists, "CLOSINGS_OVERLAP", text),
            Self::ClosingTooLarge => {
                Refusal::new(Code::ResourceExhausted, "CLOSING_TOO_LARGE", text)
            }
            Self::ClosingChanged => Refusal::new(Code::Aborted, "CLOSING_CHANGED", text),
            Self::ClosingNotFound => missing("CLOSING_NOT_FOUND"),
            Self::KitMalformed(field, expected) => {
                Refusal::field(&field, "KIT_MALFORMED", expected)
            }
            Self::PartUnknown(ref field) => Refusal::field(field, "PART_UNKNOWN", text),
            Self::LoanOpen => state("LOAN_OPEN"),
            Self::LoanWithoutPatron => state("LOAN_WITHOUT_PATRON"),
            Self::DamageAlreadyReported => state("DAMAGE_ALREADY_REPORTED"),
            Self::RulesMalformed(errors) => rules_refusal(&errors),
            Self::RulesMissing => state("CIRCULATION_RULES_MISSING"),
            Self::RulesNotFound => missing("CIRCULATION_RULES_NOT_FOUND"),
            Self::RulesChanged { newest } => {
                Refusal::new(Code::Aborted, "CIRCULATION_RULES_CHANGED", text)
                    .with_metadata("newest_version", newest.to_string())
            }
            Self::EffectiveInPast => Refusal::field("effective_at", "EFFECTIVE_IN_PAST", text),
            Self::EffectiveTooFarAhead => {
                Refusal::field("effective_at", "EFFECTIVE_TOO_FAR_AHEAD", text)
            }
            Self::LocationNotFound => missing("LOCATION_NOT_FOUND"),
            Self::ItemNotFound { owner_reached } => {
                with_owner(missing("ITEM_NOT_FOUND"), "catalog", owner_reached)
            }
            Self::PatronNotFound { owner_reached } => {
                with_owner(missing("PATRON_NOT_FOUND"), "patrons", owner_reached)
            }
            Self::ProxyNotFound { owner_reached } => {
                with_owner(missing("PROXY_NOT_FOUND"), "patrons", owner_reached)
            }
            Self::BorrowerNotFound(_) => missing("PATRON_NOT_FOUND"),
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
            Self::CutAfterOutOfRange => Refusal::field(
                "privacy_settings.cut_after_days",
                "CUT_AFTER_OUT_OF_RANGE",
                text,
            ),
            Self::DatesOutOfOrder => Refusal::field("to", "DATES_OUT_OF_ORDER", text),
            Self::SpanTooLong => Refusal::field("to", "SPAN_TOO_LONG", text),
            Self::HoldShelfPeriodMissing => {
                Refusal::field("hold_shelf_period", "HOLD_SHELF_PERIOD_MISSING", text)
            }
            Self::RequestNotFound => missing("REQUEST_NOT_FOUND"),
            Self::RequestClosed => state("REQUEST_CLOSED"),
            Self::RequestBlocked(blocks) => blocked("REQUEST_BLOCKED", text, blocks),
            Self::RequestAlreadyOpen => {
                Refusal::new(Code::AlreadyExists, "REQUEST_ALREADY_OPEN", text)
            }
            Self::RequestInFulfilment => state("REQUEST_IN_FULFILMENT"),
            Self::PickupNotAllowed => state("PICKUP_NOT_ALLOWED"),
            Self::RequestChanged => Refusal::new(Code::Aborted, "REQUEST_CHANGED", text),
            Self::QueueFull => state("QUEUE_FULL"),
            Self::QueueChanged => Refusal::new(Code::Aborted, "QUEUE_CHANGED", text),
            Self::QueueOrderMalformed => {
                Refusal::field("request_ids", "QUEUE_ORDER_MALFORMED", text)
            }
            Self::RequestPolicyMissing(_) => state("REQUEST_POLICY_MISSING"),
            Self::RecordNotFound => missing("RECORD_NOT_FOUND"),
            Self::PickupNotOffered => {
                Refusal::field("pickup_service_point_id", "PICKUP_NOT_OFFERED", text)
            }
            Self::ExpiresInPast => Refusal::field("expires_at", "EXPIRES_IN_PAST", text),
            Self::SuspensionMalformed => {
                Refusal::field("suspended_until", "SUSPENSION_MALFORMED", text)
            }
            Self::RequestOverrideDenied => denied("OVERRIDE_DENIED"),
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
