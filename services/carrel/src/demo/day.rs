//! The day: its district, its clock, and its scenes in order.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use carrel_money::Decimal;
use carrel_proto::circulation::v1::{Override, RunAgeingRequest};
use jiff::civil;

use super::clock::{self, DemoClock};
use super::desk::{self, Desk};
use super::stage::Stage;
use crate::clients::{Clients, amount, request_id, until};
use crate::connect::{Suite, explain};
use crate::import::Progress;
use crate::sample::{self, Seeded};
use crate::suite::LocalSuite;

/// Wednesday morning, in the middle of the fall term of the sample district.
pub const BEGIN: civil::DateTime = civil::datetime(2026, 10, 7, 10, 20, 0, 0);
/// The day before the books are due.
const IN_TIME: civil::DateTime = civil::datetime(2026, 10, 20, 16, 5, 0, 0);
/// The Monday after.
const LATE: civil::DateTime = civil::datetime(2026, 10, 26, 14, 0, 0, 0);
/// Four weeks and a day after the due date.
const LOST: civil::DateTime = civil::datetime(2026, 11, 19, 9, 0, 0, 0);
/// What services learn from each other's feeds, they learn within this.
const FEED: Duration = Duration::from_secs(20);

/// A student in good standing.
pub const JUNIPER: &str = "20417000000010";
/// A student whose account has expired.
const YARROW: &str = "20417000000036";
/// The great Gatsby, first copy.
pub const GATSBY: &str = "30417000064014";
/// The great Gatsby, second copy.
const GATSBY_TWO: &str = "30417000064022";
/// Pride and prejudice.
const PRIDE: &str = "30417000147017";

/// Whether the books balance.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// What the ledger has at the student-account system.
    pub ledger: Decimal,
    /// What the postings add up to.
    pub postings: Decimal,
    /// What the student-account system has.
    pub sis: Decimal,
    /// Differences found at the end.
    pub differences: usize,
    /// The sum of the journal.
    pub trial_balance: Decimal,
}

impl Verdict {
    /// Whether all agree to the cent.
    pub fn balanced(&self) -> bool {
        self.ledger == self.postings
            && self.postings == self.sis
            && self.differences == 0
            && self.trial_balance.is_zero()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.balanced() {
            write!(
                f,
                "The books balance: ledger {}, postings {}, student accounts {}; no difference.",
                self.ledger, self.postings, self.sis
            )
        } else {
            write!(
                f,
                "THE BOOKS DO NOT BALANCE: ledger {}, postings {}, student accounts {}, {} differences, journal sum {}.",
                self.ledger, self.postings, self.sis, self.differences, self.trial_balance
            )
        }
    }
}

/// A day that is being played.
pub struct Day<'a> {
    pub(super) local: &'a mut LocalSuite,
    pub(super) suite: Suite,
    pub(super) clients: Clients,
    pub(super) stage: &'a mut Stage,
    pub(super) clock: DemoClock,
    pub(super) seeded: Seeded,
    pub(super) desk: Desk,
    /// Juniper's id in the patrons service.
    pub(super) juniper: String,
    /// Juniper's id in the student-account system.
    pub(super) juniper_at_sis: String,
}

impl<'a> Day<'a> {
    /// Sets the clock and the district up, and loads records and patrons.
    pub async fn begin(
        local: &'a mut LocalSuite,
        stage: &'a mut Stage,
        show_progress: bool,
    ) -> anyhow::Result<Self> {
        let suite = local.connect()?;
        let mut clients = Clients::new(&suite)?;
        let clock = DemoClock::district()?;
        let (district, seeded) = sample::set_up(&mut clients)
            .await
            .context("the sample district can't be set up")?;
        stage.say(&format!("The {} is set up.", district.district.name));
        let service_point_id = seeded.service_points["ALDM-CIRC"].clone();
        let mut day = Self {
            local,
            suite,
            clients,
            stage,
            clock,
            seeded,
            desk: Desk { service_point_id },
            juniper: String::new(),
            juniper_at_sis: String::new(),
        };
        day.load(show_progress).await?;
        Ok(day)
    }

    async fn load(&mut self, show_progress: bool) -> anyhow::Result<()> {
        self.scene("Records and patrons are loaded").await?;
        let mut progress = Progress::new(show_progress);
        for line in sample::load(&self.suite, &self.clients, &mut progress).await? {
            self.stage.done(line).await;
        }
        let (juniper, _) = desk::patron(&mut self.clients, JUNIPER).await?;
        self.juniper = juniper;
        let mut students = sample::students()?.into_iter();
        let student = students.find(|student| student.barcode == JUNIPER);
        self.juniper_at_sis = student.context("Juniper is no student")?.student_id;
        Ok(())
    }

    /// Plays the scenes.
    pub async fn play(&mut self) -> anyhow::Result<Verdict> {
        self.a_book_is_lent().await?;
        self.the_clock_jumps().await?;
        self.the_students_statement().await?;
        self.billing_is_killed().await?;
        self.the_lost_book_comes_back().await?;
        self.an_order_is_short_by_a_cent().await?;
        self.the_books_are_compared().await
    }

    pub(super) async fn scene(&mut self, title: &str) -> anyhow::Result<()> {
        let (now, _) = clock::offset(&self.suite, "circulation").await?;
        let time = self.clock.local(now);
        self.stage.scene(title, time);
        Ok(())
    }

    pub(super) async fn move_clock(&self, local: civil::DateTime) -> anyhow::Result<()> {
        self.clock.set(&self.suite, &self.clients, local).await
    }

    async fn a_book_is_lent(&mut self) -> anyhow::Result<()> {
        self.scene("A book is lent").await?;
        let (_, name) = desk::patron(&mut self.clients, JUNIPER).await?;
        for barcode in [GATSBY, PRIDE] {
            let item = desk::item(&mut self.clients, barcode).await?;
            let clients = &mut self.clients;
            let lent = self.desk.lend(clients, barcode, JUNIPER, None).await;
            let loan = lent
                .map_err(|status| explain(&status))?
                .loan
                .context("the answer has no loan")?;
            let due = self.clock.local_wire(loan.due_at.as_ref());
            let rule = loan.applied_rule.unwrap_or_default();
            self.stage
                .done(format!("{} is lent to {name}, due {due}", item.title))
                .await;
            self.stage
                .note(format!("rule line {}: {}", rule.line, rule.text.trim()))
                .await;
        }
        self.one_is_refused_and_overridden().await
    }

    async fn one_is_refused_and_overridden(&mut self) -> anyhow::Result<()> {
        let (_, name) = desk::patron(&mut self.clients, YARROW).await?;
        let title = desk::item(&mut self.clients, GATSBY_TWO).await?.title;
        let Err(status) = self
            .desk
            .lend(&mut self.clients, GATSBY_TWO, YARROW, None)
            .await
        else {
            anyhow::bail!("an expired account could borrow");
        };
        let blocks = desk::blocks(&status)?;
        self.stage
            .refused(format!("{title} is not lent to {name}:"))
            .await;
        for block in &blocks {
            let overridable = if block.overridable {
                "staff may override"
            } else {
                "final"
            };
            self.stage
                .note(format!(
                    "{}: {} ({overridable})",
                    block.reason, block.description
                ))
                .await;
        }
        let overriding = Override {
            reasons: blocks.into_iter().map(|block| block.reason).collect(),
            comment: "Enrolled this morning; tonight's roster brings the new date".into(),
        };
        let comment = overriding.comment.clone();
        let clients = &mut self.clients;
        let lent = self
            .desk
            .lend(clients, GATSBY_TWO, YARROW, Some(overriding))
            .await;
        let lent = lent.map_err(|status| explain(&status))?;
        let due = lent.loan.unwrap_or_default().due_at;
        let due = self.clock.local_wire(due.as_ref());
        self.stage
            .done(format!(
                "overridden, due {due}; kept with the loan: \"{comment}\""
            ))
            .await;
        Ok(())
    }

    async fn the_clock_jumps(&mut self) -> anyhow::Result<()> {
        self.move_clock(IN_TIME).await?;
        self.scene("The clock jumps: in time, late, lost").await?;
        let returned = self.desk.take_back(&mut self.clients, GATSBY_TWO).await?;
        ensure!(
            returned.overdue_fine.is_none(),
            "a fine for a book that came back in time"
        );
        self.stage
            .done("The second Gatsby comes back in time: nothing is owed")
            .await;

        self.move_clock(LATE).await?;
        let returned = self.desk.take_back(&mut self.clients, PRIDE).await?;
        let fine = amount(returned.overdue_fine.as_ref())?;
        ensure!(!fine.is_zero(), "a late book incurred no fine");
        let loan = returned.loan.context("the answer has no loan")?;
        let title = desk::item(&mut self.clients, PRIDE).await?.title;
        let came = self.clock.local_wire(loan.checked_in_at.as_ref());
        let due = self.clock.local_wire(loan.due_at.as_ref());
        self.stage
            .done(format!(
                "{title} comes back on {came}, due {due}: an overdue fine of ${fine}"
            ))
            .await;

        self.move_clock(LOST).await?;
        let request = RunAgeingRequest {
            request_id: request_id(),
        };
        self.clients
            .loans
            .run_ageing(request)
            .await
            .map_err(|status| explain(&status))?;
        let gatsby = desk::item(&mut self.clients, GATSBY).await?;
        until("the lost item's fees are charged", FEED, async || {
            Ok((self.accounts_of_juniper().await?.len() == 3).then_some(()))
        })
        .await?;
        self.stage
            .done(format!(
                "{} is still out four weeks after its due date: aged to lost",
                gatsby.title
            ))
            .await;
        self.accounts_table().await
    }
}
