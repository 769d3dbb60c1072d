//! What a budget code must look like, and what is wrong with one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Segments at the most.
const SEGMENTS: usize = 12;
/// Characters of a segment at the most.
const SEGMENT_LENGTH: usize = 20;
/// Characters of a segment's name at the most.
const NAME_LENGTH: usize = 40;
/// Values of a segment, and combinations, at the most.
const ENTRIES: usize = 10_000;
/// Stands for any value in a combination.
const ANY: &str = "*";

/// A segment of a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its name, such as "fund" or "object".
    pub name: String,
    /// How many characters it has.
    pub length: usize,
    /// The values allowed; empty: any of that length.
    pub values: Vec<String>,
}

/// What codes shall look like, as it was written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The character between segments.
    pub separator: String,
    /// The segments, in order.
    pub segments: Vec<Segment>,
    /// The combinations allowed, a value or "*" for each segment; empty: all.
    pub combinations: Vec<Vec<String>>,
}

/// What is wrong with a definition, and in which field of a
/// `SetBudgetCodeStructureRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructureFault {
    /// The field.
    pub field: String,
    /// What is wrong.
    pub problem: &'static str,
}

/// What is wrong with a code. Values are repeated only where they have their
/// segment's length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodeFault {
    /// Nothing was set to check it by.
    #[error("no budget code is valid until the district's structure of codes is set")]
    NoStructure,
    /// It has too few or too many segments.
    #[error("the code has {found} segments, {expected} are needed")]
    SegmentCount {
        /// As many as it has.
        found: usize,
        /// As many as the structure has.
        expected: usize,
    },
    /// A segment is too short or too long.
    #[error("the segment {segment} has {found} characters, {expected} are needed")]
    SegmentLength {
        /// Its name.
        segment: String,
        /// As many as it has.
        found: usize,
        /// As many as it needs.
        expected: usize,
    },
    /// A segment has other characters than digits and upper-case letters.
    #[error("the segment {segment} may have digits and upper-case letters only")]
    SegmentCharacters {
        /// Its name.
        segment: String,
    },
    /// A segment's value is not one of those allowed.
    #[error("the segment {segment} has no value {value}")]
    SegmentValue {
        /// Its name.
        segment: String,
        /// The value.
        value: String,
    },
    /// Each value is allowed, but not together.
    #[error("{value} in the segment {segment} is not allowed with the segments before it")]
    Combination {
        /// The first segment up to which no combination fits.
        segment: String,
        /// Its value.
        value: String,
    },
}

impl CodeFault {
    /// Its stable reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoStructure => "STRUCTURE_NOT_SET",
            Self::SegmentCount { .. } => "SEGMENT_COUNT_WRONG",
            Self::SegmentLength { .. } => "SEGMENT_LENGTH_WRONG",
            Self::SegmentCharacters { .. } => "SEGMENT_CHARACTERS_WRONG",
            Self::SegmentValue { .. } => "SEGMENT_VALUE_UNKNOWN",
            Self::Combination { .. } => "COMBINATION_NOT_ALLOWED",
        }
    }

    /// The segment at fault; empty where it is the whole code.
    #[must_use]
    pub fn segment(&self) -> &str {
        match self {
            Self::NoStructure | Self::SegmentCount { .. } => "",
            Self::SegmentLength { segment, .. }
            | Self::SegmentCharacters { segment }
            | Self::SegmentValue { segment, .. }
            | Self::Combination { segment, .. } => segment,
        }
    }
}

/// A definition that holds together, ready to check codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    definition: Definition,
    separator: char,
    /// The values of each segment, to look one up among 10,000.
    values: Vec<BTreeSet<String>>,
}

impl Structure {
    /// A structure by its definition.
    ///
    /// # Errors
    /// [`StructureFault`]: where it contradicts itself or goes past a bound.
    pub fn new(definition: Definition) -> Result<Self, StructureFault> {
        let separator = separator(&definition.separator)?;
        if !(1..=SEGMENTS).contains(&definition.segments.len()) {
            return fault("structure.segments", "must be 1 to 12");
        }
        let mut names = BTreeSet::new();
        let mut values = Vec::with_capacity(definition.segments.len());
        for (place, segment) in definition.segments.iter().enumerate() {
            let path = format!("structure.segments[{place}]");
            check_name(&path, &segment.name)?;
            if !names.insert(&segment.name) {
                return fault(format!("{path}.name"), "is the name of another segment");
            }
            values.push(check_values(&path, segment)?);
        }
        let structure = Self {
            separator,
            values,
            definition,
        };
        structure.check_combinations()?;
        Ok(structure)
    }

    /// Its definition.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Checks a code.
    ///
    /// # Errors
    /// [`CodeFault`]: the first thing that is wrong.
    pub fn check(&self, code: &str) -> Result<(), CodeFault> {
        let segments = &self.definition.segments;
        let found = code.split(self.separator).count();
        if found != segments.len() {
            return Err(CodeFault::SegmentCount {
                found,
                expected: segments.len(),
            });
        }
        let parts: Vec<&str> = code.split(self.separator).collect();
        for ((segment, values), part) in segments.iter().zip(&self.values).zip(&parts) {
            check_part(segment, values, part)?;
        }
        self.check_combination(&parts)
    }

    fn check_combination(&self, parts: &[&str]) -> Result<(), CodeFault> {
        // How many segments each combination fits, from the left.
        let fits = self.definition.combinations.iter().map(|combination| {
            combination
                .iter()
                .zip(parts)
                .take_while(|(allowed, part)| *allowed == ANY || allowed == *part)
                .count()
        });
        match fits.max() {
            Some(longest) if longest < parts.len() => Err(CodeFault::Combination {
                segment: self.definition.segments[longest].name.clone(),
                value: parts[longest].to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn check_combinations(&self) -> Result<(), StructureFault> {
        let Definition {
            segments,
            combinations,
            ..
        } = &self.definition;
        if combinations.len() > ENTRIES {
            return fault("structure.combinations", "must be at most 10,000");
        }
        for (place, combination) in combinations.iter().enumerate() {
            let path = format!("structure.combinations[{place}].values");
            if combination.len() != segments.len() {
                return fault(path, "must have a value or \"*\" for each segment");
            }
            for ((segment, values), value) in segments.iter().zip(&self.values).zip(combination) {
                if value != ANY && check_part(segment, values, value).is_err() {
                    return fault(path, "has a value that its segment does not allow");
                }
            }
        }
        Ok(())
    }
}

fn fault<T>(field: impl Into<String>, problem: &'static str) -> Result<T, StructureFault> {
    Err(StructureFault {
        field: field.into(),
        problem,
    })
}

fn separator(text: &str) -> Result<char, StructureFault> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(separator), None)
            if !separator.is_alphanumeric()
                && !separator.is_whitespace()
                && !separator.is_control() =>
        {
            Ok(separator)
        }
        _ => fault(
            "structure.separator",
            "must be one character that is neither letter, digit nor space",
        ),
    }
}

fn check_name(path: &str, name: &str) -> Result<(), StructureFault> {
    let length = name.chars().count();
    if (1..=NAME_LENGTH).contains(&length)
        && name.trim() == name
        && !name.chars().any(char::is_control)
    {
        return Ok(());
    }
    fault(
        format!("{path}.name"),
        "must be 1 to 40 characters without white space around them",
    )
}

fn check_values(path: &str, segment: &Segment) -> Result<BTreeSet<String>, StructureFault> {
    if !(1..=SEGMENT_LENGTH).contains(&segment.length) {
        return fault(format!("{path}.length"), "must be 1 to 20");
    }
    if segment.values.len() > ENTRIES {
        return fault(format!("{path}.values"), "must be at most 10,000");
    }
    let mut values = BTreeSet::new();
    for (place, value) in segment.values.iter().enumerate() {
        let path = format!("{path}.values[{place}]");
        if value.chars().count() != segment.length || !value.bytes().all(is_code_character) {
            return fault(
                path,
                "must be digits and upper-case letters, as many as the segment's length",
            );
        }
        if !values.insert(value.clone()) {
            return fault(path, "stands there twice");
        }
    }
    Ok(values)
}

fn check_part(segment: &Segment, values: &BTreeSet<String>, part: &str) -> Result<(), CodeFault> {
    let found = part.chars().count();
    if found != segment.length {
        return Err(CodeFault::SegmentLength {
            segment: segment.name.clone(),
            found,
            expected: segment.length,
        });
    }
    if !part.bytes().all(is_code_character) {
        return Err(CodeFault::SegmentCharacters {
            segment: segment.name.clone(),
        });
    }
    if !values.is_empty() && !values.contains(part) {
        return Err(CodeFault::SegmentValue {
            segment: segment.name.clone(),
            value: part.to_owned(),
        });
    }
    Ok(())
}

fn is_code_character(byte: u8) -> bool {
    byte.is_ascii_digit() || byte.is_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment(name: &str, length: usize, values: &[&str]) -> Segment {
        Segment {
            name: name.into(),
            length,
            values: values.iter().map(|value| (*value).into()).collect(),
        }
    }

    fn definition(combinations: &[[&str; 3]]) -> Definition {
        Definition {
            separator: "-".into(),
            segments: vec![
                segment("fund", 2, &["11", "12"]),
                segment("location", 3, &[]),
                segment("object", 4, &["6300", "6310", "4210"]),
            ],
            combinations: combinations
                .iter()
                .map(|values| values.iter().map(|value| (*value).into()).collect())
                .collect(),
        }
    }

    #[test]
    fn a_code_is_told_which_of_its_segments_is_wrong() {
        let structure = Structure::new(definition(&[
            ["11", "*", "6300"],
            ["11", "200", "6310"],
            ["12", "LIB", "*"],
        ]))
        .unwrap();
        for (code, reason, segment) in [
            ("11-100-6300", "", ""),
            ("11-200-6310", "", ""),
            ("12-LIB-4210", "", ""),
            ("", "SEGMENT_COUNT_WRONG", ""),
            ("11-100", "SEGMENT_COUNT_WRONG", ""),
            ("11-100-6300-", "SEGMENT_COUNT_WRONG", ""),
            ("11/100/6300", "SEGMENT_COUNT_WRONG", ""),
            ("1-100-6300", "SEGMENT_LENGTH_WRONG", "fund"),
            ("11-100-63000", "SEGMENT_LENGTH_WRONG", "object"),
            (" 11-100-6300", "SEGMENT_LENGTH_WRONG", "fund"),
            ("11-l00-6300", "SEGMENT_CHARACTERS_WRONG", "location"),
            ("11-１００-6300", "SEGMENT_CHARACTERS_WRONG", "location"),
            ("99-100-6300", "SEGMENT_VALUE_UNKNOWN", "fund"),
            ("11-100-9999", "SEGMENT_VALUE_UNKNOWN", "object"),
            ("11-100-6310", "COMBINATION_NOT_ALLOWED", "object"),
            ("12-100-6300", "COMBINATION_NOT_ALLOWED", "location"),
        ] {
            match structure.check(code) {
                Ok(()) => assert_eq!(reason, "", "{code}"),
                Err(fault) => {
                    assert_eq!(
                        (fault.reason(), fault.segment()),
                        (reason, segment),
                        "{code}"
                    );
                }
            }
        }
    }

    #[test]
    fn without_combinations_every_combination_is_allowed() {
        let structure = Structure::new(definition(&[])).unwrap();
        assert_eq!(structure.check("12-Z9Z-4210"), Ok(()));
    }

    #[test]
    fn a_structure_that_contradicts_itself_is_refused_with_the_field() {
        type Change = fn(&mut Definition);
        let cases: [(&str, Change); 14] = [
            ("structure.separator", |d| d.separator.clear()),
            ("structure.separator", |d| d.separator = "--".into()),
            ("structure.separator", |d| d.separator = "0".into()),
            ("structure.separator", |d| d.separator = " ".into()),
            ("structure.segments", |d| d.segments.clear()),
            ("structure.segments", |d| {
                d.segments = (0..13).map(|n| segment(&n.to_string(), 1, &[])).collect();
            }),
            ("structure.segments[1].name", |d| {
                d.segments[1].name = " ".into()
            }),
            ("structure.segments[2].name", |d| {
                d.segments[2].name = "fund".into()
            }),
            ("structure.segments[1].length", |d| d.segments[1].length = 0),
            ("structure.segments[1].length", |d| {
                d.segments[1].length = 21
            }),
            ("structure.segments[0].values[2]", |d| {
                d.segments[0].values.push("111".into())
            }),
            ("structure.segments[0].values[2]", |d| {
                d.segments[0].values.push("11".into())
            }),
            ("structure.combinations[0].values", |d| {
                d.combinations = vec![vec!["11".into()]];
            }),
            ("structure.combinations[0].values", |d| {
                d.combinations = vec![vec!["99".into(), ANY.into(), ANY.into()]];
            }),
        ];
        for (field, change) in cases {
            let mut definition = definition(&[]);
            change(&mut definition);
            assert_eq!(Structure::new(definition).unwrap_err().field, field);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_check_panic(code in ".{0,40}") {
            let structure = Structure::new(definition(&[["11", "*", "*"]])).unwrap();
            let _ = structure.check(&code);
        }

        #[test]
        fn a_code_put_together_from_allowed_values_is_valid(fund in 0..2usize, location in "[0-9A-Z]{3}", object in 0..3usize) {
            let definition = definition(&[["*", "*", "*"]]);
            let code = format!(
                "{}-{location}-{}",
                definition.segments[0].values[fund],
                definition.segments[2].values[object],
            );
            prop_assert_eq!(Structure::new(definition).unwrap().check(&code), Ok(()));
        }
    }
}
