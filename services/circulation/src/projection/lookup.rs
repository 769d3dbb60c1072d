//! Asking an owner, once, for an item or patron that the projections lack:
//! one that was added a moment ago. Outside any transaction, with a deadline;
//! what was asked in vain is remembered for a moment, so that a scanner held
//! on a foreign barcode does not become a load on the owner.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use carrel_database::{Database, transact};
use carrel_outbox::{ApplyError, generation, hold_generation};
use carrel_proto::catalog::v1::GetItemByBarcodeRequest;
use carrel_proto::catalog::v1::item_service_client::ItemServiceClient;
use carrel_proto::patrons::v1::patron_service_client::PatronServiceClient;
use carrel_proto::patrons::v1::{GetPatronStandingRequest, get_patron_standing_request};
use carrel_runtime::PeerChannel;
use tonic::{Code, Status};
use uuid::Uuid;

use super::{catalog, patrons, store};
use crate::error::Error;

/// How long an owner may take: a person waits at the desk.
const DEADLINE: Duration = Duration::from_millis(300);
/// How long a miss is remembered.
const MISS_KEPT: Duration = Duration::from_secs(5);
/// Misses that are remembered at the most.
const MOST_MISSES: usize = 10_000;

/// What an owner said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is known now.
    Learnt,
    /// The owner does not know it.
    Unknown,
    /// The owner could not be asked.
    Unreachable,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Sought {
    Item(String),
    Patron([u8; 32]),
    PatronById(Uuid),
}

/// Asks owners.
#[derive(Debug)]
pub struct Lookup {
    database: Database,
    catalog: Option<PeerChannel>,
    patrons: Option<PeerChannel>,
    missed: Mutex<HashMap<Sought, (Instant, Answer)>>,
}

impl Lookup {
    /// Asks on these ways; `None`: there is none, and the owner counts as
    /// unreachable.
    #[must_use]
    pub fn new(
        database: Database,
        catalog: Option<PeerChannel>,
        patrons: Option<PeerChannel>,
    ) -> Self {
        Self {
            database,
            catalog,
            patrons,
            missed: Mutex::default(),
        }
    }

    /// Asks catalog for the item with a barcode.
    ///
    /// # Errors
    /// The database's.
    pub async fn item(&self, barcode: &str) -> Result<Answer, Error> {
        let sought = Sought::Item(barcode.to_owned());
        if let Some(answer) = self.missed_before(&sought) {
            return Ok(answer);
        }
        // Read before the owner is asked: what it says counts only under it.
        let generation = generation(self.database.pool(), "catalog").await?;
        let answer = match (&self.catalog, generation) {
            (Some(channel), Some(generation)) => {
                self.learn_item(channel.clone(), generation, barcode)
                    .await?
            }
            _ => Answer::Unreachable,
        };
        self.remember(sought, answer);
        Ok(answer)
    }

    async fn learn_item(
        &self,
        channel: PeerChannel,
        generation: i64,
        barcode: &str,
    ) -> Result<Answer, Error> {
        let request = GetItemByBarcodeRequest {
            barcode: barcode.to_owned(),
        };
        let mut items = ItemServiceClient::new(channel);
        let told = match ask(items.get_item_by_barcode(request)).await {
            Ok(told) => told,
            Err(answer) => return Ok(answer),
        };
        let Some(item) = told.item else {
            return Ok(Answer::Unknown);
        };
        let row = catalog::item_row(&item).map_err(unreadable)?;
        transact!(self.database, "learn_item", |transaction| {
            if hold_generation(transaction, "catalog", generation).await? {
                store::put_items(transaction, generation, vec![row.clone()]).await?;
            }
            Ok::<_, Error>(())
        })?;
        Ok(Answer::Learnt)
    }

    /// Asks patrons for whoever has the barcode with this HMAC.
    ///
    /// # Errors
    /// The database's.
    pub async fn patron(&self, barcode_hmac: &[u8; 32]) -> Result<Answer, Error> {
        let key = get_patron_standing_request::Key::BarcodeHmac(barcode_hmac.to_vec());
        self.seek_patron(Sought::Patron(*barcode_hmac), key).await
    }

    /// Asks patrons for the patron with an id.
    ///
    /// # Errors
    /// The database's.
    pub async fn patron_by_id(&self, patron_id: Uuid) -> Result<Answer, Error> {
        let key = get_patron_standing_request::Key::PatronId(patron_id.to_string());
        self.seek_patron(Sought::PatronById(patron_id), key).await
    }

    async fn seek_patron(
        &self,
        sought: Sought,
        key: get_patron_standing_request::Key,
    ) -> Result<Answer, Error> {
        if let Some(answer) = self.missed_before(&sought) {
            return Ok(answer);
        }
        let generation = generation(self.database.pool(), "patrons").await?;
        let answer = match (&self.patrons, generation) {
            (Some(channel), Some(generation)) => {
                self.learn_patron(channel.clone(), generation, key).await?
            }
            _ => Answer::Unreachable,
        };
        self.remember(sought, answer);
        Ok(answer)
    }

    async fn learn_patron(
        &self,
        channel: PeerChannel,
        generation: i64,
        key: get_patron_standing_request::Key,
    ) -> Result<Answer, Error> {
        let request = GetPatronStandingRequest { key: Some(key) };
        let mut patrons = PatronServiceClient::new(channel);
        let told = match ask(patrons.get_patron_standing(request)).await {
            Ok(told) => told,
            Err(answer) => return Ok(answer),
        };
        let Some(standing) = told.standing else {
            return Ok(Answer::Unknown);
        };
        let standing = patrons::standing_row(&standing).map_err(unreadable)?;
        let blocks: Vec<_> = told
            .blocks
            .iter()
            .map(patrons::block_row)
            .collect::<Result<_, _>>()
            .map_err(unreadable)?;
        let proxies: Vec<_> = told
            .proxies
            .iter()
            .map(patrons::proxy_row)
            .collect::<Result<_, _>>()
            .map_err(unreadable)?;
        transact!(self.database, "learn_patron", |transaction| {
            if hold_generation(transaction, "patrons", generation).await? {
                store::put_standings(transaction, generation, vec![standing.clone()]).await?;
                store::put_blocks(transaction, generation, blocks.clone()).await?;
                store::put_proxies(transaction, generation, proxies.clone()).await?;
            }
            Ok::<_, Error>(())
        })?;
        Ok(Answer::Learnt)
    }

    fn missed_before(&self, sought: &Sought) -> Option<Answer> {
        let missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, answer) = missed.get(sought)?;
        (at.elapsed() < MISS_KEPT).then_some(*answer)
    }

    fn remember(&self, sought: Sought, answer: Answer) {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if answer == Answer::Learnt {
            missed.remove(&sought);
            return;
        }
        if missed.len() >= MOST_MISSES {
            missed.retain(|_, (at, _)| at.elapsed() < MISS_KEPT);
        }
        // Where so many are fresh, one more look-up is the lesser evil.
        if missed.len() < MOST_MISSES {
            missed.insert(sought, (Instant::now(), answer));
        }
    }
}

/// Waits for an owner's answer, but not long.
async fn ask<T>(
    answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Answer> {
    match tokio::time::timeout(DEADLINE, answer).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) if status.code() == Code::NotFound => Err(Answer::Unknown),
        Ok(Err(status)) => {
            tracing::warn!(code = ?status.code(), "an owner could not be asked");
            Err(Answer::Unreachable)
        }
        Err(_) => {
            tracing::warn!("an owner did not answer in time");
            Err(Answer::Unreachable)
        }
    }
}

fn unreadable(error: ApplyError) -> Error {
    match error {
        ApplyError::Poison(text) => Error::Unreadable(text),
        ApplyError::Database(error) => error.into(),
    }
}
