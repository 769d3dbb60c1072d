//! What can happen at the desk, drawn at random and told in words.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::model::TITLE_OF;

pub const PATRONS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Hold,
    Recall,
    Page,
}

/// A request that somebody wants to place.
#[derive(Debug, Clone)]
pub struct Asked {
    pub patron: usize,
    /// A copy of the title that is asked for.
    pub copy: usize,
    /// Only this copy; `None`: any of its title.
    pub only: Option<usize>,
    pub kind: Kind,
    /// The service point; `None`: delivered.
    pub pickup: Option<usize>,
    pub expires_after_days: Option<i64>,
}

impl Asked {
    pub fn title(&self) -> usize {
        TITLE_OF[self.copy]
    }

    pub fn expires_at(&self, now: Timestamp) -> Option<Timestamp> {
        let days = self.expires_after_days?;
        Some(Action::days_after(now, days))
    }
}

/// What staff note on a loan.
#[derive(Debug, Clone, Copy)]
pub enum Note {
    ClaimedReturned,
    Missing,
    DeclaredLost,
    /// Due at the end of the day so many days on.
    Due(i32),
}

#[derive(Clone)]
pub enum Action {
    CheckOut {
        copy: usize,
        patron: usize,
        point: usize,
        overriding: bool,
    },
    CheckIn {
        copy: usize,
        point: usize,
    },
    Renew {
        copy: usize,
        overriding: bool,
    },
    /// Staff note something on a loan, the newest but so many.
    Note {
        loan: usize,
        what: Note,
    },
    Place(Asked),
    /// Requests are named by their number, modulo as many as there are.
    Cancel {
        request: usize,
    },
    Suspend {
        request: usize,
        days: i64,
    },
    Resume {
        request: usize,
    },
    /// It shall be picked up somewhere else.
    Redirect {
        request: usize,
        point: usize,
    },
    /// Turns the queue around by so many places.
    Reorder {
        title: usize,
        by: usize,
    },
    Wait {
        days: i64,
    },
}

impl Action {
    /// Days of 24 hours, so that they add up.
    pub fn days_after(from: Timestamp, days: i64) -> Timestamp {
        from + SignedDuration::from_hours(24 * days)
    }
}

impl Action {
    /// The request that it is about.
    pub fn request(&self) -> Option<usize> {
        match self {
            Self::Cancel { request }
            | Self::Suspend { request, .. }
            | Self::Resume { request }
            | Self::Redirect { request, .. } => Some(*request),
            _ => None,
        }
    }
}

/// As proptest prints a sequence that fails.
impl fmt::Debug for Action {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let desk = |point: usize| ["the main desk", "the north desk"][point];
        let insisting = |yes: bool| if yes { ", whoever waits" } else { "" };
        match self {
            Self::CheckOut {
                copy,
                patron,
                point,
                overriding,
            } => write!(
                to,
                "copy {copy} is lent to patron {patron} at {}{}",
                desk(*point),
                insisting(*overriding)
            ),
            Self::CheckIn { copy, point } => write!(to, "copy {copy} comes to {}", desk(*point)),
            Self::Renew { copy, overriding } => {
                write!(to, "copy {copy} is renewed{}", insisting(*overriding))
            }
            Self::Note { loan, what } => {
                write!(to, "the newest loan but {loan} is noted: {what:?}")
            }
            Self::Place(asked) => {
                let of = match asked.only {
                    Some(copy) => format!("copy {copy}"),
                    None => format!("title {}", asked.title()),
                };
                let to_where = asked.pickup.map_or("their address", desk);
                let Asked { patron, kind, .. } = asked;
                write!(
                    to,
                    "patron {patron} asks for a {kind:?} of {of} to {to_where}"
                )?;
                let days = asked.expires_after_days;
                days.map_or(Ok(()), |days| write!(to, " within {days} days"))
            }
            Self::Cancel { request } => write!(to, "request {request} is cancelled"),
            Self::Suspend { request, days } => {
                write!(to, "request {request} is suspended for {days} days")
            }
            Self::Resume { request } => write!(to, "request {request} goes on"),
            Self::Redirect { request, point } => {
                write!(to, "request {request} goes to {}", desk(*point))
            }
            Self::Reorder { title, by } => {
                write!(to, "the first {by} in the queue of title {title} go last")
            }
            Self::Wait { days } => write!(to, "{days} days pass"),
        }
    }
}

fn copy() -> std::ops::Range<usize> {
    0..TITLE_OF.len()
}

fn asked() -> impl Strategy<Value = Asked> {
    let kind = prop_oneof![Just(Kind::Hold), Just(Kind::Recall), Just(Kind::Page)];
    let pickup = prop_oneof![4 => Just(Some(0)), 4 => Just(Some(1)), 1 => Just(None)];
    let days = prop_oneof![3 => Just(None), 1 => (1_i64..20).prop_map(Some)];
    let asked = (0..PATRONS, copy(), any::<bool>(), kind, pickup, days);
    asked.prop_map(|(patron, copy, of_title, kind, pickup, days)| Asked {
        patron,
        copy,
        only: (!of_title).then_some(copy),
        kind,
        pickup,
        expires_after_days: days,
    })
}

fn note() -> impl Strategy<Value = Action> {
    let what = prop_oneof![
        3 => Just(Note::ClaimedReturned),
        2 => Just(Note::Missing),
        2 => Just(Note::DeclaredLost),
        3 => (0..20).prop_map(Note::Due),
    ];
    (0..3_usize, what).prop_map(|(loan, what)| Action::Note { loan, what })
}

/// Anything that can happen, what happens most most often.
pub fn action() -> impl Strategy<Value = Action> {
    let insisting = || proptest::bool::weighted(0.15);
    let days = prop_oneof![3 => 1_i64..5, 2 => 5_i64..16, 1 => 16_i64..60];
    prop_oneof![
        6 => (copy(), 0..PATRONS, 0..2_usize, insisting()).prop_map(|(copy, patron, point, overriding)| {
            Action::CheckOut { copy, patron, point, overriding }
        }),
        5 => (copy(), 0..2_usize).prop_map(|(copy, point)| Action::CheckIn { copy, point }),
        4 => (copy(), insisting()).prop_map(|(copy, overriding)| Action::Renew { copy, overriding }),
        4 => note(),
        8 => asked().prop_map(Action::Place),
        2 => (0..8_usize).prop_map(|request| Action::Cancel { request }),
        2 => (0..6_usize, 1_i64..20).prop_map(|(request, days)| Action::Suspend { request, days }),
        1 => (0..6_usize).prop_map(|request| Action::Resume { request }),
        1 => (0..6_usize, 0..2_usize).prop_map(|(request, point)| Action::Redirect { request, point }),
        1 => (0..2_usize, 1..3_usize).prop_map(|(title, by)| Action::Reorder { title, by }),
        3 => days.prop_map(|days| Action::Wait { days }),
    ]
}
