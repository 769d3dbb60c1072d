//! What operators do about events that can't be applied.

use carrel_database::{Claim, Database, DatabaseFailure, RequestKey, claim, transact};
use jiff::Timestamp;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::parked::ParkedRow;
use super::projection::{ApplyError, Projection, passes};
use super::{Core, cursor, parked};
use crate::place::Place;

/// Parked events applied in one call.
const REPLAY_LIMIT: i64 = 1_000;

/// Why a repair was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepairError {
    #[error("the consumer is not stopped at this event")]
    NotPoison,
    #[error("this request id was used before for a different request; use a new one")]
    RequestReused,
    /// Not a refusal: rolls back what a repeated call did again.
    #[error("done before: {0} events")]
    DoneBefore(usize),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl DatabaseFailure for RepairError {
    fn database(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Database(error) => Some(error),
            Self::NotPoison | Self::RequestReused | Self::DoneBefore(_) => None,
        }
    }
}

/// The event that failed, and why.
type Failed = (Uuid, String);

/// What a replay did.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    pub applied_count: usize,
    pub failed: Option<Failed>,
}

impl<P: Projection> Core<P> {
    /// Applies the parked events of a subject, up to the first that fails.
    pub(super) async fn replay(
        &self,
        subject_id: Uuid,
        key: &RequestKey,
        now: Timestamp,
    ) -> Result<Replayed, RepairError> {
        match self.replay_once(subject_id, key, now).await {
            Err(RepairError::DoneBefore(applied_count)) => Ok(Replayed {
                applied_count,
                failed: None,
            }),
            other => other,
        }
    }

    async fn replay_once(
        &self,
        subject_id: Uuid,
        key: &RequestKey,
        now: Timestamp,
    ) -> Result<Replayed, RepairError> {
        transact!(self.database, "replay_parked_events", |connection| {
            let row = cursor::lock(connection, self.feed).await?;
            let waiting =
                parked::of_subject(connection, self.feed, subject_id, REPLAY_LIMIT).await?;
            let (applied, failed) = self
                .apply_parked(connection, row.generation, &waiting)
                .await?;
            if applied.is_empty() && failed.is_some() {
                // Nothing was done, so the same request may try again.
                return Ok(Replayed {
                    applied_count: 0,
                    failed,
                });
            }
            parked::remove(connection, self.feed, &applied).await?;
            // Claimed last, because only now it is known what was done; the
            // cursor's lock has kept a second call waiting meanwhile.
            match claim(connection, key, &applied, now).await? {
                Ok(Claim::New) => Ok(Replayed {
                    applied_count: applied.len(),
                    failed,
                }),
                Ok(Claim::Done(before)) => Err(RepairError::DoneBefore(before.len())),
                Err(_) => Err(RepairError::RequestReused),
            }
        })
    }

    /// Applies events up to the first that fails; each in a savepoint, so that
    /// the effect of those before it stays.
    async fn apply_parked(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        waiting: &[ParkedRow],
    ) -> Result<(Vec<Uuid>, Option<Failed>), sqlx::Error> {
        let mut applied = Vec::new();
        for parked in waiting {
            let Some(event) = parked.event() else {
                let cause = "it can't be decoded".to_owned();
                return Ok((applied, Some((parked.event_id, cause))));
            };
            let mut savepoint = connection.begin().await?;
            let one = std::slice::from_ref(&event);
            let outcome = self
                .projection
                .apply_all(&mut savepoint, generation, one)
                .await;
            match outcome {
                Ok(()) => savepoint.commit().await?,
                Err(ApplyError::Database(error)) if passes(&error) => return Err(error),
                Err(error) => {
                    savepoint.rollback().await?;
                    return Ok((applied, Some((parked.event_id, error.cause()))));
                }
            }
            applied.push(parked.event_id);
        }
        Ok((applied, None))
    }
}

/// Sets the event aside at which the feed is stopped.
pub(crate) async fn park(
    database: &Database,
    feed: &str,
    event_id: Uuid,
    key: &RequestKey,
    now: Timestamp,
) -> Result<(), RepairError> {
    transact!(database, "park_event", |connection| {
        match claim(connection, key, &[event_id], now).await? {
            Ok(Claim::New) => {}
            Ok(Claim::Done(_)) => return Ok(()),
            Err(_) => return Err(RepairError::RequestReused),
        }
        let row = cursor::lock(connection, feed).await?;
        let (Some(event), Some(place)) = (row.poison(), row.place()) else {
            return Err(RepairError::NotPoison);
        };
        if carrel_ids::parse(&event.event_id) != Ok(event_id) {
            return Err(RepairError::NotPoison);
        }
        let cause = row.poison_cause.unwrap_or_default();
        parked::park(connection, feed, &event, &cause, now)
            .await?
            .map_err(|_| RepairError::NotPoison)?;
        let past = Place {
            epoch: place.epoch,
            number: event.number,
            event_id: Some(event_id),
        };
        cursor::advance(connection, feed, &past).await?;
        Ok(())
    })
}
