//! What other services may know of a patron, and the events that tell them.

use carrel_outbox::NewEvent;
use carrel_proto::patrons::v1 as wire;
use carrel_runtime::BarcodeKey;
use carrel_runtime::wire::to_date;
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use super::model::{Account, Patron};

/// What other services and billing may know of a patron, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The patron.
    pub patron_id: Uuid,
    /// HMAC of the barcode; empty where there is none.
    pub barcode_hmac: Vec<u8>,
    /// The group's code.
    pub patron_group: String,
    /// The last day on which the account may borrow.
    pub expiration_date: Option<Date>,
    /// Whether the account is in use.
    pub active: bool,
    /// Whether the patron keeps a reading history.
    pub keeps_history: bool,
    /// For billing: the student-information system's id.
    pub student_id: String,
    /// For billing: the relation to the district.
    pub affiliation: String,
    /// For billing: the library's code.
    pub home_library: String,
    /// The patron's revision.
    pub revision: i64,
}

impl Standing {
    /// The standing of a patron.
    #[must_use]
    pub fn of(patron: &Patron, barcode_key: &BarcodeKey) -> Self {
        let account = &patron.account;
        Self {
            patron_id: patron.id,
            barcode_hmac: barcode_hmac(account, barcode_key).unwrap_or_default(),
            patron_group: account.patron_group.clone(),
            expiration_date: account.expiration_date,
            active: account.active,
            keeps_history: patron.keeps_history,
            student_id: account.student_id.clone(),
            affiliation: account.affiliation.clone(),
            home_library: account.home_library.clone(),
            revision: patron.revision,
        }
    }

    /// As every service may know it.
    #[must_use]
    pub fn to_standing(&self) -> wire::PatronStanding {
        wire::PatronStanding {
            patron_id: self.patron_id.to_string(),
            barcode_hmac: self.barcode_hmac.clone(),
            patron_group: self.patron_group.clone(),
            expiration_date: self.expiration_date.map(to_date),
            active: self.active,
            keeps_history: self.keeps_history,
            revision: self.revision,
        }
    }

    /// As billing may know it.
    #[must_use]
    pub fn to_student_link(&self) -> wire::StudentLink {
        wire::StudentLink {
            patron_id: self.patron_id.to_string(),
            student_id: self.student_id.clone(),
            affiliation: self.affiliation.clone(),
            home_library: self.home_library.clone(),
            revision: self.revision,
        }
    }

    /// The events that this standing makes, where `told` says so.
    #[must_use]
    pub fn events(&self, told: Told, trace_parent: Option<&str>, now: Timestamp) -> Vec<NewEvent> {
        let mut events = Vec::new();
        if told.standing {
            let event = wire::PatronStandingChanged {
                standing: Some(self.to_standing()),
            };
            events.push(NewEvent::of(self.patron_id, &event, now));
        }
        if told.student_link {
            let event = wire::StudentLinkChanged {
                student_link: Some(self.to_student_link()),
            };
            events.push(NewEvent::of(self.patron_id, &event, now));
        }
        events
            .into_iter()
            .map(|event| event.caused_by(trace_parent.map(str::to_owned)))
            .collect()
    }
}

/// The HMAC that stands beside an account's barcode; none without a barcode.
#[must_use]
pub fn barcode_hmac(account: &Account, barcode_key: &BarcodeKey) -> Option<Vec<u8>> {
    let barcode = &account.barcode;
    (!barcode.is_empty()).then(|| barcode_key.hash(barcode).to_vec())
}

/// Which of the two a change makes news of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// What every service may know changed.
    pub standing: bool,
    /// What billing may know changed.
    pub student_link: bool,
}

impl Told {
    /// A new patron is news of both kinds.
    pub const NEW: Self = Self {
        standing: true,
        student_link: true,
    };

    /// What a change makes news of: a new address or name is none.
    #[must_use]
    pub fn of(before: &Account, after: &Account) -> Self {
        Self {
            standing: before.barcode != after.barcode
                || before.patron_group != after.patron_group
                || before.expiration_date != after.expiration_date
                || before.active != after.active,
            student_link: before.student_id != after.student_id
                || before.affiliation != after.affiliation
                || before.home_library != after.home_library,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Change;
    use super::*;

    #[test]
    fn only_what_others_may_know_is_news() {
        let before = Account::default();
        let told = |change: Change| {
            let mut after = before.clone();
            after.apply([change]);
            let told = Told::of(&before, &after);
            (told.standing, told.student_link)
        };
        assert_eq!(told(Change::Barcode("2".into())), (true, false));
        assert_eq!(told(Change::Active(true)), (true, false));
        assert_eq!(told(Change::PatronGroup("staff".into())), (true, false));
        assert_eq!(told(Change::ExpirationDate(Some(Date::MAX))), (true, false));
        assert_eq!(told(Change::StudentId("A1".into())), (false, true));
        assert_eq!(told(Change::Affiliation("student".into())), (false, true));
        assert_eq!(told(Change::HomeLibrary("ALDM".into())), (false, true));
        assert_eq!(told(Change::LastName("Alder".into())), (false, false));
        assert_eq!(told(Change::Email("a@example.edu".into())), (false, false));
        assert_eq!(told(Change::Username("a".into())), (false, false));
    }
}
