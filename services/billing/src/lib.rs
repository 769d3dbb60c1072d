//! Billing: what patrons owe, the double-entry journal, and postings to student accounts.
//!
//! - [`account`]: charges and what is done to them; [`fee_fine`]: who is owed, what for.
//! - [`payment`]: money taken and given back; [`dispute`], [`write_off`]: what two persons decide; [`rules`]: the
//!   district's own.
//! - [`journal`]: the double-entry journal, and the proof that the totals beside it are what it says.
//! - [`posting`]: the procedure by which a charge reaches the student account once; [`route`]: where it goes.
//! - [`circulation_feed`], [`student_link`]: what is learned from circulation and from patrons.
//! - `grpc`: the contract; `message`: values as its messages; [`settings`]: flags and how it is put together.

pub mod account;
pub mod circulation_feed;
mod columns;
pub mod dispute;
pub mod error;
pub mod fee_fine;
mod grpc;
pub mod journal;
mod message;
pub mod payment;
pub mod posting;
pub mod route;
pub mod rules;
pub mod settings;
pub mod student_link;
pub mod write_off;

use std::sync::Arc;
use std::time::Duration;

use carrel_database::Database;
use carrel_money::Currency;
use carrel_outbox::{NewEvent, Wake};
use carrel_runtime::Clock;
use carrel_student_accounts::StudentAccounts;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use sqlx::migrate::Migrator;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use settings::{Settings, definition};

use posting::batch::BatchSite;
use posting::model::{Moment, Patience};

/// Billing's own tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// What every use case has at hand.
#[derive(Clone)]
pub struct Billing {
    /// The books.
    pub database: Database,
    /// The clock that decides dates.
    pub clock: Clock,
    /// The feed is woken after commits.
    pub wake: Wake,
    /// The posting queue is worked at once after a charge.
    pub queue: Arc<Notify>,
    /// The currency in which the district keeps its books.
    pub currency: Currency,
    /// The district's time zone: what today is, and in which period a charge
    /// falls.
    pub zone: TimeZone,
    /// How old a charge is before it is posted.
    pub posting_after: SignedDuration,
    /// The student-information system, where one is configured.
    pub sis: Option<Arc<Sis>>,
    /// The destination that takes files, where one is configured in place of that.
    pub batches: Option<Arc<BatchSite>>,
    /// Cancelled when the service is to end.
    pub shutdown: CancellationToken,
}

/// The student-information system, and how long things may take there.
pub struct Sis {
    /// The adapter.
    pub accounts: StudentAccounts,
    /// How long things may take.
    pub patience: Patience,
}

impl Sis {
    /// How long one exchange may take.
    pub(crate) fn deadline(&self) -> Duration {
        Duration::try_from(self.patience.deadline).unwrap_or_default()
    }
}

impl Billing {
    /// Something was committed: the feed goes on, and so does the queue.
    pub(crate) fn committed(&self) {
        self.wake.committed();
        self.queue.notify_one();
    }

    /// Now, by both clocks.
    pub(crate) fn moment(&self) -> Moment {
        Moment {
            now: self.clock.now(),
            machine: Clock::fixed().now(),
        }
    }
}

/// Who does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// A token's subject, or a service.
    pub subject: String,
    /// The W3C trace parent of the call.
    pub trace_parent: Option<String>,
}

impl Actor {
    /// Billing itself: answers of the student-information system.
    pub(crate) fn billing() -> Self {
        Self {
            subject: "service:billing".into(),
            trace_parent: None,
        }
    }

    /// Circulation: fines, losses, returns.
    pub(crate) fn circulation() -> Self {
        Self {
            subject: "service:circulation".into(),
            trace_parent: None,
        }
    }

    /// Events as caused by this call.
    pub(crate) fn caused(&self, events: Vec<NewEvent>) -> Vec<NewEvent> {
        events
            .into_iter()
            .map(|event| event.caused_by(self.trace_parent.clone()))
            .collect()
    }
}
