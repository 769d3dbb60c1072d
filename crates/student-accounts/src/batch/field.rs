//! One value in its place in a line: written and read by the same description.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime};
use rust_decimal::Decimal;
use serde::Deserialize;

/// The values that a file can carry, and no others.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A text that the layout gives.
    Constant,
    /// The moment at which the file is made.
    Today,
    /// The batch's id.
    Batch,
    /// The batch's number at its destination.
    Sequence,
    /// What the other side calls the sending system.
    System,
    /// How many rows there are.
    RowCount,
    /// How many of them charge.
    ChargeCount,
    /// How many of them credit.
    CreditCount,
    /// Charges less credits.
    Total,
    /// The sum of the charges.
    ChargeTotal,
    /// The sum of the credits, without a sign.
    CreditTotal,
    /// The digits of the student ids, added up; the last digits that fit.
    HashTotal,
    /// The row's number, from 1.
    RowNumber,
    /// The student's own id there.
    StudentId,
    /// The accounting, detail or item-type code.
    Destination,
    /// The term.
    Period,
    /// The amount.
    Amount,
    /// The date from which the student is liable.
    ChargeableOn,
    /// Our reference, eight characters.
    Reference,
    /// The reference of what a credit takes back.
    OriginalReference,
    /// The neutral text.
    Text,
    /// `charge` or `credit`, by the codes that the layout gives.
    Kind,
    /// `accepted` or `rejected`, by the codes that the layout gives; in answers.
    Verdict,
    /// Why a row was rejected; in answers.
    Reason,
    /// What the other side calls the charge; in answers.
    SisId,
    /// The name of the file that is answered; in answers.
    File,
    /// How many rows were accepted; in answers.
    AcceptedCount,
    /// How many rows were rejected; in answers.
    RejectedCount,
}

impl Source {
    pub(super) fn is_amount(self) -> bool {
        matches!(
            self,
            Self::Amount | Self::Total | Self::ChargeTotal | Self::CreditTotal
        )
    }

    pub(super) fn is_number(self) -> bool {
        self.is_control_count()
            || matches!(self, Self::Sequence | Self::RowNumber | Self::HashTotal)
    }

    pub(super) fn is_control_count(self) -> bool {
        matches!(
            self,
            Self::RowCount
                | Self::ChargeCount
                | Self::CreditCount
                | Self::AcceptedCount
                | Self::RejectedCount
        )
    }

    pub(super) fn is_date(self) -> bool {
        matches!(self, Self::Today | Self::ChargeableOn)
    }

    /// Whether it belongs to one row rather than to the file.
    pub(super) fn is_of_a_row(self) -> bool {
        matches!(
            self,
            Self::RowNumber
                | Self::StudentId
                | Self::Destination
                | Self::Period
                | Self::Amount
                | Self::ChargeableOn
                | Self::Reference
                | Self::OriginalReference
                | Self::Text
                | Self::Verdict
                | Self::Reason
                | Self::SisId
        )
    }

    /// Whether a part of it is still of use: a text, but no id, number or amount.
    pub(super) fn may_be_cut(self) -> bool {
        matches!(self, Self::Text | Self::Reason)
    }

    /// Whether rows may be without it.
    fn may_be_empty(self) -> bool {
        matches!(
            self,
            Self::OriginalReference | Self::Reason | Self::SisId | Self::Amount | Self::Text
        )
    }

    /// As the layout calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Today => "today",
            Self::Batch => "batch",
            Self::Sequence => "sequence",
            Self::System => "system",
            Self::RowCount => "row-count",
            Self::ChargeCount => "charge-count",
            Self::CreditCount => "credit-count",
            Self::Total => "total",
            Self::ChargeTotal => "charge-total",
            Self::CreditTotal => "credit-total",
            Self::HashTotal => "hash-total",
            Self::RowNumber => "row-number",
            Self::StudentId => "student-id",
            Self::Destination => "destination",
            Self::Period => "period",
            Self::Amount => "amount",
            Self::ChargeableOn => "chargeable-on",
            Self::Reference => "reference",
            Self::OriginalReference => "original-reference",
            Self::Text => "text",
            Self::Kind => "kind",
            Self::Verdict => "verdict",
            Self::Reason => "reason",
            Self::SisId => "sis-id",
            Self::File => "file",
            Self::AcceptedCount => "accepted-count",
            Self::RejectedCount => "rejected-count",
        }
    }
}

/// A value before it is written, or after it was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Datum {
    Text(String),
    Number(u64),
    Amount(Decimal),
    Date(Date),
    Moment(DateTime),
}

impl Datum {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(_) | Self::Amount(_) | Self::Date(_) | Self::Moment(_) => None,
        }
    }

    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) | Self::Amount(_) | Self::Date(_) | Self::Moment(_) => None,
        }
    }

    pub(super) fn amount(&self) -> Option<Decimal> {
        match self {
            Self::Amount(amount) => Some(*amount),
            Self::Text(_) | Self::Number(_) | Self::Date(_) | Self::Moment(_) => None,
        }
    }

    pub(super) fn date(&self) -> Option<Date> {
        match self {
            Self::Date(date) => Some(*date),
            Self::Text(_) | Self::Number(_) | Self::Amount(_) | Self::Moment(_) => None,
        }
    }
}

/// The values of one line.
pub(super) type Line = BTreeMap<Source, Datum>;

/// How an amount is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AmountForm {
    /// `17.35`
    #[default]
    Decimal,
    /// `1735`
    Cents,
}

/// How a credit is told from a charge.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Sign {
    /// `-17.35`, before any zeros that fill the field.
    #[default]
    Minus,
    /// `17.35-`
    TrailingMinus,
    /// Not in the amount: by a kind code, or by the file.
    None,
}

/// On which side a value is filled up, or cut.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Side {
    /// Before it.
    Front,
    /// After it.
    #[default]
    Back,
}

/// A field's width and how a value comes to it.
#[derive(Clone, Debug)]
pub(super) struct Length {
    pub(super) characters: usize,
    /// `None`: a shorter value stays as it is.
    pub(super) fill: Option<char>,
    pub(super) side: Side,
    pub(super) truncate: bool,
}

/// A value's place in a line.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) source: Source,
    /// What a constant says.
    pub(super) constant: String,
    /// strftime, for dates.
    pub(super) date: String,
    pub(super) form: AmountForm,
    pub(super) sign: Sign,
    /// Our name for a value to the other side's; the first is written, all are read.
    pub(super) codes: BTreeMap<String, Vec<String>>,
    pub(super) length: Option<Length>,
    /// The column's name.
    pub(super) name: String,
}

impl Field {
    /// The value as it stands in the file. The error says what is wrong without the value itself.
    pub(super) fn write(&self, line: &Line) -> Result<String, String> {
        let text = self.plain(line)?;
        let text = self.coded(text)?;
        if text.chars().any(char::is_control) {
            return Err(self.says("has a control character"));
        }
        match &self.length {
            None => Ok(text),
            Some(length) => self.fitted(text, length),
        }
    }

    fn says(&self, problem: &str) -> String {
        format!("{} {problem}", self.source.name())
    }

    fn plain(&self, line: &Line) -> Result<String, String> {
        if self.source == Source::Constant {
            return Ok(self.constant.clone());
        }
        match line.get(&self.source) {
            Some(Datum::Text(text)) => Ok(text.clone()),
            Some(Datum::Number(number)) => Ok(self.last_digits(*number)),
            Some(Datum::Amount(amount)) => self.amount_text(*amount),
            Some(Datum::Date(date)) => Ok(date.strftime(&self.date).to_string()),
            Some(Datum::Moment(moment)) => Ok(moment.strftime(&self.date).to_string()),
            None if self.source.may_be_empty() => Ok(String::new()),
            None => Err(self.says("is missing")),
        }
    }

    /// A hash total is what remains of it in the field.
    fn last_digits(&self, number: u64) -> String {
        let width = self.length.as_ref().map(|length| length.characters);
        match (self.source, width) {
            (Source::HashTotal, Some(width @ 1..=18)) => {
                (number % 10_u64.pow(width as u32)).to_string()
            }
            _ => number.to_string(),
        }
    }

    fn amount_text(&self, amount: Decimal) -> Result<String, String> {
        let mut whole = amount.abs();
        whole.rescale(2);
        if whole != amount.abs() {
            return Err(self.says("has a fraction of a cent"));
        }
        let digits = match self.form {
            AmountForm::Decimal => whole.to_string(),
            AmountForm::Cents => (whole * Decimal::ONE_HUNDRED).trunc().to_string(),
        };
        let is_negative = amount.is_sign_negative() && !amount.is_zero();
        Ok(match (self.sign, is_negative) {
            (Sign::Minus, true) => format!("-{digits}"),
            (Sign::TrailingMinus, true) => format!("{digits}-"),
            (Sign::Minus | Sign::TrailingMinus | Sign::None, _) => digits,
        })
    }

    fn coded(&self, text: String) -> Result<String, String> {
        if self.codes.is_empty() {
            return Ok(text);
        }
        self.codes
            .get(&text)
            .and_then(|codes| codes.first())
            .cloned()
            .ok_or_else(|| self.says("has a value for which the layout has no code"))
    }

    fn fitted(&self, text: String, length: &Length) -> Result<String, String> {
        let count = text.chars().count();
        if count > length.characters {
            if !length.truncate {
                let width = length.characters;
                return Err(self.says(&format!("is longer than its {width} characters")));
            }
            return Ok(match length.side {
                Side::Back => text.chars().take(length.characters).collect(),
                Side::Front => text.chars().skip(count - length.characters).collect(),
            });
        }
        let Some(fill) = length.fill else {
            return Ok(text);
        };
        let filling: String = std::iter::repeat_n(fill, length.characters - count).collect();
        Ok(match length.side {
            Side::Back => text + &filling,
            // Zeros stand between the sign and the digits.
            Side::Front if fill == '0' && text.starts_with('-') => {
                format!("-{filling}{}", &text[1..])
            }
            Side::Front => filling + &text,
        })
    }

    /// Reads the value; `None` for what only the writer knows, or what is empty.
    pub(super) fn read(&self, text: &str) -> Result<Option<Datum>, String> {
        match self.source {
            Source::Constant => {
                let expected = self.write(&Line::new())?;
                return if text == expected {
                    Ok(None)
                } else {
                    Err(self.says("is not what the layout says"))
                };
            }
            Source::Today => return Ok(None),
            _ => {}
        }
        let text = self.unfilled(text);
        if text.is_empty() && self.source.may_be_empty() {
            return Ok(None);
        }
        let text = self.decoded(text)?;
        if self.source.is_amount() {
            return self.amount_of(&text).map(Datum::Amount).map(Some);
        }
        if self.source.is_number() {
            let number = text
                .parse()
                .map_err(|_| self.says("is not a whole number"))?;
            return Ok(Some(Datum::Number(number)));
        }
        if self.source.is_date() {
            let date = Date::strptime(&self.date, &text).map_err(|_| self.says("is not a date"))?;
            return Ok(Some(Datum::Date(date)));
        }
        Ok(Some(Datum::Text(text)))
    }

    fn unfilled<'a>(&self, text: &'a str) -> &'a str {
        let Some((length, fill)) = self
            .length
            .as_ref()
            .and_then(|length| Some((length, length.fill?)))
        else {
            return text;
        };
        // The zeros before a number are part of it.
        if fill == '0' && (self.source.is_amount() || self.source.is_number()) {
            return text;
        }
        match length.side {
            Side::Front => text.trim_start_matches(fill),
            Side::Back => text.trim_end_matches(fill),
        }
    }

    fn decoded(&self, text: &str) -> Result<String, String> {
        if self.codes.is_empty() {
            return Ok(text.to_owned());
        }
        self.codes
            .iter()
            .find(|(_, codes)| codes.iter().any(|code| code == text))
            .map(|(value, _)| value.clone())
            .ok_or_else(|| self.says("is none of the layout's codes"))
    }

    fn amount_of(&self, text: &str) -> Result<Decimal, String> {
        let wrong = || self.says("is not an amount");
        let (digits, is_negative) = match self.sign {
            Sign::Minus => (
                text.strip_prefix('-').unwrap_or(text),
                text.starts_with('-'),
            ),
            Sign::TrailingMinus => (text.strip_suffix('-').unwrap_or(text), text.ends_with('-')),
            Sign::None => (text, false),
        };
        let is_digit = |c: char| c.is_ascii_digit();
        let is_sound = match self.form {
            // Exactly two decimals: one more or less is another amount.
            AmountForm::Decimal => digits.split_once('.').is_some_and(|(whole, cents)| {
                !whole.is_empty()
                    && whole.chars().all(is_digit)
                    && cents.len() == 2
                    && cents.chars().all(is_digit)
            }),
            AmountForm::Cents => !digits.is_empty() && digits.chars().all(is_digit),
        };
        if !is_sound {
            return Err(wrong());
        }
        let amount: Decimal = digits.parse().map_err(|_| wrong())?;
        let amount = match self.form {
            AmountForm::Decimal => amount,
            AmountForm::Cents => amount / Decimal::ONE_HUNDRED,
        };
        Ok(if is_negative { -amount } else { amount })
    }
}
