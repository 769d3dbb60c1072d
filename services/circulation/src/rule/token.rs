//! The words and signs of a line of rule text.

/// Something wrong in a rule text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The line, from 1.
    pub line: u32,
    /// The character in the line, from 1; one past the end where something is
    /// missing there.
    pub column: u32,
    /// What was expected, and what stands there.
    pub expected: String,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            line,
            column,
            expected,
        } = self;
        write!(f, "line {line}, column {column}: expected {expected}")
    }
}

/// A word or a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    Word(&'a str),
    Plus,
    Colon,
    Not,
    Comma,
    Open,
    Close,
    End,
}

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word(word) if word.chars().count() > 40 => f.write_str("a long word"),
            Self::Word(word) => write!(f, "\"{word}\""),
            Self::Plus => f.write_str("\"+\""),
            Self::Colon => f.write_str("\":\""),
            Self::Not => f.write_str("\"!\""),
            Self::Comma => f.write_str("\",\""),
            Self::Open => f.write_str("\"(\""),
            Self::Close => f.write_str("\")\""),
            Self::End => f.write_str("the end of the line"),
        }
    }
}

/// The tokens of one line, read from left to right.
#[derive(Debug, Clone)]
pub(crate) struct Tokens<'a> {
    line: u32,
    /// Each with its column.
    tokens: Vec<(Token<'a>, u32)>,
    next: usize,
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

impl<'a> Tokens<'a> {
    /// Splits a line whose comment was cut off.
    pub(crate) fn of(line: u32, text: &'a str) -> Result<Self, Malformed> {
        let mut tokens = Vec::new();
        let mut rest = text;
        let mut column = 1;
        while let Some(c) = rest.chars().next() {
            let length = match c {
                c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                c => c.len_utf8(),
            };
            let (piece, after) = rest.split_at(length);
            let token = match c {
                c if is_word(c) => Some(Token::Word(piece)),
                '+' => Some(Token::Plus),
                ':' => Some(Token::Colon),
                '!' => Some(Token::Not),
                ',' => Some(Token::Comma),
                '(' => Some(Token::Open),
                ')' => Some(Token::Close),
                ' ' => None,
                '\t' => {
                    let expected = "spaces, not a tab".to_owned();
                    return Err(Malformed {
                        line,
                        column,
                        expected,
                    });
                }
                other => {
                    let expected = format!(
                        "a letter, a digit or one of \"- _ . + : ! , ( )\", found {other:?}"
                    );
                    return Err(Malformed {
                        line,
                        column,
                        expected,
                    });
                }
            };
            tokens.extend(token.map(|token| (token, column)));
            column += piece.chars().count() as u32;
            rest = after;
        }
        // What is missing at the end is missing right after the last word.
        let end = text.trim_end().chars().count() as u32 + 1;
        tokens.push((Token::End, end));
        Ok(Self {
            line,
            tokens,
            next: 0,
        })
    }

    /// The token that comes next.
    pub(crate) fn peek(&self) -> Token<'a> {
        self.tokens[self.next].0
    }

    /// The column of the token that comes next.
    pub(crate) fn column(&self) -> u32 {
        self.tokens[self.next].1
    }

    /// Takes the next token; the end stays.
    pub(crate) fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    /// Takes the next token where it is this one.
    pub(crate) fn take_if(&mut self, token: Token<'_>) -> bool {
        let there = self.peek() == token;
        if there {
            self.take();
        }
        there
    }

    /// The line's number.
    pub(crate) fn line(&self) -> u32 {
        self.line
    }

    /// Something else was expected here.
    pub(crate) fn malformed(&self, expected: &str) -> Malformed {
        Malformed {
            line: self.line,
            column: self.column(),
            expected: format!("{expected}, found {}", self.peek()),
        }
    }
}
