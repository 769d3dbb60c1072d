//! Circulation rules: bringing them in, reading them, explaining them.

pub mod model;
pub mod parse;
pub(crate) mod store;
pub mod token;

use carrel_database::{Claim, RequestKey, claim, transact};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Error;
use crate::known::CurrentPolicies;
use crate::{Circulation, first_id, policy};
use model::{Combination, Rule, Rules};
use token::Malformed;

/// A version of the rules.
#[derive(Debug, Clone)]
pub struct RulesVersion {
    /// Its id.
    pub id: Uuid,
    /// Which version, from 1.
    pub version: i32,
    /// The text.
    pub text: String,
    /// When it came into force.
    pub effective_at: Timestamp,
    /// Who brought it in.
    pub author: String,
    /// The text as read.
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

/// Replaces the rules with a new version.
///
/// # Errors
/// [`Error::RulesMalformed`] with everything that is wrong.
pub async fn replace(
    circulation: &Circulation,
    key: &RequestKey,
    text: &str,
) -> Result<RulesVersion, Error> {
    let rules = parse::parse(text).map_err(Error::RulesMalformed)?;
    let id = carrel_ids::new_id();
    let now = circulation.clock.now();
    transact!(
        circulation.database,
        "replace_circulation_rules",
        |transaction| {
            if let Claim::Done(ids) = claim(transaction, key, &[id], now).await?? {
                return store::get(transaction, first_id(&ids)?).await;
            }
            let serial = policy::store::newest_serial(transaction).await?;
            let policies = policy::store::current(transaction, serial).await?;
            let unknown = unknown_policies(&rules, &policies);
            if !unknown.is_empty() {
                return Err(Error::RulesMalformed(unknown));
            }
            store::take_turns(transaction).await?;
            let version = store::insert(transaction, id, text, &key.caller, now).await?;
            Ok(RulesVersion {
                id,
                version,
                text: text.to_owned(),
                effective_at: now,
                author: key.caller.clone(),
                rules: rules.clone(),
            })
        }
    )
}

/// The names of policies that do not exist. Request and notice policies are
/// not kept yet: their names need only be well formed.
fn unknown_policies(rules: &Rules, policies: &CurrentPolicies) -> Vec<Malformed> {
    let mut unknown = Vec::new();
    let mut lines: Vec<&Rule> = rules.rules.iter().chain([&rules.fallback]).collect();
    lines.sort_by_key(|rule| rule.line);
    for rule in lines {
        let names = &rule.policies;
        for (name, is_there, kind) in [
            (
                &names.loan,
                policies.loan.contains_key(&names.loan.code),
                "loan",
            ),
            (
                &names.overdue_fine,
                policies.overdue_fine.contains_key(&names.overdue_fine.code),
                "overdue fine",
            ),
            (
                &names.lost_item,
                policies.lost_item.contains_key(&names.lost_item.code),
                "lost item",
            ),
        ] {
            if !is_there {
                unknown.push(Malformed {
                    line: rule.line,
                    column: name.column,
                    expected: format!("the code of a {kind} policy; there is no \"{}\"", name.code),
                });
            }
        }
    }
    unknown.truncate(parse::MOST_ERRORS);
    unknown
}

/// Reads the rules in force.
///
/// # Errors
/// [`Error::RulesMissing`].
pub async fn get(circulation: &Circulation) -> Result<RulesVersion, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    let newest = store::newest(&mut connection).await?;
    store::get(&mut connection, newest.ok_or(Error::RulesMissing)?).await
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
    let newest = store::newest(&mut connection).await?;
    let version = circulation
        .known
        .rules(&mut connection, newest.ok_or(Error::RulesMissing)?)
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
        location: path.location_code.as_deref(),
        library: path.library_code.as_deref(),
        campus: path.campus_code.as_deref(),
        institution: path.institution_code.as_deref(),
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
