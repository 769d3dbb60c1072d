//! Words as they are searched: without case and diacritics, so that `emile`
//! finds `Émile`; the same for records and for queries.
//!
//! Everything that is no letter or digit separates words. PostgreSQL's parser
//! would otherwise take "and/or" for a path and the end of "1914-1918" for a
//! negative number.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// A text's words, separated by single blanks. Texts of more than `most_bytes`
/// are cut: PostgreSQL's text search vectors hold a megabyte.
pub(crate) fn words(text: &str, most_bytes: usize) -> String {
    let mut words = String::with_capacity(text.len().min(most_bytes));
    push_words(&mut words, text, most_bytes);
    words
}

/// Adds a text's words.
pub(crate) fn push_words(words: &mut String, text: &str, most_bytes: usize) {
    let mut gap = !words.is_empty();
    for character in folded(text) {
        let ideograph = is_ideograph(character);
        if !(character.is_alphanumeric() || is_combining_mark(character)) {
            gap = true;
            continue;
        }
        if words.len() + 8 > most_bytes {
            return;
        }
        // Chinese and Japanese are written without blanks: each sign is a word.
        if (gap || ideograph) && !words.is_empty() && !words.ends_with(' ') {
            words.push(' ');
        }
        words.push(character);
        gap = ideograph;
    }
}

/// A query in the syntax of PostgreSQL's `websearch_to_tsquery`: "quoted
/// phrases", -excluded, `or`. `None` where it has no word.
pub(crate) fn web_query(query: &str) -> Option<String> {
    let mut parts = Vec::new();
    let mut has_word = false;
    // Every second piece stands between quotation marks.
    for (index, piece) in query.split(['"', '“', '”', '„']).enumerate() {
        let quoted = index % 2 == 1;
        let terms: Vec<&str> = if quoted {
            vec![piece]
        } else {
            piece.split_whitespace().collect()
        };
        for term in terms {
            let excluded = !quoted && term.starts_with('-');
            let words = words(term, MOST_QUERY_BYTES);
            if words.is_empty() {
                // The minus of -"a phrase".
                if excluded {
                    parts.push("-".to_owned());
                }
                continue;
            }
            has_word = true;
            let minus = if excluded { "-" } else { "" };
            // "well-known" is two words here, and means them together.
            let part = if quoted || words.contains(' ') {
                format!("{minus}\"{words}\"")
            } else {
                format!("{minus}{words}")
            };
            match parts.last_mut() {
                Some(last) if last == "-" => last.push_str(&part),
                _ => parts.push(part),
            }
        }
    }
    parts.retain(|part| part != "-");
    has_word.then(|| parts.join(" "))
}

/// More than any query of 500 characters comes to.
const MOST_QUERY_BYTES: usize = 16 << 10;

fn folded(text: &str) -> impl Iterator<Item = char> {
    text.nfkd()
        .filter(|character| !is_diacritic(*character))
        .nfc()
        .flat_map(char::to_lowercase)
        .flat_map(|character| {
            let (first, second) = spelled_out(character);
            std::iter::once(first).chain(second)
        })
}

/// Marks above and below Latin, Greek and Cyrillic letters. Vowel signs of
/// Indian scripts are marks too, but they are letters and stay.
fn is_diacritic(character: char) -> bool {
    matches!(character,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Latin letters that do not decompose, as they are typed without them.
fn spelled_out(character: char) -> (char, Option<char>) {
    match character {
        'ß' => ('s', Some('s')),
        'æ' => ('a', Some('e')),
        'œ' => ('o', Some('e')),
        'þ' => ('t', Some('h')),
        'ø' => ('o', None),
        'ł' => ('l', None),
        'đ' | 'ð' => ('d', None),
        'ħ' => ('h', None),
        'ı' => ('i', None),
        'ς' => ('σ', None),
        other => (other, None),
    }
}

fn is_ideograph(character: char) -> bool {
    matches!(character,
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_without_case_diacritics_and_punctuation() {
        for (text, expected) in [
            ("Émile, ou De l'éducation /", "emile ou de l education"),
            ("E\u{301}mile", "emile"),
            ("Straße; Ærø: Łódź", "strasse aero lodz"),
            ("and/or 1914-1918", "and or 1914 1918"),
            ("Ὅμηρος Ἰλιάς", "ομηροσ ιλιασ"),
            ("Война и миръ", "воина и миръ"),
            ("孫子兵法 = The art", "孫 子 兵 法 the art"),
            ("कृष्ण", "कृष्ण"),
            ("한국", "한국"),
            ("ﬁn de siècle", "fin de siecle"),
            (" /:. ", ""),
        ] {
            assert_eq!(words(text, 1000), expected, "{text}");
        }
    }

    #[test]
    fn a_text_too_long_is_cut_between_characters() {
        let words = words(&"Ω".repeat(1000), 100);
        assert!(words.len() <= 100 && words.len() > 90);
    }

    #[test]
    fn a_query_keeps_its_web_search_syntax() {
        for (query, expected) in [
            ("Moby-Dick", Some("\"moby dick\"")),
            ("-Moby-Dick whale", Some("-\"moby dick\" whale")),
            ("\"The Whale\" or whales", Some("\"the whale\" or whales")),
            ("-\"the whale\" Melville", Some("-\"the whale\" melville")),
            ("“Leaves of grass”", Some("\"leaves of grass\"")),
            ("\"unclosed phrase", Some("\"unclosed phrase\"")),
            ("孫子", Some("\"孫 子\"")),
            ("Émile", Some("emile")),
            ("?? - \"\"", None),
            ("", None),
        ] {
            assert_eq!(web_query(query).as_deref(), expected, "{query}");
        }
    }
}
