//! Applies a roster that is all here, in one transaction.

use std::borrow::Cow;
use std::collections::HashSet;

use carrel_database::{Claim, claim, transact};
use carrel_runtime::{BarcodeKey, Call};
use jiff::Timestamp;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::watch;
use uuid::Uuid;

use super::model::{Counts, Decision, Known, Problem, Row};
use super::{Load, Received, store};
use crate::patron::{Change, Standing, Told, store as patron_store, username_key};
use crate::{Error, Patrons, calling_patron, group};

/// Rows decided on, and events written, at once.
const BATCH_ROWS: i64 = 1_000;
/// How often a batch is decided on anew after the desk took one of its
/// barcodes, usernames or external ids.
const ATTEMPTS: u32 = 5;

pub(super) async fn apply(
    patrons: &Patrons,
    call: &Call,
    load_id: Uuid,
    load: Load,
    received: &Received,
    progress: &watch::Sender<Counts>,
) -> Result<(Counts, Vec<Problem>), Error> {
    let now = patrons.clock.now();
    let outcome = transact!(patrons.database, "load_roster", |transaction| {
        // A savepoint, so that a dry run rolls back its request too and still
        // has its outcome to tell.
        let mut kept = transaction.begin().await?;
        let outcome = match claim(&mut kept, &received.key, &[load_id], now).await?? {
            Claim::Done(ids) => store::get_load(&mut kept, ids[0]).await?,
            Claim::New => {
                let mut run = Run {
                    load_id,
                    caller: calling_patron(call),
                    barcode_key: &patrons.barcode_key,
                    groups: group::store::codes(&mut kept).await?.into_iter().collect(),
                    counts: received.counts,
                    problems: received.problems.clone(),
                    told: Vec::new(),
                };
                run.take_rows(&mut kept, received.staged_count, progress)
                    .await?;
                run.finish(&mut kept, call, load, now).await?
            }
        };
        if load.dry_run {
            kept.rollback().await?;
        } else {
            kept.commit().await?;
        }
        Ok::<_, Error>(outcome)
    })?;
    if !load.dry_run {
        patrons.committed();
    }
    Ok(outcome)
}

/// One attempt at a load.
struct Run<'a> {
    load_id: Uuid,
    caller: Option<Uuid>,
    barcode_key: &'a BarcodeKey,
    groups: HashSet<String>,
    counts: Counts,
    problems: Vec<Problem>,
    /// Whose change is news, for the events at the end.
    told: Vec<(Uuid, Told)>,
}

impl Run<'_> {
    async fn take_rows(
        &mut self,
        connection: &mut PgConnection,
        staged_count: i64,
        progress: &watch::Sender<Counts>,
    ) -> Result<(), Error> {
        let (mut after, mut taken) = (-1, 0);
        loop {
            let (rows, last) = store::staged(connection, self.load_id, after, BATCH_ROWS).await?;
            if rows.is_empty() {
                break;
            }
            taken += i64::try_from(rows.len()).unwrap_or(i64::MAX);
            after = last;
            let decided = self.take_batch(connection, &rows).await?;
            self.count(decided);
            progress.send_replace(self.counts);
        }
        // Rows put aside do not survive a crash of the server.
        if taken == staged_count {
            Ok(())
        } else {
            Err(Error::RosterInterrupted)
        }
    }

    /// Decides on rows and writes what was decided. Where somebody at the desk
    /// was quicker, decides anew.
    async fn take_batch(
        &self,
        connection: &mut PgConnection,
        rows: &[Row],
    ) -> Result<Vec<Result<Decision, Problem>>, Error> {
        let mut attempt = 1;
        loop {
            let mut batch = connection.begin().await?;
            let mut known = self.known(&mut batch, rows).await?;
            let decided: Vec<_> = rows
                .iter()
                .map(|row| known.decide(row, carrel_ids::new_id(), self.caller))
                .collect();
            match self.write(&mut batch, &decided).await {
                Ok(()) => {
                    batch.commit().await?;
                    return Ok(decided);
                }
                Err(Error::BarcodeTaken | Error::UsernameTaken | Error::ExternalIdTaken)
                    if attempt < ATTEMPTS =>
                {
                    attempt += 1;
                    batch.rollback().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn known(&self, connection: &mut PgConnection, rows: &[Row]) -> Result<Known<'_>, Error> {
        let sources: Vec<String> = rows.iter().map(|row| row.source.clone()).collect();
        let external_ids: Vec<String> = rows.iter().map(|row| row.external_id.clone()).collect();
        let (mut barcodes, mut usernames) = (Vec::new(), Vec::new());
        for change in rows.iter().flat_map(|row| &row.changes) {
            match change {
                Change::Barcode(barcode) => barcodes.push(barcode.clone()),
                Change::Username(username) => usernames.push(username_key(username)),
                _ => {}
            }
        }
        let matched = patron_store::match_and_lock(connection, &sources, &external_ids).await?;
        let holders = patron_store::holders_of_barcodes(connection, &barcodes).await?;
        let named = patron_store::holders_of_usernames(connection, &usernames).await?;
        Ok(Known {
            patrons: matched
                .into_iter()
                .map(|patron| {
                    let account = &patron.account;
                    (
                        (account.source.clone(), account.external_id.clone()),
                        patron,
                    )
                })
                .collect(),
            barcodes: holders.into_iter().collect(),
            usernames: named.into_iter().collect(),
            groups: Cow::Borrowed(&self.groups),
        })
    }

    /// Changes first: they may free what a new patron gets.
    async fn write(
        &self,
        connection: &mut PgConnection,
        decided: &[Result<Decision, Problem>],
    ) -> Result<(), Error> {
        let (mut created, mut updated) = (Vec::new(), Vec::new());
        for decision in decided.iter().flatten() {
            match decision {
                Decision::Create(patron) => created.push(patron.clone()),
                Decision::Update { after, .. } => updated.push(after.clone()),
                Decision::Unchanged => {}
            }
        }
        if !updated.is_empty() {
            patron_store::update(connection, &updated, self.barcode_key).await?;
        }
        if !created.is_empty() {
            patron_store::insert(connection, &created, self.barcode_key).await?;
        }
        Ok(())
    }

    fn count(&mut self, decided: Vec<Result<Decision, Problem>>) {
        for decision in decided {
            match decision {
                Ok(Decision::Create(patron)) => {
                    self.counts.created += 1;
                    self.told.push((patron.id, Told::NEW));
                }
                Ok(Decision::Update {
                    after,
                    told,
                    deactivates,
                }) => {
                    self.counts.updated += 1;
                    self.counts.deactivated += i64::from(deactivates);
                    self.told.push((after.id, told));
                }
                Ok(Decision::Unchanged) => self.counts.unchanged += 1,
                Err(problem) => {
                    self.counts.failed += 1;
                    self.problems.push(problem);
                }
            }
        }
    }

    /// The cap, the record of the load, and last, behind every lock, the news.
    async fn finish(
        mut self,
        connection: &mut PgConnection,
        call: &Call,
        load: Load,
        now: Timestamp,
    ) -> Result<(Counts, Vec<Problem>), Error> {
        if self.counts.deactivated > load.max_deactivations {
            return Err(Error::TooManyDeactivations {
                found: self.counts.deactivated,
                allowed: load.max_deactivations,
            });
        }
        self.problems.sort_by_key(|problem| problem.line);
        let loaded_by = call.caller.subject();
        store::insert_load(
            connection,
            self.load_id,
            loaded_by,
            &self.counts,
            &self.problems,
            now,
        )
        .await?;
        self.told
            .retain(|(_, told)| told.standing || told.student_link);
        self.told.sort_unstable_by_key(|(id, _)| *id);
        for told in self.told.chunks(BATCH_ROWS as usize) {
            let ids: Vec<Uuid> = told.iter().map(|(id, _)| *id).collect();
            let changed = patron_store::read(&mut *connection, &ids).await?;
            let mut events = Vec::with_capacity(2 * changed.len());
            for (patron, (_, told)) in changed.iter().zip(told) {
                let standing = Standing::of(patron, self.barcode_key);
                events.extend(standing.events(*told, call.trace_parent.as_deref(), now));
            }
            carrel_outbox::append(connection, &events).await?;
        }
        Ok((self.counts, self.problems))
    }
}
