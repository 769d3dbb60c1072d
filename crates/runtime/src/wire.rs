//! Reading and writing the wire's values: ids, dates, instants.

use carrel_money::{Money, MoneyError};
use carrel_proto::r#type::v1 as wire;
use jiff::Timestamp;
use jiff::civil;
use uuid::Uuid;

use crate::refusal::Refusal;

/// Reads an id.
///
/// # Errors
/// ID_MALFORMED, naming the field.
pub fn id(field: &str, text: &str) -> Result<Uuid, Refusal> {
    carrel_ids::parse(text)
        .map_err(|error| Refusal::field(field, "ID_MALFORMED", error.to_string()))
}

/// Reads an id that may be left out.
///
/// # Errors
/// As [`id`].
pub fn optional_id(field: &str, text: &str) -> Result<Option<Uuid>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    id(field, text).map(Some)
}

/// Reads a message that must be there.
///
/// # Errors
/// FIELD_MISSING, naming the field.
pub fn required<'a, T>(field: &str, value: &'a Option<T>) -> Result<&'a T, Refusal> {
    value
        .as_ref()
        .ok_or_else(|| Refusal::field(field, "FIELD_MISSING", "is needed"))
}

/// Reads a text with bounds on its length in characters; surrounding white
/// space is refused rather than silently cut.
///
/// # Errors
/// TEXT_LENGTH or TEXT_MALFORMED, naming the field.
pub fn text<'a>(
    field: &str,
    value: &'a str,
    least: usize,
    most: usize,
) -> Result<&'a str, Refusal> {
    let length = value.chars().count();
    if length < least || length > most {
        return Err(Refusal::field(
            field,
            "TEXT_LENGTH",
            format!("must have {least} to {most} characters, not {length}"),
        ));
    }
    if value.trim() != value
        || value
            .chars()
            .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        return Err(Refusal::field(
            field,
            "TEXT_MALFORMED",
            "must not begin or end with white space, nor hold control characters",
        ));
    }
    Ok(value)
}

/// Reads a code: 1 to 40 characters of A-Z a-z 0-9 _ - .
///
/// # Errors
/// CODE_MALFORMED, naming the field.
pub fn code<'a>(field: &str, value: &'a str) -> Result<&'a str, Refusal> {
    let sound = (1..=40).contains(&value.len())
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if sound {
        Ok(value)
    } else {
        Err(Refusal::field(
            field,
            "CODE_MALFORMED",
            "must be 1 to 40 letters, digits, '_', '-' or '.'",
        ))
    }
}

/// Reads a barcode: 1 to 40 printable ASCII characters without spaces.
///
/// # Errors
/// BARCODE_MALFORMED, naming the field; the value is not repeated.
pub fn barcode<'a>(field: &str, value: &'a str) -> Result<&'a str, Refusal> {
    if (1..=40).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(value)
    } else {
        Err(Refusal::field(
            field,
            "BARCODE_MALFORMED",
            "must be 1 to 40 printable ASCII characters without spaces",
        ))
    }
}

/// Reads a date.
///
/// # Errors
/// DATE_MALFORMED, naming the field.
pub fn date(field: &str, value: &wire::Date) -> Result<civil::Date, Refusal> {
    let parts = (
        i16::try_from(value.year),
        i8::try_from(value.month),
        i8::try_from(value.day),
    );
    if let (Ok(year @ 1..=9999), Ok(month), Ok(day)) = parts
        && let Ok(date) = civil::Date::new(year, month, day)
    {
        return Ok(date);
    }
    Err(Refusal::field(
        field,
        "DATE_MALFORMED",
        "is not a date with year, month and day",
    ))
}

/// Reads an amount of money.
///
/// # Errors
/// CURRENCY_UNKNOWN, AMOUNT_TOO_LARGE or AMOUNT_MALFORMED, naming the field.
pub fn money(field: &str, value: &wire::Money) -> Result<Money, Refusal> {
    Money::try_from(value).map_err(|error| {
        let reason = match error {
            MoneyError::UnknownCurrency => "CURRENCY_UNKNOWN",
            MoneyError::TooLarge => "AMOUNT_TOO_LARGE",
            MoneyError::TooFine
            | MoneyError::Malformed
            | MoneyError::CurrencyMismatch(..)
            | MoneyError::NoWeights => "AMOUNT_MALFORMED",
        };
        Refusal::field(field, reason, error.to_string())
    })
}

/// Writes a date.
#[must_use]
pub fn to_date(date: civil::Date) -> wire::Date {
    wire::Date {
        year: date.year().into(),
        month: date.month().into(),
        day: date.day().into(),
    }
}

/// Reads an instant, to the microsecond.
///
/// # Errors
/// TIMESTAMP_MALFORMED, naming the field.
pub fn timestamp(field: &str, value: &prost_types::Timestamp) -> Result<Timestamp, Refusal> {
    let malformed = || Refusal::field(field, "TIMESTAMP_MALFORMED", "is not an instant");
    if !(0..1_000_000_000).contains(&value.nanos) {
        return Err(malformed());
    }
    let instant = Timestamp::new(value.seconds, value.nanos).map_err(|_| malformed())?;
    Timestamp::from_microsecond(instant.as_microsecond()).map_err(|_| malformed())
}

/// Writes an instant.
#[must_use]
pub fn to_timestamp(instant: Timestamp) -> prost_types::Timestamp {
    // On the wire nanos count forward, also before 1970.
    let seconds = instant.as_nanosecond().div_euclid(1_000_000_000);
    let nanos = instant.as_nanosecond().rem_euclid(1_000_000_000);
    prost_types::Timestamp {
        seconds: i64::try_from(seconds).expect("jiff's range is years -9999 to 9999"),
        nanos: i32::try_from(nanos).expect("a remainder of 10^9"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_survive_the_wire_also_before_1970() {
        for text in ["2026-11-01T08:59:59.999999Z", "1969-12-31T23:59:58.5Z"] {
            let instant: Timestamp = text.parse().unwrap();
            assert_eq!(timestamp("t", &to_timestamp(instant)).unwrap(), instant);
        }
    }

    #[test]
    fn malformed_values_are_refused_with_the_field() {
        let date = wire::Date {
            year: 2026,
            month: 2,
            day: 30,
        };
        assert_eq!(
            super::date("d", &date).unwrap_err().reason(),
            "DATE_MALFORMED"
        );
        assert_eq!(id("item_id", "7").unwrap_err().reason(), "ID_MALFORMED");
        assert_eq!(
            barcode("b", "3 1").unwrap_err().reason(),
            "BARCODE_MALFORMED"
        );
        assert_eq!(code("c", "a b").unwrap_err().reason(), "CODE_MALFORMED");
        assert_eq!(
            text("t", " a", 1, 5).unwrap_err().reason(),
            "TEXT_MALFORMED"
        );
    }
}
