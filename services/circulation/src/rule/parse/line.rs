//! What one line of rule text may say.

use super::Mention;
use crate::rule::criterium::{Condition, Criterium, Selection};
use crate::rule::model::{PolicyName, PolicyNames};
use crate::rule::priority::Priority;
use crate::rule::token::{Malformed, Token, Tokens};

/// How many criteria a line may join; with `DEEPEST` it bounds how many
/// are looked at for one line.
const MOST_CRITERIA: usize = 20;
/// What a code may be at the longest.
const LONGEST_CODE: usize = 40;

const CRITERIUM: &str = "one of the letters t, s, c, b, a, m, g";
const PLUS: &str = "\"+\" before another criterium, or \":\" before policies";
const LETTERS: [&str; 5] = ["l", "r", "n", "o", "i"];

fn criterium_of(token: Token<'_>) -> Option<Criterium> {
    match token {
        Token::Word(word) => Criterium::of(word),
        _ => None,
    }
}

/// `t, s, c, b, a, m, g`, short for `criterium(…), number-of-criteria,
/// last-line`; or one to three of the three kinds, each once, the last of
/// them `first-line` or `last-line`.
pub(super) fn priorities(tokens: &mut Tokens<'_>) -> Result<Vec<Priority>, Malformed> {
    if criterium_of(tokens.peek()).is_some() {
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
        let next = priority(tokens, &priorities)?;
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

fn priority(tokens: &mut Tokens<'_>, before: &[Priority]) -> Result<Priority, Malformed> {
    let is_there = |kind: fn(&Priority) -> bool| before.iter().any(kind);
    let next = match tokens.peek() {
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
            if !tokens.take_if(Token::Open) {
                return Err(tokens.malformed("\"(\""));
            }
            let order = criterium_order(tokens)?;
            if tokens.peek() != Token::Close {
                return Err(tokens.malformed("\")\""));
            }
            Priority::Criterium(order)
        }
        _ => {
            return Err(tokens.malformed(
                "number-of-criteria, criterium(…), first-line or last-line, each at most once",
            ));
        }
    };
    tokens.take();
    Ok(next)
}

/// The seven letters, each once; commas between them may be left out.
fn criterium_order(tokens: &mut Tokens<'_>) -> Result<[Criterium; 7], Malformed> {
    let mut order: Vec<Criterium> = Vec::with_capacity(7);
    loop {
        let next = criterium_of(tokens.peek());
        let Some(criterium) = next.filter(|criterium| !order.contains(criterium)) else {
            return Err(tokens.malformed("each of the letters t, s, c, b, a, m, g once"));
        };
        tokens.take();
        order.push(criterium);
        if let Ok(order) = <[Criterium; 7]>::try_from(order.as_slice()) {
            return Ok(order);
        }
        tokens.take_if(Token::Comma);
    }
}

/// `m book dvd + g !visitor`.
pub(super) fn conditions<'a>(
    tokens: &mut Tokens<'a>,
    mentions: &mut Vec<Mention<'a>>,
) -> Result<Vec<Condition>, Malformed> {
    let mut conditions = Vec::new();
    loop {
        let criterium = criterium_of(tokens.peek()).ok_or_else(|| tokens.malformed(CRITERIUM))?;
        tokens.take();
        let selection = selection(tokens, criterium, mentions)?;
        conditions.push(Condition {
            criterium,
            selection,
        });
        if tokens.peek() == Token::Plus && conditions.len() == MOST_CRITERIA {
            return Err(tokens.malformed("at most 20 criteria in a line"));
        }
        if !tokens.take_if(Token::Plus) {
            return Ok(conditions);
        }
    }
}

/// `all`, or codes, or codes of which each has its `!`.
fn selection<'a>(
    tokens: &mut Tokens<'a>,
    criterium: Criterium,
    mentions: &mut Vec<Mention<'a>>,
) -> Result<Selection, Malformed> {
    if tokens.take_if(Token::Word("all")) {
        return match tokens.peek() {
            Token::Word(word) if Criterium::of(word).is_none() => {
                Err(tokens.malformed("either \"all\" or codes"))
            }
            Token::Word(_) => Err(tokens.malformed(PLUS)),
            Token::Not => Err(tokens.malformed("either \"all\" or codes")),
            _ => Ok(Selection::All),
        };
    }
    let is_negated = tokens.peek() == Token::Not;
    let first = mentions.len();
    loop {
        match (tokens.peek(), is_negated) {
            (Token::Not, true) => {
                tokens.take();
            }
            (Token::Not, false) => {
                return Err(tokens.malformed("\"!\" before each code or before none"));
            }
            (Token::Word(word), true) if Criterium::of(word).is_none() => {
                return Err(tokens.malformed("\"!\" before each code or before none"));
            }
            _ => {}
        }
        let code = code(tokens, mentions.len() == first, is_negated)?;
        mentions.push(Mention {
            criterium,
            code,
            line: tokens.line(),
            column: tokens.column(),
        });
        tokens.take();
        if !matches!(tokens.peek(), Token::Word(_) | Token::Not) {
            let codes = mentions[first..].iter().map(|mention| mention.code);
            return Ok(if is_negated {
                Selection::NoneOf(codes.collect())
            } else {
                Selection::AnyOf(codes.collect())
            });
        }
    }
}

fn code<'a>(tokens: &Tokens<'a>, is_first: bool, is_negated: bool) -> Result<&'a str, Malformed> {
    match tokens.peek() {
        // Without the "+" a letter would silently become a value.
        Token::Word(word) if Criterium::of(word).is_some() => Err(tokens.malformed(PLUS)),
        Token::Word(word) if word.len() > LONGEST_CODE => {
            Err(tokens.malformed("a code of at most 40 characters"))
        }
        Token::Word("all") if is_negated => Err(tokens.malformed("a code after \"!\"")),
        Token::Word("all") if !is_first => Err(tokens.malformed("either \"all\" or codes")),
        Token::Word(word) => Ok(word),
        _ if is_negated => Err(tokens.malformed("a code after \"!\"")),
        _ => Err(tokens.malformed("a code, \"!\" and a code, or \"all\"")),
    }
}

/// `: l … r … n … o … i …`, or nothing.
pub(super) fn policies_of_rule(tokens: &mut Tokens<'_>) -> Result<Option<PolicyNames>, Malformed> {
    match tokens.peek() {
        Token::End => Ok(None),
        Token::Colon => {
            tokens.take();
            policies(tokens).map(Some)
        }
        _ => Err(tokens.malformed("\"+\" and another criterium, or \":\" and policies")),
    }
}

/// One each of the five, in any order.
pub(super) fn policies(tokens: &mut Tokens<'_>) -> Result<PolicyNames, Malformed> {
    let mut names: [Option<PolicyName>; 5] = Default::default();
    while tokens.peek() != Token::End {
        let place = match tokens.peek() {
            Token::Word(word) => LETTERS.iter().position(|letter| *letter == word),
            _ => None,
        };
        let Some(place) = place else {
            return Err(tokens.malformed(&missing(&names)));
        };
        if names[place].is_some() {
            let expected = format!("only one {} policy", LETTERS[place]);
            return Err(tokens.malformed(&expected));
        }
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
    let expected = missing(&names);
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
        _ => Err(tokens.malformed(&expected)),
    }
}

/// What policies are still to come.
fn missing(names: &[Option<PolicyName>; 5]) -> String {
    let missing: Vec<&str> = LETTERS
        .into_iter()
        .zip(names)
        .filter(|(_, name)| name.is_none())
        .map(|(letter, _)| letter)
        .collect();
    match missing.as_slice() {
        [] => "nothing after the five policies".into(),
        [only] => format!("the {only} policy"),
        _ => format!("one each of the policies {}", missing.join(", ")),
    }
}
