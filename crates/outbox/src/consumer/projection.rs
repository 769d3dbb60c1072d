//! What a service does with the events of another one.

use std::future::Future;

use carrel_database::DatabaseFailure;
use carrel_proto::events::v1::Event;
use sqlx::PgConnection;
use tonic::Status;

/// What a service makes of another service's events.
///
/// `apply_all` runs in the transaction that moves the cursor: each event takes
/// effect once. It gets the events of one subject in order and those of the
/// whole feed in the feed's order, except that a parked subject's events come
/// later.
pub trait Projection: Send + Sync + 'static {
    /// The full names of the event types it takes, 1 to 50.
    fn types(&self) -> Vec<String>;

    /// Rises when what was taken so far no longer does: the projection takes
    /// another type of event that exists already, or keeps more of the owner's
    /// state. A consumer with a greater edition begins anew; replicas with a
    /// smaller one stand by, so that they don't move the cursor past events
    /// that they don't know of. From 1.
    fn edition(&self) -> i64 {
        1
    }

    /// Applies a batch, at most 500 events. Where it fails, the batch comes
    /// again as batches of one, so that a poison event is found. One statement
    /// does best the work of many; PostgreSQL refuses to write one row twice in
    /// a statement, so keep the last event of each subject there.
    fn apply_all(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        events: &[Event],
    ) -> impl Future<Output = Result<(), ApplyError>> + Send;

    /// Applies one event.
    fn apply(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        event: &Event,
    ) -> impl Future<Output = Result<(), ApplyError>> + Send {
        self.apply_all(connection, generation, std::slice::from_ref(event))
    }
}

/// A projection that keeps a copy of the owner's state, and so can be made
/// again from that state.
///
/// Its rows carry (generation, revision), and every write, by an event, a page
/// or a look-up, is conditional:
///
/// ```sql
/// insert into item_copy (item_id, status, generation, revision) values ($1, $2, $3, $4)
/// on conflict (item_id) do update
///     set status = excluded.status, generation = excluded.generation, revision = excluded.revision
///     where (item_copy.generation, item_copy.revision) < (excluded.generation, excluded.revision)
/// ```
///
/// A deletion writes a tombstone in the same way, with the deletion's
/// revision, so that nothing older brings the row back. See
/// [`hold_generation`](crate::hold_generation) for look-ups.
pub trait StateProjection: Projection {
    /// The rows of one page.
    type Rows: Send + Sync;

    /// Reads a page of the owner's current state by its List RPC, with a
    /// deadline; "" is the first page. It is called outside any transaction
    /// and may be called again for the same page. Where the owner refuses a
    /// page token, the reading begins again at the first page.
    fn fetch_page(
        &self,
        page_token: &str,
    ) -> impl Future<Output = Result<Page<Self::Rows>, Status>> + Send;

    /// Writes a page, conditionally as above.
    fn apply_page(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        rows: &Self::Rows,
    ) -> impl Future<Output = Result<(), ApplyError>> + Send;

    /// After the last page: removes rows of older generations, which the owner
    /// has no more.
    fn finish_rebuild(
        &self,
        connection: &mut PgConnection,
        generation: i64,
    ) -> impl Future<Output = Result<(), ApplyError>> + Send;
}

/// A page of the owner's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<R> {
    /// Its rows.
    pub rows: R,
    /// The next page's token; empty after the last page.
    pub next_page_token: String,
}

/// Why an event or a page could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It can never be applied as it is: an unknown type or enum value, a
    /// payload that can't be decoded, a rule broken. The text says which, and
    /// names no person.
    #[error("{0}")]
    Poison(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl DatabaseFailure for ApplyError {
    fn database(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Poison(_) => None,
            Self::Database(error) => Some(error),
        }
    }
}

/// Classes of PostgreSQL's errors that pass (manual, appendix A): connection
/// exception, transaction rollback, insufficient resources, operator
/// intervention; and a lock that was not to be had in time.
const PASSING: [&str; 5] = ["08", "40", "53", "57", "55P03"];

impl ApplyError {
    /// An event whose type the projection does not know.
    #[must_use]
    pub fn unknown_type(event: &Event) -> Self {
        Self::Poison(format!("unknown event type {}", event.r#type))
    }

    /// Whether the same may succeed later without anybody's doing.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Poison(_) => false,
            Self::Database(error) => passes(error),
        }
    }

    /// What an operator reads: never a row's values, which PostgreSQL puts
    /// into the detail of its messages and sometimes into the message.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Poison(reason) => reason.clone(),
            Self::Database(sqlx::Error::Database(error)) => {
                let code = error.code().unwrap_or_default();
                match error.constraint() {
                    Some(constraint) => format!("the database refused it: {constraint} ({code})"),
                    None => format!("the database refused it ({code})"),
                }
            }
            Self::Database(_) => "the database failed".to_owned(),
        }
    }
}

/// Whether a database's error passes without anybody's doing.
pub(crate) fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| PASSING.iter().any(|class| code.starts_with(class))),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        _ => false,
    }
}

/// The message that an event carries.
///
/// # Errors
/// Poison, where the event is of another type or can't be decoded.
pub fn decode<M: prost::Name + Default>(event: &Event) -> Result<M, ApplyError> {
    if event.r#type != M::full_name() {
        return Err(ApplyError::unknown_type(event));
    }
    M::decode(event.payload.clone())
        .map_err(|_| ApplyError::Poison(format!("payload of {} can't be decoded", event.r#type)))
}

/// An enum value that an event carries: an unknown one is poison, never a
/// default, and so is the unspecified one.
///
/// # Errors
/// Poison.
pub fn known<E: TryFrom<i32>>(value: i32, field: &str) -> Result<E, ApplyError> {
    if value == 0 {
        return Err(ApplyError::Poison(format!("{field} is unspecified")));
    }
    E::try_from(value).map_err(|_| ApplyError::Poison(format!("{field} has unknown value {value}")))
}
