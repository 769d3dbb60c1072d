//! What circulation tells becomes charges and credits, each once; what the desk does with them.

use carrel_billing::account::model::{FeeFineKind, PaymentStatus};
use carrel_billing::account::{self, Note};
use carrel_billing::error::Error;
use carrel_ids::{Reference, new_id};
use carrel_proto::circulation::v1::{ItemDamaged, ItemDeclaredLost};

use crate::office::{Office, desk, new_request, usd};

#[tokio::test]
async fn a_fine_is_charged_once_though_its_event_comes_twice() {
    let office = Office::open().await;
    let patron_id = new_id();
    let fine = office.fine(patron_id, 175);
    office.apply(&fine).await;
    office.apply(&fine).await;
    let account = office.only_account(patron_id).await;
    assert_eq!(account.remaining, usd(175));
    assert_eq!(office.owed(patron_id).await, usd(175));
    office.assert_sound().await;
}

#[tokio::test]
async fn a_library_without_an_owner_is_charged_for_unassigned_and_its_feed_goes_on() {
    let office = Office::open().await;
    let patron_id = new_id();
    office.apply(&office.fine(patron_id, 100)).await;
    office.apply(&office.fine(patron_id, 100)).await;
    let codes: Vec<String> = sqlx::query_scalar("select code from fee_fine_owner")
        .fetch_all(&office.pool)
        .await
        .unwrap();
    assert_eq!(codes, ["UNASSIGNED"]);
    let types: Vec<String> = sqlx::query_scalar("select code from fee_fine_type")
        .fetch_all(&office.pool)
        .await
        .unwrap();
    assert_eq!(types, ["OVERDUE-FINE"]);
}

#[tokio::test]
async fn a_returned_lost_item_gives_back_what_the_policy_says_once() {
    let office = Office::open().await;
    let patron_id = new_id();
    let loss = office.loss(patron_id, 4500, 1000);
    office.apply(&loss).await;
    assert_eq!(office.owed(patron_id).await, usd(5500));
    let returned = office.returned(&loss);
    office.apply(&returned).await;
    office.apply(&returned).await;
    office.apply(&loss).await;
    let accounts = office.accounts(patron_id).await;
    assert_eq!(accounts.len(), 2);
    assert_eq!(accounts[0].remaining, usd(0));
    assert_eq!(
        accounts[0].payment_status,
        PaymentStatus::CancelledItemReturned
    );
    assert_eq!(
        accounts[0].loan_id, None,
        "nothing is owed, so the link to the loan is cut"
    );
    assert_eq!(accounts[1].remaining, usd(1000), "the processing fee stays");
    assert!(accounts[1].loan_id.is_some());
    assert_eq!(office.owed(patron_id).await, usd(1000));
    let reversals: i64 = sqlx::query_scalar(
        "select count(*) from journal_transaction where reverses_transaction_id is not null",
    )
    .fetch_one(&office.pool)
    .await
    .unwrap();
    assert_eq!(
        reversals, 1,
        "the credit names the charge that it takes back"
    );
    office.assert_sound().await;
}

#[tokio::test]
async fn what_is_declared_lost_and_what_is_damaged_is_charged_once() {
    let office = Office::open().await;
    let patron_id = new_id();
    let aged = office.loss(patron_id, 4500, 1000);
    let declared = ItemDeclaredLost {
        loss_id: aged.loss_id.clone(),
        loan_id: aged.loan_id.clone(),
        item_id: aged.item_id.clone(),
        patron_id: aged.patron_id.clone(),
        lost_item_fee: aged.lost_item_fee.clone(),
        processing_fee: aged.processing_fee.clone(),
        library_code: aged.library_code.clone(),
        institution_code: aged.institution_code.clone(),
        declared_lost_at: aged.aged_to_lost_at,
        ..Default::default()
    };
    office.apply(&declared).await;
    office.apply(&declared).await;
    assert_eq!(office.owed(patron_id).await, usd(5500));
    office.apply(&office.returned(&aged)).await;
    assert_eq!(office.owed(patron_id).await, usd(1000));

    let damage = ItemDamaged {
        damage_id: new_id().to_string(),
        loan_id: aged.loan_id.clone(),
        item_id: aged.item_id.clone(),
        patron_id: aged.patron_id.clone(),
        fee: Some(usd(1500).into()),
        library_code: aged.library_code,
        institution_code: aged.institution_code,
        found_at: aged.aged_to_lost_at,
    };
    office.apply(&damage).await;
    office.apply(&damage).await;
    assert_eq!(office.owed(patron_id).await, usd(2500));
    let accounts = office.accounts(patron_id).await;
    assert_eq!(accounts.len(), 3);
    assert_eq!(accounts[2].kind, FeeFineKind::DamagedItemFee);
    office.assert_sound().await;
}

#[tokio::test]
async fn a_return_that_is_applied_before_its_loss_loses_nothing() {
    let office = Office::open().await;
    let patron_id = new_id();
    let loss = office.loss(patron_id, 4500, 1000);
    office.apply(&office.returned(&loss)).await;
    office.apply(&loss).await;
    assert_eq!(office.owed(patron_id).await, usd(1000));
    office.assert_sound().await;
}

#[tokio::test]
async fn what_was_paid_at_the_desk_for_a_lost_item_is_owed_back_when_it_returns() {
    let office = Office::open().await;
    let patron_id = new_id();
    let loss = office.loss(patron_id, 4500, 0);
    office.apply(&loss).await;
    let account = office.only_account(patron_id).await;
    office.pay(&account, 2000).await.unwrap();
    office.apply(&office.returned(&loss)).await;
    let (lines, _) = carrel_billing::journal::trial_balance(&office.billing)
        .await
        .unwrap();
    let payable = lines
        .iter()
        .find(|(ledger, _)| *ledger == carrel_billing::journal::LedgerAccount::RefundsPayable)
        .unwrap();
    assert_eq!(payable.1, usd(-2000));
    assert_eq!(office.owed(patron_id).await, usd(0));
    office.assert_sound().await;
}

#[tokio::test]
async fn a_malformed_event_is_poison_and_charges_nobody() {
    let office = Office::open().await;
    let patron_id = new_id();
    let mut canadian = office.fine(patron_id, 100);
    canadian.amount.as_mut().unwrap().currency_code = "CAD".into();
    let mut negative = office.fine(patron_id, 100);
    negative.amount = Some(usd(-100).into());
    let mut nobody = office.fine(patron_id, 100);
    nobody.patron_id = "30001000".into();
    for event in [canadian, negative, nobody] {
        let error = office.try_apply(&event).await.unwrap_err();
        assert!(
            matches!(error, carrel_outbox::ApplyError::Poison(_)),
            "{error}"
        );
    }
    assert_eq!(office.accounts(patron_id).await, []);
    assert_eq!(office.owed(patron_id).await, usd(0));
}

#[tokio::test]
async fn a_payment_is_taken_once_however_often_it_is_sent() {
    let office = Office::open().await;
    let patron_id = new_id();
    office.apply(&office.fine(patron_id, 1000)).await;
    let account = office.only_account(patron_id).await;
    let request = new_request();
    let note = Note {
        comment: String::new(),
        tender: Some((account::model::Tender::Card, "pi_3OX".into())),
    };
    let actor = desk();
    let payments = (0..5).map(|_| {
        account::pay(
            &office.billing,
            &request,
            &actor,
            account.id,
            usd(300),
            &note,
        )
    });
    for paid in futures::future::join_all(payments).await {
        assert_eq!(paid.unwrap().remaining, usd(700));
    }
    let mut another = request.clone();
    another.fingerprint = [1; 32];
    let reused = account::pay(
        &office.billing,
        &another,
        &actor,
        account.id,
        usd(200),
        &note,
    )
    .await;
    assert!(matches!(reused, Err(Error::RequestReused(_))));
    assert_eq!(office.owed(patron_id).await, usd(700));
    office.assert_sound().await;
}

#[tokio::test]
async fn payments_at_two_desks_never_take_more_than_what_remains() {
    let office = Office::open().await;
    let patron_id = new_id();
    office.apply(&office.fine(patron_id, 1000)).await;
    let account = office.only_account(patron_id).await;
    let payments = (0..8).map(|_| office.pay(&account, 300));
    let taken = futures::future::join_all(payments)
        .await
        .into_iter()
        .filter(Result::is_ok)
        .count();
    assert_eq!(taken, 3);
    assert_eq!(office.now(&account).await.remaining, usd(100));
    office.assert_sound().await;
}

#[tokio::test]
async fn nobody_acts_on_their_own_account() {
    let office = Office::open().await;
    let patron_id = new_id();
    let manual = office.manual(patron_id, None).await;
    let mut own = desk();
    own.subject = format!("patron:{patron_id}");
    let charged = account::charge_by_hand(&office.billing, &new_request(), &own, &manual).await;
    assert!(matches!(charged, Err(Error::OwnAccount)));
    let account = account::charge_by_hand(&office.billing, &new_request(), &desk(), &manual)
        .await
        .unwrap();
    assert_eq!(account.amount, usd(500), "the type's default");
    let waived = account::waive(
        &office.billing,
        &new_request(),
        &own,
        account.id,
        usd(500),
        "mine",
    )
    .await;
    assert!(matches!(waived, Err(Error::OwnAccount)));
    let paid = account::pay(
        &office.billing,
        &new_request(),
        &own,
        account.id,
        usd(500),
        &Note::default(),
    )
    .await;
    assert!(matches!(paid, Err(Error::OwnAccount)));
}

#[tokio::test]
async fn a_charge_is_found_by_the_reference_that_a_student_reads_out() {
    let office = Office::open().await;
    let patron_id = new_id();
    office.apply(&office.fine(patron_id, 100)).await;
    let account = office.only_account(patron_id).await;
    let spoken: Reference = account.reference.to_lowercase().parse().unwrap();
    let (found, actions) = account::get_by_reference(&office.billing, spoken)
        .await
        .unwrap();
    assert_eq!(found.id, account.id);
    assert_eq!(actions.len(), 1);
    let unknown: Reference = "00000000".parse().unwrap();
    let missing = account::get_by_reference(&office.billing, unknown).await;
    assert!(matches!(missing, Err(Error::AccountNotFound)));
}
