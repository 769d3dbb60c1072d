//! Reads rule text. Never stops at the first error: a line that can't be read
//! is reported and left out, so that the author sees all of them at once.

use super::model::{Condition, Criterium, PolicyName, PolicyNames, Priority, Rule, Rules};
use super::token::{Malformed, Token, Tokens};

/// The most errors that are told at once.
pub(crate) const MOST_ERRORS: usize = 100;
/// How deep lines may be nested.
const DEEPEST: usize = 20;
/// What a code may be at the longest.
const LONGEST_CODE: usize = 40;

const CRITERIUM: &str = "one of the letters t, s, c, b, a, m, g";
const POLICIES: &str = "one each of the policies l, r, n, o and i";

/// Reads a text.
///
/// # Errors
/// Everything that is wrong with it, by line, 100 at the most.
pub fn parse(text: &str) -> Result<Rules, Vec<Malformed>> {
    let mut reader = Reader::default();
    let mut last_line = 1;
    for (number, line) in (1..).zip(text.lines()) {
        last_line = number;
        reader.line(number, line);
        if reader.errors.len() >= MOST_ERRORS {
            break;
        }
    }
    reader.finish(last_line)
}

/// A line that others may stand under.
#[derive(Debug)]
struct Branch {
    indent: usize,
    line: u32,
    end_column: u32,
    conditions: Vec<Condition>,
    /// Whether it names policies or has a line below it.
    is_used: bool,
}

#[derive(Debug, Default)]
struct Reader {
    priorities: Option<Vec<Priority>>,
    fallback: Option<Rule>,
    rules: Vec<Rule>,
    /// From the outermost to the line before.
    branches: Vec<Branch>,
    errors: Vec<Malformed>,
}

impl Reader {
    fn line(&mut self, number: u32, raw: &str) {
        let text = raw.split(['#', '/']).next().unwrap_or_default();
        if text.trim().is_empty() {
            return;
        }
        if let Err(error) = self.read(number, text, raw.trim()) {
            self.errors.push(error);
        }
    }

    fn read(&mut self, number: u32, text: &str, written: &str) -> Result<(), Malformed> {
        let mut tokens = Tokens::of(number, text)?;
        let indent = text.len() - text.trim_start_matches(' ').len();
        if tokens.is_headed("priority") {
            return self.priority(&mut tokens);
        }
        if tokens.is_headed("fallback-policy") {
            return self.fallback(&mut tokens, number, written);
        }
        self.leave_branches(indent);
        let mut conditions = self.conditions_above(&tokens, indent)?;
        // From here on the line counts for what stands under it, also where it
        // is wrong itself: otherwise one error would beget many.
        let own = conditions_of(&mut tokens);
        let policies = if own.is_ok() {
            policies_of_rule(&mut tokens)
        } else {
            Ok(None)
        };
        let is_used = own.is_err() || !matches!(policies, Ok(None));
        conditions.extend(own.as_ref().ok().into_iter().flatten().cloned());
        self.branches.push(Branch {
            indent,
            line: number,
            end_column: text.trim_end().chars().count() as u32 + 1,
            conditions: conditions.clone(),
            is_used,
        });
        own?;
        if let Some(policies) = policies? {
            self.rules.push(Rule {
                line: number,
                text: written.to_owned(),
                conditions,
                policies,
            });
        }
        Ok(())
    }

    /// Leaves the branches that a line with this indentation is not under.
    fn leave_branches(&mut self, indent: usize) {
        while let Some(branch) = self.branches.pop_if(|branch| branch.indent >= indent) {
            if !branch.is_used {
                self.errors.push(Malformed {
                    line: branch.line,
                    column: branch.end_column,
                    expected: "\":\" and policies, or an indented line below".into(),
                });
            }
        }
    }

    /// The conditions of the line that this one stands under.
    fn conditions_above(
        &mut self,
        tokens: &Tokens<'_>,
        indent: usize,
    ) -> Result<Vec<Condition>, Malformed> {
        if self.branches.len() >= DEEPEST {
            return Err(tokens.malformed("at most 20 levels of indentation"));
        }
        match self.branches.last_mut() {
            Some(branch) => {
                branch.is_used = true;
                Ok(branch.conditions.clone())
            }
            None if indent > 0 && self.rules.is_empty() && self.errors.is_empty() => {
                Err(tokens.malformed("no indentation, since no line above nests it"))
            }
            None => Ok(Vec::new()),
        }
    }

    fn priority(&mut self, tokens: &mut Tokens<'_>) -> Result<(), Malformed> {
        if self.priorities.is_some() {
            return Err(tokens.malformed("only one priority line"));
        }
        // A broken one is reported once, not also as missing.
        self.priorities = Some(Vec::new());
        tokens.take();
        tokens.take();
        self.priorities = Some(priorities_of(tokens)?);
        Ok(())
    }

    fn fallback(
        &mut self,
        tokens: &mut Tokens<'_>,
        line: u32,
        written: &str,
    ) -> Result<(), Malformed> {
        if self.fallback.is_some() {
            return Err(tokens.malformed("only one fallback-policy line"));
        }
        tokens.take();
        tokens.take();
        let policies = policies_of(tokens);
        let unread = || PolicyName {
            code: String::new(),
            column: 1,
        };
        self.fallback = Some(Rule {
            line,
            text: written.to_owned(),
            conditions: Vec::new(),
            policies: policies.clone().unwrap_or_else(|_| PolicyNames {
                loan: unread(),
                request: unread(),
                notice: unread(),
                overdue_fine: unread(),
                lost_item: unread(),
            }),
        });
        policies.map(drop)
    }

    fn finish(mut self, last_line: u32) -> Result<Rules, Vec<Malformed>> {
        self.leave_branches(0);
        let mut missing = |what: &str| {
            self.errors.push(Malformed {
                line: last_line,
                column: 1,
                expected: format!("a {what} line somewhere"),
            });
        };
        if self.priorities.is_none() {
            missing("priority");
        }
        if self.fallback.is_none() {
            missing("fallback-policy");
        }
        match (self.priorities, self.fallback) {
            (Some(priorities), Some(fallback)) if self.errors.is_empty() => Ok(Rules {
                priorities,
                fallback,
                rules: self.rules,
            }),
            _ => {
                self.errors.sort_by_key(|error| (error.line, error.column));
                self.errors.truncate(MOST_ERRORS);
                Err(self.errors)
            }
        }
    }
}

/// `t, s, c, b, a, m, g`, short for `criterium(…), number-of-criteria,
/// last-line`; or one to three of the three kinds, each once, the last of
/// them `first-line` or `last-line`.
fn priorities_of(tokens: &mut Tokens<'_>) -> Result<Vec<Priority>, Malformed> {
    if let Token::Word(word) = tokens.peek()
        && Criterium::of(word).is_some()
    {
        let order = criterium_order(tokens)?;
        if tokens.peek() != Token::End {
            return Err(tokens.malformed("nothing after the seven letters"));
        }
        return Ok(vec![
            Priority::Criterium(order),
            Priority::NumberOfCriteria,
            Priority::LastLine,
        ]);
    }
    let mut priorities: Vec<Priority> = Vec::new();
    loop {
        let is_there = |kind: fn(&Priority) -> bool| priorities.iter().any(kind);
        let next =
            match tokens.peek() {
                Token::Word("first-line") => Priority::FirstLine,
                Token::Word("last-line") => Priority::LastLine,
                Token::Word("number-of-criteria")
                    if !is_there(|priority| matches!(priority, Priority::NumberOfCriteria)) =>
                {
                    Priority::NumberOfCriteria
                }
                Token::Word("criterium")
                    if !is_there(|priority| matches!(priority, Priority::Criterium(_))) =>
                {
                    tokens.take();
                    if tokens.peek() != Token::Open {
                        return Err(tokens.malformed("\"(\""));
                    }
                    tokens.take();
                    let order = criterium_order(tokens)?;
                    if tokens.peek() != Token::Close {
                        return Err(tokens.malformed("\")\""));
                    }
                    Priority::Criterium(order)
                }
                _ => return Err(tokens.malformed(
                    "number-of-criteria, criterium(…), first-line or last-line, each at most once",
                )),
            };
        tokens.take();
        let is_last = matches!(next, Priority::FirstLine | Priority::LastLine);
        priorities.push(next);
        match tokens.peek() {
            Token::End if is_last => return Ok(priorities),
            Token::Comma if !is_last => tokens.take(),
            _ if is_last => return Err(tokens.malformed("nothing after first-line or last-line")),
            _ => return Err(tokens.malformed("\",\" and at last first-line or last-line")),
        };
    }
}

/// The seven letters, each once, between commas.
fn criterium_order(tokens: &mut Tokens<'_>) -> Result<[Criterium; 7], Malformed> {
    let mut order: Vec<Criterium> = Vec::with_capacity(7);
    loop {
        let criterium = match tokens.peek() {
            Token::Word(word) => Criterium::of(word),
            _ => None,
        };
        let Some(criterium) = criterium.filter(|criterium| !order.contains(criterium)) else {
            return Err(tokens.malformed("each of the letters t, s, c, b, a, m, g once"));
        };
        tokens.take();
        order.push(criterium);
        if let Ok(order) = <[Criterium; 7]>::try_from(order.as_slice()) {
            return Ok(order);
        }
        if !tokens.take_if(Token::Comma) {
            return Err(tokens.malformed("\",\" and the rest of the letters t, s, c, b, a, m, g"));
        }
    }
}

/// `m book dvd + g !visitor`.
fn conditions_of(tokens: &mut Tokens<'_>) -> Result<Vec<Condition>, Malformed> {
    let mut conditions = Vec::new();
    loop {
        let criterium = match tokens.peek() {
            Token::Word(word) => Criterium::of(word),
            _ => None,
        };
        let criterium = criterium.ok_or_else(|| tokens.malformed(CRITERIUM))?;
        tokens.take();
        conditions.push(condition_of(tokens, criterium)?);
        if !tokens.take_if(Token::Plus) {
            return Ok(conditions);
        }
    }
}

fn condition_of(tokens: &mut Tokens<'_>, criterium: Criterium) -> Result<Condition, Malformed> {
    let (mut included, mut excluded) = (Vec::new(), Vec::new());
    let mut matches_all = false;
    loop {
        let negated = tokens.take_if(Token::Not);
        match tokens.peek() {
            // Without the "+" a letter would silently become a value.
            Token::Word(word) if Criterium::of(word).is_some() => {
                return Err(tokens.malformed("\"+\" before another criterium"));
            }
            Token::Word(word) if word.len() > LONGEST_CODE => {
                return Err(tokens.malformed("a code of at most 40 characters"));
            }
            Token::Word("all") if negated => return Err(tokens.malformed("a code after \"!\"")),
            Token::Word("all") if !included.is_empty() => {
                return Err(tokens.malformed("either \"all\" or codes"));
            }
            Token::Word("all") => matches_all = true,
            Token::Word(word) if negated => excluded.push(word.to_owned()),
            Token::Word(_) if matches_all => {
                return Err(tokens.malformed("either \"all\" or codes"));
            }
            Token::Word(word) => included.push(word.to_owned()),
            _ if negated => return Err(tokens.malformed("a code after \"!\"")),
            _ if included.is_empty() && excluded.is_empty() && !matches_all => {
                return Err(tokens.malformed("a code, \"!\" and a code, or \"all\""));
            }
            _ => {
                return Ok(Condition {
                    criterium,
                    included,
                    excluded,
                });
            }
        }
        tokens.take();
    }
}

/// `: l … r … n … o … i …`, or nothing.
fn policies_of_rule(tokens: &mut Tokens<'_>) -> Result<Option<PolicyNames>, Malformed> {
    match tokens.peek() {
        Token::End => Ok(None),
        Token::Colon => {
            tokens.take();
            policies_of(tokens).map(Some)
        }
        _ => Err(tokens.malformed("\"+\" and another criterium, or \":\" and policies")),
    }
}

fn policies_of(tokens: &mut Tokens<'_>) -> Result<PolicyNames, Malformed> {
    const LETTERS: [&str; 5] = ["l", "r", "n", "o", "i"];
    let mut names: [Option<PolicyName>; 5] = Default::default();
    while tokens.peek() != Token::End {
        let place = match tokens.peek() {
            Token::Word(word) => LETTERS.iter().position(|letter| *letter == word),
            _ => None,
        };
        let Some(place) = place.filter(|place| names[*place].is_none()) else {
            return Err(tokens.malformed(POLICIES));
        };
        tokens.take();
        let column = tokens.column();
        match tokens.peek() {
            Token::Word(word) if word.len() <= LONGEST_CODE => {
                names[place] = Some(PolicyName {
                    code: word.to_owned(),
                    column,
                });
            }
            _ => return Err(tokens.malformed("a policy's code of at most 40 characters")),
        }
        tokens.take();
    }
    match names {
        [
            Some(loan),
            Some(request),
            Some(notice),
            Some(overdue_fine),
            Some(lost_item),
        ] => Ok(PolicyNames {
            loan,
            request,
            notice,
            overdue_fine,
            lost_item,
        }),
        _ => Err(tokens.malformed(POLICIES)),
    }
}

#[cfg(test)]
mod tests;
