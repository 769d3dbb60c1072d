//! The rules of proxies.

use carrel_proto::patrons::v1::ProxyStanding;
use carrel_runtime::wire::to_date;
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

/// How many may borrow for one sponsor.
pub const MOST_PROXIES: i64 = 50;

/// That one patron may borrow for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its id.
    pub id: Uuid,
    /// For whom: whose loans they are.
    pub sponsor_patron_id: Uuid,
    /// Who may borrow.
    pub proxy_patron_id: Uuid,
    /// The last day on which they may; `None`: until it is ended.
    pub expiration_date: Option<Date>,
    /// When it was entered.
    pub created_at: Timestamp,
    /// Who entered it.
    pub created_by: String,
    /// When it was ended.
    pub ended_at: Option<Timestamp>,
    /// Rises with each change.
    pub revision: i64,
}

impl Proxy {
    /// Ends it; false where it had ended before.
    pub fn end(&mut self, now: Timestamp) -> bool {
        if self.ended_at.is_some() {
            return false;
        }
        self.ended_at = Some(now);
        self.revision += 1;
        true
    }

    /// What other services may know of it.
    #[must_use]
    pub fn to_standing(&self) -> ProxyStanding {
        ProxyStanding {
            proxy_id: self.id.to_string(),
            sponsor_patron_id: self.sponsor_patron_id.to_string(),
            proxy_patron_id: self.proxy_patron_id.to_string(),
            expiration_date: self.expiration_date.map(to_date),
            ended: self.ended_at.is_some(),
            revision: self.revision,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;

    #[test]
    fn a_proxy_is_ended_once() {
        let now = Timestamp::UNIX_EPOCH;
        let mut proxy = Proxy {
            id: Uuid::nil(),
            sponsor_patron_id: Uuid::nil(),
            proxy_patron_id: Uuid::max(),
            expiration_date: None,
            created_at: now,
            created_by: "desk-1".into(),
            ended_at: None,
            revision: 1,
        };
        assert!(!proxy.to_standing().ended);
        assert!(proxy.end(now));
        assert!(!proxy.end(now + 1.hour()));
        assert_eq!((proxy.ended_at, proxy.revision), (Some(now), 2));
        assert!(proxy.to_standing().ended);
    }
}
