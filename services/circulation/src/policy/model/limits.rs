//! The limits of a patron group, and what each of them blocks.

use carrel_money::Money;

/// The limits of a patron group, whatever the item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatronLimits {
    /// The group, by its code.
    pub patron_group: String,
    /// The most items out at once; 0: no limit.
    pub max_loans: i32,
    /// The most items overdue; 0: no limit.
    pub max_overdue: i32,
    /// The most items lost; 0: no limit.
    pub max_lost: i32,
    /// The most that may be owed.
    pub max_balance: Option<Money>,
    /// The most items overdue that somebody recalled; 0: no limit.
    pub max_overdue_recalls: i32,
    /// The most days that a recalled item may be overdue; 0: no limit.
    pub max_recall_overdue_days: i32,
    /// What each limit blocks once it is exceeded.
    pub blocks: LimitBlocks,
}

/// What each limit of a patron group blocks once it is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitBlocks {
    /// By items out.
    pub loans: BlockedActions,
    /// By items overdue.
    pub overdue: BlockedActions,
    /// By items lost.
    pub lost: BlockedActions,
    /// By what is owed.
    pub balance: BlockedActions,
    /// By recalled items overdue.
    pub overdue_recalls: BlockedActions,
    /// By the days that a recalled item is overdue.
    pub recall_overdue_days: BlockedActions,
}

impl Default for LimitBlocks {
    /// Borrowing and renewals; how many items are out says nothing against
    /// keeping them for longer.
    fn default() -> Self {
        let both = BlockedActions {
            borrowing: true,
            renewals: true,
            requests: false,
        };
        Self {
            loans: BlockedActions {
                renewals: false,
                ..both
            },
            overdue: both,
            lost: both,
            balance: both,
            overdue_recalls: both,
            recall_overdue_days: both,
        }
    }
}

/// What a limit blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockedActions {
    /// Check-outs.
    pub borrowing: bool,
    /// Renewals.
    pub renewals: bool,
    /// Requests.
    pub requests: bool,
}

impl BlockedActions {
    /// As the database keeps it: 1, 2 and 4, added up.
    #[must_use]
    pub fn from_bits(bits: i16) -> Self {
        Self {
            borrowing: bits & 1 != 0,
            renewals: bits & 2 != 0,
            requests: bits & 4 != 0,
        }
    }

    /// As the database keeps it.
    #[must_use]
    pub fn bits(self) -> i16 {
        i16::from(self.borrowing) + 2 * i16::from(self.renewals) + 4 * i16::from(self.requests)
    }
}
