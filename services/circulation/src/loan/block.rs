//! Reasons against a check-out or renewal, and overriding them. Pure.

use carrel_money::Money;
use carrel_proto::catalog::v1::ItemStatus;
use carrel_proto::circulation::v1 as wire;
use jiff::civil::Date;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};

use crate::policy::model::{BlockedActions, LoanTerms, PatronLimits};

/// A reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The rule, such as "MAX_LOANS".
    pub reason: &'static str,
    /// The same for people.
    pub description: String,
    /// Whether staff may override it.
    pub overridable: bool,
}

impl Block {
    pub(super) fn new(reason: &'static str, description: impl Into<String>) -> Self {
        Self {
            reason,
            description: description.into(),
            overridable: true,
        }
    }

    pub(super) fn beyond_staff(reason: &'static str, description: impl Into<String>) -> Self {
        Self {
            overridable: false,
            ..Self::new(reason, description)
        }
    }
}

impl From<Block> for wire::Block {
    fn from(block: Block) -> Self {
        Self {
            reason: block.reason.to_owned(),
            description: block.description,
            overridable: block.overridable,
        }
    }
}

/// A block that was overridden, as a loan's history keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverriddenBlock {
    /// The rule.
    pub reason: String,
    /// The same for people.
    pub description: String,
}

impl From<Block> for OverriddenBlock {
    fn from(block: Block) -> Self {
        Self {
            reason: block.reason.to_owned(),
            description: block.description,
        }
    }
}

impl From<OverriddenBlock> for wire::Block {
    fn from(block: OverriddenBlock) -> Self {
        Self {
            reason: block.reason,
            description: block.description,
            overridable: true,
        }
    }
}

/// What staff override, and why.
#[derive(Debug, Clone)]
pub struct Override {
    /// The reasons that are overridden.
    pub reasons: Vec<String>,
    /// Why.
    pub comment: String,
}

/// Parts the blocks into those that are overridden and those that still
/// stand.
#[must_use]
pub fn part(blocks: Vec<Block>, overriding: Option<&Override>) -> (Vec<Block>, Vec<Block>) {
    blocks.into_iter().partition(|block| {
        block.overridable
            && overriding
                .is_some_and(|overriding| overriding.reasons.iter().any(|r| r == block.reason))
    })
}

/// What a patron wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Take an item out.
    Borrow,
    /// Keep an item for longer.
    Renew,
    /// Ask for an item.
    Request,
}

impl BlockedActions {
    fn include(self, action: Action) -> bool {
        match action {
            Action::Borrow => self.borrowing,
            Action::Renew => self.renewals,
            Action::Request => self.requests,
        }
    }
}

/// The last days of the manual blocks that hold longest, by what they block;
/// `None`: no such block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockedUntil {
    /// Check-outs.
    pub borrowing: Option<Date>,
    /// Renewals.
    pub renewals: Option<Date>,
    /// Requests.
    pub requests: Option<Date>,
}

impl BlockedUntil {
    fn of(self, action: Action) -> Option<Date> {
        match action {
            Action::Borrow => self.borrowing,
            Action::Renew => self.renewals,
            Action::Request => self.requests,
        }
    }
}

/// A patron's standing and counters, as they are at the desk.
#[derive(Debug, Clone)]
pub struct PatronFacts {
    /// Whether the account is in use.
    pub active: bool,
    /// The last day on which the account may borrow.
    pub expiration_date: Option<Date>,
    /// The manual blocks.
    pub blocked_until: BlockedUntil,
    /// Items out.
    pub open_loans: i32,
    /// Of these, overdue.
    pub overdue_loans: i32,
    /// Of these, recalled.
    pub overdue_recalls: i32,
    /// When the recalled item was due that is overdue longest.
    pub recall_due_at: Option<Timestamp>,
    /// Items out and lost.
    pub lost_loans: i32,
    /// What is owed.
    pub balance: Option<Money>,
    /// The group's limits.
    pub limits: Option<PatronLimits>,
}

/// What is against the patron who wants to do something, whatever the item.
/// `now` is the desk's time: its date decides.
#[must_use]
pub fn patron_blocks(patron: &PatronFacts, action: Action, now: &Zoned) -> Vec<Block> {
    let (today, mut blocks) = (now.date(), Vec::new());
    if !patron.active {
        blocks.push(Block::beyond_staff(
            "PATRON_INACTIVE",
            "the patron's account is not in use",
        ));
    }
    if let Some(last) = patron.expiration_date.filter(|last| *last < today) {
        blocks.push(Block::new(
            "PATRON_EXPIRED",
            format!("the patron's account expired on {last}"),
        ));
    }
    let blocked_until = patron.blocked_until.of(action);
    if blocked_until.is_some_and(|until| until >= today) {
        blocks.push(Block::new("MANUAL_BLOCK", "staff blocked the patron"));
    }
    if let Some(limits) = &patron.limits {
        blocks.extend(automated_blocks(patron, limits, action, now));
    }
    blocks
}

/// The six automated conditions.
fn automated_blocks(
    patron: &PatronFacts,
    limits: &PatronLimits,
    action: Action,
    now: &Zoned,
) -> Vec<Block> {
    let by = &limits.blocks;
    let recall_overdue_days = recall_overdue_days(patron, now);
    // One more would be out; who only keeps or asks takes none.
    let out = patron.open_loans + i32::from(action == Action::Borrow);
    let (most_out, most_days) = (limits.max_loans, limits.max_recall_overdue_days);
    let count =
        |what: &str, count: i32, most: i32| format!("{count} items are {what}, {most} are allowed");
    let counted = [
        (
            exceeds(patron.overdue_loans, limits.max_overdue) && by.overdue.include(action),
            "MAX_OVERDUE",
            count("overdue", patron.overdue_loans, limits.max_overdue),
        ),
        (
            exceeds(patron.overdue_recalls, limits.max_overdue_recalls)
                && by.overdue_recalls.include(action),
            "MAX_OVERDUE_RECALLS",
            count(
                "overdue and recalled",
                patron.overdue_recalls,
                limits.max_overdue_recalls,
            ),
        ),
        (
            exceeds(recall_overdue_days, most_days) && by.recall_overdue_days.include(action),
            "MAX_RECALL_OVERDUE",
            format!(
                "a recalled item is {recall_overdue_days} days overdue, {most_days} are allowed"
            ),
        ),
        (
            exceeds(patron.lost_loans, limits.max_lost) && by.lost.include(action),
            "MAX_LOST",
            count("lost", patron.lost_loans, limits.max_lost),
        ),
        (
            exceeds(out, most_out) && by.loans.include(action),
            "MAX_LOANS",
            count("out", patron.open_loans, most_out),
        ),
    ];
    let standing = counted.into_iter().filter(|(stands, _, _)| *stands);
    let mut blocks: Vec<Block> = standing
        .map(|(_, reason, description)| Block::new(reason, description))
        .collect();
    if let (Some(balance), Some(most)) = (patron.balance, limits.max_balance)
        // A district keeps its books in one currency.
        && balance.currency() == most.currency()
        && balance.amount() > most.amount()
        && by.balance.include(action)
    {
        blocks.push(Block::new(
            "MAX_BALANCE",
            format!("{balance} is owed, {most} is allowed"),
        ));
    }
    blocks
}

/// For how many days the recalled item is overdue that is so longest, by the
/// desk's calendar.
fn recall_overdue_days(patron: &PatronFacts, now: &Zoned) -> i32 {
    let Some(due_at) = patron.recall_due_at else {
        return 0;
    };
    let due = due_at.to_zoned(now.time_zone().clone()).date();
    // Two dates of the calendar's range are never more days apart.
    now.date()
        .since(due)
        .map_or(0, |span| span.get_days().max(0))
}

fn exceeds(count: i32, most: i32) -> bool {
    most > 0 && count > most
}

/// What the loan policy's limit says against one more item.
#[must_use]
pub fn limit_blocks(terms: &LoanTerms, loans_under_policy: i32) -> Vec<Block> {
    let most = terms.item_limit;
    if !exceeds(loans_under_policy + 1, most) {
        return Vec::new();
    }
    vec![Block::new(
        "ITEM_LIMIT",
        format!("{loans_under_policy} items of this kind are out, {most} are allowed"),
    )]
}

/// That the patron had the item only just now, and may have it again from an
/// instant.
#[must_use]
pub fn too_soon(from: Timestamp) -> Block {
    Block::new(
        "BORROWED_JUST_NOW",
        format!("the patron had this item only just now, and may have it again from {from:.0}"),
    )
}

/// That the patron must accept a borrowing agreement first, and which.
#[must_use]
pub fn agreement_needed(agreement: &str) -> Block {
    Block::beyond_staff(
        "AGREEMENT_NEEDED",
        format!("the patron must accept the agreement {agreement} first"),
    )
}

/// What the policy and the catalog say against lending the item.
#[must_use]
pub fn item_blocks(status: ItemStatus, terms: &LoanTerms, has_due_date: bool) -> Vec<Block> {
    let mut blocks = Vec::new();
    if !has_due_date {
        // Without a due date there is nothing that an override could grant.
        blocks.push(Block::beyond_staff(
            "ITEM_NOT_LOANABLE",
            "the loan policy gives no due date for today",
        ));
    } else if !terms.loanable {
        blocks.push(Block::new(
            "ITEM_NOT_LOANABLE",
            "the loan policy lends nothing",
        ));
    }
    match status {
        ItemStatus::Available => {}
        ItemStatus::Withdrawn => {
            blocks.push(Block::beyond_staff("ITEM_STATUS", "the item is withdrawn"));
        }
        ItemStatus::Unspecified
        | ItemStatus::OnOrder
        | ItemStatus::InProcess
        | ItemStatus::InRepair
        | ItemStatus::Missing
        | ItemStatus::Restricted => {
            blocks.push(Block::new(
                "ITEM_STATUS",
                format!("the item is {}", spoken(status)),
            ));
        }
    }
    blocks
}

fn spoken(status: ItemStatus) -> &'static str {
    match status {
        ItemStatus::Unspecified => "in an unknown state",
        ItemStatus::Available => "available",
        ItemStatus::OnOrder => "on order",
        ItemStatus::InProcess => "in process",
        ItemStatus::InRepair => "in repair",
        ItemStatus::Missing => "missing",
        ItemStatus::Restricted => "restricted",
        ItemStatus::Withdrawn => "withdrawn",
    }
}

/// What is against renewing a loan.
#[must_use]
pub fn renewal_blocks(
    terms: &LoanTerms,
    renewal_count: i32,
    is_lost: bool,
    is_later: bool,
) -> Vec<Block> {
    let mut blocks = Vec::new();
    if is_lost {
        blocks.push(Block::beyond_staff(
            "ITEM_STATUS",
            "the item is lost, or claimed returned",
        ));
    }
    if renewal_count >= terms.renewals_allowed {
        let most = terms.renewals_allowed;
        blocks.push(Block::new(
            "RENEWALS_EXHAUSTED",
            format!("renewed {renewal_count} times, {most} are allowed"),
        ));
    }
    if !is_later {
        blocks.push(Block::beyond_staff(
            "RENEWAL_NOT_LATER",
            "the new due date would not be later than the present one, or not in the future",
        ));
    }
    blocks
}
