//! What is wrong with a rule text, beyond its own words: policies that there
//! are not, and codes that nothing has.

use std::collections::HashSet;

use sqlx::PgConnection;

use super::criterium::Criterium;
use super::model::{Rule, Rules};
use super::occurrence;
use super::parse::{self, Mention};
use super::token::Malformed;
use crate::error::Error;
use crate::known::CurrentPolicies;
use crate::{Circulation, policy};

/// Reads a text as [`super::replace`] would: all codes of policies must be known.
pub(super) async fn read_candidate<'a>(
    connection: &mut PgConnection,
    text: &'a str,
) -> Result<Result<(Rules, Vec<Mention<'a>>), Vec<Malformed>>, Error> {
    let (rules, mentions) = match parse::read(text) {
        Ok(read) => read,
        Err(errors) => return Ok(Err(errors)),
    };
    let unknown = unknown_policies(&rules, &current_policies(connection).await?);
    Ok(if unknown.is_empty() {
        Ok((rules, mentions))
    } else {
        Err(unknown)
    })
}

/// Something in a text that is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oddity {
    /// The line, from 1.
    pub line: u32,
    /// The character in the line, from 1.
    pub column: u32,
    /// What is odd about it.
    pub message: String,
}

/// What is wrong with a text.
#[derive(Debug, Default)]
pub struct Validation {
    /// What makes it unusable.
    pub errors: Vec<Malformed>,
    /// What is probably not meant.
    pub warnings: Vec<Oddity>,
}

/// Says what is wrong with a text, without keeping it.
///
/// # Errors
/// The database's.
pub async fn validate(circulation: &Circulation, text: &str) -> Result<Validation, Error> {
    let mut connection = circulation.database.pool().acquire().await?;
    match read_candidate(&mut connection, text).await? {
        Err(errors) => Ok(Validation {
            errors,
            ..Validation::default()
        }),
        Ok((_, mentions)) => Ok(Validation {
            warnings: unused_codes(&mut connection, &mentions).await?,
            ..Validation::default()
        }),
    }
}

/// Codes that nothing has, each where it is named first: mostly slips of the
/// pen, which silently match nothing.
async fn unused_codes(
    connection: &mut PgConnection,
    mentions: &[Mention<'_>],
) -> Result<Vec<Oddity>, Error> {
    let mut seen: HashSet<(Criterium, &str)> = HashSet::new();
    let firsts: Vec<&Mention<'_>> = mentions
        .iter()
        .filter(|mention| seen.insert((mention.criterium, mention.code)))
        .collect();
    let codes: Vec<(Criterium, &str)> = seen.into_iter().collect();
    let unknown = occurrence::unknown_codes(connection, &codes).await?;
    let unknown: HashSet<(Criterium, &str)> = unknown
        .iter()
        .map(|(criterium, code)| (*criterium, code.as_str()))
        .collect();
    let odd = firsts
        .into_iter()
        .filter(|mention| unknown.contains(&(mention.criterium, mention.code)))
        .take(parse::MOST_ERRORS)
        .map(|mention| Oddity {
            line: mention.line,
            column: mention.column,
            message: format!(
                "nothing known so far has the {} \"{}\"",
                mention.criterium.noun(),
                mention.code
            ),
        });
    Ok(odd.collect())
}

/// The names of policies that do not exist. Notice policies are not kept yet:
/// their names need only be well formed.
pub(super) fn unknown_policies(rules: &Rules, policies: &CurrentPolicies) -> Vec<Malformed> {
    let mut unknown = Vec::new();
    let mut lines: Vec<&Rule> = rules.rules().iter().chain([&rules.fallback]).collect();
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
            (
                &names.request,
                policies.request.contains_key(&names.request.code),
                "request",
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

/// The policies that a text may name.
pub(super) async fn current_policies(
    connection: &mut PgConnection,
) -> Result<CurrentPolicies, Error> {
    let serial = policy::store::newest_serial(connection).await?;
    policy::store::current(connection, serial).await
}
