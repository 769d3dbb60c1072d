//! The rules of accounts: what a value may be, and what a change changes.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fault::Fault;
use crate::social_security_number;

/// A patron.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patron {
    /// Its id.
    pub id: Uuid,
    /// What people and rosters set.
    pub account: Account,
    /// Whether the patron chose to keep a reading history. Nobody else sets it.
    pub keeps_history: bool,
    /// Rises with each change.
    pub revision: i64,
}

impl Patron {
    /// What a change must name so as not to overwrite another (AIP-154).
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.revision)
    }
}

/// What people and rosters set of a patron. Texts are empty where there is
/// none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// The system that knows the patron best; empty with `external_id`.
    pub source: String,
    /// The patron's id in that system.
    pub external_id: String,
    /// What the scanner reads.
    pub barcode: String,
    /// The name to sign in with.
    pub username: String,
    /// The group's code.
    pub patron_group: String,
    /// The family name.
    pub last_name: String,
    /// The given name.
    pub first_name: String,
    /// The middle name.
    pub middle_name: String,
    /// Where to write to.
    pub email: String,
    /// Where to call.
    pub phone: String,
    /// The library the patron belongs to, by its code.
    pub home_library: String,
    /// The relation to the district.
    pub affiliation: String,
    /// The student-information system's id of the student.
    pub student_id: String,
    /// The first day of the account.
    pub enrollment_date: Option<Date>,
    /// The last day on which the account may borrow; `None`: no end.
    pub expiration_date: Option<Date>,
    /// Whether the account is in use.
    pub active: bool,
}

impl Account {
    /// Makes changes.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            match change {
                Change::Barcode(value) => self.barcode = value,
                Change::Username(value) => self.username = value,
                Change::PatronGroup(value) => self.patron_group = value,
                Change::LastName(value) => self.last_name = value,
                Change::FirstName(value) => self.first_name = value,
                Change::MiddleName(value) => self.middle_name = value,
                Change::Email(value) => self.email = value,
                Change::Phone(value) => self.phone = value,
                Change::HomeLibrary(value) => self.home_library = value,
                Change::Affiliation(value) => self.affiliation = value,
                Change::StudentId(value) => self.student_id = value,
                Change::EnrollmentDate(value) => self.enrollment_date = value,
                Change::ExpirationDate(value) => self.expiration_date = value,
                Change::Active(value) => self.active = value,
            }
        }
    }
}

/// A field of an account that a person or a roster may change. The key of a
/// roster, `source` and `external_id`, is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// What the scanner reads.
    Barcode,
    /// The name to sign in with.
    Username,
    /// The group's code.
    PatronGroup,
    /// The family name.
    LastName,
    /// The given name.
    FirstName,
    /// The middle name.
    MiddleName,
    /// Where to write to.
    Email,
    /// Where to call.
    Phone,
    /// The library's code.
    HomeLibrary,
    /// The relation to the district.
    Affiliation,
    /// The student-information system's id.
    StudentId,
    /// The first day.
    EnrollmentDate,
    /// The last day.
    ExpirationDate,
    /// In use or not.
    Active,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Barcode,
        Self::Username,
        Self::PatronGroup,
        Self::LastName,
        Self::FirstName,
        Self::MiddleName,
        Self::Email,
        Self::Phone,
        Self::HomeLibrary,
        Self::Affiliation,
        Self::StudentId,
        Self::EnrollmentDate,
        Self::ExpirationDate,
        Self::Active,
    ];

    /// Its name in the contract and in rosters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Barcode => "barcode",
            Self::Username => "username",
            Self::PatronGroup => "patron_group",
            Self::LastName => "last_name",
            Self::FirstName => "first_name",
            Self::MiddleName => "middle_name",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::HomeLibrary => "home_library",
            Self::Affiliation => "affiliation",
            Self::StudentId => "student_id",
            Self::EnrollmentDate => "enrollment_date",
            Self::ExpirationDate => "expiration_date",
            Self::Active => "active",
        }
    }

    /// The field with a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// A field with its new value, whose form was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// What the scanner reads; empty: none.
    Barcode(String),
    /// The name to sign in with; empty: none.
    Username(String),
    /// The group's code.
    PatronGroup(String),
    /// The family name.
    LastName(String),
    /// The given name.
    FirstName(String),
    /// The middle name.
    MiddleName(String),
    /// Where to write to.
    Email(String),
    /// Where to call.
    Phone(String),
    /// The library's code.
    HomeLibrary(String),
    /// The relation to the district.
    Affiliation(String),
    /// The student-information system's id.
    StudentId(String),
    /// The first day.
    EnrollmentDate(Option<Date>),
    /// The last day.
    ExpirationDate(Option<Date>),
    /// In use or not.
    Active(bool),
}

/// A text that is kept: its length in characters, no control characters, no
/// white space around it, no social-security number in it.
///
/// # Errors
/// What is wrong.
pub fn text(value: &str, least: usize, most: usize) -> Result<&str, Fault> {
    if social_security_number::is_in(value) {
        return Err(Fault::SocialSecurityNumber);
    }
    let length = value.chars().count();
    if length < least || length > most {
        return Err(if length == 0 {
            Fault::Missing
        } else {
            Fault::Length(least, most)
        });
    }
    if value.trim() != value || value.chars().any(char::is_control) {
        return Err(Fault::Text);
    }
    Ok(value)
}

/// A text without white space, such as an id.
fn word(value: &str, least: usize, most: usize) -> Result<&str, Fault> {
    let value = text(value, least, most)?;
    if value.chars().any(char::is_whitespace) {
        return Err(Fault::Text);
    }
    Ok(value)
}

/// 1 to 40 characters of A-Z a-z 0-9 _ - .
fn code(value: &str) -> Result<&str, Fault> {
    let value = text(value, 1, usize::MAX)?;
    let sound = value.len() <= 40
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if sound { Ok(value) } else { Err(Fault::Code) }
}

fn optional<'a>(
    value: &'a str,
    check: impl FnOnce(&'a str) -> Result<&'a str, Fault>,
) -> Result<&'a str, Fault> {
    if value.is_empty() {
        Ok(value)
    } else {
        check(value)
    }
}

/// A group's code: 1 to 40 of a-z 0-9 -.
///
/// # Errors
/// What is wrong.
pub fn group_code(value: &str) -> Result<&str, Fault> {
    if value.is_empty() {
        return Err(Fault::Missing);
    }
    let sound = value.len() <= 40
        && value
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if sound {
        Ok(value)
    } else {
        Err(Fault::GroupCode)
    }
}

fn barcode(value: &str) -> Result<&str, Fault> {
    if social_security_number::is_in(value) {
        return Err(Fault::SocialSecurityNumber);
    }
    let sound = value.len() <= 40 && value.bytes().all(|byte| byte.is_ascii_graphic());
    if sound {
        Ok(value)
    } else {
        Err(Fault::Barcode)
    }
}

/// The system that knows a patron: a code.
///
/// # Errors
/// What is wrong.
pub fn source(value: &str) -> Result<&str, Fault> {
    code(value)
}

/// A patron's id in that system: 1 to 100 characters without white space.
///
/// # Errors
/// What is wrong.
pub fn external_id(value: &str) -> Result<&str, Fault> {
    word(value, 1, 100)
}

impl Change {
    /// A field's new value, where it is a text.
    ///
    /// # Errors
    /// What is wrong with it; a date or flag is checked as it stands in a
    /// roster.
    pub fn read(field: Field, value: &str) -> Result<Self, Fault> {
        let owned = str::to_owned;
        Ok(match field {
            Field::Barcode => Self::Barcode(optional(value, barcode).map(owned)?),
            Field::Username => Self::Username(word(value, 0, 100).map(owned)?),
            Field::PatronGroup => Self::PatronGroup(group_code(value).map(owned)?),
            Field::LastName => Self::LastName(text(value, 1, 200).map(owned)?),
            Field::FirstName => Self::FirstName(text(value, 0, 200).map(owned)?),
            Field::MiddleName => Self::MiddleName(text(value, 0, 200).map(owned)?),
            Field::Email => Self::Email(text(value, 0, 320).map(owned)?),
            Field::Phone => Self::Phone(text(value, 0, 60).map(owned)?),
            Field::HomeLibrary => Self::HomeLibrary(optional(value, code).map(owned)?),
            Field::Affiliation => Self::Affiliation(optional(value, code).map(owned)?),
            Field::StudentId => Self::StudentId(word(value, 0, 100).map(owned)?),
            Field::EnrollmentDate => Self::EnrollmentDate(date(value)?),
            Field::ExpirationDate => Self::ExpirationDate(date(value)?),
            Field::Active => Self::Active(flag(value)?),
        })
    }
}

/// A date as ISO 8601 writes it, or nothing.
fn date(value: &str) -> Result<Option<Date>, Fault> {
    if value.is_empty() {
        return Ok(None);
    }
    // Exactly this form: jiff would take others and instants too.
    if social_security_number::is_in(value) {
        return Err(Fault::SocialSecurityNumber);
    }
    if value.len() != "2026-08-24".len() {
        return Err(Fault::Date);
    }
    let date: Date = value.parse().map_err(|_| Fault::Date)?;
    if date.year() < 1 {
        Err(Fault::Date)
    } else {
        Ok(Some(date))
    }
}

/// True or false, as spreadsheets and databases write it.
fn flag(value: &str) -> Result<bool, Fault> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        "" => Err(Fault::Missing),
        _ if social_security_number::is_in(value) => Err(Fault::SocialSecurityNumber),
        _ => Err(Fault::Flag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_by_its_name() {
        for field in Field::ALL {
            assert_eq!(Field::named(field.name()), Some(field));
        }
        for other in [
            "id",
            "source",
            "external_id",
            "revision",
            "etag",
            "",
            "Barcode",
        ] {
            assert_eq!(Field::named(other), None, "{other}");
        }
    }

    #[test]
    fn values_have_their_form() {
        use Fault as F;
        let long = "x".repeat(201);
        for (field, value, fault) in [
            (Field::Barcode, "2 1", F::Barcode),
            (Field::Barcode, "078-05-1120", F::SocialSecurityNumber),
            (Field::Barcode, "29è", F::Barcode),
            (Field::Username, "j alder", F::Text),
            (Field::PatronGroup, "", F::Missing),
            (Field::PatronGroup, "Faculty", F::GroupCode),
            (Field::LastName, "", F::Missing),
            (Field::LastName, " Alder", F::Text),
            (Field::LastName, "Al\nder", F::Text),
            (Field::LastName, &long, F::Length(1, 200)),
            (Field::FirstName, "(078-05-1120)", F::SocialSecurityNumber),
            (Field::HomeLibrary, "ALD M", F::Code),
            (Field::ExpirationDate, "2026-13-45", F::Date),
            (Field::ExpirationDate, "2026-08-24T00:00", F::Date),
            (Field::ExpirationDate, "08/24/2026", F::Date),
            (Field::Active, "perhaps", F::Flag),
            (Field::Active, "", F::Missing),
        ] {
            assert_eq!(
                Change::read(field, value),
                Err(fault),
                "{} {value:?}",
                field.name()
            );
        }
        for (field, value) in [
            (Field::Barcode, ""),
            (Field::LastName, "Sedgewort, Jr."),
            (Field::Phone, "530-555-0101"),
            (Field::StudentId, "078051120"),
            (Field::EnrollmentDate, "2024-02-29"),
            (Field::ExpirationDate, ""),
            (Field::Active, "FALSE"),
        ] {
            assert!(
                Change::read(field, value).is_ok(),
                "{} {value:?}",
                field.name()
            );
        }
    }

    #[test]
    fn a_change_changes_its_field_only() {
        let before = Account {
            last_name: "Alderleaf".into(),
            email: "old@example.edu".into(),
            active: true,
            ..Account::default()
        };
        let mut after = before.clone();
        after.apply([
            Change::Email("new@example.edu".into()),
            Change::Active(false),
        ]);
        assert_eq!(
            after,
            Account {
                email: "new@example.edu".into(),
                active: false,
                ..before
            }
        );
    }
}
