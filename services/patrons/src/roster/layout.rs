//! Which column of a roster means what.
//!
//! The readers know targets, not column names: another layout (OneRoster's
//! `users.csv`, a student-information system's flat file) is another [`Form`].

use crate::patron::Field;
use crate::{Error, social_security_number};

/// What a column tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The system that knows the patron.
    Source,
    /// The patron's id in it.
    ExternalId,
    /// A field of the account.
    Field(Field),
}

impl Target {
    /// The column's name in Carrel's own form, and so in the list of problems.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::ExternalId => "external_id",
            Self::Field(field) => field.name(),
        }
    }
}

/// A kind of roster: the names of its columns.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    columns: &'static [(&'static str, Target)],
}

/// Carrel's own form: columns are named as the contract names the fields.
pub const CARREL: Form = Form {
    columns: &[
        ("source", Target::Source),
        ("external_id", Target::ExternalId),
        ("barcode", Target::Field(Field::Barcode)),
        ("username", Target::Field(Field::Username)),
        ("patron_group", Target::Field(Field::PatronGroup)),
        ("last_name", Target::Field(Field::LastName)),
        ("first_name", Target::Field(Field::FirstName)),
        ("middle_name", Target::Field(Field::MiddleName)),
        ("email", Target::Field(Field::Email)),
        ("phone", Target::Field(Field::Phone)),
        ("home_library", Target::Field(Field::HomeLibrary)),
        ("affiliation", Target::Field(Field::Affiliation)),
        ("student_id", Target::Field(Field::StudentId)),
        ("enrollment_date", Target::Field(Field::EnrollmentDate)),
        ("expiration_date", Target::Field(Field::ExpirationDate)),
        ("active", Target::Field(Field::Active)),
    ],
};

/// The columns of one file, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// What each column tells.
    pub targets: Vec<Target>,
}

impl Form {
    /// Reads a header line; case and white space around a name make no
    /// difference.
    ///
    /// # Errors
    /// ROSTER_COLUMNS, SOCIAL_SECURITY_NUMBER_REFUSED.
    pub fn layout<'a>(&self, header: impl Iterator<Item = &'a str>) -> Result<Layout, Error> {
        let mut targets = Vec::new();
        for (index, column) in header.enumerate() {
            let name = column.trim().to_lowercase();
            if social_security_number::is_column(&name) {
                return Err(Error::RosterSocialSecurityNumbers);
            }
            let known = self.columns.iter().find(|(known, _)| *known == name);
            // The name is not repeated: in a file without a header line it is
            // a patron's datum.
            let Some((_, target)) = known else {
                return Err(Error::RosterColumns(format!(
                    "column {} is not one of {}",
                    index + 1,
                    self.names()
                )));
            };
            if targets.contains(target) {
                return Err(Error::RosterColumns(format!("{name} stands there twice")));
            }
            targets.push(*target);
        }
        for needed in [Target::Source, Target::ExternalId] {
            if !targets.contains(&needed) {
                return Err(Error::RosterColumns(format!(
                    "{} is missing",
                    needed.name()
                )));
            }
        }
        Ok(Layout { targets })
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(header: &str) -> Result<Layout, Error> {
        CARREL.layout(header.split(','))
    }

    #[test]
    fn columns_may_stand_in_any_order() {
        let layout = layout("Last_Name, external_id ,SOURCE").unwrap();
        assert_eq!(
            layout.targets,
            [
                Target::Field(Field::LastName),
                Target::ExternalId,
                Target::Source
            ]
        );
    }

    #[test]
    fn every_field_has_a_column() {
        for field in Field::ALL {
            assert!(
                CARREL
                    .columns
                    .iter()
                    .any(|(_, target)| *target == Target::Field(field))
            );
        }
    }

    #[test]
    fn a_header_that_is_not_understood_is_refused() {
        for header in [
            "",
            "source",
            "external_id,last_name",
            "source,external_id,shoe_size",
            "source,external_id,source",
        ] {
            let error = layout(header).unwrap_err();
            assert!(
                matches!(error, Error::RosterColumns(_)),
                "{header}: {error}"
            );
            assert!(!error.to_string().contains("shoe"), "{error}");
        }
        assert!(matches!(
            layout("source,external_id,SSN").unwrap_err(),
            Error::RosterSocialSecurityNumbers
        ));
    }
}
