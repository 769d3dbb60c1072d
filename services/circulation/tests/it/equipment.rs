//! Kits, their parts, and what is owed when some are missing.

use carrel_proto::circulation::v1::equipment_service_client::EquipmentServiceClient;
use carrel_proto::circulation::v1::*;
use carrel_runtime::{Grant, Scope};

use crate::desk::*;

fn equipment(desk: &Desk) -> EquipmentServiceClient<Caller> {
    EquipmentServiceClient::new(desk.caller("desk-1", &[Grant::everywhere("*")]))
}

fn part(name: &str, count: i32, cents: Option<i64>) -> KitPart {
    KitPart {
        name: name.into(),
        count,
        price: cents.map(usd),
    }
}

fn missing(name: &str, count: i32) -> MissingPart {
    MissingPart {
        name: name.into(),
        count,
    }
}

fn kit() -> Vec<KitPart> {
    vec![
        part("charger", 1, Some(3_550)),
        part("marker", 4, Some(125)),
        part("bag", 1, None),
    ]
}

async fn set_kit(desk: &Desk, item_id: &str, parts: Vec<KitPart>) -> SetItemKitResponse {
    let request = SetItemKitRequest {
        item_id: item_id.into(),
        parts,
        request_id: id(),
    };
    let set = equipment(desk).set_item_kit(request).await;
    set.unwrap().into_inner()
}

/// A kit that came back: the loan that ended.
async fn returned(desk: &Desk) -> String {
    desk.lost_policy(LostItemPolicy {
        damage_fee: Some(usd(2_500)),
        ..standard()
    })
    .await;
    let item = desk.book("40001").await;
    set_kit(desk, &item.id, kit()).await;
    desk.student("S1").await;
    desk.check_out("40001", "S1").await.unwrap();
    desk.check_in("40001").await.unwrap().loan.unwrap().id
}

fn report(desk: &Desk, loan_id: &str) -> ReportItemDamageRequest {
    ReportItemDamageRequest {
        loan_id: loan_id.into(),
        service_point_id: desk.point.clone(),
        missing_parts: vec![missing("marker", 2), missing("bag", 1)],
        damaged: false,
        comment: "two markers and the bag".into(),
        request_id: id(),
    }
}

#[tokio::test]
async fn each_return_says_which_parts_to_check() {
    let desk = Desk::open().await;
    let item = desk.book("40001").await;
    desk.student("S1").await;
    let request = SetItemKitRequest {
        item_id: item.id.clone(),
        parts: kit(),
        request_id: id(),
    };
    let set = equipment(&desk)
        .set_item_kit(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(set.parts, kit());
    let again = equipment(&desk)
        .set_item_kit(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again, set);

    desk.check_out("40001", "S1").await.unwrap();
    assert_eq!(desk.check_in("40001").await.unwrap().parts_to_check, kit());
    // Also where it was only used in house.
    assert_eq!(desk.check_in("40001").await.unwrap().parts_to_check, kit());
    set_kit(&desk, &item.id, vec![part("pen", 1, None)]).await;
    let get = GetItemKitRequest {
        item_id: item.id.clone(),
    };
    let read = equipment(&desk).get_item_kit(get.clone()).await.unwrap();
    assert_eq!(read.into_inner().parts, [part("pen", 1, None)]);
    set_kit(&desk, &item.id, vec![]).await;
    let read = equipment(&desk).get_item_kit(get).await.unwrap();
    assert_eq!(read.into_inner().parts, []);
    assert_eq!(desk.check_in("40001").await.unwrap().parts_to_check, []);
}

#[tokio::test]
async fn kits_that_do_not_hold_together_are_refused() {
    let desk = Desk::open().await;
    let item = desk.book("40001").await;
    let many = (0..51).map(|i| part(&format!("p{i}"), 1, None)).collect();
    let endless = (0..101).map(|i| part(&format!("p{i}"), 1, None)).collect();
    for (item_id, parts, expected) in [
        (id(), kit(), "ITEM_NOT_FOUND"),
        ("7".to_owned(), kit(), "ID_MALFORMED"),
        (item.id.clone(), many, "KIT_MALFORMED"),
        (item.id.clone(), endless, "KIT_MALFORMED"),
        (
            item.id.clone(),
            vec![part("a", 1, None), part("a", 1, None)],
            "KIT_MALFORMED",
        ),
        (item.id.clone(), vec![part("a", 0, None)], "KIT_MALFORMED"),
        (
            item.id.clone(),
            vec![part("a", 1, Some(-1))],
            "KIT_MALFORMED",
        ),
        (item.id.clone(), vec![part("", 1, None)], "TEXT_LENGTH"),
    ] {
        let request = SetItemKitRequest {
            item_id,
            parts,
            request_id: id(),
        };
        let refused = equipment(&desk).set_item_kit(request.clone()).await;
        assert_eq!(reason(refused), expected, "{request:?}");
    }
    let unknown = GetItemKitRequest { item_id: id() };
    assert_eq!(
        reason(equipment(&desk).get_item_kit(unknown).await),
        "ITEM_NOT_FOUND"
    );
}

#[tokio::test]
async fn missing_parts_are_charged_once() {
    let desk = Desk::open().await;
    let loan_id = returned(&desk).await;
    let request = report(&desk, &loan_id);
    let made = equipment(&desk)
        .report_item_damage(request.clone())
        .await
        .unwrap()
        .into_inner();
    let damage = made.item_damage.clone().unwrap();
    assert_eq!(damage.fee, Some(usd(2 * 125 + 2_500)));
    assert_eq!(damage.missing_parts, request.missing_parts);
    assert_eq!(
        (damage.comment.as_str(), damage.damaged),
        ("two markers and the bag", false)
    );
    let again = equipment(&desk)
        .report_item_damage(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again, made);
    let anew = ReportItemDamageRequest {
        request_id: id(),
        ..request
    };
    let refused = equipment(&desk).report_item_damage(anew).await;
    assert_eq!(reason(refused), "DAMAGE_ALREADY_REPORTED");

    let told: Vec<ItemDamaged> = desk.told().await;
    let [told] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(
        (told.damage_id.as_str(), told.fee.clone()),
        (damage.id.as_str(), damage.fee)
    );
    assert_eq!(
        (told.loan_id.as_str(), told.item_id.as_str()),
        (loan_id.as_str(), damage.item_id.as_str())
    );
    assert_eq!(
        (told.library_code.as_str(), told.institution_code.as_str()),
        ("ALD-MAIN", "ALD")
    );
    assert!(!told.patron_id.is_empty());
}

#[tokio::test]
async fn a_report_that_cannot_be_is_refused_with_its_reason() {
    let desk = Desk::open().await;
    let loan_id = returned(&desk).await;
    let sound = report(&desk, &loan_id);
    let table = [
        (
            ReportItemDamageRequest {
                loan_id: id(),
                ..sound.clone()
            },
            "LOAN_NOT_FOUND",
        ),
        (
            ReportItemDamageRequest {
                service_point_id: id(),
                ..sound.clone()
            },
            "SERVICE_POINT_NOT_FOUND",
        ),
        (
            ReportItemDamageRequest {
                missing_parts: vec![missing("dock", 1)],
                ..sound.clone()
            },
            "PART_UNKNOWN",
        ),
        (
            ReportItemDamageRequest {
                missing_parts: vec![missing("marker", 5)],
                ..sound.clone()
            },
            "PART_UNKNOWN",
        ),
        (
            ReportItemDamageRequest {
                missing_parts: vec![],
                ..sound.clone()
            },
            "KIT_MALFORMED",
        ),
        (
            ReportItemDamageRequest {
                missing_parts: vec![missing("bag", 1), missing("bag", 1)],
                ..sound.clone()
            },
            "KIT_MALFORMED",
        ),
        (
            ReportItemDamageRequest {
                comment: String::new(),
                ..sound.clone()
            },
            "TEXT_LENGTH",
        ),
        (
            ReportItemDamageRequest {
                request_id: String::new(),
                ..sound.clone()
            },
            "REQUEST_ID_MISSING",
        ),
    ];
    for (request, expected) in table {
        let refused = equipment(&desk).report_item_damage(request.clone()).await;
        assert_eq!(reason(refused), expected, "{request:?}");
    }
    let open = desk.check_out("40001", "S1").await.unwrap().loan.unwrap();
    let refused = equipment(&desk)
        .report_item_damage(report(&desk, &open.id))
        .await;
    assert_eq!(reason(refused), "LOAN_OPEN");

    // Somebody of another library may not, and nobody judges their own loan.
    let here = |subject: &str, library: &str| {
        let scope = Scope::Library(library.into());
        let grant = Grant::new("circulation.equipment.report-damage", scope);
        EquipmentServiceClient::new(desk.caller(subject, &[grant]))
    };
    let refused = here("clerk", "ALD-NORTH")
        .report_item_damage(sound.clone())
        .await;
    assert_eq!(refused.unwrap_err().code(), tonic::Code::PermissionDenied);
    let own = format!("patron:{}", open.patron_id);
    let refused = here(&own, "ALD-MAIN")
        .report_item_damage(sound.clone())
        .await;
    assert_eq!(reason(refused), "OWN_ACCOUNT");

    sqlx::query("update loan set patron_id = null where id = $1::uuid")
        .bind(&loan_id)
        .execute(&desk.database.pool)
        .await
        .unwrap();
    let refused = equipment(&desk).report_item_damage(sound.clone()).await;
    assert_eq!(reason(refused), "LOAN_WITHOUT_PATRON");
    assert_eq!(desk.told::<ItemDamaged>().await, []);
}
