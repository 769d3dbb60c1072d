//! Finding a posting again, at sites that differ.

use carrel_sis_simulator::Filters;
use carrel_student_accounts::{
    AccountFilter, Error, FindOutcome, PostOutcome, QueryFilters, StudentAccounts,
};
use reqwest::Method;
use serde_json::json;

use crate::site::{
    LIBRARY_CODE, OTHER_CODE, OTHER_STUDENT, STUDENT, Site, fee_number, lost_item_fee, usd,
};

async fn accepted(accounts: &StudentAccounts, fee: &carrel_student_accounts::Posting) -> String {
    match accounts.post(fee).await {
        PostOutcome::Accepted { sis_id } => sis_id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_posting_is_found_behind_two_hundred_others_of_the_same_amount_and_day() {
    let site = Site::open().await;
    let accounts = site.accounts();
    for number in 0..201 {
        accepted(&accounts, &fee_number(number)).await;
    }
    let last = fee_number(200);
    let FindOutcome::Found(charge) = accounts.find(&(&last).into()).await.unwrap() else {
        panic!("not found")
    };
    assert!(
        charge
            .comments
            .iter()
            .any(|comment| comment.contains(&last.posting_id.to_string()))
    );
    assert_eq!(
        accounts.find(&(&fee_number(201)).into()).await.unwrap(),
        FindOutcome::NotFound
    );

    let all = accounts
        .list_charges(&AccountFilter::default())
        .await
        .unwrap();
    assert_eq!(all.len(), 201);
}

#[tokio::test]
async fn where_comments_do_not_come_back_the_reference_in_the_text_decides() {
    let site = Site::open_with(|config| config.return_comments = false).await;
    let accounts = site.accounts();
    let (fee, twin) = (fee_number(1), fee_number(2));
    accepted(&accounts, &twin).await;
    assert_eq!(
        accounts.find(&(&fee).into()).await.unwrap(),
        FindOutcome::NotFound
    );
    let sis_id = accepted(&accounts, &fee).await;
    let FindOutcome::Found(charge) = accounts.find(&(&fee).into()).await.unwrap() else {
        panic!("not found")
    };
    assert_eq!(
        (charge.sis_id, charge.comments),
        (sis_id, Vec::<String>::new())
    );
}

#[tokio::test]
async fn a_site_that_filters_by_student_only_is_searched_all_the_same() {
    let site = Site::open_with(|config| config.filters = Filters::Student).await;
    let told = site.accounts_with(|settings| settings.filters = QueryFilters::Student);
    let mut parking = fee_number(1);
    parking.funding_destination_id = OTHER_CODE.to_owned();
    let fee = fee_number(2);
    accepted(&told, &parking).await;
    let sis_id = accepted(&told, &fee).await;

    let FindOutcome::Found(charge) = told.find(&(&fee).into()).await.unwrap() else {
        panic!("not found")
    };
    assert_eq!(charge.sis_id, sis_id);
    let library = AccountFilter {
        student_id: Some(STUDENT.to_owned()),
        funding_destination_id: Some(LIBRARY_CODE.to_owned()),
        ..AccountFilter::default()
    };
    assert_eq!(told.list_charges(&library).await.unwrap().len(), 1);

    // An adapter that was not told gets an error, never an empty list.
    let untold = site.accounts().find(&(&fee).into()).await;
    assert!(
        matches!(untold, Err(Error::Refused { status: 400, .. })),
        "{untold:?}"
    );
}

#[tokio::test]
async fn a_failing_look_up_is_an_error_and_never_not_found() {
    let site = Site::open().await;
    let accounts = site.accounts();
    let fee = lost_item_fee();
    for fault in [
        json!({ "on": "query", "kind": "status", "status": 503 }),
        json!({ "on": "query", "kind": "status", "status": 204 }),
        json!({ "on": "query", "kind": "drop-before" }),
    ] {
        site.arm(fault.clone()).await;
        let found = accounts.find(&(&fee).into()).await;
        assert!(
            matches!(found, Err(Error::Unavailable(_))),
            "{fault}: {found:?}"
        );
    }
    site.arm(json!({ "on": "query", "kind": "status", "status": 200 }))
        .await;
    let found = accounts.find(&(&fee).into()).await;
    assert!(matches!(found, Err(Error::Unreadable(_))), "{found:?}");
    assert_eq!(
        accounts.find(&(&fee).into()).await.unwrap(),
        FindOutcome::NotFound
    );
}

#[tokio::test]
async fn a_charge_changed_by_a_cent_is_found_with_its_difference() {
    let site = Site::open().await;
    let accounts = site.accounts();
    let fee = lost_item_fee();
    let sis_id = accepted(&accounts, &fee).await;
    let adjust = format!("/admin/charges/{sis_id}/adjust");
    site.admin(Method::POST, &adjust, Some(json!({ "amount": "17.36" })))
        .await;
    let FindOutcome::Found(charge) = accounts.find(&(&fee).into()).await.unwrap() else {
        panic!("not found")
    };
    assert_eq!(charge.amount, Some(usd(1736)));
}

#[tokio::test]
async fn payments_at_the_cashier_come_back_for_settlement() {
    let site = Site::open().await;
    let accounts = site.accounts();
    let sis_id = accepted(&accounts, &lost_item_fee()).await;
    let settle = format!("/admin/charges/{sis_id}/settle");
    site.admin(Method::POST, &settle, Some(json!({ "amount": "10.00" })))
        .await;
    site.move_clock("2026-03-03T20:00:00Z").await;
    site.admin(Method::POST, &settle, None).await;

    let of = |student: &str| AccountFilter {
        student_id: Some(student.to_owned()),
        ..AccountFilter::default()
    };
    let payments = accounts.list_payments(&of(STUDENT), None).await.unwrap();
    assert_eq!(
        payments
            .iter()
            .map(|payment| payment.amount)
            .collect::<Vec<_>>(),
        [Some(usd(1000)), Some(usd(735))]
    );
    let since = accounts
        .list_payments(&of(STUDENT), Some(jiff::civil::date(2026, 3, 3)))
        .await
        .unwrap();
    assert_eq!(since, payments[1..]);
    assert!(
        accounts
            .list_payments(&of(OTHER_STUDENT), None)
            .await
            .unwrap()
            .is_empty()
    );
}
