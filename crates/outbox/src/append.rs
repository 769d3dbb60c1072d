//! Writing events: the last statement of the transaction that makes them true.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

/// An event that is about to become true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its id, a UUIDv7; the same for ever.
    pub event_id: Uuid,
    /// The full name of the payload's message.
    pub event_type: String,
    /// The row the event is about. Events of one subject stay in order.
    pub subject_id: Uuid,
    /// The encoded message, at most 1 MiB. It holds ids, never names, addresses or barcodes.
    pub payload: Vec<u8>,
    /// The W3C trace parent of the call that caused it.
    pub trace_parent: Option<String>,
    /// When it became true, by the service's clock.
    pub occurred_at: Timestamp,
}

impl NewEvent {
    /// An event that carries this message; its type is the message's full name.
    #[must_use]
    pub fn of<M: prost::Name>(subject_id: Uuid, message: &M, occurred_at: Timestamp) -> Self {
        Self {
            event_id: carrel_ids::new_id(),
            event_type: M::full_name(),
            subject_id,
            payload: message.encode_to_vec(),
            trace_parent: None,
            occurred_at,
        }
    }

    /// The same event with the W3C trace parent of the call that caused it.
    #[must_use]
    pub fn caused_by(self, trace_parent: Option<String>) -> Self {
        Self {
            trace_parent,
            ..self
        }
    }
}

/// Writes events, in this order, as the **last** statement of a transaction:
/// a position that is drawn after every row lock was taken puts two changes of
/// one row into the order in which they took effect. Say
/// [`Wake::committed`](crate::Wake::committed) after the commit.
///
/// # Errors
/// The database's. An event that is too large violates
/// `outbox_payload_is_small`.
pub async fn append(connection: &mut PgConnection, events: &[NewEvent]) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    let events = EventColumns::of(events);
    sqlx::query(
        "insert into outbox (event_id, type, subject_id, payload, trace_parent, occurred_at)
         select event_id, type, subject_id, payload, trace_parent, occurred_at
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::bytea[], $5::text[], $6::timestamptz[])
              with ordinality as event (event_id, type, subject_id, payload, trace_parent, occurred_at, place)
         order by place",
    )
    .bind(events.ids)
    .bind(events.types)
    .bind(events.subjects)
    .bind(events.payloads)
    .bind(events.trace_parents)
    .bind(events.times)
    .execute(connection)
    .await?;
    Ok(())
}

/// Events by columns, as `unnest` takes them: for a statement that writes
/// something and its events at once, to spare a round trip. It must have taken
/// every row lock before, as for [`append`].
#[derive(Debug)]
pub struct EventColumns {
    /// `event_id`.
    pub ids: Vec<Uuid>,
    /// `type`.
    pub types: Vec<String>,
    /// `subject_id`.
    pub subjects: Vec<Uuid>,
    /// `payload`.
    pub payloads: Vec<Vec<u8>>,
    /// `trace_parent`.
    pub trace_parents: Vec<Option<String>>,
    /// `occurred_at`.
    pub times: Vec<jiff_sqlx::Timestamp>,
}

impl EventColumns {
    /// The columns of these events, in their order.
    #[must_use]
    pub fn of(events: &[NewEvent]) -> Self {
        let each = events.iter();
        Self {
            ids: each.clone().map(|event| event.event_id).collect(),
            types: each.clone().map(|event| event.event_type.clone()).collect(),
            subjects: each.clone().map(|event| event.subject_id).collect(),
            payloads: each.clone().map(|event| event.payload.clone()).collect(),
            trace_parents: each
                .clone()
                .map(|event| event.trace_parent.clone())
                .collect(),
            times: each.map(|event| event.occurred_at.to_sqlx()).collect(),
        }
    }
}
