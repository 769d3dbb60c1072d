//! Errors on the wire: a gRPC code, a stable reason, and what to do.

use std::collections::HashMap;

use prost::Message as _;
use prost_types::Any;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// The domain of every reason (`google.rpc.ErrorInfo`).
pub const DOMAIN: &str = "carrel";

/// What a call is refused with. A service's error enum turns each of its
/// variants into one; nothing else makes a `Status`.
#[derive(Debug, Clone)]
pub struct Refusal(Box<Parts>);

/// Boxed, since a refusal is the rare half of many small results.
#[derive(Debug, Clone)]
struct Parts {
    code: Code,
    reason: &'static str,
    message: String,
    metadata: HashMap<String, String>,
    violations: Vec<FieldViolation>,
    details: Vec<Any>,
}

impl Refusal {
    /// A refusal. The message is for people: it says what to do, and never
    /// holds a patron's name, number or reading.
    #[must_use]
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            reason,
            message: message.into(),
            metadata: HashMap::new(),
            violations: Vec::new(),
            details: Vec::new(),
        }))
    }

    /// A field of the request that is wrong: INVALID_ARGUMENT with the field's
    /// path in a `BadRequest`.
    #[must_use]
    pub fn field(field: &str, reason: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::new(Code::InvalidArgument, reason, format!("{field}: {message}"))
            .with_violation(field, message)
    }

    /// Something that is not Carrel's caller's fault. The cause is logged, the
    /// caller gets a fixed text.
    #[must_use]
    pub fn internal(cause: &dyn std::error::Error) -> Self {
        tracing::error!(cause = %Causes(cause), "internal error");
        Self::new(
            Code::Internal,
            "INTERNAL",
            "something went wrong inside Carrel; it was logged. Try again, and tell the operator if it stays.",
        )
    }

    /// What the database said: UNAVAILABLE where it can't be reached, else an
    /// internal error.
    #[must_use]
    pub fn database(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
                tracing::error!(cause = %Causes(error), "the database can't be reached");
                Self::new(
                    Code::Unavailable,
                    "DATABASE_UNAVAILABLE",
                    "the service can't reach its database; try again in a moment",
                )
            }
            // 57P01 admin_shutdown, 57P02 crash_shutdown, 57P03
            // cannot_connect_now (PostgreSQL manual, appendix A).
            sqlx::Error::Database(inner)
                if inner.code().is_some_and(|code| code.starts_with("57P")) =>
            {
                Self::new(
                    Code::Unavailable,
                    "DATABASE_UNAVAILABLE",
                    "the service's database is restarting; try again in a moment",
                )
            }
            other => Self::internal(other),
        }
    }

    /// Adds a value that a program can read.
    #[must_use]
    pub fn with_metadata(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.metadata.insert(key.into(), value.into());
        self
    }

    /// Adds a field that is wrong.
    #[must_use]
    pub fn with_violation(mut self, field: &str, description: impl Into<String>) -> Self {
        self.0
            .violations
            .push(FieldViolation::new(field, description));
        self
    }

    /// Adds a message of Carrel's own, such as the blocks on a check-out.
    #[must_use]
    pub fn with_detail<M: prost::Name>(mut self, detail: &M) -> Self {
        self.0.details.push(Any {
            type_url: M::type_url(),
            value: detail.encode_to_vec(),
        });
        self
    }

    /// The stable reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }
}

impl From<Refusal> for Status {
    fn from(Refusal(refusal): Refusal) -> Self {
        let refusal = *refusal;
        let mut details = ErrorDetails::new();
        details.set_error_info(refusal.reason, DOMAIN, refusal.metadata);
        if !refusal.violations.is_empty() {
            details.set_bad_request(refusal.violations);
        }
        let status = Self::with_error_details(refusal.code, refusal.message, details);
        if refusal.details.is_empty() {
            return status;
        }
        // tonic-types knows Google's details only; ours are put behind them.
        let mut whole = tonic_types::pb::Status::decode(status.details())
            .expect("tonic-types encoded it just now");
        whole.details.extend(refusal.details);
        Self::with_details_and_metadata(
            status.code(),
            status.message(),
            whole.encode_to_vec().into(),
            MetadataMap::new(),
        )
    }
}

/// An error with its causes, in one line.
struct Causes<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// What a client reads from a status.
pub mod read {
    use super::*;

    /// The stable reason, where the status has one.
    #[must_use]
    pub fn reason(status: &Status) -> Option<String> {
        Some(status.get_details_error_info()?.reason)
    }

    /// A detail of Carrel's own.
    #[must_use]
    pub fn detail<M: prost::Name + Default>(status: &Status) -> Option<M> {
        let whole = tonic_types::pb::Status::decode(status.details()).ok()?;
        let any = whole
            .details
            .iter()
            .find(|any| any.type_url == M::type_url())?;
        M::decode(any.value.as_slice()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carrel_proto::circulation::v1::{Block, Blocks};

    #[test]
    fn a_client_reads_the_reason_and_the_details() {
        let blocks = Blocks {
            blocks: vec![Block {
                reason: "MAX_LOANS".into(),
                description: "15 items are out, 15 are allowed".into(),
                overridable: true,
            }],
        };
        let status: Status = Refusal::new(
            Code::FailedPrecondition,
            "CHECK_OUT_BLOCKED",
            "the check-out is blocked",
        )
        .with_metadata("count", "1")
        .with_detail(&blocks)
        .into();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(read::reason(&status).as_deref(), Some("CHECK_OUT_BLOCKED"));
        assert_eq!(read::detail::<Blocks>(&status), Some(blocks));
    }
}
