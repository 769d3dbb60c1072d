//! Nothing personal leaves, and nobody without the permission gets in.

use carrel_proto::patrons::v1::{
    GetPatronRequest, ListManualBlocksRequest, ListPatronGroupsRequest, ListPatronStandingsRequest,
    ManualBlock, Patron,
};
use tonic::Code;

use crate::desk::{Desk, new_id, reason, student};
use crate::rosters::{load, options};

#[tokio::test]
async fn no_event_holds_a_name_a_barcode_or_an_address() {
    let desk = Desk::open().await;
    let personal = [
        "Alderleaf",
        "Juniper",
        "Quillwort",
        "jalder",
        "j@example.edu",
        "530-555-0101",
        "20417000000010",
        "A0041-external",
        "See the dean",
        "Fernbough",
        "Sorrel",
        "sfern",
        "s@example.edu",
        "20418000000026",
        "A0074-external",
    ];
    let patron = Patron {
        middle_name: "Quillwort".into(),
        username: "jalder".into(),
        email: "j@example.edu".into(),
        phone: "530-555-0101".into(),
        source: "sis".into(),
        external_id: "A0041-external".into(),
        student_id: "link-for-billing".into(),
        ..student("Alderleaf", "20417000000010")
    };
    let patron = desk.create(patron).await.unwrap();
    let patron = desk
        .update(
            Patron {
                active: false,
                ..patron
            },
            &["active"],
        )
        .await
        .unwrap();
    let block = ManualBlock {
        patron_id: patron.id,
        patron_message: "See the dean".into(),
        staff_note: "See the dean about Juniper".into(),
        blocks_borrowing: true,
        ..Default::default()
    };
    let block = desk.technician().block(block).await.unwrap();
    desk.technician().lift(&block.id).await.unwrap();
    let file = "source,external_id,barcode,username,patron_group,last_name,first_name,email\n\
                sis,A0074-external,20418000000026,sfern,undergraduate,Fernbough,Sorrel,s@example.edu\n";
    load(&desk, file, options()).await.unwrap();

    let events = desk.events().await;
    assert_eq!(events.len(), 7);
    for (name, payload) in &events {
        for datum in personal {
            let found = payload
                .windows(datum.len())
                .any(|window| window == datum.as_bytes());
            assert!(!found, "{name} holds {datum:?}");
        }
    }
    // The scan would find what is there.
    let link = b"link-for-billing";
    assert!(
        events
            .iter()
            .any(|(_, payload)| payload.windows(link.len()).any(|w| w == link))
    );
    assert_eq!(desk.count("select count(*) from roster_row").await, 0);
}

#[tokio::test]
async fn nobody_reads_without_the_permission() {
    let desk = Desk::open().await;
    let patron = desk.create(student("Alderleaf", "21")).await.unwrap();
    let mut stranger = desk.caller("stranger", &["catalog.*"]);
    let request = GetPatronRequest {
        id: patron.id.clone(),
    };
    let refused = stranger.patrons.get_patron(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    // Whether there is such a patron makes no difference.
    let other = stranger
        .patrons
        .get_patron(GetPatronRequest { id: new_id() })
        .await
        .unwrap_err();
    assert_eq!(refused.message(), other.message());

    let standings = ListPatronStandingsRequest::default();
    assert_eq!(
        reason(stranger.patrons.list_patron_standings(standings).await),
        "PERMISSION_DENIED"
    );
    let blocks = ListManualBlocksRequest {
        patron_id: patron.id,
        ..Default::default()
    };
    assert_eq!(
        reason(stranger.blocks.list_manual_blocks(blocks).await),
        "PERMISSION_DENIED"
    );
    let groups = ListPatronGroupsRequest::default();
    assert_eq!(
        reason(stranger.groups.list_patron_groups(groups).await),
        "PERMISSION_DENIED"
    );
    let nobody = desk
        .count("select count(*) from access_log where accessed_by = 'stranger'")
        .await;
    assert_eq!(nobody, 0);
}
