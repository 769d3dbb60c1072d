//! What never changes and so is kept in memory: versions of rules, policies
//! and calendars. A check-out's statement says which version holds; only a
//! version that is not known yet is read from the database.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::Error;
use crate::policy::model::{FineTerms, LoanTerms, LostTerms, Policy, RequestTerms, Terms};
use crate::rule::RulesVersion;
use crate::service_point::calendar::Calendar;
use crate::{policy, rule, service_point};

/// More versions than a district has in use; beyond them memory begins anew.
const MOST_VERSIONS: usize = 1_000;

/// Versions of the rules can be large, and few are looked at.
const MOST_RULES: usize = 16;

/// The newest version of each policy, by code, as of a serial.
#[derive(Debug, Default)]
pub(crate) struct CurrentPolicies {
    pub serial: i64,
    pub loan: HashMap<String, Arc<Policy<LoanTerms>>>,
    pub overdue_fine: HashMap<String, Arc<Policy<FineTerms>>>,
    pub lost_item: HashMap<String, Arc<Policy<LostTerms>>>,
    pub request: HashMap<String, Arc<Policy<RequestTerms>>>,
}

/// The three policies of a loan.
#[derive(Debug, Clone)]
pub(crate) struct LoanPolicies {
    pub loan: Arc<Policy<LoanTerms>>,
    pub overdue_fine: Arc<Policy<FineTerms>>,
    pub lost_item: Arc<Policy<LostTerms>>,
}

impl LoanPolicies {
    /// Their ids: loan, overdue fine, lost item.
    pub(crate) fn ids(&self) -> [Uuid; 3] {
        [self.loan.id, self.overdue_fine.id, self.lost_item.id]
    }
}

impl CurrentPolicies {
    /// The policies that a rule's line names. They were there when the rules
    /// were brought in, and policies are never removed.
    pub(crate) fn of(&self, rule: &rule::model::Rule) -> Result<LoanPolicies, Error> {
        let names = &rule.policies;
        let gone = |code: &str| Error::Unreadable(format!("policy {code} of the rules is gone"));
        Ok(LoanPolicies {
            loan: (self.loan.get(&names.loan.code).cloned())
                .ok_or_else(|| gone(&names.loan.code))?,
            overdue_fine: (self.overdue_fine.get(&names.overdue_fine.code).cloned())
                .ok_or_else(|| gone(&names.overdue_fine.code))?,
            lost_item: (self.lost_item.get(&names.lost_item.code).cloned())
                .ok_or_else(|| gone(&names.lost_item.code))?,
        })
    }
}

/// Versions by their keys.
#[derive(Debug)]
struct Shelf<K, V, const MOST: usize = MOST_VERSIONS>(RwLock<HashMap<K, Arc<V>>>);

impl<K, V, const MOST: usize> Default for Shelf<K, V, MOST> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Eq + Hash, V, const MOST: usize> Shelf<K, V, MOST> {
    fn find(&self, key: &K) -> Option<Arc<V>> {
        let shelf = self.0.read().unwrap_or_else(PoisonError::into_inner);
        shelf.get(key).cloned()
    }

    fn keep(&self, key: K, value: V) -> Arc<V> {
        let value = Arc::new(value);
        let mut shelf = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if shelf.len() >= MOST {
            shelf.clear();
        }
        shelf.insert(key, Arc::clone(&value));
        value
    }
}

/// What is known of this service's versions.
#[derive(Debug, Default)]
pub(crate) struct Known {
    rules: Shelf<Uuid, RulesVersion, MOST_RULES>,
    current: Shelf<(), CurrentPolicies>,
    loan: Shelf<Uuid, Policy<LoanTerms>>,
    overdue_fine: Shelf<Uuid, Policy<FineTerms>>,
    lost_item: Shelf<Uuid, Policy<LostTerms>>,
    request: Shelf<Uuid, Policy<RequestTerms>>,
    /// Only the newest hours of each service point.
    calendars: Shelf<Uuid, (i64, Arc<Calendar>)>,
}

impl Known {
    /// A version of the rules.
    pub(crate) async fn rules(
        &self,
        connection: &mut PgConnection,
        id: Uuid,
    ) -> Result<Arc<RulesVersion>, Error> {
        if let Some(rules) = self.rules.find(&id) {
            return Ok(rules);
        }
        Ok(self
            .rules
            .keep(id, rule::store::read(connection, id).await?))
    }

    /// The newest policies, as of a serial that the caller's statement read.
    pub(crate) async fn current_policies(
        &self,
        connection: &mut PgConnection,
        serial: i64,
    ) -> Result<Arc<CurrentPolicies>, Error> {
        if let Some(current) = self.current.find(&())
            && current.serial == serial
        {
            return Ok(current);
        }
        let current = policy::store::current(connection, serial).await?;
        Ok(self.current.keep((), current))
    }

    /// A version of a loan policy.
    pub(crate) async fn loan_policy(
        &self,
        connection: &mut PgConnection,
        id: Uuid,
    ) -> Result<Arc<Policy<LoanTerms>>, Error> {
        read_through(&self.loan, connection, id).await
    }

    /// The versions of the policies that a loan was made under.
    pub(crate) async fn loan_policies(
        &self,
        connection: &mut PgConnection,
        [loan, overdue_fine, lost_item]: [Uuid; 3],
    ) -> Result<LoanPolicies, Error> {
        Ok(LoanPolicies {
            loan: read_through(&self.loan, connection, loan).await?,
            overdue_fine: read_through(&self.overdue_fine, connection, overdue_fine).await?,
            lost_item: read_through(&self.lost_item, connection, lost_item).await?,
        })
    }

    /// The version of the policy that a request was placed under.
    pub(crate) async fn request_policy(
        &self,
        connection: &mut PgConnection,
        id: Uuid,
    ) -> Result<Arc<Policy<RequestTerms>>, Error> {
        read_through(&self.request, connection, id).await
    }

    /// A service point's calendar, by the revision of its hours that the
    /// caller's statement read.
    pub(crate) async fn calendar(
        &self,
        connection: &mut PgConnection,
        service_point_id: Uuid,
        time_zone: &str,
        hours_revision: i64,
    ) -> Result<Arc<Calendar>, Error> {
        if let Some(known) = self.calendars.find(&service_point_id)
            && known.0 == hours_revision
        {
            return Ok(Arc::clone(&known.1));
        }
        let hours = service_point::store::opening_hours(connection, service_point_id).await?;
        let zone = service_point::time_zone(time_zone)?;
        let calendar = Arc::new(Calendar { zone, hours });
        let known = (hours_revision, Arc::clone(&calendar));
        self.calendars.keep(service_point_id, known);
        Ok(calendar)
    }
}

async fn read_through<T: Terms>(
    shelf: &Shelf<Uuid, Policy<T>>,
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Arc<Policy<T>>, Error> {
    if let Some(policy) = shelf.find(&id) {
        return Ok(policy);
    }
    Ok(shelf.keep(id, policy::store::get(connection, id).await?))
}
