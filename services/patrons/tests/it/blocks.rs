//! Manual blocks.

use carrel_proto::patrons::v1::get_patron_standing_request::Key;
use carrel_proto::patrons::v1::{
    CreateManualBlockRequest, GetPatronStandingRequest, ListManualBlocksRequest, ManualBlock,
    ManualBlockChanged,
};
use jiff::{SignedDuration, Timestamp};
use tonic::Code;

use crate::desk::{Caller, Desk, date, new_id, reason, student};

fn block(patron_id: &str) -> ManualBlock {
    ManualBlock {
        patron_id: patron_id.into(),
        patron_message: "Please see the desk".into(),
        staff_note: "Left the reserve copy\nin the rain".into(),
        blocks_borrowing: true,
        ..Default::default()
    }
}

async fn list(caller: &Caller, patron_id: &str, include_ended: bool) -> Vec<String> {
    let mut ids = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListManualBlocksRequest {
            patron_id: patron_id.into(),
            include_ended,
            page_size: 1,
            page_token,
        };
        let answer = caller
            .blocks
            .clone()
            .list_manual_blocks(request)
            .await
            .unwrap()
            .into_inner();
        ids.extend(answer.manual_blocks.into_iter().map(|block| block.id));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return ids;
        }
    }
}

#[tokio::test]
async fn a_block_holds_until_it_is_lifted_and_is_lifted_once() {
    let desk = Desk::open().await;
    let technician = desk.technician();
    let patron = desk.create(student("Alderleaf", "21")).await.unwrap();
    let first = technician.block(block(&patron.id)).await.unwrap();
    let second = technician.block(block(&patron.id)).await.unwrap();
    assert_eq!(first.created_by, "desk-1");
    assert_eq!(first.staff_note, "Left the reserve copy\nin the rain");
    assert_eq!(first.lifted_at, None);
    assert_eq!(
        list(&technician, &patron.id, false).await,
        [&*second.id, &first.id]
    );

    let lifted = technician.lift(&first.id).await.unwrap();
    assert!(lifted.lifted_at.is_some());
    assert_eq!(technician.lift(&first.id).await.unwrap(), lifted);
    assert_eq!(list(&technician, &patron.id, false).await, [&*second.id]);
    assert_eq!(
        list(&technician, &patron.id, true).await,
        [&*second.id, &first.id]
    );

    let events = desk.events_of::<ManualBlockChanged>().await;
    let told: Vec<_> = events
        .into_iter()
        .map(|event| event.block.unwrap())
        .map(|block| (block.block_id, block.lifted, block.revision))
        .collect();
    assert_eq!(
        told,
        [
            (first.id.clone(), false, 1),
            (second.id, false, 1),
            (first.id, true, 2)
        ]
    );
    // A block is no change of the patron.
    assert_eq!(technician.get(&patron.id).await.unwrap().revision, 1);
}

#[tokio::test]
async fn lifting_at_two_desks_at_once_is_one_change() {
    let desk = Desk::open().await;
    let technician = desk.technician();
    let patron = desk.create(student("Alderleaf", "21")).await.unwrap();
    let set = technician.block(block(&patron.id)).await.unwrap();
    let lifts = (0..5).map(|_| technician.lift(&set.id));
    let outcomes = futures::future::join_all(lifts).await;
    let first = outcomes[0].as_ref().unwrap();
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.as_ref().unwrap() == first)
    );
    assert_eq!(desk.events_of::<ManualBlockChanged>().await.len(), 2);
}

#[tokio::test]
async fn a_repeated_block_is_set_once() {
    let desk = Desk::open().await;
    let patron = desk.create(student("Alderleaf", "21")).await.unwrap();
    let request = CreateManualBlockRequest {
        manual_block: Some(block(&patron.id)),
        request_id: new_id(),
    };
    let technician = desk.technician();
    let again = (0..4).map(|_| {
        let (request, mut blocks) = (request.clone(), technician.blocks.clone());
        async move {
            blocks
                .create_manual_block(request)
                .await
                .unwrap()
                .into_inner()
        }
    });
    let answers = futures::future::join_all(again).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(desk.count("select count(*) from manual_block").await, 1);
    let other = CreateManualBlockRequest {
        manual_block: Some(ManualBlock {
            blocks_requests: true,
            ..block(&patron.id)
        }),
        ..request
    };
    let reused = technician.blocks.clone().create_manual_block(other).await;
    assert_eq!(reason(reused), "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn a_block_that_can_not_be_is_refused() {
    let desk = Desk::open().await;
    let technician = desk.technician();
    let patron = desk.create(student("Alderleaf", "21")).await.unwrap();
    let base = block(&patron.id);
    let cases = [
        (
            ManualBlock {
                blocks_borrowing: false,
                ..base.clone()
            },
            "BLOCK_BLOCKS_NOTHING",
        ),
        (
            ManualBlock {
                expiration_date: Some(date(2020, 1, 1)),
                ..base.clone()
            },
            "BLOCK_BLOCKS_NOTHING",
        ),
        (
            ManualBlock {
                patron_message: String::new(),
                ..base.clone()
            },
            "FIELD_MISSING",
        ),
        (
            ManualBlock {
                staff_note: "x".repeat(2_001),
                ..base.clone()
            },
            "TEXT_LENGTH",
        ),
        (
            ManualBlock {
                staff_note: "SSN 078-05-1120".into(),
                ..base.clone()
            },
            "SOCIAL_SECURITY_NUMBER_REFUSED",
        ),
        (
            ManualBlock {
                patron_id: new_id(),
                ..base.clone()
            },
            "PATRON_NOT_FOUND",
        ),
        (
            ManualBlock {
                patron_id: "7".into(),
                ..base
            },
            "ID_MALFORMED",
        ),
    ];
    for (block, why) in cases {
        assert_eq!(reason(technician.block(block).await), why);
    }
    assert_eq!(
        reason(technician.lift(&new_id()).await),
        "MANUAL_BLOCK_NOT_FOUND"
    );
    let request = ListManualBlocksRequest {
        patron_id: new_id(),
        ..Default::default()
    };
    let nobody = technician.blocks.clone().list_manual_blocks(request).await;
    assert_eq!(reason(nobody), "PATRON_NOT_FOUND");
    assert!(desk.events_of::<ManualBlockChanged>().await.is_empty());
}

#[tokio::test]
async fn nobody_blocks_or_unblocks_themselves() {
    let desk = Desk::open().await;
    let patron = desk.create(student("Alderleaf", "21")).await.unwrap();
    let set = desk.technician().block(block(&patron.id)).await.unwrap();
    let own = desk.caller(&format!("patron:{}", patron.id), &["*"]);
    for refused in [own.block(block(&patron.id)).await, own.lift(&set.id).await] {
        assert_eq!(refused.as_ref().unwrap_err().code(), Code::PermissionDenied);
        assert_eq!(reason(refused), "OWN_ACCOUNT");
    }
    let colleague = desk.caller(&format!("patron:{}", new_id()), &["*"]);
    assert!(colleague.lift(&set.id).await.unwrap().lifted_at.is_some());
}

#[tokio::test]
async fn a_block_ends_by_itself_when_its_last_day_is_over_everywhere() {
    let desk = Desk::open().await;
    let technician = desk.technician();
    let patron = desk.create(student("Alderleaf", "21")).await.unwrap();
    let now = Timestamp::now();
    let last_day = jiff::tz::Offset::UTC.to_datetime(now).date();
    let dated = ManualBlock {
        expiration_date: Some(carrel_runtime::wire::to_date(last_day)),
        ..block(&patron.id)
    };
    let set = technician.block(dated).await.unwrap();
    let in_standing = async || {
        let request = GetPatronStandingRequest {
            key: Some(Key::PatronId(patron.id.clone())),
        };
        let answer = technician
            .patrons
            .clone()
            .get_patron_standing(request)
            .await
            .unwrap();
        answer.into_inner().blocks.len()
    };
    assert_eq!(list(&technician, &patron.id, false).await, [&*set.id]);
    assert_eq!(in_standing().await, 1);

    desk.running
        .clock()
        .set(now + SignedDuration::from_hours(40))
        .unwrap();
    assert!(list(&technician, &patron.id, false).await.is_empty());
    assert_eq!(in_standing().await, 0);
    assert_eq!(list(&technician, &patron.id, true).await, [&*set.id]);
}
