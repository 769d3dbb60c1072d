//! A sequence's own copies and patrons at a desk that many sequences share, and
//! what is done with them over the desk's socket.

use carrel_proto::catalog::v1::Item;
use carrel_proto::circulation::v1::*;
use carrel_proto::patrons::v1::PatronStanding;
use carrel_runtime::read;
use carrel_runtime::wire::to_timestamp;
use jiff::Timestamp;
use tonic::Status;
use uuid::Uuid;

use super::action::{Action, Asked, Kind, Note, PATRONS};
use super::model::{HOME_OF, TITLE_OF, end_of_day};
use crate::desk::*;

/// The numbers that the model gives to things, with their ids in the service.
pub struct World<'a> {
    pub desk: &'a Desk,
    pub points: [String; 2],
    pub titles: [String; 2],
    pub copies: Vec<Item>,
    pub patrons: Vec<PatronStanding>,
    pub patron_barcodes: Vec<String>,
    pub loans: Vec<Uuid>,
    pub requests: Vec<Uuid>,
    /// The last event before it.
    pub begins_after: i64,
}

/// What a refusal says: its blocks, or else its reason.
fn refusal(status: &Status) -> Vec<String> {
    match read::detail::<Blocks>(status) {
        Some(blocks) => blocks.blocks.into_iter().map(|b| b.reason).collect(),
        None => vec![read::reason(status).unwrap_or_else(|| status.to_string())],
    }
}

impl<'a> World<'a> {
    pub async fn furnish(desk: &'a Desk, north: &str) -> Self {
        let begins_after = sqlx::query_scalar("select coalesce(max(position), 0) from outbox")
            .fetch_one(&desk.database.pool)
            .await
            .unwrap();
        let titles = [id(), id()];
        let mut copies = Vec::new();
        for (copy, title) in TITLE_OF.into_iter().enumerate() {
            let location = [&desk.stacks, &desk.north_stacks][HOME_OF[copy]];
            let item = Item {
                record_id: titles[title].clone(),
                barcode: id(),
                ..book(location)
            };
            copies.push(desk.item(item).await);
        }
        let patron_barcodes: Vec<String> = (0..PATRONS).map(|_| id()).collect();
        let mut patrons = Vec::new();
        for barcode in &patron_barcodes {
            patrons.push(desk.student(barcode).await);
        }
        Self {
            desk,
            points: [desk.point.clone(), north.to_owned()],
            titles,
            copies,
            patrons,
            patron_barcodes,
            loans: Vec::new(),
            requests: Vec::new(),
            begins_after,
        }
    }

    /// Does it, or gives what the refusal says. `now`: what the model takes
    /// for now.
    pub async fn act(&mut self, action: &Action, now: Timestamp) -> Result<(), Vec<String>> {
        let done = match action {
            Action::CheckOut {
                copy,
                patron,
                point,
                overriding,
            } => self.check_out(*copy, *patron, *point, *overriding).await,
            Action::CheckIn { copy, point } => self.check_in(*copy, *point).await,
            Action::Renew { copy, overriding } => self.renew(*copy, *overriding).await,
            Action::Note { loan, what } => self.note(*loan, *what, now).await,
            Action::Place(asked) => self.place(asked, now).await,
            Action::Cancel { request } => self.cancel(*request).await,
            Action::Suspend { request, days } => {
                let until = Action::days_after(now, *days);
                self.suspend(*request, Some((now, until))).await
            }
            Action::Resume { request } => self.suspend(*request, None).await,
            Action::Redirect { request, point } => self.redirect(*request, *point).await,
            Action::Reorder { title, by } => self.reorder(*title, *by).await,
            Action::Wait { .. } => {
                self.age().await;
                Ok(())
            }
        };
        done.map_err(|status| refusal(&status))
    }

    /// Finds what is due by now.
    pub async fn age(&self) {
        let request = RunAgeingRequest { request_id: id() };
        self.desk.loans().run_ageing(request).await.unwrap();
    }

    async fn check_out(
        &mut self,
        copy: usize,
        patron: usize,
        point: usize,
        overriding_queue: bool,
    ) -> Result<(), Status> {
        let request = CheckOutRequest {
            service_point_id: self.points[point].clone(),
            r#override: overriding(&["ITEM_REQUESTED"]).filter(|_| overriding_queue),
            ..self
                .desk
                .lending(&self.copies[copy].barcode, &self.patron_barcodes[patron])
        };
        let lent = self.desk.loans().check_out(request).await?.into_inner();
        self.loans.push(lent.loan.unwrap().id.parse().unwrap());
        Ok(())
    }

    async fn check_in(&self, copy: usize, point: usize) -> Result<(), Status> {
        let request = CheckInRequest {
            service_point_id: self.points[point].clone(),
            ..self.desk.returning(&self.copies[copy].barcode)
        };
        self.desk.loans().check_in(request).await.map(drop)
    }

    async fn renew(&self, copy: usize, overriding_queue: bool) -> Result<(), Status> {
        let request = RenewRequest {
            r#override: overriding(&["ITEM_REQUESTED"]).filter(|_| overriding_queue),
            ..self.desk.renewing(&self.copies[copy].barcode)
        };
        self.desk.loans().renew(request).await.map(drop)
    }

    async fn note(&self, loan: usize, what: Note, now: Timestamp) -> Result<(), Status> {
        let loan = self.loans[self.loans.len() - 1 - loan % self.loans.len()].to_string();
        let (desk, mut actions) = (self.desk, self.desk.actions());
        let service_point_id = self.points[0].clone();
        match what {
            Note::ClaimedReturned => desk.claim(&loan).await.map(drop),
            Note::DeclaredLost => desk.declare_lost(&loan).await.map(drop),
            Note::Missing => {
                let request = MarkMissingRequest {
                    loan_id: loan,
                    service_point_id,
                    comment: "searched three times".into(),
                    request_id: id(),
                };
                actions.mark_missing(request).await.map(drop)
            }
            Note::Due(days) => {
                let request = ChangeDueDateRequest {
                    loan_id: loan,
                    service_point_id,
                    due_at: Some(to_timestamp(end_of_day(now, days))),
                    comment: "until the term paper is in".into(),
                    request_id: id(),
                };
                actions.change_due_date(request).await.map(drop)
            }
        }
    }

    async fn place(&mut self, asked: &Asked, now: Timestamp) -> Result<(), Status> {
        let target = match asked.only {
            Some(copy) => {
                create_request_request::Target::ItemBarcode(self.copies[copy].barcode.clone())
            }
            None => create_request_request::Target::RecordId(self.titles[asked.title()].clone()),
        };
        let level = match asked.only {
            Some(_) => RequestLevel::Item,
            None => RequestLevel::Title,
        };
        let kind = match asked.kind {
            Kind::Hold => RequestType::Hold,
            Kind::Recall => RequestType::Recall,
            Kind::Page => RequestType::Page,
        };
        let fulfilment = match asked.pickup {
            Some(_) => RequestFulfilment::HoldShelf,
            None => RequestFulfilment::Delivery,
        };
        let pickup = asked.pickup.map(|point| self.points[point].clone());
        let request = CreateRequestRequest {
            patron: Some(create_request_request::Patron::PatronId(
                self.patrons[asked.patron].patron_id.clone(),
            )),
            target: Some(target),
            r#type: kind.into(),
            level: level.into(),
            fulfilment: fulfilment.into(),
            pickup_service_point_id: pickup.unwrap_or_default(),
            expires_at: asked.expires_at(now).map(to_timestamp),
            request_id: id(),
            ..Default::default()
        };
        let placed = self.desk.requests().create_request(request).await?;
        let placed = placed.into_inner().request.unwrap();
        self.requests.push(placed.id.parse().unwrap());
        Ok(())
    }

    fn request(&self, number: usize) -> String {
        self.requests[number % self.requests.len()].to_string()
    }

    async fn cancel(&self, number: usize) -> Result<(), Status> {
        let request = CancelRequestRequest {
            id: self.request(number),
            reason: "no-longer-needed".into(),
            request_id: id(),
            ..Default::default()
        };
        self.desk.requests().cancel_request(request).await.map(drop)
    }

    async fn suspend(
        &self,
        number: usize,
        span: Option<(Timestamp, Timestamp)>,
    ) -> Result<(), Status> {
        let fields = ["suspended_from", "suspended_until"];
        let request = ChangeRequestRequest {
            id: self.request(number),
            update_mask: fields.map(Into::into).to_vec(),
            suspended_from: span.map(|(from, _)| to_timestamp(from)),
            suspended_until: span.map(|(_, until)| to_timestamp(until)),
            request_id: id(),
            ..Default::default()
        };
        self.desk.requests().change_request(request).await.map(drop)
    }

    async fn redirect(&self, number: usize, point: usize) -> Result<(), Status> {
        let request = ChangeRequestRequest {
            id: self.request(number),
            update_mask: vec!["pickup_service_point_id".into()],
            pickup_service_point_id: self.points[point].clone(),
            request_id: id(),
            ..Default::default()
        };
        self.desk.requests().change_request(request).await.map(drop)
    }

    async fn reorder(&self, title: usize, by: usize) -> Result<(), Status> {
        let record_id = self.titles[title].clone();
        let asked = GetQueueRequest {
            record_id: record_id.clone(),
        };
        let queue = self.desk.requests().get_queue(asked).await?.into_inner();
        let mut request_ids: Vec<String> = queue.requests.into_iter().map(|r| r.id).collect();
        let by = by % request_ids.len().max(1);
        request_ids.rotate_left(by);
        let request = ReorderQueueRequest {
            record_id,
            etag: queue.etag,
            request_ids,
            request_id: id(),
            ..Default::default()
        };
        self.desk.requests().reorder_queue(request).await.map(drop)
    }
}
