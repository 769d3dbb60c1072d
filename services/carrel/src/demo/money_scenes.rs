//! The scenes about money: the student's statement, a crash at the worst
//! moment, a credit, an order, and the comparison of the books.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use carrel_money::Decimal;
use carrel_proto::billing::v1 as billing;
use carrel_proto::billing::v1::PostingState;
use carrel_proto::budgeting::v1::CreateEncumbranceRequest;
use jiff::civil;
use serde_json::{Value, json};

use super::clock;
use super::day::{Day, GATSBY, Verdict};
use crate::clients::{amount, money, request_id, until};
use crate::connect::explain;

/// What services learn from each other's feeds, they learn within this.
const FEED: Duration = Duration::from_secs(20);
/// How long a posting whose answer was lost may take to be found.
const RECOVERY: Duration = Duration::from_secs(120);
/// The lost book turns up behind a radiator.
const FOUND: civil::DateTime = civil::datetime(2026, 12, 1, 11, 30, 0, 0);
const CURRENCY: &str = "USD";
/// The film fund's budget code.
const MEDIA_CODE: &str = "11-0-52030-613000-6300";

impl Day<'_> {
    pub(super) async fn accounts_of_juniper(&mut self) -> anyhow::Result<Vec<billing::Account>> {
        let request = billing::ListAccountsRequest {
            patron_id: self.juniper.clone(),
            ..Default::default()
        };
        let answer = self.clients.accounts.list_accounts(request).await;
        let mut accounts = answer
            .map_err(|status| explain(&status))?
            .into_inner()
            .accounts;
        accounts.reverse();
        Ok(accounts)
    }

    pub(super) async fn accounts_table(&mut self) -> anyhow::Result<()> {
        let mut rows = Vec::new();
        for account in self.accounts_of_juniper().await? {
            rows.push(vec![
                account.reference.clone(),
                kind(account.kind()).into(),
                amount(account.amount.as_ref())?.to_string(),
                amount(account.remaining.as_ref())?.to_string(),
                payment_status(account.payment_status()).into(),
            ]);
        }
        self.stage
            .table(&["Reference", "Charge", "Amount", "Owed", "Status"], rows)
            .await;
        Ok(())
    }

    async fn postings(&mut self) -> anyhow::Result<Vec<billing::Posting>> {
        let request = billing::ListPostingsRequest::default();
        let answer = self.clients.postings.list_postings(request).await;
        Ok(answer
            .map_err(|status| explain(&status))?
            .into_inner()
            .postings)
    }

    /// Waits until a number of postings are on the student accounts.
    async fn until_acknowledged(&mut self, count: usize) -> anyhow::Result<()> {
        until("the charges are on the student account", FEED, async || {
            let postings = self.postings().await?;
            let there = postings
                .iter()
                .filter(|posting| posting.state() == PostingState::Acknowledged);
            Ok((there.count() == count).then_some(()))
        })
        .await
    }

    async fn statement(&self) -> anyhow::Result<Vec<Value>> {
        let path = format!("/admin/statements/{}", self.juniper_at_sis);
        let statement = self.clients.sis.get(&path).await?;
        let lines = statement["lines"].as_array();
        Ok(lines.context("the statement has no lines")?.clone())
    }

    async fn statement_table(&mut self) -> anyhow::Result<()> {
        let rows = self
            .statement()
            .await?
            .iter()
            .map(|line| {
                ["date", "code", "description", "amount", "balance"]
                    .map(|column| line[column].as_str().unwrap_or_default().to_owned())
                    .to_vec()
            })
            .collect();
        self.stage
            .table(&["Date", "Code", "Description", "Amount", "Balance"], rows)
            .await;
        Ok(())
    }

    pub(super) async fn the_students_statement(&mut self) -> anyhow::Result<()> {
        self.until_acknowledged(3).await?;
        self.scene("The student's statement, as the cashier sees it")
            .await?;
        self.stage.done("Three charges were posted by the adapter, each once; no title, no barcode, no loan").await;
        self.statement_table().await?;
        let first = self
            .accounts_of_juniper()
            .await?
            .into_iter()
            .next()
            .context("no account")?;
        self.stage
            .done(format!(
                "\"What is {}?\" The desk looks it up: {}",
                first.reference,
                kind(first.kind())
            ))
            .await;
        Ok(())
    }

    pub(super) async fn billing_is_killed(&mut self) -> anyhow::Result<()> {
        self.scene("Billing is killed between the SIS's commit and its answer")
            .await?;
        let fault = json!({"on": "create-charge", "kind": "hold-after-commit"});
        self.clients.sis.post("/admin/faults", &fault).await?;
        let account = self.charge_by_hand("damaged-item").await?;
        until(
            "the student-account system has committed",
            FEED,
            async || {
                let faults = self.clients.sis.get("/admin/faults").await?;
                Ok(faults.to_string().contains("\"fired\":1").then_some(()))
            },
        )
        .await?;
        let (_, offset) = clock::offset(&self.suite, "circulation").await?;
        let process = self
            .local
            .billing()
            .context("billing runs in this process")?;
        process.kill().await?;
        self.stage
            .done(format!(
                "The SIS has committed charge {}; billing dies before it hears so",
                account.reference
            ))
            .await;
        self.clients.sis.delete("/admin/faults").await?;
        let process = self
            .local
            .billing()
            .context("billing runs in this process")?;
        process.start(offset).await?;

        let posting = until("the lost answer is found", RECOVERY, async || {
            let request = billing::ListPostingsRequest {
                account_id: account.id.clone(),
                ..Default::default()
            };
            // Billing is starting again.
            let Ok(answer) = self.clients.postings.list_postings(request).await else {
                return Ok(None);
            };
            let posting = answer.into_inner().postings.into_iter().next();
            Ok(posting.filter(|posting| posting.state() == PostingState::Acknowledged))
        })
        .await?;
        self.attempts_table(&posting.id).await?;
        let lines = self.statement().await?;
        let lines = lines
            .iter()
            .filter(|line| line.to_string().contains(&account.reference))
            .count();
        ensure!(
            lines == 1,
            "the charge stands on the statement {lines} times"
        );
        self.stage
            .done("Submitted, unknown, looked up, found: one line on the statement, not two")
            .await;
        Ok(())
    }

    async fn attempts_table(&mut self, posting_id: &str) -> anyhow::Result<()> {
        let request = billing::GetPostingRequest {
            id: posting_id.into(),
        };
        let answer = self.clients.postings.get_posting(request).await;
        let posting = answer
            .map_err(|status| explain(&status))?
            .into_inner()
            .posting;
        let attempts = posting.context("the answer has no posting")?.attempts;
        let rows = attempts
            .into_iter()
            .map(|attempt| {
                let outcome = if attempt.outcome.is_empty() {
                    "no answer".into()
                } else {
                    attempt.outcome
                };
                vec![attempt.kind, outcome, attempt.detail]
            })
            .collect();
        self.stage
            .table(&["Attempt", "Outcome", "Detail"], rows)
            .await;
        Ok(())
    }

    async fn charge_by_hand(&mut self, fee_fine_type: &str) -> anyhow::Result<billing::Account> {
        let request = billing::CreateAccountRequest {
            patron_id: self.juniper.clone(),
            fee_fine_owner_id: self.seeded.fee_fine_owners["ALD-LIBRARIES"].clone(),
            fee_fine_type_id: self.seeded.fee_fine_types[fee_fine_type].clone(),
            comment: "Wet pages".into(),
            request_id: request_id(),
            ..Default::default()
        };
        let answer = self.clients.accounts.create_account(request).await;
        answer
            .map_err(|status| explain(&status))?
            .into_inner()
            .account
            .context("the answer has no account")
    }

    pub(super) async fn the_lost_book_comes_back(&mut self) -> anyhow::Result<()> {
        self.move_clock(FOUND).await?;
        self.scene("The lost book comes back").await?;
        self.desk.take_back(&mut self.clients, GATSBY).await?;
        until("the credit is on the student account", FEED, async || {
            let postings = self.postings().await?;
            Ok(postings
                .into_iter()
                .find(|posting| {
                    !posting.reverses_posting_id.is_empty()
                        && posting.state() == PostingState::Acknowledged
                })
                .map(drop))
        })
        .await?;
        self.stage
            .done("Within six months the lost item fee is given back; the processing fee stays")
            .await;
        self.accounts_table().await?;
        self.stage.note("and on the student account:").await;
        self.statement_table().await
    }

    pub(super) async fn an_order_is_short_by_a_cent(&mut self) -> anyhow::Result<()> {
        self.scene("An order is refused, short by one cent").await?;
        self.order("1849.99", "PO-1041, documentary films").await?;
        let Err(status) = self.encumber("550.02", "PO-1042, silent comedies").await? else {
            bail!("a budget went over its limit");
        };
        self.stage
            .refused(format!("PO-1042 for $550.02: {}", explain(&status)))
            .await;
        self.order("550.01", "PO-1042, silent comedies, without the poster")
            .await
    }

    async fn order(&mut self, total: &str, what: &str) -> anyhow::Result<()> {
        let budget = self
            .encumber(total, what)
            .await?
            .map_err(|status| explain(&status))?;
        let left = amount(budget.available_to_encumber.as_ref())?;
        self.stage
            .done(format!(
                "{what}: ${total} set aside, ${left} left to encumber"
            ))
            .await;
        Ok(())
    }

    async fn encumber(
        &mut self,
        total: &str,
        what: &str,
    ) -> anyhow::Result<Result<carrel_proto::budgeting::v1::Budget, tonic::Status>> {
        let request = CreateEncumbranceRequest {
            budget_id: self.seeded.budgets["MEDIA"].clone(),
            budget_code: MEDIA_CODE.into(),
            amount: Some(money(total, CURRENCY)?),
            description: what.into(),
            request_id: request_id(),
        };
        Ok(
            match self.clients.encumbrances.create_encumbrance(request).await {
                Ok(answer) => Ok(answer
                    .into_inner()
                    .budget
                    .context("the answer has no budget")?),
                Err(status) => Err(status),
            },
        )
    }

    async fn reconcile(&mut self) -> anyhow::Result<billing::ReconcileResponse> {
        let answer = self
            .clients
            .postings
            .reconcile(billing::ReconcileRequest {})
            .await;
        Ok(answer.map_err(|status| explain(&status))?.into_inner())
    }

    async fn three_way_table(&mut self) -> anyhow::Result<billing::ReconcileResponse> {
        let found = self.reconcile().await?;
        let row = vec![
            amount(found.ledger_total.as_ref())?.to_string(),
            amount(found.posting_total.as_ref())?.to_string(),
            amount(found.sis_total.as_ref())?.to_string(),
            found.posting_count.to_string(),
            found.differences.len().to_string(),
        ];
        self.stage
            .table(
                &[
                    "Ledger",
                    "Postings",
                    "Student accounts",
                    "Compared",
                    "Differences",
                ],
                vec![row],
            )
            .await;
        Ok(found)
    }

    pub(super) async fn the_books_are_compared(&mut self) -> anyhow::Result<Verdict> {
        self.scene("Ledger, postings and student accounts are compared")
            .await?;
        self.three_way_table().await?;

        let (charge, right) = self.a_charge_at_the_sis().await?;
        let wrong = right + Decimal::new(1, 2);
        let adjust = format!("/admin/charges/{charge}/adjust");
        self.clients
            .sis
            .post(&adjust, &json!({"amount": wrong.to_string()}))
            .await?;
        let found = self.reconcile().await?;
        let [difference] = found.differences.as_slice() else {
            bail!(
                "a planted cent was not found: {} differences",
                found.differences.len()
            );
        };
        self.stage
            .refused(format!(
                "Somebody changes a charge at the SIS by one cent; found: {} is ${} here and ${} there",
                difference.reference,
                amount(difference.ours.as_ref())?,
                amount(difference.theirs.as_ref())?
            ))
            .await;
        self.clients
            .sis
            .post(&adjust, &json!({"amount": right.to_string()}))
            .await?;
        self.stage.done("The bursar puts it right").await;

        self.the_student_pays().await?;
        let found = self.three_way_table().await?;
        let trial = self
            .clients
            .journal
            .get_trial_balance(billing::GetTrialBalanceRequest::default())
            .await;
        let trial = trial.map_err(|status| explain(&status))?.into_inner();
        Ok(Verdict {
            ledger: amount(found.ledger_total.as_ref())?,
            postings: amount(found.posting_total.as_ref())?,
            sis: amount(found.sis_total.as_ref())?,
            differences: found.differences.len(),
            trial_balance: amount(trial.sum.as_ref())?,
        })
    }

    /// A charge on Juniper's statement: its id there, and its amount.
    async fn a_charge_at_the_sis(&self) -> anyhow::Result<(String, Decimal)> {
        let lines = self.statement().await?;
        let line = lines.first().context("the statement is empty")?;
        let id = line["id"].as_str().context("a line has no id")?;
        let amount = line["amount"].as_str().context("a line has no amount")?;
        Ok((id.to_owned(), amount.parse()?))
    }

    /// The student pays what she owes at the cashier.
    async fn the_student_pays(&mut self) -> anyhow::Result<()> {
        for line in self.statement().await? {
            let owed = line["outstanding"]
                .as_str()
                .and_then(|text| text.parse::<Decimal>().ok());
            if owed.is_some_and(|owed| owed > Decimal::ZERO) {
                let id = line["id"].as_str().unwrap_or_default();
                self.clients
                    .sis
                    .post(&format!("/admin/charges/{id}/settle"), &json!({}))
                    .await?;
            }
        }
        until("the payments are known here", FEED, async || {
            let request = billing::RunPostingsRequest {
                request_id: request_id(),
            };
            self.clients
                .postings
                .run_postings(request)
                .await
                .map_err(|status| explain(&status))?;
            let request = billing::GetBalanceRequest {
                patron_id: self.juniper.clone(),
            };
            let answer = self.clients.accounts.get_balance(request).await;
            let balance = answer
                .map_err(|status| explain(&status))?
                .into_inner()
                .balance;
            let owed = amount(balance.unwrap_or_default().outstanding.as_ref())?;
            Ok(owed.is_zero().then_some(()))
        })
        .await?;
        self.stage
            .done("Juniper pays at the cashier; the settlement comes back, and nothing is owed")
            .await;
        Ok(())
    }
}

fn kind(kind: billing::FeeFineKind) -> &'static str {
    match kind {
        billing::FeeFineKind::OverdueFine => "Overdue fine",
        billing::FeeFineKind::LostItemFee => "Lost item fee",
        billing::FeeFineKind::LostItemProcessingFee => "Lost item processing fee",
        billing::FeeFineKind::DamagedItemFee => "Damaged item fee",
        billing::FeeFineKind::Manual => "Charge by hand",
        billing::FeeFineKind::Unspecified => "-",
    }
}

fn payment_status(status: billing::PaymentStatus) -> &'static str {
    use billing::PaymentStatus;
    match status {
        PaymentStatus::Outstanding => "Outstanding",
        PaymentStatus::PaidPartially => "Paid partially",
        PaymentStatus::PaidFully => "Paid fully",
        PaymentStatus::WaivedPartially => "Waived partially",
        PaymentStatus::WaivedFully => "Waived fully",
        PaymentStatus::TransferredFully => "Transferred fully",
        PaymentStatus::CreditedFully => "Credited fully",
        PaymentStatus::CancelledItemReturned => "Cancelled item returned",
        PaymentStatus::TransferredPartially => "Transferred partially",
        PaymentStatus::RefundedPartially => "Refunded partially",
        PaymentStatus::RefundedFully => "Refunded fully",
        PaymentStatus::CreditedPartially => "Credited partially",
        PaymentStatus::CancelledItemRenewed => "Cancelled item renewed",
        PaymentStatus::CancelledItemDeclaredLost => "Cancelled item declared lost",
        PaymentStatus::CancelledAsError => "Cancelled as error",
        PaymentStatus::SuspendedClaimReturned => "Suspended claim returned",
        PaymentStatus::WrittenOffPartially => "Written off partially",
        PaymentStatus::WrittenOffFully => "Written off fully",
        PaymentStatus::Unspecified => "-",
    }
}
