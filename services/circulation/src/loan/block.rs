//! Reasons against a check-out or renewal, and overriding them. Pure.

use carrel_money::Money;
use carrel_proto::catalog::v1::ItemStatus;
use carrel_proto::circulation::v1 as wire;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::policy::model::{LoanTerms, PatronLimits};

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
    fn new(reason: &'static str, description: impl Into<String>) -> Self {
        Self {
            reason,
            description: description.into(),
            overridable: true,
        }
    }

    fn beyond_staff(reason: &'static str, description: impl Into<String>) -> Self {
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

/// A patron's standing and counters, as they are at the desk.
#[derive(Debug, Clone)]
pub struct PatronFacts {
    /// Whether the account is in use.
    pub active: bool,
    /// The last day on which the account may borrow.
    pub expiration_date: Option<Date>,
    /// The last day of the manual block that holds longest, of those that
    /// block this action.
    pub blocked_until: Option<Date>,
    /// Items out.
    pub open_loans: i32,
    /// Of these, overdue.
    pub overdue_loans: i32,
    /// Of these, lost.
    pub lost_loans: i32,
    /// What is owed.
    pub balance: Option<Money>,
    /// The group's limits.
    pub limits: Option<PatronLimits>,
}

/// What is against the patron, whatever the action.
#[must_use]
pub fn patron_blocks(patron: &PatronFacts, today: Date) -> Vec<Block> {
    let mut blocks = Vec::new();
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
    if patron.blocked_until.is_some_and(|until| until >= today) {
        blocks.push(Block::new("MANUAL_BLOCK", "staff blocked the patron"));
    }
    let Some(limits) = &patron.limits else {
        return blocks;
    };
    if exceeds(patron.overdue_loans, limits.max_overdue) {
        let (count, most) = (patron.overdue_loans, limits.max_overdue);
        blocks.push(Block::new(
            "MAX_OVERDUE",
            format!("{count} items are overdue, {most} are allowed"),
        ));
    }
    if exceeds(patron.lost_loans, limits.max_lost) {
        let (count, most) = (patron.lost_loans, limits.max_lost);
        blocks.push(Block::new(
            "MAX_LOST",
            format!("{count} items are lost, {most} are allowed"),
        ));
    }
    if let (Some(balance), Some(most)) = (patron.balance, limits.max_balance)
        // A district keeps its books in one currency.
        && balance.currency() == most.currency()
        && balance.amount() > most.amount()
    {
        blocks.push(Block::new(
            "MAX_BALANCE",
            format!("{balance} is owed, {most} is allowed"),
        ));
    }
    blocks
}

fn exceeds(count: i32, most: i32) -> bool {
    most > 0 && count > most
}

/// What the limits say against one more item.
#[must_use]
pub fn limit_blocks(
    patron: &PatronFacts,
    terms: &LoanTerms,
    loans_under_policy: i32,
) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(limits) = &patron.limits
        && exceeds(patron.open_loans + 1, limits.max_loans)
    {
        let (count, most) = (patron.open_loans, limits.max_loans);
        blocks.push(Block::new(
            "MAX_LOANS",
            format!("{count} items are out, {most} are allowed"),
        ));
    }
    if exceeds(loans_under_policy + 1, terms.item_limit) {
        let most = terms.item_limit;
        blocks.push(Block::new(
            "ITEM_LIMIT",
            format!("{loans_under_policy} items of this kind are out, {most} are allowed"),
        ));
    }
    blocks
}

/// That the patron had the item only just now, and may have it again from an
/// instant.
#[must_use]
pub fn too_soon(from: jiff::Timestamp) -> Block {
    Block::new(
        "BORROWED_JUST_NOW",
        format!("the patron had this item only just now, and may have it again from {from:.0}"),
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
