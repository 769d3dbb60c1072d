//! Reading histories: off unless the patron, and nobody else, chose otherwise.

use carrel_proto::patrons::v1::{PatronStandingChanged, SetReadingHistoryChoiceRequest};

use crate::desk::{Desk, new_id, reason, student};

const CHOOSE: &str = "patrons.reading-history.choose";

fn choosing(patron_id: &str, keeps_history: bool) -> SetReadingHistoryChoiceRequest {
    SetReadingHistoryChoiceRequest {
        patron_id: patron_id.into(),
        keeps_history,
        request_id: new_id(),
    }
}

#[tokio::test]
async fn a_patron_chooses_with_a_date_and_others_are_told() {
    let desk = Desk::open().await;
    let patron = desk.create(student("Alderleaf", "21")).await.unwrap();
    let mut own = desk
        .caller(&format!("patron:{}", patron.id), &[CHOOSE])
        .patrons;
    let asked = choosing(&patron.id, true);
    let first = own.set_reading_history_choice(asked.clone()).await.unwrap();
    let first = first.into_inner().choice.unwrap();
    assert!(first.keeps_history && first.chosen_at.is_some());
    // The same request, and the same choice again, change nothing.
    for again in [asked, choosing(&patron.id, true)] {
        let answer = own.set_reading_history_choice(again).await.unwrap();
        assert_eq!(answer.into_inner().choice, Some(first));
    }
    let withdrawn = own
        .set_reading_history_choice(choosing(&patron.id, false))
        .await
        .unwrap();
    assert!(!withdrawn.into_inner().choice.unwrap().keeps_history);

    // A change at the desk neither sets nor forgets it.
    own.set_reading_history_choice(choosing(&patron.id, true))
        .await
        .unwrap();
    let changed = carrel_proto::patrons::v1::Patron {
        active: false,
        etag: String::new(),
        ..patron.clone()
    };
    desk.update(changed, &["active"]).await.unwrap();
    let told: Vec<(bool, i64)> = desk
        .events_of::<PatronStandingChanged>()
        .await
        .into_iter()
        .map(|told| told.standing.unwrap())
        .map(|standing| (standing.keeps_history, standing.revision))
        .collect();
    assert_eq!(
        told,
        [(false, 1), (true, 2), (false, 3), (true, 4), (true, 5)]
    );
}

#[tokio::test]
async fn nobody_chooses_for_somebody_else() {
    let desk = Desk::open().await;
    let patron = desk.create(student("Alderleaf", "21")).await.unwrap();
    let other = new_id();
    for (subject, permission, patron_id, why) in [
        (
            "technician".to_owned(),
            CHOOSE,
            &patron.id,
            "NOT_OWN_ACCOUNT",
        ),
        (
            format!("patron:{other}"),
            CHOOSE,
            &patron.id,
            "NOT_OWN_ACCOUNT",
        ),
        (
            format!("patron:{other}"),
            CHOOSE,
            &other,
            "PATRON_NOT_FOUND",
        ),
        (
            format!("patron:{}", patron.id),
            "patrons.patrons.read",
            &patron.id,
            "PERMISSION_DENIED",
        ),
    ] {
        let mut caller = desk.caller(&subject, &[permission]).patrons;
        let refused = caller
            .set_reading_history_choice(choosing(patron_id, true))
            .await;
        assert_eq!(reason(refused), why, "{subject}");
    }
    let mut own = desk
        .caller(&format!("patron:{}", patron.id), &[CHOOSE])
        .patrons;
    let nameless = SetReadingHistoryChoiceRequest {
        request_id: String::new(),
        ..choosing(&patron.id, true)
    };
    assert_eq!(
        reason(own.set_reading_history_choice(nameless).await),
        "REQUEST_ID_MISSING"
    );
    assert_eq!(
        desk.count("select count(*) from patron where keeps_history")
            .await,
        0
    );
}
