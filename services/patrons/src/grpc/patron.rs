//! `carrel.patrons.v1.PatronService`.

use carrel_proto::patrons::v1 as wire;
use carrel_proto::patrons::v1::get_patron_standing_request::Key;
use carrel_proto::patrons::v1::patron_service_server::PatronService;
use carrel_runtime::wire::{barcode, date, id, required, to_date};
use carrel_runtime::{Call, Refusal, page};
use prost_types::FieldMask;
use tonic::{Request, Response, Status};

use crate::block::ManualBlock;
use crate::patron::{
    self, Account, Change, Fault, Field, Patron, Standing, StandingKey, Wanted, external_id,
    source, text,
};
use crate::proxy::Proxy;
use crate::{Error, Patrons};

/// The permission to read what billing may know.
const READ_STUDENT_LINKS: &str = "patrons.student-links.read";

pub(super) struct PatronRpcs(pub(super) Patrons);

fn encode(patron: Patron) -> wire::Patron {
    let etag = patron.etag();
    let account = patron.account;
    wire::Patron {
        id: patron.id.to_string(),
        barcode: account.barcode,
        username: account.username,
        patron_group: account.patron_group,
        last_name: account.last_name,
        first_name: account.first_name,
        middle_name: account.middle_name,
        email: account.email,
        phone: account.phone,
        home_library: account.home_library,
        affiliation: account.affiliation,
        student_id: account.student_id,
        source: account.source,
        external_id: account.external_id,
        enrollment_date: account.enrollment_date.map(to_date),
        expiration_date: account.expiration_date.map(to_date),
        active: account.active,
        revision: patron.revision,
        etag,
    }
}

/// A field's value in a message.
fn change(patron: &wire::Patron, field: Field) -> Result<Change, Status> {
    let path = format!("patron.{}", field.name());
    let optional_date = |value: &Option<_>| match value {
        Some(value) => date(&path, value).map(Some),
        None => Ok(None),
    };
    let value = match field {
        Field::EnrollmentDate => {
            return Ok(Change::EnrollmentDate(optional_date(
                &patron.enrollment_date,
            )?));
        }
        Field::ExpirationDate => {
            return Ok(Change::ExpirationDate(optional_date(
                &patron.expiration_date,
            )?));
        }
        Field::Active => return Ok(Change::Active(patron.active)),
        Field::Barcode => &patron.barcode,
        Field::Username => &patron.username,
        Field::PatronGroup => &patron.patron_group,
        Field::LastName => &patron.last_name,
        Field::FirstName => &patron.first_name,
        Field::MiddleName => &patron.middle_name,
        Field::Email => &patron.email,
        Field::Phone => &patron.phone,
        Field::HomeLibrary => &patron.home_library,
        Field::Affiliation => &patron.affiliation,
        Field::StudentId => &patron.student_id,
    };
    Change::read(field, value).map_err(|fault| Error::field(path, fault).into())
}

/// A whole account, for a new patron.
fn decode(patron: &wire::Patron) -> Result<Account, Status> {
    if patron.source.is_empty() != patron.external_id.is_empty() {
        return Err(Error::field("patron.external_id", Fault::Pair).into());
    }
    let mut account = Account::default();
    if !patron.source.is_empty() {
        let checked =
            source(&patron.source).map_err(|fault| Error::field("patron.source", fault))?;
        checked.clone_into(&mut account.source);
        let checked = external_id(&patron.external_id)
            .map_err(|fault| Error::field("patron.external_id", fault))?;
        checked.clone_into(&mut account.external_id);
    }
    for field in Field::ALL {
        account.apply([change(patron, field)?]);
    }
    Ok(account)
}

/// The changes that a mask names.
fn masked(patron: &wire::Patron, mask: &FieldMask) -> Result<Vec<Change>, Status> {
    if mask.paths.is_empty() {
        return Err(Error::field("update_mask", Fault::Mask).into());
    }
    mask.paths
        .iter()
        .map(|path| {
            let field =
                Field::named(path).ok_or_else(|| Error::field("update_mask", Fault::Mask))?;
            change(patron, field)
        })
        .collect()
}

fn standing_key(key: Option<Key>) -> Result<StandingKey, Status> {
    match key {
        Some(Key::PatronId(value)) => Ok(StandingKey::PatronId(id("patron_id", &value)?)),
        Some(Key::BarcodeHmac(hmac)) if hmac.len() == 32 => Ok(StandingKey::BarcodeHmac(hmac)),
        Some(Key::BarcodeHmac(_)) => Err(Error::field("barcode_hmac", Fault::BarcodeHmac).into()),
        None => Err(Error::field("key", Fault::Missing).into()),
    }
}

/// What is searched for is not kept, so only its length is looked at.
fn search_text<'a>(field: &str, value: &'a str) -> Result<&'a str, Refusal> {
    carrel_runtime::wire::text(field, value.trim(), 0, 200)
}

#[tonic::async_trait]
impl PatronService for PatronRpcs {
    async fn create_patron(
        &self,
        request: Request<wire::CreatePatronRequest>,
    ) -> Result<Response<wire::CreatePatronResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let account = decode(required("patron", &request.patron)?)?;
        let patron = patron::create(&self.0, &call, &key, &account).await?;
        Ok(Response::new(wire::CreatePatronResponse {
            patron: Some(encode(patron)),
        }))
    }

    async fn get_patron(
        &self,
        request: Request<wire::GetPatronRequest>,
    ) -> Result<Response<wire::GetPatronResponse>, Status> {
        let call = Call::of(&request)?;
        let id = id("id", &request.get_ref().id)?;
        let patron = patron::get(&self.0, &call, id).await?;
        Ok(Response::new(wire::GetPatronResponse {
            patron: Some(encode(patron)),
        }))
    }

    async fn get_patron_by_barcode(
        &self,
        request: Request<wire::GetPatronByBarcodeRequest>,
    ) -> Result<Response<wire::GetPatronByBarcodeResponse>, Status> {
        let call = Call::of(&request)?;
        let barcode = barcode("barcode", &request.get_ref().barcode)?;
        let patron = patron::get_by_barcode(&self.0, &call, barcode).await?;
        Ok(Response::new(wire::GetPatronByBarcodeResponse {
            patron: Some(encode(patron)),
        }))
    }

    async fn list_patrons(
        &self,
        request: Request<wire::ListPatronsRequest>,
    ) -> Result<Response<wire::ListPatronsResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let query = wire::ListPatronsRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page = page(request.page_size, &request.page_token, &query, 50, 1_000)?;
        let wanted = Wanted {
            name_prefix: search_text("name_prefix", &request.name_prefix)?,
            patron_group: text(&request.patron_group, 0, 40)
                .map_err(|fault| Error::field("patron_group", fault))?,
        };
        let (patrons, next_page_token) = patron::list(&self.0, &call, wanted, &page).await?;
        Ok(Response::new(wire::ListPatronsResponse {
            patrons: patrons.into_iter().map(encode).collect(),
            next_page_token,
        }))
    }

    async fn update_patron(
        &self,
        request: Request<wire::UpdatePatronRequest>,
    ) -> Result<Response<wire::UpdatePatronResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let new = required("patron", &request.patron)?;
        let patron_id = id("patron.id", &new.id)?;
        let changes = masked(new, required("update_mask", &request.update_mask)?)?;
        let patron = patron::update(&self.0, &call, &key, patron_id, &new.etag, &changes).await?;
        Ok(Response::new(wire::UpdatePatronResponse {
            patron: Some(encode(patron)),
        }))
    }

    async fn set_reading_history_choice(
        &self,
        request: Request<wire::SetReadingHistoryChoiceRequest>,
    ) -> Result<Response<wire::SetReadingHistoryChoiceResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let patron_id = id("patron_id", &request.patron_id)?;
        let keeps = request.keeps_history;
        let choice = patron::choose_history(&self.0, &call, &key, patron_id, keeps).await?;
        Ok(Response::new(wire::SetReadingHistoryChoiceResponse {
            choice: Some(wire::ReadingHistoryChoice {
                keeps_history: choice.keeps_history,
                chosen_at: choice.chosen_at.map(carrel_runtime::wire::to_timestamp),
            }),
        }))
    }

    async fn get_patron_standing(
        &self,
        request: Request<wire::GetPatronStandingRequest>,
    ) -> Result<Response<wire::GetPatronStandingResponse>, Status> {
        let key = standing_key(request.into_inner().key)?;
        let (standing, blocks, proxies) = patron::get_standing(&self.0, &key).await?;
        Ok(Response::new(wire::GetPatronStandingResponse {
            standing: Some(standing.to_standing()),
            blocks: blocks.iter().map(ManualBlock::to_standing).collect(),
            proxies: proxies.iter().map(Proxy::to_standing).collect(),
        }))
    }

    async fn list_patron_standings(
        &self,
        request: Request<wire::ListPatronStandingsRequest>,
    ) -> Result<Response<wire::ListPatronStandingsResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let query = wire::ListPatronStandingsRequest::default();
        let page = page(request.page_size, &request.page_token, &query, 100, 1_000)?;
        let (standings, blocks, proxies, next_page_token) =
            patron::list_standings(&self.0, &page).await?;
        let student_links = if call.caller.may_everywhere(READ_STUDENT_LINKS) {
            standings.iter().map(Standing::to_student_link).collect()
        } else {
            Vec::new()
        };
        Ok(Response::new(wire::ListPatronStandingsResponse {
            standings: standings.iter().map(Standing::to_standing).collect(),
            student_links,
            blocks: blocks.iter().map(ManualBlock::to_standing).collect(),
            proxies: proxies.iter().map(Proxy::to_standing).collect(),
            next_page_token,
        }))
    }
}
