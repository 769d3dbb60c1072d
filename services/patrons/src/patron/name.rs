//! Names as they are searched: what the desk types finds what was written
//! otherwise.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// A name without case, accents and apostrophes; hyphens and runs of white
/// space are one space. "O’Núñez-Lópéz" is "onunez lopez".
#[must_use]
pub fn folded(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    for c in name.nfkd().filter(|c| !is_combining_mark(*c)) {
        match c {
            '\'' | '\u{2019}' | '\u{2018}' | '`' | '\u{02bc}' => {}
            c if c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}') => {
                if !key.is_empty() && !key.ends_with(' ') {
                    key.push(' ');
                }
            }
            c => c
                .to_lowercase()
                .for_each(|lower| push_plain(&mut key, lower)),
        }
    }
    key.truncate(key.trim_end().len());
    key
}

/// Letters that no decomposition makes plain, as people type them without the
/// keyboard for it.
fn push_plain(key: &mut String, c: char) {
    match c {
        'ß' => key.push_str("ss"),
        'æ' => key.push_str("ae"),
        'œ' => key.push_str("oe"),
        'þ' => key.push_str("th"),
        'ø' => key.push('o'),
        'ł' => key.push('l'),
        'đ' | 'ð' => key.push('d'),
        'ı' => key.push('i'),
        // What lower-casing itself leaves behind (İ becomes i and a dot).
        c if is_combining_mark(c) => {}
        c => key.push(c),
    }
}

/// A username as it is compared.
#[must_use]
pub fn username_key(username: &str) -> String {
    username.to_lowercase()
}

/// The first text, in order of code points, after all that begin with
/// `prefix`.
#[must_use]
pub fn end_of_prefix(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_typed_without_accents_finds_what_has_them() {
        for (name, key) in [
            ("Piñonseed", "pinonseed"),
            ("O’Núñez-López", "onunez lopez"),
            ("O'Thicket", "othicket"),
            ("  de  la Cruz ", "de la cruz"),
            ("Łødgård", "lodgard"),
            ("Straße", "strasse"),
            ("ﬁr", "fir"),
            ("İlmık", "ilmik"),
            ("山田", "山田"),
            ("", ""),
        ] {
            assert_eq!(folded(name), key, "{name}");
        }
    }

    proptest! {
        #[test]
        fn folding_a_key_changes_nothing(name in "\\PC{0,20}") {
            let key = folded(&name);
            prop_assert_eq!(folded(&key), key);
        }

        #[test]
        fn a_prefix_ends_behind_all_that_begin_with_it(prefix in "\\PC{1,5}", rest in "\\PC{0,5}") {
            let name = format!("{prefix}{rest}");
            prop_assert!(name >= prefix && name < end_of_prefix(&prefix));
        }
    }
}
