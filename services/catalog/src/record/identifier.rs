//! Standard numbers, normalised so that the same number is found however it
//! was written.

/// The kinds of identifier that can be looked up by name.
pub(crate) const SCHEMES: [&str; 4] = ["isbn", "issn", "lccn", "oclc"];

/// An identifier of this scheme as it is kept, such as "isbn:9780393040029";
/// `None` where it can't be one.
pub(crate) fn normalized(scheme: &str, value: &str) -> Option<String> {
    let value = match scheme {
        "isbn" => isbn(value),
        "issn" => issn(value),
        "lccn" => lccn(value),
        "oclc" => oclc(value),
        _ => None,
    }?;
    Some(format!("{scheme}:{value}"))
}

/// An ISBN, as 13 digits. One of ten digits becomes the thirteen it stands for
/// (ISBN Users' Manual: 978 before it, a new check digit). A number that was
/// printed with a wrong check digit is kept as it is, since it is on the book.
fn isbn(value: &str) -> Option<String> {
    // "0394502884 (pbk.) : $12.50", "0-393-04002-X"
    let characters = value
        .trim_start()
        .chars()
        .take_while(|c| !matches!(c, '(' | ':' | ';' | ','));
    let mut digits = String::new();
    for character in characters {
        match character {
            '0'..='9' => digits.push(character),
            'x' | 'X' if digits.len() == 9 => digits.push('X'),
            '-' | '\u{2010}'..='\u{2013}' => {}
            // Blanks group the digits, or end the number.
            ' ' if digits.len() < 10 || (digits.len() < 13 && digits.starts_with("97")) => {}
            _ => break,
        }
        if digits.len() == 13 {
            break;
        }
    }
    match digits.len() {
        10 if isbn10_is_valid(&digits) => {
            let core = format!("978{}", &digits[..9]);
            let check = ean_check_digit(&core);
            Some(format!("{core}{check}"))
        }
        10 => Some(digits),
        13 if !digits.contains('X') => Some(digits),
        _ => None,
    }
}

fn isbn10_is_valid(digits: &str) -> bool {
    let sum: u32 = digits
        .chars()
        .zip((1..=10).rev())
        .map(|(digit, weight)| weight * digit.to_digit(10).unwrap_or(10))
        .sum();
    sum.is_multiple_of(11)
}

/// The 13th digit (EAN-13).
fn ean_check_digit(twelve: &str) -> u32 {
    let sum: u32 = twelve
        .chars()
        .enumerate()
        .map(|(place, digit)| digit.to_digit(10).unwrap_or(0) * if place % 2 == 0 { 1 } else { 3 })
        .sum();
    (10 - sum % 10) % 10
}

/// An ISSN, as "1234-567X".
fn issn(value: &str) -> Option<String> {
    let digits: String = value
        .trim()
        .chars()
        .filter(|c| !matches!(c, '-' | '\u{2010}'..='\u{2013}' | ' '))
        .take_while(|c| c.is_ascii_alphanumeric())
        .collect::<String>()
        .to_ascii_uppercase();
    let (serial, check) = digits.split_at_checked(7)?;
    let sound = serial.bytes().all(|byte| byte.is_ascii_digit())
        && matches!(check.as_bytes(), [b'0'..=b'9' | b'X']);
    sound.then(|| format!("{}-{}{check}", &serial[..4], &serial[4..]))
}

/// An LCCN by the Library of Congress's rule ("info:lccn" namespace): blanks
/// and what follows a slash go, and what follows a hyphen is filled up with
/// zeros to six digits.
fn lccn(value: &str) -> Option<String> {
    let compact: String = value.chars().filter(|c| !c.is_whitespace()).collect();
    let compact = compact
        .split('/')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let number = match compact.split_once('-') {
        Some((year, serial)) if serial.len() <= 6 => format!("{year}{serial:0>6}"),
        Some(_) => return None,
        None => compact,
    };
    let serial_digits = number.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let sound = (8..=12).contains(&number.len())
        && number.len() - serial_digits.len() <= 3
        && serial_digits.bytes().all(|byte| byte.is_ascii_digit());
    sound.then_some(number)
}

/// An OCLC number: its digits, without "(OCoLC)", "ocm", "ocn" or "on" and
/// without zeros in front.
fn oclc(value: &str) -> Option<String> {
    let value = value.trim();
    let value = strip_prefix_ignoring_case(value, "(ocolc)")
        .unwrap_or(value)
        .trim_start();
    let value = ["ocm", "ocn", "on"]
        .into_iter()
        .find_map(|prefix| strip_prefix_ignoring_case(value, prefix))
        .unwrap_or(value)
        .trim();
    let digits = value.trim_start_matches('0');
    let sound =
        (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| digits.to_owned())
}

pub(crate) fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// What a look-up of an identifier searches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Any of these identifiers.
    pub identifiers: Vec<String>,
    /// Or this control number (001).
    pub control_number: Option<String>,
    /// Of this agency (003); `None`: of any.
    pub control_agency: Option<String>,
}

/// Reads what is looked up: "isbn:…", "control:(DLC)123" and so on, or a bare
/// number that may be any of them. `None` where it can be nothing.
pub(crate) fn wanted(text: &str) -> Option<Wanted> {
    let text = text.trim();
    if let Some((scheme, value)) = text.split_once(':') {
        let scheme = scheme.to_ascii_lowercase();
        if SCHEMES.contains(&scheme.as_str()) {
            let identifiers = vec![normalized(&scheme, value)?];
            return Some(Wanted {
                identifiers,
                control_number: None,
                control_agency: None,
            });
        }
        if scheme == "control" {
            return control_number(value.trim(), Vec::new());
        }
    }
    control_number(
        text,
        SCHEMES
            .iter()
            .filter_map(|scheme| normalized(scheme, text))
            .collect(),
    )
}

fn control_number(text: &str, identifiers: Vec<String>) -> Option<Wanted> {
    let agency_and_number = text.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let (agency, number) = match agency_and_number {
        Some((agency, number)) => (Some(agency.trim().to_owned()), number.trim()),
        None => (None, text),
    };
    if number.is_empty() {
        return None;
    }
    Some(Wanted {
        identifiers,
        control_number: Some(number.to_owned()),
        control_agency: agency,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_however_they_are_written() {
        for (scheme, written, kept) in [
            ("isbn", "0-393-04002-X", Some("isbn:9780393040029")),
            ("isbn", "039304002x (pbk.)", Some("isbn:9780393040029")),
            ("isbn", "978-0-393-04002-9", Some("isbn:9780393040029")),
            ("isbn", "978 0 393 04002 9 :", Some("isbn:9780393040029")),
            ("isbn", "0394502884 (v. 1)", Some("isbn:9780394502885")),
            ("isbn", "0394502885", Some("isbn:0394502885")),
            ("isbn", "$12.50", None),
            ("isbn", "", None),
            ("isbn", "é", None),
            ("issn", "0011-1422", Some("issn:0011-1422")),
            ("issn", "2434561x", Some("issn:2434-561X")),
            ("issn", "0011-14", None),
            ("lccn", "   85000002 ", Some("lccn:85000002")),
            ("lccn", "85-2 ", Some("lccn:85000002")),
            ("lccn", "2001-000002", Some("lccn:2001000002")),
            ("lccn", "n78-890351", Some("lccn:n78890351")),
            ("lccn", "75-425165//r75", Some("lccn:75425165")),
            ("lccn", "x", None),
            ("oclc", "(OCoLC)ocm00012345 ", Some("oclc:12345")),
            ("oclc", "on1234567890", Some("oclc:1234567890")),
            ("oclc", "000", None),
        ] {
            assert_eq!(
                normalized(scheme, written).as_deref(),
                kept,
                "{scheme} {written}"
            );
        }
    }

    #[test]
    fn a_bare_number_may_be_any_identifier_or_a_control_number() {
        let bare = wanted("85000002").unwrap();
        assert_eq!(
            bare.identifiers,
            ["issn:8500-0002", "lccn:85000002", "oclc:85000002"]
        );
        assert_eq!(bare.control_number.as_deref(), Some("85000002"));

        let named = wanted("ISBN:0-393-04002-X").unwrap();
        assert_eq!(named.identifiers, ["isbn:9780393040029"]);
        assert_eq!(named.control_number, None);

        let control = wanted("(AVCCD)AVC000001").unwrap();
        assert_eq!(control.control_agency.as_deref(), Some("AVCCD"));
        assert_eq!(control.control_number.as_deref(), Some("AVC000001"));
        assert_eq!(wanted("isbn:no"), None);
        assert_eq!(wanted("()"), None);
        assert_eq!(wanted(" "), None);
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_is_typed_panics(text in ".{0,40}") {
            let _ = wanted(&text);
            for scheme in SCHEMES {
                if let Some(kept) = normalized(scheme, &text) {
                    let again = normalized(scheme, kept.split_once(':').unwrap().1);
                    proptest::prop_assert_eq!(again, Some(kept));
                }
            }
        }
    }
}
