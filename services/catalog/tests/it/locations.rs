//! Stories of the district's places.

use carrel_proto::catalog::v1::{
    CreateLocationUnitRequest, GetLocationUnitRequest, ListLocationUnitsRequest, LocationUnit,
    LocationUnitKind, UpdateLocationUnitRequest,
};
use tonic::Code;

use crate::desk::{Desk, new_id, refusal};

fn create(kind: LocationUnitKind, parent_id: &str, code: &str) -> CreateLocationUnitRequest {
    let location_unit = Some(LocationUnit {
        kind: kind.into(),
        parent_id: parent_id.into(),
        code: code.into(),
        name: "A place".into(),
        ..LocationUnit::default()
    });
    CreateLocationUnitRequest {
        location_unit,
        request_id: new_id(),
    }
}

#[tokio::test]
async fn a_district_is_built_from_the_college_down() {
    let desk = Desk::open().await;
    desk.district().await;
    let mut locations = desk.locations();

    let mut codes = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListLocationUnitsRequest {
            page_size: 3,
            page_token,
            ..Default::default()
        };
        let page = locations
            .list_location_units(request)
            .await
            .unwrap()
            .into_inner();
        codes.extend(page.location_units.into_iter().map(|unit| unit.code));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(
        codes,
        [
            "ALD", "MILLRACE", "ALDM", "ALDS", "ALDM-RES", "ALDM-STK", "ALDS-RES", "ALDS-STK"
        ]
    );
    let libraries = ListLocationUnitsRequest {
        kind: LocationUnitKind::Library.into(),
        ..Default::default()
    };
    let libraries = locations
        .list_location_units(libraries)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(libraries.location_units.len(), 2);
    let below = ListLocationUnitsRequest {
        parent_id: libraries.location_units[1].id.clone(),
        ..Default::default()
    };
    let below = locations
        .list_location_units(below)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(below.location_units[0].code, "ALDS-RES");
    assert_eq!(
        desk.count("outbox where type = 'carrel.catalog.v1.LocationUnitChanged'")
            .await,
        8
    );
}

#[tokio::test]
async fn a_place_belongs_to_one_of_the_level_above_and_codes_are_unique() {
    let desk = Desk::open().await;
    let college = desk.unit(LocationUnitKind::Institution, "", "ALD").await;
    let mut locations = desk.locations();
    let parent_kind = (
        Code::InvalidArgument,
        "LOCATION_UNIT_PARENT_KIND".to_owned(),
    );
    for (kind, parent) in [
        (LocationUnitKind::Library, college.as_str()),
        (LocationUnitKind::Campus, ""),
        (LocationUnitKind::Institution, college.as_str()),
        (LocationUnitKind::Campus, &new_id()),
    ] {
        let answer = locations
            .create_location_unit(create(kind, parent, "X"))
            .await;
        assert_eq!(refusal(answer), parent_kind, "{kind:?} {parent:?}");
    }
    let taken = create(LocationUnitKind::Institution, "", "ALD");
    assert_eq!(
        refusal(locations.create_location_unit(taken).await),
        (Code::AlreadyExists, "LOCATION_UNIT_CODE_TAKEN".into())
    );
    let unknown = create(LocationUnitKind::Unspecified, "", "Y");
    assert_eq!(
        refusal(locations.create_location_unit(unknown).await).1,
        "LOCATION_UNIT_KIND_UNKNOWN"
    );
    // The same code on another level is another place.
    desk.unit(LocationUnitKind::Campus, &college, "ALD").await;
}

#[tokio::test]
async fn a_place_is_renamed_by_whoever_read_it_last() {
    let desk = Desk::open().await;
    let id = desk.unit(LocationUnitKind::Institution, "", "ALD").await;
    let mut locations = desk.locations();
    let get = GetLocationUnitRequest { id: id.clone() };
    let read = locations
        .get_location_unit(get)
        .await
        .unwrap()
        .into_inner()
        .location_unit
        .unwrap();

    let update = |name: &str, request_id: String| UpdateLocationUnitRequest {
        location_unit: Some(LocationUnit {
            name: name.into(),
            ..read.clone()
        }),
        request_id,
    };
    let first = update("Alder Valley College", new_id());
    let renamed = locations
        .update_location_unit(first.clone())
        .await
        .unwrap()
        .into_inner();
    let again = locations
        .update_location_unit(first.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(renamed, again);
    assert_eq!(renamed.location_unit.unwrap().revision, 2);
    let late = locations
        .update_location_unit(update("Another", new_id()))
        .await;
    assert_eq!(refusal(late), (Code::Aborted, "ETAG_MISMATCH".into()));
    let reused = locations
        .update_location_unit(update("Another", first.request_id))
        .await;
    assert_eq!(
        refusal(reused),
        (Code::FailedPrecondition, "REQUEST_ID_REUSED".into())
    );
    let missing = GetLocationUnitRequest { id: new_id() };
    assert_eq!(
        refusal(locations.get_location_unit(missing).await),
        (Code::NotFound, "LOCATION_UNIT_NOT_FOUND".into())
    );
}
