//! The outbox, its sequencer, the event feed and its consumers.
//!
//! # A service that publishes
//!
//! ```
//! # async fn example(database: carrel_database::Database, shutdown: tokio_util::sync::CancellationToken,
//! #     access: std::sync::Arc<dyn carrel_outbox::EventAccess>, message: carrel_proto::r#type::v1::Date,
//! #     item_id: uuid::Uuid, now: jiff::Timestamp) -> Result<(), sqlx::Error> {
//! use carrel_outbox::{Feed, NewEvent, append};
//! use carrel_proto::events::v1::event_feed_service_server::EventFeedServiceServer;
//!
//! // Once, at the start (the runtime does this):
//! let feed = Feed::new(database.clone(), shutdown.clone());
//! let server = EventFeedServiceServer::new(feed.service(access));
//! let wake = feed.wake();
//! tokio::spawn(feed.run());
//!
//! // In a use case: the last statement of the transaction, and after the commit, the wake.
//! carrel_database::transact!(database, "change_item", |connection| {
//!     // … locks and changes …
//!     append(connection, &[NewEvent::of(item_id, &message, now)]).await
//! })?;
//! wake.committed();
//! # Ok(())
//! # }
//! ```
//!
//! # A service that consumes
//!
//! It implements [`Projection`] and, for a copy of the owner's state,
//! [`StateProjection`], and makes a [`Consumer`] of it. See these for the SQL.
//! A look-up beside the feed uses [`generation`] and [`hold_generation`].
//!
//! # What operators should know
//!
//! - After a restored dump or base backup, a copied database or a promoted
//!   standby, the feed begins a new epoch by itself and every consumer of
//!   state reads that state anew. A disk snapshot that was put back shows no
//!   trace: call [`begin_epoch`].
//! - A consumer that stops at a poison event says so every minute in the log
//!   and in `ListFeedConsumers`, and tries the event again each time.
//! - A forgotten prepared transaction, or a session that wrote and stays idle,
//!   keeps the sequencer's floor from rising: nothing waits, but runs grow
//!   slower, and the log says so from 100,000 events on.

mod append;
mod back_off;
mod consumer;
mod epoch;
mod feed;
mod place;
mod reader;
mod refusal;
mod retention;
mod sequencer;
mod service;
mod stream;
mod time;

pub use append::{EventColumns, NewEvent, append};
pub use consumer::{
    ApplyError, CallerName, Consumer, Consumers, FeedConsumerService, Page, Projection,
    StateProjection, decode, generation, hold_generation, known,
};
pub use epoch::begin as begin_epoch;
pub use feed::{Feed, Wake};
pub use place::{Ends, InvalidCursor, Place};
pub use refusal::{CURSOR_BEHIND_RETENTION, FEED_DIVERGED};
pub use sequencer::{Run, run as sequence};
pub use service::{EventAccess, FeedService, StreamDeadline};
