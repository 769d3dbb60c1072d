//! The rules of a load: what a row does to the patrons there are.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::patron::{Account, Change, Fault, Patron, Told, username_key};

/// A row whose form is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The line of the file where it begins, from 1.
    pub line: i64,
    /// The system that knows the patron.
    pub source: String,
    /// The patron's id in it.
    pub external_id: String,
    /// What the row says. What it does not name stays as it is.
    pub changes: Vec<Change>,
}

impl Row {
    fn problem(&self, column: &'static str, refused: RowRefused) -> Problem {
        Problem::new(self.line, column, refused)
    }

    fn names(&self, named: impl Fn(&Change) -> bool) -> bool {
        self.changes.iter().any(named)
    }
}

/// Why a row is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowRefused {
    /// A value has not its form.
    Value(Fault),
    /// It has more or fewer values than the header line has columns.
    ColumnCount,
    /// Its text is not UTF-8.
    NotUtf8,
    /// An earlier row of the file is about the same patron.
    Repeated,
    /// There is no such group.
    GroupUnknown,
    /// The barcode belongs to someone else.
    BarcodeTaken,
    /// The username belongs to someone else.
    UsernameTaken,
    /// The patron is new, and the roster lacks a column that a new one needs.
    ColumnNeeded,
    /// It would change the account of whoever loads it.
    OwnAccount,
}

impl RowRefused {
    /// The stable reason.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Value(fault) => fault.reason(),
            Self::ColumnCount => "COLUMN_COUNT",
            Self::NotUtf8 => "NOT_UTF_8",
            Self::Repeated => "ROW_REPEATED",
            Self::GroupUnknown => "PATRON_GROUP_UNKNOWN",
            Self::BarcodeTaken => "PATRON_BARCODE_TAKEN",
            Self::UsernameTaken => "PATRON_USERNAME_TAKEN",
            Self::ColumnNeeded => "COLUMN_NEEDED_TO_ADD",
            Self::OwnAccount => "OWN_ACCOUNT",
        }
    }

    fn description(self) -> Cow<'static, str> {
        match self {
            Self::Value(fault) => fault.to_string().into(),
            Self::ColumnCount => {
                "the row has more or fewer values than the header line has columns".into()
            }
            Self::NotUtf8 => "the row's text is not UTF-8; save the roster as UTF-8".into(),
            Self::Repeated => "an earlier row of the roster is about the same patron".into(),
            Self::GroupUnknown => "there is no patron group with this code".into(),
            Self::BarcodeTaken => "the barcode belongs to someone else".into(),
            Self::UsernameTaken => {
                "the username belongs to someone else; case makes no difference".into()
            }
            Self::ColumnNeeded => {
                "the patron is not known, and the roster lacks this column, which a new one needs"
                    .into()
            }
            Self::OwnAccount => "nobody changes their own account".into(),
        }
    }
}

/// A row that was refused, without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line of the file where the row begins, from 1.
    pub line: i64,
    /// The column at fault; empty where it is the whole row.
    pub column: Cow<'static, str>,
    /// The stable reason.
    pub reason: Cow<'static, str>,
    /// The same for people.
    pub description: Cow<'static, str>,
}

impl Problem {
    /// A refused row.
    #[must_use]
    pub fn new(line: i64, column: &'static str, refused: RowRefused) -> Self {
        Self {
            line,
            column: column.into(),
            reason: refused.reason().into(),
            description: refused.description(),
        }
    }
}

/// How far a load has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows read.
    pub read: i64,
    /// Patrons added.
    pub created: i64,
    /// Patrons changed.
    pub updated: i64,
    /// Patrons who were as the row says.
    pub unchanged: i64,
    /// Rows refused.
    pub failed: i64,
    /// Accounts deactivated, counted in `updated` too.
    pub deactivated: i64,
}

/// What a row does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It adds a patron.
    Create(Patron),
    /// It changes one.
    Update {
        /// As the patron will be.
        after: Patron,
        /// What of the change is news.
        told: Told,
        /// Whether the account was in use and will not be.
        deactivates: bool,
    },
    /// The patron is as it says.
    Unchanged,
}

/// What is known of the patrons while rows are decided on, one after the
/// other: a barcode that an earlier row gave away is free for a later one, and
/// one that a later row would give away is not free yet.
#[derive(Debug, Default)]
pub struct Known<'a> {
    /// Patrons whom the rows mean, by source and external id.
    pub patrons: HashMap<(String, String), Patron>,
    /// Who has a barcode.
    pub barcodes: HashMap<String, Uuid>,
    /// Who has a username, in lower case.
    pub usernames: HashMap<String, Uuid>,
    /// The codes of all groups.
    pub groups: Cow<'a, HashSet<String>>,
}

impl Known<'_> {
    /// Decides on a row; `new_id` is for a patron whom nobody knows yet,
    /// `caller` the patron who loads the roster, where it is one.
    ///
    /// # Errors
    /// Why the row is refused.
    pub fn decide(
        &mut self,
        row: &Row,
        new_id: Uuid,
        caller: Option<Uuid>,
    ) -> Result<Decision, Problem> {
        let key = (row.source.clone(), row.external_id.clone());
        let before = self.patrons.get(&key).cloned();
        let mut after = match &before {
            Some(patron) => patron.clone(),
            None => new_patron(row, new_id)?,
        };
        after.account.apply(row.changes.iter().cloned());
        if before.as_ref() == Some(&after) {
            return Ok(Decision::Unchanged);
        }
        if caller == Some(after.id) {
            return Err(row.problem("", RowRefused::OwnAccount));
        }
        self.check(row, &after)?;
        let Some(before) = before else {
            self.note(None, &after);
            return Ok(Decision::Create(after));
        };
        after.revision += 1;
        self.note(Some(&before.account), &after);
        Ok(Decision::Update {
            told: Told::of(&before.account, &after.account),
            deactivates: before.account.active && !after.account.active,
            after,
        })
    }

    /// What only the other patrons and the groups tell.
    fn check(&self, row: &Row, after: &Patron) -> Result<(), Problem> {
        let account = &after.account;
        let of_another = |holder: Option<&Uuid>| holder.is_some_and(|id| *id != after.id);
        if !self.groups.contains(&account.patron_group) {
            return Err(row.problem("patron_group", RowRefused::GroupUnknown));
        }
        if of_another(self.barcodes.get(&account.barcode)) {
            return Err(row.problem("barcode", RowRefused::BarcodeTaken));
        }
        if of_another(self.usernames.get(&username_key(&account.username))) {
            return Err(row.problem("username", RowRefused::UsernameTaken));
        }
        Ok(())
    }

    fn note(&mut self, before: Option<&Account>, after: &Patron) {
        if let Some(before) = before {
            self.barcodes.remove(&before.barcode);
            self.usernames.remove(&username_key(&before.username));
        }
        if !after.account.barcode.is_empty() {
            self.barcodes
                .insert(after.account.barcode.clone(), after.id);
        }
        if !after.account.username.is_empty() {
            self.usernames
                .insert(username_key(&after.account.username), after.id);
        }
    }
}

/// A patron with nothing but the roster's key yet.
fn new_patron(row: &Row, id: Uuid) -> Result<Patron, Problem> {
    if !row.names(|change| matches!(change, Change::LastName(_))) {
        return Err(row.problem("last_name", RowRefused::ColumnNeeded));
    }
    if !row.names(|change| matches!(change, Change::PatronGroup(_))) {
        return Err(row.problem("patron_group", RowRefused::ColumnNeeded));
    }
    Ok(Patron {
        id,
        account: Account {
            source: row.source.clone(),
            external_id: row.external_id.clone(),
            // A roster without the column is one of people in use.
            active: true,
            ..Account::default()
        },
        keeps_history: false,
        revision: 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(external_id: &str, changes: Vec<Change>) -> Row {
        Row {
            line: 2,
            source: "sis".into(),
            external_id: external_id.into(),
            changes,
        }
    }

    fn person(external_id: &str, barcode: &str) -> Row {
        row(
            external_id,
            vec![
                Change::LastName("Alderleaf".into()),
                Change::PatronGroup("staff".into()),
                Change::Barcode(barcode.into()),
            ],
        )
    }

    /// Patrons A1, A2, … with these barcodes.
    fn known(barcodes: &[&str]) -> Known<'static> {
        let mut known = Known {
            groups: Cow::Owned(HashSet::from(["staff".to_owned()])),
            ..Known::default()
        };
        for (index, barcode) in barcodes.iter().enumerate() {
            let row = person(&format!("A{}", index + 1), barcode);
            let Ok(Decision::Create(patron)) = known.decide(&row, carrel_ids::new_id(), None)
            else {
                panic!("{barcode} is free");
            };
            known.patrons.insert((row.source, row.external_id), patron);
        }
        known
    }

    fn reason(outcome: Result<Decision, Problem>) -> String {
        outcome.unwrap_err().reason.into_owned()
    }

    #[test]
    fn a_second_load_of_the_same_rows_changes_nothing() {
        let mut known = known(&["21", ""]);
        for row in [person("A1", "21"), person("A2", "")] {
            let decision = known.decide(&row, carrel_ids::new_id(), None);
            assert_eq!(decision, Ok(Decision::Unchanged));
        }
    }

    #[test]
    fn a_barcode_is_free_once_its_holder_has_another() {
        let mut known = known(&["21"]);
        let id = carrel_ids::new_id();
        assert_eq!(
            reason(known.decide(&person("A2", "21"), id, None)),
            "PATRON_BARCODE_TAKEN"
        );
        assert!(known.decide(&person("A1", "22"), id, None).is_ok());
        assert!(known.decide(&person("A2", "21"), id, None).is_ok());
        assert_eq!(
            reason(known.decide(&person("A3", "22"), id, None)),
            "PATRON_BARCODE_TAKEN"
        );
    }

    #[test]
    fn two_patrons_do_not_swap_barcodes_by_a_roster() {
        let mut known = known(&["21", "22"]);
        let id = carrel_ids::new_id();
        assert_eq!(
            reason(known.decide(&person("A1", "22"), id, None)),
            "PATRON_BARCODE_TAKEN"
        );
        assert_eq!(
            reason(known.decide(&person("A2", "21"), id, None)),
            "PATRON_BARCODE_TAKEN"
        );
    }

    #[test]
    fn usernames_differ_in_more_than_case() {
        let mut known = known(&["21", "22"]);
        let id = carrel_ids::new_id();
        let named = |name: &str| vec![Change::Username(name.into())];
        assert!(known.decide(&row("A1", named("jalder")), id, None).is_ok());
        let second = known.decide(&row("A2", named("JAlder")), id, None);
        assert_eq!(reason(second), "PATRON_USERNAME_TAKEN");
    }

    #[test]
    fn nobody_is_added_without_a_name_or_a_group_that_exists() {
        let mut known = known(&[]);
        let id = carrel_ids::new_id();
        let unnamed = row("A9", vec![Change::Active(false)]);
        assert_eq!(
            reason(known.decide(&unnamed, id, None)),
            "COLUMN_NEEDED_TO_ADD"
        );
        let mut stranger = person("A9", "");
        stranger.changes.push(Change::PatronGroup("alumni".into()));
        assert_eq!(
            reason(known.decide(&stranger, id, None)),
            "PATRON_GROUP_UNKNOWN"
        );
    }

    #[test]
    fn nobody_loads_a_change_of_their_own_account() {
        let mut known = known(&["21"]);
        let own = known.patrons[&("sis".to_owned(), "A1".to_owned())].id;
        let id = carrel_ids::new_id();
        assert_eq!(
            known.decide(&person("A1", "21"), id, Some(own)),
            Ok(Decision::Unchanged)
        );
        assert_eq!(
            reason(known.decide(&person("A1", "99"), id, Some(own))),
            "OWN_ACCOUNT"
        );
    }
}
