//! Taking a batch: lock the cursor, apply, move the cursor.

use std::time::Duration;

use carrel_database::transact;
use carrel_proto::events::v1::{Event, SubscribeResponse};
use jiff::Timestamp;
use sqlx::PgConnection;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::projection::{ApplyError, Projection};
use super::{Core, Trouble, cursor, parked};
use crate::back_off::BackOff;
use crate::place::Place;

/// How often a feed that is stopped at a poison event looks whether an
/// operator, or another replica, has got it past.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often it tries the event again, and says that it is stopped.
const ALERT: Duration = Duration::from_secs(60);

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was taken, by this replica or another.
    UpTo(Place),
    /// The cursor is not where this stream is: begin another one from there.
    Overtaken,
    /// An event can't be applied.
    Stopped,
}

impl<P: Projection> Core<P> {
    /// Takes a message that follows on `from`. Waits as long as the database
    /// fails.
    pub(super) async fn take(
        &self,
        from: &Place,
        message: SubscribeResponse,
        generation: i64,
    ) -> Result<Taken, Trouble> {
        let to = checked(from, &message)?;
        if to == *from {
            return Ok(Taken::UpTo(to));
        }
        let events = message.events;
        match self.apply_patiently(from, &to, generation, &events).await {
            Ok(taken) => Ok(taken),
            Err(ApplyError::Database(error)) if events.is_empty() => Err(error.into()),
            Err(error) if events.len() == 1 => self.stop_at(generation, &events[0], &error).await,
            Err(_) => self.take_singly(from, &to, generation, &events).await,
        }
    }

    async fn take_singly(
        &self,
        from: &Place,
        to: &Place,
        generation: i64,
        events: &[Event],
    ) -> Result<Taken, Trouble> {
        let mut from = *from;
        for event in events {
            let step = Place {
                epoch: to.epoch,
                number: event.number,
                event_id: carrel_ids::parse(&event.event_id).ok(),
            };
            let one = std::slice::from_ref(event);
            match self.apply_patiently(&from, &step, generation, one).await {
                Ok(Taken::UpTo(reached)) => from = reached,
                Ok(other) => return Ok(other),
                Err(error) => return self.stop_at(generation, event, &error).await,
            }
        }
        self.apply_patiently(&from, to, generation, &[])
            .await
            .map_err(Trouble::Page)
    }

    /// Tries again while the failure is one that passes.
    async fn apply_patiently(
        &self,
        from: &Place,
        to: &Place,
        generation: i64,
        events: &[Event],
    ) -> Result<Taken, ApplyError> {
        let mut back_off = BackOff::default();
        loop {
            match self.apply_batch(from, to, generation, events).await {
                Err(error) if error.is_passing() => {
                    let wait = back_off.next();
                    tracing::warn!(feed = self.feed, %error, ?wait, "the feed waits for the database");
                    self.observed().trouble = Some(error.cause());
                    sleep(wait).await;
                }
                settled => return settled,
            }
        }
    }

    async fn apply_batch(
        &self,
        from: &Place,
        to: &Place,
        generation: i64,
        events: &[Event],
    ) -> Result<Taken, ApplyError> {
        transact!(self.database, "apply_events", |connection| {
            let row = cursor::lock(connection, self.feed).await?;
            let is_level = row.place().is_some_and(|place| {
                place.epoch == from.epoch && place.epoch == to.epoch && place.number >= from.number
            });
            if row.generation != generation || row.rebuild().is_some() || !is_level {
                return Ok(Taken::Overtaken);
            }
            let taken = row.place().map_or(0, |place| place.number);
            if taken >= to.number {
                return Ok(Taken::UpTo(*to));
            }
            let fresh = &events[events.partition_point(|event| event.number <= taken)..];
            self.apply_unparked(connection, generation, fresh).await?;
            cursor::advance(connection, self.feed, to).await?;
            Ok(Taken::UpTo(*to))
        })
    }

    /// Applies events, except those of a subject that has events aside: they
    /// join them, so that the subject's order is kept.
    async fn apply_unparked(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        events: &[Event],
    ) -> Result<(), ApplyError> {
        if events.is_empty() {
            return Ok(());
        }
        let subjects: Vec<Uuid> = events
            .iter()
            .filter_map(|event| carrel_ids::parse(&event.subject_id).ok())
            .collect();
        let aside = parked::parked_subjects(connection, self.feed, &subjects).await?;
        if aside.is_empty() {
            return self
                .projection
                .apply_all(connection, generation, events)
                .await;
        }
        let (parked, free): (Vec<Event>, Vec<Event>) = events
            .iter()
            .cloned()
            .partition(|event| aside.contains(&event.subject_id));
        for event in &parked {
            parked::park(connection, self.feed, event, "", Timestamp::now())
                .await?
                .map_err(|_| ApplyError::Poison("its ids are not UUIDs".to_owned()))?;
        }
        if free.is_empty() {
            return Ok(());
        }
        self.projection
            .apply_all(connection, generation, &free)
            .await
    }

    async fn stop_at(
        &self,
        generation: i64,
        event: &Event,
        error: &ApplyError,
    ) -> Result<Taken, Trouble> {
        let cause = error.cause();
        self.alert(event, &cause);
        transact!(self.database, "stop_feed", |connection| {
            cursor::stop_at(connection, self.feed, generation, event, &cause).await
        })?;
        Ok(Taken::Stopped)
    }

    fn alert(&self, event: &Event, cause: &str) {
        tracing::error!(
            feed = self.feed,
            event.id = event.event_id,
            event.r#type = event.r#type,
            event.number = event.number,
            cause,
            "poison event: the feed is stopped until it is parked or can be applied"
        );
    }

    /// Waits at a poison event until something got the feed past it.
    pub(super) async fn stand_at(&self, event: &Event) -> Result<(), Trouble> {
        let mut alert_at = Instant::now() + ALERT;
        loop {
            tokio::select! {
                () = self.resume.notified() => {}
                () = sleep(LOOK_AGAIN) => {}
            }
            let row = cursor::find_or_create(self.database.pool(), self.feed).await?;
            let (Some(standing), Some(from)) = (row.poison(), row.place()) else {
                return Ok(());
            };
            if standing.event_id != event.event_id {
                return Ok(());
            }
            if Instant::now() < alert_at {
                continue;
            }
            alert_at = Instant::now() + ALERT;
            let to = Place {
                epoch: from.epoch,
                number: event.number,
                event_id: carrel_ids::parse(&event.event_id).ok(),
            };
            let one = std::slice::from_ref(event);
            match self.apply_batch(&from, &to, row.generation, one).await {
                Ok(_) => return Ok(()),
                Err(error) => self.alert(event, &error.cause()),
            }
        }
    }
}

/// Where a message leads, if it is one that a feed sends after `from`.
fn checked(from: &Place, message: &SubscribeResponse) -> Result<Place, Trouble> {
    let cursor = message
        .cursor
        .as_ref()
        .ok_or(Trouble::NotAFeed("no cursor"))?;
    let to = Place::read(cursor).map_err(|_| Trouble::NotAFeed("not a cursor"))?;
    if to.epoch != from.epoch || to.number < from.number {
        return Err(Trouble::NotAFeed("its cursor went back"));
    }
    let mut last = from.number;
    for event in &message.events {
        if event.number <= last || event.number > to.number {
            return Err(Trouble::NotAFeed("its numbers don't rise"));
        }
        let ids = [&event.event_id, &event.subject_id];
        if ids.iter().any(|id| carrel_ids::parse(id).is_err()) {
            return Err(Trouble::NotAFeed("an event's ids are not UUIDs"));
        }
        last = event.number;
    }
    Ok(to)
}
