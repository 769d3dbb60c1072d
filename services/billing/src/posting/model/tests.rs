//! The states, by hand and at random.

use super::*;
use carrel_money::Currency;
use jiff::civil::date;
use proptest::prelude::*;

fn usd(cents: i64) -> Money {
    Money::from_minor(cents, Currency::USD).unwrap()
}

fn at(second: i64) -> Moment {
    let machine = Timestamp::from_second(1_800_000_000 + second).unwrap();
    Moment {
        now: machine,
        machine,
    }
}

const PATIENCE: Patience = Patience {
    deadline: SignedDuration::from_secs(20),
    max_in_flight: SignedDuration::from_secs(60),
};

fn submitted() -> Posting {
    let mut posting = test_posting(usd(1000));
    posting
        .submit(Uuid::from_u128(7), date(2026, 3, 2), PATIENCE, at(0))
        .unwrap();
    posting
}

#[test]
fn a_charge_has_the_same_posting_id_at_every_try() {
    let account = Uuid::from_u128(1);
    assert_eq!(posting_id(account, 0), posting_id(account, 0));
    assert_ne!(posting_id(account, 0), posting_id(account, 1));
    assert_ne!(posting_id(account, 0), posting_id(Uuid::from_u128(2), 0));
}

#[test]
fn what_is_unknown_is_sent_again_only_when_it_is_proved_absent() {
    let mut posting = submitted();
    assert!(
        posting
            .submit(Uuid::nil(), date(2026, 3, 2), PATIENCE, at(1))
            .is_err()
    );
    posting.lose("no answer", at(20)).unwrap();
    // Asked a moment before the SIS must have committed it: still unknown,
    // however late the answer comes.
    posting.not_found(at(79).machine, at(200)).unwrap();
    assert_eq!(posting.state, PostingState::Unknown);
    assert!(
        posting
            .submit(Uuid::nil(), date(2026, 3, 2), PATIENCE, at(201))
            .is_err()
    );
    posting.not_found(at(80).machine, at(201)).unwrap();
    assert_eq!(posting.state, PostingState::Pending);
    assert_eq!(posting.open_attempt_id, None);
}

#[test]
fn a_posting_follows_what_remains_until_it_leaves() {
    let mut posting = test_posting(usd(1000));
    assert!(posting.follow(usd(400), at(1).now).unwrap());
    assert_eq!(posting.amount, usd(400));
    assert!(!posting.follow(usd(400), at(2).now).unwrap());
    let mut sent = submitted();
    assert!(
        !sent.follow(usd(0), at(1).now).unwrap(),
        "what is under way stays as it is"
    );
    assert!(posting.follow(usd(0), at(3).now).unwrap());
    assert_eq!(posting.state, PostingState::Cancelled);
    assert!(!posting.follow(usd(400), at(4).now).unwrap());
}

#[test]
fn the_students_id_stays_out_of_the_problem() {
    let mut posting = submitted();
    posting
        .reject("V: student.id stu-1 is not a student", at(1))
        .unwrap();
    assert_eq!(posting.problem, "V: student.id [student] is not a student");
    posting.problem.clear();
    let long = "x".repeat(2_000);
    posting.retry(Err("no route"), at(2)).unwrap();
    assert_eq!(posting.state, PostingState::Unrouted);
    assert_eq!(without_student(&long, "stu-1").len(), 500);
}

#[test]
fn tries_are_made_more_and_more_seldom() {
    let seconds: Vec<i64> = [1, 2, 3, 9, 50]
        .map(|tries| back_off(tries).as_secs())
        .to_vec();
    assert_eq!(seconds, [1, 2, 4, 256, 300]);
}

#[derive(Debug, Clone, Copy)]
enum Happening {
    Submit,
    Accept,
    Reject,
    NotSent,
    Lose,
    FoundNothing,
    Retry,
    Follow(i64),
    Settle,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        Just(Happening::Submit),
        Just(Happening::Accept),
        Just(Happening::Reject),
        Just(Happening::NotSent),
        Just(Happening::Lose),
        Just(Happening::FoundNothing),
        Just(Happening::Retry),
        (0i64..2_000).prop_map(Happening::Follow),
        Just(Happening::Settle),
    ]
}

proptest! {
    /// Whatever happens in whatever order: while a posting may be at the SIS it
    /// is not sent again, its amount does not change, and once it is there it
    /// stays there.
    #[test]
    fn no_order_of_happenings_sends_twice(happenings in prop::collection::vec((happening(), 1i64..40), 1..60)) {
        let mut posting = test_posting(usd(1000));
        let mut second = 0;
        for (happening, passed) in happenings {
            second += passed;
            let before = posting.clone();
            let now = at(second);
            let destination = Ok(Destination { funding_destination_id: "d".into(), academic_period_id: "p".into() });
            let _ = match happening {
                Happening::Submit => posting.submit(Uuid::from_u128(second as u128), date(2026, 3, 2), PATIENCE, now),
                Happening::Accept => posting.acknowledge("sis".into(), now),
                Happening::Reject => posting.reject("no", now),
                Happening::NotSent => posting.not_sent("no", now),
                Happening::Lose => posting.lose("no", now),
                Happening::FoundNothing => posting.not_found(now.machine, now),
                Happening::Retry => posting.retry(destination, now),
                Happening::Follow(cents) => posting.follow(usd(cents), now.now).map(drop),
                Happening::Settle => posting.settle("estimated", true, now.now),
            };
            let may_be_there = matches!(before.state, PostingState::Submitted | PostingState::Unknown);
            if may_be_there {
                prop_assert_eq!(posting.amount, before.amount);
                prop_assert!(posting.attempt_count == before.attempt_count);
            }
            if matches!(before.state, PostingState::Acknowledged | PostingState::Settled) {
                prop_assert!(matches!(posting.state, PostingState::Acknowledged | PostingState::Settled));
                prop_assert_eq!(&posting.sis_charge_id, &before.sis_charge_id);
            }
            if before.state == PostingState::Cancelled {
                prop_assert_eq!(&posting, &before);
            }
            let under_way = matches!(posting.state, PostingState::Submitted | PostingState::Unknown);
            prop_assert_eq!(under_way, posting.open_attempt_id.is_some());
            prop_assert!(posting.amount.is_positive());
        }
    }
}

#[test]
fn a_posting_that_never_gets_through_is_given_up_and_its_tries_are_spread() {
    let at = |seconds| Moment {
        now: Timestamp::UNIX_EPOCH,
        machine: Timestamp::from_second(seconds).unwrap(),
    };
    let patience = Patience {
        deadline: SignedDuration::from_secs(20),
        max_in_flight: SignedDuration::from_secs(60),
    };
    let mut pauses = std::collections::BTreeSet::new();
    let mut posting = test_posting(Money::from_minor(100, Currency::USD).unwrap());
    for attempt in 1..100 {
        let id = carrel_ids::new_id();
        posting
            .submit(id, date(2026, 3, 2), patience, at(0))
            .unwrap();
        posting.not_sent("not reached", at(0)).unwrap();
        let pause = posting
            .next_attempt_at
            .duration_since(Timestamp::UNIX_EPOCH);
        let full = back_off(attempt);
        assert!(pause <= full && pause >= full * 3 / 4, "{attempt}: {pause}");
        pauses.insert(pause);
    }
    assert!(pauses.len() > 50);
    posting
        .submit(carrel_ids::new_id(), date(2026, 3, 2), patience, at(0))
        .unwrap();
    posting.not_sent("not reached", at(0)).unwrap();
    assert_eq!(posting.state, PostingState::Rejected);
    assert_eq!(posting.problem, "given up after 100 tries: not reached");
}
