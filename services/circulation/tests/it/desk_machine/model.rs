//! What a desk is documented to do, in memory and in few words: two titles,
//! three copies, three patrons. It knows nothing of the service's code.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::action::{Action, Asked, Kind, Note};

/// Copies by number: the title of each.
pub const TITLE_OF: [usize; 3] = [0, 0, 1];
/// Copies by number: the service point in whose library each is at home.
pub const HOME_OF: [usize; 3] = [0, 1, 0];
/// As many a patron may have out.
pub const MOST_LOANS: usize = 2;
const MOST_RENEWALS: i32 = 2;

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

    fn waits(&self, now: Timestamp) -> bool {
        self.is_open()
            && self.held.is_none()
            && self.suspended_until.is_none_or(|until| until <= now)
            && self.expires_at.is_none_or(|until| now < until)
    }

    fn asks_for(&self, copy: usize) -> bool {
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
    fn kept_for(&self, copy: usize) -> Option<usize> {
        let request = self.copies[copy].kept_for?;
        let kept = &self.requests[request];
        (kept.is_open() && kept.held == Some(copy)).then_some(request)
    }

    /// Whose turn it is to get a copy.
    fn first_waiting(&self, copy: usize, now: Timestamp) -> Option<usize> {
        let mut queue = self.queues[TITLE_OF[copy]].iter().copied();
        queue.find(|&r| self.requests[r].waits(now) && self.requests[r].asks_for(copy))
    }

    pub fn open_loans(&self, patron: usize) -> impl Iterator<Item = &Loan> {
        self.loans
            .iter()
            .filter(move |loan| loan.open && loan.patron == patron)
    }

    fn check_out(
        &mut self,
        copy: usize,
        patron: usize,
        overriding: bool,
        now: Timestamp,
    ) -> Result<(), Refused> {
        if self.copies[copy].loan.is_some() {
            return Err(vec!["ITEM_ALREADY_ON_LOAN"]);
        }
        let kept_for = self.kept_for(copy);
        let turn = kept_for.or_else(|| self.first_waiting(copy, now));
        let mut blocks = Vec::new();
        if self.open_loans(patron).count() >= MOST_LOANS {
            blocks.push("MAX_LOANS");
        }
        if turn.is_some_and(|turn| self.requests[turn].patron != patron) && !overriding {
            blocks.push("ITEM_REQUESTED");
        }
        if !blocks.is_empty() {
            return Err(blocks);
        }
        let own = self.queues[TITLE_OF[copy]]
            .iter()
            .copied()
            .find(|&r| self.requests[r].patron == patron && self.requests[r].asks_for(copy));
        if let Some(other) = kept_for.filter(|kept| Some(*kept) != own) {
            self.let_go(other);
        }
        if let Some(own) = own {
            self.requests[own].held = Some(copy);
            self.close(own, Standing::Filled);
        }
        self.copies[copy] = Copy {
            place: Place::Out,
            loan: Some(self.loans.len()),
            kept_for: None,
            destination: None,
        };
        self.loans.push(Loan {
            copy,
            patron,
            since: now,
            due_at: end_of_day(now, 14),
            renewals: 0,
            overdue: false,
            lost: false,
            declared: false,
            claimed: false,
            recalled: false,
            open: true,
        });
        Ok(())
    }

    fn check_in(&mut self, copy: usize, point: usize, now: Timestamp) {
        if let Some(loan) = self.copies[copy].loan.take() {
            self.loans[loan].open = false;
            self.loans[loan].recalled = false;
            self.loans[loan].claimed = false;
        }
        let served = self
            .kept_for(copy)
            .or_else(|| self.first_waiting(copy, now));
        let Some(request) = served else {
            let place = if HOME_OF[copy] == point {
                Place::In
            } else {
                Place::InTransit
            };
            self.put(copy, place, None, None);
            return;
        };
        let served = &mut self.requests[request];
        served.held = Some(copy);
        match served.pickup {
            None => {
                served.standing = Standing::Delivery;
                self.put(copy, Place::Delivery, Some(request), None);
            }
            Some(pickup) if pickup != point => {
                served.standing = Standing::InTransit;
                served.shelf_until = None;
                self.put(copy, Place::InTransit, Some(request), Some(pickup));
            }
            Some(_) => {
                if served.standing != Standing::OnShelf {
                    served.shelf_until = Some(end_of_day(now, 7));
                }
                served.standing = Standing::OnShelf;
                self.put(copy, Place::OnShelf, Some(request), None);
            }
        }
    }

    fn put(
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

    fn renew(&mut self, copy: usize, overriding: bool, now: Timestamp) -> Result<(), Refused> {
        let Some(id) = self.copies[copy].loan else {
            return Err(vec!["LOAN_NOT_FOUND"]);
        };
        let due_at = end_of_day(self.loans[id].due_at, 14);
        let waiting = || {
            let queue = self.queues[TITLE_OF[copy]].iter();
            queue
                .map(|&r| &self.requests[r])
                .filter(|request| request.waits(now))
        };
        // A recall of another loan brings another copy back.
        let needs_it = |request: &Request| {
            request.asks_for(copy)
                && (request.kind != Kind::Recall || request.recalled_loan.is_none_or(|of| of == id))
        };
        let mut blocks = Vec::new();
        if self.loans[id].lost || self.loans[id].claimed {
            blocks.push("ITEM_STATUS");
        }
        if self.loans[id].renewals >= MOST_RENEWALS {
            blocks.push("RENEWALS_EXHAUSTED");
        }
        if due_at <= now {
            blocks.push("RENEWAL_NOT_LATER");
        }
        if waiting().any(needs_it) && !overriding {
            blocks.push("ITEM_REQUESTED");
        }
        if !blocks.is_empty() {
            return Err(blocks);
        }
        let still_recalled = waiting()
            .any(|request| request.kind == Kind::Recall && request.recalled_loan == Some(id));
        let loan = &mut self.loans[id];
        loan.due_at = due_at;
        loan.renewals += 1;
        loan.overdue = false;
        loan.recalled &= still_recalled;
        Ok(())
    }

    fn newest_but(&self, loan: usize) -> usize {
        self.loans.len() - 1 - loan % self.loans.len()
    }

    fn note(&mut self, loan: usize, what: Note, now: Timestamp) -> Result<(), Refused> {
        let loan = &mut self.loans[loan];
        let copy = &mut self.copies[loan.copy];
        let refused = match what {
            _ if !loan.open => Some("LOAN_CLOSED"),
            Note::ClaimedReturned if loan.claimed => Some("ALREADY_CLAIMED_RETURNED"),
            Note::Missing if !loan.claimed => Some("NOT_CLAIMED_RETURNED"),
            Note::DeclaredLost if loan.lost && !loan.claimed => Some("ALREADY_LOST"),
            Note::Due(_) if loan.claimed => Some("LOAN_CLAIMED_RETURNED"),
            Note::Due(_) if loan.lost => Some("LOAN_LOST"),
            _ => None,
        };
        if let Some(reason) = refused {
            return Err(vec![reason]);
        }
        match what {
            Note::ClaimedReturned => {
                loan.claimed = true;
                copy.place = Place::Claimed;
            }
            Note::Missing => {
                (loan.open, loan.claimed, loan.recalled) = (false, false, false);
                (copy.place, copy.loan) = (Place::Missing, None);
            }
            Note::DeclaredLost => {
                (loan.claimed, loan.lost, loan.declared) = (false, true, true);
                copy.place = Place::DeclaredLost;
            }
            Note::Due(days) => {
                loan.due_at = end_of_day(now, days);
                loan.overdue = false;
            }
        }
        Ok(())
    }

    fn place(&mut self, asked: &Asked, now: Timestamp) -> Result<(), Refused> {
        let title = asked.title();
        if self.queues[title]
            .iter()
            .any(|&r| self.requests[r].patron == asked.patron)
        {
            return Err(vec!["REQUEST_ALREADY_OPEN"]);
        }
        let mut candidates: Vec<usize> = (0..TITLE_OF.len())
            .filter(|&copy| TITLE_OF[copy] == title)
            .filter(|&copy| asked.only.is_none_or(|only| only == copy))
            .collect();
        let recallable = candidates
            .iter()
            .filter_map(|&copy| self.copies[copy].loan)
            .filter(|&loan| !self.loans[loan].lost && !self.loans[loan].claimed)
            .min_by_key(|&loan| (self.loans[loan].recalled, self.loans[loan].due_at));
        let has_it = candidates
            .iter()
            .filter_map(|&copy| self.copies[copy].loan)
            .any(|loan| self.loans[loan].patron == asked.patron);

        // A copy of the library where it is picked up is fetched the soonest.
        candidates.sort_by_key(|&copy| Some(HOME_OF[copy]) != asked.pickup);
        let pageable = candidates.into_iter().find(|&copy| {
            self.copies[copy].place == Place::In && self.first_waiting(copy, now).is_none()
        });
        let paged = pageable.filter(|_| asked.kind != Kind::Recall || asked.only.is_none());
        let mut blocks = Vec::new();
        if paged.is_none() {
            match asked.kind {
                Kind::Page => blocks.push("NO_COPY_IN"),
                Kind::Recall if recallable.is_none() => blocks.push("NOT_ON_LOAN"),
                _ => {}
            }
        }
        if has_it {
            blocks.push("ALREADY_ON_LOAN");
        }
        if !blocks.is_empty() {
            return Err(blocks);
        }
        let kind = if paged.is_some() {
            Kind::Page
        } else {
            asked.kind
        };
        let recalled_loan = recallable
            .filter(|_| kind == Kind::Recall)
            .filter(|&loan| asked.only.is_some() || !self.loans[loan].recalled);
        if let Some(loan) = recalled_loan {
            let loan = &mut self.loans[loan];
            let wanted = end_of_day(now, 3).max(end_of_day(loan.since, 7));
            loan.due_at = loan.due_at.min(wanted);
            loan.recalled = true;
        }
        let id = self.requests.len();
        if let Some(copy) = paged {
            self.put(copy, Place::Paged, Some(id), None);
        }
        self.requests.push(Request {
            title,
            copy: asked.only,
            patron: asked.patron,
            kind,
            pickup: asked.pickup,
            standing: Standing::Waiting,
            held: paged,
            expires_at: asked.expires_at(now),
            shelf_until: None,
            suspended_until: None,
            recalled_loan,
        });
        self.queues[title].push(id);
        self.asked_once[title] = true;
        Ok(())
    }

    fn let_go(&mut self, request: usize) {
        let request = &mut self.requests[request];
        request.held = None;
        request.standing = Standing::Waiting;
        request.shelf_until = None;
    }

    fn close(&mut self, request: usize, standing: Standing) {
        self.requests[request].standing = standing;
        let title = self.requests[request].title;
        self.queues[title].retain(|&other| other != request);
    }

    fn cancel(&mut self, request: usize, now: Timestamp) -> Result<(), Refused> {
        if !self.requests[request].is_open() {
            return Err(vec!["REQUEST_CLOSED"]);
        }
        self.close(request, Standing::Cancelled);
        self.pass_on(now);
        Ok(())
    }

    fn numbered(&self, request: usize) -> usize {
        request % self.requests.len()
    }

    fn suspend(&mut self, request: usize, until: Option<Timestamp>) -> Result<(), Refused> {
        let request = &mut self.requests[request];
        if !request.is_open() {
            return Err(vec!["REQUEST_CLOSED"]);
        }
        if until.is_some() && request.held.is_some() {
            return Err(vec!["REQUEST_IN_FULFILMENT"]);
        }
        request.suspended_until = until;
        Ok(())
    }

    fn redirect(&mut self, request: usize, point: usize) -> Result<(), Refused> {
        let request = &mut self.requests[request];
        if !request.is_open() {
            return Err(vec!["REQUEST_CLOSED"]);
        }
        let has_arrived = matches!(request.standing, Standing::OnShelf | Standing::Delivery);
        if has_arrived || request.pickup.is_none() {
            return Err(vec!["REQUEST_IN_FULFILMENT"]);
        }
        request.pickup = Some(point);
        Ok(())
    }

    fn reorder(&mut self, title: usize, by: usize) -> Result<(), Refused> {
        if !self.asked_once[title] {
            return Err(vec!["RECORD_NOT_FOUND"]);
        }
        let queue = &mut self.queues[title];
        let by = by % queue.len().max(1);
        queue.rotate_left(by);
        Ok(())
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
