//! A pile of items for one patron.

use carrel_proto::circulation::v1::*;

use crate::desk::*;

/// What became of each item: the loan's id, or the reasons against it.
fn outcomes(answer: &CheckOutBatchResponse) -> Vec<Result<String, Vec<String>>> {
    use check_out_outcome::Outcome;
    let told = answer
        .outcomes
        .iter()
        .map(|told| told.outcome.clone().unwrap());
    told.map(|told| match told {
        Outcome::Loan(loan) => Ok(loan.id),
        Outcome::Refusal(refusal) => {
            let blocks = refusal.blocks.into_iter().map(|block| block.reason);
            Err(std::iter::once(refusal.reason).chain(blocks).collect())
        }
    })
    .collect()
}

#[tokio::test]
async fn a_pile_is_lent_item_by_item_and_what_is_refused_stops_nothing() {
    let desk = Desk::open().await;
    let student = desk.student("S1").await;
    desk.student("S2").await;
    let limit = |max_loans| PatronLimits {
        patron_group: "student".into(),
        max_loans,
        ..Default::default()
    };
    desk.limits(limit(3)).await;
    for barcode in ["30001", "30002", "30003", "30004", "30005"] {
        desk.book(barcode).await;
    }
    desk.check_out("30002", "S2").await.unwrap();
    let pile = |barcodes: &[&str]| CheckOutBatchRequest {
        patron_barcode: "S1".into(),
        item_barcodes: barcodes.iter().map(|barcode| (*barcode).into()).collect(),
        service_point_id: desk.point.clone(),
        r#override: None,
        request_id: id(),
        ..Default::default()
    };
    let request = pile(&[
        "30001", "30002", "unknown", "30003", "30001", "30004", "30005",
    ]);
    let mut batches = desk.batches();
    let answer = batches
        .check_out_batch(request.clone())
        .await
        .unwrap()
        .into_inner();
    let first = outcomes(&answer);
    let refused = |reasons: &[&str]| Err(reasons.iter().map(|r| (*r).to_owned()).collect());
    assert!(
        first[0].is_ok() && first[3].is_ok() && first[5].is_ok(),
        "{first:?}"
    );
    assert_eq!(first[1], refused(&["ITEM_ALREADY_ON_LOAN"]));
    assert_eq!(first[2], refused(&["ITEM_NOT_FOUND"]));
    assert_eq!(first[4], refused(&["ITEM_ALREADY_ON_LOAN"]));
    assert_eq!(first[6], refused(&["CHECK_OUT_BLOCKED", "MAX_LOANS"]));
    assert_eq!(answer.outcomes[6].item_barcode, "30005");
    assert_eq!(desk.counters(&student).await, (3, 0, 0));

    // Again: the same loans, and what was refused is tried again.
    desk.limits(limit(4)).await;
    let again = batches
        .check_out_batch(request.clone())
        .await
        .unwrap()
        .into_inner();
    let second = outcomes(&again);
    assert_eq!(second[..6], first[..6]);
    assert!(second[6].is_ok());
    assert_eq!(desk.counters(&student).await, (4, 0, 0));
    let another = CheckOutBatchRequest {
        request_id: request.request_id,
        ..pile(&["30004"])
    };
    assert_eq!(
        reason(batches.check_out_batch(another).await),
        "REQUEST_ID_REUSED"
    );

    for (request, expected) in [
        (pile(&[]), "TOO_MANY_VALUES"),
        (pile(&["30001"; 101]), "TOO_MANY_VALUES"),
        (pile(&["30001", "3 0"]), "BARCODE_MALFORMED"),
        (
            CheckOutBatchRequest {
                patron_barcode: "nobody".into(),
                ..pile(&["30001"])
            },
            "PATRON_NOT_FOUND",
        ),
        (
            CheckOutBatchRequest {
                service_point_id: id(),
                ..pile(&["30001"])
            },
            "SERVICE_POINT_NOT_FOUND",
        ),
        (
            CheckOutBatchRequest {
                r#override: Some(Override::default()),
                ..pile(&["30001"])
            },
            "OVERRIDE_COMMENT_MISSING",
        ),
    ] {
        assert_eq!(reason(batches.check_out_batch(request).await), expected);
    }
    // The whole pile by override, with what was overridden for each.
    let taken = desk.check_in("30001").await.unwrap();
    assert!(taken.loan.is_some());
    desk.limits(limit(1)).await;
    let by_override = CheckOutBatchRequest {
        r#override: overriding(&["MAX_LOANS"]),
        ..pile(&["30001"])
    };
    let answer = batches
        .check_out_batch(by_override)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.outcomes[0].overridden_blocks[0].reason, "MAX_LOANS");
}
