//! Trying rules out: who gets what because of which line, and what another
//! text would change.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::model::Combination;
use super::occurrence::{self, Filter, Occurrence, Place};
use super::validation::read_candidate;
use super::{AppliedRule, RulesVersion, store};
use crate::Circulation;
use crate::error::Error;

/// How many combinations one page looks through for those that are asked for.
const MOST_LOOKED_THROUGH: i64 = 50_000;

/// Rules that are tried out.
#[derive(Debug, Clone)]
pub enum Source {
    /// Those in force.
    InForce,
    /// A version.
    Version(i32),
    /// A text that may become a version.
    Text(String),
}

/// Where the next page goes on: after a combination, with the versions that
/// the first page had.
#[derive(Debug, Serialize, Deserialize)]
pub struct Cursor {
    versions: Vec<i32>,
    after: Place,
}

/// A page's worth of combinations.
#[derive(Debug)]
pub struct Trial<R> {
    /// What was asked for.
    pub rows: Vec<R>,
    /// The versions that were tried; 0: a text.
    pub versions: Vec<i32>,
    /// Where the next page goes on, if there is one.
    pub next: Option<Cursor>,
}

/// What a combination gets.
#[derive(Debug)]
pub struct Tried {
    /// The combination.
    pub occurrence: Occurrence,
    /// The line that applies.
    pub applied: AppliedRule,
    /// Why.
    pub reason: String,
}

/// What a combination would get instead.
#[derive(Debug)]
pub struct Compared {
    /// The combination.
    pub occurrence: Occurrence,
    /// The line that applies before.
    pub before: AppliedRule,
    /// The line that applies after.
    pub after: AppliedRule,
}

/// Says who gets what, and because of which line; only what one line decides
/// where it is given.
///
/// # Errors
/// [`Error::RulesMalformed`], [`Error::RulesMissing`], [`Error::RulesNotFound`].
pub async fn try_out(
    circulation: &Circulation,
    source: Source,
    filter: &Filter,
    line: Option<u32>,
    cursor: Option<Cursor>,
    size: i64,
) -> Result<Trial<Tried>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    let now = circulation.clock.now();
    let pinned = cursor.as_ref().and_then(|cursor| cursor.versions.first());
    let version = rules_of(circulation, &mut connection, source, pinned.copied(), now).await?;
    let most = line.map_or(size + 1, |_| MOST_LOOKED_THROUGH);
    let after = cursor.map(|cursor| cursor.after);
    let found = look_through(
        &mut connection,
        filter,
        after,
        [size, most],
        |combination| {
            let is_asked_for =
                line.is_none_or(|line| version.rules.choose(combination).line == line);
            is_asked_for.then(|| version.rules.outcome(combination))
        },
    );
    let (found, next) = found.await?;
    let rows = found.into_iter().map(|(occurrence, outcome)| Tried {
        occurrence,
        applied: version.applied(outcome.rule),
        reason: outcome.reason,
    });
    Ok(trial(rows.collect(), next, vec![version.version]))
}

/// Says which combinations would get other policies.
///
/// # Errors
/// As [`try_out`].
pub async fn compare(
    circulation: &Circulation,
    [before, after]: [Source; 2],
    filter: &Filter,
    cursor: Option<Cursor>,
    size: i64,
) -> Result<Trial<Compared>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    let now = circulation.clock.now();
    let pinned = |place: usize| {
        cursor
            .as_ref()
            .and_then(|cursor| cursor.versions.get(place).copied())
    };
    let before = rules_of(circulation, &mut connection, before, pinned(0), now).await?;
    let after = rules_of(circulation, &mut connection, after, pinned(1), now).await?;
    let place = cursor.map(|cursor| cursor.after);
    let most = MOST_LOOKED_THROUGH;
    let found = look_through(
        &mut connection,
        filter,
        place,
        [size, most],
        |combination| {
            let old = before.rules.choose(combination);
            let new = after.rules.choose(combination);
            (!old.policies.are_those_of(&new.policies)).then_some((old, new))
        },
    );
    let (found, next) = found.await?;
    let rows = found.into_iter().map(|(occurrence, (old, new))| Compared {
        occurrence,
        before: before.applied(old),
        after: after.applied(new),
    });
    let versions = vec![before.version, after.version];
    Ok(trial(rows.collect(), next, versions))
}

fn trial<R>(rows: Vec<R>, after: Option<Place>, versions: Vec<i32>) -> Trial<R> {
    let next = after.map(|after| Cursor {
        versions: versions.clone(),
        after,
    });
    Trial {
        rows,
        versions,
        next,
    }
}

/// The rules of a source; what was in force for the first page stays so for
/// the others.
async fn rules_of(
    circulation: &Circulation,
    connection: &mut PgConnection,
    source: Source,
    pinned: Option<i32>,
    now: Timestamp,
) -> Result<Arc<RulesVersion>, Error> {
    let version = match (source, pinned) {
        (Source::Text(text), _) => {
            let (rules, _) = read_candidate(connection, &text)
                .await?
                .map_err(Error::RulesMalformed)?;
            return Ok(Arc::new(RulesVersion { version: 0, rules }));
        }
        (Source::Version(version), _) | (Source::InForce, Some(version)) => version,
        (Source::InForce, None) => {
            let id = store::in_force(connection, now).await?;
            return circulation
                .known
                .rules(connection, id.ok_or(Error::RulesMissing)?)
                .await;
        }
    };
    let id = store::find_version(connection, version).await?;
    circulation
        .known
        .rules(connection, id.ok_or(Error::RulesNotFound)?)
        .await
}

/// Looks through combinations in order until a page has its size, or the most
/// that one page may look through were. Returns those for which there is a
/// verdict, and where to go on.
async fn look_through<V>(
    connection: &mut PgConnection,
    filter: &Filter,
    after: Option<Place>,
    [size, most]: [i64; 2],
    verdict: impl Fn(&Combination<'_>) -> Option<V>,
) -> Result<(Vec<(Occurrence, V)>, Option<Place>), Error> {
    let occurrences = occurrence::list(connection, filter, after.as_ref(), most).await?;
    let count = occurrences.len();
    let is_all = (count as i64) < most;
    let mut found = Vec::new();
    for (number, occurrence) in (1..).zip(occurrences) {
        let verdict = verdict(&occurrence.combination());
        let is_full = verdict.is_some() && found.len() as i64 + 1 >= size;
        let is_last = number == count;
        let place = (is_full || is_last).then(|| occurrence.place());
        if let Some(verdict) = verdict {
            found.push((occurrence, verdict));
        }
        if place.is_some() {
            return Ok((found, place.filter(|_| !(is_last && is_all))));
        }
        if number % 1_000 == 0 {
            // Desks are served in between.
            tokio::task::yield_now().await;
        }
    }
    Ok((found, None))
}
