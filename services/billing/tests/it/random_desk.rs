//! A random desk against a simple model: no sequence of actions makes what remains negative, lets an account differ from
//! the model, or lets the journal disagree with it.

use carrel_billing::account::correction::CancelReason;
use carrel_billing::account::model::{Account, ActionKind, Tender};
use carrel_billing::account::{self};
use carrel_billing::dispute::{self, Outcome};
use carrel_billing::payment::{self, Paying, Payment};
use carrel_billing::{rules, write_off};
use carrel_ids::new_id;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use uuid::Uuid;

use crate::desk_money::{in_tender, somebody};
use crate::office::{Office, desk, new_request, usd};

/// How many charges a patron has in each run.
const CHARGES: usize = 3;

#[derive(Debug, Clone)]
enum Doing {
    Pay(usize, i64),
    PayByCheque(usize, usize, i64),
    OldestFirst(i64),
    Waive(usize, i64),
    Credit(usize, i64),
    WriteOff(usize, i64),
    Cancel(usize),
    /// Of the payment that is this many payments ago.
    Refund(usize, i64),
    ReturnCheque(usize),
    /// Of the action that is this many actions ago.
    Reverse(usize, usize),
    Dispute(usize),
    Decide(usize, bool),
}

fn doing() -> impl Strategy<Value = Doing> {
    let charge = || 0..CHARGES;
    let cents = || -5i64..700;
    prop_oneof![
        3 => (charge(), cents()).prop_map(|(which, cents)| Doing::Pay(which, cents)),
        2 => (charge(), charge(), cents()).prop_map(|(one, two, cents)| Doing::PayByCheque(one, two, cents)),
        1 => cents().prop_map(Doing::OldestFirst),
        2 => (charge(), cents()).prop_map(|(which, cents)| Doing::Waive(which, cents)),
        1 => (charge(), cents()).prop_map(|(which, cents)| Doing::Credit(which, cents)),
        1 => (charge(), cents()).prop_map(|(which, cents)| Doing::WriteOff(which, cents)),
        1 => charge().prop_map(Doing::Cancel),
        2 => (0usize..4, cents()).prop_map(|(ago, cents)| Doing::Refund(ago, cents)),
        1 => (0usize..4).prop_map(Doing::ReturnCheque),
        2 => (charge(), 0usize..4).prop_map(|(which, ago)| Doing::Reverse(which, ago)),
        1 => charge().prop_map(Doing::Dispute),
        1 => (charge(), any::<bool>()).prop_map(|(which, is_upheld)| Doing::Decide(which, is_upheld)),
    ]
}

/// What anybody would keep on paper, in cents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Paper {
    amount: i64,
    remaining: i64,
    paid: i64,
    waived: i64,
    credited: i64,
    written_off: i64,
    cancelled: i64,
    owed_back: i64,
    is_disputed: bool,
}

impl Paper {
    fn of(account: &Account) -> Self {
        let cents = |money: carrel_money::Money| {
            i64::try_from(
                (money.amount() * carrel_money::Decimal::ONE_HUNDRED)
                    .trunc()
                    .mantissa(),
            )
            .unwrap()
                / 10i64.pow(
                    (money.amount() * carrel_money::Decimal::ONE_HUNDRED)
                        .trunc()
                        .scale(),
                )
        };
        Self {
            amount: cents(account.amount),
            remaining: cents(account.remaining),
            paid: cents(account.paid),
            waived: cents(account.waived),
            credited: cents(account.credited),
            written_off: cents(account.written_off),
            cancelled: cents(account.cancelled),
            owed_back: cents(account.owed_back),
            is_disputed: account.suspension.is_disputed,
        }
    }

    /// Takes from what remains; false where the desk refuses.
    fn take(&mut self, cents: i64) -> bool {
        let may = cents > 0 && cents <= self.remaining;
        if may {
            self.remaining -= cents;
        }
        may
    }

    fn cancel(&mut self) -> bool {
        let may = self.cancelled == 0;
        if may {
            *self = Self {
                amount: self.amount,
                cancelled: self.amount,
                owed_back: self.owed_back + self.paid,
                is_disputed: self.is_disputed,
                ..Self::default()
            };
        }
        may
    }

    fn credit(&mut self, cents: i64) -> bool {
        let may = cents > 0 && cents <= self.remaining + self.paid;
        if may {
            let of_paid = (cents - self.remaining).max(0);
            self.remaining -= cents - of_paid;
            self.paid -= of_paid;
            self.owed_back += of_paid;
            self.credited += cents;
        }
        may
    }

    fn refund(&mut self, cents: i64) {
        let of_paid = (cents - self.owed_back).max(0);
        self.owed_back -= cents - of_paid;
        self.paid -= of_paid;
        self.credited += of_paid;
    }

    fn unpay(&mut self, cents: i64) {
        let of_paid = cents.min(self.paid);
        self.paid -= of_paid;
        self.remaining += of_paid;
        self.owed_back -= cents - of_paid;
    }
}

/// One patron at the desk, with the paper beside.
struct Run<'a> {
    office: &'a Office,
    patron_id: Uuid,
    accounts: Vec<Account>,
    paper: Vec<Paper>,
    payments: Vec<Payment>,
    disputes: Vec<Option<Uuid>>,
}

impl<'a> Run<'a> {
    async fn begin(office: &'a Office, cents: [i64; CHARGES]) -> Self {
        let patron_id = new_id();
        let mut accounts = Vec::new();
        for cents in cents {
            accounts.push(office.fined(patron_id, cents).await);
        }
        Self {
            office,
            patron_id,
            paper: accounts.iter().map(Paper::of).collect(),
            disputes: vec![None; accounts.len()],
            payments: Vec::new(),
            accounts,
        }
    }

    /// Does it at the desk and on paper; both accept it, or both refuse it.
    async fn step(&mut self, doing: &Doing) {
        let mut after = self.paper.clone();
        let may = self.on_paper(doing, &mut after).await;
        let did = self.at_the_desk(doing).await;
        assert_eq!(did, may, "{doing:?} with {:?}", self.paper);
        if may {
            self.paper = after;
        }
        for (account, paper) in self.accounts.iter().zip(&self.paper) {
            let now = self.office.now(account).await;
            assert_eq!(Paper::of(&now), *paper, "after {doing:?}");
            assert!(!now.remaining.is_negative());
        }
    }

    /// A part of a payment as it is now: (charge, amount, given back).
    async fn parts(&self, payment: &Payment) -> (Vec<(usize, i64, i64)>, bool, bool) {
        let now = payment::get(&self.office.billing, payment.id)
            .await
            .unwrap();
        let cents = |money: carrel_money::Money| {
            (money.amount() * carrel_money::Decimal::ONE_HUNDRED)
                .to_string()
                .split('.')
                .next()
                .unwrap()
                .parse::<i64>()
                .unwrap()
        };
        let parts = now
            .parts
            .iter()
            .map(|part| {
                let place = self
                    .accounts
                    .iter()
                    .position(|account| account.id == part.account_id)
                    .unwrap();
                (place, cents(part.amount), cents(part.given_back))
            })
            .collect();
        (
            parts,
            now.tender == Tender::Cheque,
            now.returned_at.is_some(),
        )
    }

    async fn on_paper(&self, doing: &Doing, paper: &mut [Paper]) -> bool {
        match *doing {
            Doing::Pay(which, cents) => {
                let may = paper[which].take(cents);
                paper[which].paid += if may { cents } else { 0 };
                may
            }
            Doing::PayByCheque(one, two, cents) => {
                let may = one != two && paper[one].take(cents) && paper[two].take(cents);
                for which in [one, two] {
                    paper[which].paid += if may { cents } else { 0 };
                }
                may
            }
            Doing::OldestFirst(cents) => {
                let owed: i64 = paper.iter().map(|paper| paper.remaining).sum();
                let mut left = cents;
                for paper in paper.iter_mut() {
                    let part = left.clamp(0, paper.remaining);
                    paper.remaining -= part;
                    paper.paid += part;
                    left -= part;
                }
                cents > 0 && cents <= owed
            }
            Doing::Waive(which, cents) => {
                let may = paper[which].take(cents);
                paper[which].waived += if may { cents } else { 0 };
                may
            }
            Doing::Credit(which, cents) => paper[which].credit(cents),
            Doing::WriteOff(which, cents) => {
                let may = paper[which].take(cents);
                paper[which].written_off += if may { cents } else { 0 };
                may
            }
            Doing::Cancel(which) => paper[which].cancel(),
            Doing::Refund(ago, cents) => {
                let Some(payment) = self.payments.iter().rev().nth(ago) else {
                    return false;
                };
                let (parts, _, is_returned) = self.parts(payment).await;
                let (which, amount, given_back) = parts[0];
                let may = !is_returned && cents > 0 && cents <= amount - given_back;
                if may {
                    paper[which].refund(cents);
                }
                may
            }
            Doing::ReturnCheque(ago) => {
                let Some(payment) = self.payments.iter().rev().nth(ago) else {
                    return false;
                };
                let (parts, is_cheque, is_returned) = self.parts(payment).await;
                let may =
                    is_cheque && !is_returned && parts.iter().all(|(_, _, given)| *given == 0);
                for (which, amount, _) in parts.into_iter().filter(|_| may) {
                    paper[which].unpay(amount);
                }
                may
            }
            Doing::Reverse(which, ago) => self.reverse_on_paper(which, ago, paper).await,
            Doing::Dispute(which) => {
                let may = !paper[which].is_disputed && paper[which].remaining > 0;
                paper[which].is_disputed |= may;
                may
            }
            Doing::Decide(which, is_upheld) => {
                let may = paper[which].is_disputed && (!is_upheld || paper[which].cancel());
                paper[which].is_disputed &= !may;
                may
            }
        }
    }

    async fn reverse_on_paper(&self, which: usize, ago: usize, paper: &mut [Paper]) -> bool {
        let id = self.accounts[which].id;
        let (_, actions) = account::get(&self.office.billing, id).await.unwrap();
        let Some(action) = actions.iter().rev().nth(ago) else {
            return false;
        };
        if actions
            .iter()
            .any(|other| other.reverses_action_id == Some(action.id))
        {
            return false;
        }
        let cents = (action.amount.amount() * carrel_money::Decimal::ONE_HUNDRED)
            .trunc()
            .to_string()
            .split('.')
            .next()
            .unwrap()
            .parse::<i64>()
            .unwrap();
        let paper = &mut paper[which];
        match action.kind {
            ActionKind::Pay => {
                let payment_id = action.payment_id.unwrap();
                let payment = payment::get(&self.office.billing, payment_id)
                    .await
                    .unwrap();
                let untouched = payment
                    .parts
                    .iter()
                    .any(|part| part.account_id == id && part.given_back.is_zero());
                if untouched {
                    paper.unpay(cents);
                }
                untouched
            }
            ActionKind::Waive if cents <= paper.waived => {
                paper.waived -= cents;
                paper.remaining += cents;
                true
            }
            ActionKind::WriteOff if cents <= paper.written_off => {
                paper.written_off -= cents;
                paper.remaining += cents;
                true
            }
            _ => false,
        }
    }

    async fn at_the_desk(&mut self, doing: &Doing) -> bool {
        let billing = &self.office.billing;
        let (key, actor) = (new_request(), desk());
        let id = |which: usize| self.accounts[which].id;
        let take =
            async |paying: Paying, tender| self.office.take(&paying, &in_tender(tender)).await;
        match *doing {
            Doing::Pay(which, cents) => {
                let parts = vec![(id(which), Some(usd(cents)))];
                let taken = take(Paying::Parts(parts, None), Tender::Cash).await;
                self.keep(taken)
            }
            Doing::PayByCheque(one, two, cents) => {
                let part = |which| (id(which), Some(usd(cents)));
                let parts = vec![part(one), part(two)];
                let taken = take(Paying::Parts(parts, None), Tender::Cheque).await;
                self.keep(taken)
            }
            Doing::OldestFirst(cents) => {
                let paying = Paying::OldestFirst(self.patron_id, usd(cents));
                let taken = take(paying, Tender::Card).await;
                self.keep(taken)
            }
            Doing::Waive(which, cents) => {
                account::waive(billing, &key, &actor, id(which), usd(cents), "w")
                    .await
                    .is_ok()
            }
            Doing::Credit(which, cents) => {
                account::credit_by_hand(billing, &key, &actor, id(which), usd(cents), "c")
                    .await
                    .is_ok()
            }
            Doing::WriteOff(which, cents) => {
                let amount = Some(usd(cents));
                write_off::request(billing, &key, &actor, id(which), amount, "w")
                    .await
                    .is_ok()
            }
            Doing::Cancel(which) => {
                account::cancel(billing, &key, &actor, id(which), CancelReason::Error, "c")
                    .await
                    .is_ok()
            }
            Doing::Refund(ago, cents) => {
                let Some(payment) = self.payments.iter().rev().nth(ago) else {
                    return false;
                };
                let account_id = payment.parts[0].account_id;
                let charge = |account: &&Account| account.id == account_id;
                let account = self.accounts.iter().find(charge).unwrap();
                self.office
                    .refund(payment, account, usd(cents))
                    .await
                    .is_ok()
            }
            Doing::ReturnCheque(ago) => {
                let Some(payment) = self.payments.iter().rev().nth(ago) else {
                    return false;
                };
                payment::return_cheque(billing, &key, &actor, payment.id, "nsf", None)
                    .await
                    .is_ok()
            }
            Doing::Reverse(which, ago) => {
                let (_, actions) = account::get(billing, id(which)).await.unwrap();
                let Some(action) = actions.iter().rev().nth(ago) else {
                    return false;
                };
                account::reverse(billing, &key, &actor, id(which), action.id, "r")
                    .await
                    .is_ok()
            }
            Doing::Dispute(which) => {
                match dispute::open(billing, &key, &actor, id(which), "d").await {
                    Ok((dispute, _)) => {
                        self.disputes[which] = Some(dispute.id);
                        true
                    }
                    Err(_) => false,
                }
            }
            Doing::Decide(which, is_upheld) => {
                let Some(dispute_id) = self.disputes[which] else {
                    return false;
                };
                let outcome = if is_upheld {
                    Outcome::Upheld
                } else {
                    Outcome::Denied
                };
                let head = somebody("head");
                dispute::decide(billing, &key, &head, dispute_id, outcome, None, "d")
                    .await
                    .is_ok()
            }
        }
    }

    fn keep(
        &mut self,
        taken: Result<(Payment, Vec<Account>), carrel_billing::error::Error>,
    ) -> bool {
        match taken {
            Ok((payment, _)) => {
                self.payments.push(payment);
                true
            }
            Err(_) => false,
        }
    }

    async fn end(&self) {
        let owed: i64 = self.paper.iter().map(|paper| paper.remaining).sum();
        let disputed: i64 = self
            .paper
            .iter()
            .filter(|paper| paper.is_disputed)
            .map(|paper| paper.remaining)
            .sum();
        let balance = account::get_balance(&self.office.billing, self.patron_id)
            .await
            .unwrap();
        assert_eq!(balance.outstanding, usd(owed));
        assert_eq!(balance.counted, usd(owed - disputed));
        self.office.assert_sound().await;
    }
}

#[test]
fn no_sequence_of_actions_lets_the_books_differ_from_a_sheet_of_paper() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let office = runtime.block_on(async {
        let office = Office::open().await;
        let (key, limit) = (new_request(), usd(1_000_000));
        rules::update(&office.billing, &key, &desk(), usd(0), limit, None)
            .await
            .unwrap();
        office
    });
    let config = Config {
        cases: 40,
        failure_persistence: None,
        ..Config::default()
    };
    let cents = || 1i64..1_000;
    let strategy = (
        [cents(), cents(), cents()],
        prop::collection::vec(doing(), 1..25),
    );
    TestRunner::new(config)
        .run(&strategy, |(cents, doings)| {
            runtime.block_on(async {
                let mut run = Run::begin(&office, cents).await;
                for doing in &doings {
                    run.step(doing).await;
                }
                run.end().await;
            });
            Ok(())
        })
        .unwrap();
}
