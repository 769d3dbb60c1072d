//! Names of files: `fi_ar_feeder.{system}.{time:%Y%m%d%H%M%S}.csv`.

use crate::batch::BatchHead;
use crate::error::Error;

/// File systems take no more.
const LONGEST: usize = 200;

/// A name with places in it: `{system}`, `{sequence}` or `{sequence:6}` (filled with zeros), `{time:…}` (strftime),
/// `{file}` (the file that is answered), `{any}` (in names that are only read).
#[derive(Clone, Debug)]
pub(super) struct FileName(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(String),
    System,
    Sequence(usize),
    Time(String),
    File,
    Any,
}

/// What a name says of the batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) sequence: Option<u64>,
    pub(super) file: Option<String>,
}

impl FileName {
    pub(super) fn parse(pattern: &str) -> Result<Self, Error> {
        let bad = |problem: &str| Error::BadLayout(format!("the file name {pattern:?} {problem}"));
        let mut parts = Vec::new();
        let mut rest = pattern;
        while let Some((literal, after)) = rest.split_once('{') {
            let (place, after) = after
                .split_once('}')
                .ok_or_else(|| bad("has a { without a }"))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            let (name, argument) = place.split_once(':').unwrap_or((place, ""));
            parts.push(match (name, argument) {
                ("system", "") => Part::System,
                ("file", "") => Part::File,
                ("any", "") => Part::Any,
                ("sequence", "") => Part::Sequence(1),
                ("sequence", width) => match width.parse() {
                    Ok(width @ 1..=12) => Part::Sequence(width),
                    Ok(_) | Err(_) => return Err(bad("has a sequence of a width beyond 12")),
                },
                ("time", format) if !format.is_empty() => Part::Time(format.to_owned()),
                _ => return Err(bad("has an unknown place")),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        let literals = parts.iter().filter_map(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            _ => None,
        });
        if !literals.clone().all(is_plain) || parts.is_empty() {
            return Err(bad("has other signs than letters, digits and . _ -"));
        }
        if pattern.starts_with('.') {
            return Err(bad("begins with a dot"));
        }
        Ok(Self(parts))
    }

    /// Whether files of this name can be written, not only read.
    pub(super) fn is_writable(&self) -> bool {
        !self.0.contains(&Part::Any)
    }

    /// Whether two batches never have the same name.
    pub(super) fn is_unique(&self) -> bool {
        self.0
            .iter()
            .any(|part| matches!(part, Part::Sequence(_) | Part::Time(_)))
    }

    /// Whether a name says which batch it is about.
    pub(super) fn names_a_batch(&self) -> bool {
        let names = |part: &Part| matches!(part, Part::Sequence(_) | Part::File);
        self.0.iter().any(names)
    }

    pub(super) fn write(
        &self,
        head: &BatchHead,
        system: &str,
        file: &str,
    ) -> Result<String, Error> {
        let mut name = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => name.push_str(text),
                Part::System => name.push_str(system),
                Part::Sequence(width) => {
                    let sequence = head.sequence;
                    name.push_str(&format!("{sequence:0width$}"));
                }
                Part::Time(format) => name.push_str(&head.at.strftime(format).to_string()),
                Part::File => name.push_str(file),
                Part::Any => {
                    return Err(Error::NotWritable(
                        "a file name with {any} can only be read".to_owned(),
                    ));
                }
            }
        }
        if name.len() > LONGEST || !is_plain(&name) {
            return Err(Error::NotWritable(
                "the file name is too long or has other signs than letters, digits and . _ -"
                    .to_owned(),
            ));
        }
        Ok(name)
    }

    /// What a name says, where it fits.
    pub(super) fn read(&self, name: &str, system: &str) -> Option<Named> {
        if name.len() > LONGEST + 100 {
            return None;
        }
        let mut named = Named::default();
        fits(&self.0, name, system, &mut named).then_some(named)
    }
}

fn fits(parts: &[Part], name: &str, system: &str, named: &mut Named) -> bool {
    let Some((part, others)) = parts.split_first() else {
        return name.is_empty();
    };
    if name.is_empty() {
        return false;
    }
    let after = |prefix: &str| name.strip_prefix(prefix);
    match part {
        Part::Literal(text) => after(text).is_some_and(|rest| fits(others, rest, system, named)),
        Part::System => after(system).is_some_and(|rest| fits(others, rest, system, named)),
        Part::Sequence(width) => {
            let digits = name.bytes().take_while(u8::is_ascii_digit).count();
            (*width..=digits).rev().any(|end| {
                let (sequence, rest) = name.split_at(end);
                named.sequence = sequence.parse().ok();
                named.sequence.is_some() && fits(others, rest, system, named)
            })
        }
        Part::Time(_) | Part::Any | Part::File => {
            // The longest first: the name of a file has dots of its own.
            (1..=name.len()).rev().any(|end| {
                if !name.is_char_boundary(end) {
                    return false;
                }
                let (text, rest) = name.split_at(end);
                let matches = fits(others, rest, system, named);
                if matches && *part == Part::File {
                    named.file = Some(text.to_owned());
                }
                matches
            })
        }
    }
}

/// Letters, digits and `. _ -`: no folder, no blank, nothing that a shell reads.
pub(super) fn is_plain(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use uuid::Uuid;

    fn head() -> BatchHead {
        BatchHead {
            id: Uuid::nil(),
            sequence: 17,
            at: date(2026, 3, 2).at(21, 5, 9, 0),
        }
    }

    #[test]
    fn a_name_is_written_and_read_back() {
        for (pattern, name, sequence) in [
            (
                "fi_ar_feeder.{system}.{time:%Y%m%d%H%M%S}.csv",
                "fi_ar_feeder.lib.20260302210509.csv",
                None,
            ),
            ("LIB{sequence:6}.DAT", "LIB000017.DAT", Some(17)),
            ("lib-{sequence}-ar.txt", "lib-17-ar.txt", Some(17)),
        ] {
            let parsed = FileName::parse(pattern).unwrap();
            assert_eq!(parsed.write(&head(), "lib", "").unwrap(), name);
            assert_eq!(
                parsed.read(name, "lib").unwrap().sequence,
                sequence,
                "{name}"
            );
            assert_eq!(parsed.read(&format!("{name}.part"), "lib"), None);
            assert_eq!(parsed.read(&format!("x{name}"), "lib"), None);
        }
        let answer = FileName::parse("{file}.{any}.ack").unwrap();
        let named = answer.read("LIB000017.DAT.99.ack", "lib").unwrap();
        assert_eq!(named.file.as_deref(), Some("LIB000017.DAT"));
        assert!(!answer.is_writable());
    }

    #[test]
    fn a_name_stays_in_its_folder() {
        for pattern in [
            "../{sequence}",
            "a/b",
            ".hidden",
            "",
            "{sequence",
            "{patron}",
            "a b",
        ] {
            assert!(FileName::parse(pattern).is_err(), "{pattern}");
        }
        assert!(
            FileName::parse("{time:%Y/%m}")
                .unwrap()
                .write(&head(), "lib", "")
                .is_err()
        );
    }
}
