//! Patron groups.

use carrel_proto::patrons::v1::{
    CreatePatronGroupRequest, CreatePatronGroupResponse, ListPatronGroupsRequest, PatronGroup,
};
use tonic::Status;

use crate::desk::{Caller, Desk, new_id, reason};

async fn create(
    caller: &Caller,
    code: &str,
    name: &str,
    request_id: &str,
) -> Result<CreatePatronGroupResponse, Status> {
    let request = CreatePatronGroupRequest {
        patron_group: Some(PatronGroup {
            id: String::new(),
            code: code.into(),
            name: name.into(),
        }),
        request_id: request_id.into(),
    };
    Ok(caller
        .groups
        .clone()
        .create_patron_group(request)
        .await?
        .into_inner())
}

#[tokio::test]
async fn groups_are_added_once_and_listed_by_code() {
    let desk = Desk::open().await;
    let technician = desk.technician();
    let id = new_id();
    let first = create(&technician, "dual-enrolled", "Dual enrolled", &id)
        .await
        .unwrap();
    let again = create(&technician, "dual-enrolled", "Dual enrolled", &id)
        .await
        .unwrap();
    assert_eq!(first, again);
    let other = create(&technician, "dual-enrolled", "Pupils", &id).await;
    assert_eq!(reason(other), "REQUEST_ID_REUSED");
    let taken = create(&technician, "dual-enrolled", "Pupils", &new_id()).await;
    assert_eq!(reason(taken), "PATRON_GROUP_CODE_TAKEN");

    let mut codes = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListPatronGroupsRequest {
            page_size: 3,
            page_token,
        };
        let answer = technician
            .groups
            .clone()
            .list_patron_groups(request)
            .await
            .unwrap();
        let answer = answer.into_inner();
        codes.extend(answer.patron_groups.into_iter().map(|group| group.code));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(
        codes,
        ["community", "dual-enrolled", "faculty", "undergraduate"]
    );
}

#[tokio::test]
async fn a_group_has_a_code_and_a_name() {
    let desk = Desk::open().await;
    let technician = desk.technician();
    for (code, name, why) in [
        ("", "Staff", "FIELD_MISSING"),
        ("Staff", "Staff", "PATRON_GROUP_CODE_MALFORMED"),
        ("staff", "", "FIELD_MISSING"),
        ("staff", " Staff", "TEXT_MALFORMED"),
    ] {
        let refused = create(&technician, code, name, &new_id()).await;
        assert_eq!(reason(refused), why, "{code:?} {name:?}");
    }
    let nameless = create(&technician, "staff", "Staff", "").await;
    assert_eq!(reason(nameless), "REQUEST_ID_MISSING");
    let reader = desk.caller("reader", &["patrons.groups.read"]);
    let refused = create(&reader, "staff", "Staff", &new_id()).await;
    assert_eq!(reason(refused), "PERMISSION_DENIED");
}
