//! What other services learn by asking.

use carrel_proto::patrons::v1::get_patron_standing_request::Key;
use carrel_proto::patrons::v1::{
    GetPatronStandingRequest, ListPatronStandingsRequest, ManualBlock, Patron,
};

use crate::desk::{Desk, date, new_id, reason, student};

fn block(patron_id: &str) -> ManualBlock {
    ManualBlock {
        patron_id: patron_id.into(),
        patron_message: "Please see the desk".into(),
        blocks_renewals: true,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_standing_is_found_by_id_and_by_the_hmac_of_the_barcode() {
    let desk = Desk::open().await;
    let patron = Patron {
        expiration_date: Some(date(2027, 5, 28)),
        ..student("Alderleaf", "21")
    };
    let patron = desk.create(patron).await.unwrap();
    let set = desk.technician().block(block(&patron.id)).await.unwrap();
    let mut circulation = desk
        .caller("service:circulation", &["patrons.standings.read"])
        .patrons;
    let hmac = desk.barcode_key.hash("21").to_vec();
    for key in [
        Key::PatronId(patron.id.clone()),
        Key::BarcodeHmac(hmac.clone()),
    ] {
        let request = GetPatronStandingRequest { key: Some(key) };
        let answer = circulation
            .get_patron_standing(request)
            .await
            .unwrap()
            .into_inner();
        let standing = answer.standing.unwrap();
        assert_eq!(standing.patron_id, patron.id);
        assert_eq!(standing.barcode_hmac, hmac);
        assert_eq!(standing.patron_group, "undergraduate");
        assert_eq!(standing.expiration_date, Some(date(2027, 5, 28)));
        assert!(standing.active);
        assert_eq!(standing.revision, 1);
        assert_eq!(answer.blocks.len(), 1);
        assert_eq!(answer.blocks[0].block_id, set.id);
        assert!(answer.blocks[0].blocks_renewals && !answer.blocks[0].lifted);
    }
    for (key, why) in [
        (Some(Key::PatronId(new_id())), "PATRON_NOT_FOUND"),
        (Some(Key::BarcodeHmac(vec![7; 32])), "PATRON_NOT_FOUND"),
        (
            Some(Key::BarcodeHmac(b"21".to_vec())),
            "BARCODE_HMAC_MALFORMED",
        ),
        (Some(Key::PatronId("21".into())), "ID_MALFORMED"),
        (None, "FIELD_MISSING"),
    ] {
        let refused = circulation
            .get_patron_standing(GetPatronStandingRequest { key })
            .await;
        assert_eq!(reason(refused), why);
    }
}

#[tokio::test]
async fn a_new_card_makes_the_old_one_unknown_at_once() {
    let desk = Desk::open().await;
    let patron = desk.create(student("Alderleaf", "21")).await.unwrap();
    desk.update(
        Patron {
            barcode: "22".into(),
            ..patron
        },
        &["barcode"],
    )
    .await
    .unwrap();
    let mut patrons = desk.technician().patrons;
    for (barcode, known) in [("21", false), ("22", true)] {
        let key = Some(Key::BarcodeHmac(desk.barcode_key.hash(barcode).to_vec()));
        let found = patrons
            .get_patron_standing(GetPatronStandingRequest { key })
            .await;
        assert_eq!(found.is_ok(), known, "{barcode}");
    }
}

#[tokio::test]
async fn a_follower_rebuilds_itself_from_the_whole_state() {
    let desk = Desk::open().await;
    let technician = desk.technician();
    let mut ids = Vec::new();
    for number in 0..5 {
        let patron = Patron {
            active: number != 2,
            student_id: format!("S{number}"),
            ..student("Alderleaf", &format!("2{number}"))
        };
        ids.push(desk.create(patron).await.unwrap().id);
    }
    let lifted = technician.block(block(&ids[2])).await.unwrap();
    technician.lift(&lifted.id).await.unwrap();
    technician.block(block(&ids[4])).await.unwrap();

    for (permissions, links) in [
        (&["patrons.standings.read"][..], false),
        (
            &["patrons.standings.read", "patrons.student-links.read"],
            true,
        ),
    ] {
        let mut patrons = desk.caller("service:billing", permissions).patrons;
        let (mut standings, mut student_links, mut blocks) = (vec![], vec![], vec![]);
        let mut page_token = String::new();
        loop {
            let request = ListPatronStandingsRequest {
                page_size: 2,
                page_token,
            };
            let answer = patrons
                .list_patron_standings(request)
                .await
                .unwrap()
                .into_inner();
            standings.extend(answer.standings);
            student_links.extend(answer.student_links);
            blocks.extend(answer.blocks);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let found: Vec<&str> = standings
            .iter()
            .map(|standing| &*standing.patron_id)
            .collect();
        assert_eq!(found, ids);
        assert!(!standings[2].active);
        let told: Vec<(&str, bool)> = blocks
            .iter()
            .map(|block| (&*block.patron_id, block.lifted))
            .collect();
        assert_eq!(told, [(&*ids[2], true), (&*ids[4], false)]);
        if links {
            let linked: Vec<(&str, &str)> = student_links
                .iter()
                .map(|link| (&*link.patron_id, &*link.student_id))
                .collect();
            assert_eq!(linked[3], (&*ids[3], "S3"));
            assert_eq!(linked.len(), 5);
        } else {
            assert!(student_links.is_empty());
        }
    }
}
