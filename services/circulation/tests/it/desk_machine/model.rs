//! What a desk is documented to do, in memory and in few words: two titles,
//! three copies, three patrons. It knows nothing of the service's code.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::action::{Action, Kind};

/// Copies by number: the title of each.
pub const TITLE_OF: [usize; 3] = [0, 0, 1];
/// Copies by number: the service point in whose library each is at home.
pub const HOME_OF: [usize; 3] = [0, 1, 0];
/// As many a patron may have out.
pub const MOST_LOANS: usize = 2;

/// Where a copy is, as circulation tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    In = 1,
    Out = 2,
    Lost = 3,
    Claimed = 4,
    DeclaredLost = 5,
    OnShelf = 6,
    InTransit = 7,
    Paged = 8,
    Missing = 9,
    Delivery = 11,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Waiting = 1,
    OnShelf = 2,
    InTransit = 3,
    Delivery = 4,
    Filled = 5,
    Cancelled = 6,
    Unfilled = 7,
    PickupExpired = 8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    pub place: Place,
    pub loan: Option<usize>,
    /// The request that it is or was kept for.
    pub kept_for: Option<usize>,
    /// The service point that it is on its way to for a request.
    pub destination: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loan {
    pub copy: usize,
    pub patron: usize,
    pub since: Timestamp,
    pub due_at: Timestamp,
    pub renewals: i32,
    pub overdue: bool,
    pub lost: bool,
    /// Lost because the patron said so.
    pub declared: bool,
    pub claimed: bool,
    pub recalled: bool,
    pub open: bool,
}

impl Loan {
    fn is_overdue(&self) -> bool {
        self.overdue && !self.lost && !self.claimed
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub title: usize,
    pub copy: Option<usize>,
    pub patron: usize,
    pub kind: Kind,
    /// `None`: delivered.
    pub pickup: Option<usize>,
    pub standing: Standing,
    /// The copy that is kept for it, or that filled it.
    pub held: Option<usize>,
    pub expires_at: Option<Timestamp>,
    pub shelf_until: Option<Timestamp>,
    pub suspended_until: Option<Timestamp>,
    pub recalled_loan: Option<usize>,
}

impl Request {
    pub fn is_open(&self) -> bool {
        (self.standing as i32) < Standing::Filled as i32
    }

    pub fn waits(&self, now: Timestamp) -> bool {
        self.is_open()
            && self.held.is_none()
            && self.suspended_until.is_none_or(|until| until <= now)
            && self.expires_at.is_none_or(|until| now < until)
    }

    pub fn asks_for(&self, copy: usize) -> bool {
        self.title == TITLE_OF[copy] && self.copy.is_none_or(|asked| asked == copy)
    }
}

/// Why something is refused: one reason, or the blocks that stand, by name.
pub type Refused = Vec<&'static str>;

#[derive(Debug, Clone)]
pub struct Model {
    pub copies: Vec<Copy>,
    pub loans: Vec<Loan>,
    pub requests: Vec<Request>,
    /// Open requests by title, first to last.
    pub queues: [Vec<usize>; 2],
    /// Whether anybody ever asked for the title.
    pub asked_once: [bool; 2],
}

/// The last second of a day, so many days on.
pub fn end_of_day(from: Timestamp, days: i32) -> Timestamp {
    let zone = TimeZone::get("America/Los_Angeles").unwrap();
    let date = from.to_zoned(zone.clone()).date() + days.days();
    let end = date.at(23, 59, 59, 0).to_zoned(zone).unwrap();
    end.timestamp()
}

impl Model {
    pub fn new() -> Self {
        let copy = Copy {
            place: Place::In,
            loan: None,
            kept_for: None,
            destination: None,
        };
        Self {
            copies: vec![copy; TITLE_OF.len()],
            loans: Vec::new(),
            requests: Vec::new(),
            queues: [Vec::new(), Vec::new()],
            asked_once: [false; 2],
        }
    }

    /// Does it, or tells why not.
    pub fn act(&mut self, action: &Action, now: Timestamp) -> Result<(), Refused> {
        match *action {
            Action::CheckOut {
                copy,
                patron,
                overriding,
                ..
            } => self.check_out(copy, patron, overriding, now),
            Action::CheckIn { copy, point } => {
                self.check_in(copy, point, now);
                Ok(())
            }
            Action::Renew { copy, overriding } => self.renew(copy, overriding, now),
            Action::Note { loan, what } => self.note(self.newest_but(loan), what, now),
            Action::Place(ref asked) => self.place(asked, now),
            Action::Cancel { request } => self.cancel(self.numbered(request), now),
            Action::Suspend { request, days } => {
                let until = Action::days_after(now, days);
                self.suspend(self.numbered(request), Some(until))
            }
            Action::Resume { request } => self.suspend(self.numbered(request), None),
            Action::Redirect { request, point } => self.redirect(self.numbered(request), point),
            Action::Reorder { title, by } => self.reorder(title, by),
            Action::Wait { .. } => {
                self.age(now);
                Ok(())
            }
        }
    }

    /// The open request that a copy is kept for.
    pub fn kept_for(&self, copy: usize) -> Option<usize> {
        let request = self.copies[copy].kept_for?;
        let kept = &self.requests[request];
        (kept.is_open() && kept.held == Some(copy)).then_some(request)
    }

    /// Whose turn it is to get a copy.
    pub fn first_waiting(&self, copy: usize, now: Timestamp) -> Option<usize> {
        let mut queue = self.queues[TITLE_OF[copy]].iter().copied();
        queue.find(|&r| self.requests[r].waits(now) && self.requests[r].asks_for(copy))
    }

    pub fn open_loans(&self, patron: usize) -> impl Iterator<Item = &Loan> {
        self.loans
            .iter()
            .filter(move |loan| loan.open && loan.patron == patron)
    }

    pub fn put(
        &mut self,
        copy: usize,
        place: Place,
        kept_for: Option<usize>,
        destination: Option<usize>,
    ) {
        let loan = self.copies[copy].loan;
        self.copies[copy] = Copy {
            place,
            loan,
            kept_for,
            destination,
        };
    }

    pub fn let_go(&mut self, request: usize) {
        let request = &mut self.requests[request];
        request.held = None;
        request.standing = Standing::Waiting;
        request.shelf_until = None;
    }

    pub fn close(&mut self, request: usize, standing: Standing) {
        self.requests[request].standing = standing;
        let title = self.requests[request].title;
        self.queues[title].retain(|&other| other != request);
    }

    /// What time does.
    fn age(&mut self, now: Timestamp) {
        let going_on = |loan: &&mut Loan| loan.open && !loan.claimed;
        for loan in self.loans.iter_mut().filter(going_on) {
            loan.overdue |= loan.due_at < now && !loan.lost;
            if !loan.lost && end_of_day(loan.due_at, 28) <= now {
                loan.lost = true;
                self.copies[loan.copy].place = Place::Lost;
            }
        }
        for id in 0..self.requests.len() {
            let past = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
            let request = &self.requests[id];
            match request.standing {
                Standing::Waiting if past(request.expires_at) => self.close(id, Standing::Unfilled),
                Standing::OnShelf if past(request.shelf_until) => {
                    self.close(id, Standing::PickupExpired);
                }
                _ => {}
            }
        }
        self.pass_on(now);
    }

    /// Copies that are to be fetched for requests that are closed go to whoever
    /// waits next, or stay on their shelves.
    pub fn pass_on(&mut self, now: Timestamp) {
        for copy in 0..self.copies.len() {
            if self.copies[copy].place != Place::Paged || self.kept_for(copy).is_some() {
                continue;
            }
            match self.first_waiting(copy, now) {
                None => self.put(copy, Place::In, None, None),
                Some(next) => {
                    self.requests[next].held = Some(copy);
                    self.put(copy, Place::Paged, Some(next), None);
                }
            }
        }
    }

    /// A patron's counters: open, overdue, overdue and recalled, lost, requests.
    pub fn counters(&self, patron: usize) -> [i32; 5] {
        let loans = |wanted: fn(&&Loan) -> bool| self.open_loans(patron).filter(wanted).count();
        let requests = self.requests.iter();
        let open = requests.filter(|r| r.is_open() && r.patron == patron);
        [
            loans(|_| true),
            loans(|loan| loan.is_overdue()),
            loans(|loan| loan.is_overdue() && loan.recalled),
            loans(|loan| loan.lost && !loan.claimed),
            open.count(),
        ]
        .map(|count| count as i32)
    }
}
