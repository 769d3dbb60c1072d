//! What a consumer does where it can't read on: before its first event, when
//! the feed took another course, and when events after its cursor are gone.

use std::time::Duration;

use carrel_database::transact;
use tokio::time::timeout;
use tonic::{Code, Status};

use super::cursor::{self, CursorRow, Rebuild};
use super::projection::{ApplyError, Projection, StateProjection};
use super::{Core, Trouble};

/// How long the owner may take for a page of its state.
const PAGE_DEADLINE: Duration = Duration::from_secs(60);

/// A way to begin anew.
pub(super) trait Recovery<P>: Send + Sync + 'static {
    /// Begins anew, or goes on with what was begun. `seen` is the row as it
    /// was when that turned out to be needed; another replica may have been
    /// quicker.
    fn recover(
        &self,
        core: &Core<P>,
        seen: &CursorRow,
    ) -> impl Future<Output = Result<(), Trouble>> + Send;
}

/// By reading the owner's current state.
pub(super) struct FromState;

/// By reading every event that the owner keeps.
pub(super) struct FromEvents;

impl<P: StateProjection> Recovery<P> for FromState {
    async fn recover(&self, core: &Core<P>, seen: &CursorRow) -> Result<(), Trouble> {
        // The head first: what changes while the pages are read comes again
        // as events after it, and revisions make that harmless.
        let head = core.owner.ends().await?.head;
        core.observed().is_connected = true;
        core.note_heard(head.number);
        let edition = core.projection.edition();
        let generation = transact!(core.database, "begin_rebuild", |connection| {
            let row = cursor::lock_generation(connection, core.feed).await?;
            let is_begun = row.edition == edition
                && row
                    .rebuild()
                    .is_some_and(|begun| begun.noted.epoch == head.epoch);
            if is_begun || row.generation != seen.generation {
                return Ok(row.generation);
            }
            cursor::begin_rebuild(connection, core.feed, edition, &head).await?;
            tracing::info!(
                feed = core.feed,
                generation = row.generation + 1,
                head = head.number,
                "reading the owner's state"
            );
            Ok::<_, sqlx::Error>(row.generation + 1)
        })?;
        read_state(core, generation).await
    }
}

/// Reads pages until the last. Each is durable, so that a restart goes on
/// where it was; replicas that read at once share the work, badly but rightly.
async fn read_state<P: StateProjection>(core: &Core<P>, generation: i64) -> Result<(), Trouble> {
    loop {
        let row = cursor::find_or_create(core.database.pool(), core.feed).await?;
        let Some(Rebuild { page_token, .. }) = row.rebuild() else {
            return Ok(());
        };
        if row.generation != generation {
            return Ok(());
        }
        let page = match timeout(PAGE_DEADLINE, core.projection.fetch_page(&page_token)).await {
            Ok(Ok(page)) => page,
            Ok(Err(status)) => {
                if refuses_token(&status) && !page_token.is_empty() {
                    tracing::warn!(
                        feed = core.feed,
                        "the owner refused a page token: reading from the first page"
                    );
                    turn_page(core, generation, &page_token, "").await?;
                }
                return Err(status.into());
            }
            Err(_) => return Err(Status::deadline_exceeded("no page in time").into()),
        };
        let outcome = transact!(core.database, "apply_page", |connection| {
            if !is_at(
                &cursor::lock(connection, core.feed).await?,
                generation,
                &page_token,
            ) {
                return Ok(());
            }
            core.projection
                .apply_page(connection, generation, &page.rows)
                .await?;
            if !page.next_page_token.is_empty() {
                return Ok(cursor::turn_page(connection, core.feed, &page.next_page_token).await?);
            }
            core.projection
                .finish_rebuild(connection, generation)
                .await?;
            let dropped = cursor::end_rebuild(connection, core.feed).await?;
            tracing::info!(
                feed = core.feed,
                generation,
                parked_events_dropped = dropped,
                "the owner's state was read"
            );
            Ok::<_, ApplyError>(())
        });
        outcome.map_err(Trouble::Page)?;
        core.observed().trouble = None;
    }
}

async fn turn_page<P: Projection>(
    core: &Core<P>,
    generation: i64,
    from: &str,
    to: &str,
) -> Result<(), sqlx::Error> {
    transact!(core.database, "turn_page", |connection| {
        if is_at(
            &cursor::lock(connection, core.feed).await?,
            generation,
            from,
        ) {
            cursor::turn_page(connection, core.feed, to).await?;
        }
        Ok(())
    })
}

/// Whether the row still waits for this page in this generation.
fn is_at(row: &CursorRow, generation: i64, page_token: &str) -> bool {
    row.generation == generation
        && row
            .rebuild()
            .is_some_and(|rebuild| rebuild.page_token == page_token)
}

fn refuses_token(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument | Code::OutOfRange | Code::NotFound | Code::FailedPrecondition
    )
}

impl<P: Projection> Recovery<P> for FromEvents {
    async fn recover(&self, core: &Core<P>, seen: &CursorRow) -> Result<(), Trouble> {
        let tail = core.owner.ends().await?.tail;
        transact!(core.database, "begin_again", |connection| {
            let row = cursor::lock_generation(connection, core.feed).await?;
            if row.generation != seen.generation {
                return Ok(());
            }
            // Events up to the tail are gone. Those after the old cursor, if
            // there was one, were never taken.
            let lost = row
                .place()
                .map_or(0, |place| (tail.number - place.number).max(0));
            cursor::begin_again(
                connection,
                core.feed,
                core.projection.edition(),
                &tail,
                lost,
            )
            .await?;
            let feed = core.feed;
            if lost > 0 {
                tracing::error!(
                    feed,
                    lost,
                    "events were forgotten before they were taken: what they stood for must be found by other means"
                );
            } else if row.place().is_some() {
                tracing::error!(
                    feed,
                    from = tail.number,
                    "the feed took another course, or this is a new edition: taking all that is kept again"
                );
            } else {
                tracing::info!(
                    feed,
                    from = tail.number,
                    "taking the feed from its oldest event"
                );
            }
            Ok::<_, sqlx::Error>(())
        })?;
        Ok(())
    }
}
