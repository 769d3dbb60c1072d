//! Postings that go as files, for student-information systems that are reached in no other way.
//!
//! 1. [`build`]: what is pending becomes a batch, with its file, in one transaction.
//! 2. [`deliver`]: the file is laid beside the drop folder, then moved into it, which happens once whatever crashes.
//! 3. [`answer`]: acknowledgement and reject files are read back; each row is acknowledged or rejected.
//!
//! What has no answer in time becomes unknown, and a person finds out: there is nobody to ask.

mod answer;
mod build;
mod deliver;
pub(crate) mod store;

use std::path::{Path, PathBuf};
use std::time::Duration;

use carrel_student_accounts::batch::Layout;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::model::Patience;
use super::{Run, lose_expired, select_ready, trust};
use crate::Billing;
use crate::error::Error;

/// A destination that takes files.
#[derive(Debug)]
pub struct BatchSite {
    /// How they look.
    pub layout: Layout,
    /// Holds the folders `out` (the drop folder), `in` (for answers) and `staging`, on one file system.
    pub folder: PathBuf,
    /// How long an answer may take before people look.
    pub answer_within: SignedDuration,
    /// How long a file in `in` is left alone after it last changed.
    pub quiet: Duration,
    /// The times of day at which batches are built; none: only on demand.
    pub build_at: Vec<Time>,
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum BatchState {
    /// Its file is to be delivered.
    Built,
    /// In the drop folder, or taken from there.
    Delivered,
    /// Every row was accepted.
    Acknowledged,
    /// Every row was answered; some were rejected.
    PartlyRejected,
    /// Every row was rejected.
    Refused,
}

/// A batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its id.
    pub id: Uuid,
    /// The layout's name.
    pub destination: String,
    /// Its number there.
    pub sequence: i64,
    /// Its file's name.
    pub file_name: String,
    /// Where it stands.
    pub state: BatchState,
    /// Its rows.
    pub row_count: i32,
    /// What it charges.
    pub charge_total: Decimal,
    /// What it credits.
    pub credit_total: Decimal,
    /// The hash total.
    pub hash_total: Decimal,
    /// The currency of both.
    pub currency: String,
    /// SHA-256 of the file.
    pub fingerprint: Vec<u8>,
    /// Why it is not delivered.
    pub problem: String,
    /// When it was built.
    pub built_at: Timestamp,
    /// When its file lay beside the drop folder.
    pub staged_at: Option<Timestamp>,
    /// When it was delivered.
    pub delivered_at: Option<Timestamp>,
    /// When its last row was answered.
    pub answered_at: Option<Timestamp>,
}

/// Whether batches are built now, or when they are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Building {
    Now,
    WhenDue,
}

impl BatchSite {
    /// Makes the folders where they are missing.
    ///
    /// # Errors
    /// What the file system says.
    pub fn prepare(&self) -> std::io::Result<()> {
        for folder in ["out", "staging", "in/taken", "in/refused"] {
            std::fs::create_dir_all(self.folder.join(folder))?;
        }
        Ok(())
    }

    fn out(&self, file_name: &str) -> PathBuf {
        self.folder.join("out").join(file_name)
    }

    fn staging(&self, file_name: &str) -> PathBuf {
        self.folder.join("staging").join(file_name)
    }

    fn inbox(&self) -> PathBuf {
        self.folder.join("in")
    }

    /// Nothing is looked up, and nothing is under way that an answer would not tell.
    pub(super) fn patience(&self) -> Patience {
        Patience {
            deadline: self.answer_within,
            max_in_flight: SignedDuration::ZERO,
        }
    }

    /// The last moment of the schedule that has come.
    fn last_slot(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = now.to_zoned(zone.clone()).date();
        let days = [today, today.yesterday().unwrap_or(today)];
        let slots = days.into_iter().flat_map(|day| {
            self.build_at
                .iter()
                .filter_map(move |time| day.to_datetime(*time).to_zoned(zone.clone()).ok())
        });
        slots
            .map(|slot| slot.timestamp())
            .filter(|slot| *slot <= now)
            .max()
    }
}

/// One round: what came back first, then what goes out.
pub(super) async fn work(
    billing: &Billing,
    site: &BatchSite,
    building: Building,
    run: &mut Run,
) -> Result<(), Error> {
    trust::notice_restore(billing, site.patience()).await?;
    // A batch that is built but not delivered goes first: its answer may be there already.
    deliver::deliver_all(billing, site).await?;
    answer::take_answers(billing, site, run).await?;
    lose_expired(billing).await?;
    select_ready(billing, run).await?;
    let slot = is_due(billing, site).await?;
    if building == Building::Now || slot.is_some() {
        run.batched += build::build_all(billing, site).await?;
        if let Some(slot) = slot {
            let mut connection = billing.database.pool().acquire().await?;
            store::mark_built_for(&mut connection, &site.layout.name, slot).await?;
        }
        deliver::deliver_all(billing, site).await?;
    }
    Ok(())
}

/// The moment of the schedule for which nothing was built yet. The first one after the start is only noted: a new
/// destination begins with the next.
async fn is_due(billing: &Billing, site: &BatchSite) -> Result<Option<Timestamp>, Error> {
    let Some(slot) = site.last_slot(billing.clock.now(), &billing.zone) else {
        return Ok(None);
    };
    let mut connection = billing.database.pool().acquire().await?;
    let built_for = store::built_for(&mut connection, &site.layout.name, slot).await?;
    Ok((built_for < slot).then_some(slot))
}

/// Batches, newest first.
///
/// # Errors
/// The database's.
pub async fn list(
    billing: &Billing,
    state: Option<BatchState>,
    before: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<Batch>, Error> {
    let mut connection = billing.database.pool().acquire().await?;
    store::list_batches(&mut connection, state, before, limit).await
}

/// A batch.
///
/// # Errors
/// [`Error::BatchNotFound`].
pub async fn get(billing: &Billing, id: Uuid) -> Result<Batch, Error> {
    let mut connection = billing.database.pool().acquire().await?;
    store::find_batch(&mut connection, id)
        .await?
        .ok_or(Error::BatchNotFound)
}

/// A failure of the file system, without a folder's name in what callers read.
fn io_error(path: &Path, error: &std::io::Error) -> Error {
    tracing::error!(path = %path.display(), %error, "a batch folder cannot be used");
    Error::BatchFolder(error.to_string())
}

/// When a civil day begins.
fn day_begins(day: jiff::civil::Date, zone: &TimeZone) -> Option<Timestamp> {
    day.to_zoned(zone.clone())
        .ok()
        .map(|start| start.timestamp())
}

/// The day on which a credit may follow a charge of a day.
fn earliest_credit(charged_on: jiff::civil::Date, after_days: u16) -> jiff::civil::Date {
    charged_on
        .checked_add(i64::from(after_days).days())
        .unwrap_or(jiff::civil::Date::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use carrel_student_accounts::batch::EXAMPLES;
    use jiff::civil::{date, time};

    #[test]
    fn the_schedule_keeps_the_colleges_clock() {
        let zone = TimeZone::get("America/Los_Angeles").unwrap();
        let site = BatchSite {
            layout: Layout::parse(EXAMPLES[0].1).unwrap(),
            folder: PathBuf::new(),
            answer_within: SignedDuration::ZERO,
            quiet: Duration::ZERO,
            build_at: vec![time(2, 0, 0, 0), time(14, 30, 0, 0)],
        };
        let at = |day: i8, hour, minute| {
            date(2026, 3, day)
                .at(hour, minute, 0, 0)
                .to_zoned(zone.clone())
                .unwrap()
                .timestamp()
        };
        for (now, slot) in [
            (at(4, 1, 59), at(3, 14, 30)),
            (at(4, 2, 0), at(4, 2, 0)),
            (at(4, 14, 29), at(4, 2, 0)),
            (at(4, 23, 0), at(4, 14, 30)),
            // The clocks go forward from 2:00 to 3:00 on 8 March 2026.
            (at(8, 3, 1), at(8, 3, 0)),
        ] {
            assert_eq!(site.last_slot(now, &zone), Some(slot), "{now}");
        }
    }
}
