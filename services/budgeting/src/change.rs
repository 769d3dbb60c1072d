//! A change that somebody asked for: who, when, and under which request id.

use carrel_database::{Claim, RequestKey};
use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::Error;

/// A change that was asked for.
#[derive(Debug, Clone)]
pub struct Change {
    /// Under which request id, and by whom.
    pub key: RequestKey,
    /// When, by the service's clock.
    pub now: Timestamp,
    /// The W3C trace parent of the call.
    pub trace_parent: Option<String>,
}

impl Change {
    /// Who asks: the token's subject.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.key.caller
    }

    /// Claims the request as the first statement of its transaction. `subject`
    /// is the row that the change is about to make or alter; where the request
    /// was done before, the subject of that time comes back.
    ///
    /// # Errors
    /// [`Error::RequestReused`].
    pub async fn claim(
        &self,
        connection: &mut PgConnection,
        subject: Uuid,
    ) -> Result<Option<Uuid>, Error> {
        match carrel_database::claim(connection, &self.key, &[subject], self.now).await?? {
            Claim::New => Ok(None),
            Claim::Done(subjects) => Ok(subjects.first().copied()),
        }
    }
}
