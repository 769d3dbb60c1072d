//! Card numbers have no place in our books.

/// Whether a text holds what may be a card's number: 13 to 19 digits, as one
/// group or as several with blanks or hyphens between, that pass Luhn's check
/// (ISO/IEC 7812-1).
#[must_use]
pub fn looks_like_a_card_number(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit() && c != ' ' && c != '-')
        .any(|run| {
            let groups: Vec<&str> = run
                .split([' ', '-'])
                .filter(|group| !group.is_empty())
                .collect();
            (0..groups.len()).any(|first| {
                (first..groups.len()).any(|last| passes_luhn(&groups[first..=last].concat()))
            })
        })
}

fn passes_luhn(digits: &str) -> bool {
    if !(13..=19).contains(&digits.len()) {
        return false;
    }
    let doubled = |digit: u32| digit * 2 / 10 + digit * 2 % 10;
    let sum: u32 = digits
        .bytes()
        .rev()
        .map(|byte| u32::from(byte - b'0'))
        .enumerate()
        .map(|(place, digit)| {
            if place % 2 == 0 {
                digit
            } else {
                doubled(digit)
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_recognised() {
        for number in [
            "4111111111111111",
            "card 4111 1111 1111 1111 exp 12/30",
            "4111-1111-1111-1111",
            "12 4111111111111111",
            "378282246310005",
        ] {
            assert!(looks_like_a_card_number(number), "{number}");
        }
        for reference in [
            "",
            "pi_3OXyZ2eZ",
            "4111111111111112",
            "cheque 1042",
            "ch 20260302-000177",
            "123456789012",
        ] {
            assert!(!looks_like_a_card_number(reference), "{reference}");
        }
    }
}
