//! What the feed and its operators' service refuse, with stable reasons.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every reason.
const DOMAIN: &str = "carrel";

/// The feed does not hold the cursor's event any more.
pub const FEED_DIVERGED: &str = "FEED_DIVERGED";

/// Events after the cursor are gone.
pub const CURSOR_BEHIND_RETENTION: &str = "CURSOR_BEHIND_RETENTION";

pub(crate) fn refusal(code: Code, reason: &str, message: impl Into<String>) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    Status::with_error_details(code, message, details)
}

pub(crate) fn bad_field(field: &str, description: &str) -> Status {
    let mut details = ErrorDetails::with_bad_request_violation(field, description);
    details.set_error_info("INVALID_FIELD", DOMAIN, HashMap::new());
    Status::with_error_details(
        Code::InvalidArgument,
        format!("{field}: {description}"),
        details,
    )
}

/// The caller gets a fixed text, the log the cause.
pub(crate) fn database_failed(error: &sqlx::Error) -> Status {
    tracing::error!(%error, "the feed's database failed");
    refusal(
        Code::Unavailable,
        "DATABASE_UNAVAILABLE",
        "the service's database does not answer; try again",
    )
}

/// The reason of a refusal that another Carrel service sent.
pub(crate) fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}
