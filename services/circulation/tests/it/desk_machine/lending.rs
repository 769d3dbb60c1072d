//! What the model's desk does with loans.

use jiff::Timestamp;

use super::action::{Kind, Note};
use super::model::{
    Copy, HOME_OF, Loan, MOST_LOANS, Model, Place, Refused, Request, Standing, TITLE_OF, end_of_day,
};

const MOST_RENEWALS: i32 = 2;

impl Model {
    pub fn check_out(
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

    pub fn check_in(&mut self, copy: usize, point: usize, now: Timestamp) {
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

    pub fn renew(&mut self, copy: usize, overriding: bool, now: Timestamp) -> Result<(), Refused> {
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

    pub fn newest_but(&self, loan: usize) -> usize {
        self.loans.len() - 1 - loan % self.loans.len()
    }

    pub fn note(&mut self, loan: usize, what: Note, now: Timestamp) -> Result<(), Refused> {
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
}
