//! Accounts at the desk: adding, finding, changing.

use carrel_proto::patrons::v1::{
    GetPatronByBarcodeRequest, ListPatronsRequest, Patron, PatronStandingChanged,
    StudentLinkChanged,
};
use tonic::Code;

use crate::desk::{Desk, date, new_id, reason, student};

#[tokio::test]
async fn a_card_is_issued_and_the_scanner_finds_its_holder() {
    let desk = Desk::open().await;
    let created = desk
        .create(Patron {
            username: "jalder".into(),
            expiration_date: Some(date(2027, 5, 28)),
            source: "sis".into(),
            external_id: "A0041".into(),
            student_id: "5fa8".into(),
            ..student("Alderleaf", "20417000000010")
        })
        .await
        .unwrap();
    assert_eq!(created.revision, 1);
    let mut patrons = desk.technician().patrons;
    let scan = |barcode: &str| GetPatronByBarcodeRequest {
        barcode: barcode.into(),
    };
    let found = patrons
        .get_patron_by_barcode(scan("20417000000010"))
        .await
        .unwrap();
    assert_eq!(found.into_inner().patron, Some(created.clone()));
    assert_eq!(desk.technician().get(&created.id).await.unwrap(), created);

    let unknown = patrons.get_patron_by_barcode(scan("20417000000028")).await;
    assert_eq!(reason(unknown), "PATRON_NOT_FOUND");
    let malformed = patrons.get_patron_by_barcode(scan("2 1")).await;
    assert_eq!(reason(malformed), "BARCODE_MALFORMED");
    assert_eq!(
        reason(desk.technician().get(&new_id()).await),
        "PATRON_NOT_FOUND"
    );
    assert_eq!(reason(desk.technician().get("7").await), "ID_MALFORMED");
}

#[tokio::test]
async fn what_belongs_to_one_patron_is_refused_to_another() {
    let desk = Desk::open().await;
    let first = Patron {
        username: "jalder".into(),
        source: "sis".into(),
        external_id: "A0041".into(),
        ..student("Alderleaf", "21")
    };
    desk.create(first.clone()).await.unwrap();
    let other = student("Fernbough", "");
    let cases = [
        (
            Patron {
                barcode: "21".into(),
                ..other.clone()
            },
            "PATRON_BARCODE_TAKEN",
        ),
        (
            Patron {
                username: "JAlder".into(),
                ..other.clone()
            },
            "PATRON_USERNAME_TAKEN",
        ),
        (
            Patron {
                source: "sis".into(),
                external_id: "A0041".into(),
                ..other.clone()
            },
            "PATRON_EXTERNAL_ID_TAKEN",
        ),
    ];
    for (patron, why) in cases {
        let refused = desk.create(patron).await;
        assert_eq!(refused.as_ref().unwrap_err().code(), Code::AlreadyExists);
        assert_eq!(reason(refused), why);
    }
    // Nobody has "no barcode" to himself.
    let second = desk.create(other.clone()).await.unwrap();
    desk.create(student("Mosswort", "")).await.unwrap();
    let taken = desk
        .update(
            Patron {
                barcode: "21".into(),
                ..second
            },
            &["barcode"],
        )
        .await;
    assert_eq!(reason(taken), "PATRON_BARCODE_TAKEN");
}

#[tokio::test]
async fn values_that_can_not_be_are_refused_with_their_field() {
    let desk = Desk::open().await;
    let base = student("Alderleaf", "21");
    let cases = [
        (
            Patron {
                patron_group: "alumni".into(),
                ..base.clone()
            },
            "PATRON_GROUP_UNKNOWN",
        ),
        (
            Patron {
                last_name: String::new(),
                ..base.clone()
            },
            "FIELD_MISSING",
        ),
        (
            Patron {
                barcode: "2 1".into(),
                ..base.clone()
            },
            "BARCODE_MALFORMED",
        ),
        (
            Patron {
                expiration_date: Some(date(2027, 2, 29)),
                ..base.clone()
            },
            "DATE_MALFORMED",
        ),
        (
            Patron {
                source: "sis".into(),
                ..base.clone()
            },
            "EXTERNAL_ID_INCOMPLETE",
        ),
        (
            Patron {
                home_library: "A M".into(),
                ..base.clone()
            },
            "CODE_MALFORMED",
        ),
        (
            Patron {
                first_name: "x".repeat(201),
                ..base.clone()
            },
            "TEXT_LENGTH",
        ),
        (
            Patron {
                middle_name: " M".into(),
                ..base.clone()
            },
            "TEXT_MALFORMED",
        ),
    ];
    for (patron, why) in cases {
        let refused = desk.create(patron).await;
        assert_eq!(
            refused.as_ref().unwrap_err().code(),
            Code::InvalidArgument,
            "{why}"
        );
        assert_eq!(reason(refused), why);
    }
    assert_eq!(desk.count("select count(*) from patron").await, 0);
}

#[tokio::test]
async fn a_social_security_number_is_refused_wherever_it_stands() {
    let desk = Desk::open().await;
    let number = "078-05-1120".to_owned();
    let base = student("Alderleaf", "21");
    let at_source = Patron {
        source: "sis".into(),
        ..base.clone()
    };
    for patron in [
        Patron {
            barcode: number.clone(),
            ..base.clone()
        },
        Patron {
            username: number.clone(),
            ..base.clone()
        },
        Patron {
            last_name: format!("Alder {number}"),
            ..base.clone()
        },
        Patron {
            phone: number.clone(),
            ..base.clone()
        },
        Patron {
            student_id: number.clone(),
            ..base.clone()
        },
        Patron {
            affiliation: number.clone(),
            ..base.clone()
        },
        Patron {
            external_id: number.clone(),
            ..at_source.clone()
        },
    ] {
        let refused = desk.create(patron).await.unwrap_err();
        assert!(
            !refused.message().contains(&number),
            "{}",
            refused.message()
        );
        assert_eq!(reason::<()>(Err(refused)), "SOCIAL_SECURITY_NUMBER_REFUSED");
    }
    // Many colleges' own ids have nine digits.
    desk.create(Patron {
        external_id: "078051120".into(),
        ..at_source
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn two_desks_give_one_barcode_away_and_one_of_them_gets_it() {
    let desk = Desk::open().await;
    let names = [
        "Alderleaf",
        "Fernbough",
        "Mosswort",
        "Reedbloom",
        "Sedgewort",
        "Cedarstem",
    ];
    let creations = names.map(|name| desk.create(student(name, "20417000000010")));
    let outcomes = futures::future::join_all(creations).await;
    let (created, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(created.len(), 1);
    for outcome in refused {
        assert_eq!(reason(outcome), "PATRON_BARCODE_TAKEN");
    }
    assert_eq!(desk.count("select count(*) from patron").await, 1);
    assert_eq!(desk.events_of::<PatronStandingChanged>().await.len(), 1);
}

#[tokio::test]
async fn a_repeated_creation_gets_the_first_answer_also_at_the_same_time() {
    let desk = Desk::open().await;
    let technician = desk.technician();
    let id = new_id();
    let again = (0..6).map(|_| technician.create(student("Alderleaf", "21"), &id));
    let outcomes = futures::future::join_all(again).await;
    let first = outcomes[0].as_ref().unwrap();
    for outcome in &outcomes {
        assert_eq!(outcome.as_ref().unwrap(), first);
    }
    assert_eq!(desk.count("select count(*) from patron").await, 1);
    let other = technician.create(student("Fernbough", "22"), &id).await;
    assert_eq!(reason(other), "REQUEST_ID_REUSED");
    // Another caller's id is another request.
    let colleague = desk.caller("desk-2", &["patrons.patrons.write"]);
    colleague
        .create(student("Fernbough", "22"), &id)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_change_does_not_overwrite_one_that_was_not_seen() {
    let desk = Desk::open().await;
    let seen = desk.create(student("Alderleaf", "21")).await.unwrap();
    let moved = Patron {
        email: "j@example.edu".into(),
        ..seen.clone()
    };
    let id = new_id();
    let technician = desk.technician();
    let changed = technician
        .update(moved.clone(), &["email"], &id)
        .await
        .unwrap();
    assert_eq!(
        (changed.revision, changed.email.as_str()),
        (2, "j@example.edu")
    );
    // The same request again, although the etag is an old one by now.
    assert_eq!(
        technician.update(moved, &["email"], &id).await.unwrap(),
        changed
    );

    let late = Patron {
        phone: "530-555-0101".into(),
        ..seen
    };
    let refused = desk.update(late.clone(), &["phone"]).await;
    assert_eq!(refused.as_ref().unwrap_err().code(), Code::Aborted);
    assert_eq!(reason(refused), "ETAG_MISMATCH");
    // Without an etag the last one wins, in its own field.
    let changed = desk
        .update(
            Patron {
                etag: String::new(),
                ..late
            },
            &["phone"],
        )
        .await
        .unwrap();
    assert_eq!(changed.email, "j@example.edu");
    assert_eq!(changed.phone, "530-555-0101");
}

#[tokio::test]
async fn only_fields_that_the_mask_names_are_changed() {
    let desk = Desk::open().await;
    let patron = desk.create(student("Alderleaf", "21")).await.unwrap();
    for paths in [
        &[][..],
        &["id"],
        &["source"],
        &["external_id"],
        &["revision"],
        &["etag"],
        &["shoe_size"],
    ] {
        let refused = desk.update(patron.clone(), paths).await;
        assert_eq!(reason(refused), "UPDATE_MASK_INVALID", "{paths:?}");
    }
    let sent = Patron {
        id: patron.id.clone(),
        active: false,
        ..Default::default()
    };
    let changed = desk.update(sent, &["active"]).await.unwrap();
    let expected = Patron {
        active: false,
        revision: 2,
        etag: changed.etag.clone(),
        ..patron.clone()
    };
    assert_eq!(changed, expected);
    let nobody = Patron {
        id: new_id(),
        ..patron
    };
    assert_eq!(
        reason(desk.update(nobody, &["email"]).await),
        "PATRON_NOT_FOUND"
    );
}

#[tokio::test]
async fn only_what_others_may_know_is_told_to_them() {
    let desk = Desk::open().await;
    let patron = desk.create(student("Alderleaf", "21")).await.unwrap();
    let counts = async || {
        (
            desk.events_of::<PatronStandingChanged>().await.len(),
            desk.events_of::<StudentLinkChanged>().await.len(),
        )
    };
    assert_eq!(counts().await, (1, 1));
    let named = Patron {
        last_name: "Fernbough".into(),
        etag: String::new(),
        ..patron
    };
    let patron = desk.update(named, &["last_name"]).await.unwrap();
    assert_eq!((patron.revision, counts().await), (2, (1, 1)));
    // What is so already is no change.
    let patron = desk.update(patron, &["last_name", "active"]).await.unwrap();
    assert_eq!((patron.revision, counts().await), (2, (1, 1)));

    let expiring = Patron {
        expiration_date: Some(date(2026, 12, 18)),
        ..patron
    };
    let patron = desk.update(expiring, &["expiration_date"]).await.unwrap();
    assert_eq!(counts().await, (2, 1));
    let enrolled = Patron {
        student_id: "A1".into(),
        ..patron
    };
    let patron = desk.update(enrolled, &["student_id"]).await.unwrap();
    assert_eq!(counts().await, (2, 2));

    let standing = desk
        .events_of::<PatronStandingChanged>()
        .await
        .remove(1)
        .standing
        .unwrap();
    assert_eq!(standing.patron_id, patron.id);
    assert_eq!(standing.revision, 3);
    assert_eq!(standing.expiration_date, Some(date(2026, 12, 18)));
    assert_eq!(standing.barcode_hmac, desk.barcode_key.hash("21"));
    let link = desk
        .events_of::<StudentLinkChanged>()
        .await
        .remove(1)
        .student_link
        .unwrap();
    assert_eq!((link.student_id.as_str(), link.revision), ("A1", 4));
}

#[tokio::test]
async fn nobody_changes_their_own_account() {
    let desk = Desk::open().await;
    let patron = desk.create(student("Alderleaf", "21")).await.unwrap();
    let other = desk.create(student("Fernbough", "22")).await.unwrap();
    let clerk = desk.caller(&format!("patron:{}", patron.id), &["*"]);
    let own = Patron {
        expiration_date: None,
        ..patron
    };
    let refused = clerk.update(own, &["expiration_date"], &new_id()).await;
    assert_eq!(refused.as_ref().unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(reason(refused), "OWN_ACCOUNT");
    clerk
        .update(other, &["expiration_date"], &new_id())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_name_is_found_as_it_is_typed() {
    let desk = Desk::open().await;
    for (last, first, username) in [
        ("Piñonseed", "Maguey", "mpinon5"),
        ("O’Thicket", "Larch", "lothicket"),
        ("Saúco-Hoja", "Azucena", "asauco"),
        ("Alderleaf", "Pinyon", ""),
    ] {
        let patron = Patron {
            first_name: first.into(),
            username: username.into(),
            ..student(last, "")
        };
        desk.create(patron).await.unwrap();
    }
    let technician = desk.technician();
    for (typed, last_names) in [
        ("pinon", &["Piñonseed"][..]),
        ("PIÑO", &["Piñonseed"]),
        ("pin", &["Piñonseed", "Alderleaf"]),
        ("o'th", &["O’Thicket"]),
        ("othicket", &["O’Thicket"]),
        ("sauco ho", &["Saúco-Hoja"]),
        ("sauco-ho", &["Saúco-Hoja"]),
        ("ASAU", &["Saúco-Hoja"]),
        ("maguey", &["Piñonseed"]),
        ("seed", &[]),
        ("pi%", &[]),
        ("pi_", &[]),
    ] {
        let found = technician.find(typed).await.unwrap();
        let found: Vec<&str> = found.iter().map(|patron| &*patron.last_name).collect();
        assert_eq!(found, last_names, "{typed}");
    }
    for short in ["p", " p ", "'’p", "ñ"] {
        assert_eq!(
            reason(technician.find(short).await),
            "NAME_PREFIX_TOO_SHORT",
            "{short}"
        );
    }
}

#[tokio::test]
async fn pages_go_on_where_they_stopped() {
    let desk = Desk::open().await;
    for number in 0..5 {
        let patron_group = if number == 3 {
            "faculty"
        } else {
            "undergraduate"
        }
        .to_owned();
        let patron = student(&format!("Alder{number}"), "");
        desk.create(Patron {
            patron_group,
            ..patron
        })
        .await
        .unwrap();
    }
    let mut patrons = desk.technician().patrons;
    for (name_prefix, patron_group, expected) in [
        (
            "",
            "",
            &["Alder0", "Alder1", "Alder2", "Alder3", "Alder4"][..],
        ),
        (
            "",
            "undergraduate",
            &["Alder0", "Alder1", "Alder2", "Alder4"],
        ),
        (
            "alder",
            "undergraduate",
            &["Alder0", "Alder1", "Alder2", "Alder4"],
        ),
        (
            "alder",
            "",
            &["Alder0", "Alder1", "Alder2", "Alder3", "Alder4"],
        ),
        ("", "alumni", &[]),
    ] {
        let mut request = ListPatronsRequest {
            name_prefix: name_prefix.into(),
            patron_group: patron_group.into(),
            page_size: 2,
            page_token: String::new(),
        };
        let mut found = Vec::new();
        loop {
            let answer = patrons
                .list_patrons(request.clone())
                .await
                .unwrap()
                .into_inner();
            assert!(answer.patrons.len() <= 2);
            found.extend(answer.patrons.into_iter().map(|patron| patron.last_name));
            request.page_token = answer.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(found, expected, "{name_prefix:?} {patron_group:?}");
    }
    let all = ListPatronsRequest {
        page_size: 2,
        ..Default::default()
    };
    let page_token = patrons
        .list_patrons(all)
        .await
        .unwrap()
        .into_inner()
        .next_page_token;
    for (request, why) in [
        (
            ListPatronsRequest {
                page_token,
                name_prefix: "al".into(),
                ..Default::default()
            },
            "PAGE_TOKEN_FROM_ANOTHER_QUERY",
        ),
        (
            ListPatronsRequest {
                page_token: "x".into(),
                ..Default::default()
            },
            "PAGE_TOKEN_MALFORMED",
        ),
        (
            ListPatronsRequest {
                page_size: 1_001,
                ..Default::default()
            },
            "PAGE_SIZE_OUT_OF_RANGE",
        ),
    ] {
        assert_eq!(reason(patrons.list_patrons(request).await), why);
    }
}
