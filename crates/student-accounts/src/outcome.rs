//! What a student-information system answered, sorted by what it proves.

use std::fmt;
use std::time::Duration;

use carrel_money::Money;
use jiff::civil::Date;

/// What is known after a posting was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostOutcome {
    /// The charge is on the student account.
    Accepted {
        /// The SIS's id of the charge.
        sis_id: String,
    },
    /// The SIS refuses the posting as it stands, and has not taken it. A person has to look at it.
    Rejected {
        /// All the reasons that it gave.
        errors: Vec<SisError>,
    },
    /// The SIS has certainly not taken it. The same posting may be handed over again.
    NotSent {
        /// What stood in the way.
        cause: NotSentCause,
    },
    /// The SIS may have taken it, or may still take it. Look it up; never post it again blindly.
    Unknown {
        /// What was lost.
        cause: UnknownCause,
    },
}

impl PostOutcome {
    /// The outcome's name for logs and metrics. The reasons stay out of them: an SIS repeats the student's id there.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Rejected { .. } => "rejected",
            Self::NotSent { .. } => "not-sent",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// Why a posting was certainly not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSentCause {
    /// No connection: name, network, refused port or TLS.
    #[error("not reached: {0}")]
    Unreachable(String),
    /// No token was given, or the token is not accepted, or may not do this.
    #[error("not authorised (status {status})")]
    NotAuthorised {
        /// The HTTP status.
        status: u16,
    },
    /// No token for another reason, such as a failing token service.
    #[error("no token: {0}")]
    NoToken(String),
    /// Held back here, for the site's rate limit or since it failed too often in a row.
    #[error("held back while the student-information system recovers")]
    Held,
    /// Too many requests.
    #[error("asked to slow down")]
    Throttled {
        /// How long to wait, where the SIS says so.
        retry_after: Option<Duration>,
    },
    /// The address or the version is not served there: a mistake in the configuration.
    #[error("the resource or its version is not served there (status {status})")]
    Misdirected {
        /// The HTTP status.
        status: u16,
    },
}

/// Why nobody knows whether a posting was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownCause {
    /// No answer within the deadline.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke before the answer was whole.
    #[error("the connection was lost: {0}")]
    ConnectionLost(String),
    /// A status that says nothing of the posting, such as 503 of a proxy that lost the SIS's answer.
    #[error("status {0}")]
    Status(u16),
    /// Success, but without a charge that could be read.
    #[error("an answer that cannot be read: {0}")]
    Unreadable(String),
}

/// One reason that the SIS gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SisError {
    /// A stable name, such as `Validation.Exception`.
    pub code: String,
    /// A short text.
    pub title: String,
    /// What exactly is wrong.
    pub description: String,
}

impl SisError {
    pub(crate) fn join(errors: &[Self]) -> String {
        errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ")
    }
}

impl fmt::Display for SisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.description)
    }
}

/// What a look-up of a posting found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindOutcome {
    /// Exactly one charge is this posting. Compare its amount: others can change it.
    Found(SisCharge),
    /// No charge is this posting, as of now; an SIS may still commit what it received earlier.
    NotFound,
    /// Charges that may be this posting; or more than one that certainly are.
    Ambiguous(Vec<SisCharge>),
}

/// A charge as the SIS shows it. `None` is what it does not show, or shows in a form that Carrel does not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SisCharge {
    /// The SIS's id.
    pub sis_id: String,
    /// The student's id.
    pub student_id: Option<String>,
    /// The academic period's id.
    pub academic_period_id: Option<String>,
    /// The accounting code's id.
    pub funding_destination_id: Option<String>,
    /// What is charged; `None` for fractions of a cent or another currency.
    pub amount: Option<Money>,
    /// The day from which the student is liable.
    pub chargeable_on: Option<Date>,
    /// The line's own text.
    pub description: Option<String>,
    /// Empty at sites that do not return them.
    pub comments: Vec<String>,
}

/// A payment as the SIS shows it. Which charge it settled is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SisPayment {
    /// The SIS's id.
    pub sis_id: String,
    /// The student's id.
    pub student_id: Option<String>,
    /// The academic period's id.
    pub academic_period_id: Option<String>,
    /// The accounting code's id.
    pub funding_destination_id: Option<String>,
    /// What was paid; `None` for fractions of a cent or another currency.
    pub amount: Option<Money>,
    /// The day of the payment.
    pub paid_on: Option<Date>,
    /// Such as `cash` or `sponsor`.
    pub payment_type: Option<String>,
}
