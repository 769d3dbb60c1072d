//! The rules of a charge, by hand and at random.

use std::collections::HashMap;

use super::*;
use crate::account::correction::{CancelReason, SuspendedFor};
use carrel_money::{Currency, Decimal};
use proptest::prelude::*;

fn usd(cents: i64) -> Money {
    Money::from_minor(cents, Currency::USD).unwrap()
}

fn charged(cents: i64) -> (Account, Step) {
    taxed(cents, 0)
}

fn taxed(cents: i64, tax_cents: i64) -> (Account, Step) {
    let charge = Charge {
        patron_id: Uuid::nil(),
        fee_fine_owner_id: Uuid::nil(),
        fee_fine_type_id: Uuid::nil(),
        kind: FeeFineKind::LostItemFee,
        amount: usd(cents),
        tax: usd(tax_cents),
        source_id: None,
        loan_id: None,
        institution_code: None,
        library_code: None,
        charged_at: Timestamp::UNIX_EPOCH,
    };
    Account::charge(Uuid::nil(), "7K3QX09B".into(), charge).unwrap()
}

#[test]
fn a_payment_is_more_than_nothing_and_no_more_than_what_remains() {
    let (mut account, _) = charged(1000);
    assert!(matches!(
        account.pay(usd(0), false),
        Err(Error::AmountNotPositive)
    ));
    assert!(matches!(
        account.pay(usd(-1), false),
        Err(Error::AmountNotPositive)
    ));
    assert!(matches!(
        account.pay(usd(1001), false),
        Err(Error::PaymentExceedsRemaining)
    ));
    let canadian = Money::from_minor(100, Currency::CAD).unwrap();
    assert!(matches!(
        account.pay(canadian, false),
        Err(Error::CurrencyNotKept)
    ));
    account.pay(usd(400), false).unwrap();
    assert_eq!(account.payment_status, PaymentStatus::PaidPartially);
    account.pay(usd(600), false).unwrap();
    assert_eq!(account.payment_status, PaymentStatus::PaidFully);
    assert!(matches!(
        account.pay(usd(1), false),
        Err(Error::AccountClosed)
    ));
    assert!(matches!(account.waive(usd(1)), Err(Error::AccountClosed)));
}

#[test]
fn what_is_at_the_student_account_is_paid_there_and_waived_here() {
    let (mut account, _) = charged(1000);
    assert!(matches!(
        account.pay(usd(1), true),
        Err(Error::AtStudentAccount)
    ));
    account.transfer(usd(1000)).unwrap();
    assert_eq!(account.payment_status, PaymentStatus::TransferredFully);
    assert!(matches!(
        account.pay(usd(1), false),
        Err(Error::AtStudentAccount)
    ));
    account.waive(usd(300)).unwrap();
    assert_eq!(
        account.owed_here().unwrap(),
        usd(-300),
        "a credit is to be posted"
    );
    account.transfer(usd(-300)).unwrap();
    assert_eq!(account.owed_here().unwrap(), usd(0));
    assert!(matches!(
        account.transfer(usd(-701)),
        Err(Error::OutOfBalance(_))
    ));
    assert!(matches!(
        account.transfer(usd(301)),
        Err(Error::OutOfBalance(_))
    ));
}

#[test]
fn a_returned_item_gives_back_what_was_not_waived_once() {
    let (mut account, _) = charged(1000);
    account.pay(usd(250), false).unwrap();
    account.waive(usd(50)).unwrap();
    let step = account.credit().unwrap().unwrap();
    assert_eq!(step.amount, usd(950));
    assert_eq!(step.owed_change, usd(-700));
    assert!(
        step.lines
            .contains(&Line::credit(LedgerAccount::RefundsPayable, usd(250)))
    );
    assert_eq!(account.credit().unwrap(), None);
    assert_eq!(account.payment_status, PaymentStatus::CreditedFully);

    let (mut untouched, _) = charged(1000);
    untouched.credit().unwrap();
    assert_eq!(
        untouched.payment_status,
        PaymentStatus::CancelledItemReturned
    );
}

#[test]
fn what_was_paid_at_the_student_account_is_credited_there() {
    let (mut account, _) = charged(1000);
    account.transfer(usd(1000)).unwrap();
    assert_eq!(
        account.settle(usd(1000)).unwrap().unwrap().amount,
        usd(1000)
    );
    assert_eq!(account.settle(usd(1000)).unwrap(), None, "counted once");
    account.credit().unwrap().unwrap();
    assert_eq!(account.owed_here().unwrap(), usd(-1000));
    assert_eq!(
        account.settle(usd(1000)).unwrap(),
        None,
        "nothing is owed any more"
    );
    account.transfer(usd(-1000)).unwrap();
    assert!(account.at_sis.is_zero());
}

#[derive(Debug, Clone, Copy)]
enum Doing {
    Pay(i64),
    Waive(i64),
    Credit,
    /// Posts what is owed here, as the procedure does.
    Transfer,
    Settle(i64),
    Refund(i64),
    CreditByHand(i64),
    Cancel,
    WriteOff(i64),
    /// Takes back what was waived or written off, or paid.
    TakeBack(ActionKind, i64),
    Suspend(SuspendedFor, bool),
}

fn doing() -> impl Strategy<Value = Doing> {
    prop_oneof![
        (-10i64..1_200).prop_map(Doing::Pay),
        (-10i64..1_200).prop_map(Doing::Waive),
        Just(Doing::Credit),
        Just(Doing::Transfer),
        (0i64..1_200).prop_map(Doing::Settle),
        (-10i64..1_200).prop_map(Doing::Refund),
        (-10i64..1_200).prop_map(Doing::CreditByHand),
        Just(Doing::Cancel),
        (-10i64..1_200).prop_map(Doing::WriteOff),
        (1i64..600).prop_map(|cents| Doing::TakeBack(ActionKind::Waive, cents)),
        (1i64..600).prop_map(|cents| Doing::TakeBack(ActionKind::WriteOff, cents)),
        (1i64..600).prop_map(|cents| Doing::TakeBack(ActionKind::ReturnCheque, cents)),
        any::<bool>().prop_map(|is| Doing::Suspend(SuspendedFor::Dispute, is)),
        any::<bool>().prop_map(|is| Doing::Suspend(SuspendedFor::Claim, is)),
    ]
}

proptest! {
    /// No order of steps makes anything negative, loses a cent or lets the
    /// journal disagree with the row.
    #[test]
    fn the_journal_always_agrees_with_the_account(cents in 1i64..1_000, doings in prop::collection::vec(doing(), 0..20)) {
        let (mut account, charge) = taxed(cents, cents / 11);
        let mut ledger: HashMap<LedgerAccount, Decimal> = HashMap::new();
        let mut owed = Decimal::ZERO;
        let mut steps = vec![charge];
        let mut suspended = Decimal::ZERO;
        for doing in doings {
            let before = account.clone();
            let step = match doing {
                Doing::Pay(cents) => account.pay(usd(cents), false).ok(),
                Doing::Waive(cents) => account.waive(usd(cents)).ok(),
                Doing::Credit => account.credit().unwrap(),
                Doing::Transfer => {
                    let owed_here = account.owed_here().unwrap();
                    if owed_here.is_zero() { None } else { Some(account.transfer(owed_here).unwrap()) }
                }
                Doing::Settle(cents) => account.settle(usd(cents)).unwrap(),
                Doing::Refund(cents) => account.refund(usd(cents)).ok(),
                Doing::CreditByHand(cents) => account.credit_by_hand(usd(cents)).ok(),
                Doing::Cancel => account.cancel(CancelReason::Error).ok(),
                Doing::WriteOff(cents) => account.write_off(usd(cents)).ok(),
                Doing::TakeBack(ActionKind::ReturnCheque, cents) => {
                    account.unpay(ActionKind::ReturnCheque, usd(cents)).ok()
                }
                Doing::TakeBack(kind, cents) => account.take_back(kind, usd(cents)).ok(),
                Doing::Suspend(what_for, is_suspended) => {
                    suspended += account
                        .suspend(what_for, is_suspended, Timestamp::UNIX_EPOCH)
                        .unwrap()
                        .amount();
                    continue;
                }
            };
            if let Some(step) = &step && account.suspension.is_suspended() {
                suspended += step.owed_change.amount();
            }
            match step {
                Some(step) => steps.push(step),
                None => prop_assert_eq!(&account, &before, "a step that is refused changes nothing"),
            }
        }
        for step in &steps {
            let sum: Decimal = step.lines.iter().map(|line| line.amount.amount()).sum();
            prop_assert!(sum.is_zero());
            prop_assert!((2..=10).contains(&step.lines.len()));
            owed += step.owed_change.amount();
            for line in &step.lines {
                *ledger.entry(line.ledger_account).or_default() += line.amount.amount();
            }
        }
        let booked = |account| ledger.get(&account).copied().unwrap_or_default();
        let parts = [
            account.remaining, account.paid, account.waived, account.credited, account.settled, account.written_off,
            account.cancelled,
        ];
        prop_assert!(!account.owed_back.is_negative());
        let counts = if account.suspension.is_suspended() { account.remaining.amount() } else { Decimal::ZERO };
        prop_assert_eq!(suspended, counts);
        prop_assert!(parts.iter().all(|part| !part.is_negative()));
        prop_assert_eq!(parts.iter().map(|part| part.amount()).sum::<Decimal>(), account.amount.amount());
        prop_assert!(!account.at_sis.is_negative());
        prop_assert!(account.at_sis.amount() <= account.amount.amount());
        prop_assert_eq!(owed, account.remaining.amount());
        prop_assert_eq!(
            booked(LedgerAccount::PatronReceivable) + booked(LedgerAccount::SisClearing),
            account.remaining.amount()
        );
        prop_assert_eq!(booked(LedgerAccount::SisClearing), account.at_sis.amount());
        prop_assert_eq!(booked(LedgerAccount::SisSettled), account.settled.amount());
        prop_assert_eq!(booked(LedgerAccount::Waivers), account.waived.amount());
        prop_assert_eq!(booked(LedgerAccount::Credits), account.credited.amount());
        prop_assert_eq!(booked(LedgerAccount::WriteOffs), account.written_off.amount());
        prop_assert_eq!(-booked(LedgerAccount::RefundsPayable), account.owed_back.amount());
        prop_assert_eq!(
            account.amount.amount() + booked(LedgerAccount::Revenue) + booked(LedgerAccount::TaxPayable),
            account.cancelled.amount()
        );
        prop_assert_eq!(
            booked(LedgerAccount::Cash) + booked(LedgerAccount::RefundsPayable),
            account.paid.amount()
        );
    }
}
