//! Money at the desk: several charges at once, refunds, cancellations, write-offs, disputes, cheques that come back.

use carrel_billing::account::correction::CancelReason;
use carrel_billing::account::model::{Account, ActionKind, PaymentStatus, Tender};
use carrel_billing::account::{self};
use carrel_billing::dispute::{self, Outcome};
use carrel_billing::error::Error;
use carrel_billing::payment::{self, ChequeFee, NewPayment, Paying, Payment, Refund, receipt};
use carrel_billing::posting::model::PostingState;
use carrel_billing::write_off::{self, WriteOffState};
use carrel_billing::{Actor, posting, rules};
use carrel_ids::new_id;
use carrel_money::Money;
use carrel_proto::circulation::v1::{Loan, LoanChanged, LoanStatus};
use carrel_runtime::wire;
use uuid::Uuid;

use crate::office::{Office, desk, new_request, usd};
use crate::site::Site;

pub fn in_tender(tender: Tender) -> NewPayment {
    NewPayment {
        tender,
        tender_reference: String::new(),
        tendered: None,
        comment: String::new(),
        drawer_session_id: None,
    }
}

pub fn somebody(subject: &str) -> Actor {
    Actor {
        subject: subject.into(),
        trace_parent: None,
    }
}

impl Office {
    pub async fn take(
        &self,
        paying: &Paying,
        new: &NewPayment,
    ) -> Result<(Payment, Vec<Account>), Error> {
        payment::take(&self.billing, &new_request(), &desk(), paying, new).await
    }

    pub async fn take_whole(&self, account: &Account, tender: Tender) -> Payment {
        let paying = Paying::Parts(vec![(account.id, None)], None);
        self.take(&paying, &in_tender(tender)).await.unwrap().0
    }

    pub async fn refund(
        &self,
        payment: &Payment,
        account: &Account,
        amount: Money,
    ) -> Result<(Payment, Account), Error> {
        let refund = Refund {
            payment_id: payment.id,
            account_id: account.id,
            amount,
            tender_reference: String::new(),
            comment: "paid twice".into(),
            drawer_session_id: None,
        };
        payment::refund(&self.billing, &new_request(), &desk(), &refund).await
    }

    async fn cancel(&self, account: &Account) -> Result<Account, Error> {
        let (request, reason) = (new_request(), CancelReason::Error);
        account::cancel(
            &self.billing,
            &request,
            &desk(),
            account.id,
            reason,
            "never lent",
        )
        .await
    }

    pub async fn fined(&self, patron_id: Uuid, cents: i64) -> Account {
        self.apply(&self.fine(patron_id, cents)).await;
        self.accounts(patron_id).await.pop().unwrap()
    }
}

#[tokio::test]
async fn one_payment_pays_the_oldest_charges_first_and_its_receipt_says_so() {
    let office = Office::open().await;
    let patron_id = new_id();
    let first = office.fined(patron_id, 300).await;
    let second = office.fined(patron_id, 500).await;
    let third = office.fined(patron_id, 200).await;
    let paying = Paying::OldestFirst(patron_id, usd(600));
    let new = NewPayment {
        tendered: Some(usd(1000)),
        ..in_tender(Tender::Cash)
    };
    let request = new_request();
    let once = payment::take(&office.billing, &request, &desk(), &paying, &new).await;
    let again = payment::take(&office.billing, &request, &desk(), &paying, &new).await;
    let (paid, accounts) = once.unwrap();
    assert_eq!((&paid, &accounts), (&again.unwrap().0, &accounts));
    assert_eq!(paid.parts.len(), 2);
    assert_eq!(office.now(&first).await.remaining, usd(0));
    assert_eq!(office.now(&second).await.remaining, usd(200));
    assert_eq!(office.now(&third).await.remaining, usd(200));
    let text = receipt::text(&paid, &office.billing.zone);
    assert!(text.contains(&first.reference) && text.contains(&second.reference));
    assert!(text.contains("Change"), "{text}");
    let more = Paying::OldestFirst(patron_id, usd(401));
    let refused = office.take(&more, &in_tender(Tender::Cash)).await;
    assert!(matches!(refused, Err(Error::PaymentExceedsRemaining)));
    assert_eq!(office.owed(patron_id).await, usd(400));
    office.assert_sound().await;
}

#[tokio::test]
async fn a_payment_of_several_charges_is_all_or_nothing() {
    let office = Office::open().await;
    let patron_id = new_id();
    let one = office.fined(patron_id, 300).await;
    let two = office.fined(patron_id, 500).await;
    let stranger = office.fined(new_id(), 500).await;
    let cash = in_tender(Tender::Cash);
    let parts = |parts: &[(&Account, i64)]| {
        let parts = parts
            .iter()
            .map(|(account, cents)| (account.id, Some(usd(*cents))));
        Paying::Parts(parts.collect(), None)
    };
    for (paying, new, rule) in [
        (
            parts(&[(&one, 300), (&two, 501)]),
            cash.clone(),
            "PAYMENT_EXCEEDS_REMAINING",
        ),
        (
            parts(&[(&one, 100), (&one, 100)]),
            cash.clone(),
            "ACCOUNT_TWICE",
        ),
        (
            parts(&[(&one, 100), (&stranger, 100)]),
            cash.clone(),
            "ACCOUNTS_OF_SEVERAL_PATRONS",
        ),
        (
            Paying::Parts(vec![(one.id, None), (two.id, None)], Some(usd(799))),
            cash.clone(),
            "PARTS_DISAGREE",
        ),
        (
            parts(&[(&one, 300)]),
            NewPayment {
                tendered: Some(usd(299)),
                ..cash.clone()
            },
            "TENDERED_TOO_LITTLE",
        ),
        (
            parts(&[(&one, 300)]),
            NewPayment {
                tendered: Some(usd(301)),
                ..in_tender(Tender::Cheque)
            },
            "CHANGE_ONLY_FOR_CASH",
        ),
        (
            parts(&[(&one, 300)]),
            NewPayment {
                tender_reference: "4111-1111-1111-1111".into(),
                ..in_tender(Tender::Card)
            },
            "CARD_NUMBER_REFUSED",
        ),
        (Paying::Parts(vec![], None), cash.clone(), "AMOUNT_MISSING"),
        (
            Paying::Parts(vec![(new_id(), None)], None),
            cash.clone(),
            "ACCOUNT_NOT_FOUND",
        ),
    ] {
        let refused = office.take(&paying, &new).await.unwrap_err();
        assert_eq!(refused.refusal().reason(), rule);
    }
    assert_eq!(office.owed(patron_id).await, usd(800));
    let both = Paying::Parts(vec![(one.id, None), (two.id, None)], Some(usd(800)));
    office.take(&both, &cash).await.unwrap();
    assert_eq!(office.owed(patron_id).await, usd(0));
    office.assert_sound().await;
}

#[tokio::test]
async fn two_desks_that_pay_overlapping_charges_at_once_take_no_cent_too_much() {
    let office = Office::open().await;
    let patron_id = new_id();
    let one = office.fined(patron_id, 300).await;
    let two = office.fined(patron_id, 500).await;
    // In either order: the locks are taken in one.
    let forth = Paying::Parts(vec![(one.id, None), (two.id, None)], Some(usd(800)));
    let back = Paying::Parts(vec![(two.id, None), (one.id, None)], Some(usd(800)));
    let cash = in_tender(Tender::Cash);
    let taking = (0..8).map(|desk| office.take(if desk % 2 == 0 { &forth } else { &back }, &cash));
    let taken = futures::future::join_all(taking).await;
    assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 1);
    assert_eq!(office.owed(patron_id).await, usd(0));
    let payments: i64 = sqlx::query_scalar("select count(*) from payment")
        .fetch_one(&office.pool)
        .await
        .unwrap();
    assert_eq!(payments, 1);
    office.assert_sound().await;
}

#[tokio::test]
async fn a_refund_goes_to_the_tender_it_came_by_and_never_beyond_what_was_paid() {
    let office = Office::open().await;
    let account = office.fined(new_id(), 1000).await;
    let paid = office.take_whole(&account, Tender::Card).await;
    let (_, after) = office.refund(&paid, &account, usd(400)).await.unwrap();
    assert_eq!(after.payment_status, PaymentStatus::RefundedPartially);
    assert_eq!((after.paid, after.credited), (usd(600), usd(400)));
    let refused = office.refund(&paid, &account, usd(601)).await;
    assert!(matches!(refused, Err(Error::RefundExceedsPayment)));
    // Two desks at once.
    let both = futures::future::join(
        office.refund(&paid, &account, usd(600)),
        office.refund(&paid, &account, usd(600)),
    )
    .await;
    assert_eq!(
        [both.0.is_ok(), both.1.is_ok()]
            .iter()
            .filter(|ok| **ok)
            .count(),
        1
    );
    let (after, actions) = account::get(&office.billing, account.id).await.unwrap();
    assert_eq!(after.payment_status, PaymentStatus::RefundedFully);
    let tenders: Vec<_> = actions
        .iter()
        .filter(|action| action.kind == ActionKind::Refund)
        .map(|action| (action.tender, action.payment_id))
        .collect();
    assert_eq!(tenders, [(Some(Tender::Card), Some(paid.id)); 2]);
    office.assert_sound().await;
}

#[tokio::test]
async fn what_is_owed_back_for_a_returned_item_is_paid_out_once() {
    let office = Office::open().await;
    let patron_id = new_id();
    let loss = office.loss(patron_id, 4500, 0);
    office.apply(&loss).await;
    let account = office.only_account(patron_id).await;
    let paid = office.take_whole(&account, Tender::Cash).await;
    office.apply(&office.returned(&loss)).await;
    assert_eq!(office.now(&account).await.owed_back, usd(4500));
    let (_, after) = office.refund(&paid, &account, usd(4500)).await.unwrap();
    assert_eq!(after.owed_back, usd(0));
    let again = office.refund(&paid, &account, usd(1)).await;
    assert!(matches!(again, Err(Error::RefundExceedsPayment)));
    let cancelled = office.cancel(&account).await;
    assert!(
        matches!(cancelled, Err(Error::ChargeTakenBack)),
        "a charge is taken back once"
    );
    office.assert_sound().await;
}

#[tokio::test]
async fn what_was_paid_at_the_student_account_is_not_refunded_at_the_desk() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1000).await;
    office.pay(&account, 300).await.unwrap();
    office
        .work_until(&account, 0, PostingState::Acknowledged)
        .await;
    let charge = office.posting(&account, 0).await.sis_charge_id.unwrap();
    assert!(site.pay(&charge).await);
    assert_eq!(
        posting::settlement::ask_what_was_paid(&office.billing)
            .await
            .unwrap(),
        1
    );
    let after = office.now(&account).await;
    assert_eq!((after.paid, after.settled), (usd(300), usd(700)));
    let payment_id: Uuid = sqlx::query_scalar("select id from payment")
        .fetch_one(&office.pool)
        .await
        .unwrap();
    let paid = payment::get(&office.billing, payment_id).await.unwrap();
    let refused = office.refund(&paid, &account, usd(301)).await;
    assert!(matches!(refused, Err(Error::RefundExceedsPayment)));
    // Cancelled: the desk's money is owed back here, the rest is credited there.
    let cancelled = office.cancel(&account).await.unwrap();
    assert_eq!(cancelled.owed_back, usd(300));
    office
        .work_until(&account, 1, PostingState::Acknowledged)
        .await;
    assert_eq!(office.assert_reconciled().await, usd(0));
}

#[tokio::test]
async fn a_charge_in_error_is_cancelled_once_with_all_that_was_done_to_it() {
    let office = Office::open().await;
    let patron_id = new_id();
    let account = office.fined(patron_id, 1000).await;
    office.pay(&account, 300).await.unwrap();
    office.waive(&account, 200).await.unwrap();
    let cancels = futures::future::join(office.cancel(&account), office.cancel(&account)).await;
    let [one, other] = [cancels.0, cancels.1];
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let after = office.now(&account).await;
    assert_eq!(after.payment_status, PaymentStatus::CancelledAsError);
    assert_eq!((after.cancelled, after.owed_back), (usd(1000), usd(300)));
    assert_eq!(office.owed(patron_id).await, usd(0));
    let (lines, _) = carrel_billing::journal::trial_balance(&office.billing)
        .await
        .unwrap();
    let moved: Vec<_> = lines.iter().filter(|(_, sum)| !sum.is_zero()).collect();
    assert_eq!(
        moved.len(),
        2,
        "only cash and what is owed back are left: {moved:?}"
    );
    office.assert_sound().await;
}

#[tokio::test]
async fn a_mistake_at_the_desk_is_taken_back_once() {
    let office = Office::open().await;
    let patron_id = new_id();
    let account = office.fined(patron_id, 1000).await;
    office.pay(&account, 600).await.unwrap();
    office.waive(&account, 400).await.unwrap();
    let (_, actions) = account::get(&office.billing, account.id).await.unwrap();
    let action = |kind: ActionKind| {
        actions
            .iter()
            .find(|action| action.kind == kind)
            .unwrap()
            .id
    };
    let (charge, paid, waived) = (
        action(ActionKind::Charge),
        action(ActionKind::Pay),
        action(ActionKind::Waive),
    );
    let office = &office;
    let reverse = async |action_id: Uuid| {
        account::reverse(
            &office.billing,
            &new_request(),
            &desk(),
            account.id,
            action_id,
            "wrong patron",
        )
        .await
    };
    let after = reverse(waived).await.unwrap();
    assert_eq!(
        (after.remaining, after.payment_status),
        (usd(400), PaymentStatus::PaidPartially)
    );
    let after = reverse(paid).await.unwrap();
    assert_eq!(
        (after.remaining, after.payment_status),
        (usd(1000), PaymentStatus::Outstanding)
    );
    for (action_id, rule) in [
        (paid, "ACTION_REVERSED"),
        (waived, "ACTION_REVERSED"),
        (charge, "ACTION_NOT_REVERSIBLE"),
        (new_id(), "ACTION_NOT_FOUND"),
    ] {
        assert_eq!(
            reverse(action_id).await.unwrap_err().refusal().reason(),
            rule
        );
    }
    assert_eq!(office.owed(patron_id).await, usd(1000));
    office.assert_sound().await;
}

#[tokio::test]
async fn a_cheque_that_comes_back_opens_its_charges_again_once_with_a_fee() {
    let office = Office::open().await;
    let patron_id = new_id();
    let one = office.fined(patron_id, 300).await;
    let two = office.fined(patron_id, 500).await;
    let both = Paying::Parts(vec![(one.id, None), (two.id, Some(usd(400)))], None);
    let cheque = in_tender(Tender::Cheque);
    let (paid, _) = office.take(&both, &cheque).await.unwrap();
    let manual = office.manual(patron_id, None).await;
    let fee = ChequeFee {
        fee_fine_type_id: manual.fee_fine_type_id,
        fee_fine_owner_id: manual.fee_fine_owner_id,
        amount: Some(usd(2500)),
    };
    let request = new_request();
    let office = &office;
    let come_back = async |request| {
        let why = "not sufficient funds";
        payment::return_cheque(&office.billing, request, &desk(), paid.id, why, Some(&fee)).await
    };
    let (returned, accounts) = come_back(&request).await.unwrap();
    assert!(returned.returned_at.is_some());
    let remaining: Vec<Money> = accounts.iter().map(|account| account.remaining).collect();
    assert_eq!(remaining, [usd(300), usd(500), usd(2500)]);
    assert_eq!(accounts[0].payment_status, PaymentStatus::Outstanding);
    let (_, again) = come_back(&request).await.unwrap();
    assert_eq!(again, accounts, "the same request again changes nothing");
    let twice = come_back(&new_request()).await;
    assert!(matches!(twice, Err(Error::PaymentReturned)));
    let refund = office.refund(&paid, &one, usd(1)).await;
    assert!(matches!(refund, Err(Error::PaymentReturned)));
    assert_eq!(office.owed(patron_id).await, usd(3300));
    let cash = office.take_whole(&one, Tender::Cash).await;
    let not_a_cheque = payment::return_cheque(
        &office.billing,
        &new_request(),
        &desk(),
        cash.id,
        "no",
        None,
    )
    .await;
    assert!(matches!(not_a_cheque, Err(Error::NotACheque)));
    office.assert_sound().await;
}

#[tokio::test]
async fn a_dispute_holds_the_charge_until_another_person_decides() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1000).await;
    let request = new_request();
    let (opened, held) = dispute::open(
        &office.billing,
        &request,
        &desk(),
        account.id,
        "never had it",
    )
    .await
    .unwrap();
    let again = dispute::open(
        &office.billing,
        &request,
        &desk(),
        account.id,
        "never had it",
    )
    .await
    .unwrap();
    assert_eq!(again.0, opened);
    assert!(held.suspension.is_suspended());
    posting::work_queue(&office.billing).await.unwrap();
    assert_eq!(office.posting_count().await, 0, "it is not posted");
    let balance = account::get_balance(&office.billing, account.patron_id)
        .await
        .unwrap();
    assert_eq!(
        (balance.outstanding, balance.counted),
        (usd(1000), usd(0)),
        "it is owed, but does not count"
    );
    let decide = async |who: &str, outcome| {
        let key = new_request();
        let id = opened.id;
        dispute::decide(
            &office.billing,
            &key,
            &somebody(who),
            id,
            outcome,
            None,
            "looked",
        )
        .await
    };
    let same = decide("desk-1", Outcome::Denied).await;
    assert!(matches!(same, Err(Error::DecidedByTheSamePerson)));
    let open_twice = dispute::open(
        &office.billing,
        &new_request(),
        &desk(),
        account.id,
        "again",
    )
    .await;
    assert!(matches!(open_twice, Err(Error::DisputeOpen)));
    let (decided, on) = decide("head", Outcome::Denied).await.unwrap();
    assert_eq!(
        decided.decision.map(|(outcome, by, _)| (outcome, by)),
        Some((Outcome::Denied, "head".into()))
    );
    assert!(
        on.suspension.ages_from > account.charged_at,
        "it did not age meanwhile"
    );
    let twice = decide("head", Outcome::Upheld).await;
    assert!(matches!(twice, Err(Error::DisputeDecided)));
    office
        .work_until(&account, 0, PostingState::Acknowledged)
        .await;
    assert_eq!(office.assert_reconciled().await, usd(1000));
}

#[tokio::test]
async fn a_dispute_that_is_upheld_cancels_the_charge_at_the_student_account_too() {
    let site = Site::open().await;
    let office = Office::at(&site).await;
    let account = office.fined_student(1000).await;
    office
        .work_until(&account, 0, PostingState::Acknowledged)
        .await;
    let (opened, _) = dispute::open(
        &office.billing,
        &new_request(),
        &desk(),
        account.id,
        "not me",
    )
    .await
    .unwrap();
    let (_, after) = dispute::decide(
        &office.billing,
        &new_request(),
        &somebody("head"),
        opened.id,
        Outcome::Upheld,
        None,
        "right",
    )
    .await
    .unwrap();
    assert_eq!(after.payment_status, PaymentStatus::CancelledAsError);
    office
        .work_until(&account, 1, PostingState::Acknowledged)
        .await;
    assert_eq!(office.assert_reconciled().await, usd(0));
}

#[tokio::test]
async fn a_claim_that_the_item_was_returned_suspends_its_charges_until_it_is_resolved() {
    let office = Office::open().await;
    let patron_id = new_id();
    let loss = office.loss(patron_id, 4500, 1000);
    office.apply(&loss).await;
    let claim = |claimed: bool| LoanChanged {
        loan: Some(Loan {
            id: loss.loan_id.clone(),
            status: LoanStatus::Open.into(),
            claimed_returned_at: claimed.then(|| wire::to_timestamp(office.billing.clock.now())),
            ..Default::default()
        }),
    };
    let counted = async || {
        account::get_balance(&office.billing, patron_id)
            .await
            .unwrap()
            .counted
    };
    office.apply(&claim(true)).await;
    office.apply(&claim(true)).await;
    assert_eq!(counted().await, usd(0));
    office.assert_sound().await;
    office.apply(&claim(false)).await;
    assert_eq!(counted().await, usd(5500));
    office.apply(&claim(true)).await;
    office.apply(&office.returned(&loss)).await;
    assert_eq!(office.owed(patron_id).await, usd(1000));
    office.assert_sound().await;
}

#[tokio::test]
async fn write_offs_above_the_limit_need_another_person_however_they_are_cut_up() {
    let office = Office::open().await;
    let patron_id = new_id();
    let account = office.fined(patron_id, 5000).await;
    rules::update(
        &office.billing,
        &new_request(),
        &desk(),
        usd(0),
        usd(1000),
        None,
    )
    .await
    .unwrap();
    let office = &office;
    let ask = async |cents: Option<i64>| {
        let (key, amount) = (new_request(), cents.map(usd));
        let actor = desk();
        write_off::request(&office.billing, &key, &actor, account.id, amount, "moved").await
    };
    let (small, after) = ask(Some(1000)).await.unwrap();
    assert_eq!(
        (small.state, after.remaining),
        (WriteOffState::Approved, usd(4000))
    );
    let (rest, after) = ask(Some(1)).await.unwrap();
    assert_eq!(
        (rest.state, after.remaining),
        (WriteOffState::Waiting, usd(4000))
    );
    assert!(matches!(ask(None).await, Err(Error::WriteOffWaiting)));
    let decide = async |who: &str, id: Uuid, yes: bool| {
        let actor = somebody(who);
        write_off::decide(&office.billing, &new_request(), &actor, id, yes, "seen").await
    };
    assert!(matches!(
        decide("desk-1", rest.id, true).await,
        Err(Error::DecidedByTheSamePerson)
    ));
    let (refused, after) = decide("head", rest.id, false).await.unwrap();
    assert_eq!(
        (refused.state, after.remaining),
        (WriteOffState::Refused, usd(4000))
    );
    let (whole, _) = ask(None).await.unwrap();
    let (_, after) = decide("head", whole.id, true).await.unwrap();
    assert_eq!(after.payment_status, PaymentStatus::WrittenOffFully);
    assert!(matches!(
        decide("head", whole.id, true).await,
        Err(Error::WriteOffDecided)
    ));
    assert!(matches!(ask(Some(1)).await, Err(Error::AccountClosed)));
    office.assert_sound().await;
}

#[tokio::test]
async fn a_small_balance_does_not_count_towards_blocks() {
    let office = Office::open().await;
    let patron_id = new_id();
    office.fined(patron_id, 499).await;
    let set = async |cents: i64, seen: Option<i64>| {
        let (key, minimum) = (new_request(), usd(cents));
        rules::update(&office.billing, &key, &desk(), minimum, usd(0), seen).await
    };
    let rules = set(500, None).await.unwrap();
    assert!(matches!(
        set(600, Some(rules.revision - 1)).await,
        Err(Error::EtagMismatch)
    ));
    assert!(matches!(set(-1, None).await, Err(Error::AmountNegative)));
    let balance = account::get_balance(&office.billing, patron_id)
        .await
        .unwrap();
    assert_eq!((balance.outstanding, balance.counted), (usd(499), usd(0)));
    assert_eq!(
        balance.revision, 2,
        "the feed is told that it counts differently"
    );
    office.fined(patron_id, 1).await;
    let balance = account::get_balance(&office.billing, patron_id)
        .await
        .unwrap();
    assert_eq!(balance.counted, usd(500));
}
