//! What stands against patrons: six limits and the manual blocks, each for
//! what it is told to block.

use std::time::Duration;

use carrel_circulation::projection::patrons::PatronsProjection;
use carrel_proto::circulation::v1::patron_block_service_client::PatronBlockServiceClient;
use carrel_proto::circulation::v1::*;
use carrel_proto::patrons::v1::{BlockStanding, ManualBlockChanged, PatronStanding};
use carrel_runtime::Grant;
use carrel_testkit::eventually;
use tonic::Status;

use crate::desk::*;

const ACTIONS: [PatronAction; 3] = [
    PatronAction::Borrow,
    PatronAction::Renew,
    PatronAction::Request,
];

impl Desk {
    fn patron_blocks(&self) -> PatronBlockServiceClient<Caller> {
        PatronBlockServiceClient::new(self.caller("desk-1", &[Grant::everywhere("*")]))
    }

    fn about(&self, patron_id: &str, action: PatronAction) -> GetPatronBlocksRequest {
        GetPatronBlocksRequest {
            patron_id: patron_id.to_owned(),
            action: action.into(),
            service_point_id: self.point.clone(),
        }
    }

    async fn stands(&self, patron: &PatronStanding, action: PatronAction) -> Vec<String> {
        let request = self.about(&patron.patron_id, action);
        let answer = self.patron_blocks().get_patron_blocks(request).await;
        let blocks = answer.unwrap().into_inner().blocks;
        blocks.into_iter().map(|block| block.reason).collect()
    }

    async fn refusal(&self, request: GetPatronBlocksRequest) -> Result<(), Status> {
        self.patron_blocks()
            .get_patron_blocks(request)
            .await
            .map(drop)
    }
}

/// By its bits: borrowing, renewals, requests.
fn blocking(bits: i32) -> Option<BlockedActions> {
    Some(BlockedActions {
        borrowing: bits & 1 != 0,
        renewals: bits & 2 != 0,
        requests: bits & 4 != 0,
    })
}

/// A student with two books overdue, one of them recalled, a third one lost,
/// and 12 dollars owed.
async fn a_student_in_trouble(desk: &Desk) -> PatronStanding {
    let student = desk.student("S1").await;
    for barcode in ["30001", "30002", "30003", "30004"] {
        desk.book(barcode).await;
    }
    desk.check_out("30003", "S1").await.unwrap();
    desk.wait_until("2026-09-26T10:00:00");
    desk.check_out("30001", "S1").await.unwrap();
    let recalled = desk.check_out("30002", "S1").await.unwrap().loan.unwrap();
    // As a recall notes it.
    sqlx::query("update loan set recalled_at = checked_out_at where id = $1")
        .bind(recalled.id.parse::<uuid::Uuid>().unwrap())
        .execute(&desk.database.pool)
        .await
        .unwrap();
    // Due on 10 October; the lost one was due on 15 September.
    desk.wait_until("2026-10-14T09:00:00");
    eventually("they are aged", Duration::from_secs(20), async || {
        (desk.counters(&student).await == (3, 2, 1)).then_some(())
    })
    .await;
    desk.owes(&student, 1_200).await;
    student
}

#[tokio::test]
async fn each_limit_blocks_what_it_is_told_to_and_only_beyond_what_it_allows() {
    let desk = Desk::open().await;
    let student = a_student_in_trouble(&desk).await;
    let named = |limits: PatronLimits| PatronLimits {
        patron_group: "student".into(),
        ..limits
    };
    for bits in [0, 1, 2, 4, 7] {
        let table = [
            (
                "MAX_OVERDUE",
                PatronLimits {
                    max_overdue: 1,
                    max_overdue_blocks: blocking(bits),
                    ..Default::default()
                },
                PatronLimits {
                    max_overdue: 2,
                    max_overdue_blocks: blocking(bits),
                    ..Default::default()
                },
            ),
            (
                "MAX_LOST",
                // Nobody can forbid the first lost item: 0 is no limit.
                PatronLimits::default(),
                PatronLimits {
                    max_lost: 1,
                    max_lost_blocks: blocking(bits),
                    ..Default::default()
                },
            ),
            (
                "MAX_RECALL_OVERDUE",
                PatronLimits {
                    max_recall_overdue_days: 3,
                    max_recall_overdue_days_blocks: blocking(bits),
                    ..Default::default()
                },
                PatronLimits {
                    max_recall_overdue_days: 4,
                    max_recall_overdue_days_blocks: blocking(bits),
                    ..Default::default()
                },
            ),
            (
                "MAX_BALANCE",
                PatronLimits {
                    max_balance: Some(usd(1_199)),
                    max_balance_blocks: blocking(bits),
                    ..Default::default()
                },
                PatronLimits {
                    max_balance: Some(usd(1_200)),
                    max_balance_blocks: blocking(bits),
                    ..Default::default()
                },
            ),
        ];
        for (reason, exceeded, exact) in table {
            let exceeds = exceeded != PatronLimits::default();
            for (limits, stands) in [(exceeded, exceeds), (exact, false)] {
                desk.limits(named(limits)).await;
                for (place, action) in ACTIONS.into_iter().enumerate() {
                    let wanted = if stands && bits & (1 << place) != 0 {
                        vec![reason]
                    } else {
                        vec![]
                    };
                    assert_eq!(
                        desk.stands(&student, action).await,
                        wanted,
                        "{reason} {bits} {action:?}"
                    );
                }
            }
        }
    }

    // One more than allowed would be out; whoever keeps or asks takes none.
    for (most, wanted) in [
        (2, [true, true, true]),
        (3, [true, false, false]),
        (4, [false; 3]),
    ] {
        desk.limits(named(PatronLimits {
            max_loans: most,
            max_loans_blocks: blocking(7),
            ..Default::default()
        }))
        .await;
        for (action, stands) in ACTIONS.into_iter().zip(wanted) {
            let told = desk.stands(&student, action).await;
            assert_eq!(told == ["MAX_LOANS"], stands, "{most} {action:?}: {told:?}");
        }
    }
}

#[tokio::test]
async fn overdue_recalls_are_counted_and_what_is_returned_no_longer_blocks() {
    let desk = Desk::open().await;
    let student = a_student_in_trouble(&desk).await;
    sqlx::query("update loan set recalled_at = checked_out_at where checked_in_at is null and loss_id is null")
        .execute(&desk.database.pool)
        .await
        .unwrap();
    sqlx::query("update patron_circulation set overdue_recalls = 2 where open_loans > 0")
        .execute(&desk.database.pool)
        .await
        .unwrap();
    desk.limits(PatronLimits {
        patron_group: "student".into(),
        max_overdue_recalls: 1,
        max_overdue_recalls_blocks: blocking(5),
        ..Default::default()
    })
    .await;
    assert_eq!(
        desk.stands(&student, PatronAction::Borrow).await,
        ["MAX_OVERDUE_RECALLS"]
    );
    assert_eq!(desk.stands(&student, PatronAction::Renew).await, [""; 0]);
    assert_eq!(
        desk.stands(&student, PatronAction::Request).await,
        ["MAX_OVERDUE_RECALLS"]
    );
    assert_eq!(
        blocks(desk.check_out("30004", "S1").await),
        [("MAX_OVERDUE_RECALLS".into(), true)]
    );
    desk.check_in("30002").await.unwrap();
    assert_eq!(desk.stands(&student, PatronAction::Borrow).await, [""; 0]);
    desk.check_out("30004", "S1").await.unwrap();
}

#[tokio::test]
async fn limits_say_what_they_block_and_unset_means_borrowing_and_renewals() {
    let desk = Desk::open().await;
    let student = a_student_in_trouble(&desk).await;
    desk.limits(PatronLimits {
        patron_group: "student".into(),
        max_loans: 1,
        max_overdue: 1,
        max_balance: Some(usd(0)),
        max_recall_overdue_days: 1,
        ..Default::default()
    })
    .await;
    let by_age = ["MAX_OVERDUE", "MAX_RECALL_OVERDUE"];
    assert_eq!(
        desk.stands(&student, PatronAction::Borrow).await,
        [by_age[0], by_age[1], "MAX_LOANS", "MAX_BALANCE"]
    );
    assert_eq!(
        desk.stands(&student, PatronAction::Renew).await,
        [by_age[0], by_age[1], "MAX_BALANCE"]
    );
    assert_eq!(desk.stands(&student, PatronAction::Request).await, [""; 0]);
    let told: Vec<String> = blocks(desk.renew("30001").await)
        .into_iter()
        .map(|(reason, _)| reason)
        .collect();
    assert_eq!(told, [by_age[0], by_age[1], "MAX_BALANCE"]);

    let listed = desk
        .policies()
        .list_patron_limits(ListPatronLimitsRequest::default())
        .await;
    let listed = listed.unwrap().into_inner().patron_limits.remove(0);
    assert_eq!(
        (
            listed.max_loans_blocks,
            listed.max_overdue_blocks,
            listed.max_recall_overdue_days
        ),
        (blocking(1), blocking(3), 1)
    );
}

#[tokio::test]
async fn a_manual_block_blocks_what_it_says_to_its_last_day() {
    let desk = Desk::open().await;
    let student = desk.student("S1").await;
    for (place, action) in ACTIONS.into_iter().enumerate() {
        let block = BlockStanding {
            block_id: id(),
            patron_id: student.patron_id.clone(),
            blocks_borrowing: place == 0,
            blocks_renewals: place == 1,
            blocks_requests: place == 2,
            expiration_date: date(2026, 9, 1 + place as i32),
            lifted: false,
            revision: desk.next_revision(),
        };
        let told = ManualBlockChanged { block: Some(block) };
        desk.hear(&PatronsProjection { channel: None }, &told).await;
        for (other, another) in ACTIONS.into_iter().enumerate() {
            let wanted: &[&str] = if other <= place {
                &["MANUAL_BLOCK"]
            } else {
                &[]
            };
            assert_eq!(
                desk.stands(&student, another).await,
                wanted,
                "{action:?} {another:?}"
            );
        }
    }
    desk.wait_until("2026-09-03T23:59:59");
    for (action, wanted) in ACTIONS.into_iter().zip([false, false, true]) {
        assert_eq!(
            desk.stands(&student, action).await == ["MANUAL_BLOCK"],
            wanted
        );
    }
}

#[tokio::test]
async fn who_may_ask_and_about_whom() {
    let desk = Desk::open().await;
    let student = desk.student("S1").await;
    let sound = desk.about(&student.patron_id, PatronAction::Borrow);
    let answer = desk
        .patron_blocks()
        .get_patron_blocks(sound.clone())
        .await
        .unwrap();
    assert_eq!(answer.into_inner().projection_ages.len(), 3);
    for (request, expected) in [
        (
            GetPatronBlocksRequest {
                action: 0,
                ..sound.clone()
            },
            "VALUE_UNKNOWN",
        ),
        (
            GetPatronBlocksRequest {
                patron_id: "7".into(),
                ..sound.clone()
            },
            "ID_MALFORMED",
        ),
        (
            GetPatronBlocksRequest {
                patron_id: id(),
                ..sound.clone()
            },
            "PATRON_NOT_FOUND",
        ),
        (
            GetPatronBlocksRequest {
                service_point_id: id(),
                ..sound.clone()
            },
            "SERVICE_POINT_NOT_FOUND",
        ),
    ] {
        assert_eq!(reason(desk.refusal(request).await), expected);
    }
    let clerk = |permission| desk.caller("clerk", &[Grant::everywhere(permission)]);
    let mut outsider = PatronBlockServiceClient::new(clerk("circulation.loans.read"));
    assert_eq!(
        reason(outsider.get_patron_blocks(sound.clone()).await),
        "PERMISSION_DENIED"
    );
    let mut clerk = PatronBlockServiceClient::new(clerk("circulation.patron-blocks.read"));
    clerk.get_patron_blocks(sound).await.unwrap();
}

#[tokio::test]
async fn whoever_is_unknown_here_renews_nothing_and_own_accounts_are_known_in_any_notation() {
    let desk = Desk::open().await;
    let student = desk.student("S1").await;
    desk.book("30001").await;
    desk.book("30002").await;
    desk.check_out("30001", "S1").await.unwrap();
    let shouted = format!("patron:{}", student.patron_id.to_uppercase());
    let mut own = loan_service_client::LoanServiceClient::new(
        desk.caller(&shouted, &[Grant::everywhere("*")]),
    );
    assert_eq!(
        reason(own.check_out(desk.lending("30002", "S1")).await),
        "OWN_ACCOUNT"
    );

    sqlx::query("delete from patron_projection")
        .execute(&desk.database.pool)
        .await
        .unwrap();
    let refused = desk.renew("30001").await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);
    assert_eq!(reason::<()>(Err(refused)), "PATRON_NOT_FOUND");
}
