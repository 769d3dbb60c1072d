//! Criteria, joined by and, or and not. Pure: the time is passed in.

use carrel_money::Money;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use uuid::Uuid;

use crate::account::model::FeeFineKind;
use crate::error::Error;

/// How deep criteria may be nested.
const DEEPEST: usize = 8;
/// How many there may be in all.
const MOST: usize = 100;

/// What a charge has to be to be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Criterion {
    /// All hold; none: always.
    All(Vec<Criterion>),
    /// At least one holds.
    Any(Vec<Criterion>),
    /// It does not hold.
    Not(Box<Criterion>),
    /// Charged at least so many days ago.
    MinimumAgeDays(i32),
    /// At least so much is owed here.
    MinimumAmount(Money),
    /// Of this kind.
    Kind(FeeFineKind),
    /// Of this type.
    FeeFineType(Uuid),
    /// Owed to this owner.
    FeeFineOwner(Uuid),
    /// Owed to this library.
    Library(String),
    /// Owed to this college.
    Institution(String),
}

/// A charge that may be posted.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// From when its age counts: when it was charged, later by as long as it
    /// was disputed or claimed returned.
    pub ages_from: Timestamp,
    /// What the student account does not bear of it.
    pub owed_here: Money,
    /// Its kind.
    pub kind: FeeFineKind,
    /// Its type.
    pub fee_fine_type_id: Uuid,
    /// Who is owed.
    pub fee_fine_owner_id: Uuid,
    /// The library, or nothing.
    pub library_code: &'a str,
    /// The college, or nothing.
    pub institution_code: &'a str,
    /// The date of its notice.
    pub noticed_on: Option<Date>,
}

/// What is posted, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// What a charge has to be; `None`: anything.
    pub criterion: Option<Criterion>,
    /// Days between the notice and the posting; `None`: no notice is needed.
    pub notice_wait_days: Option<i32>,
    /// Rises with each change; 0: it never was set.
    pub revision: i64,
    /// Who changed it last.
    pub changed_by: String,
    /// When.
    pub changed_at: Option<Timestamp>,
}

/// What holds a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The criteria.
    Criterion,
    /// There was no notice.
    NoNotice,
    /// The waiting time after the notice runs.
    NoticeRuns,
}

impl Held {
    /// For people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Criterion => "the criteria do not choose it",
            Self::NoNotice => "there was no dated notice",
            Self::NoticeRuns => "the waiting time after its notice is not over",
        }
    }
}

impl Policy {
    /// What holds a charge, if anything.
    #[must_use]
    pub fn holds(&self, candidate: &Candidate<'_>, now: Timestamp, today: Date) -> Option<Held> {
        if let Some(days) = self.notice_wait_days {
            let Some(noticed_on) = candidate.noticed_on else {
                return Some(Held::NoNotice);
            };
            let over_on = noticed_on.checked_add(i64::from(days).days());
            // A day beyond the calendar never comes.
            if over_on.map_or(true, |over_on| today < over_on) {
                return Some(Held::NoticeRuns);
            }
        }
        match &self.criterion {
            Some(criterion) if !criterion.is_met(candidate, now) => Some(Held::Criterion),
            Some(_) | None => None,
        }
    }
}

impl Criterion {
    fn is_met(&self, candidate: &Candidate<'_>, now: Timestamp) -> bool {
        match self {
            Self::All(criteria) => criteria.iter().all(|one| one.is_met(candidate, now)),
            Self::Any(criteria) => criteria.iter().any(|one| one.is_met(candidate, now)),
            Self::Not(criterion) => !criterion.is_met(candidate, now),
            Self::MinimumAgeDays(days) => {
                let age = now.duration_since(candidate.ages_from);
                age >= SignedDuration::from_hours(24 * i64::from(*days))
            }
            Self::MinimumAmount(least) => {
                least.currency() == candidate.owed_here.currency()
                    && candidate.owed_here.amount() >= least.amount()
            }
            Self::Kind(kind) => *kind == candidate.kind,
            Self::FeeFineType(id) => *id == candidate.fee_fine_type_id,
            Self::FeeFineOwner(id) => *id == candidate.fee_fine_owner_id,
            Self::Library(code) => code == candidate.library_code,
            Self::Institution(code) => code == candidate.institution_code,
        }
    }

    /// Whether it can be kept.
    ///
    /// # Errors
    /// [`Error::CriterionMalformed`].
    pub fn check(&self) -> Result<(), Error> {
        let mut count = 0;
        self.count(1, &mut count)
    }

    fn count(&self, depth: usize, count: &mut usize) -> Result<(), Error> {
        *count += 1;
        if depth > DEEPEST {
            return Err(Error::CriterionMalformed(
                "criteria are nested more than 8 deep",
            ));
        }
        if *count > MOST {
            return Err(Error::CriterionMalformed(
                "there are more than 100 criteria",
            ));
        }
        match self {
            Self::All(criteria) | Self::Any(criteria) => criteria
                .iter()
                .try_for_each(|one| one.count(depth + 1, count)),
            Self::Not(criterion) => criterion.count(depth + 1, count),
            Self::MinimumAgeDays(days) if !(0..=3650).contains(days) => Err(
                Error::CriterionMalformed("minimum_age_days has to be 0 to 3,650"),
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carrel_money::Currency;
    use jiff::civil::date;

    fn usd(cents: i64) -> Money {
        Money::from_minor(cents, Currency::USD).unwrap()
    }

    fn candidate(cents: i64, days: i64) -> (Candidate<'static>, Timestamp) {
        let now: Timestamp = "2026-03-20T12:00:00Z".parse().unwrap();
        let candidate = Candidate {
            ages_from: now - SignedDuration::from_hours(24 * days),
            owed_here: usd(cents),
            kind: FeeFineKind::OverdueFine,
            fee_fine_type_id: Uuid::from_u128(1),
            fee_fine_owner_id: Uuid::from_u128(2),
            library_code: "ALD-MAIN",
            institution_code: "ALD",
            noticed_on: None,
        };
        (candidate, now)
    }

    #[test]
    fn criteria_are_joined_by_and_or_and_not() {
        use Criterion::*;
        // Duke's rule: five dollars and seven days; here also every fee of another college.
        let rule = Any(vec![
            All(vec![
                MinimumAmount(usd(500)),
                MinimumAgeDays(7),
                Not(Box::new(Library("LAW".into()))),
            ]),
            Institution("BER".into()),
        ]);
        rule.check().unwrap();
        for (cents, days, expected) in [
            (500, 7, true),
            (499, 7, false),
            (500, 6, false),
            (9_999, 0, false),
        ] {
            let (candidate, now) = candidate(cents, days);
            assert_eq!(rule.is_met(&candidate, now), expected, "{cents} {days}");
            let at_law = Candidate {
                library_code: "LAW",
                ..candidate.clone()
            };
            assert!(!rule.is_met(&at_law, now));
            let elsewhere = Candidate {
                institution_code: "BER",
                ..candidate
            };
            assert!(rule.is_met(&elsewhere, now));
        }
        let (candidate, now) = candidate(1, 0);
        assert!(All(vec![]).is_met(&candidate, now) && !Any(vec![]).is_met(&candidate, now));
    }

    #[test]
    fn nothing_is_posted_before_the_waiting_time_after_its_notice() {
        let policy = Policy {
            notice_wait_days: Some(30),
            ..Policy::default()
        };
        let (mut candidate, now) = candidate(500, 90);
        let held = |candidate: &Candidate<'_>, today| policy.holds(candidate, now, today);
        assert_eq!(held(&candidate, date(2026, 3, 20)), Some(Held::NoNotice));
        candidate.noticed_on = Some(date(2026, 2, 1));
        assert_eq!(held(&candidate, date(2026, 3, 2)), Some(Held::NoticeRuns));
        assert_eq!(held(&candidate, date(2026, 3, 3)), None);
    }

    #[test]
    fn criteria_have_bounds() {
        let mut deep = Criterion::MinimumAgeDays(1);
        for _ in 0..8 {
            deep = Criterion::Not(Box::new(deep));
        }
        assert!(deep.check().is_err());
        assert!(
            Criterion::Any(vec![Criterion::MinimumAgeDays(1); 100])
                .check()
                .is_err()
        );
        assert!(
            Criterion::Any(vec![Criterion::MinimumAgeDays(1); 99])
                .check()
                .is_ok()
        );
        assert!(Criterion::MinimumAgeDays(-1).check().is_err());
    }
}
