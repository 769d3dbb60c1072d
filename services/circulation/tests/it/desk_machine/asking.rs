//! What the model's desk does with requests.

use jiff::Timestamp;

use super::action::{Asked, Kind};
use super::model::{HOME_OF, Model, Place, Refused, Request, Standing, TITLE_OF, end_of_day};

impl Model {
    pub fn place(&mut self, asked: &Asked, now: Timestamp) -> Result<(), Refused> {
        let title = asked.title();
        if self.queues[title]
            .iter()
            .any(|&r| self.requests[r].patron == asked.patron)
        {
            return Err(vec!["REQUEST_ALREADY_OPEN"]);
        }
        let candidates: Vec<usize> = (0..TITLE_OF.len())
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

        let paged = self.paged(asked, candidates, now);
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
        let kind = paged.map_or(asked.kind, |_| Kind::Page);
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

    /// The copy that is fetched for it at once. One of the library where it is
    /// picked up is fetched the soonest.
    fn paged(&self, asked: &Asked, mut copies: Vec<usize>, now: Timestamp) -> Option<usize> {
        copies.sort_by_key(|&copy| Some(HOME_OF[copy]) != asked.pickup);
        let is_free = |copy: usize| {
            self.copies[copy].place == Place::In && self.first_waiting(copy, now).is_none()
        };
        let pageable = copies.into_iter().find(|&copy| is_free(copy));
        pageable.filter(|_| asked.kind != Kind::Recall || asked.only.is_none())
    }

    pub fn cancel(&mut self, request: usize, now: Timestamp) -> Result<(), Refused> {
        if !self.requests[request].is_open() {
            return Err(vec!["REQUEST_CLOSED"]);
        }
        self.close(request, Standing::Cancelled);
        self.pass_on(now);
        Ok(())
    }

    pub fn numbered(&self, request: usize) -> usize {
        request % self.requests.len()
    }

    pub fn suspend(&mut self, request: usize, until: Option<Timestamp>) -> Result<(), Refused> {
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

    pub fn redirect(&mut self, request: usize, point: usize) -> Result<(), Refused> {
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

    pub fn reorder(&mut self, title: usize, by: usize) -> Result<(), Refused> {
        if !self.asked_once[title] {
            return Err(vec!["RECORD_NOT_FOUND"]);
        }
        let queue = &mut self.queues[title];
        let by = by % queue.len().max(1);
        queue.rotate_left(by);
        Ok(())
    }
}
