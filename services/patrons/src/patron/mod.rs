//! Patron accounts: to add, find and change them, and what others may know.

mod fault;
mod model;
mod name;
mod standing;
pub(crate) mod store;

use carrel_database::{Claim, RequestKey, claim, transact};
use carrel_runtime::{Call, Page};
use jiff::Timestamp;
use uuid::Uuid;

pub use fault::Fault;
pub use model::{Account, Change, Field, Patron, external_id, group_code, source, text};
pub use name::username_key;
pub use standing::{Standing, Told};

use crate::block::{self, ManualBlock};
use crate::proxy::{self, Proxy};
use crate::{Error, Patrons, access_log, calling_patron, refuse_own_account};

/// Adds a patron.
///
/// # Errors
/// What is taken already, or a group that does not exist.
pub async fn create(
    patrons: &Patrons,
    call: &Call,
    key: &RequestKey,
    account: &Account,
) -> Result<Patron, Error> {
    let now = patrons.clock.now();
    let patron = Patron {
        id: carrel_ids::new_id(),
        account: account.clone(),
        keeps_history: false,
        revision: 1,
    };
    let created = transact!(patrons.database, "create_patron", |transaction| {
        if let Claim::Done(ids) = claim(transaction, key, &[patron.id], now).await?? {
            access_log::note(&mut *transaction, call, &ids, now).await?;
            return get_first(transaction, &ids).await;
        }
        store::insert(
            transaction,
            std::slice::from_ref(&patron),
            &patrons.barcode_key,
        )
        .await?;
        access_log::note(&mut *transaction, call, &[patron.id], now).await?;
        let events = Standing::of(&patron, &patrons.barcode_key).events(
            Told::NEW,
            call.trace_parent.as_deref(),
            now,
        );
        carrel_outbox::append(transaction, &events).await?;
        Ok::<_, Error>(patron.clone())
    })?;
    patrons.committed();
    Ok(created)
}

/// The patron that a request made or changed before, as it is now.
async fn get_first(connection: &mut sqlx::PgConnection, ids: &[Uuid]) -> Result<Patron, Error> {
    let found = store::read(connection, ids).await?;
    found.into_iter().next().ok_or(Error::PatronNotFound)
}

/// Reads a patron.
///
/// # Errors
/// PATRON_NOT_FOUND.
pub async fn get(patrons: &Patrons, call: &Call, id: Uuid) -> Result<Patron, Error> {
    let pool = patrons.database.pool();
    let found = store::read(pool, &[id]).await?.into_iter().next();
    let patron = found.ok_or(Error::PatronNotFound)?;
    access_log::note(pool, call, &[patron.id], patrons.clock.now()).await?;
    Ok(patron)
}

/// Reads a patron by what the scanner reads.
///
/// # Errors
/// PATRON_NOT_FOUND.
pub async fn get_by_barcode(
    patrons: &Patrons,
    call: &Call,
    barcode: &str,
) -> Result<Patron, Error> {
    let pool = patrons.database.pool();
    let found = store::find_by_barcode(pool, barcode).await?;
    let patron = found.ok_or(Error::PatronNotFound)?;
    access_log::note(pool, call, &[patron.id], patrons.clock.now()).await?;
    Ok(patron)
}

/// Which patrons are wanted; empty texts: all.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What the last, first or user name begins with.
    pub name_prefix: &'a str,
    /// The group's code.
    pub patron_group: &'a str,
}

/// A page of patrons, by id, with the next page's token.
///
/// # Errors
/// NAME_PREFIX_TOO_SHORT.
pub async fn list(
    patrons: &Patrons,
    call: &Call,
    wanted: Wanted<'_>,
    page: &Page<Uuid>,
) -> Result<(Vec<Patron>, String), Error> {
    let pool = patrons.database.pool();
    let after = page.after.unwrap_or(Uuid::nil());
    let group = Some(wanted.patron_group).filter(|code| !code.is_empty());
    let mut ids = if wanted.name_prefix.is_empty() {
        store::list(pool, group, after, page.limit()).await?
    } else {
        if name::folded(wanted.name_prefix).chars().count() < 2 {
            return Err(Error::field("name_prefix", Fault::Prefix));
        }
        store::search(pool, wanted.name_prefix, group, after, page.limit()).await?
    };
    let next = page.cut(&mut ids, |id| *id);
    let found = store::read(pool, &ids).await?;
    let told: Vec<Uuid> = found.iter().map(|patron| patron.id).collect();
    access_log::note(pool, call, &told, patrons.clock.now()).await?;
    Ok((found, next))
}

/// Changes a patron. An empty `etag` is not compared.
///
/// # Errors
/// OWN_ACCOUNT, PATRON_NOT_FOUND, ETAG_MISMATCH, and what is taken already.
pub async fn update(
    patrons: &Patrons,
    call: &Call,
    key: &RequestKey,
    id: Uuid,
    etag: &str,
    changes: &[Change],
) -> Result<Patron, Error> {
    refuse_own_account(call, id)?;
    let now = patrons.clock.now();
    let updated = transact!(patrons.database, "update_patron", |transaction| {
        let done = claim(transaction, key, &[id], now).await??;
        let before = store::find_and_lock(transaction, id).await?;
        let before = before.ok_or(Error::PatronNotFound)?;
        access_log::note(&mut *transaction, call, &[id], now).await?;
        if let Claim::Done(_) = done {
            return Ok(before);
        }
        if !etag.is_empty() && etag != before.etag() {
            return Err(Error::EtagMismatch);
        }
        let mut after = before.clone();
        after.account.apply(changes.iter().cloned());
        // What is so already is no change, and no news.
        if after == before {
            return Ok(before);
        }
        after.revision += 1;
        store::update(
            transaction,
            std::slice::from_ref(&after),
            &patrons.barcode_key,
        )
        .await?;
        let told = Told::of(&before.account, &after.account);
        let events = Standing::of(&after, &patrons.barcode_key).events(
            told,
            call.trace_parent.as_deref(),
            now,
        );
        carrel_outbox::append(transaction, &events).await?;
        Ok::<_, Error>(after)
    })?;
    patrons.committed();
    Ok(updated)
}

/// Whether a patron keeps a reading history, and since when that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryChoice {
    /// Whether it is kept.
    pub keeps_history: bool,
    /// When that was chosen; `None` where it never was.
    pub chosen_at: Option<Timestamp>,
}

/// Chooses whether one's own reading history is kept. What is so already
/// changes nothing, not even the date.
///
/// # Errors
/// NOT_OWN_ACCOUNT, PATRON_NOT_FOUND.
pub async fn choose_history(
    patrons: &Patrons,
    call: &Call,
    key: &RequestKey,
    id: Uuid,
    keeps_history: bool,
) -> Result<HistoryChoice, Error> {
    if calling_patron(call) != Some(id) {
        return Err(Error::NotOwnAccount);
    }
    let now = patrons.clock.now();
    let choice = transact!(patrons.database, "choose_history", |transaction| {
        let done = claim(transaction, key, &[id], now).await??;
        let patron = store::find_and_lock(transaction, id).await?;
        let mut patron = patron.ok_or(Error::PatronNotFound)?;
        let before = store::history_choice(transaction, id).await?;
        let is_news = before.chosen_at.is_none() || before.keeps_history != keeps_history;
        if matches!(done, Claim::Done(_)) || !is_news {
            return Ok(before);
        }
        patron.keeps_history = keeps_history;
        patron.revision += 1;
        store::choose_history(transaction, &patron, now).await?;
        let told = Told {
            standing: true,
            student_link: false,
        };
        let events = Standing::of(&patron, &patrons.barcode_key).events(
            told,
            call.trace_parent.as_deref(),
            now,
        );
        carrel_outbox::append(transaction, &events).await?;
        Ok::<_, Error>(HistoryChoice {
            keeps_history,
            chosen_at: Some(now),
        })
    })?;
    patrons.committed();
    Ok(choice)
}

/// How another service names a patron.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StandingKey {
    /// By id.
    PatronId(Uuid),
    /// By the HMAC of the barcode.
    BarcodeHmac(Vec<u8>),
}

/// What other services may know of a patron, with the blocks in force or to
/// come.
///
/// # Errors
/// PATRON_NOT_FOUND.
pub async fn get_standing(
    patrons: &Patrons,
    key: &StandingKey,
) -> Result<(Standing, Vec<ManualBlock>, Vec<Proxy>), Error> {
    let pool = patrons.database.pool();
    let found = match key {
        StandingKey::PatronId(id) => store::find_standing(pool, *id).await?,
        StandingKey::BarcodeHmac(hmac) => store::find_standing_by_barcode_hmac(pool, hmac).await?,
    };
    let standing = found.ok_or(Error::PatronNotFound)?;
    let last_day_over = block::last_day_over_everywhere(patrons.clock.now());
    let blocks = block::store::current_of(pool, standing.patron_id, last_day_over).await?;
    let proxies = proxy::store::all_of(pool, &[standing.patron_id]).await?;
    Ok((standing, blocks, proxies))
}

/// A page of what other services may know, by patron id, with all blocks and
/// proxies of the same patrons and the next page's token.
///
/// # Errors
/// The database's.
pub async fn list_standings(
    patrons: &Patrons,
    page: &Page<Uuid>,
) -> Result<(Vec<Standing>, Vec<ManualBlock>, Vec<Proxy>, String), Error> {
    let pool = patrons.database.pool();
    let after = page.after.unwrap_or(Uuid::nil());
    let mut standings = store::list_standings(pool, after, page.limit()).await?;
    let next = page.cut(&mut standings, |standing| standing.patron_id);
    let ids: Vec<Uuid> = standings
        .iter()
        .map(|standing| standing.patron_id)
        .collect();
    let blocks = block::store::all_of(pool, &ids).await?;
    let proxies = proxy::store::all_of(pool, &ids).await?;
    Ok((standings, blocks, proxies, next))
}
