//! Who calls, and what they may do where.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a grant holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everywhere.
    District,
    /// In one college, by its code.
    Institution(String),
    /// In one library, by its code.
    Library(String),
}

/// A permission somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The permission, such as "circulation.loans.check-out"; "circulation.*"
    /// for all that begin so; "*" for all.
    pub permission: String,
    /// Where it holds.
    pub scope: Scope,
}

impl Grant {
    /// A permission somewhere.
    #[must_use]
    pub fn new(permission: &str, scope: Scope) -> Self {
        Self {
            permission: permission.to_owned(),
            scope,
        }
    }

    /// A permission everywhere.
    #[must_use]
    pub fn everywhere(permission: &str) -> Self {
        Self::new(permission, Scope::District)
    }

    fn covers(&self, permission: &str) -> bool {
        match self.permission.strip_suffix('*') {
            None => self.permission == permission,
            Some("") => true,
            Some(prefix) => prefix.ends_with('.') && permission.starts_with(prefix),
        }
    }
}

/// Who calls: the holder of a token that was checked. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    subject: Arc<str>,
    grants: Arc<[Grant]>,
    expires_at: Timestamp,
}

impl Caller {
    /// The holder of a token.
    #[must_use]
    pub fn new(subject: String, grants: Vec<Grant>, expires_at: Timestamp) -> Self {
        Self {
            subject: subject.into(),
            grants: grants.into(),
            expires_at,
        }
    }

    /// The token's subject.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// When the token expires.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Whether the caller holds the permission anywhere.
    #[must_use]
    pub fn may(&self, permission: &str) -> bool {
        self.grants.iter().any(|grant| grant.covers(permission))
    }

    /// Whether the caller holds the permission in the whole district.
    #[must_use]
    pub fn may_everywhere(&self, permission: &str) -> bool {
        self.grants
            .iter()
            .any(|grant| grant.covers(permission) && grant.scope == Scope::District)
    }

    /// Whether the caller holds the permission in a library.
    #[must_use]
    pub fn may_at(&self, permission: &str, institution_code: &str, library_code: &str) -> bool {
        self.grants.iter().any(|grant| {
            grant.covers(permission)
                && match &grant.scope {
                    Scope::District => true,
                    Scope::Institution(code) => code == institution_code,
                    Scope::Library(code) => code == library_code,
                }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_holds_where_it_says_and_for_what_it_says() {
        let caller = Caller::new(
            "desk-1".into(),
            vec![
                Grant::new("circulation.loans.check-out", Scope::Library("MAIN".into())),
                Grant::new("billing.*", Scope::Institution("ALD".into())),
                Grant::everywhere("catalog.items.read"),
            ],
            Timestamp::MAX,
        );
        assert!(caller.may_at("circulation.loans.check-out", "ALD", "MAIN"));
        assert!(!caller.may_at("circulation.loans.check-out", "ALD", "NORTH"));
        assert!(!caller.may_everywhere("circulation.loans.check-out"));
        assert!(caller.may_at("billing.accounts.pay", "ALD", "NORTH"));
        assert!(!caller.may_at("billing.accounts.pay", "RID", "NORTH"));
        assert!(caller.may_everywhere("catalog.items.read"));
        assert!(!caller.may("catalog.items.write"));
        assert!(!caller.may("billing"));
    }
}
