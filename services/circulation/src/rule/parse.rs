//! Reads rule text. Never stops at the first error: a line that can't be read
//! is reported and left out, so that the author sees all of them at once.
//!
//! The text is FOLIO's: a `priority` line, lines of criteria with policies,
//! nested by indentation, and a `fallback-policy` line before the first or
//! after the last of them. What FOLIO takes is taken, with two exceptions: a
//! line without policies and without a line below it has no effect and is
//! refused; and no code is longer than 40 characters. Versions are kept as
//! texts, so what was taken once must be taken for ever.

mod line;

use super::criterium::{Branches, Criterium};
use super::model::{Rule, Rules};
use super::priority::Priority;
use super::token::{Malformed, Token, Tokens};

/// The most errors that are told at once.
pub(crate) const MOST_ERRORS: usize = 100;
/// How many lines with criteria a text may have.
const MOST_LINES: usize = 10_000;
/// How many codes its criteria may name.
const MOST_CODES: usize = 50_000;
/// What a line may have at the most, in characters.
const LONGEST_LINE: usize = 4_000;
/// How deep lines may be nested.
const DEEPEST: usize = 20;

const PRIORITY: &str = "priority";
const FALLBACK: &str = "fallback-policy";

/// A code that a criterium names, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mention<'a> {
    pub criterium: Criterium,
    pub code: &'a str,
    pub line: u32,
    pub column: u32,
}

/// Reads a text.
///
/// # Errors
/// Everything that is wrong with it, by line, 100 at the most.
pub fn parse(text: &str) -> Result<Rules, Vec<Malformed>> {
    read(text).map(|(rules, _)| rules)
}

/// Reads a text, and where it names which codes.
pub(crate) fn read(text: &str) -> Result<(Rules, Vec<Mention<'_>>), Vec<Malformed>> {
    let mut reader = Reader::default();
    // Some editors put a byte order mark before the first line.
    for (number, line) in (1..).zip(lines(text.trim_start_matches('\u{feff}'))) {
        reader.line(number, line);
        if reader.is_full {
            break;
        }
    }
    reader.finish()
}

/// The lines, ended as on any system: by `\n`, `\r\n` or `\r`.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('\r'))
}

/// Past the last character of a text whose comment was cut off.
fn end_column(text: &str) -> u32 {
    text.trim_end().chars().count() as u32 + 1
}

/// A line that others may stand under.
#[derive(Debug)]
struct Open {
    indent: usize,
    line: u32,
    end_column: u32,
    /// Its conditions; those of the line above where it could not be read.
    branch: Option<usize>,
    /// Whether it names policies or has a line below it.
    is_used: bool,
}

#[derive(Debug, Default)]
struct Reader<'a> {
    priorities: Option<Vec<Priority>>,
    has_priority: bool,
    fallback: Option<Rule>,
    has_fallback: bool,
    /// The fallback policy's line where rules stand before it.
    late_fallback: Option<u32>,
    lines_before_fallback: usize,
    rules: Vec<Rule>,
    branches: Branches,
    /// How many lines with criteria there were.
    lines: usize,
    mentions: Vec<Mention<'a>>,
    /// From the outermost to the line before.
    open: Vec<Open>,
    errors: Vec<Malformed>,
    /// The last line and past its end.
    end: (u32, u32),
    is_full: bool,
}

impl<'a> Reader<'a> {
    fn line(&mut self, number: u32, raw: &'a str) {
        let text = raw.split(['#', '/']).next().unwrap_or_default();
        self.end = (number, end_column(text));
        if raw.chars().nth(LONGEST_LINE).is_some() {
            self.tell(
                number,
                LONGEST_LINE as u32 + 1,
                "at most 4000 characters in a line",
            );
        } else if !text.trim().is_empty()
            && let Err(error) = self.read(number, text, raw.trim())
        {
            self.errors.push(error);
        }
        self.is_full |= self.errors.len() >= MOST_ERRORS;
    }

    fn tell(&mut self, line: u32, column: u32, expected: impl Into<String>) {
        let expected = expected.into();
        self.errors.push(Malformed {
            line,
            column,
            expected,
        });
    }

    fn read(&mut self, number: u32, text: &'a str, written: &str) -> Result<(), Malformed> {
        let indent = text.len() - text.trim_start_matches(' ').len();
        let tokens = Tokens::of(number, text);
        if let Ok(tokens) = &tokens
            && let Token::Word(word @ (PRIORITY | FALLBACK)) = tokens.peek()
        {
            return self.heading(word, tokens.clone(), indent, number, written);
        }
        self.criteria(number, text, indent, written, tokens)
    }

    fn heading(
        &mut self,
        word: &str,
        mut tokens: Tokens<'a>,
        indent: usize,
        number: u32,
        written: &str,
    ) -> Result<(), Malformed> {
        self.leave(0);
        let is_priority = word == PRIORITY;
        let seen = if is_priority {
            &mut self.has_priority
        } else {
            &mut self.has_fallback
        };
        // A broken one is reported once, not also as missing.
        if std::mem::replace(seen, true) {
            return Err(tokens.malformed(&format!("only one {word} line")));
        }
        if indent > 0 {
            return Err(tokens.malformed(&format!("no indentation before {word}")));
        }
        if is_priority && self.lines > 0 {
            return Err(tokens.malformed("the priority line before the first rule"));
        }
        tokens.take();
        if !tokens.take_if(Token::Colon) {
            return Err(tokens.malformed("\":\""));
        }
        if is_priority {
            self.priorities = Some(line::priorities(&mut tokens)?);
            return Ok(());
        }
        self.late_fallback = (self.lines > 0).then_some(number);
        self.lines_before_fallback = self.lines;
        self.fallback = Some(Rule {
            line: number,
            text: written.to_owned(),
            branch: None,
            criteria: Default::default(),
            policies: line::policies(&mut tokens)?,
        });
        Ok(())
    }

    fn criteria(
        &mut self,
        number: u32,
        text: &str,
        indent: usize,
        written: &str,
        tokens: Result<Tokens<'a>, Malformed>,
    ) -> Result<(), Malformed> {
        self.lines += 1;
        if self.lines > MOST_LINES {
            self.is_full = true;
            self.tell(number, 1, "at most 10000 lines with criteria");
            return Ok(());
        }
        let nesting = self.nest(number, indent);
        let above = self.open.last().and_then(|open| open.branch);
        let mut tokens = match tokens {
            Ok(tokens) => tokens,
            Err(error) => {
                self.open(number, text, indent, above, true);
                return Err(error);
            }
        };
        // The line counts for what stands under it, also where it is wrong
        // itself: otherwise one error would beget many.
        let own = line::conditions(&mut tokens, &mut self.mentions);
        let (branch, policies) = match own {
            Ok(conditions) => {
                let branch = self.branches.add(above, conditions);
                (branch, line::policies_of_rule(&mut tokens))
            }
            Err(error) => {
                self.open(number, text, indent, above, true);
                return Err(error);
            }
        };
        let is_used = !matches!(policies, Ok(None));
        self.open(number, text, indent, Some(branch), is_used);
        nesting?;
        if self.mentions.len() > MOST_CODES {
            self.is_full = true;
            self.tell(number, 1, "at most 50000 codes in all criteria together");
        }
        if let Some(policies) = policies? {
            self.rules.push(Rule {
                line: number,
                text: written.to_owned(),
                branch: Some(branch),
                criteria: self.branches.criteria(branch),
                policies,
            });
        }
        Ok(())
    }

    fn open(&mut self, line: u32, text: &str, indent: usize, branch: Option<usize>, is_used: bool) {
        self.open.push(Open {
            indent,
            line,
            end_column: end_column(text),
            branch,
            is_used,
        });
    }

    /// Finds the line that one with this indentation stands under.
    fn nest(&mut self, line: u32, indent: usize) -> Result<(), Malformed> {
        let was_open: Vec<usize> = self.open.iter().map(|open| open.indent).collect();
        self.leave(indent);
        let malformed = |expected: String| Malformed {
            line,
            column: indent as u32 + 1,
            expected,
        };
        let is_sibling = was_open.contains(&indent);
        let is_below = was_open.last().is_some_and(|last| indent > *last);
        if let Some(open) = self.open.last_mut() {
            open.is_used = true;
        }
        if self.open.len() >= DEEPEST {
            return Err(malformed("at most 20 levels of indentation".into()));
        }
        if is_sibling || is_below || was_open.is_empty() && indent == 0 {
            return Ok(());
        }
        if was_open.is_empty() {
            let expected = "no indentation, since no line above nests it";
            return Err(malformed(expected.into()));
        }
        let known: Vec<String> = was_open.iter().map(ToString::to_string).collect();
        Err(malformed(format!(
            "an indentation as of a line above: {} spaces, found {indent}",
            known.join(", ")
        )))
    }

    /// Leaves the lines that one with this indentation is not under.
    fn leave(&mut self, indent: usize) {
        while let Some(open) = self.open.pop_if(|open| open.indent >= indent) {
            if !open.is_used {
                let expected = "\":\" and policies, or an indented line below";
                self.tell(open.line, open.end_column, expected);
            }
        }
    }

    fn finish(mut self) -> Result<(Rules, Vec<Mention<'a>>), Vec<Malformed>> {
        if !self.is_full {
            self.leave(0);
            self.missing();
        }
        match (self.priorities, self.fallback) {
            (Some(priorities), Some(fallback)) if self.errors.is_empty() => {
                let rules = Rules::new(priorities, fallback, self.rules, self.branches);
                Ok((rules, self.mentions))
            }
            _ => {
                self.errors.sort_by_key(|error| (error.line, error.column));
                self.errors.truncate(MOST_ERRORS);
                Err(self.errors)
            }
        }
    }

    /// What the text as a whole lacks, or has in the wrong place.
    fn missing(&mut self) {
        if let Some(fallback) = self.late_fallback
            && self.lines > self.lines_before_fallback
        {
            let expected = "the fallback-policy line before the first rule or after the last one";
            self.tell(fallback, 1, expected);
        }
        if !self.has_priority {
            self.tell(1, 1, "a priority line before the first rule");
        }
        let (line, column) = self.end;
        if !self.has_fallback {
            let expected = "a fallback-policy line before the first rule or after the last one";
            self.tell(line.max(1), column.max(1), expected);
        }
    }
}

#[cfg(test)]
mod malformed;
#[cfg(test)]
mod tests;
