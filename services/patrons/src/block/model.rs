//! The rules of manual blocks.

use carrel_proto::patrons::v1::BlockStanding;
use carrel_runtime::wire::to_date;
use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan as _};
use uuid::Uuid;

/// A block to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlock {
    /// Whom it blocks.
    pub patron_id: Uuid,
    /// What the patron may be told.
    pub patron_message: String,
    /// What only staff may read.
    pub staff_note: String,
    /// Whether it blocks borrowing.
    pub blocks_borrowing: bool,
    /// Whether it blocks renewals.
    pub blocks_renewals: bool,
    /// Whether it blocks requests.
    pub blocks_requests: bool,
    /// The last day on which it holds; `None`: until it is lifted.
    pub expiration_date: Option<Date>,
}

impl NewBlock {
    /// Whether it blocks something for some time.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, now: Timestamp) -> Result<(), &'static str> {
        if !(self.blocks_borrowing || self.blocks_renewals || self.blocks_requests) {
            return Err("say whether it blocks borrowing, renewals or requests");
        }
        if self
            .expiration_date
            .is_some_and(|date| date <= last_day_over_everywhere(now))
        {
            return Err("its last day is over");
        }
        Ok(())
    }
}

/// The last civil day that is over in every time zone (UTC-12 is the last to
/// end it). A district's libraries may lie in several zones, and what they
/// may do on a day circulation decides by the library's clock; here a block
/// is kept in sight until nobody can need it.
#[must_use]
pub fn last_day_over_everywhere(now: Timestamp) -> Date {
    let today = Offset::constant(-12).to_datetime(now).date();
    today.checked_sub(1.day()).unwrap_or(Date::MIN)
}

/// A block that a person set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualBlock {
    /// Its id.
    pub id: Uuid,
    /// Whom it blocks.
    pub patron_id: Uuid,
    /// What the patron may be told.
    pub patron_message: String,
    /// What only staff may read.
    pub staff_note: String,
    /// Whether it blocks borrowing.
    pub blocks_borrowing: bool,
    /// Whether it blocks renewals.
    pub blocks_renewals: bool,
    /// Whether it blocks requests.
    pub blocks_requests: bool,
    /// The last day on which it holds; `None`: until it is lifted.
    pub expiration_date: Option<Date>,
    /// When it was set.
    pub created_at: Timestamp,
    /// Who set it.
    pub created_by: String,
    /// When it was lifted.
    pub lifted_at: Option<Timestamp>,
    /// Rises with each change.
    pub revision: i64,
}

impl ManualBlock {
    /// A block that is set now.
    #[must_use]
    pub fn set(id: Uuid, new: NewBlock, created_by: &str, now: Timestamp) -> Self {
        Self {
            id,
            patron_id: new.patron_id,
            patron_message: new.patron_message,
            staff_note: new.staff_note,
            blocks_borrowing: new.blocks_borrowing,
            blocks_renewals: new.blocks_renewals,
            blocks_requests: new.blocks_requests,
            expiration_date: new.expiration_date,
            created_at: now,
            created_by: created_by.to_owned(),
            lifted_at: None,
            revision: 1,
        }
    }

    /// Lifts it; false where it was lifted before.
    pub fn lift(&mut self, now: Timestamp) -> bool {
        if self.lifted_at.is_some() {
            return false;
        }
        self.lifted_at = Some(now);
        self.revision += 1;
        true
    }

    /// What other services may know of it: neither message nor note.
    #[must_use]
    pub fn to_standing(&self) -> BlockStanding {
        BlockStanding {
            block_id: self.id.to_string(),
            patron_id: self.patron_id.to_string(),
            blocks_borrowing: self.blocks_borrowing,
            blocks_renewals: self.blocks_renewals,
            blocks_requests: self.blocks_requests,
            expiration_date: self.expiration_date.map(to_date),
            lifted: self.lifted_at.is_some(),
            revision: self.revision,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> NewBlock {
        NewBlock {
            patron_id: Uuid::nil(),
            patron_message: "Please see the desk".into(),
            staff_note: String::new(),
            blocks_borrowing: true,
            blocks_renewals: false,
            blocks_requests: false,
            expiration_date: None,
        }
    }

    #[test]
    fn a_block_blocks_something_for_some_time() {
        // Noon on the 2nd in UTC is midnight between the 1st and 2nd in UTC-12.
        let now: Timestamp = "2026-09-02T12:00:00Z".parse().unwrap();
        let until = |date: &str| NewBlock {
            expiration_date: Some(date.parse().unwrap()),
            ..block()
        };
        assert!(block().check(now).is_ok());
        assert!(until("2026-09-02").check(now).is_ok());
        assert!(until("2026-09-01").check(now).is_err());
        assert!(until("2026-09-01").check(now - 1.second()).is_ok());
        let nothing = NewBlock {
            blocks_borrowing: false,
            ..block()
        };
        assert!(nothing.check(now).is_err());
    }

    #[test]
    fn a_block_is_lifted_once() {
        let now = Timestamp::UNIX_EPOCH;
        let mut block = ManualBlock::set(Uuid::nil(), block(), "desk-1", now);
        assert!(block.lift(now));
        assert!(!block.lift(now + 1.hour()));
        assert_eq!((block.lifted_at, block.revision), (Some(now), 2));
        assert!(block.to_standing().lifted);
    }
}
