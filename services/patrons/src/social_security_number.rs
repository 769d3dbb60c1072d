//! Social-security numbers are refused at the edge.
//!
//! The rule: three, two and four digits with a hyphen (or a dash that is
//! written for one) between them, standing by themselves, in any text that
//! would be kept. Whether the number was ever issued makes no difference:
//! taxpayer numbers have the same form. Nine bare digits pass, because many
//! colleges' own ids look so; a roster's column that is named for such numbers
//! is refused whole, whatever its values look like.

/// Whether a text holds what is written like a social-security number.
#[must_use]
pub fn is_in(text: &str) -> bool {
    let characters: Vec<char> = text.chars().map(plain_hyphen).collect();
    // With a digit or a hyphen beside it, it is part of a longer number.
    let apart = |index: Option<usize>| {
        index
            .and_then(|index| characters.get(index))
            .is_none_or(|c| !c.is_ascii_digit() && *c != '-')
    };
    characters
        .windows(FORM.len())
        .enumerate()
        .any(|(at, window)| {
            FORM.chars().zip(window).all(|(form, c)| match form {
                '#' => c.is_ascii_digit(),
                other => *c == other,
            }) && apart(at.checked_sub(1))
                && apart(Some(at + FORM.len()))
        })
}

const FORM: &str = "###-##-####";

/// Hyphens and dashes of Unicode (U+2010 to U+2015, the minus sign, the
/// full-width hyphen) as the hyphen of ASCII: word processors put them in.
fn plain_hyphen(c: char) -> char {
    match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' => '-',
        other => other,
    }
}

/// Whether a roster's column is named for social-security numbers.
#[must_use]
pub fn is_column(name: &str) -> bool {
    let letters: String = name
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    letters == "ssn"
        || letters == "itin"
        || letters.contains("socialsecurity")
        || letters.starts_with("ssn")
        || letters.ends_with("ssn")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_by_itself_is_taken_for_one() {
        for number in [
            "078-05-1120",
            "SSN 078-05-1120.",
            "SSN078-05-1120",
            "(078\u{2013}05\u{2013}1120)",
            "900-12-3456",
        ] {
            assert!(is_in(number), "{number}");
        }
        for other in [
            "",
            "078051120",
            "078-051-120",
            "530-555-0101",
            "1078-05-1120",
            "078-05-11201",
            "5-078-05-1120",
            "01932c07-6a3e-7c4e-9b1f-2f4c8f0f7a11",
            "2026-08-24",
        ] {
            assert!(!is_in(other), "{other}");
        }
    }

    #[test]
    fn a_column_for_them_is_known_by_its_name() {
        for name in [
            "ssn",
            "SSN",
            "Social Security Number",
            "student_ssn",
            "ssn_last4",
        ] {
            assert!(is_column(name), "{name}");
        }
        for name in ["student_id", "lessons", "source", "assn_id"] {
            assert!(!is_column(name), "{name}");
        }
    }
}
