//! Circulation rules: bringing them in, reading them, explaining them.
//!
//! - [`token`], [`parse`]: the text, read line by line;
//! - [`criterium`], [`priority`], [`model`]: what lines match and which of them
//!   applies;
//! - [`validation`]: what is wrong with a text;
//! - [`occurrence`], [`trial`]: who gets what by rules that are only tried.

pub mod criterium;
mod finder;
pub mod model;
pub mod occurrence;
pub mod parse;
pub mod priority;
pub(crate) mod store;
pub mod token;
pub mod trial;
pub mod validation;

use carrel_database::{Claim, RequestKey, claim, transact};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Error;
use crate::{Circulation, first_id};
use model::{Combination, Rule, Rules};
use validation::{current_policies, unknown_policies};

/// A version of the rules, as it is told.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its id.
    pub id: Uuid,
    /// Which version, from 1.
    pub version: i32,
    /// The text.
    pub text: String,
    /// From when it holds.
    pub effective_at: Timestamp,
    /// Who brought it in.
    pub author: String,
    /// When it was brought in.
    pub created_at: Timestamp,
    /// Whether it is in force.
    pub in_force: bool,
}

/// A version of the rules, to choose by.
#[derive(Debug, Clone)]
pub struct RulesVersion {
    /// Which version, from 1; 0: a text that is only tried.
    pub version: i32,
    /// Its text as read.
    pub rules: Rules,
}

/// The outcome of the rules for one loan, as the loan keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedRule {
    /// The version of the rules.
    pub rules_version: i32,
    /// The line's number, from 1.
    pub line: u32,
    /// The line as written.
    pub text: String,
    /// The loan policy's code.
    pub loan_policy: String,
    /// The request policy's code.
    pub request_policy: String,
    /// The notice policy's code.
    pub notice_policy: String,
    /// The overdue fine policy's code.
    pub overdue_fine_policy: String,
    /// The lost item policy's code.
    pub lost_item_policy: String,
    /// Whether it is the fallback policy.
    pub fallback: bool,
}

impl RulesVersion {
    /// What a line of this version comes to.
    #[must_use]
    pub fn applied(&self, rule: &Rule) -> AppliedRule {
        let names = &rule.policies;
        AppliedRule {
            rules_version: self.version,
            line: rule.line,
            text: rule.text.clone(),
            loan_policy: names.loan.code.clone(),
            request_policy: names.request.code.clone(),
            notice_policy: names.notice.code.clone(),
            overdue_fine_policy: names.overdue_fine.code.clone(),
            lost_item_policy: names.lost_item.code.clone(),
            fallback: self.rules.is_fallback(rule),
        }
    }
}

/// Rules that shall hold.
#[derive(Debug)]
pub struct Replacement {
    /// The text.
    pub text: String,
    /// From when they hold; `None`: from now on.
    pub effective_at: Option<Timestamp>,
    /// The newest version that their author had seen; `None`: not checked.
    pub based_on_version: Option<i32>,
}

/// How far ahead rules may be scheduled, about five years: further is a slip
/// of the pen.
const FURTHEST_AHEAD: SignedDuration = SignedDuration::from_hours(5 * 366 * 24);

/// Adds a version of the rules.
///
/// # Errors
/// [`Error::RulesMalformed`] with everything that is wrong,
/// [`Error::RulesChanged`], [`Error::EffectiveInPast`],
/// [`Error::EffectiveTooFarAhead`].
pub async fn replace(
    circulation: &Circulation,
    key: &RequestKey,
    replacement: &Replacement,
) -> Result<Version, Error> {
    let rules = parse::parse(&replacement.text).map_err(Error::RulesMalformed)?;
    let id = carrel_ids::new_id();
    let now = circulation.clock.now();
    transact!(
        circulation.database,
        "replace_circulation_rules",
        |transaction| {
            // A repeated request is answered also when its instant has passed.
            if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
                let in_force = store::in_force(transaction, now).await?;
                return Ok(store::get(transaction, first_id(&ids)?, in_force).await?);
            }
            let effective_at = effective_at(replacement.effective_at, now)?;
            let unknown = unknown_policies(&rules, &current_policies(transaction).await?);
            if !unknown.is_empty() {
                return Err(Error::RulesMalformed(unknown));
            }
            store::take_turns(transaction).await?;
            let newest = store::newest_version(transaction).await?;
            if replacement
                .based_on_version
                .is_some_and(|based_on| based_on != newest)
            {
                return Err(Error::RulesChanged { newest });
            }
            let (text, author) = (&replacement.text, &key.caller);
            store::insert(transaction, id, newest + 1, text, author, now, effective_at).await?;
            let in_force = store::in_force(transaction, now).await?;
            Ok(store::get(transaction, id, in_force).await?)
        }
    )
}

fn effective_at(given: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Error> {
    let given = given.unwrap_or(now);
    if given < now {
        return Err(Error::EffectiveInPast);
    }
    match now.checked_add(FURTHEST_AHEAD) {
        Ok(latest) if given > latest => Err(Error::EffectiveTooFarAhead),
        _ => Ok(given),
    }
}

/// Which rules are read.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    /// Those in force now.
    InForce,
    /// Those in force at an instant.
    At(Timestamp),
    /// A version.
    Version(i32),
}

/// Reads rules.
///
/// # Errors
/// [`Error::RulesMissing`], [`Error::RulesNotFound`].
pub async fn get(circulation: &Circulation, which: Which) -> Result<Version, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    let in_force = store::in_force(&mut connection, circulation.clock.now()).await?;
    let id = match which {
        Which::InForce => in_force.ok_or(Error::RulesMissing),
        Which::At(at) => {
            let id = store::in_force(&mut connection, at).await?;
            id.ok_or(Error::RulesMissing)
        }
        Which::Version(version) => {
            let id = store::find_version(&mut connection, version).await?;
            id.ok_or(Error::RulesNotFound)
        }
    };
    Ok(store::get(&mut connection, id?, in_force).await?)
}

/// Lists versions before one, the newest first.
///
/// # Errors
/// The database's.
pub async fn list(
    circulation: &Circulation,
    with_texts: bool,
    before: Option<i32>,
    limit: i64,
) -> Result<Vec<Version>, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    let now = circulation.clock.now();
    Ok(store::list(&mut connection, with_texts, now, before, limit).await?)
}

/// Which line applies to a combination, and the others that match.
#[derive(Debug)]
pub struct Explanation {
    /// What applies.
    pub applied: AppliedRule,
    /// All lines that match, the applying one first: number, text, reason.
    pub matches: Vec<(u32, String, String)>,
}

/// What rules are asked about.
#[derive(Debug)]
pub struct Question {
    /// `g`.
    pub patron_group: String,
    /// `m`.
    pub material_type: String,
    /// `t`.
    pub loan_type: String,
    /// `s`; the other places follow from it.
    pub location_id: Option<Uuid>,
}

/// How many matching lines are told at the most.
const MOST_MATCHES: usize = 100;

/// Says which line applies to a combination, and why.
///
/// # Errors
/// [`Error::RulesMissing`], [`Error::LocationNotFound`].
pub async fn explain(circulation: &Circulation, question: &Question) -> Result<Explanation, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    let in_force = store::in_force(&mut connection, circulation.clock.now()).await?;
    let version = circulation
        .known
        .rules(&mut connection, in_force.ok_or(Error::RulesMissing)?)
        .await?;
    let path = match question.location_id {
        None => store::LocationPath::default(),
        Some(id) => store::find_location(&mut connection, id)
            .await?
            .ok_or(Error::LocationNotFound)?,
    };
    let combination = Combination {
        patron_group: Some(&question.patron_group),
        material_type: Some(&question.material_type),
        loan_type: Some(&question.loan_type),
        ..path.combination()
    };
    let matches = version.rules.matches(&combination).into_iter();
    Ok(Explanation {
        applied: version.applied(version.rules.choose(&combination)),
        matches: matches
            .take(MOST_MATCHES)
            .map(|found| (found.rule.line, found.rule.text.clone(), found.reason))
            .collect(),
    })
}

#[cfg(test)]
mod reference;
