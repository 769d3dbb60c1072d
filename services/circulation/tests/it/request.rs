//! Asking for something: holds, recalls, pages, and who gets what next.

use carrel_proto::catalog::v1::Item;
use carrel_proto::circulation::v1::*;
use carrel_proto::patrons::v1::PatronStanding;
use tonic::Status;

use crate::desk::*;

/// A title with copies, by their barcodes.
pub async fn title(desk: &Desk, barcodes: &[&str]) -> String {
    let record_id = id();
    for barcode in barcodes {
        desk.item(Item {
            record_id: record_id.clone(),
            barcode: (*barcode).into(),
            ..book(&desk.stacks)
        })
        .await;
    }
    record_id
}

/// Any copy of a title, from the hold shelf of the desk.
pub fn asking(desk: &Desk, patron: &PatronStanding, record_id: &str) -> CreateRequestRequest {
    CreateRequestRequest {
        patron: Some(create_request_request::Patron::PatronId(
            patron.patron_id.clone(),
        )),
        target: Some(create_request_request::Target::RecordId(record_id.into())),
        r#type: RequestType::Hold.into(),
        level: RequestLevel::Title.into(),
        fulfilment: RequestFulfilment::HoldShelf.into(),
        pickup_service_point_id: desk.point.clone(),
        request_id: id(),
        ..Default::default()
    }
}

/// This copy.
pub fn asking_for(desk: &Desk, patron: &PatronStanding, barcode: &str) -> CreateRequestRequest {
    CreateRequestRequest {
        target: Some(create_request_request::Target::ItemBarcode(barcode.into())),
        level: RequestLevel::Item.into(),
        ..asking(desk, patron, "")
    }
}

pub async fn place(desk: &Desk, asked: CreateRequestRequest) -> Result<Request, Status> {
    let placed = desk.requests().create_request(asked).await?;
    Ok(placed.into_inner().request.unwrap())
}

pub async fn read(desk: &Desk, request: &Request) -> Request {
    let id = request.id.clone();
    let read = desk.requests().get_request(GetRequestRequest { id }).await;
    read.unwrap().into_inner().request.unwrap()
}

pub async fn cancel(desk: &Desk, request: &Request) -> Result<Request, Status> {
    let asked = CancelRequestRequest {
        id: request.id.clone(),
        reason: "no-longer-needed".into(),
        request_id: id(),
        ..Default::default()
    };
    let cancelled = desk.requests().cancel_request(asked).await?;
    Ok(cancelled.into_inner().request.unwrap())
}

/// How catalog has heard of an item last.
pub async fn status_of(desk: &Desk, item: &str) -> CirculationItemStatus {
    let told: Vec<ItemAvailabilityChanged> = desk.told().await;
    let told = told.into_iter().filter_map(|told| told.item);
    told.rev()
        .find(|told| told.item_id == item)
        .map_or(CirculationItemStatus::In, |told| told.status())
}

#[tokio::test]
async fn a_book_that_is_out_is_held_for_whoever_asked_first() {
    let desk = Desk::open().await;
    let record = title(&desk, &["30001"]).await;
    let (ann, ben) = (desk.student("S1").await, desk.student("S2").await);
    desk.student("S3").await;
    desk.check_out("30001", "S3").await.unwrap();

    let first = asking(&desk, &ann, &record);
    let placed = place(&desk, first.clone()).await.unwrap();
    assert_eq!(placed.status(), RequestStatus::OpenNotYetFilled);
    assert_eq!(
        (placed.r#type(), placed.queue_position),
        (RequestType::Hold, 1)
    );
    let again = place(&desk, first).await.unwrap();
    assert_eq!(again, placed);
    let second = place(&desk, asking_for(&desk, &ben, "30001"))
        .await
        .unwrap();
    assert_eq!(second.queue_position, 2);
    assert!(second.place > placed.place);

    let taken = desk.check_in("30001").await.unwrap();
    assert_eq!(taken.next_step(), NextStep::HoldShelf);
    assert_eq!(taken.request_id, placed.id);
    let slip = taken.slip.clone().unwrap();
    assert_eq!(
        (
            slip.kind(),
            slip.request_id.as_str(),
            slip.destination_library_code.as_str()
        ),
        (SlipKind::Hold, placed.id.as_str(), "ALD-MAIN")
    );
    assert_eq!(local(slip.hold_shelf_expires_at), "2026-09-08T23:59:59");
    let waiting = read(&desk, &placed).await;
    assert_eq!(waiting.status(), RequestStatus::OpenAwaitingPickup);
    assert_eq!(waiting.held_item_id, taken.item_id);
    assert_eq!(
        status_of(&desk, &taken.item_id).await,
        CirculationItemStatus::AwaitingPickup
    );

    // Nobody else may have it, not even whoever is second.
    let refused = desk.check_out("30001", "S2").await;
    assert_eq!(blocks(refused), [("ITEM_REQUESTED".to_owned(), true)]);
    desk.check_out("30001", "S1").await.unwrap();
    let filled = read(&desk, &placed).await;
    assert_eq!(filled.status(), RequestStatus::ClosedFilled);
    assert_eq!(filled.queue_position, 0);
    assert_eq!(read(&desk, &second).await.queue_position, 1);

    let told: Vec<RequestChanged> = desk.told().await;
    let told: Vec<_> = told
        .into_iter()
        .filter_map(|told| told.request)
        .map(|told| (told.id.clone(), told.status()))
        .collect();
    assert_eq!(
        told,
        [
            (placed.id.clone(), RequestStatus::OpenNotYetFilled),
            (second.id.clone(), RequestStatus::OpenNotYetFilled),
            (placed.id.clone(), RequestStatus::OpenAwaitingPickup),
            (placed.id.clone(), RequestStatus::ClosedFilled),
        ]
    );
}
